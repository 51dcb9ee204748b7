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
//! Bounds: a move ends within [`BOUND`] of its begin or of the last fault that struck
//! its port, whatever is said of it; a move without an error, and a port on which a
//! machine was seen that the rack's record has elsewhere, have an error or a doubt
//! that the API shows within the same time. At the end of a run every port is where
//! its record has it and on its way nowhere, or something says why.
//!
//! All this is asked of a machine when something of it has changed, or when time
//! alone can violate it.

use farrier_core::node::Node;
use farrier_core::node::flags::Flags;
use farrier_core::ports::SwitchPort;
use farrier_lifecycle::ProvisionState;

use super::Invariants;
use crate::appliance::{Appliance, SimRack};
use crate::machine::{Machine, Stage};
use crate::managed::{Managed, is_boot, is_tenants};

/// How long a port may be on its way: longer than the rack waits for its proof, and
/// then takes to undo it.
pub(crate) const BOUND: u64 = 30 * 60_000;

/// What of a machine can change without time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    vlan: u16,
    record: [u16; 2],
    off: bool,
    runs: bool,
    tenancy: u64,
    state: Option<ProvisionState>,
    says: bool,
    down: bool,
    beyond: bool,
    /// The records of its node are lost, and nobody has looked after it.
    lost: bool,
}

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
    /// Where it is on its way to, and since when.
    to: u16,
    since: u64,
    ran: bool,
    /// When the last fault has ended that struck its port, as far as that is known.
    calm: u64,
    /// Since when it was seen on a VLAN.
    seen: (u16, u64),
    /// What was found when it was looked at last.
    key: Option<Key>,
    /// The records of its node are lost.
    lost: bool,
    /// Where its port and its node were in the rack's tables.
    hints: (usize, usize),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    places: Vec<Place>,
    /// Old systems that started on a network of the appliance's work.
    pub(crate) old_systems: u64,
    /// Moves that were none of the appliance.
    pub(crate) excused: u64,
    /// Longest time from the begin of a move, or from the last fault that struck its
    /// port, to its end.
    pub(crate) longest: u64,
}

impl Ports {
    fn place(&mut self, index: usize) -> &mut Place {
        if self.places.len() <= index {
            self.places.resize(index + 1, Place::default());
        }
        let place = &mut self.places[index];
        place.key = None;
        place
    }

    /// Something has happened to a machine.
    pub(crate) fn look_again(&mut self, index: usize) {
        self.place(index);
    }

    /// A fault strikes a machine's port until then.
    pub(crate) fn struck(&mut self, index: usize, until: u64) {
        let place = self.place(index);
        place.calm = place.calm.max(until);
    }

    /// A move of a machine's port was kept or taken back.
    pub(crate) fn ended(&mut self, now: u64, index: usize) {
        let place = self.place(index);
        let since = place.since.max(place.calm);
        place.to = 0;
        self.longest = self.longest.max(now.saturating_sub(since));
    }

    /// A frame of a machine's first interface came by a VLAN.
    pub(crate) fn seen(&mut self, now: u64, index: usize, vlan: u16) {
        if self.places.get(index).is_none_or(|p| p.seen.0 != vlan) {
            self.place(index).seen = (vlan, now);
        }
    }

    /// What happens to a machine's port is no act of the appliance.
    pub(crate) fn not_by_the_appliance(&mut self, index: usize) {
        self.excused += 1;
        let place = self.place(index);
        place.excused = true;
        place.seen = (0, 0);
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
            place.key = None;
        }
    }

    /// The appliance has started: moves begin anew.
    pub(crate) fn restarted(&mut self, now: u64) {
        for place in &mut self.places {
            place.silent = None;
            place.key = None;
            place.to = 0;
            place.seen = (0, 0);
            place.calm = place.calm.max(now);
        }
    }
}

/// The port of a machine and its node, looked for where they were last.
fn of<'a>(
    rack: &'a SimRack,
    machine: &Machine,
    hints: &mut (usize, usize),
) -> (Option<&'a SwitchPort>, Option<&'a Node>) {
    let Some(mac) = machine.macs.first().copied() else {
        return (None, None);
    };
    let all = rack.ports().all();
    if all.get(hints.0).is_none_or(|port| port.mac != mac) {
        let place = all.iter().position(|port| port.mac == mac);
        hints.0 = place.unwrap_or(usize::MAX);
    }
    let nodes = rack.nodes();
    if nodes
        .get(hints.1)
        .is_none_or(|node| node.macs.first() != Some(&mac))
    {
        let mut macs = machine.macs.iter();
        let slot = macs.find_map(|mac| rack.find_by_mac(*mac));
        hints.1 = slot.unwrap_or(usize::MAX);
    }
    (all.get(hints.0), nodes.get(hints.1))
}

