//! Leases of networks behind relays. They lie among the reservations, as addresses
//! that rest: nobody has one for ever, and until its lease is over it is nobody else's.

use super::{Entry, Ipam, IpamError, MAX_ADDRESSES, MAX_NETWORKS, Slot, seconds};
use crate::Instant;
use crate::interface::Relay;
use core::net::Ipv4Addr;
use farrier_protocol::message::Mac;

/// Most networks behind relays.
pub const MAX_RELAYS: usize = 4;
/// What the number of the first one is among networks.
const FIRST: u8 = 0x80;
const _: () = assert!(MAX_NETWORKS < FIRST as usize);

/// A place without a relay.
pub(super) const NONE: Relay = Relay {
    giaddr: Ipv4Addr::UNSPECIFIED,
    prefix: 0,
    router: Ipv4Addr::UNSPECIFIED,
    pool_first: Ipv4Addr::UNSPECIFIED,
    pool_len: 0,
};

impl Ipam {
    /// The network that a relay names by its address, with its place.
    pub(crate) fn relay(&self, giaddr: Ipv4Addr) -> Option<(u8, Relay)> {
        self.relays().find(|(_, relay)| relay.giaddr == giaddr)
    }

    /// The network behind a relay that has an address in its pool, with its place.
    pub(crate) fn relay_of(&self, address: Ipv4Addr) -> Option<(u8, Relay)> {
        self.relays().find(|(_, relay)| relay.has(address))
    }

    /// All networks behind relays, with their places.
    pub fn relays(&self) -> impl Iterator<Item = (u8, Relay)> + Clone {
        let all = (0..).zip(self.relays);
        all.filter(|(_, relay)| relay.pool_len > 0)
    }

    /// The relay in a place.
    pub(crate) fn relay_at(&self, place: u8) -> Option<Relay> {
        self.relays().find(|known| known.0 == place).map(|it| it.1)
    }

    /// Adds a network behind a relay, or changes one. Gives its place.
    ///
    /// # Errors
    /// [`IpamError::Full`]; [`IpamError::Overlaps`] where another relay's network has
    /// an address of it.
    pub(crate) fn put_relay(&mut self, relay: Relay) -> Result<u8, IpamError> {
        let meets = |other: &Relay| other.on_link(relay.giaddr) || relay.on_link(other.giaddr);
        let overlaps = self
            .relays()
            .any(|(_, other)| other.giaddr != relay.giaddr && meets(&other));
        if overlaps {
            return Err(IpamError::Overlaps);
        }
        let known = self.relay(relay.giaddr).map(|known| known.0);
        let free = || {
            let place = self.relays.iter().position(|known| known.pool_len == 0)?;
            u8::try_from(place).ok()
        };
        let place = known.or_else(free).ok_or(IpamError::Full)?;
        self.restore_relay(place, relay);
        Ok(place)
    }

    /// Puts a relay into a place.
    pub(crate) fn restore_relay(&mut self, place: u8, relay: Relay) {
        if let Some(known) = self.relays.get_mut(usize::from(place)) {
            *known = relay;
        }
    }

    /// Whose address this is, on any network behind a relay.
    pub(crate) fn relayed_owner(&self, address: Ipv4Addr) -> Option<Mac> {
        let (place, _) = self.relay_of(address)?;
        let at = |e: &&Entry| e.network == FIRST + place && e.address == address;
        self.entries.iter().find(at).map(|entry| entry.mac)
    }

    /// The address that an interface would be given: its own, else the one that it
    /// asks for, else a free one. Nothing is held for it: where the search begins is
    /// its own, so that two rarely ask for one.
    pub(crate) fn relayed_offer(
        &mut self,
        now: Instant,
        place: u8,
        mac: Mac,
        wish: Option<Ipv4Addr>,
    ) -> Option<Ipv4Addr> {
        self.sweep(now);
        let relay = self.relay_at(place)?;
        let network = FIRST + place;
        let own = |e: &&Entry| e.network == network && e.mac == mac && relay.has(e.address);
        if let Some(own) = self.entries.iter().find(own) {
            return Some(own.address);
        }
        let free = |address: &Ipv4Addr| {
            let at = |e: &Entry| e.network == network && e.address == *address;
            relay.has(*address) && !self.entries.iter().any(at)
        };
        let [.., a, b] = mac.0;
        let (start, len) = (u32::from(a) << 8 | u32::from(b), u32::from(relay.pool_len));
        let first = relay.pool_first.to_bits();
        wish.filter(free).or_else(|| {
            (0..len)
                .map(|turn| Ipv4Addr::from_bits(first + (start + turn) % len))
                .find(free)
        })
    }

    /// Leases an address to an interface for so many seconds, in place of another one
    /// of the same network. Gives the entry, and whether it is to be recorded: one
    /// with more than half of its time left stays as it is. `spare` is how many
    /// reservations are to be left for others.
    ///
    /// # Errors
    /// [`IpamError::Taken`], also for an address that is none of the pool's;
    /// [`IpamError::Full`].
    pub(crate) fn relayed_bind(
        &mut self,
        now: Instant,
        place: u8,
        (mac, address): (Mac, Ipv4Addr),
        lasts: u32,
        spare: usize,
    ) -> Result<(Entry, bool), IpamError> {
        self.sweep(now);
        let relay = self.relay_at(place).ok_or(IpamError::Taken)?;
        let network = FIRST + place;
        let here = |e: &Entry| e.network == network && e.address == address;
        if !relay.has(address) || self.entries.iter().any(|e| here(e) && e.mac != mac) {
            return Err(IpamError::Taken);
        }
        let until = seconds(now.plus_millis(u64::from(lasts) * 1000));
        let own = |e: &Entry| e.network == network && e.mac == mac;
        if let Some(entry) = self.entries.iter_mut().find(|e| own(e)) {
            let long = entry.quarantined_until > seconds(now).saturating_add(lasts / 2);
            if entry.address == address && long {
                return Ok((*entry, false));
            }
            entry.address = address;
            entry.quarantined_until = until;
            return Ok((*entry, true));
        }
        if self.entries.len() + spare >= MAX_ADDRESSES {
            return Err(IpamError::Full);
        }
        let entry = Entry {
            address,
            quarantined_until: until,
            mac,
            network,
            slot: Slot::new(self.free_slot().ok_or(IpamError::Full)?, false),
        };
        self.entries.push(entry).map_err(|_| IpamError::Full)?;
        Ok((entry, true))
    }

    /// For how many seconds a leased address is still its interface's.
    pub(crate) fn left_of(&self, now: Instant, entry: &Entry) -> u32 {
        entry.quarantined_until.saturating_sub(seconds(now))
    }
}
