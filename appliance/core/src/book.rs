//! The address book: addresses that belong to an interface by name, on the
//! provisioning network and on tenants' networks.
//!
//! On the provisioning network the book holds static addresses, which lie
//! outside of the pool that is leased out: so no address can have an owner
//! here and another one in `lease`. Tenants' networks have pools of their
//! own, out of which an interface is given an address, or a certain one of
//! them. An address that was taken back is nobody's for as long as a lease
//! of it may live. Who asks, and what is written down, is in `addresses`.

use crate::Instant;
use crate::record::Record;
use core::net::Ipv4Addr;
use farrier_protocol::message::Mac;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Most tenants' networks.
pub const MAX_NETWORKS: usize = 4;
/// Most addresses of the book, those included that rest.
pub const MAX_ADDRESSES: usize = 64;
/// The place of the provisioning network.
pub const PROVISIONING: u8 = 0;

/// A tenants' network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its place, from 1; its name is among the texts.
    pub place: u8,
    /// Length of its prefix, 8 to 30.
    pub prefix: u8,
    /// Its VLAN, 1 to 4094; 0 for none.
    pub vlan: u16,
    /// How many addresses its pool has.
    pub pool_len: u16,
    /// The first of them.
    pub pool_first: Ipv4Addr,
}

impl Network {
    const fn mask(&self) -> u32 {
        u32::MAX << (32 - self.prefix as u32 % 32)
    }

    /// Whether the fields make sense together: the pool lies on the network,
    /// beside its own and its broadcast address.
    pub fn is_sound(&self) -> bool {
        let range = (8..=30).contains(&self.prefix) && self.vlan < 4095 && self.pool_len > 0;
        let first = self.pool_first.to_bits();
        let last = first.checked_add(u32::from(self.pool_len).saturating_sub(1));
        let inside = |address: u32| {
            let host = address & !self.mask();
            address & self.mask() == first & self.mask() && host != 0 && host != !self.mask()
        };
        range && inside(first) && last.is_some_and(inside)
    }

    /// Whether two networks share an address, or a VLAN.
    pub fn meets(&self, other: &Network) -> bool {
        let mask = self.mask() & other.mask();
        self.pool_first.to_bits() & mask == other.pool_first.to_bits() & mask
            || self.vlan != 0 && self.vlan == other.vlan
    }

    /// Whether the pool has this address.
    pub fn has(&self, address: Ipv4Addr) -> bool {
        let offset = address.to_bits().checked_sub(self.pool_first.to_bits());
        offset.is_some_and(|offset| offset < u32::from(self.pool_len))
    }
}

/// An address and its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The address.
    pub address: Ipv4Addr,
    /// Seconds since reset from which on it may have another owner; 0 while
    /// it has this one.
    rests_until: u32,
    /// The interface.
    pub mac: Mac,
    /// The network's place.
    pub network: u8,
    /// Its slot, and whether it was named: in one byte, since there are many.
    slot: Slot,
}

/// The place of an address in the book for as long as it is there, over
/// restarts too: whoever tells the book bit by bit goes by it. The highest bit
/// says whether the address was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot(u8);

impl Slot {
    const NAMED: u8 = 0x80;

    const fn new(number: u8, named: bool) -> Self {
        Slot(number | if named { Self::NAMED } else { 0 })
    }

    const fn number(self) -> u8 {
        self.0 & !Self::NAMED
    }
}

const _: () = assert!(MAX_ADDRESSES <= Slot::NAMED as usize);

impl Entry {
    /// Whether it has an owner now.
    pub fn is_held(&self) -> bool {
        self.rests_until == 0
    }

    /// Whether it was named, and not picked out of the pool: then it outlives
    /// the tenant.
    pub fn is_named(&self) -> bool {
        self.slot.0 & Slot::NAMED != 0
    }

    /// What is written down of it.
    pub(crate) fn record(&self) -> Record<'static> {
        Record::Booked {
            slot: self.slot.number(),
            network: self.network,
            mac: self.mac,
            address: self.address,
            named: self.is_named(),
            rests: !self.is_held(),
        }
    }
}

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookError {
    /// It is somebody else's, or a lease of it may still live.
    Taken,
    /// All addresses of the network, or all places of the book, are taken.
    Full,
}

