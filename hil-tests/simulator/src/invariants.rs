//! The invariants, checked after every step of the rack.
//!
//! The first thing that is wrong ends a simulation: what follows it proves
//! nothing. Checked is what can be seen from outside - what the rack
//! answers and shows, and what lies on disks - and not how it came to it.

use farrier_core::interface::NetworkId;
use std::collections::BTreeMap;

use core::net::Ipv4Addr;
use farrier_core::ipam::PROVISIONING;
use farrier_core::node::flags::Flags;
use farrier_core::node::{Node, Reason};
use farrier_core::{Config, Input};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_lifecycle::State;
use farrier_protocol::message::Mac;
use farrier_testkit::outcome::Outcome;

use crate::appliance::Appliance;
use crate::boot::appliance_address;
use crate::image;
use crate::machine::{Machine, Stage};
use crate::owners::Owners;
use crate::power_requests::PowerRequests;

/// Longest wait that any state may promise.
const LONGEST_WAIT: u64 = 60 * 60_000;
/// How long after its deadline a wait may last: the rack looks once a
/// second.
const GRACE: u64 = 2_000;
/// How long the rack may take to end all waits that a jump of its clock has
/// passed over: it ends a few at a time.
const LENIENT: u64 = 5_000;

/// What was seen of a node last.
#[derive(Debug, Clone, Copy)]
struct Seen {
    state: State,
    macs: usize,
}

impl Seen {
    /// Of a vacant place in the table.
    const NOTHING: Seen = Seen {
        state: State::Enroll,
        macs: 0,
    };
}

/// See the module.
#[derive(Debug)]
pub struct Invariants {
    /// What is wrong, and when it was seen. The first counts.
    pub violation: Option<(u64, String)>,
    /// Changes of state that were seen.
    pub transitions: u64,
    /// Nodes that became `active`.
    pub deployed: u64,
    /// Nodes that became `available`.
    pub cleaned: u64,
    seen: Vec<Seen>,
    /// Waits may last longer until then: their end was jumped over.
    lenient_until: u64,
    /// Who was promised an address, and until when in the rack's time.
    promised: BTreeMap<Ipv4Addr, (Mac, u64)>,
    /// The same for reserved addresses.
    owners: Owners,
    tenancies: u64,
    /// The tenancy of each machine's node.
    tenancy: Vec<u64>,
    /// When power drivers were asked.
    power_requests: PowerRequests,
    /// The text in the config drive that each node's tenant is to find.
    texts: Vec<Option<Vec<u8>>>,
}

impl Invariants {
    /// Nothing was seen yet.
    pub fn new(machines: usize) -> Self {
        Invariants {
            violation: None,
            transitions: 0,
            deployed: 0,
            cleaned: 0,
            seen: Vec::new(),
            lenient_until: 0,
            promised: BTreeMap::new(),
            owners: Owners::default(),
            tenancies: 0,
            tenancy: vec![0; machines],
            power_requests: PowerRequests::default(),
            texts: Vec::new(),
        }
    }

    /// The tenancy that a machine's node is in.
    pub fn tenancy(&self, machine: usize) -> u64 {
        self.tenancy.get(machine).copied().unwrap_or(0)
    }

