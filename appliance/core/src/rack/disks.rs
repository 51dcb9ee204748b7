//! The table of disks: those of all nodes, as their last inspections named them, and
//! how many a node may have.
//!
//! The table is smaller than nodes times the most disks of a machine. So of its places
//! each node, also one that is still to come, has a share that no other can take, and
//! what a machine has beyond that comes out of the rest.

use farrier_protocol::message::DiskId;

use super::Rack;
use crate::interface::cut;

/// Longest serial number in bytes.
const SERIAL_LEN: usize = 40;

/// A disk of a node, by place in the node's own list. A fifth smaller than a
/// [`DiskId`] with its owner: there are many.
#[derive(Debug, Clone)]
pub(crate) struct DiskSlot {
    pub(crate) node: u16,
    pub(crate) place: u8,
    serial_len: u8,
    serial: [u8; SERIAL_LEN],
    size: [u8; 8],
}

const _: () = assert!(size_of::<DiskSlot>() == 52);

impl DiskSlot {
    /// A slot; a serial number that is too long is cut.
    pub(crate) fn new(node: u16, place: u8, serial: &str, size: u64) -> Self {
        let kept: heapless::String<SERIAL_LEN> = cut(serial);
        let mut serial = [0; SERIAL_LEN];
        for (to, from) in serial.iter_mut().zip(kept.bytes()) {
            *to = from;
        }
        Self {
            node,
            place,
            serial_len: u8::try_from(kept.len()).unwrap_or(0),
            serial,
            size: size.to_le_bytes(),
        }
    }

    /// The serial number, or `@` and the path.
    pub(crate) fn serial(&self) -> &str {
        let serial = self.serial.get(..self.serial_len.into());
        // Only whole texts were put in.
        core::str::from_utf8(serial.unwrap_or_default()).unwrap_or("")
    }

    /// The size in bytes.
    pub(crate) const fn size(&self) -> u64 {
        u64::from_le_bytes(self.size)
    }

    /// The disk as orders name it.
    pub(crate) fn id(&self) -> DiskId {
        DiskId {
            serial: cut(self.serial()),
            size: self.size(),
        }
    }

    /// Whether it is that disk.
    pub(crate) fn is(&self, disk: &DiskId) -> bool {
        self.names(&disk.serial, disk.size)
    }

    /// Whether it is the disk of that serial number and size.
    pub(crate) fn names(&self, serial: &str, size: u64) -> bool {
        self.size() == size && self.serial() == serial
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Places that are kept for each node.
    const SHARE: usize = match D / N {
        most if most < farrier_sizes::DISK_SHARE => most,
        _ => farrier_sizes::DISK_SHARE,
    };

    /// The disks of a node, in the order of its last inspection.
    pub fn disks(&self, node: usize) -> impl Iterator<Item = DiskId> {
        self.disk_slots(node).map(DiskSlot::id)
    }

    /// The slots of a node's disks.
    pub(crate) fn disk_slots(&self, node: usize) -> impl Iterator<Item = &DiskSlot> {
        self.disks
            .iter()
            .filter(move |slot| usize::from(slot.node) == node)
    }

    /// Whether there is room for so many disks of a node.
    pub(crate) fn has_room_for_disks(&self, node: usize, count: usize) -> bool {
        let beyond = |count: usize| count.saturating_sub(Self::SHARE);
        let others = (0..N)
            .filter(|other| *other != node)
            .map(|other| beyond(self.disk_slots(other).count()));
        let taken = others.sum::<usize>() + beyond(count);
        taken <= D - N * Self::SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_gives_back_what_was_put_in() {
        let long = "x".repeat(SERIAL_LEN + 1);
        for (serial, kept, size) in [
            ("", "", 0),
            ("S\u{e4}", "S\u{e4}", 512),
            (&*long, &long[1..], u64::MAX),
        ] {
            let slot = DiskSlot::new(7, 63, serial, size);
            assert_eq!((slot.serial(), slot.size()), (kept, size));
            assert_eq!((slot.node, slot.place), (7, 63));
            assert!(slot.is(&slot.id()));
            assert!(!slot.is(&DiskSlot::new(7, 63, serial, 1).id()));
        }
    }

    #[test]
    fn no_machine_takes_the_share_of_another() {
        let mut rack: std::boxed::Box<Rack<4, 4, 16>> = std::boxed::Box::default();
        let mut fill = |node: u16, count: usize| {
            let fits = rack.has_room_for_disks(node.into(), count);
            if fits {
                rack.disks.retain(|slot| slot.node != node);
                for place in 0..count {
                    let slot = DiskSlot::new(node, place as u8, "D", 1);
                    rack.disks.push(slot).unwrap();
                }
            }
            fits
        };
        assert!(!fill(0, 11), "the other three have two each");
        assert!(fill(0, 10));
        assert!(!fill(1, 3));
        assert!(fill(1, 2) && fill(2, 1) && fill(3, 2) && fill(2, 2));
        // What it takes itself is not in its way.
        assert!(fill(0, 9) && fill(1, 3) && !fill(0, 10) && fill(0, 9));
    }
}
