//! Who gets one of a server's few transfers. The caller has the sockets; requests
//! go in as addresses and times, and decisions come out. Times are milliseconds
//! of a monotonic clock.
//!
//! Nobody is answered that all transfers are taken: many boot programs take any
//! error for the end and go on to the disk. A request without a place waits. One
//! that does not fit the queue is ignored, and its client repeats it.
//!
//! * A source address has at most [`Policy::per_source`] transfers.
//! * Addresses that the caller does not know have at most half of the places, and
//!   wait behind those that it knows.
//! * A transfer whose first packet is not answered is given up after
//!   [`Policy::answer_ms`], if somebody waits whom that helps.

use core::net::{Ipv4Addr, SocketAddrV4};

/// The numbers of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Most transfers of one source address.
    pub per_source: usize,
    /// How long a transfer may be without an answer while others wait.
    pub answer_ms: u32,
    /// How long a request waits that is not repeated.
    pub wait_ms: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Policy {
    /// Two transfers of a source: firmware asks for the size by one, and at once
    /// for the file by the next. Two seconds for an answer, ten for a request.
    pub const DEFAULT: Self = Self {
        per_source: 2,
        answer_ms: 2_000,
        wait_ms: 10_000,
    };
}

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It waits in this slot; [`Places::next`] may name it at once.
    Wait(usize),
    /// It repeats one that has a place or waits.
    Repeated,
    /// It is ignored: its source has its share, or too many wait.
    Ignored,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    peer: SocketAddrV4,
    known: bool,
    since: u64,
    answered: bool,
    given_up: bool,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    peer: SocketAddrV4,
    known: bool,
    since: u64,
    seen: u64,
}

/// `P` places of transfers, and room for `W` requests that wait.
#[derive(Debug)]
pub struct Places<const P: usize, const W: usize> {
    policy: Policy,
    places: [Option<Place>; P],
    waiting: [Option<Waiting>; W],
}