    fn wrong(&mut self, now: u64, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some((now, what()));
        }
    }

    /// The appliance's clock jumped ahead: what it promised ends earlier.
    pub fn clock_jumped(&mut self, now: u64, millis: u64) {
        self.lenient_until = now + LENIENT;
        for (_, until) in self.promised.values_mut() {
            *until = until.saturating_sub(millis);
        }
        self.owners.clock_jumped(millis);
    }

    /// The appliance has lost records and says so: it does not know any more
    /// what it promised, and its nodes may be in any state.
    pub fn records_lost(&mut self) {
        self.promised.clear();
        self.owners.forget();
        self.seen.clear();
        self.texts.clear();
    }

    /// The appliance has started.
    pub fn restarted(&mut self) {
        self.power_requests.restarted();
    }

    /// An operator was granted something, with that text in a config drive
    /// where there was one: what was asked before does not count any more.
    pub fn asked(&mut self, slot: usize, text: Option<Vec<u8>>) {
        if self.texts.len() <= slot {
            self.texts.resize(slot + 1, None);
        }
        self.texts[slot] = text;
    }

    /// A machine is given the config drive in this slot.
    pub fn drive_served(&mut self, now: u64, slot: usize, appliance: &Appliance, to: &Machine) {
        let rack = appliance.rack();
        let own = to.macs.iter().find_map(|mac| rack.find_by_mac(*mac));
        if own != Some(slot) {
            self.wrong(now, || {
                format!(
                    "machine {} is given the config drive of node {slot}",
                    to.index
                )
            });
        }
    }

    /// An input that the rack is about to take: clients may give addresses
    /// back.
    pub fn input(&mut self, input: &Input<'_>) {
        let Input::Dhcp {
            network: NetworkId::PROVISIONING,
            payload,
            ..
        } = input
        else {
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

    /// Checks the rack and the effects of a step.
    pub fn step(
        &mut self,
        now: u64,
        appliance: &Appliance,
        machines: &[Machine],
        effects: &[Outcome],
    ) {
        for effect in effects {
            match effect {
                Outcome::Dhcp(_, payload) => self.dhcp(now, payload),
                Outcome::Power(_, node, _) => {
                    let nodes = appliance.rack().nodes();
                    let waits = nodes.iter().find(|n| n.id == *node).is_some_and(|node| {
                        waits_for_machine(node.state) || node.power_request.is_some()
                    });
                    if !waits {
                        self.wrong(now, || {
                            "a power operation for a node that does not wait and was not asked for"
                                .into()
                        });
                    }
                }
                Outcome::Answer(_) => self.answered(now, appliance),
                Outcome::Agent(..) | Outcome::Serve(_) | Outcome::Keep(..) => {}
            }
        }
        if appliance.lost() != 0 {
            self.wrong(now, || "an effect found no room".into());
        }
        let clock = appliance.clock(now).millis();
        for (slot, node) in appliance.rack().nodes().iter().enumerate() {
            self.node(now, clock, slot, node, appliance, machines);
        }
        for effect in effects {
            if let Outcome::Power(_, node, _) = effect
                && let Some(slot) = appliance.rack().find(*node)
            {
                self.power_requests.requested(now, slot);
            }
        }
    }

    /// An operator was answered, or the appliance has started again and may
    /// have restored what was not answered any more: what operators give away
    /// has one owner.
    pub fn answered(&mut self, now: u64, appliance: &Appliance) {
        let lease = u64::from(appliance.rack().config().lease_secs) * 1000;
        if let Some(what) = self.owners.look(now, appliance.rack().ipam(), lease) {
            self.wrong(now, || what);
        }
        let nodes = appliance.rack().nodes().iter();
        let mut instances: Vec<_> = nodes
            .filter(|node| !node.is_vacant())
            .filter_map(|node| node.instance.instance_uuid)
            .collect();
        instances.sort_unstable();
        if let Some(pair) = instances.windows(2).find(|pair| pair[0] == pair[1]) {
            let instance = pair[0];
            self.wrong(now, || format!("{instance:?} has two nodes"));
        }
    }

    fn dhcp(&mut self, now: u64, payload: &[u8]) {
        let Ok(reply) = Reply::parse(payload) else {
            self.wrong(now, || "a DHCP reply does not parse".into());
            return;
        };
        let own = appliance_address();
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
        if address == own || !Config::default().on_link(address) {
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
        if seconds > 0 {
            let until = now + u64::from(seconds) * 1000;
            self.promised.insert(address, (mac, until));
        }
    }

    fn node(
        &mut self,
        now: u64,
        clock: u64,
        slot: usize,
        node: &Node,
        appliance: &Appliance,
        machines: &[Machine],
    ) {
        if node.is_vacant() {
            if let Some(place) = self.seen.get_mut(slot) {
                *place = Seen::NOTHING;
            } else {
                self.seen.push(Seen::NOTHING);
            }
            return;
        }
        let at = appliance.clock(now);
        if let Some(what) = self.power_requests.look(now, at, slot, node) {
            self.wrong(now, || what);
        }
        // Every wait has a deadline, and it is kept.
        let deadline = node.deadline.map(farrier_core::Instant::millis);
        if node.state.deadline().is_some() {
            match deadline {
                None => self.wrong(now, || {
                    format!("node {slot} waits without end in {}", node.state)
                }),
                Some(at) if at + GRACE < clock && now > self.lenient_until => self
                    .wrong(now, || {
                        format!("node {slot} is in {} beyond its deadline", node.state)
                    }),
                Some(at) if at > clock + LONGEST_WAIT => self.wrong(now, || {
                    format!("node {slot} may stay in {} too long", node.state)
                }),
                Some(_) => {}
            }
        }
        let seen = Seen {
            state: node.state,
            macs: node.macs.len(),
        };
        let Some(last) = self.seen.get(slot).copied() else {
            self.seen.push(seen);
            self.owners(now, appliance.rack().nodes());
            if node.state == State::Available {
                self.changed(now, slot, node.state, node, machines);
            }
            return;
        };
        if last.macs != seen.macs {
            self.owners(now, appliance.rack().nodes());
        }
        if last.state != seen.state {
            self.transitions += 1;
            self.changed(now, slot, last.state, node, machines);
            if is_in_use(last.state) && is_cleaned(node.state) {
                self.released(now, slot, node, appliance);
            }
        }
        if let Some(place) = self.seen.get_mut(slot) {
            *place = seen;
        }
    }

    /// No node and no interface twice.
    fn owners(&mut self, now: u64, nodes: &[Node]) {
        let known = nodes.iter().enumerate().filter(|(_, n)| !n.is_vacant());
        for (slot, node) in known {
            for other in nodes[..slot].iter().filter(|other| !other.is_vacant()) {
                if node.id == other.id {
                    self.wrong(now, || format!("two nodes are {:?}", node.id));
                }
                if let Some(mac) = node.macs.iter().find(|mac| other.macs.contains(mac)) {
                    self.wrong(now, || format!("{mac:?} belongs to two nodes"));
                }
            }
        }
    }

    fn changed(&mut self, now: u64, slot: usize, from: State, node: &Node, machines: &[Machine]) {
        let machine = machines
            .iter()
            .find(|machine| node.macs.iter().any(|mac| machine.macs.contains(mac)));
        let Some(machine) = machine else {
            return;
        };
        match node.state {
            State::Available => {
                self.cleaned += 1;
                if let Some(place) = machine.disks.iter().position(|disk| !disk.is_empty()) {
                    self.wrong(now, || {
                        format!(
                            "node {slot} is available (after {from}) and disk {place} of machine \
                             {} is not empty",
                            machine.index
                        )
                    });
                }
            }
            State::Deploying | State::WaitCallBack if from == State::Available => {
                self.tenancies += 1;
                if let Some(tenancy) = self.tenancy.get_mut(machine.index) {
                    *tenancy = self.tenancies;
                }
            }
            State::Active if matches!(from, State::Deploying | State::WaitCallBack) => {
                self.deployed += 1;
                self.handed_over(now, slot, machine);
            }
            _ => {}
        }
    }

    /// A tenant's use is over: nothing of it is kept.
    fn released(&mut self, now: u64, slot: usize, node: &Node, appliance: &Appliance) {
        let claimed = node.instance.instance_uuid.is_some()
            || node.flags.contains(Flags::ALLOCATED)
            || node.wanted != 0;
        if claimed || node.config_drive.is_some() || node.written.is_some() {
            self.wrong(now, || {
                format!("node {slot} was released and keeps what was its tenant's")
            });
        }
        let leaks = appliance.rack().ipam().entries().iter().find(|entry| {
            entry.is_held()
                && !entry.is_named()
                && entry.network != PROVISIONING
                && node.macs.contains(&entry.mac)
        });
        if let Some(entry) = leaks {
            let address = entry.address;
            self.wrong(now, || {
                format!("node {slot} was released and keeps {address} of its tenant")
            });
        }
    }

    /// A machine goes to its tenant: with the image, the whole image, and
    /// nothing of the tenant before.
    fn handed_over(&mut self, now: u64, slot: usize, machine: &Machine) {
        let tenancy = self.tenancy(machine.index);
        if machine
            .disks
            .iter()
            .any(|disk| disk.holds_others_than(tenancy))
        {
            self.wrong(now, || {
                format!("node {slot} goes to a tenant with another tenant's data")
            });
        }
        let image = image::catalogue();
        let mut disks = machine.disks.iter();
        let written = disks.any(|disk| image.is_on(&disk.peek(0, image.raw.len())));
        let text = self.texts.get(slot).cloned().flatten();
        let found = |text| {
            machine
                .disks
                .iter()
                .any(|disk| disk.texts().contains(&text))
        };
        if text.is_some_and(|text| !found(text)) {
            self.wrong(now, || {
                format!("node {slot} is active and its config drive is on no disk")
            });
        }
        if !written {
            self.wrong(now, || {
                format!("node {slot} is active and its image is on no disk")
            });
        }
    }

    /// An agent has begun an order that destroys.
    pub fn destroys(&mut self, now: u64, appliance: &Appliance, machine: &Machine) {
        let rack = appliance.rack();
        let node = machine.macs.iter().find_map(|mac| rack.find_by_mac(*mac));
        let state = node
            .and_then(|slot| rack.nodes().get(slot))
            .map(|n| n.state);
        if let Some(
            State::Active
            | State::Rescue
            | State::Adopting
            | State::Servicing
            | State::ServiceWait
            | State::ServiceHold,
        )
        | None = state
        {
            self.wrong(now, || {
                format!(
                    "machine {} is told to destroy its disks while its node is in {state:?}",
                    machine.index
                )
            });
        }
    }

    /// An agent has done a piece of its work.
    pub fn worked(&mut self, now: u64, machine: &Machine) {
        if machine.disks.iter().any(|disk| disk.strays() > 0) {
            self.wrong(now, || {
                format!(
                    "a disk of machine {} was written that no order named",
                    machine.index
                )
            });
        }
    }

    /// The last check, long after faults and operators stopped.
    pub fn at_rest(&mut self, now: u64, appliance: &Appliance, machines: &[Machine]) {
        let nodes = appliance.rack().nodes();
        let known = nodes.iter().enumerate().filter(|(_, n)| !n.is_vacant());
        for (slot, node) in known {
            let state = node.state;
            if !(state.is_stable() || state.is_failure() || state.is_hold()) {
                self.wrong(now, || {
                    format!("node {slot} has not come to rest: {state}, {}", node.reason)
                });
            }
            if node.power_request.is_some() {
                self.wrong(now, || {
                    format!("node {slot} still has an open power request")
                });
            }
            // What an operator broke off needs no words.
            let says = !node.last_error.is_empty() || node.reason == Reason::Requested;
            if state.is_failure() && !says {
                self.wrong(now, || {
                    format!("node {slot} is in {state} and does not say why")
                });
            }
            // A session without an agent behind it is a leak once the agent
            // had time to be missed.
            let agent = machines.iter().any(|machine| {
                matches!(machine.stage, Stage::Ramdisk(_))
                    && node.macs.iter().any(|mac| machine.macs.contains(mac))
            });
            if node.agent_is_live(appliance.clock(now)) && !agent {
                self.wrong(now, || format!("node {slot} keeps an agent that is gone"));
            }
        }
        let (_, bound) = appliance.rack().lease_usage(appliance.clock(now));
        let running = machines
            .iter()
            .filter(|machine| !matches!(machine.stage, Stage::Off))
            .count();
        // ROM and system of a machine may each hold one, on either interface.
        if bound > 4 * running {
            self.wrong(now, || format!("{bound} leases for {running} machines"));
        }
    }
}

/// Whether a tenant has the node.
fn is_in_use(state: State) -> bool {
    matches!(
        state,
        State::Active
            | State::Error
            | State::WaitCallBack
            | State::DeployHold
            | State::DeployFailed
            | State::ServiceWait
            | State::ServiceHold
            | State::ServiceFailed
    )
}

/// Whether the node is on its way from a tenant to the next one.
fn is_cleaned(state: State) -> bool {
    matches!(
        state,
        State::Cleaning | State::CleanWait | State::CleanFailed
    )
}

/// Whether a node's state is one in which its machine is asked to start.
fn waits_for_machine(state: State) -> bool {
    matches!(
        state,
        State::InspectWait
            | State::CleanWait
            | State::WaitCallBack
            | State::RescueWait
            | State::ServiceWait
    )
}
