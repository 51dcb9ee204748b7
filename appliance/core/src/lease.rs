//! The address book of the provisioning network.
//!
//! An address of the pool belongs to one client at a time. A client keeps
//! its address as long as nobody else needs it, an offered one is held for
//! [`OFFER_MILLIS`], and an address is given to another client only when
//! its lease has run out. When all are taken the request is refused and
//! counted; nobody's address is taken away.

use crate::Instant;
use core::net::Ipv4Addr;
use farrier_dhcp::wire::Identity;
use farrier_protocol::message::Mac;

/// How long an offer is held for its client, in milliseconds.
pub const OFFER_MILLIS: u64 = 30_000;
/// How long an address is left alone after a client declined it.
pub const DECLINED_MILLIS: u64 = 600_000;

/// Who has an address: the hardware address, and a fingerprint of the whole
/// identity (RFC 2131 §4.2), since firmware, iPXE and the system of one
/// machine may identify themselves differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Ethernet address.
    pub mac: Mac,
    key: u64,
}

impl Client {
    /// The client that sent a request.
    pub fn new(mac: Mac, identity: &Identity<'_>) -> Self {
        let mut key = Fnv::START;
        match identity {
            Identity::ClientId(id) => key.add(1).add_all(id),
            Identity::Hardware(mac) => key.add(0).add_all(mac),
        };
        Client { mac, key: key.0 }
    }
}

impl Client {
    /// The fingerprint of its identity, for a record.
    pub(crate) fn key(&self) -> [u8; 8] {
        self.key.to_le_bytes()
    }

    /// The client of a record.
    pub(crate) fn known(mac: Mac, key: [u8; 8]) -> Self {
        Client {
            mac,
            key: u64::from_le_bytes(key),
        }
    }
}

/// FNV-1a, 64 bits: spreads identities. Nothing depends on its strength:
/// a collision needs the same MAC as well.
struct Fnv(u64);

impl Fnv {
    const START: Fnv = Fnv(0xcbf2_9ce4_8422_2325);

    fn add(&mut self, byte: u8) -> &mut Self {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        self
    }

    fn add_all(&mut self, bytes: &[u8]) -> &mut Self {
        for byte in bytes {
            self.add(*byte);
        }
        self
    }
}

#[derive(Debug, Clone, Copy)]
enum Slot {
    Free,
    /// Promised or given until that time. A past `until` leaves the address
    /// reserved for its client until another one needs it.
    Held {
        client: Client,
        until: Instant,
        bound: bool,
    },
    /// Somebody said that it is in use by a stranger.
    Declined {
        until: Instant,
    },
}

/// Why a request for an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseError {
    /// Every address is held.
    Exhausted,
    /// The address is not the client's.
    NotYours,
}

/// What is durable of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Bound {
        client: Client,
        address: Ipv4Addr,
        seconds: u32,
    },
    Declined {
        address: Ipv4Addr,
    },
}

/// The leases of one pool of at most `L` addresses.
#[derive(Debug)]
pub struct Leases<const L: usize> {
    first: Ipv4Addr,
    len: usize,
    slots: [Slot; L],
}

impl<const L: usize> Leases<L> {
    /// A book without addresses.
    pub const fn new() -> Self {
        Leases {
            first: Ipv4Addr::UNSPECIFIED,
            len: 0,
            slots: [Slot::Free; L],
        }
    }

    /// Gives the book its pool and forgets every lease.
    pub fn configure(&mut self, first: Ipv4Addr, len: usize) {
        self.first = first;
        self.len = len.min(L);
        self.slots = [Slot::Free; L];
    }

    /// How many addresses there are, and how many of them are bound now.
    pub fn usage(&self, now: Instant) -> (usize, usize) {
        let bound = self
            .pool()
            .iter()
            .filter(|slot| matches!(slot, Slot::Held { until, bound: true, .. } if *until > now));
        (self.len, bound.count())
    }

