//! Leases of the provisioning network.
//!
//! An address of the pool belongs to one client at a time. A client keeps
//! its address as long as nobody else needs it, an offered one is held for
//! [`OFFER_MILLIS`], and an address is given to another client only when
//! its lease has run out. When all are taken the request is refused and
//! counted; nobody's address is taken away.

mod slots;

use crate::Instant;
use core::net::Ipv4Addr;
use farrier_dhcp::wire::ClientIdentity;
use farrier_protocol::message::Mac;
use slots::{Slots, State};

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
    pub fn new(mac: Mac, identity: &ClientIdentity<'_>) -> Self {
        let mut key = Fnv::START;
        match identity {
            // Type 1 and the hardware address (RFC 2132 §9.14) says no more than
            // the address itself: boot ROMs send none, and iPXE this one.
            ClientIdentity::ClientId([1, id @ ..]) if *id == mac.0 => key.add(0).add_all(id),
            ClientIdentity::ClientId(id) => key.add(1).add_all(id),
            ClientIdentity::Hardware(mac) => key.add(0).add_all(mac),
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

/// Why a request for an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseError {
    /// Every address is held.
    Exhausted,
    /// The address is not the client's.
    NotYours,
}

/// What a client is told of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// For how long it has the address, in seconds.
    pub seconds: u32,
    /// It was made or prolonged now, and is to be recorded.
    pub is_new: bool,
}

/// What is durable of one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseView {
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
    slots: Slots<L>,
}

impl<const L: usize> Leases<L> {
    /// No leases.
    pub const fn new() -> Self {
        Leases {
            first: Ipv4Addr::UNSPECIFIED,
            slots: Slots::new(),
        }
    }

    /// Sets the pool and forgets every lease. The secrets are random: a peer
    /// that knows them can make requests slow.
    pub fn configure(&mut self, first: Ipv4Addr, len: usize, secrets: [u64; 2]) {
        self.first = first;
        self.slots.reset(len, secrets);
    }

    /// How many addresses there are, and how many of them are bound now.
    pub fn usage(&self, now: Instant) -> (usize, usize) {
        let bound = (0..self.slots.len())
            .filter_map(|index| self.slots.get(index))
            .filter(|slot| matches!(slot, State::Held { until, bound: true, .. } if *until > now));
        (self.slots.len(), bound.count())
    }

    /// How many addresses there are.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether a client has an address now, or the offer of one.
    pub(crate) fn has(&self, now: Instant, client: Client) -> bool {
        let slot = self.slots.find(client).and_then(|at| self.slots.get(at));
        matches!(slot, Some(State::Held { until, .. }) if until > now)
    }

    /// Whether a client has or had an address.
    pub(crate) fn knows(&self, client: Client) -> bool {
        self.slots.find(client).is_some()
    }

    /// Whether a client that has no address may be given one: its interface has
    /// less than `share` identities with an address, and `reserve` others could
    /// be given one too. Looks at the whole pool.
    pub(crate) fn spares(&self, now: Instant, mac: Mac, share: usize, reserve: usize) -> bool {
        let (mut own, mut free) = (0, 0);
        for index in 0..self.slots.len() {
            match self.slots.get(index) {
                Some(State::Held { until, .. }) if until <= now => free += 1,
                Some(State::Held { client, .. }) => own += usize::from(client.mac == mac),
                Some(State::Free) => free += 1,
                Some(State::Declined { until }) => free += usize::from(until <= now),
                None => {}
            }
        }
        own < share && free > reserve
    }

    /// Finds an address for a client: its own, else the one that it asks for,
    /// else a free one, else the one that ran out first. Holds it as an offer.
    ///
    /// # Errors
    /// [`LeaseError::Exhausted`].
    pub fn offer(
        &mut self,
        now: Instant,
        client: Client,
        wish: Option<Ipv4Addr>,
    ) -> Result<Ipv4Addr, LeaseError> {
        if let Some(index) = self.slots.find(client) {
            if let Some(State::Held { until, bound, .. }) = self.slots.get(index) {
                let held_until = now.plus_millis(OFFER_MILLIS);
                // An offer never shortens a lease that the client has.
                if until < held_until {
                    self.slots.hold(index, client, held_until, bound);
                }
            }
            return Ok(self.address(index));
        }
        let index = wish
            .and_then(|a| self.index(a))
            .filter(|i| self.takeable(now, *i))
            .or_else(|| self.slots.unused())
            .or_else(|| {
                let (until, index) = self.slots.first_out()?;
                (until <= now || cfg!(farrier_bug = "addresses")).then_some(index)
            })
            .ok_or(LeaseError::Exhausted)?;
        self.slots
            .hold(index, client, now.plus_millis(OFFER_MILLIS), false);
        Ok(self.address(index))
    }

    /// Binds an address to a client that has it, was offered it, or asks
    /// for a free one of the pool (a client that outlives the appliance's
    /// restart). A lease that has more than half of its time stays as it is
    /// (RFC 2131 §4.3.1 has the server return the expiration that was assigned
    /// before), and needs no record.
    ///
    /// # Errors
    /// [`LeaseError::NotYours`].
    pub fn bind(
        &mut self,
        now: Instant,
        client: Client,
        address: Ipv4Addr,
        seconds: u32,
    ) -> Result<Lease, LeaseError> {
        let index = self.index(address).ok_or(LeaseError::NotYours)?;
        match self.slots.find(client) {
            Some(own) if own == index => {
                if let Some(State::Held { until, bound, .. }) = self.slots.get(index)
                    && bound
                    && until.since(now) > u64::from(seconds) * 500
                    && until > now
                {
                    let left = u32::try_from(until.since(now) / 1000).unwrap_or(seconds);
                    return Ok(Lease {
                        seconds: left.min(seconds),
                        is_new: false,
                    });
                }
            }
            Some(_) => return Err(LeaseError::NotYours),
            None if self.slots.get(index) == Some(State::Free) => {}
            None => return Err(LeaseError::NotYours),
        }
        Ok(self.lease_anew(now, client, index, seconds))
    }