/// The book.
#[derive(Debug)]
pub struct Book {
    networks: Vec<Network, MAX_NETWORKS, u8>,
    entries: Vec<Entry, MAX_ADDRESSES, u8>,
}

impl Default for Book {
    fn default() -> Self {
        Self::new()
    }
}

/// Seconds since reset, rounded up: nothing rests too short.
fn seconds(at: Instant) -> u32 {
    u32::try_from(at.millis().div_ceil(1000))
        .unwrap_or(u32::MAX)
        .max(1)
}

impl Book {
    /// An empty book.
    pub const fn new() -> Self {
        Book {
            networks: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// The tenants' networks.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// All addresses, those that rest included.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds a network, or changes one that has no addresses given away.
    ///
    /// # Errors
    /// [`BookError::Taken`] where it is in use or meets another one,
    /// [`BookError::Full`].
    pub fn set_network(&mut self, now: Instant, network: Network) -> Result<(), BookError> {
        let place = network.place;
        let mut others = self.networks.iter().filter(|n| n.place != place);
        if others.any(|other| other.meets(&network)) || self.in_use(now, place) {
            return Err(BookError::Taken);
        }
        self.networks.retain(|known| known.place != place);
        self.networks.push(network).map_err(|_| BookError::Full)
    }

    /// Removes a network that has no addresses given away.
    ///
    /// # Errors
    /// [`BookError::Taken`] where it has.
    pub fn remove_network(&mut self, now: Instant, place: u8) -> Result<(), BookError> {
        if self.in_use(now, place) {
            return Err(BookError::Taken);
        }
        self.networks.retain(|known| known.place != place);
        Ok(())
    }

    fn in_use(&mut self, now: Instant, place: u8) -> bool {
        self.sweep(now);
        self.entries.iter().any(|entry| entry.network == place)
    }

    /// The address of an interface.
    pub fn find(&self, network: u8, mac: Mac) -> Option<Ipv4Addr> {
        self.entries
            .iter()
            .find(|e| e.is_held() && e.network == network && e.mac == mac)
            .map(|entry| entry.address)
    }

    /// Whose address this is.
    pub fn owner(&self, network: u8, address: Ipv4Addr) -> Option<Mac> {
        self.entries
            .iter()
            .find(|e| e.is_held() && e.network == network && e.address == address)
            .map(|entry| entry.mac)
    }

    /// Gives an interface an address in place of the one that it has, which
    /// rests for `rest_secs` seconds. `None` picks one out of the network's
    /// pool, and leaves the interface the one that it has.
    ///
    /// # Errors
    /// See [`BookError`]; the book stays as it was.
    pub fn give(
        &mut self,
        now: Instant,
        network: u8,
        mac: Mac,
        address: Option<Ipv4Addr>,
        rest_secs: u32,
    ) -> Result<Ipv4Addr, BookError> {
        self.sweep(now);
        let own = self.find(network, mac);
        let (address, named) = match (address, own) {
            (None, Some(own)) => return Ok(own),
            (None, None) => (self.pick(network, mac).ok_or(BookError::Full)?, false),
            (Some(address), _) => (address, true),
        };
        let at = |e: &Entry| e.network == network && e.address == address;
        if let Some(known) = self.entries.iter().position(at) {
            let known = self.entries.get_mut(known).ok_or(BookError::Full)?;
            // A resting address may go back to whom it belonged to.
            if known.mac != mac {
                return Err(BookError::Taken);
            }
            known.rests_until = 0;
            known.slot = Slot::new(known.slot.number(), named);
        } else {
            let entry = Entry {
                address,
                rests_until: 0,
                mac,
                network,
                slot: Slot::new(self.free_slot().ok_or(BookError::Full)?, named),
            };
            self.entries.push(entry).map_err(|_| BookError::Full)?;
        }
        if let Some(own) = own.filter(|own| *own != address) {
            self.rest(now, network, own, rest_secs);
        }
        Ok(address)
    }

    /// Takes up a network of before a restart: its addresses may be known
    /// already.
    pub(crate) fn put_network(&mut self, network: Network) {
        self.drop_network(network.place);
        let _as_many_as_before = self.networks.push(network);
    }

    /// Forgets a network of before a restart.
    pub(crate) fn drop_network(&mut self, place: u8) {
        self.networks.retain(|known| known.place != place);
    }

    /// Takes up an address of before a restart. Another one that its owner
    /// had rests now. How much of a rest is over nobody knows: it begins anew.
    ///
    /// Without a slot, as older firmware wrote it, it takes a free one, or
    /// that of an address that rests.
    pub(crate) fn put(
        &mut self,
        now: Instant,
        network: u8,
        (mac, address): (Mac, Ipv4Addr),
        (named, rests): (bool, bool),
        slot: Option<u8>,
        rest_secs: u32,
    ) {
        let own = self.find(network, mac).filter(|own| *own != address);
        if let Some(own) = own.filter(|_| !rests) {
            self.rest(now, network, own, rest_secs);
        }
        let other = |e: &Entry| e.network != network || e.address != address;
        self.entries.retain(other);
        let resting = || {
            self.entries
                .iter()
                .find(|e| !e.is_held())
                .map(|e| e.slot.number())
        };
        let Some(slot) = slot.or_else(|| self.free_slot()).or_else(resting) else {
            // There are never more than there were.
            return;
        };
        self.entries.retain(|entry| entry.slot.number() != slot);
        let entry = Entry {
            address,
            rests_until: 0,
            mac,
            network,
            slot: Slot::new(slot, named),
        };
        let _has_room = self.entries.push(entry);
        if rests {
            self.rest(now, network, address, rest_secs);
        }
    }

    fn free_slot(&self) -> Option<u8> {
        let taken = |slot: u8| self.entries.iter().any(|entry| entry.slot.number() == slot);
        (0..MAX_ADDRESSES as u8).find(|slot| !taken(*slot))
    }

    /// The address in a slot.
    pub(crate) fn in_slot(&self, slot: usize) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|e| usize::from(e.slot.number()) == slot)
    }

