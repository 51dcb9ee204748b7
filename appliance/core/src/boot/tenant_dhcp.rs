//! DHCP on tenants' networks: an interface has the address that was reserved for it
//! there, and nothing to boot.

use crate::interface::{Effects, Instant, MAX_ROUTES, Network, NetworkId, Route};
use crate::rack::{Rack, count};
use core::net::Ipv4Addr;
use farrier_dhcp::route::reply_route;
use farrier_dhcp::wire::{self, DhcpOption, MessageType, Reply, Request, code};
use farrier_protocol::message::Mac;
use heapless::Vec;

/// The longest option of routes: each a length, a network and a router.
const ROUTES_LEN: usize = 9 * (MAX_ROUTES + 1);

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Answers who has a reservation. Others get nothing: the appliance does not know
    /// them, and another server may.
    pub(crate) fn tenant_dhcp(
        &mut self,
        now: Instant,
        network: &Network,
        (from, payload): (Mac, &[u8]),
        out: &mut Effects,
    ) {
        let Ok(request) = Request::parse(payload) else {
            count(&mut self.counters.dhcp_malformed);
            return;
        };
        let mac = Mac(request.chaddr);
        if from == mac && request.giaddr.is_unspecified() && !network.address.is_unspecified() {
            let of = NetworkId(network.place);
            self.took_offer(now, of, network.address, &request);
        }
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
            reply.mtu = Some(network.mtu).filter(|mtu| *mtu > 0);
            if request.message_type != MessageType::Inform {
                let seconds = self.config.lease_secs;
                reply.yiaddr = address;
                reply.lease_secs = Some(seconds);
                reply.renewal_secs = Some(seconds / 2);
                reply.rebinding_secs = Some(seconds / 8 * 7);
            }
        }
        let ntp = network.ntp.octets();
        let mut routes = [0; ROUTES_LEN];
        let routes = match network.routes().next() {
            Some(_) => classless_routes(&mut routes, network),
            None => &[],
        };
        let mut options = Vec::<_, 2>::new();
        for (code, data, has) in [
            (code::NTP, &ntp[..], !network.ntp.is_unspecified()),
            (code::CLASSLESS_ROUTES, routes, !routes.is_empty()),
        ] {
            if has && kind != MessageType::Nak {
                // Both have room.
                let _room = options.push(DhcpOption { code, data });
            }
        }
        reply.extra = &options;
        out.dhcp_with(reply_route(&request, &reply), |room| {
            let room_len = room.len().min(1472);
            reply.emit(room.get_mut(..room_len)?).ok()
        });
    }
}

/// The routes of a network as option 121 has them (RFC 3442). Who takes it looks at
/// no router option, so it has the default route as well.
fn classless_routes<'a>(room: &'a mut [u8; ROUTES_LEN], network: &Network) -> &'a [u8] {
    let default = Route {
        router: network.router,
        ..Route::NONE
    };
    let mut used = 0;
    let default = Some(&default).filter(|default| !default.router.is_unspecified());
    for route in network.routes().chain(default) {
        let left = room.get_mut(used..).unwrap_or_default();
        let (to, prefix) = (route.destination, route.prefix);
        used += wire::classless_route(left, (to, prefix), route.router).unwrap_or(0);
    }
    room.get(..used).unwrap_or_default()
}
