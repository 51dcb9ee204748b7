//! Who may be given an address, and which address another DHCP server gave.

use crate::interface::{Effects, Instant};
use crate::ipam::PROVISIONING;
use crate::ipam::budget::ENDINGS;
use crate::ipam::lease::Client;
use crate::persist::record::Record;
use crate::rack::Rack;
use core::net::Ipv4Addr;
use farrier_dhcp::wire::ClientIdentity;
use farrier_protocol::message::Mac;

/// Strangers may have as many new leases in this time as the pool has
/// addresses, in milliseconds: the whole pool at once, and then less.
const POOL_MILLIS: u64 = 3_600_000;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Whether one more stranger may be given an address now.
    pub(crate) fn may_lease_anew(&mut self, now: Instant) -> bool {
        let pool = u32::try_from(self.leases.len()).unwrap_or(u32::MAX);
        let refill = POOL_MILLIS / u64::from(pool.max(1));
        self.new_leases.take(now, pool, refill)
    }

    /// Takes up that an interface has an address which the other server gave it.
    /// `false` where the address is another one's, or none of the pool's. Without
    /// another server it changes nothing.
    ///
    /// A source can be forged, so who has an address keeps it for the time of a
    /// lease, a node's machine comes before one that is no node, and changes are
    /// bounded as those of the appliance's own leases are.
    pub(crate) fn has_address(
        &mut self,
        now: Instant,
        mac: Mac,
        address: Ipv4Addr,
        out: &mut Effects,
    ) -> bool {
        if self.dhcp_server().is_none() {
            return true;
        }
        if let Some(owner) = self.ipam.owner(PROVISIONING, address) {
            return owner == mac;
        }
        let is_node = self.find_by_mac(mac).is_some();
        let holder = self.leases.holder(now, address);
        if let Some(other) = holder.filter(|other| *other != mac)
            && !(is_node && self.find_by_mac(other).is_none())
        {
            return false;
        }
        let client = Client::new(mac, &ClientIdentity::Hardware(mac.0));
        let before = self.leases.address_of(client);
        let moves = before.is_some_and(|before| before != address);
        let is_new = moves || holder != Some(mac);
        if !self.leases.has_place(address) || is_new && !self.may_adopt(now, mac, is_node) {
            return false;
        }
        if let Some(before) = before.filter(|_| moves)
            && self.leases.decline(now, client, before)
        {
            let (address, declined) = (before, true);
            Record::LeaseEnded { address, declined }.emit(out);
        }
        // An address is its holder's by whatever identity: this one takes its place.
        let seconds = self.config.lease_secs;
        let Ok(lease) = self.leases.adopt(now, client, address, seconds) else {
            return false;
        };
        if lease.is_new {
            let key = client.key();
            Record::Lease {
                mac,
                key,
                address,
                seconds,
            }
            .emit(out);
        }
        true
    }

    /// Whether another address of an interface may be taken up now.
    fn may_adopt(&mut self, now: Instant, mac: Mac, is_node: bool) -> bool {
        match is_node {
            true => self.endings.take(now, mac, &ENDINGS),
            false => self.may_lease_anew(now),
        }
    }
}