    /// Takes an interface's address back. Gives the address.
    pub fn take(
        &mut self,
        now: Instant,
        network: u8,
        mac: Mac,
        rest_secs: u32,
    ) -> Option<Ipv4Addr> {
        let address = self.find(network, mac)?;
        self.rest(now, network, address, rest_secs);
        Some(address)
    }

    /// Takes back what an interface was given out of tenants' pools. Gives
    /// how many addresses that were.
    pub fn end_tenant(&mut self, now: Instant, macs: &[Mac], rest_secs: u32) -> usize {
        let until = seconds(now.plus_millis(u64::from(rest_secs) * 1000));
        let ends = |e: &&mut Entry| {
            e.is_held() && !e.is_named() && e.network != PROVISIONING && macs.contains(&e.mac)
        };
        let ended = self.entries.iter_mut().filter(ends);
        ended.map(|entry| entry.rests_until = until).count()
    }

    fn rest(&mut self, now: Instant, network: u8, address: Ipv4Addr, rest_secs: u32) {
        let until = seconds(now.plus_millis(u64::from(rest_secs) * 1000));
        let at = |e: &&mut Entry| e.network == network && e.address == address;
        if let Some(entry) = self.entries.iter_mut().find(at) {
            entry.rests_until = until;
        }
    }

    /// The lowest address of the pool that is nobody's; the one that the
    /// interface had before, where that still rests.
    fn pick(&self, network: u8, mac: Mac) -> Option<Ipv4Addr> {
        let before = |e: &&Entry| e.network == network && e.mac == mac && !e.is_named();
        let pool = self.networks.iter().find(|n| n.place == network)?;
        if let Some(before) = self.entries.iter().find(before) {
            return Some(before.address);
        }
        let first = pool.pool_first.to_bits();
        (0..u32::from(pool.pool_len))
            .map(|offset| Ipv4Addr::from_bits(first.saturating_add(offset)))
            .find(|address| {
                let at = |e: &Entry| e.network == network && e.address == *address;
                !self.entries.iter().any(at)
            })
    }

