//! Power and boot of the machine (chapter 28).

/// What is done to the machine's power (28.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChassisControl {
    /// Off at once.
    Off = 0,
    /// On.
    On = 1,
    /// Off, and on again after a second or more. A machine that is off stays off,
    /// or is switched on: BMCs differ.
    Cycle = 2,
    /// Reset without switching off.
    HardReset = 3,
    /// A diagnostic interrupt (NMI).
    DiagnosticInterrupt = 4,
    /// The request to the system to shut down (ACPI).
    SoftOff = 5,
}

impl ChassisControl {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Off,
        Self::On,
        Self::Cycle,
        Self::HardReset,
        Self::DiagnosticInterrupt,
        Self::SoftOff,
    ];
}

/// What the machine's power does after a loss of mains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RestorePolicy {
    /// It stays off.
    Off,
    /// It becomes what it was.
    Previous,
    /// It is switched on.
    On,
    /// The BMC does not say.
    Unknown,
}

/// State of the chassis (28.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChassisStatus {
    power: u8,
    event: u8,
    misc: u8,
}

impl ChassisStatus {
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let [power, event, misc, ..] = *data else {
            return None;
        };
        Some(Self { power, event, misc })
    }

    /// The power is on.
    #[must_use]
    pub const fn is_on(self) -> bool {
        self.power & 1 != 0
    }

    /// The power supply is overloaded.
    #[must_use]
    pub const fn overload(self) -> bool {
        self.power & 2 != 0
    }

    /// The interlock, as a cover that is open, keeps the machine off.
    #[must_use]
    pub const fn interlock(self) -> bool {
        self.power & 4 != 0
    }

    /// A fault in the main power.
    #[must_use]
    pub const fn power_fault(self) -> bool {
        self.power & 8 != 0
    }

    /// The power control does not obey.
    #[must_use]
    pub const fn control_fault(self) -> bool {
        self.power & 0x10 != 0
    }

    /// What the power does after a loss of mains.
    #[must_use]
    pub const fn restore_policy(self) -> RestorePolicy {
        match self.power >> 5 & 3 {
            0 => RestorePolicy::Off,
            1 => RestorePolicy::Previous,
            2 => RestorePolicy::On,
            _ => RestorePolicy::Unknown,
        }
    }

    /// What the last change of the power came from.
    #[must_use]
    pub const fn last_event(self) -> PowerEvent {
        PowerEvent(self.event & 0x1f)
    }

    /// The cover was opened.
    #[must_use]
    pub const fn intrusion(self) -> bool {
        self.misc & 1 != 0
    }

    /// The front panel is locked.
    #[must_use]
    pub const fn panel_locked(self) -> bool {
        self.misc & 2 != 0
    }

    /// A drive has a fault.
    #[must_use]
    pub const fn drive_fault(self) -> bool {
        self.misc & 4 != 0
    }

    /// The cooling has a fault.
    #[must_use]
    pub const fn cooling_fault(self) -> bool {
        self.misc & 8 != 0
    }

    /// Something of the above is wrong.
    #[must_use]
    pub const fn has_fault(self) -> bool {
        self.power & 0x1e != 0 || self.misc & 0x0c != 0
    }
}

/// What the last change of the power came from. None of it is known after a
/// restart of some BMCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PowerEvent(u8);

impl PowerEvent {
    /// The mains failed.
    #[must_use]
    pub const fn mains_failed(self) -> bool {
        self.0 & 1 != 0
    }

    /// The supply was overloaded.
    #[must_use]
    pub const fn overload(self) -> bool {
        self.0 & 2 != 0
    }

    /// The interlock was opened.
    #[must_use]
    pub const fn interlock(self) -> bool {
        self.0 & 4 != 0
    }

    /// The power had a fault.
    #[must_use]
    pub const fn fault(self) -> bool {
        self.0 & 8 != 0
    }

    /// A command of IPMI switched it on.
    #[must_use]
    pub const fn by_command(self) -> bool {
        self.0 & 0x10 != 0
    }
}

/// What a machine boots next (28.13, parameter 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BootDevice {
    /// What the machine's firmware chooses.
    Default,
    /// The network.
    Pxe,
    /// The disk.
    Disk,
    /// The disk, in safe mode.
    SafeDisk,
    /// The diagnostic partition.
    Diagnostics,
    /// The CD drive.
    Cdrom,
    /// The setup of the machine's firmware.
    Setup,
    /// A floppy of the BMC.
    RemoteFloppy,
    /// A CD of the BMC.
    RemoteCdrom,
    /// The first medium of the BMC.
    RemoteMedia,
    /// A disk of the BMC.
    RemoteDisk,
    /// The floppy drive.
    Floppy,
    /// A number without a meaning in IPMI 2.0, 10 or 12 to 14.
    Other(u8),
}

