//! DHCP on tenants' networks: an interface has the address that was reserved for it
//! there, and nothing to boot.

use crate::interface::{Effects, Network};
use crate::rack::{Rack, count};
use core::net::Ipv4Addr;
use farrier_dhcp::route::reply_route;
use farrier_dhcp::wire::{DhcpOption, MessageType, Reply, Request, code};
use farrier_protocol::message::Mac;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Answers who has a reservation. Others get nothing: the appliance does not know
    /// them, and another server may.
    pub(crate) fn tenant_dhcp(
        &mut self,
        network: &Network,
        from: Mac,
        payload: &[u8],
        out: &mut Effects,
    ) {
        let Ok(request) = Request::parse(payload) else {
            count(&mut self.counters.dhcp_malformed);
            return;
        };
        let mac = Mac(request.chaddr);
        let direct = from == mac && request.giaddr.is_unspecified();
        let own = self.ipam.find(network.place, mac);
        let (Some(address), true) = (own, direct && !network.address.is_unspecified()) else {
            count(&mut self.counters.dhcp_ignored);
            return;
        };
        let asked = match request.requested_ip {
            Some(asked) => asked,
            None => request.ciaddr,
        };
        let elsewhere = request.server_id.is_some_and(|id| id != network.address);
        let kind = match request.message_type {
            MessageType::Discover => MessageType::Offer,
            MessageType::Request if elsewhere => {
                count(&mut self.counters.dhcp_ignored);
                return;
            }
            MessageType::Request if asked != address => MessageType::Nak,
            MessageType::Request | MessageType::Inform => MessageType::Ack,
            // The reservation stays.
            _ => return,
        };
        let counter = match kind {
            MessageType::Offer => &mut self.counters.dhcp_offers,
            MessageType::Nak => &mut self.counters.dhcp_naks,
            _ => &mut self.counters.dhcp_acks,
        };
        count(counter);
        let mut reply = Reply::answering(&request, kind, network.address);
        if kind == MessageType::Nak {
            reply.message = Some(b"this address is not yours here");
        } else {
            let some = |address: Ipv4Addr| (!address.is_unspecified()).then_some(address);
            reply.mask = Some(network.netmask());
            reply.router = some(network.router);
            reply.dns = some(network.dns).into_iter().collect();
            if request.message_type != MessageType::Inform {
                let seconds = self.config.lease_secs;
                reply.yiaddr = address;
                reply.lease_secs = Some(seconds);
                reply.renewal_secs = Some(seconds / 2);
                reply.rebinding_secs = Some(seconds / 8 * 7);
            }
        }
        let (mtu, ntp) = (network.mtu.to_be_bytes(), network.ntp.octets());
        let options = [
            DhcpOption {
                code: code::MTU,
                data: &mtu,
            },
            DhcpOption {
                code: code::NTP,
                data: &ntp,
            },
        ];
        reply.extra = match (network.mtu > 0, !network.ntp.is_unspecified()) {
            _ if kind == MessageType::Nak => &[],
            (true, true) => &options,
            (true, false) => options.get(..1).unwrap_or_default(),
            (false, true) => options.get(1..).unwrap_or_default(),
            (false, false) => &[],
        };
        out.dhcp_with(reply_route(&request, &reply), |room| {
            let room_len = room.len().min(1472);
            reply.emit(room.get_mut(..room_len)?).ok()
        });
    }
}
