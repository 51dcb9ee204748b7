//! DHCP and the agent protocol: raw UDP datagrams as inputs of the rack, and
//! effects as raw UDP datagrams.

use core::net::{Ipv4Addr, SocketAddrV4};

use farrier_core::{Endpoint, Input};
use farrier_dhcp::route::Route;
use farrier_dhcp::wire::{MessageType, Packet, code};
use farrier_protocol::message::Mac;

use crate::net::{Datagram, PXE, RawUdpError, RawUdpSender, Segment};

/// Whether a datagram to this port is a DHCP message.
pub(crate) const fn is_dhcp(port: u16) -> bool {
    matches!(port, DHCP_SERVER | PXE)
}

/// The DHCP server's UDP port.
pub const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
const BROADCAST: [u8; 6] = [0xFF; 6];

/// Where a datagram came from: replies go there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    /// Network and tag.
    pub(crate) segment: Segment,
    /// The hardware address: a relay's, where one is in between.
    pub(crate) mac: [u8; 6],
    /// Its UDP port, and the one that it sent to.
    pub(crate) ports: (u16, u16),
}

/// A datagram as an input, and where it came from.
#[inline]
pub(crate) fn input<'a>(datagram: &Datagram<'a>) -> (Input<'a>, Sender) {
    let Datagram {
        segment,
        udp: datagram,
    } = datagram;
    let sender = Sender {
        segment: *segment,
        mac: datagram.src_mac,
        ports: (datagram.src_port, datagram.dst_port),
    };
    let mac = Mac(datagram.src_mac);
    let network = segment.network;
    let input = if datagram.dst_port == DHCP_SERVER {
        Input::Dhcp {
            network,
            from: mac,
            payload: datagram.payload,
        }
    } else if datagram.dst_port == PXE {
        Input::PxeRequest {
            network,
            from: mac,
            source: datagram.src,
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
    };
    (input, sender)
}

/// Sends a DHCP reply to where the request came from.
#[inline]
pub(crate) fn send_dhcp(
    sender: &mut RawUdpSender,
    to: Sender,
    route: Route,
    payload: &[u8],
) -> Result<(), RawUdpError> {
    let neighbour = to.mac;
    if to.ports.1 == PXE {
        // A machine that has its address asked from it, and waits at the port that
        // it asked from.
        let Route::Unicast(ip) = route else {
            return Err(RawUdpError::NoLink);
        };
        let at = SocketAddrV4::new(ip, to.ports.0);
        return sender.send(PXE, (to.segment, neighbour), at, payload);
    }
    let (mac, ip, port) = match route {
        Route::Relay(ip) => (neighbour, ip, DHCP_SERVER),
        Route::Unicast(ip) => (neighbour, ip, DHCP_CLIENT),
        Route::Broadcast => (BROADCAST, Ipv4Addr::BROADCAST, DHCP_CLIENT),
        Route::RawUnicast { mac, ip } => (mac, ip, DHCP_CLIENT),
    };
    let to = (to.segment, mac);
    sender.send(DHCP_SERVER, to, SocketAddrV4::new(ip, port), payload)
}

/// The interface and the address that a DHCP reply binds together: an ACK that
/// gives an address, and goes through no relay, or the ACK of proxyDHCP to a machine
/// that has one.
pub(crate) fn bound(from: Sender, payload: &[u8]) -> Option<([u8; 6], Ipv4Addr)> {
    let reply = Packet::new_checked(payload).ok()?;
    let mut options = reply.options();
    let kind = options.find(|option| option.code == code::MESSAGE_TYPE)?;
    let is_ack = kind.as_u8() == Some(MessageType::Ack as u8);
    let address = match from.ports.1 {
        PXE => reply.ciaddr(),
        _ => reply.yiaddr(),
    };
    let gives = !address.is_unspecified() && reply.giaddr().is_unspecified();
    let mac = *reply.chaddr().first_chunk::<6>()?;
    (is_ack && gives).then_some((mac, address))
}

/// Sends a datagram of the agent protocol from our port to where the one came from
/// that it answers: its router, where one is in between.
#[inline]
pub(crate) fn send_agent(
    sender: &mut RawUdpSender,
    port: u16,
    (from, to): (Sender, Endpoint),
    datagram: &[u8],
) -> Result<(), RawUdpError> {
    let address = SocketAddrV4::new(to.ip, to.port);
    sender.send(port, (from.segment, from.mac), address, datagram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use farrier_dhcp::wire::{Reply, Request};

    #[test]
    fn an_ack_with_an_address_binds_it() {
        let (mac, address) = ([2; 6], Ipv4Addr::new(172, 22, 0, 20));
        let server = Ipv4Addr::new(172, 22, 0, 1);
        let sender = |port| Sender {
            segment: Segment::NATIVE,
            mac,
            ports: (68, port),
        };
        let asked_at = |port, kind, yiaddr, ciaddr, relay| {
            let mut asked = [0; 400];
            let mut request = Request::new(MessageType::Request, 7, mac);
            request.giaddr = relay;
            request.ciaddr = ciaddr;
            let length = request.emit(&mut asked).unwrap();
            let request = Request::parse(&asked[..length]).unwrap();
            let mut reply = Reply::answering(&request, kind, server);
            reply.yiaddr = yiaddr;
            let mut bytes = [0; 600];
            let length = reply.emit(&mut bytes).unwrap();
            bound(sender(port), &bytes[..length])
        };
        let none = Ipv4Addr::UNSPECIFIED;
        let made = |kind, yiaddr, relay| asked_at(DHCP_SERVER, kind, yiaddr, none, relay);
        assert_eq!(made(MessageType::Ack, address, none), Some((mac, address)));
        assert_eq!(made(MessageType::Offer, address, none), None);
        assert_eq!(made(MessageType::Nak, none, none), None);
        assert_eq!(made(MessageType::Ack, none, none), None, "of an INFORM");
        assert_eq!(made(MessageType::Ack, address, server), None, "by a relay");
        assert_eq!(bound(sender(DHCP_SERVER), &[0; 239]), None);
        let proxy = |port| asked_at(port, MessageType::Ack, none, address, none);
        assert_eq!(proxy(PXE), Some((mac, address)), "another server gave it");
        assert_eq!(proxy(DHCP_SERVER), None, "of an INFORM");
    }
}
