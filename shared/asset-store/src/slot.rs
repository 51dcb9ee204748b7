//! The scratch area: one slot for each node, for data that is too long for RAM.
//!
//! A slot has no secrets in the clear: config drives are sealed with a key that is
//! only in RAM, and statements are signed and readable by the operator. The core
//! decides when a slot is written.

use crate::SECTOR;

/// Size of a node's slot in bytes.
pub const SLOT_LEN: u64 = 168 * 1024;

/// The position of a config drive in a slot, which has room for two. A new config drive
/// is written beside the current one and replaces it only when its request is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum DrivePlace {
    /// The first.
    #[default]
    First = 0,
    /// The second.
    Second = 1,
}

impl DrivePlace {
    /// Returns the other position.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// Returns the position of a number, the first for an unknown number.
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Second,
            _ => Self::First,
        }
    }
}

/// A part of a slot. Every part starts at a sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotPart {
    /// A sealed config drive, at most 72 KiB.
    ConfigDrive(DrivePlace),
    /// The last signed inspection statement, at most 16 KiB with its length.
    Inspection,
    /// The last signed statement of another kind, at most 8 KiB.
    Statement,
}

impl SlotPart {
    /// Returns the offset of the part in its slot in bytes.
    pub const fn offset(self) -> u64 {
        match self {
            SlotPart::ConfigDrive(DrivePlace::First) => 0,
            SlotPart::ConfigDrive(DrivePlace::Second) => 72 * 1024,
            SlotPart::Inspection => 144 * 1024,
            SlotPart::Statement => 160 * 1024,
        }
    }

    /// Returns the capacity of the part in bytes.
    pub const fn capacity(self) -> u64 {
        match self {
            SlotPart::ConfigDrive(_) => 72 * 1024,
            SlotPart::Inspection => 16 * 1024,
            SlotPart::Statement => 8 * 1024,
        }
    }
}

const _: () = {
    let last = SlotPart::Statement;
    assert!(last.offset() + last.capacity() == SLOT_LEN);
    assert!(SLOT_LEN.is_multiple_of(SECTOR as u64));
};
