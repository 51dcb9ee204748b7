//! Interfaces that a tenant's system uses as one.

/// How the interfaces of a group share their frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum GroupMode {
    /// One sends and receives, and another takes its place.
    ActiveBackup = 0,
    /// All do, as LACP agrees (IEEE 802.1AX).
    Lacp = 1,
}

impl GroupMode {
    /// Every mode.
    pub const ALL: [GroupMode; 2] = [Self::ActiveBackup, Self::Lacp];

    /// Its name in the API, as Linux has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ActiveBackup => "active-backup",
            Self::Lacp => "802.3ad",
        }
    }

    /// The mode of that number, as records have it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| *mode as u8 == number)
    }
}
