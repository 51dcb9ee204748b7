//! DHCP for servers behind a relay agent that an operator has named: each relay's
//! network has a pool of its own, and the relay's own option comes back whole
//! (RFC 3046 §2.2).

use super::dhcp::with_lease;
use crate::interface::{Effects, Instant, Relay};
use crate::ipam::MAX_ADDRESSES;
use crate::node::Hop;
use crate::persist::record::Record;
use crate::rack::{Rack, count};
use core::net::Ipv4Addr;
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_protocol::message::Mac;

/// So many reservations strangers leave to nodes and to operators.
const SPARE: usize = MAX_ADDRESSES / 2;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// A message that a relay passed on. What ends a lease is not taken: the relay
    /// does not prove who says so, and a lease ends by itself.
    pub(super) fn relayed(
        &mut self,
        now: Instant,
        (place, relay): (u8, Relay),
        node: Option<usize>,
        request: &Request<'_>,
        boots: bool,
        out: &mut Effects,
    ) {
        let mac = Mac(request.chaddr);
        let elsewhere = request
            .server_id
            .is_some_and(|server| server != self.config.address);
        match request.message_type {
            MessageType::Discover => {
                let wish = request.requested_ip;
                let Some(address) = self.ipam.relayed_offer(now, place, mac, wish) else {
                    count(&mut self.counters.pool_exhausted);
                    return;
                };
                count(&mut self.counters.dhcp_offers);
                if boots {
                    self.mark_machine(now, (mac, node), (Hop::Offer, None));
                }
                let seconds = self.config.lease_secs;
                let reply = self.relayed_reply(request, MessageType::Offer, &relay);
                self.give_relayed(request, reply, (address, seconds), boots, out);
            }
            MessageType::Request if !elsewhere => {
                let address = request.requested_ip.unwrap_or(request.ciaddr);
                let Some(seconds) = self.bind_relayed(now, place, (mac, address), node, out) else {
                    count(&mut self.counters.dhcp_naks);
                    let mut reply = self.dhcp_reply(request, MessageType::Nak);
                    reply.message = Some(b"this address is not yours here");
                    self.emit(request, &reply, out);
                    return;
                };
                count(&mut self.counters.dhcp_acks);
                if boots {
                    self.mark_machine(now, (mac, node), (Hop::Address, Some(address)));
                }
                let reply = self.relayed_reply(request, MessageType::Ack, &relay);
                self.give_relayed(request, reply, (address, seconds), boots, out);
            }
            _ => count(&mut self.counters.dhcp_ignored),
        }
    }

    /// Leases an address; for how many seconds.
    fn bind_relayed(
        &mut self,
        now: Instant,
        place: u8,
        (mac, address): (Mac, Ipv4Addr),
        node: Option<usize>,
        out: &mut Effects,
    ) -> Option<u32> {
        let known = self.ipam.relayed_owner(address) == Some(mac);
        if node.is_none() && !known && !self.may_lease_anew(now) {
            count(&mut self.counters.leases_withheld);
            return None;
        }
        let spare = if node.is_some() { 0 } else { SPARE };
        let lasts = self.config.lease_secs;
        let bound = self
            .ipam
            .relayed_bind(now, place, (mac, address), lasts, spare);
        let (entry, is_new) = bound.ok()?;
        if is_new {
            Record::of_reservation(&entry).emit(out);
        }
        Some(self.ipam.left_of(now, &entry))
    }

    fn relayed_reply<'a>(
        &self,
        request: &Request<'a>,
        kind: MessageType,
        relay: &Relay,
    ) -> Reply<'a> {
        Reply {
            mask: Some(relay.mask()),
            router: Some(relay.router),
            ..self.dhcp_reply(request, kind)
        }
    }

    /// Sends an address, and what to boot with it.
    fn give_relayed(
        &self,
        request: &Request<'_>,
        reply: Reply<'_>,
        (address, seconds): (Ipv4Addr, u32),
        boots: bool,
        out: &mut Effects,
    ) {
        let file = match boots {
            true => self.boot_file(request, address),
            false => heapless::String::new(),
        };
        let reply = Reply {
            yiaddr: address,
            next_server: boots.then_some(self.config.address),
            boot_file: Some(file.as_bytes()).filter(|file| !file.is_empty()),
            ..with_lease(reply, seconds)
        };
        self.emit(request, &reply, out);
    }
}
