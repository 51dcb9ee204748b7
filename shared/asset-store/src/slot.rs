//! The scratch area: one slot a node, for what is too long for RAM.
//!
//! Nothing in a slot is secret in the clear: config drives lie there sealed
//! under a key that only RAM holds, statements are signed and public to the
//! operator. Who may write when is the brain's business.

use crate::SECTOR;

/// Bytes of a node's slot.
pub const SLOT_LEN: u64 = 96 * 1024;

/// The parts of a slot. Every part starts on a sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotPart {
    /// The sealed config drive, at most 80 KiB.
    ConfigDrive,
    /// The last signed inspection statement, at most 8 KiB.
    Inspection,
    /// The last signed statement of another kind, at most 8 KiB.
    Statement,
}

impl SlotPart {
    /// Where the part starts within its slot, in bytes.
    pub const fn offset(self) -> u64 {
        match self {
            SlotPart::ConfigDrive => 0,
            SlotPart::Inspection => 80 * 1024,
            SlotPart::Statement => 88 * 1024,
        }
    }

    /// How many bytes it can hold.
    pub const fn capacity(self) -> u64 {
        match self {
            SlotPart::ConfigDrive => 80 * 1024,
            SlotPart::Inspection | SlotPart::Statement => 8 * 1024,
        }
    }
}

const _: () = {
    let last = SlotPart::Statement;
    assert!(last.offset() + last.capacity() == SLOT_LEN);
    assert!(SLOT_LEN.is_multiple_of(SECTOR as u64));
};
