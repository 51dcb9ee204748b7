//! The power drivers: BMCs with their faults, and a person for machines that
//! have none. A driver is asked for an operation, acts on the machine, answers
//! the rack, and reports the power state that it observes. It may do each of
//! these late, never, twice or wrongly.

use farrier_core::Input;
use farrier_core::interface::{OperationError, OperationId, PowerAction, PowerState};
use farrier_protocol::message::NodeId;

use crate::faults::Fault;
use crate::machine::Stage;
use crate::simulation::{Act, Event, Simulation};

/// How a driver's operation ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) id: OperationId,
    pub(crate) result: Result<(), OperationError>,
}

/// Why BMCs say that they did not carry an operation out.
const ERRORS: [OperationError; 3] = [
    OperationError::Unreachable,
    OperationError::Refused,
    OperationError::Busy,
];

impl Simulation {
    /// The rack asks a node's power driver for an operation.
    pub(crate) fn operate(&mut self, id: OperationId, node: NodeId, action: PowerAction) {
        let rack = self.appliance.rack();
        let macs = rack.find(node).map(|slot| &rack.nodes()[slot].macs);
        let owner = macs.and_then(|macs| macs.iter().find_map(|mac| self.owner(*mac)));
        self.trace(|| format!("machine {owner:?}: power operation {}: {action:?}", id.0));
        let Some(index) = owner else {
            let result = Err(OperationError::NoDriver);
            self.at(1, Event::OperationDone(Answer { id, result }));
            return;
        };
        if self.driver_off_until > self.now {
            return;
        }
        let act = match action {
            PowerAction::On => Act::On,
            PowerAction::Off | PowerAction::SoftOff => Act::Off,
            PowerAction::Reboot | PowerAction::SoftReboot => Act::Cycle,
        };
        if self.machines[index].has_bmc {
            self.bmc(index, id, node, act);
        } else {
            // The request is shown on the console, and somebody comes.
            let result = Ok(());
            self.at(1, Event::OperationDone(Answer { id, result }));
            let walk = self.random.between(5_000, 240_000);
            self.at(walk, Event::Power(index, act, false));
        }
    }

    fn bmc(&mut self, index: usize, id: OperationId, node: NodeId, act: Act) {
        let random = &mut self.random;
        let error = random.pick(&ERRORS);
        let mut delay = random.between(200, 8_000);
        let faults = &mut self.faults;
        if faults.strikes(Fault::BmcNever, random, 20_000) {
            return;
        }
        if faults.strikes(Fault::BmcLate, random, 30_000) {
            delay += random.between(60_000, 40 * 60_000);
        }
        let fails = faults.strikes(Fault::BmcFails, random, 40_000);
        let acts = !faults.strikes(Fault::BmcNothing, random, 20_000) && !fails;
        let from_disk = faults.strikes(Fault::BmcBootOrder, random, 30_000);
        let again = faults.strikes(Fault::BmcTwice, random, 20_000);
        let result = if fails { Err(error) } else { Ok(()) };
        if acts {
            self.at(delay, Event::Power(index, act, from_disk));
        }
        self.at(delay, Event::OperationDone(Answer { id, result }));
        if again {
            let later = delay + self.random.between(1, 90_000);
            self.at(later, Event::OperationDone(Answer { id, result: Ok(()) }));
        }
        if !fails {
            self.at(delay + 1_000, Event::ObservePower(index, node));
        }
    }

    /// A driver has ended an operation; the rack may have forgotten it.
    pub(crate) fn operation_done(&mut self, answer: Answer) {
        let Answer { id, result } = answer;
        self.step(Input::OperationDone { id, result });
    }

    /// A BMC reports the power state of its machine, or another one.
    pub(crate) fn observe_power(&mut self, index: usize, node: NodeId) {
        let on = !matches!(self.machines[index].stage, Stage::Off);
        let lies = self
            .faults
            .strikes(Fault::BmcLies, &mut self.random, 20_000);
        if on && lies {
            self.invariants.ports.said_off(index);
        }
        let power = match on != lies {
            true => PowerState::On,
            false => PowerState::Off,
        };
        self.step(Input::Observed { node, power });
    }
}
