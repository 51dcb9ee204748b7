//! What the network glue saw on a network that should perhaps not be there.

use core::net::Ipv4Addr;
use farrier_ethernet::NetworkId;
use farrier_protocol::message::Mac;

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SightingKind {
    /// A DHCP server that is not the appliance answered a client, or a client took
    /// its offer.
    DhcpServer,
    /// An interface said by ARP that it has the appliance's address.
    OwnAddress,
    /// An interface said by ARP that it has an address. The rack knows whether it is
    /// another one's.
    Address,
}

impl SightingKind {
    /// As the API shows what is wrong.
    pub const fn as_str(self) -> &'static str {
        match self {
            SightingKind::DhcpServer => "dhcp server",
            SightingKind::OwnAddress => "the appliance's address",
            SightingKind::Address => "duplicate address",
        }
    }
}

/// Something that was seen, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// What.
    pub kind: SightingKind,
    /// The network.
    pub network: NetworkId,
    /// The 802.1Q tag; 0 for none.
    pub vlan: u16,
    /// The interface that sent it; all zeros where that is not known.
    pub mac: Mac,
    /// The server's address, or the one that the interface claims.
    pub address: Ipv4Addr,
}
