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

/// Turns at `R` equal things for at most `W` that wait or have one. The source
/// that has least is first; of equal ones, who came first. A source has at most
/// `per_source` at a time; what it asks for beyond that waits without holding up
/// the sources behind it.
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
        // What is free goes to the others first that are before this one, as
        // if they had asked already: so nobody waits for somebody's question.
        let mut given = self.entries;
        for thing in 0..R {
            if !self.is_free(thing) {
                continue;
            }
            let waiting = given.iter().enumerate();
            let best = waiting
                .filter_map(|(at, entry)| Some((at, (*entry)?)))
                .filter(|(_, entry)| entry.has.is_none())
                .map(|(at, entry)| (at, of_source(&given, entry.source), entry.number))
                .filter(|(_, share, _)| *share < self.per_source)
                .min_by_key(|(_, share, number)| (*share, number.wrapping_sub(self.next)));
            let (best, ..) = best?;
            let table = if best == ticket.0 {
                &mut self.entries
            } else {
                &mut given
            };
            if let Some(Some(entry)) = table.get_mut(best) {
                entry.has = Some(thing);
            }
            if best == ticket.0 {
                return Some(thing);
            }
        }
        None
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
}

fn of_source(entries: &[Option<Entry>], source: Ipv4Addr) -> usize {
    let have = entries.iter().flatten();
    let have = have.filter(|e| e.has.is_some() && e.source == source);
    have.count()
}
