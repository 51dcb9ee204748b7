//! The values of properties, as types: power states, kinds of reset, boot
//! targets. Each knows its text in Redfish's schemas.

use core::fmt;

macro_rules! kinds {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $type { $($(#[$variant_doc])* $variant),* }

        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the text in Redfish's schemas.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Reads a text of Redfish's schemas.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

kinds! {
    /// The power of a system (`Resource.PowerState`).
    PowerState {
        /// On.
        On = "On",
        /// Off; the BMC may be powered.
        Off = "Off",
        /// On its way on.
        PoweringOn = "PoweringOn",
        /// On its way off.
        PoweringOff = "PoweringOff",
        /// Halted without being off.
        Paused = "Paused",
    }
}

kinds! {
    /// A kind of reset (`Resource.ResetType`).
    ResetType {
        /// Switches it on.
        On = "On",
        /// Switches it off at once.
        ForceOff = "ForceOff",
        /// Asks the operating system to shut down.
        GracefulShutdown = "GracefulShutdown",
        /// Asks the operating system to shut down, then starts it.
        GracefulRestart = "GracefulRestart",
        /// Resets it at once.
        ForceRestart = "ForceRestart",
        /// Raises a non-maskable interrupt.
        Nmi = "Nmi",
        /// Switches it on at once.
        ForceOn = "ForceOn",
        /// Presses the power button.
        PushPowerButton = "PushPowerButton",
        /// Switches it off and on at once.
        PowerCycle = "PowerCycle",
    }
}

kinds! {
    /// Where a system boots from (`ComputerSystem.BootSource`), as far as a network
    /// installer asks for it.
    BootTarget {
        /// As the BIOS settings say.
        None = "None",
        /// Network, by PXE.
        Pxe = "Pxe",
        /// The first disk.
        Hdd = "Hdd",
        /// UEFI HTTP Boot, of a URI or of what DHCP says.
        UefiHttp = "UefiHttp",
        /// A CD or DVD, virtual media too.
        Cd = "Cd",
        /// A USB CD: what some vendors call virtual media.
        UsbCd = "UsbCd",
        /// A USB device.
        Usb = "Usb",
        /// The setup menu.
        BiosSetup = "BiosSetup",
    }
}

kinds! {
    /// How long an override of the boot target holds
    /// (`ComputerSystem.BootSourceOverrideEnabled`).
    BootEnabled {
        /// Not at all: the boot order of the BIOS settings.
        Disabled = "Disabled",
        /// For the next boot.
        Once = "Once",
        /// For each boot.
        Continuous = "Continuous",
    }
}

kinds! {
    /// The firmware interface (`ComputerSystem.BootSourceOverrideMode`).
    BootMode {
        /// UEFI.
        Uefi = "UEFI",
        /// BIOS.
        Legacy = "Legacy",
    }
}

kinds! {
    /// The health of a part (`Resource.Health`), the better the smaller.
    Health {
        /// Normal.
        Ok = "OK",
        /// Needs attention.
        Warning = "Warning",
        /// Needs attention now.
        Critical = "Critical",
    }
}

kinds! {
    /// A state of Secure Boot (`SecureBoot.SecureBootModeType`).
    SecureBootMode {
        /// No platform key: keys can be enrolled.
        Setup = "SetupMode",
        /// A platform key is there.
        User = "UserMode",
        /// Secure Boot can't be changed by the system.
        Deployed = "DeployedMode",
        /// Keys can be read and not changed.
        Audit = "AuditMode",
    }
}

impl Health {
    /// Returns the worse of two; of one that is unknown, the other.
    #[must_use]
    pub fn worse(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) if (one as u8) < other as u8 => Some(other),
            (Some(one), _) => Some(one),
            (None, other) => other,
        }
    }
}

bitflags::bitflags! {
    /// A set of [`ResetType`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ResetTypes: u16 {
        /// See [`ResetType::On`].
        const ON = 1 << ResetType::On as u16;
        /// See [`ResetType::ForceOff`].
        const FORCE_OFF = 1 << ResetType::ForceOff as u16;
        /// See [`ResetType::GracefulShutdown`].
        const GRACEFUL_SHUTDOWN = 1 << ResetType::GracefulShutdown as u16;
        /// See [`ResetType::GracefulRestart`].
        const GRACEFUL_RESTART = 1 << ResetType::GracefulRestart as u16;
        /// See [`ResetType::ForceRestart`].
        const FORCE_RESTART = 1 << ResetType::ForceRestart as u16;
        /// See [`ResetType::Nmi`].
        const NMI = 1 << ResetType::Nmi as u16;
        /// See [`ResetType::ForceOn`].
        const FORCE_ON = 1 << ResetType::ForceOn as u16;
        /// See [`ResetType::PushPowerButton`].
        const PUSH_POWER_BUTTON = 1 << ResetType::PushPowerButton as u16;
        /// See [`ResetType::PowerCycle`].
        const POWER_CYCLE = 1 << ResetType::PowerCycle as u16;
    }

    /// A set of [`BootTarget`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct BootTargets: u16 {
        /// See [`BootTarget::None`].
        const NONE = 1 << BootTarget::None as u16;
        /// See [`BootTarget::Pxe`].
        const PXE = 1 << BootTarget::Pxe as u16;
        /// See [`BootTarget::Hdd`].
        const HDD = 1 << BootTarget::Hdd as u16;
        /// See [`BootTarget::UefiHttp`].
        const UEFI_HTTP = 1 << BootTarget::UefiHttp as u16;
        /// See [`BootTarget::Cd`].
        const CD = 1 << BootTarget::Cd as u16;
        /// See [`BootTarget::UsbCd`].
        const USB_CD = 1 << BootTarget::UsbCd as u16;
        /// See [`BootTarget::Usb`].
        const USB = 1 << BootTarget::Usb as u16;
        /// See [`BootTarget::BiosSetup`].
        const BIOS_SETUP = 1 << BootTarget::BiosSetup as u16;
    }
}

impl From<ResetType> for ResetTypes {
    fn from(reset: ResetType) -> Self {
        Self::from_bits_truncate(1 << reset as u16)
    }
}

impl From<BootTarget> for BootTargets {
    fn from(target: BootTarget) -> Self {
        Self::from_bits_truncate(1 << target as u16)
    }
}