/// Whether the API says that something is wrong with a node or its port.
fn says(rack: &SimRack, machine: &Machine, node: Option<&Node>) -> bool {
    let doubt = || machine.macs.first().and_then(|mac| rack.doubt(*mac));
    node.is_none_or(|node| !node.last_error.is_empty() || doubt().is_some())
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
            self.port(now, managed, appliance, machine);
        }
    }

    /// Checks where a machine is.
    pub(crate) fn port(
        &mut self,
        now: u64,
        managed: &Managed,
        appliance: &Appliance,
        machine: &Machine,
    ) {
        if let Some(what) = self.wrong_port(now, managed, appliance, machine) {
            self.wrong(now, || what);
        }
    }

    fn wrong_port(
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
        let off = matches!(machine.stage, Stage::Off);
        let rack = appliance.rack();
        let counts = &mut self.ports.old_systems;
        let places = &mut self.ports.places;
        if places.len() <= index {
            places.resize(index + 1, Place::default());
        }
        let place = &mut places[index];
        let (port, node) = of(rack, machine, &mut place.hints);
        let record = port.map_or([0; 2], SwitchPort::vlans);
        let key = Key {
            vlan,
            record,
            off,
            runs,
            tenancy,
            state: node.map(|node| node.state),
            says: node.is_none_or(|node| !node.last_error.is_empty()),
            down: appliance.is_down(),
            beyond: managed.is_beyond(index),
            lost: node.is_some_and(|node| node.flags.contains(Flags::RECORDS_LOST)),
        };
        let elsewhere = record[0] != vlan && record[0] != 0 && vlan != 0;
        let waits = record[1] != 0 || elsewhere || place.excused || place.said_off;
        if place.key == Some(key) && !waits {
            return None;
        }
        place.key = Some(key);
        // Somebody has looked after it, and says what it is.
        if std::mem::replace(&mut place.lost, key.lost) && !key.lost {
            place.handed = false;
        }
        // What such a port does later is none of the appliance either.
        place.excused |= key.beyond;
        if off {
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
        let known = vlan != 0 && record.contains(&vlan);
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
        let right = !(unerased || astray);
        if right {
            place.excused &= !known || key.beyond;
        }
        if right || place.excused || place.said_off {
            if appliance.is_down() {
                place.silent = None;
                return None;
            }
            return late(now, place, rack, machine, (vlan, record, node));
        }
        let state = node.map(|node| node.state);
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

    /// The last check, long after faults stopped: every port is where its record has
    /// it and on its way nowhere, or something says why.
    pub(crate) fn ports_at_rest(
        &mut self,
        now: u64,
        managed: &Managed,
        appliance: &Appliance,
        machines: &[Machine],
    ) {
        let rack = appliance.rack();
        for machine in machines {
            let (port, node) = of(rack, machine, &mut (usize::MAX, usize::MAX));
            let (Some(port), Some(_)) = (port, node) else {
                continue;
            };
            let [at, to] = port.vlans();
            let vlan = managed.vlan(machine.index);
            // Of a machine without power nobody sees where it is.
            let off = matches!(machine.stage, Stage::Off);
            let settled = to == 0 && (vlan == at || off);
            if !settled && !says(rack, machine, node) {
                self.wrong(now, || {
                    format!(
                        "the port of machine {} has not come to rest, and nothing says why: on \
                         VLAN {vlan}, record [{at}, {to}]",
                        machine.index
                    )
                });
            }
        }
    }
}

/// A port that is on its way, or elsewhere than its record has it, for too long.
fn late(
    now: u64,
    place: &mut Place,
    rack: &SimRack,
    machine: &Machine,
    (vlan, [at, to], node): (u16, [u16; 2], Option<&Node>),
) -> Option<String> {
    let index = machine.index;
    if place.to != to {
        place.to = to;
        place.since = now;
        place.silent = None;
    }
    // Of a node whose records are lost the ports stay as they are, and the API shows it.
    if node.is_none_or(|node| node.flags.contains(Flags::RECORDS_LOST)) {
        place.silent = None;
        place.since = now;
        return None;
    }
    if to == 0 {
        place.silent = None;
        // A verb takes an error away; the machine's next frame brings it back.
        if says(rack, machine, node) {
            place.seen = (0, 0);
        }
        let (seen, first) = place.seen;
        let elsewhere = at != 0 && vlan != 0 && vlan != at && seen == vlan;
        let late = elsewhere && now > first.max(place.calm).max(place.since) + BOUND;
        return late.then(|| {
            format!("machine {index} is on VLAN {vlan}, its port's record says {at}, and nothing says why")
        });
    }
    // A switch that has done half of a change, or a person, has it elsewhere: nothing
    // is done with it until somebody puts it back, and the error says so.
    if ![at, to].contains(&vlan) && says(rack, machine, node) {
        place.since = now;
    }
    if now > place.since.max(place.calm) + BOUND {
        return Some(format!(
            "the port of machine {index} is on its way to VLAN {to} for {} s, {} s behind the last \
             fault of it",
            (now - place.since) / 1000,
            now.saturating_sub(place.calm) / 1000
        ));
    }
    if says(rack, machine, node) {
        place.silent = None;
        return None;
    }
    let since = *place.silent.get_or_insert(now);
    (now > since + BOUND).then(|| {
        format!("the port of machine {index} is on its way for too long and nothing says why")
    })
}
