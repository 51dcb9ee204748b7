//! Power as drivers carry it out and see it, and the operations that the rack
//! asks drivers for.

/// What a machine's power shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PowerAction {
    /// On.
    On = 1,
    /// Off at once.
    Off = 2,
    /// Off and on again, at once.
    Reboot = 3,
    /// Off by the machine's own system, at once where it does not follow.
    SoftOff = 4,
    /// A restart by the machine's own system, at once where it does not
    /// follow.
    SoftReboot = 5,
}

impl PowerAction {
    /// Every action.
    pub const ALL: [PowerAction; 5] = [
        PowerAction::On,
        PowerAction::Off,
        PowerAction::Reboot,
        PowerAction::SoftOff,
        PowerAction::SoftReboot,
    ];

    /// The power state that the action ends in.
    pub const fn target(self) -> PowerState {
        match self {
            Self::On | Self::Reboot | Self::SoftReboot => PowerState::On,
            Self::Off | Self::SoftOff => PowerState::Off,
        }
    }

    /// Whether the machine starts anew.
    pub const fn restarts(self) -> bool {
        matches!(self, Self::Reboot | Self::SoftReboot)
    }

    /// The action of that number, as records have it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|action| *action as u8 == number)
    }
}

/// A machine's power state as a driver or its packets show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PowerState {
    /// Nothing is known.
    #[default]
    Unknown,
    /// It runs.
    On,
    /// It is switched off.
    Off,
}

/// Names one operation of a driver until it is done or its deadline is over.
/// A restart of the appliance forgets operations; numbers do not come twice
/// within one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct OperationId(pub u32);

/// Why a driver did not carry an operation out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum OperationError {
    /// No driver is configured for the node.
    NoDriver = 1,
    /// The device did not answer.
    Unreachable = 2,
    /// The device refused.
    Refused = 3,
    /// The driver has no room for another operation now.
    Busy = 4,
    /// The driver can't switch the machine: a person at the rack was asked to.
    ByHand = 5,
}
