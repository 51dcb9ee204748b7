//! IPAM: networks, and addresses that are reserved for an interface, on the
//! provisioning network and on tenants' networks.
//!
//! On the provisioning network IPAM holds static addresses, which lie
//! outside of the pool that is leased out: so no address can have an owner
//! here and another one in `lease`. Tenants' networks have pools of their
//! own, out of which an interface is given an address, or a certain one of
//! them. An address that was released is quarantined for as long as a lease
//! of it may last. The commands are in `commands::networks`.

pub(crate) mod budget;
pub mod lease;
mod relayed;
pub mod watch;

use crate::interface::{CommandError, Relay};
pub use crate::interface::{Network, Uses};
pub use relayed::MAX_RELAYS;

use crate::Instant;
use core::net::Ipv4Addr;
use farrier_protocol::message::Mac;
use heapless::Vec;

/// Most tenants' networks.
pub const MAX_NETWORKS: usize = farrier_sizes::NETWORKS;
/// Most reservations, quarantined ones included.
pub const MAX_ADDRESSES: usize = farrier_sizes::RESERVATIONS;
/// The place of the provisioning network.
pub const PROVISIONING: u8 = 0;

/// What machines on a network are to the appliance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Domain {
    /// Servers that boot, and agents: all such networks share one subnet.
    Boot,
    /// Machines of tenants.
    Tenant(Network),
}

/// An address and its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The address.
    pub address: Ipv4Addr,
    /// Seconds since reset from which on it may have another owner; 0 while
    /// it has this one.
    quarantined_until: u32,
    /// The interface.
    pub mac: Mac,
    /// The network's place.
    pub network: u8,
    /// Its slot, and whether it was named, in one field.
    slot: Slot,
}

/// The place of a reservation for as long as it exists, over restarts too: a
/// sweep goes by it. The highest bit
/// says whether the address was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot(u16);

impl Slot {
    const NAMED: u16 = 0x8000;

    const fn new(number: u16, named: bool) -> Self {
        Slot(number | if named { Self::NAMED } else { 0 })
    }

    const fn number(self) -> u16 {
        self.0 & !Self::NAMED
    }
}

const _: () = assert!(MAX_ADDRESSES <= Slot::NAMED as usize);

impl Entry {
    /// Its slot among the reservations.
    pub(crate) const fn slot(&self) -> u16 {
        self.slot.number()
    }

    /// Whether it has an owner now.
    pub fn is_held(&self) -> bool {
        self.quarantined_until == 0
    }

    /// Whether it was named, and not picked out of the pool: then it outlives
    /// the tenant.
    pub fn is_named(&self) -> bool {
        self.slot.0 & Slot::NAMED != 0
    }
}

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpamError {
    /// It is reserved for another interface, or a lease of it may still last.
    Taken,
    /// All addresses of the network, or all reservations, are taken.
    Full,
    /// The network meets another one.
    Overlaps,
    /// Addresses of the network are given away.
    InUse,
}

impl From<IpamError> for CommandError {
    fn from(error: IpamError) -> Self {
        match error {
            IpamError::Taken => CommandError::AddressTaken,
            IpamError::Full => CommandError::AddressesFull,
            IpamError::Overlaps => CommandError::NetworkOverlaps,
            IpamError::InUse => CommandError::NetworkInUse,
        }
    }
}

/// Networks and reservations.
#[derive(Debug)]
pub struct Ipam {
    networks: Vec<Network, MAX_NETWORKS, u8>,
    /// Networks behind relays, each in its place.
    relays: [Relay; MAX_RELAYS],
    entries: Vec<Entry, MAX_ADDRESSES, u16>,
}

impl Default for Ipam {
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

impl Ipam {
    /// No network and no reservation.
    pub const fn new() -> Self {
        Ipam {
            networks: Vec::new(),
            relays: [relayed::NONE; MAX_RELAYS],
            entries: Vec::new(),
        }
    }

