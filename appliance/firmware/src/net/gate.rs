//! The way to the HTTP server's sockets. The multiplexer shows it every first
//! segment of a connection before the stack sees it. One that finds no place is
//! held here for a moment, since the stack would refuse it with a reset. Which
//! connection gets a place, and which one is given up for it, is decided by
//! [`farrier_http::places`].

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::task::{Context, Poll};

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_sync::waitqueue::WakerRegistration;
use embassy_time::{Instant, Timer};
use farrier_http::places::{Class, Counts, Places, Policy, Syn};
use farrier_sizes::{HTTP_CONNECTIONS, HTTP_WAITING};

use crate::refusals::{Refusal, Refusals};

/// Longest segment that is held: every header with all of its options.
const HELD: usize = 134;

const POLICY: Policy = Policy::for_places(HTTP_CONNECTIONS);

/// How long a handshake may take.
pub(super) const HANDSHAKE_MILLIS: u64 = POLICY.handshake_ms as u64;

/// Says what a peer is.
pub trait Classes {
    /// The class of the peer at an address.
    fn class(&self, peer: Ipv4Addr) -> Class;

    /// Whether a frame of this interface on this VLAN would prove where its port is.
    fn is_awaited(&self, mac: [u8; 6], vlan: u16) -> bool;
}

#[derive(Debug, Clone, Copy)]
struct Held {
    length: usize,
    bytes: [u8; HELD],
}

/// See the module.
pub struct Gate {
    places: RefCell<Places<HTTP_CONNECTIONS, HTTP_WAITING>>,
    held: RefCell<[Held; HTTP_WAITING]>,
    /// Wakes the stack's task when a segment may pass.
    stack: RefCell<WakerRegistration>,
    /// Somebody waits.
    crowded: Signal<NoopRawMutex, ()>,
    /// This place's connection is to be given up.
    give_up: [Signal<NoopRawMutex, ()>; HTTP_CONNECTIONS],
    refusals: Refusals,
    /// Counts how often the stack's task has looked for frames.
    signs: Cell<u32>,
}

impl core::fmt::Debug for Gate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

/// What becomes of a first segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The stack may have it.
    Pass,
    /// It is held, or dropped.
    Taken,
}