    /// Forgets what has rested long enough.
    fn sweep(&mut self, now: Instant) {
        let now = u32::try_from(now.millis() / 1000).unwrap_or(u32::MAX);
        self.entries
            .retain(|entry| entry.is_held() || entry.rests_until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::vec::Vec;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    fn mac(n: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, n])
    }

    fn network(place: u8, third: u8, len: u16) -> Network {
        Network {
            place,
            prefix: 24,
            vlan: 100 + u16::from(place),
            pool_len: len,
            pool_first: Ipv4Addr::new(10, 0, third, 10),
        }
    }

    /// What older firmware wrote of addresses.
    fn held(book: &mut Book, network: u8, mac: Mac, address: Ipv4Addr, named: bool) {
        book.put(at(0), network, (mac, address), (named, false), None, 60);
    }

    fn rests(book: &mut Book, network: u8, mac: Mac, address: Ipv4Addr) {
        book.put(at(0), network, (mac, address), (false, true), None, 60);
    }

    #[test]
    fn an_address_without_a_slot_finds_one() {
        let mut book = Book::new();
        let address = |n: u8| Ipv4Addr::new(10, 0, 1, n);
        held(&mut book, 1, mac(0), address(0), true);
        let more = MAX_ADDRESSES as u8 + 5;
        for n in 1..=more {
            rests(&mut book, 1, mac(n), address(n));
            // Once more is not one more.
            rests(&mut book, 1, mac(n), address(n));
        }
        // Those that were told last are there, and the one that is held.
        let has = |book: &Book, n: u8| book.entries().iter().any(|e| e.address == address(n));
        assert_eq!(book.entries().len(), MAX_ADDRESSES);
        assert!((7..=more).all(|n| has(&book, n)) && !(1..7).any(|n| has(&book, n)));
        assert_eq!(book.find(1, mac(0)), Some(address(0)));
        held(&mut book, 1, mac(200), address(200), true);
        assert_eq!(book.find(1, mac(200)), Some(address(200)));
        assert_eq!(book.find(1, mac(0)), Some(address(0)));
        let mut slots: Vec<u8> = book
            .entries()
            .iter()
            .map(|entry| entry.slot.number())
            .collect();
        slots.sort_unstable();
        assert!(slots.into_iter().eq(0..MAX_ADDRESSES as u8));
    }

    #[test]
    fn a_slot_has_one_address_and_an_address_one_slot() {
        let mut book = Book::new();
        let address = |n: u8| Ipv4Addr::new(10, 0, 1, n);
        let put = |book: &mut Book, n: u8, slot: u8, rests: bool| {
            book.put(
                at(0),
                1,
                (mac(n), address(n)),
                (true, rests),
                Some(slot),
                60,
            );
        };
        put(&mut book, 1, 5, false);
        put(&mut book, 2, 5, false);
        assert_eq!(book.in_slot(5).map(|e| e.address), Some(address(2)));
        assert_eq!(book.entries().len(), 1);
        put(&mut book, 2, 7, true);
        assert_eq!(book.in_slot(5), None);
        assert_eq!(
            book.in_slot(7).map(|e| (e.address, e.is_held())),
            Some((address(2), false))
        );
        assert_eq!(book.entries().len(), 1);
        // Another address of the same interface ends the first one, unless
        // it only rests.
        put(&mut book, 3, 1, false);
        book.put(at(0), 1, (mac(3), address(4)), (true, true), Some(2), 60);
        assert_eq!(book.find(1, mac(3)), Some(address(3)));
        book.put(at(0), 1, (mac(3), address(5)), (true, false), Some(3), 60);
        assert_eq!(book.find(1, mac(3)), Some(address(5)));
        assert!(book.in_slot(1).is_some_and(|e| !e.is_held()));
        // A new one takes the first slot that is free.
        book.give(at(0), 1, mac(9), Some(address(9)), 60).unwrap();
        assert_eq!(book.in_slot(0).map(|e| e.address), Some(address(9)));
        assert_eq!(
            book.in_slot(0).map(Entry::record),
            Some(Record::Booked {
                slot: 0,
                network: 1,
                mac: mac(9),
                address: address(9),
                named: true,
                rests: false,
            })
        );
    }

