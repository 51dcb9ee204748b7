//! The scratch area: one slot a node, for what is too long for RAM.
//!
//! Nothing in a slot is secret in the clear: config drives lie there sealed
//! under a key that only RAM holds, statements are signed and public to the
//! operator. Who may write when is the brain's business.

use crate::SECTOR;

/// Bytes of a node's slot.
pub const SLOT_LEN: u64 = 160 * 1024;

/// Which of a slot's two places a config drive lies in. A new one is written
/// beside the present one and does not replace it before the request that
/// brought it is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum DrivePlace {
    /// The first.
    #[default]
    First = 0,
    /// The second.
    Second = 1,
}

impl DrivePlace {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// The place of that number; the first for a number that none has.
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Second,
            _ => Self::First,
        }
    }
}

/// The parts of a slot. Every part starts on a sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotPart {
    /// A sealed config drive, at most 72 KiB.
    ConfigDrive(DrivePlace),
    /// The last signed inspection statement, at most 8 KiB.
    Inspection,
    /// The last signed statement of another kind, at most 8 KiB.
    Statement,
}

impl SlotPart {
    /// Where the part starts within its slot, in bytes.
    pub const fn offset(self) -> u64 {
        match self {
            SlotPart::ConfigDrive(DrivePlace::First) => 0,
            SlotPart::ConfigDrive(DrivePlace::Second) => 72 * 1024,
            SlotPart::Inspection => 144 * 1024,
            SlotPart::Statement => 152 * 1024,
        }
    }

    /// How many bytes it can hold.
    pub const fn capacity(self) -> u64 {
        match self {
            SlotPart::ConfigDrive(_) => 72 * 1024,
            SlotPart::Inspection | SlotPart::Statement => 8 * 1024,
        }
    }
}

const _: () = {
    let last = SlotPart::Statement;
    assert!(last.offset() + last.capacity() == SLOT_LEN);
    assert!(SLOT_LEN.is_multiple_of(SECTOR as u64));
};