impl<const P: usize, const W: usize> Places<P, W> {
    /// All places are free.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            places: [None; P],
            waiting: [None; W],
        }
    }

    /// A read request has come. `known`: the caller knows its source address.
    pub fn request(&mut self, now: u64, peer: SocketAddrV4, known: bool) -> Admission {
        self.forget(now);
        if self.places.iter().flatten().any(|p| p.peer == peer) {
            return Admission::Repeated;
        }
        if let Some(waiting) = self.waiting.iter_mut().flatten().find(|w| w.peer == peer) {
            waiting.seen = now;
            return Admission::Repeated;
        }
        let source = self.waiting.iter().flatten();
        let source = source.filter(|w| w.peer.ip() == peer.ip()).count();
        if source >= self.policy.per_source {
            return Admission::Ignored;
        }
        let free = self.waiting.iter().position(Option::is_none);
        // Whom the caller knows takes the slot of somebody else's.
        let unknown = |w: &Option<Waiting>| w.is_some_and(|w| !w.known);
        let slot = free.or_else(|| {
            let slot = self.waiting.iter().position(unknown);
            slot.filter(|_| known)
        });
        let Some(slot) = slot else {
            return Admission::Ignored;
        };
        if let Some(waiting) = self.waiting.get_mut(slot) {
            *waiting = Some(Waiting {
                peer,
                known,
                since: now,
                seen: now,
            });
        }
        Admission::Wait(slot)
    }

    /// The slot of a request that may start now, with its place: the slot is free
    /// afterwards. To be called until it returns `None`, whenever a request waits anew and
    /// whenever a place becomes free.
    pub fn next(&mut self, now: u64) -> Option<(usize, usize)> {
        self.forget(now);
        let admitted = self
            .waiting
            .iter()
            .enumerate()
            .filter_map(|(slot, waiting)| Some((slot, (*waiting)?)))
            .filter(|(_, w)| self.admits(*w.peer.ip(), w.known))
            .min_by_key(|(_, w)| (!w.known, w.since));
        let (slot, waiting) = admitted?;
        let place = self.take(now, waiting.peer, waiting.known)?;
        if let Some(waiting) = self.waiting.get_mut(slot) {
            *waiting = None;
        }
        Some((slot, place))
    }

    /// Whether the request in this slot waits.
    #[must_use]
    pub fn waits(&self, slot: usize) -> bool {
        matches!(self.waiting.get(slot), Some(Some(_)))
    }

    /// Whether somebody waits.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.waiting.iter().any(Option::is_some)
    }

    /// The place of a transfer that is to be given up for somebody who waits. To
    /// be called every so often while [`Self::is_crowded`], until it returns
    /// `None`.
    pub fn tick(&mut self, now: u64) -> Option<usize> {
        self.forget(now);
        let going = self.places.iter().flatten().filter(|p| p.given_up).count();
        if self.waiting.iter().flatten().count() <= going {
            return None;
        }
        let answer = u64::from(self.policy.answer_ms);
        let victim = self.waiting.iter().flatten().find_map(|w| {
            let places = self.places.iter().enumerate();
            places
                .filter_map(|(at, place)| Some((at, (*place)?)))
                .filter(|(_, p)| {
                    !p.answered && !p.given_up && now.saturating_sub(p.since) >= answer
                })
                .filter(|(_, p)| self.helps(p, w))
                .min_by_key(|(_, p)| p.since)
                .map(|(at, _)| at)
        })?;
        if let Some(Some(place)) = self.places.get_mut(victim) {
            place.given_up = true;
        }
        Some(victim)
    }

    /// The peer has answered the transfer's first packet.
    pub fn answered(&mut self, place: usize) {
        if let Some(Some(place)) = self.places.get_mut(place) {
            place.answered = true;
            place.given_up = false;
        }
    }

    /// Whether a transfer is given up: no answer has come since
    /// [`Self::tick`] named it.
    #[must_use]
    pub fn is_given_up(&self, place: usize) -> bool {
        matches!(self.places.get(place), Some(Some(place)) if place.given_up)
    }

    /// The transfer is over.
    pub fn freed(&mut self, place: usize) {
        if let Some(place) = self.places.get_mut(place) {
            *place = None;
        }
    }

    fn take(&mut self, now: u64, peer: SocketAddrV4, known: bool) -> Option<usize> {
        let place = self.places.iter().position(Option::is_none)?;
        *self.places.get_mut(place)? = Some(Place {
            peer,
            known,
            since: now,
            answered: false,
            given_up: false,
        });
        Some(place)
    }

    fn of_source(&self, source: Ipv4Addr) -> usize {
        let places = self.places.iter().flatten();
        places.filter(|p| *p.peer.ip() == source).count()
    }

    /// Whether all places are taken that unknown sources may have.
    fn unknowns_are_full(&self) -> bool {
        let unknown = self.places.iter().flatten().filter(|p| !p.known);
        unknown.count() >= (P / 2).max(1)
    }

    fn admits(&self, source: Ipv4Addr, known: bool) -> bool {
        self.places.iter().any(Option::is_none)
            && self.of_source(source) < self.policy.per_source
            && (known || !self.unknowns_are_full())
    }

    /// Whether the end of a transfer lets a request start.
    fn helps(&self, place: &Place, waiting: &Waiting) -> bool {
        if self.of_source(*waiting.peer.ip()) >= self.policy.per_source {
            return place.peer.ip() == waiting.peer.ip();
        }
        waiting.known || !self.unknowns_are_full() || !place.known
    }

    /// Drops requests that nobody repeats any more.
    fn forget(&mut self, now: u64) {
        let wait = u64::from(self.policy.wait_ms);
        for waiting in &mut self.waiting {
            if waiting.is_some_and(|w| now.saturating_sub(w.seen) >= wait) {
                *waiting = None;
            }
        }
    }
}