    fn lease_anew(&mut self, now: Instant, client: Client, index: usize, seconds: u32) -> Lease {
        let until = now.plus_millis(u64::from(seconds) * 1000);
        self.slots.hold(index, client, until, true);
        Lease {
            seconds,
            is_new: true,
        }
    }

    /// Whether an address is one of the pool.
    pub(crate) fn has_place(&self, address: Ipv4Addr) -> bool {
        self.index(address).is_some()
    }

    /// The address that a client has or had last.
    pub(crate) fn address_of(&self, client: Client) -> Option<Ipv4Addr> {
        Some(self.address(self.slots.find(client)?))
    }

    /// Who has an address now, if somebody has.
    pub(crate) fn holder(&self, now: Instant, address: Ipv4Addr) -> Option<Mac> {
        match self.slots.get(self.index(address)?)? {
            State::Held { client, until, .. } if until > now => Some(client.mac),
            _ => None,
        }
    }

    /// Takes up that a client has an address which another server gave it, in
    /// place of whoever had it. The client must have no other one. Like
    /// [`bind`](Self::bind), it leaves alone what has more than half of its time.
    ///
    /// # Errors
    /// [`LeaseError::NotYours`] where the address is not in the pool, or the client
    /// has another one.
    pub(crate) fn adopt(
        &mut self,
        now: Instant,
        client: Client,
        address: Ipv4Addr,
        seconds: u32,
    ) -> Result<Lease, LeaseError> {
        let index = self.index(address).ok_or(LeaseError::NotYours)?;
        match self.slots.find(client) {
            Some(own) if own != index => Err(LeaseError::NotYours),
            Some(_) => self.bind(now, client, address, seconds),
            None => Ok(self.lease_anew(now, client, index, seconds)),
        }
    }

    /// Ends a client's lease. The address stays reserved for it. `false`
    /// where it is not the client's.
    pub fn release(&mut self, now: Instant, client: Client, address: Ipv4Addr) -> bool {
        let own = self.own(client, address);
        if let Some(index) = own {
            self.slots.hold(index, client, now, false);
        }
        own.is_some()
    }

    /// Takes an address out of use for [`DECLINED_MILLIS`]: its client found
    /// somebody else there. Only the client that holds it can say so.
    pub fn decline(&mut self, now: Instant, client: Client, address: Ipv4Addr) -> bool {
        let own = self.own(client, address);
        if let Some(index) = own {
            let until = now.plus_millis(DECLINED_MILLIS);
            self.slots.decline(index, until);
        }
        own.is_some()
    }

    /// Takes up a lease of before a restart. How much of it is over is not
    /// knows: it is given its whole time again.
    pub(crate) fn restore(
        &mut self,
        now: Instant,
        client: Client,
        address: Ipv4Addr,
        seconds: u32,
    ) {
        if let Some(index) = self.index(address) {
            let until = now.plus_millis(u64::from(seconds) * 1000);
            self.slots.hold(index, client, until, true);
        }
    }

    /// The end of a lease of before a restart.
    pub(crate) fn restore_end(&mut self, now: Instant, address: Ipv4Addr, declined: bool) {
        let Some(index) = self.index(address) else {
            return;
        };
        if declined {
            let until = now.plus_millis(DECLINED_MILLIS);
            self.slots.decline(index, until);
        } else if let Some(State::Held { client, .. }) = self.slots.get(index) {
            self.slots.hold(index, client, now, false);
        }
    }

    /// For how many seconds an address is leased; `None` where it is not.
    pub(crate) fn left(&self, now: Instant, address: Ipv4Addr) -> Option<u32> {
        match self.lease_view(now, self.index(address)?)? {
            LeaseView::Bound { seconds, .. } => Some(seconds),
            LeaseView::Declined { .. } => None,
        }
    }

    /// What a record says of the address in this place of the pool: its
    /// lease with the seconds that are left of it, or that it is declined.
    /// Offers are promises of a moment and no records.
    pub(crate) fn lease_view(&self, now: Instant, index: usize) -> Option<LeaseView> {
        let address = self.address(index);
        match self.slots.get(index)? {
            State::Held {
                client,
                until,
                bound: true,
            } => Some(LeaseView::Bound {
                client,
                address,
                seconds: u32::try_from(until.since(now).div_ceil(1000)).unwrap_or(u32::MAX),
            }),
            State::Declined { until } if until > now => Some(LeaseView::Declined { address }),
            _ => None,
        }
    }

    /// Whose address this is.
    pub fn owner(&self, address: Ipv4Addr) -> Option<Mac> {
        match self.slots.get(self.index(address)?)? {
            State::Held {
                client,
                bound: true,
                ..
            } => Some(client.mac),
            _ => None,
        }
    }

    /// The place of an address, if the client has it.
    fn own(&self, client: Client, address: Ipv4Addr) -> Option<usize> {
        self.index(address)
            .filter(|index| self.slots.find(client) == Some(*index))
    }

    fn takeable(&self, now: Instant, index: usize) -> bool {
        match self.slots.get(index) {
            Some(State::Free) => true,
            Some(State::Held { until, .. } | State::Declined { until }) => until <= now,
            None => false,
        }
    }

    fn index(&self, address: Ipv4Addr) -> Option<usize> {
        let offset = address.to_bits().checked_sub(self.first.to_bits())?;
        usize::try_from(offset)
            .ok()
            .filter(|i| *i < self.slots.len())
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
mod tests;
