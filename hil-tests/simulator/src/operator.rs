//! Operators: they bring nodes into use and back, repair what failed, and
//! contradict each other.

use farrier_core::flags::Mark;
use farrier_core::input::Allocate;
use farrier_core::node::InstanceInfo;
use farrier_core::texts::Pairs;
use farrier_core::{Input, Operator};
use farrier_lifecycle::{State, Verb};
use farrier_protocol::message::NodeId;

use crate::drive::Drive;
use crate::faults::Fault;
use crate::image;
use crate::machine::Stage;
use crate::switch::{Network, Port};
use crate::world::{Act, Event, HOUR, World};

impl World {
    /// An operator asks for something; whether it was granted.
    pub fn verb(&mut self, slot: usize, verb: Verb) -> bool {
        self.verb_with(slot, verb, None)
    }

    /// The same with a config drive, which is put into the node's slot before
    /// the brain hears of it.
    pub fn verb_with(&mut self, slot: usize, verb: Verb, drive: Option<Drive>) -> bool {
        let Some(node) = self.appliance.rack.nodes().get(slot).map(|node| node.id) else {
            return false;
        };
        let stored = drive.as_ref().map(|drive| drive.stored);
        let text = drive.as_ref().map(|drive| drive.text.clone());
        if let Some(drive) = drive {
            self.appliance.keep(slot, drive);
        }
        let granted = self.wish(Operator::Verb {
            node,
            verb,
            config_drive: stored,
        });
        // Who got no answer does not know what counts now.
        if granted || self.answer.is_none() {
            self.watch.asked(slot, text.filter(|_| granted));
        }
        self.trace(|| format!("node {slot}: operator asks {verb}: {granted}"));
        granted
    }

    /// An operator chooses what a node is to be deployed with.
    pub fn choose_image(&mut self, slot: usize) -> bool {
        let Some(node) = self.appliance.rack.nodes().get(slot) else {
            return false;
        };
        let info = InstanceInfo {
            image_source: image::NAME.try_into().unwrap_or_default(),
            // An allocation's identity stays.
            ..node.instance.clone()
        };
        let node = node.id;
        self.wish(Operator::InstanceInfo { node, info })
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
        if self.marks(slot) {
            self.at(60_000, Event::Operator(slot));
            return;
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
            Some(State::Available) if self.deploys(slot) => {
                self.leave_at[slot] = self.now + self.random.between(2 * HOUR, 14 * HOUR);
            }
            Some(State::Active) if self.now >= self.leave_at[slot] => {
                match self.random.below(8) {
                    0 => {
                        let drive = self.drive();
                        self.verb_with(slot, Verb::Rebuild, drive)
                    }
                    _ => self.verb(slot, Verb::Deleted),
                };
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

    /// A node is deployed: at times after an allocation, which may find
    /// another one.
    fn deploys(&mut self, slot: usize) -> bool {
        let id = self.appliance.rack.nodes()[slot].id;
        if self.random.below(4) == 0 {
            let allocation = NodeId(self.random.bytes());
            self.wish(Operator::Class {
                node: id,
                name: "metal",
            });
            self.wish(Operator::Allocate(Allocate {
                id: allocation,
                name: "",
                class: "metal",
                node: None,
                lists: Pairs::default(),
            }));
        }
        // It may be another's by now.
        if !self.choose_image(slot) {
            return false;
        }
        let drive = self.drive();
        self.verb_with(slot, Verb::Active, drive)
    }

    /// One tenant in four has a config drive.
    fn drive(&mut self) -> Option<Drive> {
        (self.random.below(4) == 0).then(|| Drive::new(&mut self.random))
    }

    /// Marks come and go: whoever finds a node in maintenance mostly ends it,
    /// and now and then one is set. Whether there is nothing else to do.
    fn marks(&mut self, slot: usize) -> bool {
        let Some(node) = self.appliance.rack.nodes().get(slot) else {
            return false;
        };
        let (id, flags) = (node.id, node.flags);
        let set = [Mark::Maintenance, Mark::Protected, Mark::Retired]
            .into_iter()
            .find(|mark| flags.has(mark.flag()));
        if let Some(mark) = set {
            let ends = self.random.below(3) != 0;
            if ends {
                self.look_after(slot);
                self.wish(Operator::Mark {
                    node: id,
                    mark,
                    on: false,
                    reason: "",
                });
            }
            return !ends;
        }
        if self.random.below(40) == 0 {
            let mark = self
                .random
                .pick(&[Mark::Maintenance, Mark::Protected, Mark::Retired]);
            self.wish(Operator::Mark {
                node: id,
                mark,
                on: true,
                reason: "an operator's reason",
            });
        }
        false
    }

    /// An operator asks for something; whether it was granted.
    fn wish(&mut self, wish: Operator<'_>) -> bool {
        self.answer = None;
        self.step(Input::Operator(wish));
        self.answer.unwrap_or(false)
    }

    /// A person goes to the machine of a node: changes broken disks, puts its
    /// ports right, and restarts what does nothing.
    fn look_after(&mut self, slot: usize) {
        let mac = self.appliance.rack.nodes()[slot].macs.first().copied();
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
