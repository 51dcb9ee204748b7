//! DHCP and the agent protocol: raw UDP datagrams as inputs of the rack, and
//! effects as raw UDP datagrams.

use core::net::{Ipv4Addr, SocketAddrV4};

use farrier_core::interface::NetworkId;
use farrier_core::{Endpoint, Input};
use farrier_dhcp::route::Route;
use farrier_ethernet::frame::UdpFrame;
use farrier_protocol::message::Mac;

use crate::net::{RawUdpError, RawUdpSender};

/// The DHCP server's UDP port.
pub const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
const BROADCAST: [u8; 6] = [0xFF; 6];

/// A datagram as an input.
#[inline]
pub(crate) fn input<'a>(datagram: &UdpFrame<'a>) -> Input<'a> {
    let mac = Mac(datagram.src_mac);
    let network = NetworkId::PROVISIONING;
    if datagram.dst_port == DHCP_SERVER {
        Input::Dhcp {
            network,
            from: mac,
            payload: datagram.payload,
        }
    } else {
        Input::Agent {
            from: Endpoint {
                network,
                mac,
                ip: datagram.src,
                port: datagram.src_port,
            },
            datagram: datagram.payload,
        }
    }
}

/// Sends a DHCP reply. `neighbour` is the hardware address that the request
/// came from: a relay's, where one is in between.
#[inline]
pub(crate) fn send_dhcp(
    sender: &mut RawUdpSender,
    neighbour: Option<[u8; 6]>,
    route: Route,
    payload: &[u8],
) -> Result<(), RawUdpError> {
    let neighbour = neighbour.unwrap_or(BROADCAST);
    let (mac, ip, port) = match route {
        Route::Relay(ip) => (neighbour, ip, DHCP_SERVER),
        Route::Unicast(ip) => (neighbour, ip, DHCP_CLIENT),
        Route::Broadcast => (BROADCAST, Ipv4Addr::BROADCAST, DHCP_CLIENT),
        Route::RawUnicast { mac, ip } => (mac, ip, DHCP_CLIENT),
    };
    sender.send(DHCP_SERVER, mac, SocketAddrV4::new(ip, port), payload)
}

/// Sends a datagram of the agent protocol from our port.
#[inline]
pub(crate) fn send_agent(
    sender: &mut RawUdpSender,
    port: u16,
    to: Endpoint,
    datagram: &[u8],
) -> Result<(), RawUdpError> {
    sender.send(port, to.mac.0, SocketAddrV4::new(to.ip, to.port), datagram)
}
