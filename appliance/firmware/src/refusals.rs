//! Who was refused what: a small table for the status report. It keeps the
//! sources that were refused most; others make room. What a refusal is, the
//! callers decide.

use core::cell::RefCell;
use core::net::Ipv4Addr;

use farrier_api::Source;
use heapless::Vec;

/// Sources that the table remembers.
const ENTRIES: usize = 8;

/// What was refused for now; the peer repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A place of the HTTP server.
    HttpConnection,
    /// More time for a request's head.
    HttpHead,
    /// More time for a body.
    HttpBody,
    /// A place for a TFTP transfer.
    TftpTransfer,
    /// More time for an answer to a TFTP packet.
    TftpAnswer,
    /// Room in the queue of DHCP messages.
    DhcpMessage,
    /// Room in the queue of agents' datagrams.
    AgentDatagram,
}

impl Refusal {
    /// As the API shows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HttpConnection => "http connection",
            Self::HttpHead => "http head",
            Self::HttpBody => "http body",
            Self::TftpTransfer => "tftp transfer",
            Self::TftpAnswer => "tftp answer",
            Self::DhcpMessage => "dhcp message",
            Self::AgentDatagram => "agent datagram",
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    what: Refusal,
    source: Source,
    count: u32,
}

/// The table.
#[derive(Debug, Default)]
pub struct Refusals {
    entries: RefCell<Vec<Entry, ENTRIES>>,
}

impl Refusals {
    /// Empty, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: RefCell::new(Vec::new()),
        }
    }

    /// An address was refused something.
    pub fn note(&self, what: Refusal, source: Ipv4Addr) {
        self.add(what, Source::Address(source));
    }

    /// An interface was refused something.
    pub fn note_mac(&self, what: Refusal, source: [u8; 6]) {
        self.add(what, Source::Mac(source));
    }

    fn add(&self, what: Refusal, source: Source) {
        let mut entries = self.entries.borrow_mut();
        let known = entries
            .iter_mut()
            .find(|e| e.what == what && e.source == source);
        if let Some(known) = known {
            known.count = known.count.saturating_add(1);
            return;
        }
        let new = Entry {
            what,
            source,
            count: 1,
        };
        if entries.push(new).is_err()
            && let Some(least) = entries.iter_mut().min_by_key(|e| e.count)
        {
            *least = new;
        }
    }

    /// Reports every source with what it was refused, and how often.
    pub fn report(&self, report: &mut dyn FnMut(&'static str, Source, u32)) {
        for entry in self.entries.borrow().iter() {
            report(entry.what.as_str(), entry.source, entry.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn who_is_refused_most_is_kept() {
        let refusals = Refusals::new();
        let greedy = Ipv4Addr::new(10, 0, 0, 9);
        for _ in 0..5 {
            refusals.note(Refusal::HttpConnection, greedy);
        }
        refusals.note_mac(Refusal::DhcpMessage, [2; 6]);
        for last in 0..100 {
            refusals.note(Refusal::TftpTransfer, Ipv4Addr::new(10, 0, 1, last));
        }
        let mut seen = Vec::new();
        refusals.report(&mut |what, source, count| seen.push((what, source, count)));
        assert_eq!(seen.len(), ENTRIES);
        assert!(seen.contains(&("http connection", Source::Address(greedy), 5)));
        let last = Source::Address(Ipv4Addr::new(10, 0, 1, 99));
        assert!(seen.contains(&("tftp transfer", last, 1)));
    }
}
