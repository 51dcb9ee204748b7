//! DHCP: who gets which address, and what it boots.

use crate::boot::{self, OTHER_MACHINE};
use crate::identity::{contradicts, is_real_uuid};
use crate::interface::Instant;
use crate::interface::{Effects, NetworkId, Uses};
use crate::ipam::budget::ENDINGS;
use crate::ipam::lease::{Client, Lease};
use crate::node::flags::Flags;
use crate::node::{Hop, Timeline};
use crate::persist::record::Record;
use crate::rack::{Rack, count, edit};
use core::fmt::Write;
use core::net::Ipv4Addr;
use farrier_dhcp::route::reply_route;
use farrier_dhcp::wire::{ClassName, MessageType, Reply, Request};
use farrier_protocol::credential::Place;
use farrier_protocol::message::Mac;
use heapless::String;
use uuid::Uuid;

/// Longest boot file in bytes.
const BOOT_FILE: usize = 96;
const PROVISIONING: NetworkId = NetworkId::PROVISIONING;
/// Ethernet's longest IP packet, in bytes.
const MTU: u16 = 1500;
/// Bytes in front of it in a frame with a tag.
const FRAME_HEADER: u16 = 18;
/// Identities of one interface that have an address at once. Firmware, iPXE,
/// ramdisk and system may have one each, and a system before the present one.
const IDENTITIES: usize = 5;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    pub(crate) fn dhcp(
        &mut self,
        now: Instant,
        network: NetworkId,
        from: Mac,
        payload: &[u8],
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
        // A lease from behind a relay is renewed past the relay (RFC 2131, 4.4.5).
        let renews =
            request.giaddr.is_unspecified() && self.ipam.relayed_owner(request.ciaddr) == Some(mac);
        let relay = match renews {
            true => self.ipam.relay_of(request.ciaddr),
            false => self.ipam.relay(request.giaddr),
        };
        let sent_by = match request.giaddr.is_unspecified() {
            true => from == mac || renews,
            false => relay.is_some() || self.config.relays.contains(&request.giaddr),
        };
        if !sent_by {
            count(&mut self.counters.dhcp_ignored);
            return;
        }
        let node = self.find_by_mac(mac);
        let boots = self.boots_by(mac, node, &request);
        if request.giaddr.is_unspecified() && !renews {
            self.took_offer(now, PROVISIONING, self.config.address, &request);
        }
        if let Some(index) = node {
            self.node_boots(now, index, network, boots, &request);
        } else if boots {
            self.stranger_boots(now, mac, &request);
        }
        if let Some(relay) = relay {
            self.relayed(now, relay, node, &request, boots, out);
            return;
        }
        if self.dhcp_server().is_some() {
            self.proxy_offer(now, (mac, node), &request, boots, out);
            return;
        }
        let client = Client::new(mac, &request.identity());
        match request.message_type {
            MessageType::Discover => self.discovered(now, client, &request, boots, node, out),
            MessageType::Request => self.requested(now, client, &request, boots, node, out),
            MessageType::Release => {
                let address = request.ciaddr;
                if self.may_end(now, client) && self.leases.release(now, client, address) {
                    let declined = false;
                    Record::LeaseEnded { address, declined }.emit(out);
                }
            }
            MessageType::Decline => {
                if let Some(address) = request.requested_ip
                    && self.may_end(now, client)
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

    /// Whether a machine boots by an interface from the network: it asks for that, and
    /// no operator has taken the interface out.
    pub(super) fn boots_by(&self, mac: Mac, node: Option<usize>, request: &Request<'_>) -> bool {
        (request.is_ipxe() || request.class_name() != ClassName::Other)
            && node.is_none_or(|index| self.texts.interface(index, mac).pxe_enabled)
    }

    /// A known machine has sent a DHCP message.
    fn node_boots(
        &mut self,
        now: Instant,
        index: usize,
        network: NetworkId,
        boots: bool,
        request: &Request<'_>,
    ) {
        let Some(mut node) = self.nodes.volatile(index) else {
            return;
        };
        node.seen_on(now, network);
        if !boots {
            return;
        }
        mark_boot(node.timeline(), now, request);
        if node.system_uuid == [0; 16]
            && !node.flags.contains(Flags::IDENTIFIED)
            && let Some(uuid) = request.uuid().filter(is_real_uuid)
            && let Some(node) = edit!(self, index)
        {
            // Enrolled by an interface, it is known by more from now on.
            node.system_uuid = uuid;
        }
    }

    /// A machine boots by an interface that belongs to no node. What it says is
    /// noted for people, and makes it nobody.
    fn stranger_boots(&mut self, now: Instant, mac: Mac, request: &Request<'_>) {
        count(&mut self.counters.strangers);
        let Some(stranger) = self.strangers.see(now, mac) else {
            return;
        };
        mark_boot(&mut stranger.timeline, now, request);
        if let Some(uuid) = request.uuid().filter(is_real_uuid) {
            stranger.uuid = uuid;
        }
    }

    fn discovered(
        &mut self,
        now: Instant,
        client: Client,
        request: &Request<'_>,
        boots: bool,
        node: Option<usize>,
        out: &mut Effects,
    ) {
        let address = match self.own_address(request) {
            Some(address) => address,
            None if !self.may_lease(now, client) => {
                count(&mut self.counters.leases_withheld);
                return;
            }
            None => match self.leases.offer(now, client, request.requested_ip) {
                Ok(address) => address,
                Err(_) => {
                    count(&mut self.counters.pool_exhausted);
                    return;
                }
            },
        };
        count(&mut self.counters.dhcp_offers);
        if boots {
            self.mark_machine(now, (client.mac, node), (Hop::Offer, None));
        }
        let mut reply = self.dhcp_reply(request, MessageType::Offer);
        reply.yiaddr = address;
        let reply = with_lease(reply, self.config.lease_secs);
        self.send(request, reply, boots, out);
    }

    fn requested(
        &mut self,
        now: Instant,
        client: Client,
        request: &Request<'_>,
        boots: bool,
        node: Option<usize>,
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
            Some(own) => (own == address).then_some(Lease {
                seconds,
                // A restart knows it by its reservation.
                is_new: false,
            }),
            // A client of before a restart, whose lease was forgotten.
            None if !self.may_lease(now, client) => {
                count(&mut self.counters.leases_withheld);
                None
            }
            None => self.leases.bind(now, client, address, seconds).ok(),
        };
        let Some(lease) = bound else {
            count(&mut self.counters.dhcp_naks);
            let mut reply = self.dhcp_reply(request, MessageType::Nak);
            reply.message = Some(b"this address is not yours here");
            self.emit(request, &reply, out);
            return;
        };
        count(&mut self.counters.dhcp_acks);
        if lease.is_new {
            Record::Lease {
                mac: client.mac,
                key: client.key(),
                address,
                seconds,
            }
            .emit(out);
        }
        if boots {
            self.mark_machine(now, (client.mac, node), (Hop::Address, Some(address)));
        }
        let mut reply = self.dhcp_reply(request, MessageType::Ack);
        reply.yiaddr = address;
        self.send(request, with_lease(reply, lease.seconds), boots, out);
    }

    /// Notes that a machine that boots has come so far, and with which address: in its
    /// node, or else among the strangers.
    pub(super) fn mark_machine(
        &mut self,
        now: Instant,
        (mac, node): (Mac, Option<usize>),
        (hop, address): (Hop, Option<Ipv4Addr>),
    ) {
        if let Some(mut node) = node.and_then(|node| self.nodes.volatile(node)) {
            if let Some(address) = address {
                node.set_address(address);
            }
            mark_unless_ipxe(node.timeline(), now, hop);
        } else if let Some(stranger) = self.strangers.see(now, mac) {
            stranger.address = address.unwrap_or(stranger.address);
            mark_unless_ipxe(&mut stranger.timeline, now, hop);
        }
    }

    /// Whether a client that has no address may be given one. A known machine
    /// always may, and strangers leave an address for each that has none.
    fn may_lease(&mut self, now: Instant, client: Client) -> bool {
        if self.leases.has(now, client) {
            return true;
        }
        if self.find_by_mac(client.mac).is_some() {
            return self.leases.spares(now, client.mac, IDENTITIES, 0);
        }
        let nodes = self.nodes.iter().filter(|node| !node.is_vacant());
        let without =
            nodes.filter(|node| matches!(self.leases.left(now, node.address), None | Some(0)));
        let reserve = match cfg!(farrier_bug = "stranger-flood") {
            true => 0,
            false => without.count(),
        };
        self.leases.spares(now, client.mac, IDENTITIES, reserve) && self.may_lease_anew(now)
    }

    /// Whether a client may give an address back, or say that it is taken.
    fn may_end(&mut self, now: Instant, client: Client) -> bool {
        let may = !self.leases.knows(client) || self.endings.take(now, client.mac, &ENDINGS);
        if !may {
            count(&mut self.counters.declines_ignored);
        }
        may
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

    pub(super) fn dhcp_reply<'a>(&self, request: &Request<'a>, kind: MessageType) -> Reply<'a> {
        Reply::answering(request, kind, self.config.address)
    }

    /// Adds what the client shall boot, and sends.
    fn send(&self, request: &Request<'_>, reply: Reply<'_>, boots: bool, out: &mut Effects) {
        let boots = boots && request.message_type != MessageType::Inform;
        let file = if boots {
            self.boot_file(request, reply.yiaddr)
        } else {
            String::new()
        };
        let reply = Reply {
            mask: Some(self.config.mask()),
            mtu: self.boot_mtu(),
            next_server: boots.then_some(match cfg!(farrier_bug = "wrong-server") {
                true => self.config.pool_first,
                false => self.config.address,
            }),
            boot_file: Some(file.as_bytes()).filter(|file| !file.is_empty()),
            ..reply
        };
        self.emit(request, &reply, out);
    }

    /// The longest IP packet where servers boot, where the appliance's driver has no
    /// room for a whole one and a tag.
    fn boot_mtu(&self) -> Option<u16> {
        let longest = self.longest_frame.checked_sub(FRAME_HEADER);
        let longest = longest.filter(|longest| *longest < MTU)?;
        let mut networks = self.ipam.networks().iter();
        let tagged = networks.any(|n| n.vlan != 0 && n.uses.intersects(Uses::BOOT));
        tagged.then_some(longest)
    }

    /// What a machine that boots from the network loads first; empty where
    /// there is nothing for its architecture.
    pub(super) fn boot_file(&self, request: &Request<'_>, yiaddr: Ipv4Addr) -> String<BOOT_FILE> {
        let mut file = String::new();
        let address = self.config.address;
        let place = Place {
            mac: Mac(request.chaddr),
            address: yiaddr.octets(),
            network: PROVISIONING.0,
        };
        let written = if request.is_ipxe()
            && let Some(uuid) = self.other_machine_says(request)
        {
            let uuid = Uuid::from_bytes(uuid).simple();
            write!(file, "http://{address}/{OTHER_MACHINE}{uuid}")
        } else if request.is_ipxe() {
            match self.new_credential(&place, request.xid) {
                Some(credential) => boot::write_script_url(&mut file, address, &credential),
                None => Ok(()),
            }
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

    pub(super) fn emit(&self, request: &Request<'_>, reply: &Reply<'_>, out: &mut Effects) {
        out.dhcp_with(reply_route(request, reply), |room| {
            // A reply is at most one frame; the rest of the room is not its.
            let room_len = room.len().min(1472);
            reply.emit(room.get_mut(..room_len)?).ok()
        });
    }
}

/// Notes a DHCP message of a boot in its timeline.
fn mark_boot(timeline: &mut Timeline, now: Instant, request: &Request<'_>) {
    // Behind a boot that came to its script, this is a new one.
    let chained =
        timeline.reached(Hop::Address).is_some() && timeline.reached(Hop::Script).is_none();
    let later = request.is_ipxe() && chained;
    timeline.mark(if later { Hop::Ipxe } else { Hop::Discover }, now);
    if request.is_ipxe() && !later {
        timeline.rom_is_ipxe();
    }
}

/// Notes a hop of the boot ROM's exchange. iPXE's own comes behind it.
pub(super) fn mark_unless_ipxe(timeline: &mut Timeline, now: Instant, hop: Hop) {
    if timeline.reached(Hop::Ipxe).is_none() {
        timeline.mark(hop, now);
    }
}

pub(super) fn with_lease(reply: Reply<'_>, seconds: u32) -> Reply<'_> {
    Reply {
        lease_secs: Some(seconds),
        renewal_secs: Some(seconds / 2),
        rebinding_secs: Some(seconds / 8 * 7),
        ..reply
    }
}
