//! Queues of raw UDP datagrams, one a protocol, so that neither of them keeps
//! the other one out. Within a queue a hardware address has at most half of the
//! places, and so have all networks together on which no server boots, so that
//! nobody keeps all others out. [`Window`] does the same for a
//! queue that the stack has.

use core::cell::{Cell, RefCell};

use farrier_sizes::{AGENT_DATAGRAMS, DHCP_DATAGRAMS};
use heapless::{Deque, Vec};

use super::counters::bump;
use super::links::Segment;
use super::mux::{FRAME, Frame, FrameReceiver, FrameSender};

/// Places of the longer queue.
const LONGEST: usize = if DHCP_DATAGRAMS > AGENT_DATAGRAMS {
    DHCP_DATAGRAMS
} else {
    AGENT_DATAGRAMS
};

/// What has passed through a queue since start. All wrap.
#[derive(Debug, Default)]
pub struct LaneCounters {
    /// Datagrams that were queued.
    pub queued: Cell<u32>,
    /// Datagrams that found the queue full.
    pub full: Cell<u32>,
    /// Datagrams whose source had its share of the queue already.
    pub over_share: Cell<u32>,
}

impl LaneCounters {
    pub(super) const fn new() -> Self {
        Self {
            queued: Cell::new(0),
            full: Cell::new(0),
            over_share: Cell::new(0),
        }
    }
}

/// The sources of what is in a queue, oldest first.
#[derive(Debug)]
pub(super) struct Sources {
    queued: RefCell<Deque<Source, LONGEST>>,
}

/// Who sent a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    /// Hardware address.
    pub(super) mac: [u8; 6],
    /// Whether servers boot on its network.
    pub(super) boots: bool,
}

impl Sources {
    pub(super) const fn new() -> Self {
        Self {
            queued: RefCell::new(Deque::new()),
        }
    }

    /// Whether a source has left its share of places to others, and its network
    /// the same.
    fn leaves(&self, source: Source, share: usize) -> bool {
        let queued = self.queued.borrow();
        let same = queued.iter().filter(|other| other.mac == source.mac);
        let tenants = queued.iter().filter(|other| !other.boots);
        same.count() < share && (source.boots || tenants.count() < share)
    }

    fn push(&self, source: Source) {
        // As many places as frames.
        let _full = self.queued.borrow_mut().push_back(source);
    }

    fn pop(&self) {
        self.queued.borrow_mut().pop_front();
    }
}

/// What was done with a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queued {
    Yes,
    No,
}

/// The multiplexer's end of a queue.
#[derive(Debug)]
pub(super) struct LaneSender {
    pub(super) queue: FrameSender,
    pub(super) sources: &'static Sources,
    pub(super) counters: &'static LaneCounters,
    /// Most datagrams of one source.
    pub(super) share: usize,
}

impl LaneSender {
    /// Queues a copy of a frame that came by this segment.
    pub(super) fn send(&mut self, source: Source, segment: Segment, bytes: &[u8]) -> Queued {
        if !self.sources.leaves(source, self.share) {
            bump(&self.counters.over_share);
            return Queued::No;
        }
        let Some(slot) = self.queue.try_send() else {
            bump(&self.counters.full);
            return Queued::No;
        };
        slot.segment = segment;
        fill(slot, bytes);
        self.queue.send_done();
        self.sources.push(source);
        bump(&self.counters.queued);
        Queued::Yes
    }
}

fn fill(slot: &mut Frame, bytes: &[u8]) {
    slot.length = bytes.len().min(FRAME);
    if let (Some(to), Some(from)) = (slot.bytes.get_mut(..slot.length), bytes.get(..slot.length)) {
        to.copy_from_slice(from);
    }
}

/// The controller's end of a queue.
#[derive(Debug)]
pub(super) struct LaneReceiver {
    pub(super) queue: FrameReceiver,
    pub(super) sources: &'static Sources,
}

impl LaneReceiver {
    /// Frees the place of the datagram that waits for longest.
    pub(super) fn done(&mut self) {
        self.queue.receive_done();
        self.sources.pop();
    }
}

/// How long a window is, in milliseconds: by then its queue was looked at.
const WINDOW: u64 = 50;
/// Most packets of one source in a window.
const IN_WINDOW: usize = 4;

