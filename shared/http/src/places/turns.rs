//! Turns at what several connections share.

use core::net::Ipv4Addr;

/// One that waits for a turn, or has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(usize);

#[derive(Debug, Clone, Copy)]
struct Entry {
    source: Ipv4Addr,
    number: u32,
    /// The thing that it has.
    has: Option<usize>,
}

/// Turns at `R` equal things for at most `W` that wait or have one, in the order
/// of their arrival. A source has at most `per_source` at a time; what it asks
/// for beyond that waits without holding up the sources behind it.
#[derive(Debug)]
pub struct Turns<const R: usize, const W: usize> {
    entries: [Option<Entry>; W],
    per_source: usize,
    next: u32,
}

impl<const R: usize, const W: usize> Turns<R, W> {
    /// All are free.
    #[must_use]
    pub const fn new(per_source: usize) -> Self {
        Self {
            entries: [None; W],
            per_source,
            next: 0,
        }
    }

    /// Queues; `None` when too many are in the queue.
    pub fn enter(&mut self, source: Ipv4Addr) -> Option<Ticket> {
        let at = self.entries.iter().position(Option::is_none)?;
        *self.entries.get_mut(at)? = Some(Entry {
            source,
            number: self.next,
            has: None,
        });
        self.next = self.next.wrapping_add(1);
        Some(Ticket(at))
    }

    /// The thing that this one has, from now on or already; `None` while it has to
    /// wait.
    pub fn poll(&mut self, ticket: Ticket) -> Option<usize> {
        let own = (*self.entries.get(ticket.0)?)?;
        if own.has.is_some() {
            return own.has;
        }
        let before = self.entries.iter().flatten().filter(|other| {
            other.has.is_none()
                && other.number.wrapping_sub(own.number) > u32::MAX / 2
                && self.may_have(other.source)
        });
        // What is free beyond those that came before.
        let free = (0..R).filter(|thing| self.is_free(*thing));
        let thing = free.clone().next()?;
        if !self.may_have(own.source) || free.count() <= before.count() {
            return None;
        }
        if let Some(Some(own)) = self.entries.get_mut(ticket.0) {
            own.has = Some(thing);
        }
        Some(thing)
    }

    /// Leaves the queue, and gives back what it has.
    pub fn leave(&mut self, ticket: Ticket) {
        if let Some(entry) = self.entries.get_mut(ticket.0) {
            *entry = None;
        }
    }

    fn is_free(&self, thing: usize) -> bool {
        !self.entries.iter().flatten().any(|e| e.has == Some(thing))
    }

    fn may_have(&self, source: Ipv4Addr) -> bool {
        let have = self.entries.iter().flatten();
        let have = have.filter(|e| e.has.is_some() && e.source == source);
        have.count() < self.per_source
    }
}