    /// The tenants' networks.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// What the machines on a network are; `None` where it has none of nodes.
    pub(crate) fn domain(&self, network: u8) -> Option<Domain> {
        if network == PROVISIONING {
            return Some(Domain::Boot);
        }
        let found = self.networks.iter().find(|n| n.place == network)?;
        match found.uses {
            Uses::TENANT => Some(Domain::Tenant(*found)),
            uses if uses.intersects(Uses::BOOT) => Some(Domain::Boot),
            _ => None,
        }
    }

    /// All addresses, those that rest included.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds a network, or changes one that has no addresses given away.
    ///
    /// # Errors
    /// [`IpamError::InUse`], [`IpamError::Overlaps`], [`IpamError::Full`].
    pub fn set_network(&mut self, now: Instant, network: Network) -> Result<(), IpamError> {
        let place = network.place;
        let mut others = self.networks.iter().filter(|n| n.place != place);
        if others.any(|other| other.meets(&network)) {
            return Err(IpamError::Overlaps);
        }
        if self.in_use(now, place) {
            return Err(IpamError::InUse);
        }
        self.networks.retain(|known| known.place != place);
        self.networks.push(network).map_err(|_| IpamError::Full)
    }

    /// Removes a network that has no addresses given away.
    ///
    /// # Errors
    /// [`IpamError::InUse`] where it has.
    pub fn remove_network(&mut self, now: Instant, place: u8) -> Result<(), IpamError> {
        if self.in_use(now, place) {
            return Err(IpamError::InUse);
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
    /// See [`IpamError`]; nothing changes.
    pub fn give(
        &mut self,
        now: Instant,
        network: u8,
        mac: Mac,
        address: Option<Ipv4Addr>,
        rest_secs: u32,
    ) -> Result<Ipv4Addr, IpamError> {
        self.sweep(now);
        let own = self.find(network, mac);
        let (address, named) = match (address, own) {
            (None, Some(own)) => return Ok(own),
            (None, None) => (self.pick(network, mac).ok_or(IpamError::Full)?, false),
            (Some(address), _) => (address, true),
        };
        let at = |e: &Entry| e.network == network && e.address == address;
        if let Some(known) = self.entries.iter().position(at) {
            let known = self.entries.get_mut(known).ok_or(IpamError::Full)?;
            // A resting address may go back to whom it belonged to.
            if known.mac != mac {
                return Err(IpamError::Taken);
            }
            known.quarantined_until = 0;
            known.slot = Slot::new(known.slot.number(), named);
        } else {
            let entry = Entry {
                address,
                quarantined_until: 0,
                mac,
                network,
                slot: Slot::new(self.free_slot().ok_or(IpamError::Full)?, named),
            };
            self.entries.push(entry).map_err(|_| IpamError::Full)?;
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
    /// had rests now. How much of the quarantine is over is not known: it begins anew.
    ///
    /// Without a slot, as older firmware wrote it, it takes a free one, or
    /// that of an address that rests.
    pub(crate) fn put(
        &mut self,
        now: Instant,
        network: u8,
        (mac, address): (Mac, Ipv4Addr),
        (named, rests): (bool, bool),
        slot: Option<u16>,
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
            quarantined_until: 0,
            mac,
            network,
            slot: Slot::new(slot, named),
        };
        let _has_room = self.entries.push(entry);
        if rests {
            self.rest(now, network, address, rest_secs);
        }
    }

    fn free_slot(&self) -> Option<u16> {
        let taken = |slot: u16| self.entries.iter().any(|entry| entry.slot.number() == slot);
        (0..MAX_ADDRESSES as u16).find(|slot| !taken(*slot))
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
        ended.map(|entry| entry.quarantined_until = until).count()
    }

    fn rest(&mut self, now: Instant, network: u8, address: Ipv4Addr, rest_secs: u32) {
        let until = seconds(now.plus_millis(u64::from(rest_secs) * 1000));
        let at = |e: &&mut Entry| e.network == network && e.address == address;
        if let Some(entry) = self.entries.iter_mut().find(at) {
            entry.quarantined_until = until;
        }
    }

    /// The lowest free address of the pool; the one that the
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
            .retain(|entry| entry.is_held() || entry.quarantined_until > now);
    }
}

#[cfg(test)]
mod tests;
