//! Operators: they bring nodes into use and back, repair what failed, and
//! contradict each other.

use farrier_core::node::InstanceInfo;
use farrier_core::{Input, Operator};
use farrier_lifecycle::{State, Verb};

use crate::faults::Fault;
use crate::image;
use crate::machine::Stage;
use crate::world::{Act, Event, HOUR, World};

impl World {
    /// An operator asks for something; whether it was granted.
    pub fn verb(&mut self, slot: usize, verb: Verb) -> bool {
        let Some(node) = self.appliance.rack.nodes().get(slot).map(|node| node.id) else {
            return false;
        };
        self.answer = None;
        self.step(Input::Operator(Operator::Verb {
            node,
            verb,
            config_drive: None,
        }));
        let granted = self.answer.unwrap_or(false);
        self.trace(|| format!("node {slot}: operator asks {verb}: {granted}"));
        granted
    }

    /// An operator chooses what a node is to be deployed with.
    pub fn choose_image(&mut self, slot: usize) -> bool {
        let Some(node) = self.appliance.rack.nodes().get(slot).map(|node| node.id) else {
            return false;
        };
        let info = InstanceInfo {
            image_source: image::NAME.try_into().unwrap_or_default(),
            ..InstanceInfo::default()
        };
        self.answer = None;
        self.step(Input::Operator(Operator::InstanceInfo { node, info }));
        self.answer.unwrap_or(false)
    }

    /// A node's state; `None` before it is discovered.
    pub fn state(&self, slot: usize) -> Option<State> {
        self.appliance.rack.nodes().get(slot).map(|node| node.state)
    }

    /// An operator looks at a node and does what seems to be needed.
    pub(crate) fn operator(&mut self, slot: usize) {
        if !self.options.operators {
            return;
        }
        let mut pause = self.random.between(3 * 60_000, 40 * 60_000);
        if self
            .faults
            .strikes(Fault::OperatorConflict, &mut self.random, 30_000)
        {
            for _ in 0..2 {
                let verb = self.random.pick(&Verb::ALL);
                self.verb(slot, verb);
            }
        }
        match self.state(slot) {
            None => {}
            Some(State::Enroll) => {
                self.verb(slot, Verb::Manage);
                pause = 60_000;
            }
            Some(State::Manageable) => {
                let verb = match self.random.below(4) {
                    0 => Verb::Inspect,
                    _ => Verb::Provide,
                };
                self.verb(slot, verb);
            }
            Some(State::Available) => {
                let deployed = self.choose_image(slot) && self.verb(slot, Verb::Active);
                if deployed {
                    self.leave_at[slot] = self.now + self.random.between(2 * HOUR, 14 * HOUR);
                }
            }
            Some(State::Active) if self.now >= self.leave_at[slot] => {
                let verb = match self.random.below(8) {
                    0 => Verb::Rebuild,
                    _ => Verb::Deleted,
                };
                self.verb(slot, verb);
            }
            Some(State::InspectFailed | State::CleanFailed | State::AdoptFailed) => {
                self.look_after(slot);
                self.verb(slot, Verb::Manage);
                pause = 120_000;
            }
            Some(State::DeployFailed | State::Error) => {
                self.look_after(slot);
                let verb = match self.random.below(2) {
                    0 => Verb::Deleted,
                    _ => Verb::Rebuild,
                };
                self.verb(slot, verb);
            }
            Some(State::CleanWait | State::InspectWait | State::WaitCallBack) => {
                // Now and then somebody loses patience.
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

    /// A person goes to the machine of a node: changes broken disks, and
    /// restarts what does nothing.
    fn look_after(&mut self, slot: usize) {
        let mac = self.appliance.rack.nodes()[slot].macs.first().copied();
        let Some(index) = mac.and_then(|mac| self.owner(mac)) else {
            return;
        };
        for disk in &self.machines[index].disks {
            disk.damage(|damage| damage.dies_after = None);
        }
        if !matches!(self.machines[index].stage, Stage::Ramdisk(_)) || self.random.below(2) == 0 {
            self.switch(index, Act::Cycle, false);
        }
    }
}
