//! The two invariants of networks, asked of the switches' own ports and the
//! machines' own disks and power.
//!
//! 1. A machine whose disks are not proven erased is on no tenants' network, unless
//!    it is that tenant's own machine: all data is of the present tenancy, and the
//!    network is the one that the tenancy was attached to.
//! 2. A tenant's machine that runs its own system is on no network on which the
//!    appliance works. A machine is a tenant's from when its node is `active` on
//!    the tenant's network until an agent has taken an order to erase or to write.
//!
//! What is no act of the appliance is left out, and nothing else is: a switch that
//! loses its configuration, takes a move back that nobody confirmed, or passes
//! frames by another VLAN than it says; a person who moves ports or cables; a power
//! driver that says "off" of a machine that runs. It is left out until the machine
//! is where the rack's own record has its port. An old system that a machine starts
//! by itself on a network to which the appliance moved it switched off is counted.
//! A bound stands in for both: a port that stays elsewhere has an error that says
//! so.

use farrier_lifecycle::ProvisionState;

use super::Invariants;
use crate::appliance::Appliance;
use crate::machine::{Machine, Stage};
use crate::managed::{Managed, is_boot, is_tenants};

/// How long a port may be on its way without an error that says why: longer than
/// the rack waits for its proof, and then takes to undo it.
const SILENT: u64 = 30 * 60_000;

/// What is known of a machine and its port.
#[derive(Debug, Clone, Default)]
struct Place {
    /// Something else than the appliance has moved it.
    excused: bool,
    /// Its power driver has said that it is off, and it runs.
    said_off: bool,
    /// It was on this VLAN before the appliance was; 0 for none.
    placed: u16,
    /// A tenant has it.
    handed: bool,
    /// The VLAN on which it has started the system that runs; 0 for none.
    started_on: u16,
    /// The VLANs of the networks that its tenancy is attached to.
    attached: Vec<u16>,
    /// Since when its port is on its way without an error.
    silent: Option<u64>,
    /// Where it is on its way to.
    to: u16,
    ran: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    places: Vec<Place>,
    /// Old systems that started on a network of the appliance's work.
    pub(crate) old_systems: u64,
    /// Moves that were none of the appliance.
    pub(crate) excused: u64,
}

impl Ports {
    fn place(&mut self, index: usize) -> &mut Place {
        if self.places.len() <= index {
            self.places.resize(index + 1, Place::default());
        }
        &mut self.places[index]
    }

    /// What happens to a machine's port is no act of the appliance.
    pub(crate) fn not_by_the_appliance(&mut self, index: usize) {
        self.excused += 1;
        self.place(index).excused = true;
    }

    /// A power driver says that a machine is off, and it runs.
    pub(crate) fn said_off(&mut self, index: usize) {
        self.place(index).said_off = true;
    }

    /// A machine was on this VLAN before the appliance was.
    pub(crate) fn placed(&mut self, index: usize, vlan: u16) {
        self.place(index).placed = vlan;
        self.attached(index, vlan);
    }

    /// The machine's next tenancy is attached to this network.
    pub(crate) fn attached(&mut self, index: usize, vlan: u16) {
        self.place(index).attached = vec![vlan];
    }

    /// An agent has taken an order to erase or to write.
    pub(crate) fn destroyed(&mut self, index: usize) {
        let place = self.place(index);
        place.handed = false;
        place.placed = 0;
    }

    /// Nobody knows any more what was promised.
    pub(crate) fn forget(&mut self) {
        for place in &mut self.places {
            place.excused = true;
            place.silent = None;
        }
    }

    /// The appliance has started: moves begin anew.
    pub(crate) fn restarted(&mut self) {
        for place in &mut self.places {
            place.silent = None;
        }
    }
}

