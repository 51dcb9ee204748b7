//! Makes an inspection fit a statement.
//!
//! [`crate::MAX_STATEMENT`] has room for all disks and skipped devices of a server
//! with their serial numbers and sizes ([`crate::size::INSPECTION`]), but not for
//! the longest description of every disk. The agent drops descriptions, never
//! devices.

use crate::{
    MAX_STATEMENT,
    message::{Disk, Inspection},
    signing::SIGNATURE_LEN,
    size,
};

/// Bytes of an encoded inspection for which a statement has room.
pub const ROOM: usize = MAX_STATEMENT - SIGNATURE_LEN - size::AROUND_INSPECTION;

/// Removes descriptions of the disks, of all disks alike, until the inspection fits
/// a statement: first the world-wide names, then the bus paths, vendors and models.
pub fn shorten(inspection: &mut Inspection) {
    const DESCRIPTIONS: [fn(&mut Disk); 4] = [
        |disk| disk.wwn.clear(),
        |disk| disk.by_path.clear(),
        |disk| disk.vendor.clear(),
        |disk| disk.model.clear(),
    ];
    for clear in DESCRIPTIONS {
        if len(inspection) <= ROOM {
            return;
        }
        inspection.disks.iter_mut().for_each(clear);
    }
}

/// Returns the encoded length in bytes.
fn len(inspection: &Inspection) -> usize {
    let counting = postcard::ser_flavors::Size::default();
    postcard::serialize_with_flavor(inspection, counting).unwrap_or(usize::MAX)
}