    #[test]
    fn networks_are_sound_and_do_not_meet() {
        let good = network(1, 1, 10);
        assert!(good.is_sound());
        for bad in [
            Network { prefix: 31, ..good },
            Network {
                pool_len: 0,
                ..good
            },
            Network {
                pool_len: 246,
                ..good
            },
            Network { vlan: 4095, ..good },
            Network {
                pool_first: Ipv4Addr::new(10, 0, 1, 0),
                ..good
            },
        ] {
            assert!(!bad.is_sound(), "{bad:?}");
        }
        let to_the_end = Network {
            pool_len: 245,
            ..good
        };
        assert!(to_the_end.is_sound());
        // The longer prefix does not hide that they share addresses.
        let inside = Network {
            prefix: 28,
            vlan: 0,
            ..good
        };
        let beside = Network {
            pool_first: Ipv4Addr::new(10, 0, 1, 130),
            ..inside
        };
        assert!(inside.meets(&good) && good.meets(&beside) && beside.meets(&good));
        assert!(!inside.meets(&beside));
        let untagged = Network {
            vlan: 0,
            ..network(3, 3, 4)
        };
        assert!(!inside.meets(&untagged), "no VLAN is not the same VLAN");
        let of_pool = |last| good.has(Ipv4Addr::new(10, 0, 1, last));
        assert_eq!([9, 10, 19, 20].map(of_pool), [false, true, true, false]);

        let mut book = Book::new();
        book.set_network(at(0), good).unwrap();
        let same = Network {
            vlan: 7,
            place: 2,
            ..good
        };
        assert_eq!(book.set_network(at(0), same), Err(BookError::Taken));
        let vlan = Network {
            vlan: 101,
            ..network(2, 2, 4)
        };
        assert_eq!(book.set_network(at(0), vlan), Err(BookError::Taken));
        book.set_network(at(0), network(2, 2, 4)).unwrap();
        book.give(at(0), 2, mac(1), None, 60).unwrap();
        assert_eq!(book.remove_network(at(0), 2), Err(BookError::Taken));
        book.take(at(0), 2, mac(1), 60);
        assert_eq!(book.remove_network(at(59), 2), Err(BookError::Taken));
        assert_eq!(book.remove_network(at(60), 2), Ok(()));
        assert_eq!(book.networks(), [good]);
        book.drop_network(7);
        assert_eq!(book.networks(), [good]);
        let other = Network {
            pool_len: 3,
            ..good
        };
        book.put_network(other);
        assert_eq!(book.networks(), [other]);
        book.drop_network(1);
        assert!(book.networks().is_empty());
    }

    #[test]
    fn addresses_of_before_a_restart_take_their_place() {
        let mut book = Book::new();
        let address = |last| Ipv4Addr::new(10, 0, 1, last);
        held(&mut book, 1, mac(1), address(10), true);
        held(&mut book, 2, mac(1), address(10), false);
        // Once more, in other words: the last ones count.
        held(&mut book, 1, mac(1), address(11), false);
        assert_eq!(book.find(1, mac(1)), Some(address(11)));
        assert_eq!(book.find(2, mac(1)), Some(address(10)));
        assert_eq!(book.owner(1, address(10)), None, "it rests");
        assert_eq!(book.owner(2, address(10)), Some(mac(1)));
        // What rested is somebody's again.
        held(&mut book, 1, mac(2), address(10), true);
        assert_eq!(book.owner(1, address(10)), Some(mac(2)));
        assert_eq!(book.owner(2, address(10)), Some(mac(1)));
        assert_eq!(book.entries().len(), 3);
        rests(&mut book, 1, mac(2), address(10));
        assert_eq!(book.find(1, mac(2)), None);
        assert_eq!(book.entries().len(), 3);
    }

