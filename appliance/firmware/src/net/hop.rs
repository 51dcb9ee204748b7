//! Where a peer is that is behind a router: what the multiplexer answers the stack, which
//! asks by ARP for every peer.

use core::cell::{Cell, RefCell};
use core::task::Context;

use embassy_sync::waitqueue::WakerRegistration;
use farrier_ethernet::arp::Arp;

/// What the multiplexer answers the stack itself.
pub(super) struct Hop {
    answer: Cell<Option<Arp>>,
    waker: RefCell<WakerRegistration>,
}

impl core::fmt::Debug for Hop {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Hop").finish_non_exhaustive()
    }
}

impl Hop {
    pub(super) const fn new() -> Self {
        Self {
            answer: Cell::new(None),
            waker: RefCell::new(WakerRegistration::new()),
        }
    }

    /// Has an answer for the stack, in place of one that it has not taken: the stack
    /// asks again.
    pub(super) fn give(&self, answer: Arp) {
        self.answer.set(Some(answer));
        self.waker.borrow_mut().wake();
    }

    /// The answer, if there is one; registers the caller for the next one.
    pub(super) fn take(&self, cx: &mut Context<'_>) -> Option<Arp> {
        self.waker.borrow_mut().register(cx.waker());
        self.answer.take()
    }
}
