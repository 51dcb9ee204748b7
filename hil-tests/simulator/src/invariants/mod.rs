//! The invariants, checked after every step of the rack.
//!
//! The first thing that is wrong ends a simulation: what follows it proves
//! nothing. Checked is what can be seen from outside - what the rack
//! answers and shows, and what lies on disks - and not how it came to it.

mod lateness;
mod leases;
mod offers;
mod owners;
mod places;
mod ports;
mod power_requests;
mod tenants;

use std::collections::BTreeMap;

use core::net::Ipv4Addr;
use farrier_core::Instant;
use farrier_core::node::{Node, Reason, agent_phase};
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::Mac;
use farrier_testkit::outcome::Outcome;

use self::lateness::Lateness;
use self::offers::Offers;
use self::owners::Owners;
pub use self::places::gets_anothers;
pub(crate) use self::ports::BOUND;
use self::ports::Ports;
use self::power_requests::PowerRequests;
use self::tenants::{is_cleaned, is_in_use};
use crate::appliance::Appliance;
use crate::machine::{Machine, Stage};

/// Longest wait that any state may promise.
const LONGEST_WAIT: u64 = 60 * 60_000;
/// How long after its deadline a wait may last: the rack looks once a
/// second.
const GRACE: u64 = 2_000;
/// How long the rack may take to end all waits that a jump of its clock has
/// passed over: it ends a few at a time.
const LENIENT: u64 = 5_000;

/// How often power requests are looked at where no driver was asked: far more
/// often than their bounds are long.
const LOOK: u64 = 1_000;
/// Every so many steps the rack is asked whether it overslept.
const SAMPLE: u64 = 32;

/// What was seen of a node last.
#[derive(Debug, Clone, Copy)]
struct Seen {
    state: ProvisionState,
    macs: usize,
}

impl Seen {
    /// Of a vacant place in the table.
    const NOTHING: Seen = Seen {
        state: ProvisionState::Enroll,
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
    /// When power requests are looked at next.
    next_look: u64,
    offers: Offers,
    pub(crate) lateness: Lateness,
    pub(crate) ports: Ports,
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
            next_look: 0,
            offers: Offers::default(),
            lateness: Lateness::default(),
            ports: Ports::default(),
            texts: Vec::new(),
        }
    }

    pub(crate) fn wrong(&mut self, now: u64, what: impl FnOnce() -> String) {
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
        self.ports.forget();
    }

    /// The appliance has started.
    pub fn restarted(&mut self, now: u64) {
        self.power_requests.restarted();
        self.ports.restarted(now);
        self.lateness.restarted(now);
    }

    /// Checks the rack and the effects of a step.
    pub fn step(
        &mut self,
        now: u64,
        appliance: &Appliance,
        machines: &[Machine],
        effects: &[Outcome],
    ) {
        self.check_offer(now, appliance, effects);
        for effect in effects {
            match effect {
                Outcome::Dhcp(_, payload) => {
                    self.dhcp(now, payload);
                    self.reserved(now, appliance.rack(), payload);
                }
                Outcome::Power(_, node, _) => {
                    let nodes = appliance.rack().nodes();
                    let slot = nodes.iter().position(|n| n.id == *node);
                    let waits = slot.is_some_and(|slot| {
                        let node = &nodes[slot];
                        waits_for_machine(node.state)
                            || lacks_agent(appliance.clock(now), node)
                            || self.ends_now(slot, node)
                            || node.power_request.is_some()
                            || leaves_tenant(appliance, slot)
                    });
                    if !waits {
                        let state = slot.map(|slot| nodes[slot].state);
                        self.wrong(now, || {
                            format!(
                                "a power operation for node {slot:?} in {state:?}, which does not \
                                 wait and was not asked for"
                            )
                        });
                    }
                }
                // People switch all machines here.
                Outcome::Beside(_, node, operation) => self.wrong(now, || {
                    format!("{operation:?} is asked for, and no driver of {node:?} sees")
                }),
                Outcome::Answer(_) => self.answered(now, appliance),
                Outcome::Agent(to, datagram) => self.answers(now, appliance, *to, datagram),
                Outcome::Serve(_) | Outcome::Keep(..) | Outcome::Switch(..) => {}
            }
        }
        if appliance.lost() != 0 {
            self.wrong(now, || "an effect found no room".into());
        }
        let at = appliance.clock(now);
        if appliance.steps.is_multiple_of(SAMPLE)
            && let Some(node) = appliance.rack().overslept(at)
        {
            self.wrong(now, || format!("{node:?} is due, and the rack sleeps on"));
        }
        let asked = |effect: &Outcome| matches!(effect, Outcome::Power(..));
        if now >= self.next_look || effects.iter().any(asked) {
            self.next_look = now + LOOK;
            self.look_at_power(now, at, appliance);
        }
        for (slot, node) in appliance.rack().nodes().iter().enumerate() {
            self.node(now, at.millis(), slot, node, appliance, machines);
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

    /// Whether a node's work has ended in this very step, which has asked for power
    /// before that.
    fn ends_now(&self, slot: usize, node: &Node) -> bool {
        let before = self.seen.get(slot).map(|seen| seen.state);
        before.is_some_and(|state| state != node.state && agent_phase(state).is_some())
    }

    fn look_at_power(&mut self, now: u64, clock: Instant, appliance: &Appliance) {
        let nodes = appliance.rack().nodes().iter().enumerate();
        for (slot, node) in nodes.filter(|(_, node)| !node.is_vacant()) {
            let place = (slot, leaves_tenant(appliance, slot));
            if let Some(what) = self.power_requests.look(now, clock, place, node) {
                self.wrong(now, || what);
            }
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
        // Every wait has a deadline, and it is kept.
        let deadline = node.deadline.map(Instant::millis);
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
            self.lateness.changed(slot, now);
            self.owners(now, appliance.rack().nodes());
            if node.state == ProvisionState::Available {
                self.changed(now, slot, node.state, node, machines);
            }
            return;
        };
        if last.macs != seen.macs {
            self.owners(now, appliance.rack().nodes());
        }
        if last.state != seen.state {
            self.transitions += 1;
            self.lateness.changed(slot, now);
            self.changed(now, slot, last.state, node, machines);
            if is_in_use(last.state) && is_cleaned(node.state) {
                self.released(now, slot, node, appliance);
            }
        }
        if let Some(place) = self.seen.get_mut(slot) {
            *place = seen;
        }
        if let Some(what) = self.lateness.look(now, slot, node) {
            self.wrong(now, || what);
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

/// Whether a node's machine is to be switched off before its ports leave a tenants'
/// network.
fn leaves_tenant(appliance: &Appliance, slot: usize) -> bool {
    let rack = appliance.rack();
    let mut ports = rack.ports_of(slot);
    ports.any(|port| rack.is_tenants_vlan(port.vlans()[0]))
}

/// Whether a node's agent is to be at work and has fallen silent. It takes up to a
/// second until its state says so.
fn lacks_agent(clock: Instant, node: &Node) -> bool {
    agent_phase(node.state).is_some() && !node.agent_is_live(clock)
}

/// Whether a node's state is one in which its machine is asked to start.
fn waits_for_machine(state: ProvisionState) -> bool {
    matches!(
        state,
        ProvisionState::InspectWait
            | ProvisionState::CleanWait
            | ProvisionState::WaitCallBack
            | ProvisionState::RescueWait
            | ProvisionState::ServiceWait
    )
}
