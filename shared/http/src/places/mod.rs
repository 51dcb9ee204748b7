//! Who gets one of a server's few connections. The caller has the sockets; here
//! is the policy, which needs none: connections go in as addresses and times,
//! and decisions come out. Times are milliseconds of a monotonic clock.
//!
//! A server without a heap has a fixed number of connections, and its stack
//! refuses a SYN when no socket listens. So the caller asks [`Places::syn`]
//! before the stack sees a SYN. What finds no place waits: the caller holds the
//! segment, and gives up what [`Places::tick`] names until [`Places::next`] names
//! the segment that may pass.
//!
//! * Each [`Class`] of peers has places that no other class can take.
//! * A source address has at most [`Policy::per_source`] places.
//! * A connection without a request, or with a slow head, is given up as soon as
//!   somebody waits whom that helps. The source that has most loses one first.
//! * A file that is sent too slowly, or for minutes, is given up as soon as a
//!   peer waits that comes before its own, or one of the same class.
//! * Peers of which nothing but the address is known have together at most half of
//!   the places, and of the room for segments that wait.
//! * Of those that wait, the source that has least is first.
//! * Heads have a deadline from their first byte, whatever arrives meanwhile.
//!
//! [`Pace`] is the least rate of a body. [`Turns`] shares what several
//! connections need by turns.

mod pace;
mod policy;
mod spare;
mod turns;
mod waiting;

use core::net::{Ipv4Addr, SocketAddrV4};

pub use pace::Pace;
pub use policy::{CLASSES, Class, Policy};
pub use turns::{Ticket, Turns};

/// What to do with a SYN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syn {
    /// The stack may have it: a socket listens.
    Pass,
    /// It is to be held in this slot.
    Hold(usize),
    /// It repeats one that the stack has, or that is held: it can be dropped.
    Repeated,
    /// It is to be dropped, silently: the peer sends another one.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The stack has its SYN.
    Opening,
    /// It has not begun its first head.
    New,
    /// It has begun a head.
    Head,
    /// A request is carried out.
    Busy,
    /// It has got a reply, and has not begun another head.
    Idle,
    /// It is being closed.
    Closing,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    peer: SocketAddrV4,
    class: Class,
    phase: Phase,
    since: u64,
    /// Bytes that were sent of a file, while one is sent.
    sent: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    peer: SocketAddrV4,
    class: Class,
    since: u64,
}

/// What has happened since start. All wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// SYNs that were held, by class.
    pub held: [u32; CLASSES],
    /// SYNs that were dropped, or held in vain, by class.
    pub refused: [u32; CLASSES],
    /// Connections without a request that were given up for somebody else.
    pub idle_given_up: u32,
    /// Connections with a slow head that were given up for somebody else.
    pub heads_given_up: u32,
    /// Transfers, slow or old, that were given up for somebody else.
    pub transfers_given_up: u32,
}

/// The places of `N` connections, and room for `H` SYNs that are held.
#[derive(Debug)]
pub struct Places<const N: usize, const H: usize> {
    policy: Policy,
    /// Sockets that listen or have a connection.
    sockets: usize,
    places: [Option<Place>; N],
    waiting: [Option<Waiting>; H],
    counts: Counts,
}

impl Place {
    const fn new(now: u64, peer: SocketAddrV4, class: Class, phase: Phase) -> Self {
        Self {
            peer,
            class,
            phase,
            since: now,
            sent: None,
        }
    }
}

