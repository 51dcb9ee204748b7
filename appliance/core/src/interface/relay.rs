//! A network of servers behind a relay agent.

use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// A network on which servers boot that the appliance is not on. A relay agent there
/// passes DHCP on (RFC 2131 §4.1, RFC 3046).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// The address by which the relay names the network, `giaddr`: its own there.
    pub giaddr: Ipv4Addr,
    /// Length of the network's prefix, 8 to 30.
    pub prefix: u8,
    /// The router that DHCP names.
    pub router: Ipv4Addr,
    /// The first address that is leased there.
    pub pool_first: Ipv4Addr,
    /// How many are; 0 for a relay that is gone.
    pub pool_len: u16,
}

impl Relay {
    fn mask_bits(&self) -> u32 {
        u32::MAX << (32 - u32::from(self.prefix.clamp(8, 30)))
    }

    /// The network's mask.
    pub fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.mask_bits())
    }

    /// Whether an address lies on the network.
    pub fn on_link(&self, address: Ipv4Addr) -> bool {
        (address.to_bits() ^ self.giaddr.to_bits()) & self.mask_bits() == 0
    }

    /// Whether an address is one of the pool.
    pub fn has(&self, address: Ipv4Addr) -> bool {
        let offset = address.to_bits().checked_sub(self.pool_first.to_bits());
        offset.is_some_and(|offset| offset < u32::from(self.pool_len))
    }

    /// Whether the fields make sense together.
    pub fn is_sound(&self) -> bool {
        let host = |address: Ipv4Addr| {
            let bits = address.to_bits() & !self.mask_bits();
            self.on_link(address) && bits != 0 && bits != !self.mask_bits()
        };
        let first = self.pool_first.to_bits();
        let last = first.checked_add(u32::from(self.pool_len).saturating_sub(1));
        let pool = last.is_some_and(|last| host(self.pool_first) && host(last.into()));
        let own = self.has(self.giaddr) || self.has(self.router);
        let sound = (8..=30).contains(&self.prefix) && self.pool_len > 0 && pool && !own;
        sound && host(self.giaddr) && host(self.router)
    }
}
