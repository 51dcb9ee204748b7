//! Drivers of nodes. Their settings are in `setting`.

use super::Setting;

/// What switches a node's machine. The numbers stand in records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum DriverKind {
    /// A person at the rack, who is asked on the console.
    #[default]
    Manual = 0,
    /// The machine's BMC, by IPMI 2.0 over LAN.
    Ipmi = 1,
    /// The machine's BMC, by Redfish (DMTF DSP0266).
    Redfish = 2,
    /// Wake-on-LAN: it can switch the machine on, and nothing else.
    Wol = 3,
    /// The machine's outlet, by SNMP.
    Snmp = 4,
}

impl DriverKind {
    /// Every driver.
    pub const ALL: [DriverKind; 5] = [
        Self::Manual,
        Self::Ipmi,
        Self::Redfish,
        Self::Wol,
        Self::Snmp,
    ];

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Ipmi => "ipmi",
            Self::Redfish => "redfish",
            Self::Wol => "wol",
            Self::Snmp => "snmp",
        }
    }

    /// The driver of that name. `farrier` is what [`DriverKind::Manual`] was called
    /// when there was no other one: clients still send it.
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        match name {
            "farrier" => Some(Self::Manual),
            name => all.find(|driver| driver.name() == name),
        }
    }

    /// The driver of that number, as records have it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|driver| *driver as u8 == number)
    }

    /// Whether it sees if the machine is on.
    pub const fn sees(self) -> bool {
        matches!(self, Self::Ipmi | Self::Redfish | Self::Snmp)
    }

    /// The secret that it logs in with.
    pub const fn login(self) -> Option<Setting> {
        match self {
            Self::Ipmi => Some(Setting::IpmiPassword),
            Self::Redfish => Some(Setting::RedfishPassword),
            Self::Snmp => Some(Setting::SnmpCommunity),
            Self::Manual | Self::Wol => None,
        }
    }

    /// Whether it can say what the machine boots from, and interrupt it.
    pub const fn manages(self) -> bool {
        matches!(self, Self::Ipmi | Self::Redfish)
    }
}
