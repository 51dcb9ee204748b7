//! ProxyDHCP: another server gives the addresses, and the appliance says what to
//! boot (PXE 2.1 §2.2). Which address a machine has is learnt from the machine: it
//! asks the appliance on UDP port 4011, from that address.
//!
//! So an offer names no boot file, except for clients that never ask on that port. A
//! boot ROM and iPXE then ask there before they load anything, and the answer is made
//! for interface and address as the answer of the appliance's own server is.

use crate::interface::{Effects, Instant};
use crate::node::Hop;
use crate::rack::{Rack, count};
use core::net::Ipv4Addr;
use farrier_dhcp::wire::{ClassName, MessageType, Reply, Request};
use farrier_protocol::message::Mac;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Answers a DISCOVER of a machine that boots beside the other server's offer.
    /// All other messages are that server's.
    pub(super) fn proxy_offer(
        &mut self,
        now: Instant,
        (mac, node): (Mac, Option<usize>),
        request: &Request<'_>,
        boots: bool,
        out: &mut Effects,
    ) {
        let direct = request.giaddr.is_unspecified();
        // iPXE calls itself a PXE client; a system with its user class alone does not
        // listen to offers without an address.
        let asks = boots && request.class_name() != ClassName::Other;
        if request.message_type != MessageType::Discover || !asks || !direct {
            count(&mut self.counters.dhcp_ignored);
            return;
        }
        let file = self.boot_file(request, Ipv4Addr::UNSPECIFIED);
        if file.is_empty() {
            count(&mut self.counters.dhcp_ignored);
            return;
        }
        count(&mut self.counters.dhcp_offers);
        self.mark_machine(now, (mac, node), (Hop::Offer, None));
        let never_asks = request.class_name() == ClassName::Http && !request.is_ipxe();
        let reply = Reply {
            next_server: Some(self.config.address),
            boot_file: never_asks.then_some(file.as_bytes()),
            // With it, a ROM looks for the file in the offer.
            pxe_discovery_control: None,
            no_pxedhcp: false,
            ..self.dhcp_reply(request, MessageType::Offer)
        };
        self.emit(request, &reply, out);
    }

    /// Answers a machine on port 4011, which says by that which address it has.
    pub(crate) fn pxe_request(
        &mut self,
        now: Instant,
        (from, source): (Mac, Ipv4Addr),
        payload: &[u8],
        out: &mut Effects,
    ) {
        let Ok(request) = Request::parse(payload) else {
            count(&mut self.counters.dhcp_malformed);
            return;
        };
        let mac = Mac(request.chaddr);
        let asks = matches!(
            request.message_type,
            MessageType::Request | MessageType::Inform
        );
        let boots = self.boots_by(mac, self.find_by_mac(mac), &request);
        let direct = from == mac && source == request.ciaddr && request.giaddr.is_unspecified();
        let ours = request
            .server_id
            .is_none_or(|server| server == self.config.address);
        let serves = self.secrets.is_some() && self.dhcp_server().is_some();
        if !(asks && boots && direct && ours && serves) {
            count(&mut self.counters.dhcp_ignored);
            return;
        }
        if !self.has_address(now, mac, source, out) {
            count(&mut self.counters.proxy_refused);
            return;
        }
        count(&mut self.counters.dhcp_acks);
        let node = self.find_by_mac(mac);
        self.mark_machine(now, (mac, node), (Hop::Address, Some(source)));
        let file = self.boot_file(&request, source);
        let reply = Reply {
            next_server: Some(self.config.address),
            boot_file: Some(file.as_bytes()).filter(|file| !file.is_empty()),
            no_pxedhcp: false,
            ..self.dhcp_reply(&request, MessageType::Ack)
        };
        self.emit(&request, &reply, out);
    }
}
