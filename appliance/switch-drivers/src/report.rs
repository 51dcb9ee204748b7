//! What is asked for, and how it ends.

use farrier_core::interface::{Learned, OperationError, SwitchAction, SwitchDetails, SwitchKind};

/// One operation on one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order<'a> {
    /// What the switch is spoken to by.
    pub kind: SwitchKind,
    /// The port, as the switch calls it.
    pub port: &'a str,
    /// What is to be done with it.
    pub action: SwitchAction,
    /// Names a move, and is a secret of the appliance: the same in the operations
    /// that end it.
    pub token: u64,
    /// What else there is to know. Switches with OVSDB have no VLANs as objects, and
    /// their database has no table of hardware addresses.
    pub details: SwitchDetails<'a>,
}

/// What a port was on when it was read last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Seen {
    /// It was not read, or may have changed since.
    #[default]
    Unread,
    /// Untagged frames are on this VLAN; 0 where the port was given none.
    Vlan(u16),
    /// Something else: tagged VLANs, several, or what can't be understood.
    Other,
}

impl Seen {
    /// Whether the port was read, and is on this VLAN.
    #[must_use]
    pub fn is(self, vlan: u16) -> bool {
        self == Self::Vlan(vlan)
    }
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Done, or why not.
    pub result: Result<(), OperationError>,
    /// The port, as it was read last.
    pub port: Seen,
    /// Whether the port has a link; `None` where the switch does not say.
    pub link: Option<bool>,
    /// Where the switch has learned the address of [`SwitchDetails::mac`].
    pub learned: Learned,
}

impl Report {
    pub(crate) const fn done(port: Seen) -> Self {
        Self {
            result: Ok(()),
            port,
            link: None,
            learned: Learned::Unknown,
        }
    }

    pub(crate) const fn failed(error: OperationError, port: Seen) -> Self {
        Self {
            result: Err(error),
            port,
            link: None,
            learned: Learned::Unknown,
        }
    }
}