impl BootDevice {
    /// Reads the number of a device; its four low bits count.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number & 0x0f {
            0 => Self::Default,
            1 => Self::Pxe,
            2 => Self::Disk,
            3 => Self::SafeDisk,
            4 => Self::Diagnostics,
            5 => Self::Cdrom,
            6 => Self::Setup,
            7 => Self::RemoteFloppy,
            8 => Self::RemoteCdrom,
            9 => Self::RemoteMedia,
            0x0b => Self::RemoteDisk,
            0x0f => Self::Floppy,
            other => Self::Other(other),
        }
    }

    /// The number of the device.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Pxe => 1,
            Self::Disk => 2,
            Self::SafeDisk => 3,
            Self::Diagnostics => 4,
            Self::Cdrom => 5,
            Self::Setup => 6,
            Self::RemoteFloppy => 7,
            Self::RemoteCdrom => 8,
            Self::RemoteMedia => 9,
            Self::RemoteDisk => 0x0b,
            Self::Floppy => 0x0f,
            Self::Other(number) => number & 0x0f,
        }
    }
}

/// The boot flags (28.13, parameter 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootFlags {
    /// The flags count at the next start.
    pub valid: bool,
    /// They count at all starts to come, and not at the next one only.
    pub persistent: bool,
    /// The machine boots by UEFI, and not by BIOS.
    pub uefi: bool,
    /// The device.
    pub device: BootDevice,
}

impl BootFlags {
    /// Reads the parameter; `None` where it is too short.
    #[must_use]
    pub fn parse(data: &[u8]) -> Option<Self> {
        let [flags, device, ..] = *data else {
            return None;
        };
        Some(Self {
            valid: flags & 0x80 != 0,
            persistent: flags & 0x40 != 0,
            uefi: flags & 0x20 != 0,
            device: BootDevice::from_number(device >> 2),
        })
    }

    /// The parameter.
    #[must_use]
    pub const fn emit(self) -> [u8; 5] {
        let flags = (self.valid as u8) << 7 | (self.persistent as u8) << 6 | (self.uefi as u8) << 5;
        [flags, self.device.number() << 2, 0, 0, 0]
    }
}

/// Numbers of the boot parameters (28.13).
pub mod parameter {
    /// Whether somebody is changing the parameters.
    pub const SET_IN_PROGRESS: u8 = 0;
    /// What clears the boot flags.
    pub const VALID_BIT_CLEARING: u8 = 3;
    /// Who has seen the boot flags.
    pub const ACKNOWLEDGE: u8 = 4;
    /// The boot flags.
    pub const FLAGS: u8 = 5;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_devices_are_read_as_they_were_written() {
        for number in 0..16 {
            assert_eq!(BootDevice::from_number(number).number(), number);
            for bits in 0..8 {
                let flags = BootFlags {
                    valid: bits & 1 != 0,
                    persistent: bits & 2 != 0,
                    uefi: bits & 4 != 0,
                    device: BootDevice::from_number(number),
                };
                assert_eq!(BootFlags::parse(&flags.emit()), Some(flags));
            }
        }
        let pxe = BootFlags {
            valid: true,
            persistent: true,
            uefi: true,
            device: BootDevice::Pxe,
        };
        // As ipmitool sends `chassis bootdev pxe options=persistent,efiboot`.
        assert_eq!(pxe.emit(), [0xe0, 4, 0, 0, 0]);
    }

    #[test]
    fn the_status_says_power_policy_and_faults() {
        let status = ChassisStatus::parse(&[0x21, 0x10, 0x40, 0]).expect("a status");
        assert!(status.is_on() && !status.has_fault());
        assert!(status.last_event().by_command());
        assert_eq!(status.restore_policy(), RestorePolicy::Previous);
        let status = ChassisStatus::parse(&[0x1e, 1, 0x0f]).expect("a status");
        assert!(!status.is_on() && status.has_fault() && status.control_fault());
        assert!(status.power_fault() && status.interlock() && status.overload());
        assert!(status.drive_fault() && status.cooling_fault() && status.intrusion());
        assert!(status.last_event().mains_failed() && !status.last_event().fault());
        assert_eq!(ChassisStatus::parse(&[1, 2]), None);
    }
}
