//! Operators: they bring nodes into use and back, repair what failed, and
//! contradict each other. What tenants want of nodes is in `tenant`.

use farrier_core::interface::{Actor, InterfacePatch, NewNode, NodePatch, PowerAction, Seen};
use farrier_core::node::flags::AdminFlag;
use farrier_core::provisioning::steps::{Step, Steps};
use farrier_core::{Command, Input};
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::{EraseMethod, NodeId, SkipReason};

use crate::drive::Drive;
use crate::faults::Fault;
use crate::machine::Stage;
use crate::managed::TENANTS;
use crate::simulation::{Act, Event, HOUR, Simulation};
use crate::switch::{Network, Port};

/// Steps that operators choose for a cleaning. Without an erasure it leads
/// nowhere near a tenant.
const CLEANINGS: [&[Step]; 5] = [
    &[Step::Erase],
    &[Step::Inspect, Step::Erase],
    &[Step::Hold, Step::Erase, Step::Reboot],
    &[Step::Erase, Step::Hold],
    &[Step::Inspect],
];
/// The same for the service of a node in use.
const SERVICES: [&[Step]; 4] = [
    &[Step::Inspect],
    &[Step::Hold, Step::Inspect],
    &[Step::Reboot],
    &[Step::Inspect, Step::Reboot, Step::Hold],
];

/// A queue of these.
pub(crate) fn queue(steps: &[Step]) -> Steps {
    let with = |queue: Steps, step: &Step| queue.with(*step).unwrap_or(queue);
    steps.iter().fold(Steps::NONE, with)
}

impl Simulation {
    /// An operator asks for something; whether it was granted.
    pub fn verb(&mut self, slot: usize, verb: Verb) -> bool {
        self.verb_with(slot, verb, Steps::NONE, None)
    }

    /// The same by these steps, and with a config drive, which is put into
    /// the node's slot before the command is given.
    pub fn verb_with(
        &mut self,
        slot: usize,
        verb: Verb,
        steps: Steps,
        drive: Option<Drive>,
    ) -> bool {
        let Some(node) = self.appliance.rack().nodes().get(slot).map(|node| node.id) else {
            return false;
        };
        let stored = drive.as_ref().map(|drive| drive.stored);
        let text = drive.as_ref().map(|drive| drive.text.clone());
        if let Some(drive) = drive {
            self.appliance.keep(slot, drive);
        }
        let granted = self.command(Command::ProvisionSteps {
            node,
            verb,
            steps,
            config_drive: stored,
        });
        // Who got no answer does not know what counts now.
        if granted || self.answer.is_none() {
            self.invariants.asked(slot, text.filter(|_| granted));
        }
        self.trace(|| format!("node {slot}: operator asks {verb}: {granted}"));
        granted
    }

    /// An operator chooses how a node's disks may be erased at least, and waives a
    /// device or no longer does.
    fn chooses_erasure(&mut self, slot: usize) {
        const LEAST: [Option<EraseMethod>; 3] = [
            None,
            Some(EraseMethod::Discard),
            Some(EraseMethod::Overwrite),
        ];
        if self.random.below(4) != 0 {
            return;
        }
        let Some(node) = self.appliance.rack().nodes().get(slot).map(|node| node.id) else {
            return;
        };
        let least = self.random.pick(&LEAST);
        self.command(Command::SetLeastErase { node, least });
        let device = self.random.pick(&["@pci-0000:00:05.0", "USB-1"]);
        let reason = self
            .random
            .pick(&[SkipReason::Removable, SkipReason::ReadOnly]);
        let size = 1 << 30;
        let seen = (self.random.below(2) == 0).then_some(Seen::Skipped { reason, size });
        self.command(Command::Waive { node, device, seen });
    }

    /// A node's state; `None` before it is discovered.
    pub fn state(&self, slot: usize) -> Option<ProvisionState> {
        self.appliance
            .rack()
            .nodes()
            .get(slot)
            .map(|node| node.state)
    }

