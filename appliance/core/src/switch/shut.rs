//! Ports that are shut on an alarm, where an operator wants it: where a network has
//! the use `shut`. Such a port goes to a VLAN of that network, which leads nowhere,
//! and stays there until an operator says anew where the interface is. Only ports that
//! are known to be a node's are shut.

use crate::interface::{Effects, Instant, NAME_LEN, Sighting, String, Uses, cut};
use crate::ports::Sources;
use crate::rack::{Rack, count, edit};
use farrier_protocol::message::Mac;

/// How a node's error begins that says so.
const SHUT: &str = "port ";

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Shuts the port by which something came that is wrong. Where each node has a VLAN
    /// of its own the VLAN names the node; elsewhere the sender's address does, and
    /// anybody on that network can forge it.
    pub(crate) fn shut_port(&mut self, now: Instant, sighting: Sighting, out: &mut Effects) {
        let Some(mac) = self.port_of_sighting(&sighting) else {
            return;
        };
        let Some(index) = self.node_of_port(mac, None) else {
            return;
        };
        // A port that is not surely the machine's is not moved.
        if self.shut_vlan(index).is_none() || self.doubt(mac).is_some() {
            return;
        }
        let Some(port) = self.ports.of_mut(mac) else {
            return;
        };
        if port.sources.contains(Sources::SHUT) {
            return;
        }
        port.sources.insert(Sources::SHUT);
        self.ports_due = now;
        count(&mut self.counters.ports_shut);
        self.write_port(mac, out);
        self.say_shut(index, mac, Some(&sighting));
    }

    /// The interface whose port something came by, where that is known.
    fn port_of_sighting(&self, sighting: &Sighting) -> Option<Mac> {
        let mut networks = self.ipam.networks().iter();
        let own = networks.find_map(|network| network.node_of_vlan(sighting.vlan));
        let Some(index) = own else {
            let known = self.ports.of(sighting.mac)?;
            let here = match sighting.vlan {
                // The switch has a number for the untagged network, and it is none of
                // the others'.
                0 => known.at != 0 && !self.has_vlan(known.at),
                vlan => known.vlans().contains(&vlan),
            };
            return here.then_some(known.mac);
        };
        // Of several of its interfaces there the one that sent it, if it says so.
        let ports = self.ports_of(index).filter(|port| {
            let open = !port.sources.contains(Sources::SHUT);
            open && port.vlans().contains(&sighting.vlan) && self.doubt(port.mac).is_none()
        });
        ports
            .map(|port| port.mac)
            .min_by_key(|mac| *mac != sighting.mac)
    }

    /// The VLAN of a node's shut ports; `None` where no port is shut.
    pub(super) fn shut_vlan(&self, index: usize) -> Option<u16> {
        let mut networks = self.ipam.networks().iter();
        let network = networks.find(|network| network.uses == Uses::SHUT)?;
        network.vlan_of_node(index)
    }

    /// Whether shut ports are on this VLAN.
    pub(super) fn is_shut_vlan(&self, vlan: u16) -> bool {
        let mut networks = self.ipam.networks().iter();
        vlan != 0 && networks.any(|n| n.uses == Uses::SHUT && n.has_vlan(vlan))
    }

    /// Whether a machine has to be off before its port goes from one VLAN to another:
    /// what may run a tenant's system comes to no network of the appliance's work. To
    /// be shut and opened again it may run.
    pub(super) fn needs_off(&self, from: u16, to: u16) -> bool {
        match (self.is_shut_vlan(from), self.is_shut_vlan(to)) {
            (false, false) => self.is_tenants_vlan(from),
            (true, false) => !self.is_tenants_vlan(to),
            (_, true) => false,
        }
    }

    /// Says in a node's error that one of its ports is shut, unless it is said already.
    pub(super) fn say_shut(&mut self, index: usize, mac: Mac, why: Option<&Sighting>) {
        let Some(port) = self.ports.of(mac) else {
            return;
        };
        let name = port.name.clone();
        let switch: String<NAME_LEN> = cut(self.texts.switch(port.switch));
        let anew = "Say local_link_connection anew to open it";
        let said = self.nodes.get(index).is_some_and(|node| {
            let error = node.last_error.as_str();
            error.starts_with(SHUT) && error.contains(" shut")
        });
        if said && why.is_none() {
            return;
        }
        let Some(node) = edit!(self, index) else {
            return;
        };
        match why {
            Some(sighting) => node.set_error(format_args!(
                "{SHUT}{name} of {switch} is being shut: {} {} on VLAN {}. {anew}",
                sighting.kind.as_str(),
                sighting.address,
                sighting.vlan
            )),
            None => node.set_error(format_args!(
                "{SHUT}{name} of {switch} was shut because of an alarm. {anew}"
            )),
        }
    }
}