/// The sources of what went to a queue of the stack within the last moment.
#[derive(Debug)]
pub(super) struct Window {
    since: u64,
    sources: Vec<[u8; 6], 32>,
}

impl Window {
    pub(super) const fn new() -> Self {
        Self {
            since: 0,
            sources: Vec::new(),
        }
    }

    /// Whether a packet of this source may go to the queue. Milliseconds.
    pub(super) fn admits(&mut self, now: u64, source: [u8; 6]) -> bool {
        if now.saturating_sub(self.since) >= WINDOW {
            self.since = now;
            self.sources.clear();
        }
        let sent = self.sources.iter().filter(|other| **other == source);
        if sent.count() >= IN_WINDOW {
            return false;
        }
        // A window that is full has the sources that were first: others are
        // admitted.
        let _full = self.sources.push(source);
        true
    }
}

/// The share of one source in a queue of `places`.
pub(super) const fn share(places: usize) -> usize {
    places.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::super::mux::Queue;
    use super::*;
    use std::boxed::Box;

    fn lane(places: usize) -> (LaneSender, LaneReceiver) {
        let frames: std::vec::Vec<Frame> = (0..places).map(|_| Frame::EMPTY).collect();
        let queue = Box::leak(Box::new(Queue::new(Box::leak(frames.into_boxed_slice()))));
        let (sender, receiver) = queue.split();
        let sources = Box::leak(Box::new(Sources::new()));
        let sender = LaneSender {
            queue: sender,
            sources,
            counters: Box::leak(Box::new(LaneCounters::new())),
            share: share(places),
        };
        let receiver = LaneReceiver {
            queue: receiver,
            sources,
        };
        (sender, receiver)
    }

    fn of(mac: u8, boots: bool) -> Source {
        let mac = [mac; 6];
        Source { mac, boots }
    }

    #[test]
    fn tenants_networks_leave_half_of_the_queue_to_servers_that_boot() {
        let (mut sender, _receiver) = lane(4);
        for (mac, boots, queued) in [
            (1, false, Queued::Yes),
            (2, false, Queued::Yes),
            (3, false, Queued::No),
            (4, true, Queued::Yes),
            (5, true, Queued::Yes),
        ] {
            let sent = sender.send(of(mac, boots), Segment::NATIVE, &[mac]);
            assert_eq!(sent, queued, "{mac}");
        }
        assert_eq!(sender.counters.over_share.get(), 1);
    }

    #[test]
    fn a_source_sends_a_few_packets_in_a_window() {
        let mut window = Window::new();
        let admitted = (0..100).filter(|_| window.admits(1_000, [1; 6]));
        assert_eq!(admitted.count(), IN_WINDOW);
        assert!(window.admits(1_001, [2; 6]));
        assert!(!window.admits(1_049, [1; 6]));
        assert!(window.admits(1_050, [1; 6]));
        // Many sources at once are all admitted.
        assert!((0..48).all(|last| window.admits(2_000, [3, 0, 0, 0, 0, last])));
    }

    #[test]
    fn a_source_leaves_half_of_the_queue_to_others() {
        let (mut sender, mut receiver) = lane(4);
        let sent =
            (0..10).filter(|_| sender.send(of(1, true), Segment::NATIVE, &[1]) == Queued::Yes);
        assert_eq!(sent.count(), 2);
        assert_eq!(sender.send(of(2, true), Segment::NATIVE, &[2]), Queued::Yes);
        assert_eq!(sender.send(of(3, true), Segment::NATIVE, &[3]), Queued::Yes);
        assert_eq!(sender.send(of(4, true), Segment::NATIVE, &[4]), Queued::No);
        let counters = sender.counters;
        assert_eq!((counters.queued.get(), counters.over_share.get()), (4, 8));
        assert_eq!(counters.full.get(), 1);
        // The oldest leaves, and its source may send again.
        assert_eq!(receiver.queue.try_receive().unwrap().bytes[0], 1);
        receiver.done();
        assert_eq!(sender.send(of(1, true), Segment::NATIVE, &[1]), Queued::Yes);
        assert_eq!(sender.send(of(1, true), Segment::NATIVE, &[1]), Queued::No);
    }
}
