//! What passes between the wire and the one stack, and what it looks like on the
//! other side. The stack has one address and knows no networks; here is what
//! keeps them apart.
//!
//! A frame from the wire belongs to the link that has its tag. It passes if its
//! sender is a host there, if it is for the appliance's address there, and if
//! the link has a service on its port. A frame of the stack goes to the link on
//! which its destination is, and nowhere else. Where a link's address is not the
//! stack's, the one takes the place of the other. On a link without a service of
//! the stack, ARP is answered here.
//!
//! Everything in here works on frames without tags.

use core::net::Ipv4Addr;

use farrier_core::interface::{Link, Services};
use farrier_ethernet::arp::{Arp, Operation};
use farrier_ethernet::ipv4::{self, Content};

use super::links::{Entry, Known, Links, NoWay, STACK, Segment, is_broadcast, is_host};

/// Ports of the services.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local {
    /// The appliance's hardware address.
    pub(super) mac: [u8; 6],
    /// TCP port of the HTTP server.
    pub(super) http: u16,
    /// UDP port of the DHCP server.
    pub(super) dhcp: u16,
    /// UDP port of the agent protocol.
    pub(super) agents: u16,
}

/// Where a machine asks what to boot whose address another server gave it.
pub(crate) const PXE: u16 = 4011;
/// The TFTP listener's port.
const TFTP: u16 = 69;
/// The first port that the stack gives to a socket which asks for none: those of
/// TFTP's transfers and of connections to devices.
const EPHEMERAL: u16 = 1025;
const ECHO_REQUEST: u8 = 8;

/// Where the target's address is in a frame with an ARP message, and the
/// sender's.
const ARP_TARGET: core::ops::Range<usize> = 38..42;
const ARP_SENDER: core::ops::Range<usize> = 28..32;

/// Why a frame was dropped, in the order of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// From the wire: its tag carries no network.
    UnknownTag,
    /// For somebody else, or of a protocol that the appliance does not speak.
    NotOurs,
    /// From an address that is not on its network, that is the appliance's, or
    /// that is bound to another interface.
    WrongSource,
    /// From an interface that is bound to another tag.
    WrongTag,
    /// From an interface that is bound to no tag, where nodes are kept apart.
    NoBinding,
    /// For a port that has no service on the network.
    WrongService,
    /// To the wire: the destination is on no network.
    OutNoLink,
    /// Its destination is not bound to a tag.
    OutNoBinding,
    /// From a port that has no service on the network.
    OutWrongService,
    /// The driver has no room for it with its tag.
    OutTooLong,
}

impl Dropped {
    /// Every reason, with the name of its counter.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::UnknownTag, "mux_unknown_tag"),
        (Self::NotOurs, "mux_not_ours"),
        (Self::WrongSource, "mux_wrong_source"),
        (Self::WrongTag, "mux_wrong_tag"),
        (Self::NoBinding, "mux_no_binding"),
        (Self::WrongService, "mux_wrong_service"),
        (Self::OutNoLink, "mux_out_no_link"),
        (Self::OutNoBinding, "mux_out_no_binding"),
        (Self::OutWrongService, "mux_out_wrong_service"),
        (Self::OutTooLong, "mux_out_too_long"),
    ];
}

impl From<NoWay> for Dropped {
    fn from(why: NoWay) -> Self {
        match why {
            NoWay::NoLink => Self::OutNoLink,
            NoWay::NoBinding => Self::OutNoBinding,
        }
    }
}

/// What becomes of a frame from the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inward {
    /// The stack gets it.
    Stack,
    /// The stack gets it: a segment for the HTTP server.
    Http,
    /// The stack gets it: a datagram for the TFTP listener.
    Tftp,
    /// A message for the DHCP server, or for proxyDHCP.
    Dhcp {
        /// Where it came from.
        from: Segment,
        /// Whether servers boot there.
        boots: bool,
    },
    /// A datagram of the agent protocol.
    Agent(Segment),
    /// The multiplexer answers with this message.
    Answer(Segment, Arp),
    /// It may be an IPv6 router solicitation, which the multiplexer answers.
    Ipv6(Segment),
    /// Nobody gets it.
    Drop(Dropped),
}

impl Links {
    /// What becomes of a frame that came by a tag (0 for none). Its addresses are
    /// the stack's afterwards where the stack gets it.
    #[inline]
    pub(super) fn inward(&self, local: &Local, vlan: u16, frame: &mut [u8]) -> Inward {
        match self.judge(local, vlan, frame) {
            Ok(inward) => inward,
            Err(why) => Inward::Drop(why),
        }
    }

