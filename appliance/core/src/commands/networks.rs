//! Commands about networks and reserved addresses.

use super::check_word;
use crate::interface::CommandError;
use crate::interface::Effects;
use crate::interface::Instant;
use crate::interface::Relay;
use crate::ipam::{Entry, MAX_NETWORKS, Network, PROVISIONING, Uses};
use crate::persist::record::Record;
use crate::rack::Rack;
use crate::strings::{Kind, RACK, StringPool};
use core::net::Ipv4Addr;
use farrier_protocol::message::Mac;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Defines a tenants' network. Its place is found here.
    pub(crate) fn set_network(
        &mut self,
        now: Instant,
        name: &str,
        mut network: Network,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        check_word(name)?;
        let own = Network {
            prefix: self.config.prefix,
            uses: Uses::empty(),
            address: self.config.address,
            ..Network::EMPTY
        };
        if !network.is_sound() {
            return Err(CommandError::BadNetwork);
        }
        if network.meets(&own) {
            return Err(CommandError::NetworkOverlaps);
        }
        let free = || {
            let taken = |place| self.ipam.networks().iter().any(|n| n.place == place);
            (1..=MAX_NETWORKS as u8).find(|place| !taken(*place))
        };
        network.place = match self.texts.find_network(name) {
            Some(PROVISIONING) => return Err(CommandError::NetworkInUse),
            Some(place) => place,
            None => free().ok_or(CommandError::NetworksFull)?,
        };
        if self.has_ports(network.place) {
            return Err(CommandError::NetworkInUse);
        }
        let kind = Kind::Network(network.place);
        if StringPool::cost(name.len()) > self.texts.free() {
            return Err(CommandError::StringsFull);
        }
        self.ipam.set_network(now, network)?;
        self.texts.set(usize::from(RACK), kind, name)?;
        Record::Network { network, name }.emit(out);
        Ok(())
    }

    /// Says who gives addresses to servers that boot. Addresses that machines have
    /// are known as before.
    pub(crate) fn set_boot_dhcp(
        &mut self,
        server: Option<Ipv4Addr>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let server = server.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let config = &self.config;
        let off = !server.is_unspecified() && !config.on_link(server);
        let leased = self.leases.has_place(server);
        if off || server == config.address || leased {
            return Err(CommandError::BadNetwork);
        }
        self.dhcp_server = server;
        Record::BootDhcp { server }.emit(out);
        Ok(())
    }

    /// Serves machines behind a relay.
    pub(crate) fn put_relay(
        &mut self,
        relay: Relay,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        if !relay.is_sound() {
            return Err(CommandError::BadNetwork);
        }
        let own = Network {
            prefix: self.config.prefix,
            uses: Uses::empty(),
            address: self.config.address,
            ..Network::EMPTY
        };
        // The same as a network of no use: it must share no address with others.
        let behind = Network {
            prefix: relay.prefix,
            address: relay.giaddr,
            ..own
        };
        if own.meets(&behind) || self.ipam.networks().iter().any(|n| n.meets(&behind)) {
            return Err(CommandError::NetworkOverlaps);
        }
        let place = self.ipam.put_relay(relay)?;
        Record::Relay { place, relay }.emit(out);
        Ok(())
    }

    /// Serves machines behind a relay no more. What they were given rests.
    pub(crate) fn delete_relay(
        &mut self,
        giaddr: Ipv4Addr,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let (place, known) = self.ipam.relay(giaddr).ok_or(CommandError::NoSuchNetwork)?;
        let relay = Relay {
            pool_len: 0,
            ..known
        };
        self.ipam.restore_relay(place, relay);
        Record::Relay { place, relay }.emit(out);
        Ok(())
    }

    /// Forgets a tenants' network without reservations.
    pub(crate) fn remove_network(
        &mut self,
        now: Instant,
        name: &str,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let place = self.defined_network(name)?;
        if self.has_ports(place) {
            return Err(CommandError::NetworkInUse);
        }
        self.ipam
            .remove_network(now, place)
            .map_err(|_| CommandError::NetworkInUse)?;
        self.texts
            .set(usize::from(RACK), Kind::Network(place), "")?;
        Record::NetworkDeleted { place }.emit(out);
        Ok(())
    }

    /// Whether a port of a switch is on a network, or is to be.
    fn has_ports(&self, place: u8) -> bool {
        let mut networks = self.ipam.networks().iter();
        let Some(network) = networks.find(|known| known.place == place) else {
            return false;
        };
        self.ports.all().iter().any(|port| {
            let on = |vlan| vlan != 0 && network.has_vlan(vlan);
            port.vif == place || port.vlans().into_iter().any(on)
        })
    }

    fn defined_network(&self, name: &str) -> Result<u8, CommandError> {
        match self.texts.find_network(name) {
            Some(place) if place != PROVISIONING => Ok(place),
            _ => Err(CommandError::NoSuchNetwork),
        }
    }

    /// Gives an interface an address; `None` one out of the pool.
    pub(crate) fn give_address(
        &mut self,
        now: Instant,
        network: &str,
        mac: Mac,
        address: Option<Ipv4Addr>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let place = self
            .texts
            .find_network(network)
            .ok_or(CommandError::NoSuchNetwork)?;
        let fits = match (place, address) {
            // An address of the leased pool can't be reserved as well.
            (PROVISIONING, Some(address)) => self.may_be_static(address),
            (PROVISIONING, None) => false,
            (_, None) => true,
            (place, Some(address)) => {
                let networks = self.ipam.networks().iter();
                networks
                    .filter(|n| n.place == place)
                    .any(|n| n.has(address))
            }
        };
        if !fits {
            return Err(CommandError::AddressTaken);
        }
        let rest = self.config.lease_secs;
        let address = self.ipam.give(now, place, mac, address, rest)?;
        let at = |e: &&Entry| e.network == place && e.address == address;
        if let Some(entry) = self.ipam.entries().iter().find(at) {
            Record::of_reservation(entry).emit(out);
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
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let place = self
            .texts
            .find_network(network)
            .ok_or(CommandError::NoSuchNetwork)?;
        let rest = self.config.lease_secs;
        let address = self
            .ipam
            .take(now, place, mac, rest)
            .ok_or(CommandError::NoSuchAddress)?;
        let at = |e: &&Entry| e.network == place && e.address == address;
        if let Some(entry) = self.ipam.entries().iter().find(at) {
            Record::of_reservation(entry).emit(out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
