//! Who gets one of a server's few transfers. The caller has the sockets; requests
//! go in as addresses and times, and decisions come out. Times are milliseconds
//! of a monotonic clock.
//!
//! Nobody is answered that all transfers are taken: many boot programs take any
//! error for the end and go on to the disk. A request without a place waits. One
//! that does not fit the queue is ignored, and its client repeats it.
//!
//! * A source address has at most [`Policy::per_source`] transfers.
//! * Machines that the caller knows wait before all others. Machines of which it
//!   knows the address alone have at most half of the places, and so has anybody
//!   else; both together have three quarters.
//! * A transfer whose first packet is not answered is given up after
//!   [`Policy::answer_ms`], if somebody waits whom that helps.
//! * So is one that is too slow, or takes minutes, if a machine waits that the
//!   caller knows, or a peer of the same class.

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
    /// How long a transfer may take while others wait.
    pub transfer_ms: u32,
    /// After so long a transfer must have had [`Self::fair_rate`] on average,
    /// while others wait.
    pub fair_after_ms: u32,
    /// Bytes a second.
    pub fair_rate: u32,
}

/// What a peer is, as far as its address tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A machine that the caller knows.
    Known,
    /// A machine of which the caller knows its address alone. Anybody can be
    /// many of them.
    Stranger,
    /// Anybody else.
    Other,
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Policy {
    /// Two transfers of a source: firmware asks for the size by one, and at once
    /// for the file by the next. Two seconds for an answer, ten for a request. Five
    /// minutes for a transfer, which after 15 s must have had 8 KiB a second.
    pub const DEFAULT: Self = Self {
        per_source: 2,
        answer_ms: 2_000,
        wait_ms: 10_000,
        transfer_ms: 300_000,
        fair_after_ms: 15_000,
        fair_rate: 8 * 1024,
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
    class: Class,
    since: u64,
    answered: bool,
    /// Bytes that the peer has acknowledged.
    acked: u64,
    given_up: bool,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    peer: SocketAddrV4,
    class: Class,
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

    /// A read request has come.
    pub fn request(&mut self, now: u64, peer: SocketAddrV4, class: Class) -> Admission {
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
        let Some(slot) = self.slot_for(class) else {
            return Admission::Ignored;
        };
        if let Some(waiting) = self.waiting.get_mut(slot) {
            *waiting = Some(Waiting {
                peer,
                class,
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
            .filter(|(_, w)| self.admits(*w.peer.ip(), w.class))
            .min_by_key(|(_, w)| (w.class, w.since));
        let (slot, waiting) = admitted?;
        let place = self.take(now, waiting.peer, waiting.class)?;
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
        // Whoever is first in the queue may find nothing that helps.
        let waiting = self.waiting.iter().flatten();
        let (victim, _) = waiting
            .filter_map(|w| Some((self.victim(now, w)?, w)))
            .min_by_key(|(_, w)| (w.class, w.since))?;
        if let Some(Some(place)) = self.places.get_mut(victim) {
            place.given_up = true;
        }
        Some(victim)
    }

    /// The peer has answered the transfer's first packet.
    pub fn answered(&mut self, place: usize) {
        if let Some(Some(place)) = self.places.get_mut(place) {
            // Too slow it is nevertheless.
            place.given_up &= place.answered;
            place.answered = true;
        }
    }

    /// The peer has acknowledged so many bytes of the transfer, in all.
    pub fn acked(&mut self, place: usize, bytes: u64) {
        if let Some(Some(place)) = self.places.get_mut(place) {
            place.acked = bytes;
        }
    }

    /// Whether the peer has answered at all.
    #[must_use]
    pub fn is_answered(&self, place: usize) -> bool {
        matches!(self.places.get(place), Some(Some(place)) if place.answered)
    }

    /// Whether a transfer is given up: it is too slow or too old, or no answer has come since
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

    /// The slot for a request: a free one, or that of a request of a class behind,
    /// which is ignored.
    fn slot_for(&self, class: Class) -> Option<usize> {
        let strangers = self.waiting.iter().flatten();
        let strangers = strangers.filter(|w| w.class == Class::Stranger).count();
        if class == Class::Stranger && strangers >= (W / 2).max(1) {
            return None;
        }
        let free = self.waiting.iter().position(Option::is_none);
        free.or_else(|| {
            let waiting = self.waiting.iter().enumerate();
            waiting
                .filter_map(|(slot, w)| Some((slot, w.as_ref()?)))
                .filter(|(_, w)| w.class > class)
                .max_by_key(|(_, w)| (w.class, w.since))
                .map(|(slot, _)| slot)
        })
    }

    fn take(&mut self, now: u64, peer: SocketAddrV4, class: Class) -> Option<usize> {
        let place = self.places.iter().position(Option::is_none)?;
        *self.places.get_mut(place)? = Some(Place {
            peer,
            class,
            since: now,
            answered: false,
            acked: 0,
            given_up: false,
        });
        Some(place)
    }

    fn of_source(&self, source: Ipv4Addr) -> usize {
        let places = self.places.iter().flatten();
        places.filter(|p| *p.peer.ip() == source).count()
    }

    fn used(&self, is_one: impl Fn(Class) -> bool) -> usize {
        let places = self.places.iter().flatten();
        places.filter(|p| is_one(p.class)).count()
    }

    /// Whether all places are taken that a class may have.
    fn is_full(&self, class: Class) -> bool {
        class != Class::Known && self.used(|of| of == class) >= (P / 2).max(1)
    }

    /// Whether all places are taken that peers may have which the caller does not
    /// know.
    fn unknowns_are_full(&self) -> bool {
        self.used(|of| of != Class::Known) >= (P - P / 4).max(1)
    }

    fn admits(&self, source: Ipv4Addr, class: Class) -> bool {
        self.places.iter().any(Option::is_none)
            && self.of_source(source) < self.policy.per_source
            && !self.is_full(class)
            && (class == Class::Known || !self.unknowns_are_full())
    }

    /// What to give up for this one: what was never answered, then what is too slow
    /// or too old, of unknown peers before known ones.
    fn victim(&self, now: u64, waiting: &Waiting) -> Option<usize> {
        let places = self.places.iter().enumerate();
        places
            .filter_map(|(at, place)| Some((at, place.as_ref()?)))
            .filter(|(_, p)| !p.given_up && self.is_spare(p, now) && self.helps(p, waiting))
            .min_by_key(|(_, p)| (p.answered, p.class == Class::Known, p.since))
            .map(|(at, _)| at)
    }

    fn is_spare(&self, place: &Place, now: u64) -> bool {
        let age = now.saturating_sub(place.since);
        if !place.answered {
            return age >= u64::from(self.policy.answer_ms);
        }
        let fair = age.saturating_mul(u64::from(self.policy.fair_rate)) / 1_000;
        age >= u64::from(self.policy.transfer_ms)
            || age >= u64::from(self.policy.fair_after_ms) && place.acked < fair
    }

    /// Whether the end of a transfer lets a request start, which comes before it.
    fn helps(&self, place: &Place, waiting: &Waiting) -> bool {
        let same = place.class == waiting.class;
        if self.of_source(*waiting.peer.ip()) >= self.policy.per_source {
            return place.peer.ip() == waiting.peer.ip();
        }
        let room = if waiting.class == Class::Known {
            true
        } else if self.is_full(waiting.class) {
            same
        } else {
            !self.unknowns_are_full() || place.class != Class::Known
        };
        room && (!place.answered || same || waiting.class == Class::Known)
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
