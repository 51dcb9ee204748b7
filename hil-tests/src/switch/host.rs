//! A switch port whose peer is this process: raw frames in and out.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Counters, Frame, PortId, Shared, clear};

/// An in-process port. Frames that come for it wait in its bounded queue;
/// dropping it takes the link down.
///
/// As a file descriptor it is readable when frames wait, for use in a poll
/// loop: drain with [`try_recv`](Self::try_recv) until it gives none.
pub struct HostPort {
    shared: Arc<Shared>,
    id: PortId,
    wake: Arc<OwnedFd>,
}

impl fmt::Debug for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostPort").field(&self.id).finish()
    }
}

impl HostPort {
    pub(super) fn new(shared: Arc<Shared>, id: PortId, wake: Arc<OwnedFd>) -> Self {
        Self { shared, id, wake }
    }

    /// Its number on the switch.
    pub fn id(&self) -> PortId {
        self.id
    }

    /// Takes the link up or down, as the power of a machine behind it does.
    /// Frames that wait are gone either way.
    pub fn set_linked(&self, linked: bool) {
        self.shared.fabric().ports[self.id.0].set_linked(linked);
        clear(&self.wake);
    }

    /// What it has carried so far.
    pub fn counters(&self) -> Counters {
        self.shared.fabric().ports[self.id.0].counters
    }

    /// Sends one Ethernet frame, without FCS, into the switch.
    pub fn send(&self, frame: &[u8]) {
        self.shared
            .fabric()
            .ingress(self.id, frame.to_vec(), Instant::now());
    }

    /// The oldest frame that waits.
    pub fn try_recv(&self) -> Option<Frame> {
        let mut fabric = self.shared.fabric();
        let port = &mut fabric.ports[self.id.0];
        let frame = port.pop();
        if port.queue.is_empty() {
            // Under the lock, or a frame that comes in between would wait
            // without a signal.
            clear(&self.wake);
        }
        frame
    }

    /// The next frame, or none once `wait` is over.
    pub fn recv(&self, wait: Duration) -> Option<Frame> {
        let deadline = Instant::now() + wait;
        loop {
            if let Some(frame) = self.try_recv() {
                return Some(frame);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let timeout = Timespec::try_from(left).ok()?;
            // Interrupted or not, the queue is looked at again.
            poll(
                &mut [PollFd::new(&*self.wake, PollFlags::IN)],
                Some(&timeout),
            )
            .ok();
        }
    }
}

impl AsFd for HostPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Drop for HostPort {
    fn drop(&mut self) {
        self.shared.fabric().ports[self.id.0].set_linked(false);
    }
}
