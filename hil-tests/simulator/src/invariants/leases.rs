//! The invariants of DHCP: an address is promised to one client at a time, and
//! replies name the appliance.

use core::net::Ipv4Addr;

use farrier_core::{Config, Input};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_protocol::message::Mac;

use super::Invariants;
use crate::boot::appliance_address;

impl Invariants {
    /// An input that the rack is about to take: clients may give addresses
    /// back.
    pub fn input(&mut self, input: &Input<'_>) {
        let Input::Dhcp { payload, .. } = input else {
            return;
        };
        let Ok(request) = Request::parse(payload) else {
            return;
        };
        let given_back = match request.message_type {
            MessageType::Release => request.ciaddr,
            MessageType::Decline => request.requested_ip.unwrap_or(Ipv4Addr::UNSPECIFIED),
            _ => return,
        };
        let mac = Mac(request.chaddr);
        if self
            .promised
            .get(&given_back)
            .is_some_and(|(owner, _)| *owner == mac)
        {
            self.promised.remove(&given_back);
        }
    }

    pub(super) fn dhcp(&mut self, now: u64, payload: &[u8]) {
        let Ok(reply) = Reply::parse(payload) else {
            self.wrong(now, || "a DHCP reply does not parse".into());
            return;
        };
        let own = match reply.server_id.octets() {
            // Tenants' networks, where it has an address.
            [10, 80, place @ 1..=2, 1] => Ipv4Addr::new(10, 80, place, 1),
            _ => appliance_address(),
        };
        if reply.server_id != own || reply.next_server.is_some_and(|server| server != own) {
            self.wrong(now, || "a DHCP reply names a wrong server".into());
        }
        if let Some(url) = reply
            .boot_file
            .and_then(|file| file.strip_prefix(b"http://"))
            && !url.starts_with(format!("{own}/").as_bytes())
        {
            self.wrong(now, || "a boot file lies on a wrong server".into());
        }
        let seconds = match (reply.message_type, reply.lease_secs) {
            (MessageType::Ack, Some(seconds)) => seconds,
            (MessageType::Offer, Some(_)) => 0,
            _ => return,
        };
        let (address, mac) = (reply.yiaddr, Mac(reply.chaddr));
        let on_link = match own.octets() {
            [10, 80, ..] => address.octets()[..3] == own.octets()[..3],
            _ => Config::default().on_link(address),
        };
        if address == own || !on_link {
            self.wrong(now, || format!("{address} is no address to give away"));
        }
        if let Some((owner, until)) = self.promised.get(&address)
            && *owner != mac
            && *until > now
        {
            let owner = *owner;
            self.wrong(now, || {
                format!("{address} is promised to {mac:?} and still belongs to {owner:?}")
            });
        }
        if reply.message_type == MessageType::Offer {
            self.offers.offered(now, mac);
        }
        if seconds > 0 {
            let until = now + u64::from(seconds) * 1000;
            self.promised.insert(address, (mac, until));
        }
    }
}
