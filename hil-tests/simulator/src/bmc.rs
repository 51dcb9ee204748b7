//! Those who switch machines for the brain: a BMC with its bad habits, or a
//! person who is no better. A BMC's driver plugs in at `power_wanted`.

use farrier_core::interface::{OperationId, PowerAction};
use farrier_protocol::message::NodeId;

use crate::faults::Fault;
use crate::world::{Act, Event, World};

impl World {
    /// The brain wants a machine to be switched. Whoever does it is slow and
    /// not to be relied on.
    pub(crate) fn power_wanted(&mut self, id: OperationId, node: NodeId, action: PowerAction) {
        let Some(node) = self.appliance.rack.find(node) else {
            return;
        };
        let Some(index) = self.appliance.rack.nodes()[node]
            .macs
            .iter()
            .find_map(|mac| self.owner(*mac))
        else {
            return;
        };
        self.trace(|| format!("machine {index}: power: {action:?}"));
        self.at(50, Event::OperationDone(id));
        let act = match action {
            PowerAction::On => Act::On,
            PowerAction::Off | PowerAction::SoftOff => Act::Off,
            PowerAction::Reboot | PowerAction::SoftReboot => Act::Cycle,
        };
        let random = &mut self.random;
        let mut delay = random.between(5_000, 240_000);
        if self.faults.strikes(Fault::BmcNothing, random, 20_000)
            || self.faults.strikes(Fault::BmcNever, random, 10_000)
        {
            return;
        }
        if self.faults.strikes(Fault::BmcLate, random, 30_000) {
            delay += random.between(10 * 60_000, 50 * 60_000);
        }
        let from_disk = self.faults.strikes(Fault::BmcBootOrder, random, 30_000);
        self.at(delay, Event::Power(index, act, from_disk));
    }
}