    fn judge(&self, local: &Local, vlan: u16, frame: &mut [u8]) -> Result<Inward, Dropped> {
        let entry = self.carried_by(vlan).ok_or(Dropped::UnknownTag)?;
        let link = &entry.link;
        let segment = entry.segment(vlan);
        let Some(&[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, hi, lo]) = frame.first_chunk()
        else {
            return Err(Dropped::NotOurs);
        };
        if [d0, d1, d2, d3, d4, d5] != local.mac && d0 & 1 == 0 {
            return Err(Dropped::NotOurs);
        }
        let mac = [s0, s1, s2, s3, s4, s5];
        if s0 & 1 != 0 || mac == local.mac {
            return Err(Dropped::WrongSource);
        }
        match [hi, lo] {
            [0x08, 0x06] => self.arp(local, entry, (segment, mac), frame),
            [0x08, 0x00] => self.ipv4(local, entry, (segment, mac), frame),
            [0x86, 0xdd] if link.services.contains(Services::BOOT) => Ok(Inward::Ipv6(segment)),
            _ => Err(Dropped::NotOurs),
        }
    }

    fn arp(
        &self,
        local: &Local,
        entry: &Entry,
        (segment, mac): (Segment, [u8; 6]),
        frame: &mut [u8],
    ) -> Result<Inward, Dropped> {
        let link = &entry.link;
        let message = Arp::parse(frame).ok_or(Dropped::NotOurs)?;
        if message.target != link.address || message.target.is_unspecified() {
            return Err(Dropped::NotOurs);
        }
        let is_probe = message.sender.is_unspecified();
        // A relay may ask with the address that it has in the other network.
        let behind = message.sender_mac == mac
            && !is_probe
            && self.comes_from_behind(entry, mac, message.sender);
        if message.sender_mac != mac || !is_probe && !behind && !is_host(link, message.sender) {
            return Err(Dropped::WrongSource);
        }
        if behind || !link.services.intersects(STACK) {
            // The stack does not know the address.
            if message.operation != Operation::Request {
                return Err(Dropped::NotOurs);
            }
            return Ok(Inward::Answer(segment, answer(local, link, &message)));
        }
        let known = match is_probe {
            true => Known::Here,
            false => self.knows(entry, segment.vlan, mac, message.sender),
        };
        if known != Known::Here
            && message.operation == Operation::Request
            && link.services.contains(Services::PROXY)
        {
            // It has to ask before it is bound, and to find us for that. The stack
            // does not learn its address by it.
            return Ok(Inward::Answer(segment, answer(local, link, &message)));
        }
        from(known)?;
        put(frame, ARP_TARGET, self.stack());
        Ok(Inward::Stack)
    }

    fn ipv4(
        &self,
        local: &Local,
        entry: &Entry,
        (segment, mac): (Segment, [u8; 6]),
        frame: &mut [u8],
    ) -> Result<Inward, Dropped> {
        let link = &entry.link;
        let packet = ipv4::read(frame).ok_or(Dropped::NotOurs)?;
        let is_ours = packet.destination == link.address && !link.address.is_unspecified();
        if let Content::Udp(_, to) = packet.content
            && to == local.dhcp
            && (is_ours || is_broadcast(link, packet.destination))
        {
            // Who has no address, has moved, or asks for others behind a relay:
            // the rack judges by the message.
            return match link.services.contains(Services::DHCP) {
                true => Ok(Inward::Dhcp {
                    from: segment,
                    boots: link.services.contains(Services::BOOT),
                }),
                false => Err(Dropped::WrongService),
            };
        }
        if !is_ours {
            return Err(Dropped::NotOurs);
        }
        let behind = self.comes_from_behind(entry, mac, packet.source);
        if !behind && !is_host(link, packet.source) {
            return Err(Dropped::WrongSource);
        }
        if matches!(packet.content, Content::Udp(_, PXE)) {
            // Its answer binds it, as that of DHCP does.
            return match link.services.contains(Services::PROXY) {
                true => Ok(Inward::Dhcp {
                    from: segment,
                    boots: true,
                }),
                false => Err(Dropped::WrongService),
            };
        }
        let known = match behind {
            true => Known::Here,
            false => self.knows(entry, segment.vlan, mac, packet.source),
        };
        let port = match packet.content {
            Content::Tcp(_, to) | Content::Udp(_, to) => to,
            Content::Icmp(_) | Content::Other => 0,
        };
        if matches!(packet.content, Content::Udp(..)) && port == local.agents {
            // Its session proves who it is, and the reply goes back by the same
            // tag: after a restart nobody is bound yet, and a port that was moved
            // has another tag than the one it was bound to.
            if !matches!(known, Known::Unbound | Known::Elsewhere) {
                from(known)?;
            }
            return match link.services.contains(Services::BOOT) {
                true => Ok(Inward::Agent(segment)),
                false => Err(Dropped::WrongService),
            };
        }
        from(known)?;
        let asks = !matches!(packet.content, Content::Icmp(kind) if kind != ECHO_REQUEST);
        if !asks || !serves(local, link.services, packet.content, port) {
            return Err(Dropped::WrongService);
        }
        if link.address != self.stack() {
            ipv4::replace_destination(frame, self.stack());
        }
        Ok(match packet.content {
            Content::Tcp(..) if port == local.http => Inward::Http,
            Content::Udp(..) if port == TFTP => Inward::Tftp,
            _ => Inward::Stack,
        })
    }