impl Gate {
    /// No socket listens yet, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            places: RefCell::new(Places::new(POLICY)),
            held: RefCell::new(
                [Held {
                    length: 0,
                    bytes: [0; HELD],
                }; HTTP_WAITING],
            ),
            stack: RefCell::new(WakerRegistration::new()),
            crowded: Signal::new(),
            give_up: [const { Signal::new() }; HTTP_CONNECTIONS],
            refusals: Refusals::new(),
            signs: Cell::new(0),
        }
    }

    /// Who was refused what, here and elsewhere.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// What has happened.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.places.borrow().counts()
    }

    /// The first segment of a connection has come.
    pub(super) fn segment(&self, peer: SocketAddrV4, class: Class, frame: &[u8]) -> Verdict {
        let verdict = self.places.borrow_mut().syn(millis(), peer, class);
        match verdict {
            Syn::Pass => return Verdict::Pass,
            Syn::Hold(slot) => {
                if let Some(held) = self.held.borrow_mut().get_mut(slot) {
                    // A longer one carries data, which its sender repeats
                    // when the stack acknowledges no more than its SYN.
                    held.length = frame.len().min(HELD);
                    let bytes = frame.iter().zip(&mut held.bytes);
                    for (from, to) in bytes {
                        *to = *from;
                    }
                }
                self.crowded.signal(());
            }
            Syn::Repeated => {}
            Syn::Refused => self.refusals.note(Refusal::HttpConnection, *peer.ip()),
        }
        Verdict::Taken
    }

    /// A peer has sent a reset.
    pub(super) fn left(&self, peer: SocketAddrV4) {
        self.places.borrow_mut().left(peer);
    }

    /// The stack has found a handshake broken off.
    pub(super) fn broken_off(&self, peer: SocketAddrV4) {
        self.places.borrow_mut().broken_off(peer);
        self.stack.borrow_mut().wake();
    }

    /// Gives a segment that may pass now to `take`.
    pub(super) fn pass<R>(&self, slot: usize, take: impl FnOnce(&mut [u8]) -> R) -> R {
        self.places.borrow_mut().passed(millis(), slot);
        let held = self.held.borrow().get(slot).copied();
        match held {
            Some(mut held) => take(held.bytes.get_mut(..held.length).unwrap_or_default()),
            None => take(&mut []),
        }
    }

    /// The stack's task looks for frames.
    pub(super) fn polled(&self, cx: &mut Context<'_>) {
        self.signs.set(self.signs.get().wrapping_add(1));
        self.stack.borrow_mut().register(cx.waker());
    }

    /// Lets the stack's task look for frames.
    pub(crate) fn probe(&self) {
        self.stack.borrow_mut().wake();
    }

    /// Differs from the last one where the stack's task has made progress.
    pub(crate) fn signs(&self) -> u32 {
        self.signs.get()
    }

    /// Whether a segment is held.
    pub(super) fn is_crowded(&self) -> bool {
        self.places.borrow().is_crowded()
    }

    /// The slot of a held segment that may pass now.
    pub(super) fn next(&self) -> Option<usize> {
        self.places.borrow_mut().next(millis())
    }

    /// A socket of the HTTP server listens: for the first time, or again after
    /// the connection in `place`.
    pub(crate) fn listens(&self, first: bool, place: Option<usize>) {
        let mut places = self.places.borrow_mut();
        if first {
            places.socket_added();
        }
        if let Some(place) = place {
            places.freed(place);
        }
        self.stack.borrow_mut().wake();
    }

    /// A handshake is complete: the connection's place.
    pub(crate) fn accepted(&self, peer: SocketAddrV4, class: Class) -> Option<usize> {
        let place = self.places.borrow_mut().accepted(millis(), peer, class)?;
        self.give_up.get(place)?.reset();
        Some(place)
    }

    /// Waits until a connection is to be given up.
    pub(crate) async fn given_up(&self, place: usize) {
        match self.give_up.get(place) {
            Some(signal) => signal.wait().await,
            None => poll_fn(|_| Poll::Pending).await,
        }
    }

    /// Whether a reply should be the connection's last one.
    pub(crate) fn is_wanted(&self, place: usize) -> bool {
        let places = self.places.borrow();
        places.is_crowded() || places.is_given_up(place)
    }

    /// Until when the connection may go on without a request, or with an
    /// unfinished head.
    pub(crate) fn until(&self, place: usize) -> Instant {
        Instant::from_millis(self.places.borrow().until(place))
    }

    pub(crate) fn head(&self, place: usize) {
        self.places.borrow_mut().head(millis(), place);
    }

    pub(crate) fn busy(&self, place: usize) {
        self.places.borrow_mut().busy(place);
    }

    /// A file begins to be sent: [`Self::given_up`] may end it.
    pub(crate) fn sending(&self, place: usize) {
        self.places.borrow_mut().sending(millis(), place);
    }

    /// The peer has taken so many more bytes of it.
    pub(crate) fn sent(&self, place: usize, bytes: usize) {
        self.places.borrow_mut().sent(place, bytes);
    }

    pub(crate) fn idle(&self, place: usize) {
        self.places.borrow_mut().idle(millis(), place);
    }

    pub(crate) fn closing(&self, place: usize) {
        self.places.borrow_mut().closing(place);
    }

    /// Gives connections up for those that wait.
    pub async fn run(&self) -> ! {
        let pause = u64::from(POLICY.pause_ms) / 2;
        loop {
            self.crowded.wait().await;
            while self.places.borrow().is_crowded() {
                loop {
                    let victim = self.places.borrow_mut().tick(millis());
                    match victim.and_then(|place| self.give_up.get(place)) {
                        Some(give_up) => give_up.signal(()),
                        None => break,
                    }
                }
                // A handshake may have ended in vain.
                self.stack.borrow_mut().wake();
                Timer::after_millis(pause).await;
            }
        }
    }
}

fn millis() -> u64 {
    Instant::now().as_millis()
}
