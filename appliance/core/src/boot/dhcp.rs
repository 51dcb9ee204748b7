//! DHCP: who gets which address, and what it boots.

use crate::boot::{self, OTHER_MACHINE};
use crate::identity::{contradicts, is_real_uuid};
use crate::interface::Instant;
use crate::interface::{Effects, NetworkId};
use crate::ipam::lease::Client;
use crate::node::flags::Flags;
use crate::node::{Hop, Node};
use crate::persist::record::Record;
use crate::rack::{Entropy, Rack, count, edit};
use core::fmt::Write;
use core::net::Ipv4Addr;
use farrier_dhcp::route::reply_route;
use farrier_dhcp::wire::{ClassName, MessageType, Reply, Request};
use farrier_protocol::message::{Mac, NodeId};
use heapless::String;
use uuid::Uuid;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    pub(crate) fn dhcp(
        &mut self,
        now: Instant,
        network: NetworkId,
        from: Mac,
        payload: &[u8],
        entropy: &mut dyn Entropy,
        out: &mut Effects,
    ) {
        if self.secrets.is_none() {
            return;
        }
        let Ok(request) = Request::parse(payload) else {
            count(&mut self.counters.dhcp_malformed);
            return;
        };
        let mac = Mac(request.chaddr);
        // Straight from the machine, the frame's own source must be the one
        // it claims: an address can't be asked for in another's name.
        // A relay sends for machines on other networks, so the frame proves
        // nothing: the operator names the relays.
        let sent_by = match request.giaddr.is_unspecified() {
            true => from == mac,
            false => self.config.relays.contains(&request.giaddr),
        };
        if !sent_by {
            count(&mut self.counters.dhcp_ignored);
            return;
        }
        let boots = request.is_ipxe() || request.class_name() != ClassName::Other;
        let node = match self.find_by_mac(mac) {
            Some(node) => Some(node),
            None if boots => self.discover(now, mac, &request, entropy),
            None => None,
        };
        let mut booting = None;
        if let Some(index) = node
            && let Some(mut node) = self.nodes.volatile(index)
        {
            booting = boots.then_some(index);
            node.seen_on(now, network);
            if boots {
                // Behind a boot that came to its script, this is a new one.
                let chained = node.timeline.reached(Hop::Address).is_some()
                    && node.timeline.reached(Hop::Script).is_none();
                let later = request.is_ipxe() && chained;
                let hop = if later { Hop::Ipxe } else { Hop::Discover };
                node.timeline().mark(hop, now);
                if request.is_ipxe() && !later {
                    node.timeline().rom_is_ipxe();
                }
                if node.system_uuid == [0; 16]
                    && !node.flags.contains(Flags::IDENTIFIED)
                    && let Some(uuid) = request.uuid().filter(is_real_uuid)
                    && let Some(node) = edit!(self, index)
                {
                    // Enrolled by an interface, it is known by more from now on.
                    node.system_uuid = uuid;
                }
            }
        }
        let client = Client::new(mac, &request.identity());
        match request.message_type {
            MessageType::Discover => self.discovered(now, client, &request, boots, booting, out),
            MessageType::Request => self.requested(now, client, &request, boots, booting, out),
            MessageType::Release => {
                let address = request.ciaddr;
                if self.leases.release(now, client, address) {
                    let declined = false;
                    Record::LeaseEnded { address, declined }.emit(out);
                }
            }
            MessageType::Decline => {
                if let Some(address) = request.requested_ip
                    && self.leases.decline(now, client, address)
                {
                    let declined = true;
                    Record::LeaseEnded { address, declined }.emit(out);
                }
            }
            MessageType::Inform => {
                let reply = self.dhcp_reply(&request, MessageType::Ack);
                self.send(&request, reply, boots, out);
            }
            _ => count(&mut self.counters.dhcp_ignored),
        }
    }

    fn discovered(
        &mut self,
        now: Instant,
        client: Client,
        request: &Request<'_>,
        boots: bool,
        booting: Option<usize>,
        out: &mut Effects,
    ) {
        let address = match self.own_address(request) {
            Some(address) => address,
            None => match self.leases.offer(now, client, request.requested_ip) {
                Ok(address) => address,
                Err(_) => {
                    count(&mut self.counters.pool_exhausted);
                    return;
                }
            },
        };
        count(&mut self.counters.dhcp_offers);
        if let Some(mut node) = booting.and_then(|node| self.nodes.volatile(node))
            && node.timeline.reached(Hop::Ipxe).is_none()
        {
            node.timeline().mark(Hop::Offer, now);
        }
        let mut reply = self.dhcp_reply(request, MessageType::Offer);
        reply.yiaddr = address;
        self.send(request, self.with_lease(reply), boots, out);
    }

    fn requested(
        &mut self,
        now: Instant,
        client: Client,
        request: &Request<'_>,
        boots: bool,
        booting: Option<usize>,
        out: &mut Effects,
    ) {
        if request
            .server_id
            .is_some_and(|id| id != self.config.address)
        {
            // The client took another server's offer.
            count(&mut self.counters.dhcp_ignored);
            return;
        }
        let address = match request.requested_ip {
            Some(address) => address,
            None => request.ciaddr,
        };
        let seconds = self.config.lease_secs;
        let bound = match self.own_address(request) {
            Some(own) => own == address,
            None => self.leases.bind(now, client, address, seconds).is_ok(),
        };
        if !bound {
            count(&mut self.counters.dhcp_naks);
            let mut reply = self.dhcp_reply(request, MessageType::Nak);
            reply.message = Some(b"this address is not yours here");
            self.emit(request, &reply, out);
            return;
        }
        count(&mut self.counters.dhcp_acks);
        Record::Lease {
            mac: client.mac,
            key: client.key(),
            address,
            seconds,
        }
        .emit(out);
        if let Some(mut node) = booting.and_then(|node| self.nodes.volatile(node)) {
            node.set_address(address);
            if !request.is_ipxe() || node.timeline.reached(Hop::Ipxe).is_none() {
                node.timeline().mark(Hop::Address, now);
            }
        }
        let mut reply = self.dhcp_reply(request, MessageType::Ack);
        reply.yiaddr = address;
        self.send(request, self.with_lease(reply), boots, out);
    }

    /// The UUID in a message, where it says that another machine sends it than
    /// the interface's node.
    fn other_machine_says(&self, request: &Request<'_>) -> Option<[u8; 16]> {
        let node = self.nodes.get(self.find_by_mac(Mac(request.chaddr))?)?;
        let agreed = node.flags.contains(Flags::DHCP_IDENTIFIED);
        request
            .uuid()
            .filter(|uuid| agreed && contradicts(node, uuid, 0))
    }

    /// The reserved address of a machine; none for one that is another machine
    /// than the interface's node.
    fn own_address(&self, request: &Request<'_>) -> Option<Ipv4Addr> {
        let address = self.static_address(Mac(request.chaddr))?;
        self.other_machine_says(request)
            .is_none()
            .then_some(address)
    }

    fn dhcp_reply<'a>(&self, request: &Request<'a>, kind: MessageType) -> Reply<'a> {
        Reply::answering(request, kind, self.config.address)
    }

    fn with_lease<'a>(&self, reply: Reply<'a>) -> Reply<'a> {
        let seconds = self.config.lease_secs;
        Reply {
            lease_secs: Some(seconds),
            renewal_secs: Some(seconds / 2),
            rebinding_secs: Some(seconds / 8 * 7),
            ..reply
        }
    }

    /// Adds what the client shall boot, and sends.
    fn send(&self, request: &Request<'_>, reply: Reply<'_>, boots: bool, out: &mut Effects) {
        let boots = boots && request.message_type != MessageType::Inform;
        let file = if boots {
            self.boot_file(request)
        } else {
            String::new()
        };
        let reply = Reply {
            mask: Some(self.config.mask()),
            next_server: boots.then_some(match cfg!(farrier_bug = "wrong-server") {
                true => self.config.pool_first,
                false => self.config.address,
            }),
            boot_file: Some(file.as_bytes()).filter(|file| !file.is_empty()),
            ..reply
        };
        self.emit(request, &reply, out);
    }

    /// What a machine that boots from the network loads first; empty where
    /// there is nothing for its architecture.
    fn boot_file(&self, request: &Request<'_>) -> String<64> {
        let mut file = String::new();
        let address = self.config.address;
        let written = if request.is_ipxe()
            && let Some(uuid) = self.other_machine_says(request)
        {
            let uuid = Uuid::from_bytes(uuid).simple();
            write!(file, "http://{address}/{OTHER_MACHINE}{uuid}")
        } else if request.is_ipxe() {
            write!(file, "http://{address}/boot.ipxe")
        } else {
            match boot::program(request.arch()) {
                Some((program, true)) => write!(file, "http://{address}/{program}"),
                Some((program, false)) => file.write_str(program),
                None => Ok(()),
            }
        };
        debug_assert!(written.is_ok(), "boot file names fit");
        file
    }

    fn emit(&self, request: &Request<'_>, reply: &Reply<'_>, out: &mut Effects) {
        out.dhcp_with(reply_route(request, reply), |room| {
            // A reply is at most one frame; the rest of the room is not its.
            let room_len = room.len().min(1472);
            reply.emit(room.get_mut(..room_len)?).ok()
        });
    }

    /// A machine that is not known boots from the network: it becomes a
    /// node, or one more interface of a node with the same UUID.
    fn discover(
        &mut self,
        now: Instant,
        mac: Mac,
        request: &Request<'_>,
        entropy: &mut dyn Entropy,
    ) -> Option<usize> {
        let uuid = request.uuid().filter(is_real_uuid);
        if let Some(uuid) = uuid
            && let Some(known) = self.find_by_uuid(&uuid)
        {
            self.add_port(known, mac).ok()?;
            return Some(known);
        }
        let mut bytes = [0; 16];
        entropy.fill(&mut bytes);
        // RFC 9562: version 4, variant 10.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let mut node = Node::discovered(NodeId(bytes), mac, now);
        node.system_uuid = uuid.unwrap_or_default();
        node.address = Ipv4Addr::UNSPECIFIED;
        let index = self.add_node(node).ok()?;
        Some(index)
    }
}
