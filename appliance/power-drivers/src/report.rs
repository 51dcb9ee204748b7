//! How an operation ended.

use core::fmt;

use farrier_core::interface::{OperationError, PowerState};
use farrier_core::power::BootDevice;
use farrier_ipmi::command::device::{GuidOrder, SystemGuid};

use crate::order::{Firmware, StartFrom};

/// What a BMC says that its machine boots from next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BootSeen {
    /// It was not read, or the BMC does not say it.
    #[default]
    Unknown,
    /// What the machine's own settings say: there is no override.
    Own,
    /// This device.
    Device {
        /// The device.
        device: BootDevice,
        /// The firmware interface, where the BMC says it.
        firmware: Option<Firmware>,
        /// At the next start alone.
        once: bool,
    },
    /// Another device.
    Other,
}

impl BootSeen {
    /// Whether the machine boots next as asked for. A BMC that does not say by which
    /// firmware interface is taken at its word.
    #[must_use]
    pub fn is(self, wanted: StartFrom) -> bool {
        match self {
            Self::Device {
                device, firmware, ..
            } => device == wanted.device && firmware.is_none_or(|found| found == wanted.firmware),
            Self::Unknown | Self::Own | Self::Other => false,
        }
    }
}

/// A device's own number of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Code {
    /// There is none.
    #[default]
    None,
    /// IPMI's completion code, or its status of an opening.
    Ipmi(u8),
    /// The status of HTTP.
    Http(u16),
}

/// What was refused or failed, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// As text.
    pub text: &'static str,
    /// The device's own number of it.
    pub code: Code,
}

impl Reason {
    pub(crate) const fn new(text: &'static str) -> Self {
        Self {
            text,
            code: Code::None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Code::None => f.write_str(self.text),
            Code::Ipmi(code) => write!(f, "{} ({code:#04x})", self.text),
            Code::Http(status) => write!(f, "{} (status {status})", self.text),
        }
    }
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Done, or why not.
    pub result: Result<(), OperationError>,
    /// The machine's power as it was read last, behind the last command. Unknown
    /// where it was not read since, or is just changing. Of an outlet: whether it
    /// gives power.
    pub power: PowerState,
    /// The boot device as it was read last: ahead of a start that sets one, behind
    /// the setting.
    pub boot_device: BootSeen,
    /// The machine's UUID in the order of RFC 9562, where the BMC says it. IPMI
    /// leaves the order of its bytes open: compare by [`Self::is_machine`].
    pub uuid: Option<[u8; 16]>,
    /// What was refused or failed last. Of an operation that was done, it says why
    /// the boot device is not as wanted.
    pub reason: Option<Reason>,
}

impl Report {
    pub(crate) const NOTHING: Self = Self {
        result: Err(OperationError::Unreachable),
        power: PowerState::Unknown,
        boot_device: BootSeen::Unknown,
        uuid: None,
        reason: None,
    };

    /// Whether the BMC belongs to the machine of this UUID; `None` where the BMC does
    /// not say. BMCs send the bytes in three orders, and each of them counts.
    #[must_use]
    pub fn is_machine(&self, uuid: [u8; 16]) -> Option<bool> {
        let guid = SystemGuid::of(self.uuid?, GuidOrder::Smbios);
        Some(guid.order_of(uuid).is_some())
    }
}
