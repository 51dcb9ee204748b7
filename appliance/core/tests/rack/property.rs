//! Operators, machines and faults in any order: what must hold afterwards,
//! always.
//!
//! The model beside the rack knows only what it was told (answers, orders
//! that reached an agent, records) and judges by that.

use crate::common::*;
use farrier_core::interface::{Allocate, NodePatch};
use farrier_core::node::flags::{AdminFlag, Flags};
use farrier_core::persist::record::Record;
use farrier_core::provisioning::steps::{Step, Steps};
use farrier_core::strings::KeyValues;
use farrier_core::{Command, Input};
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::{NodeId, Reason, Task};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const MACHINES: u8 = 6;

struct World {
    lab: Lab,
    agents: HashMap<u8, Agent>,
    states: HashMap<NodeId, ProvisionState>,
    allocations: HashSet<NodeId>,
    made: u8,
}

/// One thing that happens: what, to whom, and how.
type Event = (u8, u8, u8);

impl World {
    fn new() -> Self {
        let mut world = World {
            lab: Lab::new(),
            agents: HashMap::new(),
            states: HashMap::new(),
            allocations: HashSet::new(),
            made: 0,
        };
        for machine in 0..MACHINES {
            world.boot(machine, 0);
        }
        world
    }

    fn id(&self, place: u8) -> Option<NodeId> {
        let nodes = self.lab.rack().nodes();
        let node = nodes.get(usize::from(place) % nodes.len().max(1))?;
        (!node.is_vacant()).then_some(node.id)
    }

    fn state(&self, id: NodeId) -> ProvisionState {
        let index = self.lab.rack().find(id).expect("a node that is there");
        self.lab.state(index)
    }

    fn ask(&mut self, operator: Command<'_>) -> Result<(), String> {
        let answer = self.lab.operator(operator);
        self.look();
        answer
    }

