//! What counts as an event of a simulation.

use crate::simulation::Event;

/// What was delivered so far. Behind each of them the invariants are asked that it
/// can violate. Wake-ups that were replaced by later ones do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Events {
    /// Inputs of the rack: frames, ticks, commands, requests for files, ends of
    /// operations, what drivers have read.
    pub rack: u64,
    /// Datagrams that reached a machine, steps of machines, and what was done to
    /// their power.
    pub machines: u64,
    /// Bytes that a switch or the driver of one took from the other, each time.
    pub switches: u64,
    /// What struck, and what people and the clocks of switches did.
    pub world: u64,
}

impl Events {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.rack + self.machines + self.switches + self.world
    }
}

impl std::iter::Sum for Events {
    fn sum<I: Iterator<Item = Self>>(events: I) -> Self {
        events.fold(Self::default(), |sum, one| Events {
            rack: sum.rack + one.rack,
            machines: sum.machines + one.machines,
            switches: sum.switches + one.switches,
            world: sum.world + one.world,
        })
    }
}

/// Whether an event is neither an input of the rack nor something that happens to a
/// machine or between a switch and its driver: those are counted where they are
/// carried out.
pub(crate) const fn is_of_the_world(event: &Event) -> bool {
    match event {
        Event::PutRight(_)
        | Event::Impostor(..)
        | Event::Strike
        | Event::Restart
        | Event::SwitchClock(_)
        | Event::SwitchWell(_)
        | Event::Twin(..)
        | Event::StrikeSwitch
        | Event::TrunkWell
        | Event::CableBack(_)
        | Event::Carry(..)
        | Event::PutPortRight(_) => true,
        Event::Up(..)
        | Event::Down(..)
        | Event::Wake(..)
        | Event::Tick
        | Event::Operator(_)
        | Event::Tenancy
        | Event::Enrol(_)
        | Event::Power(..)
        | Event::OperationDone(_)
        | Event::ObservePower(..)
        | Event::Hostile
        | Event::Wire(_)
        | Event::LooksForLost(_) => false,
    }
}
