//! What operators do with the address book, and what DHCP finds in it.

use crate::book::{BookError, Entry, MAX_NETWORKS, Network, PROVISIONING};
use crate::node::NAME_LEN;
use crate::output::Outputs;
use crate::rack::Rack;
use crate::record::Record;
use crate::refused::Refused;
use crate::texts::{Kind, RACK, Texts};
use crate::time::Instant;
use core::net::Ipv4Addr;
use farrier_protocol::message::Mac;

/// The name of the provisioning network in the API.
pub const PROVISIONING_NAME: &str = "provisioning";

impl From<BookError> for Refused {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Taken => Refused::AddressTaken,
            BookError::Full => Refused::AddressesFull,
        }
    }
}

impl Texts {
    /// The name of a network.
    pub fn network(&self, place: u8) -> &str {
        match place {
            PROVISIONING => PROVISIONING_NAME,
            place => self.get(usize::from(RACK), Kind::Network(place)),
        }
    }

    /// The place of the network of that name.
    pub fn find_network(&self, name: &str) -> Option<u8> {
        (PROVISIONING..=MAX_NETWORKS as u8)
            .find(|place| !name.is_empty() && self.network(*place) == name)
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// The static address of an interface on the provisioning network.
    pub(crate) fn static_address(&self, mac: Mac) -> Option<Ipv4Addr> {
        self.book.find(PROVISIONING, mac)
    }

    /// Defines a tenants' network. Its place is found here.
    pub(crate) fn set_network(
        &mut self,
        now: Instant,
        name: &str,
        mut network: Network,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if name.is_empty() || name.len() > NAME_LEN || !name.bytes().all(allowed) {
            return Err(Refused::BadName);
        }
        let own = Network {
            place: PROVISIONING,
            prefix: self.config.prefix,
            vlan: 0,
            pool_len: 1,
            pool_first: self.config.address,
        };
        if !network.is_sound() || network.meets(&own) {
            return Err(Refused::Network);
        }
        let free = || {
            let taken = |place| self.book.networks().iter().any(|n| n.place == place);
            (1..=MAX_NETWORKS as u8).find(|place| !taken(*place))
        };
        network.place = match self.texts.find_network(name) {
            Some(PROVISIONING) => return Err(Refused::Network),
            Some(place) => place,
            None => free().ok_or(Refused::NetworksFull)?,
        };
        let kind = Kind::Network(network.place);
        if Texts::cost(name.len()) > self.texts.free() {
            return Err(Refused::TextsFull);
        }
        self.book
            .set_network(now, network)
            .map_err(|_| Refused::Network)?;
        self.texts.set(usize::from(RACK), kind, name)?;
        Record::Network { network, name }.emit(out);
        Ok(())
    }

    /// Forgets a tenants' network that nobody has an address of.
    pub(crate) fn remove_network(
        &mut self,
        now: Instant,
        name: &str,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        let place = self.tenants_network(name)?;
        self.book
            .remove_network(now, place)
            .map_err(|_| Refused::Network)?;
        self.texts
            .set(usize::from(RACK), Kind::Network(place), "")?;
        Record::NetworkGone { place }.emit(out);
        Ok(())
    }

    fn tenants_network(&self, name: &str) -> Result<u8, Refused> {
        match self.texts.find_network(name) {
            Some(place) if place != PROVISIONING => Ok(place),
            _ => Err(Refused::NoSuchNetwork),
        }
    }

    /// Gives an interface an address; `None` one out of the pool.
    pub(crate) fn give_address(
        &mut self,
        now: Instant,
        network: &str,
        mac: Mac,
        address: Option<Ipv4Addr>,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        let place = self
            .texts
            .find_network(network)
            .ok_or(Refused::NoSuchNetwork)?;
        let fits = match (place, address) {
            // What is leased out can't be somebody's own as well.
            (PROVISIONING, Some(address)) => self.may_be_static(address),
            (PROVISIONING, None) => false,
            (_, None) => true,
            (place, Some(address)) => {
                let networks = self.book.networks().iter();
                networks
                    .filter(|n| n.place == place)
                    .any(|n| n.has(address))
            }
        };
        if !fits {
            return Err(Refused::AddressTaken);
        }
        let rest = self.config.lease_secs;
        let address = self.book.give(now, place, mac, address, rest)?;
        let at = |e: &&Entry| e.network == place && e.address == address;
        if let Some(entry) = self.book.entries().iter().find(at) {
            entry.record().emit(out);
        }
        Ok(())
    }

    fn may_be_static(&self, address: Ipv4Addr) -> bool {
        let config = &self.config;
        let pool = config.pool_first.to_bits();
        let offset = address.to_bits().checked_sub(pool);
        let leased = offset.is_some_and(|offset| offset < u32::from(config.pool_len));
        let host = address.to_bits() & !config.mask().to_bits();
        let ends = host == 0 || host == !config.mask().to_bits();
        config.on_link(address) && !leased && !ends && address != config.address
    }

    /// Takes an interface's address back. It rests as long as a lease of it
    /// may live.
    pub(crate) fn take_address(
        &mut self,
        now: Instant,
        network: &str,
        mac: Mac,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        let place = self
            .texts
            .find_network(network)
            .ok_or(Refused::NoSuchNetwork)?;
        let rest = self.config.lease_secs;
        self.book
            .take(now, place, mac, rest)
            .ok_or(Refused::NoSuchAddress)?;
        Record::AddressGone {
            network: place,
            mac,
        }
        .emit(out);
        Ok(())
    }

    /// The tenant's use of a node is over: addresses out of tenants' pools
    /// go back.
    pub(crate) fn end_tenant(&mut self, now: Instant, index: usize, out: &mut Outputs) {
        let rest = self.config.lease_secs;
        if let Some(node) = self.nodes.get(index)
            && self.book.end_tenant(now, &node.macs, rest) > 0
        {
            Record::TenantGone { node: node.id }.emit(out);
            // Each by itself as well: a restart may not know the node's
            // interfaces yet when it reads this.
            for entry in self.book.entries() {
                if !entry.is_held() && node.macs.contains(&entry.mac) {
                    entry.record().emit(out);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