    /// Reads the records of the last step: the only way to available is out
    /// of a cleaning in which every disk was certified.
    fn look(&mut self) {
        for bytes in self.lab.controller.records() {
            match postcard::from_bytes::<Record<'_>>(bytes).unwrap() {
                Record::State { node, state, .. } => {
                    let state = ProvisionState::from_number(state).unwrap();
                    let before = self
                        .states
                        .insert(node, state)
                        .unwrap_or(ProvisionState::Enroll);
                    if state == ProvisionState::Available {
                        assert_eq!(before, ProvisionState::Cleaning);
                        let index = self.lab.rack().find(node).unwrap();
                        assert!(self.lab.node(index).flags.contains(Flags::ERASED));
                    }
                    if before == ProvisionState::CleanFailed {
                        assert_eq!(state, ProvisionState::Manageable, "nothing else leads out");
                    }
                }
                Record::Deleted { node } => {
                    self.states.remove(&node);
                }
                _ => {}
            }
        }
    }

    fn boot(&mut self, machine: u8, how: u8) {
        let lease = self.lab.dhcp(machine, ipxe);
        self.look();
        let Some(lease) = lease else { return };
        let path = lease.script().to_owned();
        let did = self.lab.open(lease.address, &path);
        self.look();
        let Served::Text(script) = did else { return };
        self.agents.remove(&machine);
        if !script.contains("farrier.ticket") {
            return;
        }
        let behaviour = match how % 5 {
            1 => Behaviour::WithholdsCertificate,
            2 => Behaviour::Fails(Reason::DiskWrite),
            3 => Behaviour::Hangs,
            4 => Behaviour::Vanishes,
            _ => Behaviour::Honest,
        };
        let scripted = ScriptedAgent::with_disks(&[8 * GIB, 4 * GIB]).behaving(behaviour);
        let agent = Agent::new(machine, lease.address, &script, 0, scripted);
        let agent = agent.expect("a ticket in the script");
        self.agents.insert(machine, agent);
        self.run(machine, 1);
    }

    /// Half a second at a time, so that every record is seen.
    fn run(&mut self, machine: u8, seconds: u64) {
        let Some(mut agent) = self.agents.remove(&machine) else {
            return;
        };
        let erased_before = self.cleaned_states();
        self.lab.run(&mut agent, seconds);
        // What became available meanwhile had an agent that was ordered to
        // erase and gave every certificate.
        let scripted = agent.driver.handler();
        let ordered = scripted
            .orders
            .iter()
            .any(|order| matches!(order.task, Task::Erase { .. }));
        for id in self.cleaned_states().difference(&erased_before) {
            let index = self.lab.rack().find(*id).unwrap();
            assert!(self.lab.node(index).macs.contains(&mac_of(machine)));
            let honest = !matches!(
                scripted.behaviour,
                Behaviour::WithholdsCertificate | Behaviour::Fails(_)
            );
            assert!(ordered && honest);
        }
        for node in self.lab.rack().nodes() {
            self.states.insert(node.id, node.state);
        }
        if !agent.over {
            self.agents.insert(machine, agent);
        }
    }

    fn cleaned_states(&self) -> HashSet<NodeId> {
        let nodes = self.lab.rack().nodes().iter();
        nodes
            .filter(|node| node.state == ProvisionState::Available)
            .map(|node| node.id)
            .collect()
    }

    fn happen(&mut self, (what, whom, how): Event) {
        match what {
            0..=3 => {
                let verb = Verb::ALL[usize::from(how) % Verb::ALL.len()];
                let steps = match (verb, how / 13 % 3) {
                    (Verb::Clean, _) => Steps::NONE.with(Step::Hold).unwrap().with(Step::Erase),
                    (Verb::Service, 0) => Steps::NONE.with(Step::Hold),
                    (Verb::Service, _) => Steps::NONE.with(Step::Reboot),
                    (Verb::Active, 0) => Steps::NONE.with(Step::Write).unwrap().with(Step::Hold),
                    _ => Some(Steps::NONE),
                };
                let Some(node) = self.id(whom) else { return };
                let before = self.state(node);
                let answer = self.ask(Command::ProvisionSteps {
                    node,
                    verb,
                    steps: steps.unwrap(),
                    config_drive: None,
                });
                assert!(answer.is_ok() || self.state(node) == before);
                if before.is_busy() {
                    assert!(answer.is_err(), "{before} takes no verb");
                }
                if verb == Verb::Deleted && answer.is_ok() {
                    assert_eq!(self.state(node).target(), Some(ProvisionState::Available));
                }
            }
            4 | 5 => self.boot(whom % MACHINES, how),
            6..=9 => self.run(whom % MACHINES, u64::from(how % 20) + 1),
            10 => {
                let minutes = if how % 4 == 0 { 31 } else { 2 };
                for _ in 0..minutes * 6 {
                    self.lab.now += 10_000;
                    self.lab.step(Input::Tick);
                    self.look();
                }
            }
            11 => self.mark(whom, how),
            12 => {
                let Some(node) = self.id(whom) else { return };
                let before = self.state(node);
                let index = self.lab.rack().find(node).unwrap();
                let was = self.lab.node(index).flags;
                let gone = self.ask(Command::DeleteNode { node }).is_ok();
                assert_eq!(self.lab.rack().find(node).is_none(), gone);
                if gone {
                    assert!(!was.contains(Flags::PROTECTED) && !was.contains(Flags::ALLOCATED));
                    let may = [
                        ProvisionState::Enroll,
                        ProvisionState::Manageable,
                        ProvisionState::Available,
                        ProvisionState::AdoptFailed,
                        ProvisionState::InspectFailed,
                        ProvisionState::CleanFailed,
                    ];
                    assert!(may.contains(&before), "{before}");
                }
            }
            13 => {
                self.made = self.made.wrapping_add(1);
                let id = NodeId([self.made; 16]);
                let free = self.cleaned_states();
                let allocate = Allocate {
                    id,
                    name: "",
                    class: "metal",
                    node: None,
                    account: "",
                    lists: KeyValues(""),
                };
                if self.ask(Command::Allocate(allocate)).is_ok() {
                    assert!(self.allocations.insert(id));
                    let nodes = self.lab.rack().nodes().iter();
                    let owner = nodes.filter(|n| n.instance.instance_uuid == Some(id));
                    let owners: Vec<_> = owner.collect();
                    assert_eq!(owners.len(), 1);
                    assert!(free.contains(&owners[0].id));
                    let hands_off = [Flags::MAINTENANCE, Flags::RETIRED, Flags::CLEAN_FAULT];
                    assert!(
                        hands_off
                            .iter()
                            .all(|flag| !owners[0].flags.contains(*flag))
                    );
                }
            }
            14 => {
                let Some(id) = self.allocations.iter().next().copied() else {
                    return;
                };
                let given_back = self.ask(Command::Deallocate { allocation: id }).is_ok();
                if given_back {
                    assert!(self.allocations.remove(&id));
                }
            }
            _ => {
                let Some(node) = self.id(whom) else { return };
                let patch = NodePatch::image_source("debian12");
                let _maybe = self.ask(Command::PatchNode { node, patch });
                let name = "metal";
                let _maybe = self.ask(Command::PatchNode {
                    node,
                    patch: NodePatch::resource_class(name),
                });
            }
        }
        // What ended by itself: released, and nothing else.
        let rack = &self.lab.rack();
        self.allocations.retain(|id| {
            let nodes = rack.nodes().iter();
            nodes
                .filter(|n| n.instance.instance_uuid == Some(*id))
                .count()
                == 1
        });
        self.check();
    }

    fn mark(&mut self, whom: u8, how: u8) {
        let Some(node) = self.id(whom) else { return };
        let mark = [
            AdminFlag::Maintenance,
            AdminFlag::Protected,
            AdminFlag::Retired,
        ][usize::from(how) % 3];
        let on = (how / 3).is_multiple_of(2);
        let patch = NodePatch::flag(mark, on, "because");
        let _maybe = self.ask(Command::PatchNode { node, patch });
    }

    fn check(&self) {
        let rack = &self.lab.rack();
        let nodes: Vec<_> = rack.nodes().iter().filter(|n| !n.is_vacant()).collect();
        let mut macs = HashSet::new();
        let mut ids = HashSet::new();
        let mut instances = HashSet::new();
        let mut allocated = HashSet::new();
        for node in &nodes {
            assert!(ids.insert(node.id), "two nodes of one identity");
            for mac in &node.macs {
                assert!(macs.insert(*mac), "two owners of an interface");
            }
            if let Some(instance) = node.instance.instance_uuid {
                assert!(instances.insert(instance), "two nodes of one instance");
            }
            if node.flags.contains(Flags::ALLOCATED) {
                allocated.insert(node.instance.instance_uuid.expect("an allocation"));
            }
            let limit = node.state.deadline();
            assert_eq!(node.deadline.is_some(), limit.is_some(), "{}", node.state);
            if let (Some(limit), Some(deadline)) = (limit, node.deadline) {
                let left = deadline.millis().saturating_sub(self.lab.now);
                assert!(left <= limit.millis);
            }
            if node.state.is_stable() || node.state.is_failure() {
                assert!(node.steps.is_empty(), "{}", node.state);
            }
        }
        assert_eq!(allocated, self.allocations);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens(events in proptest::collection::vec(
        (0u8..16, any::<u8>(), any::<u8>()), 20..120)
    ) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        // After the last fault every node comes to rest within its bound.
        for machine in 0..MACHINES {
            world.agents.remove(&machine);
        }
        for _ in 0..65 * 6 {
            world.lab.now += 10_000;
            world.lab.step(Input::Tick);
        }
        for node in world.lab.rack().nodes() {
            let state = node.state;
            prop_assert!(
                state.is_stable() || state.is_failure() || state.is_hold(),
                "{state}: {}", node.reason
            );
        }
    }
}
