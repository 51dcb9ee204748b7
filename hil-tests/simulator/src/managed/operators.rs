//! What operators tell the appliance of networks, switches and ports, by the
//! commands that the API gives.

use core::net::Ipv4Addr;
use farrier_core::Command;
use farrier_core::interface::{Network, NewLogin, NewOptions, Uses};
use farrier_protocol::message::Mac;

use super::{
    CLEANING, CLEANING_RANGE, IDLE, INSPECTION, PROVISIONING, PROVISIONING_RANGE, Plan, SERVICING,
    TENANTS, UNUSED,
};
use crate::simulation::{Event, Simulation};

impl Simulation {
    /// Networks and switches are defined.
    pub(crate) fn found_networks(&mut self) {
        let Some(managed) = &self.managed else {
            return;
        };
        let plan = managed.plan;
        let switches: Vec<_> = managed
            .devices
            .iter()
            .map(|device| (device.name.clone(), device.address, device.makes_vlans))
            .collect();
        let boot = |uses, vlan, vlans| Network {
            uses,
            vlan,
            vlans,
            ..Network::EMPTY
        };
        let (cleaning, provisioning, vlans) = match plan {
            Plan::Isolated => (CLEANING_RANGE, PROVISIONING_RANGE, 48),
            Plan::Separate | Plan::Single => (CLEANING, PROVISIONING, 1),
        };
        let separate = [
            ("idle", boot(Uses::IDLE, IDLE, 1)),
            ("inspection", boot(Uses::INSPECTION, INSPECTION, 1)),
            ("cleaning", boot(Uses::CLEANING, cleaning, vlans)),
            ("deployment", boot(Uses::PROVISIONING, provisioning, vlans)),
            (
                "service",
                boot(Uses::SERVICING.union(Uses::RESCUING), SERVICING, 1),
            ),
        ];
        let single = [("work", boot(Uses::BOOT, IDLE, 1))];
        let networks = match plan {
            Plan::Single => &single[..],
            Plan::Separate | Plan::Isolated => &separate[..],
        };
        let unused = [("unused", boot(Uses::UNUSED, UNUSED, 1))];
        for (name, network) in networks.iter().chain(&unused) {
            let (name, network) = (*name, *network);
            let granted = self.command(Command::PutNetwork { name, network });
            self.trace(|| format!("network {name}: {granted}"));
        }
        for (name, address, makes_vlans) in &switches {
            let (name, address) = (name.as_str(), *address);
            let granted = self.command(Command::PutSwitch {
                name,
                address,
                login: NewLogin::default(),
                options: NewOptions {
                    makes_vlans: Some(*makes_vlans),
                    trunk_port: None,
                },
            });
            self.trace(|| format!("switch {name}: {granted}"));
        }
    }

    /// The appliance's own address on a tenants' network.
    pub(crate) fn address_on(&self, place: u8) -> Ipv4Addr {
        match self.managed {
            Some(_) => Ipv4Addr::new(10, 80, place, 1),
            None => Ipv4Addr::UNSPECIFIED,
        }
    }

    /// The machine of a node, where its ports are to be moved.
    pub(crate) fn managed_machine(&self, slot: usize) -> Option<usize> {
        self.managed.as_ref()?;
        let node = self.appliance.rack().nodes().get(slot)?;
        node.macs.iter().find_map(|mac| self.owner(*mac))
    }

    /// The switch and the port that an interface is said to be in; empty where
    /// nothing is said.
    pub(crate) fn link_of(&self, mac: Mac) -> (String, String) {
        let index = self.owner(mac);
        let first = index.filter(|index| self.machines[*index].macs.first() == Some(&mac));
        let (Some(managed), Some(index)) = (&self.managed, first) else {
            return Default::default();
        };
        let (switch, port) = managed.port_of(index);
        let device = managed.devices.get(switch);
        (device.map_or(String::new(), |d| d.name.clone()), port)
    }

    /// Says which port a node's machine is in, where that is not known yet.
    pub(crate) fn links(&mut self, slot: usize) {
        let Some(index) = self.managed_machine(slot) else {
            return;
        };
        let mac = self.machines[index].macs[0];
        if self.appliance.rack().ports().of(mac).is_some() {
            return;
        }
        let (switch, port) = self.link_of(mac);
        let granted = self.command(Command::LinkPort {
            mac,
            switch: &switch,
            port: &port,
        });
        self.trace(|| format!("node {slot}: is in {switch} {port}: {granted}"));
    }

    /// A tenants' network is chosen for a node.
    pub(crate) fn attaches(&mut self, slot: usize) {
        let Some(managed) = &mut self.managed else {
            return;
        };
        let (_, network) = TENANTS[usize::from(managed.random.below(8) == 0)];
        self.attaches_to(slot, network);
    }

    /// This tenants' network is chosen for a node.
    pub(crate) fn attaches_to(&mut self, slot: usize, network: &str) {
        let Some(index) = self.managed_machine(slot) else {
            return;
        };
        let vlan = TENANTS.iter().find(|(_, name)| *name == network);
        let Some((vlan, _)) = vlan.copied() else {
            return;
        };
        let node = self.appliance.rack().nodes()[slot].id;
        let granted = self.command(Command::AttachVif { node, network });
        self.trace(|| format!("node {slot}: VIF on {network}: {granted}"));
        // What was asked for may hold although its answer was lost: the operator
        // looks.
        let rack = self.appliance.rack();
        let port = self.machines[index].macs.first();
        let port = port.and_then(|mac| rack.ports().of(*mac));
        let vif = port.map_or("", |port| rack.texts().network(port.vif));
        let shown = TENANTS.iter().find(|(_, name)| *name == vif);
        let shown = shown.map(|(vlan, _)| *vlan);
        if let Some(vlan) = granted.then_some(vlan).or(shown) {
            self.invariants.ports.attached(index, vlan);
        }
    }

    /// A machine that was in use before the appliance was is on a tenants' network.
    pub(crate) fn was_placed(&mut self, index: usize) {
        let Some(managed) = &mut self.managed else {
            return;
        };
        let (vlan, _) = TENANTS[0];
        let (switch, port) = managed.port_of(index);
        if let Some(device) = managed.devices.get_mut(switch) {
            device.put(&port, vlan);
        }
        self.invariants.ports.placed(index, vlan);
        self.ports_changed();
    }

    /// A machine on no network of the appliance whose node is gone is set up anew.
    pub(crate) fn looks_for_lost(&mut self, index: usize) {
        let Some(managed) = &self.managed else {
            return;
        };
        let known = |mac: &Mac| self.appliance.rack().find_by_mac(*mac).is_some();
        let gone = !self.machines[index].macs.iter().any(known);
        if gone && managed.vlan(index) != IDLE && !self.appliance.is_down() {
            self.reclaim(index);
        }
        if self.options.operators {
            self.at(30 * 60_000, Event::LooksForLost(index));
        }
    }
}