    /// Finds an address for a client: its own, else the one that it wishes
    /// for, else a free one, else the one that ran out first. Holds it as
    /// an offer.
    ///
    /// # Errors
    /// [`LeaseError::Exhausted`].
    pub fn offer(
        &mut self,
        now: Instant,
        client: Client,
        wish: Option<Ipv4Addr>,
    ) -> Result<Ipv4Addr, LeaseError> {
        let index = self
            .find(client)
            .or_else(|| {
                wish.and_then(|a| self.index(a))
                    .filter(|i| self.takeable(now, *i))
            })
            .or_else(|| self.pool().iter().position(|s| matches!(s, Slot::Free)))
            .or_else(|| self.longest_expired(now))
            .ok_or(LeaseError::Exhausted)?;
        let held_until = now.plus_millis(OFFER_MILLIS);
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = match *slot {
                // An offer never shortens a lease that the client has.
                Slot::Held {
                    client: c,
                    until,
                    bound,
                } if c == client && until > held_until => Slot::Held {
                    client,
                    until,
                    bound,
                },
                Slot::Held {
                    client: c, bound, ..
                } if c == client => Slot::Held {
                    client,
                    until: held_until,
                    bound,
                },
                _ => Slot::Held {
                    client,
                    until: held_until,
                    bound: false,
                },
            };
        }
        Ok(self.address(index))
    }

    /// Binds an address to a client that has it, was offered it, or asks
    /// for a free one of the pool (a client that outlives the appliance's
    /// restart).
    ///
    /// # Errors
    /// [`LeaseError::NotYours`].
    pub fn bind(
        &mut self,
        now: Instant,
        client: Client,
        address: Ipv4Addr,
        seconds: u32,
    ) -> Result<(), LeaseError> {
        let index = self.index(address).ok_or(LeaseError::NotYours)?;
        match self.find(client) {
            Some(own) if own == index => {}
            Some(_) => return Err(LeaseError::NotYours),
            None if matches!(self.slots.get(index), Some(Slot::Free)) => {}
            None => return Err(LeaseError::NotYours),
        }
        let until = now.plus_millis(u64::from(seconds) * 1000);
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Slot::Held {
                client,
                until,
                bound: true,
            };
        }
        Ok(())
    }

    /// Ends a client's lease. The address stays reserved for it. `false`
    /// where it is not the client's.
    pub fn release(&mut self, now: Instant, client: Client, address: Ipv4Addr) -> bool {
        if let Some(index) = self
            .index(address)
            .filter(|i| self.find(client) == Some(*i))
            && let Some(slot) = self.slots.get_mut(index)
        {
            *slot = Slot::Held {
                client,
                until: now,
                bound: false,
            };
            return true;
        }
        false
    }

    /// Takes an address out of use for [`DECLINED_MILLIS`]: its client found
    /// somebody else there. Only the client that holds it can say so.
    pub fn decline(&mut self, now: Instant, client: Client, address: Ipv4Addr) -> bool {
        let Some(index) = self
            .index(address)
            .filter(|i| self.find(client) == Some(*i))
        else {
            return false;
        };
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Slot::Declined {
                until: now.plus_millis(DECLINED_MILLIS),
            };
        }
        true
    }

    /// Takes up a lease of before a restart. How much of it is over nobody
    /// knows: it is given its whole time again.
    pub(crate) fn restore(
        &mut self,
        now: Instant,
        client: Client,
        address: Ipv4Addr,
        seconds: u32,
    ) {
        if let Some(index) = self.index(address)
            && let Some(slot) = self.slots.get_mut(index)
        {
            *slot = Slot::Held {
                client,
                until: now.plus_millis(u64::from(seconds) * 1000),
                bound: true,
            };
        }
    }

    /// The end of a lease of before a restart.
    pub(crate) fn restore_end(&mut self, now: Instant, address: Ipv4Addr, declined: bool) {
        if let Some(index) = self.index(address)
            && let Some(slot) = self.slots.get_mut(index)
        {
            *slot = match *slot {
                _ if declined => Slot::Declined {
                    until: now.plus_millis(DECLINED_MILLIS),
                },
                Slot::Held { client, .. } => Slot::Held {
                    client,
                    until: now,
                    bound: false,
                },
                other => other,
            };
        }
    }

    /// What a record says of the address in this place of the pool: its
    /// lease with the seconds that are left of it, or that it is declined.
    /// Offers are promises of a moment and no records.
    pub(crate) fn told(&self, now: Instant, index: usize) -> Option<Told> {
        let address = self.address(index);
        match self.pool().get(index)? {
            Slot::Held {
                client,
                until,
                bound: true,
            } => Some(Told::Bound {
                client: *client,
                address,
                seconds: u32::try_from(until.since(now).div_ceil(1000)).unwrap_or(u32::MAX),
            }),
            Slot::Declined { until } if *until > now => Some(Told::Declined { address }),
            _ => None,
        }
    }

    /// Whose address this is.
    pub fn owner(&self, address: Ipv4Addr) -> Option<Mac> {
        match self.slots.get(self.index(address)?)? {
            Slot::Held {
                client,
                bound: true,
                ..
            } => Some(client.mac),
            _ => None,
        }
    }

    fn pool(&self) -> &[Slot] {
        self.slots.get(..self.len).unwrap_or_default()
    }

    fn find(&self, client: Client) -> Option<usize> {
        self.pool()
            .iter()
            .position(|slot| matches!(slot, Slot::Held { client: c, .. } if *c == client))
    }

    fn takeable(&self, now: Instant, index: usize) -> bool {
        match self.slots.get(index) {
            Some(Slot::Free) => true,
            Some(Slot::Held { until, .. } | Slot::Declined { until }) => *until <= now,
            None => false,
        }
    }

    fn longest_expired(&self, now: Instant) -> Option<usize> {
        self.pool()
            .iter()
            .enumerate()
            .filter_map(|(i, slot)| match slot {
                Slot::Held { until, .. } | Slot::Declined { until } if *until <= now => {
                    Some((*until, i))
                }
                _ => None,
            })
            .min()
            .map(|(_, i)| i)
    }

    fn index(&self, address: Ipv4Addr) -> Option<usize> {
        let offset = address.to_bits().checked_sub(self.first.to_bits())?;
        usize::try_from(offset).ok().filter(|i| *i < self.len)
    }

    fn address(&self, index: usize) -> Ipv4Addr {
        let offset = u32::try_from(index).unwrap_or(u32::MAX);
        Ipv4Addr::from_bits(self.first.to_bits().saturating_add(offset))
    }
}

