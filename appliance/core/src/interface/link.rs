//! What the network glue needs to know of the appliance's networks: which tag
//! carries each, and what is served there.

use bitflags::bitflags;
use core::net::Ipv4Addr;
use farrier_ethernet::NetworkId;

bitflags! {
    /// What the appliance does on a network. Everything else that comes by it is
    /// dropped and counted.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Services: u8 {
        /// It answers DHCP.
        const DHCP = 1;
        /// Servers boot and agents work there: TFTP, files by HTTP, the agents'
        /// port.
        const BOOT = 2;
        /// Operators reach the API.
        const API = 4;
        /// The appliance itself calls devices: switches and BMCs.
        const DRIVERS = 8;
        /// Another server gives the addresses there, and the appliance says what
        /// to boot: UDP port 4011.
        const PROXY = 16;
    }
}

/// One of the appliance's networks as it lies on its trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub network: NetworkId,
    /// Its 802.1Q tag, 1 to 4094; 0 where it comes without one.
    pub vlan: u16,
    /// How many tags it has, from [`vlan`](Self::vlan) on: 1, or one for each
    /// node where nodes are isolated. All of them carry the same addresses.
    pub vlans: u16,
    /// The appliance's address there; unspecified for none.
    pub address: Ipv4Addr,
    /// Length of the prefix, 8 to 30; 0 where there is no address.
    pub prefix: u8,
    /// The router to what is not on the network; unspecified for none.
    pub router: Ipv4Addr,
    /// What the appliance does there.
    pub services: Services,
}

impl Link {
    /// Whether a tag (0 for none) carries this network.
    pub fn has_vlan(&self, vlan: u16) -> bool {
        vlan == self.vlan || vlan > self.vlan && vlan - self.vlan < self.vlans
    }

    /// Whether an address lies on it.
    pub fn on_link(&self, address: Ipv4Addr) -> bool {
        let mask = match self.prefix {
            0 => return false,
            prefix => u32::MAX << (32 - u32::from(prefix.min(32))),
        };
        address.to_bits() & mask == self.address.to_bits() & mask
    }
}
