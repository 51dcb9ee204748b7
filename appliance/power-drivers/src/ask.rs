//! What a protocol is asked for by the way of an operation, and what it answers.

use farrier_core::interface::{OperationError, PowerState};

use crate::limits::{BOOT_MILLIS, COMMAND_MILLIS, READ_MILLIS};
use crate::order::StartFrom;
use crate::report::{BootSeen, Reason};

/// A command for the power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// On.
    On,
    /// Off at once.
    Off,
    /// Off by the machine's own system.
    SoftOff,
    /// A restart by the machine's own system.
    SoftReboot,
    /// A diagnostic interrupt.
    Nmi,
}

impl Command {
    /// The power that shows that it was carried out.
    pub(crate) const fn target(self) -> Option<PowerState> {
        match self {
            Self::On => Some(PowerState::On),
            Self::Off | Self::SoftOff => Some(PowerState::Off),
            Self::SoftReboot | Self::Nmi => None,
        }
    }
}

/// What a protocol is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// The power, and what else comes with it.
    Power,
    /// The boot device.
    Boot,
    /// The UUID.
    Uuid,
    /// The boot device is set.
    SetBoot(StartFrom),
    /// A command.
    Command(Command),
}

impl Ask {
    /// The longest time for it, in milliseconds.
    pub(crate) const fn limit(self) -> u64 {
        match self {
            Self::Power => READ_MILLIS,
            Self::Boot | Self::Uuid | Self::SetBoot(_) => BOOT_MILLIS,
            Self::Command(_) => COMMAND_MILLIS,
        }
    }
}

/// What was read; what was not is `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub(crate) power: Option<PowerState>,
    pub(crate) boot: Option<BootSeen>,
    /// The inner `None` is a BMC that does not say it.
    pub(crate) uuid: Option<Option<[u8; 16]>>,
}

/// Why something has failed.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub(crate) error: OperationError,
    /// It was sent, and may be carried out. Says nothing of what is only read.
    pub(crate) lost: bool,
    pub(crate) reason: Reason,
}

impl Fault {
    pub(crate) const fn new(error: OperationError, text: &'static str) -> Self {
        Self {
            error,
            lost: false,
            reason: Reason::new(text),
        }
    }
}

/// What a protocol answers.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// It was read.
    Seen(Seen),
    /// The command, or the setting, was accepted.
    Taken,
    /// It has failed.
    Failed(Fault),
}