    /// The segment on which a frame of the stack goes out. Its addresses are the
    /// link's afterwards.
    ///
    /// # Errors
    /// It goes nowhere.
    #[inline]
    pub(super) fn outward(&self, local: &Local, frame: &mut [u8]) -> Result<Segment, Dropped> {
        if let Some(message) = Arp::parse(frame) {
            let (segment, link) = self.to(frame, message.target)?;
            let address = link.address;
            if message.sender != self.stack() || !link.services.intersects(STACK) {
                return Err(Dropped::OutWrongService);
            }
            put(frame, ARP_SENDER, address);
            return Ok(segment);
        }
        let packet = ipv4::read(frame).ok_or(Dropped::OutNoLink)?;
        let (segment, link) = self.to(frame, packet.destination)?;
        let (address, services) = (link.address, link.services);
        let port = match packet.content {
            Content::Tcp(from, _) | Content::Udp(from, _) => from,
            Content::Icmp(_) | Content::Other => 0,
        };
        if packet.source != self.stack() || !serves(local, services, packet.content, port) {
            return Err(Dropped::OutWrongService);
        }
        if address != self.stack() {
            ipv4::replace_source(frame, address);
        }
        Ok(segment)
    }

    /// The answer to the stack's own question where a peer is that is behind a router:
    /// there. The question does not leave.
    pub(super) fn answer_stack(&self, local: &Local, frame: &[u8]) -> Option<Arp> {
        let message = Arp::parse(frame)?;
        let router = self.router_to(message.target)?;
        (message.operation == Operation::Request).then_some(Arp {
            operation: Operation::Reply,
            sender_mac: router,
            sender: message.target,
            target_mac: local.mac,
            target: self.stack(),
        })
    }

    /// The way of a frame to an address.
    fn to(&self, frame: &[u8], ip: Ipv4Addr) -> Result<(Segment, &Link), Dropped> {
        let (segment, link, interface) = self.way(ip)?;
        let to = frame.first_chunk::<6>().ok_or(Dropped::OutNoLink)?;
        // The stack may still know the interface that had the address before.
        let is_right = |mac: [u8; 6]| to[0] & 1 != 0 || *to == mac;
        if !interface.is_none_or(is_right) {
            return Err(Dropped::OutNoBinding);
        }
        Ok((segment, link))
    }
}

/// The answer to an ARP request for the appliance's address on a link.
fn answer(local: &Local, link: &Link, request: &Arp) -> Arp {
    Arp {
        operation: Operation::Reply,
        sender_mac: local.mac,
        sender: link.address,
        target_mac: request.sender_mac,
        target: request.sender,
    }
}

fn from(known: Known) -> Result<(), Dropped> {
    match known {
        Known::Here => Ok(()),
        Known::Another => Err(Dropped::WrongSource),
        Known::Elsewhere => Err(Dropped::WrongTag),
        Known::Unbound => Err(Dropped::NoBinding),
    }
}

/// Whether a link has a service of the stack at one of the appliance's ports.
fn serves(local: &Local, services: Services, content: Content, port: u16) -> bool {
    let by = match content {
        Content::Tcp(..) if port == local.http => Services::API | Services::BOOT,
        Content::Tcp(..) if port >= EPHEMERAL => Services::DRIVERS,
        Content::Udp(..) if port == TFTP => Services::BOOT,
        Content::Udp(..) if port >= EPHEMERAL && port != local.agents => {
            Services::BOOT | Services::DRIVERS
        }
        Content::Icmp(_) => STACK,
        _ => Services::empty(),
    };
    services.intersects(by)
}

fn put(frame: &mut [u8], at: core::ops::Range<usize>, address: Ipv4Addr) {
    if let Some(room) = frame.get_mut(at) {
        room.copy_from_slice(&address.octets());
    }
}

#[cfg(test)]
mod tests;