impl<const L: usize> Default for Leases<L> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::vec::Vec;

    fn client(n: u8) -> Client {
        let mac = [2, 0, 0, 0, 0, n];
        Client::new(Mac(mac), &Identity::Hardware(mac))
    }

    fn book(len: usize) -> Leases<8> {
        let mut leases = Leases::new();
        leases.configure(Ipv4Addr::new(10, 0, 0, 10), len);
        leases
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn a_client_gets_the_same_address_again() {
        let mut leases = book(8);
        let a = leases.offer(at(0), client(1), None).unwrap();
        leases.bind(at(0), client(1), a, 60).unwrap();
        let b = leases.offer(at(1), client(2), None).unwrap();
        assert_ne!(a, b);
        assert_eq!(leases.offer(at(500), client(1), None), Ok(a));
    }

    #[test]
    fn one_machine_may_have_two_identities() {
        let mut leases = book(8);
        let mac = [2, 0, 0, 0, 0, 1];
        let rom = Client::new(Mac(mac), &Identity::ClientId(&[0, 9, 9]));
        let a = leases.offer(at(0), rom, None).unwrap();
        leases.bind(at(0), rom, a, 60).unwrap();
        let b = leases.offer(at(0), client(1), None).unwrap();
        assert_ne!(a, b);
        assert_eq!(leases.owner(a), Some(Mac(mac)));
    }

    #[test]
    fn a_full_pool_refuses_and_takes_nothing_away() {
        let mut leases = book(2);
        for n in 1..=2 {
            let a = leases.offer(at(0), client(n), None).unwrap();
            leases.bind(at(0), client(n), a, 60).unwrap();
        }
        assert_eq!(
            leases.offer(at(59), client(3), None),
            Err(LeaseError::Exhausted)
        );
        // The one that ran out first is given away, not before.
        assert_eq!(
            leases.offer(at(60), client(3), None),
            Ok(Ipv4Addr::new(10, 0, 0, 10))
        );
    }

    #[test]
    fn an_offer_does_not_shorten_a_lease() {
        let mut leases = book(1);
        let a = leases.offer(at(0), client(1), None).unwrap();
        leases.bind(at(0), client(1), a, 600).unwrap();
        assert_eq!(leases.offer(at(1), client(1), None), Ok(a));
        assert_eq!(
            leases.offer(at(599), client(2), None),
            Err(LeaseError::Exhausted)
        );
    }

    #[test]
    fn only_its_holder_can_decline_an_address() {
        let mut leases = book(2);
        let a = leases.offer(at(0), client(1), None).unwrap();
        leases.bind(at(0), client(1), a, 60).unwrap();
        assert!(!leases.decline(at(1), client(2), a));
        assert!(leases.decline(at(1), client(1), a));
        assert_ne!(leases.offer(at(2), client(1), Some(a)), Ok(a));
        assert_eq!(leases.owner(a), None);
    }

    #[test]
    fn addresses_outside_the_pool_are_nobodys() {
        let mut leases = book(2);
        for address in [Ipv4Addr::new(10, 0, 0, 9), Ipv4Addr::new(10, 0, 0, 12)] {
            assert_eq!(
                leases.bind(at(0), client(1), address, 60),
                Err(LeaseError::NotYours)
            );
            assert_eq!(leases.owner(address), None);
        }
    }

    proptest! {
        /// Whatever clients do, no address has two bound owners whose leases
        /// both live. The oracle is a plain map of what was acknowledged.
        #[test]
        fn never_two_owners(steps in proptest::collection::vec((0u8..6, 0u8..4, 0u8..8, 0u64..40), 1..200)) {
            let mut leases = book(4);
            let mut now = Instant::START;
            let mut owned: HashMap<Ipv4Addr, (u8, Instant)> = HashMap::new();
            for (who, what, wish, seconds) in steps {
                now = now.plus_millis(seconds * 1000);
                let wish = Ipv4Addr::new(10, 0, 0, 8 + wish);
                match what {
                    0 => {
                        if let Ok(a) = leases.offer(now, client(who), Some(wish))
                            && let Some((owner, until)) = owned.get(&a)
                        {
                            prop_assert!(*owner == who || *until <= now, "{a} offered twice");
                        }
                    }
                    1 => {
                        if leases.bind(now, client(who), wish, 60).is_ok() {
                            if let Some((owner, until)) = owned.get(&wish) {
                                prop_assert!(*owner == who || *until <= now, "{wish} bound twice");
                            }
                            owned.insert(wish, (who, now.plus_millis(60_000)));
                        }
                    }
                    2 => {
                        leases.release(now, client(who), wish);
                        if owned.get(&wish).is_some_and(|(owner, _)| *owner == who) {
                            owned.remove(&wish);
                        }
                    }
                    _ => {
                        if leases.decline(now, client(who), wish) {
                            owned.remove(&wish);
                        }
                    }
                }
            }
            let live: Vec<_> = owned.values().filter(|(_, until)| *until > now).collect();
            prop_assert!(leases.usage(now).1 >= live.len());
        }
    }
}
