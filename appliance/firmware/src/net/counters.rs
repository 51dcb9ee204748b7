//! What the multiplexer counts.

use core::cell::Cell;

use super::fence::Dropped;

/// What has passed since start. All wrap.
#[derive(Debug, Default)]
pub struct MuxCounters {
    /// Frames from the wire.
    pub rx: Cell<u32>,
    /// Frames to the wire.
    pub tx: Cell<u32>,
    /// Router solicitations that were answered.
    pub solicitations: Cell<u32>,
    /// ARP requests that were answered in place of the stack.
    pub arp_answers: Cell<u32>,
    /// TFTP requests of a source that had sent its share within the last moment.
    pub tftp_over_share: Cell<u32>,
    dropped: [Cell<u32>; Dropped::ALL.len()],
}

impl MuxCounters {
    pub(super) const fn new() -> Self {
        Self {
            rx: Cell::new(0),
            tx: Cell::new(0),
            solicitations: Cell::new(0),
            arp_answers: Cell::new(0),
            tftp_over_share: Cell::new(0),
            dropped: [const { Cell::new(0) }; Dropped::ALL.len()],
        }
    }

    /// Frames that were dropped for this reason.
    #[must_use]
    pub fn dropped(&self, why: Dropped) -> u32 {
        self.dropped.get(why as usize).map_or(0, Cell::get)
    }

    pub(super) fn drop(&self, why: Dropped) {
        if let Some(counter) = self.dropped.get(why as usize) {
            bump(counter);
        }
    }
}

pub(super) fn bump(counter: &Cell<u32>) {
    counter.set(counter.get().wrapping_add(1));
}
