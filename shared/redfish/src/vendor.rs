//! Habits of vendors, as data: what a BMC needs that the specification does not
//! ask for, or lacks. Each is known from public reports of other clients' users.
//! No code depends on which vendor it is, only on a habit.

use crate::kinds::BootTarget;

/// A vendor of BMC firmware, as far as its habits are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Vendor {
    /// None of those below.
    #[default]
    Other = 0,
    /// Dell iDRAC.
    Dell = 1,
    /// HPE iLO.
    Hpe = 2,
    /// Supermicro.
    Supermicro = 3,
    /// Lenovo XCC.
    Lenovo = 4,
    /// AMI MegaRAC: Gigabyte, ASRock Rack, and others.
    Ami = 5,
    /// Fujitsu iRMC.
    Fujitsu = 6,
    /// OpenBMC.
    OpenBmc = 7,
}

/// What to do about the mode in a change of the boot override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeHabit {
    /// It is sent where it is asked for.
    AsAsked,
    /// It is sent always, the present one where none is asked for: without it the
    /// BMC goes back to a default.
    Always,
    /// It is never sent: the property is read-only, and the BMC refuses the whole
    /// change. A mode that is asked for is compared with what is read.
    Never,
}

/// What a vendor's BMCs need.
#[derive(Debug)]
pub struct Habits {
    /// The vendor.
    pub vendor: Vendor,
    /// Texts that name it: `Vendor` or a member of `Oem` in the service root, or
    /// `Manufacturer` of the system. Compared without case, by their beginning.
    pub names: &'static [&'static str],
    /// The mode in a change of the boot override.
    pub mode: ModeHabit,
    /// The target to ask for in place of another.
    pub boot_as: Option<(BootTarget, BootTarget)>,
    /// A change of BIOS attributes needs `@Redfish.SettingsApplyTime`, or it stays
    /// pending for ever. Others refuse that member.
    pub apply_time: bool,
    /// The BIOS attribute that holds the URI of UEFI HTTP Boot, where
    /// `HttpBootUri` is absent. Setting it is the caller's.
    pub http_uri_attribute: Option<&'static str>,
    /// Ends of message ids that mean "not ready after the last operation": the
    /// change was not made, and is asked for again after a pause.
    pub not_ready: &'static [&'static str],
}

const PLAIN: Habits = Habits {
    vendor: Vendor::Other,
    names: &[],
    mode: ModeHabit::AsAsked,
    boot_as: None,
    apply_time: false,
    http_uri_attribute: None,
    not_ready: &["ServiceTemporarilyUnavailable"],
};

/// All vendors with habits.
pub static HABITS: [Habits; 8] = [
    PLAIN,
    Habits {
        vendor: Vendor::Dell,
        names: &["Dell"],
        apply_time: true,
        http_uri_attribute: Some("HttpDev1Uri"),
        // "iDRAC is not ready".
        not_ready: &["SYS518", "ServiceTemporarilyUnavailable"],
        ..PLAIN
    },
    Habits {
        vendor: Vendor::Hpe,
        names: &["HPE", "Hewlett Packard Enterprise", "Hp", "Hewlett-Packard"],
        mode: ModeHabit::Never,
        ..PLAIN
    },
    Habits {
        vendor: Vendor::Supermicro,
        names: &["Supermicro", "Super Micro"],
        mode: ModeHabit::Always,
        boot_as: Some((BootTarget::Cd, BootTarget::UsbCd)),
        ..PLAIN
    },
    Habits {
        vendor: Vendor::Lenovo,
        names: &["Lenovo"],
        ..PLAIN
    },
    Habits {
        vendor: Vendor::Ami,
        names: &["AMI", "American Megatrends"],
        ..PLAIN
    },
    Habits {
        vendor: Vendor::Fujitsu,
        names: &["Fujitsu", "ts_fujitsu", "fsas"],
        ..PLAIN
    },
    Habits {
        vendor: Vendor::OpenBmc,
        names: &["OpenBmc"],
        ..PLAIN
    },
];

impl Vendor {
    /// Returns the vendor that a text names.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let begins = |name: &&str| {
            let start = text.get(..name.len());
            let next = text.as_bytes().get(name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name))
                && next.is_none_or(|next| !next.is_ascii_alphanumeric())
        };
        let mut all = HABITS.iter();
        let found = all.find(|habits| habits.names.iter().any(begins));
        found.map(|habits| habits.vendor)
    }

    /// Returns what its BMCs need.
    #[must_use]
    pub fn habits(self) -> &'static Habits {
        let mut all = HABITS.iter();
        all.find(|habits| habits.vendor == self)
            .unwrap_or(&PLAIN_STATIC)
    }
}

static PLAIN_STATIC: Habits = PLAIN;
