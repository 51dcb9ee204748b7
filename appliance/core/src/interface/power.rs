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

/// What a machine boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootDevice {
    /// The network: the ramdisk of the appliance.
    Network,
    /// Its own disk.
    Disk,
}

/// What a machine's BMC is told that it boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootChoice {
    /// The device.
    pub device: BootDevice,
    /// Whether every boot is from it, and not the next one only.
    pub persistent: bool,
}

impl BootChoice {
    /// Every choice, by its number.
    pub const ALL: [BootChoice; 4] = [
        Self::new(BootDevice::Network, false),
        Self::new(BootDevice::Network, true),
        Self::new(BootDevice::Disk, false),
        Self::new(BootDevice::Disk, true),
    ];

    /// A choice.
    pub const fn new(device: BootDevice, persistent: bool) -> Self {
        Self { device, persistent }
    }

    /// A number from 1; 0 for none.
    pub(crate) fn number(choice: Option<Self>) -> u8 {
        let found = choice.and_then(|choice| (1..).zip(Self::ALL).find(|(_, c)| *c == choice));
        found.map_or(0, |(number, _)| number)
    }

    /// The choice of that number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number.checked_sub(1)?)).copied()
    }
}

/// What a power driver is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerOperation {
    /// Look whether the machine is on, and what its BMC says that it boots from. A
    /// driver that can't see is never asked.
    Look,
    /// Switch the machine.
    Do(PowerAction),
    /// Tell the BMC what the machine boots from, and read it back.
    SetBoot(BootChoice),
    /// Interrupt the machine's processors (NMI): most systems stop with a dump then.
    Nmi,
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