    #[test]
    fn a_full_book_makes_room_for_who_held_before() {
        let mut book = Book::new();
        let address = |n: usize| Ipv4Addr::from_bits(0x0a00_0000 + n as u32);
        for n in 0..MAX_ADDRESSES {
            held(&mut book, 1, mac(n as u8), address(n), true);
        }
        rests(&mut book, 1, mac(5), address(5));
        held(&mut book, 1, mac(200), address(500), true);
        assert_eq!(book.find(1, mac(200)), Some(address(500)));
        assert_eq!(book.find(1, mac(0)), Some(address(0)));
        assert!(book.entries().iter().all(Entry::is_held));
    }

    #[test]
    fn a_tenant_takes_picked_addresses_along_and_leaves_named_ones() {
        let mut book = Book::new();
        book.set_network(at(0), network(1, 1, 10)).unwrap();
        let named = Ipv4Addr::new(10, 0, 1, 15);
        let picked = book.give(at(0), 1, mac(1), None, 60).unwrap();
        book.give(at(0), 1, mac(2), Some(named), 60).unwrap();
        assert_eq!(book.end_tenant(at(0), &[mac(1), mac(2)], 60), 1);
        assert_eq!(book.find(1, mac(1)), None);
        assert_eq!(book.find(1, mac(2)), Some(named));
        // It rests; its owner of before may have it again.
        assert_ne!(book.give(at(1), 1, mac(3), None, 60), Ok(picked));
        assert_eq!(book.give(at(2), 1, mac(1), None, 60), Ok(picked));
    }

    proptest! {
        /// Whatever is given and taken back: never two owners, and nobody
        /// else before the lease of the last owner has run out. The oracle
        /// is a map of when each address was last anybody's.
        #[test]
        fn never_two_owners(steps in proptest::collection::vec(
            (0u8..5, 1u8..3, 0u8..4, 0u8..8, 0u64..40), 1..200)
        ) {
            let mut book = Book::new();
            book.set_network(at(0), network(1, 1, 3)).unwrap();
            book.set_network(at(0), network(2, 2, 3)).unwrap();
            let mut free_at: HashMap<(u8, Ipv4Addr), (Mac, u64)> = HashMap::new();
            let mut now = 0;
            for (what, place, who, which, passes) in steps {
                now += passes;
                let who = mac(who);
                let before = book.find(place, who);
                match what {
                    0 | 1 => {
                        let wish = Ipv4Addr::new(10, 0, place, 8 + which);
                        let wish = (what == 1).then_some(wish);
                        if let Ok(given) = book.give(at(now), place, who, wish, 60) {
                            if let Some((owner, until)) = free_at.get(&(place, given)) {
                                prop_assert!(*owner == who || *until <= now, "{given} reused");
                            }
                            if let Some(old) = before.filter(|old| *old != given) {
                                free_at.insert((place, old), (who, now + 60));
                            }
                            free_at.insert((place, given), (who, u64::MAX));
                        }
                    }
                    2 | 3 => {
                        if let Some(old) = book.take(at(now), place, who, 60) {
                            free_at.insert((place, old), (who, now + 60));
                        }
                    }
                    _ => {
                        for network in [1, 2] {
                            let held = book.entries().iter()
                                .find(|e| e.is_held() && e.network == network && e.mac == who);
                            if let Some(entry) = held.filter(|e| !e.is_named()) {
                                free_at.insert((network, entry.address), (who, now + 60));
                            }
                        }
                        book.end_tenant(at(now), &[who], 60);
                    }
                }
                let held: std::vec::Vec<_> =
                    book.entries().iter().filter(|e| e.is_held()).collect();
                for one in &held {
                    prop_assert_eq!(book.owner(one.network, one.address), Some(one.mac));
                    prop_assert_eq!(book.find(one.network, one.mac), Some(one.address));
                }
                for (n, one) in held.iter().enumerate() {
                    for other in &held[n + 1..] {
                        prop_assert!((one.network, one.address) != (other.network, other.address));
                        prop_assert!((one.network, one.mac) != (other.network, other.mac));
                    }
                }
            }
        }
    }
}