impl Invariants {
    /// Checks where every machine is.
    pub(crate) fn ports(
        &mut self,
        now: u64,
        managed: &Managed,
        appliance: &Appliance,
        machines: &[Machine],
    ) {
        for machine in machines {
            if let Some(what) = self.port(now, managed, appliance, machine) {
                self.wrong(now, || what);
            }
        }
    }

    fn port(
        &mut self,
        now: u64,
        managed: &Managed,
        appliance: &Appliance,
        machine: &Machine,
    ) -> Option<String> {
        let index = machine.index;
        let vlan = managed.vlan(index);
        let tenancy = self.tenancy(index);
        let runs = matches!(machine.stage, Stage::Tenant(_));
        let rack = appliance.rack();
        let port = machine.macs.first().and_then(|mac| rack.ports().of(*mac));
        let node = machine.macs.iter().find_map(|mac| rack.find_by_mac(*mac));
        let node = node.and_then(|slot| rack.nodes().get(slot));
        let counts = &mut self.ports.old_systems;
        let places = &mut self.ports.places;
        if places.len() <= index {
            places.resize(index + 1, Place::default());
        }
        let place = &mut places[index];
        if matches!(machine.stage, Stage::Off) {
            place.said_off = false;
        }
        let active = node.is_some_and(|node| node.state == ProvisionState::Active);
        // What was not durable was told nobody.
        place.handed |= active && is_tenants(vlan) && !appliance.is_down();
        // Where it starts while its switch is off, or is moved to right then, is the
        // first VLAN that it is on.
        if !place.ran || place.started_on == 0 {
            place.started_on = if runs { vlan } else { 0 };
            *counts += u64::from(place.handed && is_boot(place.started_on));
        }
        place.ran = runs;
        let known = vlan != 0 && port.is_some_and(|port| port.vlans().contains(&vlan));
        // 1: what lies on its disks.
        let own = match vlan {
            _ if !is_tenants(vlan) || place.placed == vlan => true,
            _ if tenancy == 0 => machine.disks.iter().all(|disk| disk.is_empty()),
            _ => {
                let mut disks = machine.disks.iter();
                !disks.any(|disk| disk.holds_others_than(tenancy)) && place.attached.contains(&vlan)
            }
        };
        let unerased = !own;
        // 2: what runs on it.
        let astray = runs && place.handed && is_boot(vlan) && !is_boot(place.started_on);
        if !(unerased || astray) {
            place.excused &= !known || managed.is_beyond(index);
            if appliance.is_down() {
                place.silent = None;
                return None;
            }
            return silence(now, place, port.map_or(0, |port| port.vlans()[1]), node);
        }
        if place.excused || place.said_off || managed.is_beyond(index) {
            return None;
        }
        let state = node.map(|node| node.state);
        let record = port.map(|port| port.vlans());
        Some(match unerased {
            true => format!(
                "machine {index} is on a tenants' network, VLAN {vlan}, and its disks are not \
                 proven erased: tenancy {tenancy}, attached to {:?}, node {state:?}, record {record:?}",
                place.attached
            ),
            false => format!(
                "machine {index} runs its tenant's system on VLAN {vlan}, a network of the \
                 appliance's work: node {state:?}, record {record:?}"
            ),
        })
    }
}

/// Whether a port is on its way to another VLAN than when it was looked at last.
fn is_another_move(place: &mut Place, to: u16) -> bool {
    std::mem::replace(&mut place.to, to) != to
}

/// A port that is on its way for long has an error that says why.
fn silence(
    now: u64,
    place: &mut Place,
    to: u16,
    node: Option<&farrier_core::node::Node>,
) -> Option<String> {
    let says = node.is_none_or(|node| !node.last_error.is_empty());
    if to == 0 || says || is_another_move(place, to) {
        place.silent = None;
        return None;
    }
    let since = *place.silent.get_or_insert(now);
    (now > since + SILENT).then(|| {
        let node = node.map(|node| node.id);
        format!("the port of {node:?} is on its way for too long and nothing says why")
    })
}
