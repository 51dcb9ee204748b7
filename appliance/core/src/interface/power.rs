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
    /// The port was not on the VLAN that the operation expects, or the switch has
    /// no such port. Nothing was changed.
    Unexpected = 6,
    /// The switch said that it did it, and the port, read again, is on another
    /// VLAN than wanted.
    NotApplied = 7,
    /// The device may have done it, or may still do it: it is to be read before
    /// anything else is done.
    Uncertain = 8,
    /// The device does not take the user's name, password or key.
    Login = 9,
    /// The device's host key is not the one that was pinned.
    HostKey = 10,
    /// The device does not speak as the driver does: another protocol, dialect or
    /// cipher, or bytes that are none of it.
    Unsupported = 11,
    /// The port of the switch that was to carry the VLANs of others carries no tagged
    /// ones.
    NoTrunk = 12,
}