    /// An operator looks at a node and does what seems to be needed.
    pub(crate) fn operator(&mut self, slot: usize) {
        if !self.options.operators {
            return;
        }
        let mut pause = match self.options.busy {
            true => self.random.between(30_000, 4 * 60_000),
            false => self.random.between(5 * 60_000, 55 * 60_000),
        };
        if self
            .faults
            .strikes(Fault::OperatorConflict, &mut self.random, 30_000)
        {
            for _ in 0..2 {
                let verb = self.random.pick(&Verb::ALL);
                self.verb(slot, verb);
            }
        }
        if self.marks(slot) || self.forgets(slot) {
            self.at(60_000, Event::Operator(slot));
            return;
        }
        self.links(slot);
        self.reserves_address(slot);
        self.sets_power(slot);
        match self.state(slot) {
            None => {}
            Some(ProvisionState::Enroll) => {
                self.verb(slot, Verb::Manage);
                pause = 60_000;
            }
            Some(ProvisionState::Manageable) => {
                self.chooses_erasure(slot);
                match self.random.below(16) {
                    0..=3 => self.verb(slot, Verb::Inspect),
                    4 => {
                        let steps = queue(self.random.pick(&CLEANINGS));
                        self.verb_with(slot, Verb::Clean, steps, None)
                    }
                    5 | 6 if self.runs_a_system(slot) => self.verb(slot, Verb::Adopt),
                    _ => self.verb(slot, Verb::Provide),
                };
            }
            Some(ProvisionState::Available) if self.deploys(slot) => {
                let stay = match self.options.busy {
                    true => self.random.between(4 * 60_000, HOUR),
                    false => self.random.between(2 * HOUR, 14 * HOUR),
                };
                self.leave_at[slot] = self.now + stay;
            }
            Some(ProvisionState::Active) if self.now >= self.leave_at[slot] => {
                match self.random.below(8) {
                    0 => {
                        let drive = self.drive(slot);
                        self.verb_with(slot, Verb::Rebuild, Steps::NONE, drive)
                    }
                    _ => self.verb(slot, Verb::Deleted),
                };
            }
            Some(ProvisionState::Active) if self.random.below(60) == 0 => {
                let steps = queue(self.random.pick(&SERVICES));
                self.verb_with(slot, Verb::Service, steps, None);
            }
            Some(
                ProvisionState::CleanHold
                | ProvisionState::DeployHold
                | ProvisionState::ServiceHold,
            ) => {
                let verb = match self.random.below(4) {
                    0 => Verb::Abort,
                    _ => Verb::Unhold,
                };
                self.verb(slot, verb);
            }
            Some(ProvisionState::ServiceFailed) => {
                self.look_after(slot);
                let verb = self.random.pick(&[Verb::Abort, Verb::Abort, Verb::Deleted]);
                self.verb(slot, verb);
                pause = 120_000;
            }
            Some(
                ProvisionState::InspectFailed
                | ProvisionState::CleanFailed
                | ProvisionState::AdoptFailed,
            ) => {
                self.look_after(slot);
                self.verb(slot, Verb::Manage);
                pause = 120_000;
            }
            Some(ProvisionState::DeployFailed | ProvisionState::Error) => {
                self.look_after(slot);
                let verb = match self.random.below(2) {
                    0 => Verb::Deleted,
                    _ => Verb::Rebuild,
                };
                self.verb(slot, verb);
            }
            Some(
                ProvisionState::CleanWait
                | ProvisionState::InspectWait
                | ProvisionState::WaitCallBack
                | ProvisionState::ServiceWait,
            ) => {
                // Now and then an operator aborts.
                match self.random.below(12) {
                    0 => {
                        self.verb(slot, Verb::Abort);
                    }
                    1 => self.look_after(slot),
                    _ => {}
                }
            }
            Some(_) => {}
        }
        self.at(pause, Event::Operator(slot));
    }

    /// Whether a system of its own runs on a node's machine: there is
    /// something to adopt.
    fn runs_a_system(&self, slot: usize) -> bool {
        let mac = self.appliance.rack().nodes()[slot].macs.first();
        mac.and_then(|mac| self.owner(*mac))
            .is_some_and(|index| matches!(self.machines[index].stage, Stage::Tenant(_)))
    }