impl<const N: usize, const H: usize> Places<N, H> {
    /// No socket listens yet.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            sockets: 0,
            places: [None; N],
            waiting: [None; H],
            counts: Counts {
                held: [0; CLASSES],
                refused: [0; CLASSES],
                idle_given_up: 0,
                heads_given_up: 0,
                transfers_given_up: 0,
            },
        }
    }

    /// One more socket listens.
    pub fn socket_added(&mut self) {
        self.sockets = (self.sockets + 1).min(N);
    }

    /// What has happened.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether somebody waits: replies should end their connections.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.waiting.iter().any(Option::is_some)
    }

    /// A SYN has come.
    pub fn syn(&mut self, now: u64, peer: SocketAddrV4, class: Class) -> Syn {
        self.end_handshakes(now);
        if self.waiting.iter().flatten().any(|w| w.peer == peer) {
            return Syn::Repeated;
        }
        // A peer that restarted may repeat its port: its SYN waits until the
        // old connection, which has no request, is gone.
        let known = self.places.iter().flatten().find(|p| p.peer == peer);
        if known.is_some_and(|p| !self.is_spare(p, now)) {
            return Syn::Repeated;
        }
        if known.is_none() && self.admits(class, *peer.ip()) && self.open(now, peer, class) {
            return Syn::Pass;
        }
        match self.slot_for(*peer.ip(), class) {
            Some(slot) => {
                if let Some(Some(other)) = self.waiting.get(slot) {
                    bump_class(&mut self.counts.refused, other.class);
                }
                let since = now;
                put(&mut self.waiting, slot, Waiting { peer, class, since });
                bump_class(&mut self.counts.held, class);
                Syn::Hold(slot)
            }
            None => {
                bump_class(&mut self.counts.refused, class);
                Syn::Refused
            }
        }
    }

    /// The slot of a held SYN that the stack may have now.
    pub fn next(&mut self, now: u64) -> Option<usize> {
        self.end_handshakes(now);
        self.waiting
            .iter()
            .enumerate()
            .filter_map(|(slot, waiting)| Some((slot, waiting.as_ref()?)))
            .filter(|(_, w)| {
                let known = self.places.iter().flatten().any(|p| p.peer == w.peer);
                !known && self.admits(w.class, *w.peer.ip())
            })
            .min_by_key(|(_, w)| (self.of_source(*w.peer.ip()), w.since))
            .map(|(slot, _)| slot)
    }

    /// The stack has the SYN of this slot, which is free now.
    pub fn passed(&mut self, now: u64, slot: usize) {
        if let Some(Some(w)) = self.waiting.get(slot).copied() {
            self.open(now, w.peer, w.class);
            clear(&mut self.waiting, slot);
        }
    }

    /// Ends waits that took too long, and returns the place of a connection that
    /// is to be given up for somebody who waits. To be called every
    /// [`Policy::pause_ms`] or so while [`Self::is_crowded`], until it returns
    /// `None`.
    pub fn tick(&mut self, now: u64) -> Option<usize> {
        self.end_handshakes(now);
        let hold = u64::from(self.policy.hold_ms);
        for waiting in &mut self.waiting {
            if let Some(w) = waiting.filter(|w| now.saturating_sub(w.since) >= hold) {
                bump_class(&mut self.counts.refused, w.class);
                *waiting = None;
            }
        }
        // Each that waits has at most one connection given up for it.
        let closing = self.places.iter().flatten();
        let closing = closing.filter(|p| p.phase == Phase::Closing).count();
        let waiting = self.waiting.iter().flatten();
        if waiting.clone().count() <= closing {
            return None;
        }
        let (victim, _) = waiting
            .filter_map(|w| Some((self.victim(now, w)?, w)))
            .min_by_key(|(_, w)| (self.of_source(*w.peer.ip()), w.since))?;
        let place = self.places.get_mut(victim)?.as_mut()?;
        let counter = match place.phase {
            Phase::Head => &mut self.counts.heads_given_up,
            Phase::Busy => &mut self.counts.transfers_given_up,
            _ => &mut self.counts.idle_given_up,
        };
        *counter = counter.wrapping_add(1);
        place.phase = Phase::Closing;
        Some(victim)
    }

    /// A handshake is complete. Returns the connection's place; `None` where
    /// there is none, which ends the connection.
    pub fn accepted(&mut self, now: u64, peer: SocketAddrV4, class: Class) -> Option<usize> {
        let at = |places: &[Option<Place>; N]| {
            let opening = |p: &Place| p.peer == peer && p.phase == Phase::Opening;
            places.iter().position(|p| p.as_ref().is_some_and(opening))
        };
        let place = match at(&self.places) {
            Some(place) => place,
            // It took longer than a handshake may.
            None => self.places.iter().position(Option::is_none)?,
        };
        let new = Place::new(now, peer, class, Phase::New);
        put(&mut self.places, place, new);
        Some(place)
    }

    /// The peer has broken its handshake off, as the stack has found: a socket
    /// listens again.
    pub fn broken_off(&mut self, peer: SocketAddrV4) {
        for place in &mut self.places {
            if place.is_some_and(|p| p.peer == peer && p.phase == Phase::Opening) {
                *place = None;
            }
        }
    }

    /// The peer says that it does not wait any more. A held SYN is forgotten;
    /// what the stack has is the stack's to judge.
    pub fn left(&mut self, peer: SocketAddrV4) {
        for waiting in &mut self.waiting {
            if waiting.is_some_and(|w| w.peer == peer) {
                *waiting = None;
            }
        }
    }

    /// Whether this connection is to be given up.
    #[must_use]
    pub fn is_given_up(&self, place: usize) -> bool {
        matches!(self.places.get(place), Some(Some(p)) if p.phase == Phase::Closing)
    }

    /// Until when the connection may go on as it is: without a request, or with
    /// an unfinished head.
    #[must_use]
    pub fn until(&self, place: usize) -> u64 {
        let Some(Some(place)) = self.places.get(place) else {
            return 0;
        };
        let limit = match place.phase {
            Phase::Idle => self.policy.idle_ms,
            _ => self.policy.head_ms,
        };
        place.since.saturating_add(u64::from(limit))
    }

    /// Bytes of a head have come.
    pub fn head(&mut self, now: u64, place: usize) {
        self.change(place, |p| match p.phase {
            // Its time began with the connection.
            Phase::New => p.phase = Phase::Head,
            Phase::Idle | Phase::Busy => (p.phase, p.since) = (Phase::Head, now),
            Phase::Opening | Phase::Head | Phase::Closing => {}
        });
        self.change(place, |p| p.sent = None);
    }

    /// A head is complete.
    pub fn busy(&mut self, place: usize) {
        self.change(place, |p| {
            if p.phase != Phase::Closing {
                p.phase = Phase::Busy;
            }
        });
    }

    /// A file begins to be sent: from now on [`Self::sent`] tells how it goes. The
    /// caller ends it when [`Self::tick`] names the place.
    pub fn sending(&mut self, now: u64, place: usize) {
        self.change(place, |p| {
            p.sent = Some(0);
            if p.phase == Phase::Busy {
                p.since = now;
            }
        });
    }

    /// The peer has taken so many more bytes of a file.
    pub fn sent(&mut self, place: usize, bytes: usize) {
        self.change(place, |p| {
            if let Some(sent) = &mut p.sent {
                *sent = sent.saturating_add(bytes as u64);
            }
        });
    }

    /// A reply is sent, and the connection stays.
    pub fn idle(&mut self, now: u64, place: usize) {
        self.change(place, |p| {
            if p.phase != Phase::Closing {
                (p.phase, p.since) = (Phase::Idle, now);
            }
        });
    }

    /// The connection is being closed.
    pub fn closing(&mut self, place: usize) {
        self.change(place, |p| p.phase = Phase::Closing);
    }

    /// The connection is gone, and its socket listens again.
    pub fn freed(&mut self, place: usize) {
        clear(&mut self.places, place);
    }

    fn change(&mut self, place: usize, change: impl FnOnce(&mut Place)) {
        if let Some(Some(place)) = self.places.get_mut(place) {
            change(place);
        }
    }

    /// Takes a free place.
    fn open(&mut self, now: u64, peer: SocketAddrV4, class: Class) -> bool {
        let Some(place) = self.places.iter().position(Option::is_none) else {
            return false;
        };
        let new = Place::new(now, peer, class, Phase::Opening);
        put(&mut self.places, place, new);
        true
    }

    /// Forgets handshakes that the stack has given up.
    fn end_handshakes(&mut self, now: u64) {
        // The stack's clock may be a little behind.
        let limit = u64::from(self.policy.handshake_ms) + 500;
        for place in &mut self.places {
            let over = |p: &Place| p.phase == Phase::Opening && now.saturating_sub(p.since) > limit;
            if place.as_ref().is_some_and(over) {
                *place = None;
            }
        }
    }

    fn used(&self, class: Class) -> usize {
        let places = self.places.iter().flatten();
        places.filter(|p| p.class == class).count()
    }

    fn of_source(&self, source: Ipv4Addr) -> usize {
        let places = self.places.iter().flatten();
        places.filter(|p| *p.peer.ip() == source).count()
    }

    fn kept(&self, class: Class) -> usize {
        self.policy
            .kept
            .get(class as usize)
            .map_or(0, |kept| usize::from(*kept))
    }

    /// Whether a place is free for this class and source.
    fn admits(&self, class: Class, source: Ipv4Addr) -> bool {
        let taken = self.places.iter().flatten().count();
        let others = Class::ALL.iter().filter(|other| **other != class);
        let kept: usize = others
            .map(|other| self.kept(*other).saturating_sub(self.used(*other)))
            .sum();
        self.sockets.saturating_sub(taken) > kept
            && !self.has_its_share(class)
            && self.of_source(source) < usize::from(self.policy.per_source)
    }

    /// Whether no more of this class are admitted, whatever is free.
    fn has_its_share(&self, class: Class) -> bool {
        class == Class::Stranger && self.used(class) >= (self.sockets / 2).max(1)
    }
}

fn put<T>(table: &mut [Option<T>], at: usize, value: T) {
    if let Some(place) = table.get_mut(at) {
        *place = Some(value);
    }
}

fn clear<T>(table: &mut [Option<T>], at: usize) {
    if let Some(place) = table.get_mut(at) {
        *place = None;
    }
}

fn bump_class(counts: &mut [u32; CLASSES], class: Class) {
    if let Some(count) = counts.get_mut(class as usize) {
        *count = count.wrapping_add(1);
    }
}
