//! Machines that boot from the network and are no nodes: a small table that
//! forgets. Its entries are for people to see; no order, ticket or address
//! follows from them.

use crate::interface::Instant;
use crate::node::{Hop, Timeline};
use core::net::Ipv4Addr;
use farrier_protocol::message::Mac;
use farrier_protocol::ticket::TicketId;
use heapless::Vec;

/// Most strangers. The one that was not seen for longest makes room.
pub const MAX_STRANGERS: usize = farrier_sizes::STRANGERS;

/// A machine that boots from the network and is no node.
#[derive(Debug, Clone)]
pub struct Stranger {
    /// The interface.
    pub mac: Mac,
    /// The UUID that it says; zero for none.
    pub uuid: [u8; 16],
    /// The address that it was given.
    pub address: Ipv4Addr,
    /// When each hop of its boot was reached.
    pub timeline: Timeline,
    /// When it was last seen.
    pub seen: Instant,
    /// The ticket whose handshake was refused: the same again costs nothing.
    pub refused: Option<TicketId>,
}

/// The strangers of late.
#[derive(Debug, Default)]
pub struct Strangers(Vec<Stranger, MAX_STRANGERS, u8>);

impl Strangers {
    /// None.
    pub const fn new() -> Self {
        Strangers(Vec::new())
    }

    /// All, in no order.
    pub fn all(&self) -> &[Stranger] {
        &self.0
    }

    /// The one with this interface.
    pub fn find(&self, mac: Mac) -> Option<&Stranger> {
        self.0.iter().find(|stranger| stranger.mac == mac)
    }

    /// Notes that a stranger was seen; gives its entry.
    pub(crate) fn see(&mut self, now: Instant, mac: Mac) -> Option<&mut Stranger> {
        let known = self.0.iter().position(|stranger| stranger.mac == mac);
        let place = match known {
            Some(place) => place,
            None => {
                let new = Stranger {
                    mac,
                    uuid: [0; 16],
                    address: Ipv4Addr::UNSPECIFIED,
                    timeline: Timeline::new(),
                    seen: now,
                    refused: None,
                };
                if let Err(new) = self.0.push(new) {
                    let oldest = self.0.iter_mut().min_by_key(|stranger| stranger.seen)?;
                    *oldest = new;
                }
                self.0.iter().position(|stranger| stranger.mac == mac)?
            }
        };
        let stranger = self.0.get_mut(place)?;
        stranger.seen = now;
        Some(stranger)
    }

    /// Notes a hop of a stranger's boot.
    pub(crate) fn mark(&mut self, now: Instant, mac: Mac, hop: Hop) {
        if let Some(stranger) = self.0.iter_mut().find(|stranger| stranger.mac == mac) {
            stranger.timeline.mark(hop, now);
        }
    }

    /// Forgets one that has become a node.
    pub(crate) fn take(&mut self, mac: Mac) -> Option<Stranger> {
        let place = self.0.iter().position(|stranger| stranger.mac == mac)?;
        Some(self.0.swap_remove(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_forgets_who_was_not_seen_for_longest() {
        let mac = |number: usize| Mac([2, 0, 0, 0, 0, number as u8]);
        let mut strangers = Strangers::new();
        for number in 0..MAX_STRANGERS {
            let now = Instant::from_millis(number as u64);
            assert!(strangers.see(now, mac(number)).is_some());
        }
        strangers.see(Instant::from_millis(1000), mac(0));
        strangers.see(Instant::from_millis(1001), mac(MAX_STRANGERS));
        assert_eq!(strangers.all().len(), MAX_STRANGERS);
        assert!(strangers.find(mac(1)).is_none());
        for number in [0, 2, MAX_STRANGERS] {
            assert!(strangers.find(mac(number)).is_some(), "{number}");
        }
        assert!(strangers.take(mac(0)).is_some() && strangers.take(mac(0)).is_none());
    }
}