    /// A node is enrolled before its machine was seen, by an interface that
    /// somebody has read off its label. One that runs a system already is
    /// taken over.
    pub(crate) fn enrol(&mut self, index: usize) {
        let (mac, adopts) = {
            let machine = &self.machines[index];
            (machine.macs[0], machine.is_bootable())
        };
        let node = NodeId(self.random.bytes());
        let (switch, port) = self.link_of(mac);
        let enrolled = self.command(Command::CreateNode(NewNode::new(node)))
            && self.command(Command::CreatePort {
                node,
                mac,
                switch: &switch,
                port: &port,
                patch: InterfacePatch::default(),
                group: None,
            });
        self.trace(|| format!("machine {index}: enrolled by hand: {enrolled}"));
        if let Some(slot) = self.appliance.rack().find(node).filter(|_| adopts) {
            self.attaches_to(slot, TENANTS[0].1);
            self.verb(slot, Verb::Manage);
            self.verb(slot, Verb::Adopt);
        }
    }

    /// Now and then an operator switches an idle machine.
    fn sets_power(&mut self, slot: usize) {
        let (chosen, action) = (self.random.below(60), self.random.pick(&PowerAction::ALL));
        let idle = matches!(
            self.state(slot),
            Some(ProvisionState::Manageable | ProvisionState::Available | ProvisionState::Active)
        );
        let node = self.appliance.rack().nodes().get(slot).map(|node| node.id);
        if let Some(node) = node.filter(|_| idle && chosen == 0) {
            let granted = self.command(Command::SetPower { node, action });
            self.trace(|| format!("node {slot}: power {action:?} by an operator: {granted}"));
        }
    }

    /// Now and then a node is deleted: its machine is discovered again when
    /// it boots, as somebody new. Whether it was.
    fn forgets(&mut self, slot: usize) -> bool {
        let node = self.appliance.rack().nodes().get(slot).map(|node| node.id);
        let Some(node) = node.filter(|_| self.random.below(120) == 0) else {
            return false;
        };
        let machine = self.managed_machine(slot);
        let gone = self.command(Command::DeleteNode { node });
        self.trace(|| format!("node {slot}: deleted: {gone}"));
        if let Some(index) = machine.filter(|_| gone) {
            self.reclaim(index);
        }
        gone
    }

    /// Admin flags come and go: an operator who finds a node in maintenance
    /// mostly ends it, and now and then one is set. Whether there is nothing else to do.
    fn marks(&mut self, slot: usize) -> bool {
        let Some(node) = self.appliance.rack().nodes().get(slot) else {
            return false;
        };
        let (id, flags) = (node.id, node.flags);
        let set = [
            AdminFlag::Maintenance,
            AdminFlag::Protected,
            AdminFlag::Retired,
        ]
        .into_iter()
        .find(|mark| flags.contains(mark.flag()));
        if let Some(mark) = set {
            let ends = self.random.below(3) != 0;
            if ends {
                self.look_after(slot);
                self.command(Command::PatchNode {
                    node: id,
                    patch: NodePatch::flag(mark, false, ""),
                });
            }
            return !ends;
        }
        if self.random.below(40) == 0 {
            let mark = self.random.pick(&[
                AdminFlag::Maintenance,
                AdminFlag::Protected,
                AdminFlag::Retired,
            ]);
            self.command(Command::PatchNode {
                node: id,
                patch: NodePatch::flag(mark, true, "an operator's reason"),
            });
        }
        false
    }

    /// An operator asks for something; whether it was granted.
    pub(crate) fn command(&mut self, command: Command<'_>) -> bool {
        self.answer = None;
        self.step(Input::Command {
            actor: Actor::OPERATOR,
            command,
        });
        self.answer.unwrap_or(false)
    }

    /// A person goes to the machine of a node: changes broken disks, puts its
    /// ports right, and restarts what does nothing.
    fn look_after(&mut self, slot: usize) {
        let mac = self.appliance.rack().nodes()[slot].macs.first().copied();
        let Some(index) = mac.and_then(|mac| self.owner(mac)) else {
            return;
        };
        for disk in &self.machines[index].disks {
            disk.damage(|damage| damage.dies_after = None);
        }
        for mac in &self.machines[index].macs {
            self.switch.put(Port::Server(*mac), Network::Provisioning);
        }
        if !matches!(self.machines[index].stage, Stage::Ramdisk(_)) || self.random.below(2) == 0 {
            self.switch(index, Act::Cycle, false);
        }
    }
}
