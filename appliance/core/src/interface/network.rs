//! A tenants' network.

use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

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
