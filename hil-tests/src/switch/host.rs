//! A switch port whose peer is this process: raw frames in and out.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    end: Arc<End>,
    wake: Arc<OwnedFd>,
}

/// The far end of a cable.
struct End {
    /// The port that it is in, or was in before it was pulled.
    port: AtomicUsize,
    plugged: AtomicBool,
    /// Whether the machine at the near end has power.
    up: AtomicBool,
}

impl End {
    fn port(&self) -> PortId {
        PortId(self.port.load(Ordering::SeqCst))
    }
}

/// The cable of a [`HostPort`], for whoever pulls it out of the switch.
pub struct Cable {
    shared: Arc<Shared>,
    end: Arc<End>,
    wake: Arc<OwnedFd>,
}

impl fmt::Debug for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cable").field(&self.end.port()).finish()
    }
}

impl Cable {
    /// Pulls it out of its port.
    pub fn pull(&self) {
        let mut fabric = self.shared.fabric();
        self.end.plugged.store(false, Ordering::SeqCst);
        fabric.ports[self.end.port().0].set_linked(false);
        clear(&self.wake);
    }

    /// Puts it into a port that nobody else uses, out of the one that it is in.
    pub fn plug(&self, to: PortId) {
        self.pull();
        let mut fabric = self.shared.fabric();
        self.end.port.store(to.0, Ordering::SeqCst);
        self.end.plugged.store(true, Ordering::SeqCst);
        let port = &mut fabric.ports[to.0];
        port.wake_by(self.wake.clone());
        port.set_linked(self.end.up.load(Ordering::SeqCst));
    }
}

impl fmt::Debug for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostPort").field(&self.id()).finish()
    }
}

impl HostPort {
    pub(super) fn new(shared: Arc<Shared>, id: PortId, wake: Arc<OwnedFd>) -> Self {
        let end = End {
            port: AtomicUsize::new(id.0),
            plugged: AtomicBool::new(true),
            up: AtomicBool::new(true),
        };
        Self {
            shared,
            end: Arc::new(end),
            wake,
        }
    }

    /// Its cable.
    pub fn cable(&self) -> Cable {
        Cable {
            shared: self.shared.clone(),
            end: self.end.clone(),
            wake: self.wake.clone(),
        }
    }

    /// Whether it has a link.
    pub fn is_linked(&self) -> bool {
        self.end.plugged.load(Ordering::SeqCst) && self.end.up.load(Ordering::SeqCst)
    }

    /// Its number on the switch.
    pub fn id(&self) -> PortId {
        self.end.port()
    }

    /// Takes the link up or down, as the power of a machine behind it does.
    /// Frames that wait are gone either way.
    pub fn set_linked(&self, linked: bool) {
        let mut fabric = self.shared.fabric();
        self.end.up.store(linked, Ordering::SeqCst);
        let linked = self.is_linked();
        fabric.ports[self.id().0].set_linked(linked);
        clear(&self.wake);
    }

    /// What it has carried so far.
    pub fn counters(&self) -> Counters {
        self.shared.fabric().ports[self.id().0].counters
    }

    /// Sends one Ethernet frame, without FCS, into the switch.
    pub fn send(&self, frame: &[u8]) {
        let mut fabric = self.shared.fabric();
        if self.is_linked() {
            fabric.ingress(self.id(), frame.to_vec(), Instant::now());
        }
    }

    /// The oldest frame that waits.
    pub fn try_recv(&self) -> Option<Frame> {
        let mut fabric = self.shared.fabric();
        let port = &mut fabric.ports[self.id().0];
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
        self.shared.fabric().ports[self.id().0].set_linked(false);
    }
}
