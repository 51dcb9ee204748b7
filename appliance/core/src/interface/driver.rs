//! Drivers of nodes, and the settings of `driver_info` that they understand. How a
//! setting is kept is in `strings::settings`, what follows from it in
//! `power::access`.

use core::net::Ipv4Addr;
use farrier_snmp::outlet::{Family, MAX_INDEX};

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

/// A key of `driver_info` that a driver understands. The numbers stand in records of
/// secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Setting {
    /// The BMC's IPv4 address.
    IpmiAddress = 0,
    /// Its UDP port; 623 without.
    IpmiPort = 1,
    /// The user's name; empty without.
    IpmiUsername = 2,
    /// The user's password. A secret.
    IpmiPassword = 3,
    /// The cipher suite; 17 without.
    IpmiCipherSuite = 4,
    /// The privilege that is asked for; `ADMINISTRATOR` without.
    IpmiPrivLevel = 5,
    /// The BMC's key K_G as hexadecimal digits. A secret.
    IpmiHexKgKey = 6,
    /// Scheme, IPv4 address and port of the BMC's service.
    RedfishAddress = 7,
    /// The user's name.
    RedfishUsername = 8,
    /// The user's password. A secret.
    RedfishPassword = 9,
    /// Path of the system; the only one without.
    RedfishSystemId = 10,
    /// The PDU's or switch's IPv4 address.
    SnmpAddress = 11,
    /// Its UDP port; 161 without.
    SnmpPort = 12,
    /// The community that may write. A secret.
    SnmpCommunity = 13,
    /// Numbers of the outlet.
    SnmpOutlet = 14,
    /// The family of the device.
    SnmpDriver = 15,
}

/// Longest value of a setting in bytes.
pub const SETTING_LEN: usize = 64;

impl Setting {
    /// Every setting, by its number.
    pub const ALL: [Setting; 16] = [
        Self::IpmiAddress,
        Self::IpmiPort,
        Self::IpmiUsername,
        Self::IpmiPassword,
        Self::IpmiCipherSuite,
        Self::IpmiPrivLevel,
        Self::IpmiHexKgKey,
        Self::RedfishAddress,
        Self::RedfishUsername,
        Self::RedfishPassword,
        Self::RedfishSystemId,
        Self::SnmpAddress,
        Self::SnmpPort,
        Self::SnmpCommunity,
        Self::SnmpOutlet,
        Self::SnmpDriver,
    ];

    /// The settings whose values no reply and no record tells.
    pub const SECRETS: [Setting; 4] = [
        Self::IpmiPassword,
        Self::IpmiHexKgKey,
        Self::RedfishPassword,
        Self::SnmpCommunity,
    ];

    /// The key.
    pub const fn key(self) -> &'static str {
        match self {
            Self::IpmiAddress => "ipmi_address",
            Self::IpmiPort => "ipmi_port",
            Self::IpmiUsername => "ipmi_username",
            Self::IpmiPassword => "ipmi_password",
            Self::IpmiCipherSuite => "ipmi_cipher_suite",
            Self::IpmiPrivLevel => "ipmi_priv_level",
            Self::IpmiHexKgKey => "ipmi_hex_kg_key",
            Self::RedfishAddress => "redfish_address",
            Self::RedfishUsername => "redfish_username",
            Self::RedfishPassword => "redfish_password",
            Self::RedfishSystemId => "redfish_system_id",
            Self::SnmpAddress => "snmp_address",
            Self::SnmpPort => "snmp_port",
            Self::SnmpCommunity => "snmp_community",
            Self::SnmpOutlet => "snmp_outlet",
            Self::SnmpDriver => "snmp_driver",
        }
    }

    /// The setting of that key.
    pub fn named(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setting| setting.key() == key)
    }

    /// The setting of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The driver that it belongs to.
    pub const fn driver(self) -> DriverKind {
        match self {
            Self::IpmiAddress
            | Self::IpmiPort
            | Self::IpmiUsername
            | Self::IpmiPassword
            | Self::IpmiCipherSuite
            | Self::IpmiPrivLevel
            | Self::IpmiHexKgKey => DriverKind::Ipmi,
            Self::RedfishAddress
            | Self::RedfishUsername
            | Self::RedfishPassword
            | Self::RedfishSystemId => DriverKind::Redfish,
            Self::SnmpAddress
            | Self::SnmpPort
            | Self::SnmpCommunity
            | Self::SnmpOutlet
            | Self::SnmpDriver => DriverKind::Snmp,
        }
    }

    /// Whether no reply and no record tells its value.
    pub const fn is_secret(self) -> bool {
        matches!(
            self,
            Self::IpmiPassword | Self::IpmiHexKgKey | Self::RedfishPassword | Self::SnmpCommunity
        )
    }

    /// Whether the value before it is kept until the new one was seen to work: what
    /// logs in.
    pub const fn rotates(self) -> bool {
        self.is_secret() && !matches!(self, Self::IpmiHexKgKey)
    }

    /// Whether a value can be one of this setting.
    pub fn accepts(self, value: &str) -> bool {
        let graphic =
            |most: usize| value.len() <= most && value.bytes().all(|byte| byte.is_ascii_graphic());
        let text = |most: usize| value.len() <= most && !value.chars().any(char::is_control);
        !value.is_empty()
            && match self {
                Self::IpmiAddress | Self::SnmpAddress => address(value).is_some(),
                Self::IpmiPort | Self::SnmpPort => port(value).is_some(),
                Self::IpmiUsername => graphic(16),
                Self::IpmiPassword => text(20),
                Self::IpmiCipherSuite => matches!(value, "3" | "17"),
                Self::IpmiPrivLevel => privilege(value).is_some(),
                Self::IpmiHexKgKey => kg(value).is_some(),
                Self::RedfishAddress => RedfishHost::parse(value).is_some(),
                Self::RedfishUsername => graphic(40),
                Self::RedfishPassword | Self::SnmpCommunity => text(SETTING_LEN),
                Self::RedfishSystemId => graphic(SETTING_LEN) && value.starts_with('/'),
                Self::SnmpOutlet => outlet(value),
                Self::SnmpDriver => family(value).is_some(),
            }
    }

    /// What is to be sent, for people: the end of a sentence behind "Send".
    pub const fn expects(self) -> &'static str {
        match self {
            Self::IpmiAddress | Self::SnmpAddress => "an IPv4 address, such as 10.0.0.9",
            Self::IpmiPort | Self::SnmpPort => "a UDP port from 1 to 65535",
            Self::IpmiUsername => "1 to 16 printable characters of ASCII",
            Self::IpmiPassword => "1 to 20 bytes: IPMI 2.0 has no longer passwords",
            Self::IpmiCipherSuite => "17, or 3 for a BMC that has no better one",
            Self::IpmiPrivLevel => "ADMINISTRATOR or OPERATOR",
            Self::IpmiHexKgKey => "40 hexadecimal digits",
            Self::RedfishAddress => {
                "http:// or https:// with an IPv4 address and, if it is not the standard one, a \
                 port: https://10.0.0.9:8443"
            }
            Self::RedfishUsername => "1 to 40 printable characters of ASCII",
            Self::RedfishPassword | Self::SnmpCommunity => "1 to 64 bytes",
            Self::RedfishSystemId => {
                "the path of the system in at most 64 bytes, such as /redfish/v1/Systems/1"
            }
            Self::SnmpOutlet => "1 to 3 numbers with dots between them, such as 8 or 1.1.8",
            Self::SnmpDriver => {
                "apc-masterswitch, apc, apc2, raritan, sentry3, cyberpower, eaton or poe"
            }
        }
    }
}

/// The privilege that a session of IPMI asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IpmiPrivilege {
    /// May switch the machine.
    Operator,
    /// May change the BMC itself, too.
    #[default]
    Administrator,
}

/// An address as `driver_info` has it.
pub(crate) fn address(text: &str) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = text.parse().ok()?;
    let is_host = !address.is_unspecified() && !address.is_broadcast() && !address.is_multicast();
    is_host.then_some(address)
}

/// A port as `driver_info` has it.
pub(crate) fn port(text: &str) -> Option<u16> {
    let digits = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

/// A privilege as Ironic names it.
pub(crate) fn privilege(text: &str) -> Option<IpmiPrivilege> {
    match text {
        "ADMINISTRATOR" => Some(IpmiPrivilege::Administrator),
        "OPERATOR" => Some(IpmiPrivilege::Operator),
        _ => None,
    }
}

/// Bytes of the key K_G.
pub const KG_LEN: usize = 20;

/// The key K_G of its digits.
pub(crate) fn kg(digits: &str) -> Option<[u8; KG_LEN]> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != KG_LEN || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut key = [0; KG_LEN];
    for (byte, [high, low]) in key.iter_mut().zip(pairs) {
        *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    Some(key)
}

/// Whether a text can be the index of an outlet of any family.
fn outlet(text: &str) -> bool {
    let number = |arc: &str| {
        !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()) && arc.parse::<u32>().is_ok()
    };
    text.len() <= 32 && text.split('.').all(number) && text.split('.').count() <= MAX_INDEX
}

/// The family of outlets of that name: one of this appliance's, or the one that
/// Ironic has for it.
pub(crate) fn family(name: &str) -> Option<&'static Family> {
    Family::named(match name {
        "apc_masterswitch" => "apc-masterswitch",
        "apc_rackpdu" => "apc",
        "raritan_pdu2" => "raritan",
        "servertech_sentry3" => "sentry3",
        "eatonpower" => "eaton",
        name => name,
    })
}

/// Where a Redfish service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedfishHost<'a> {
    /// Host and port as in the URL.
    pub host: &'a str,
    /// Whether it is asked by TLS.
    pub https: bool,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its TCP port.
    pub port: u16,
}

impl<'a> RedfishHost<'a> {
    /// Reads scheme, address and port. A slash may follow, a path may not.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (host, https) = match text.strip_prefix("https://") {
            Some(host) => (host, true),
            None => (text.strip_prefix("http://")?, false),
        };
        let host = host.strip_suffix('/').unwrap_or(host);
        let (name, number) = match host.split_once(':') {
            Some((name, number)) => (name, port(number)?),
            None => (host, if https { 443 } else { 80 }),
        };
        Some(Self {
            host,
            https,
            address: address(name)?,
            port: number,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back() {
        for (number, setting) in (0..).zip(Setting::ALL) {
            assert_eq!(setting as u8, number);
            assert_eq!(Setting::from_number(number), Some(setting));
            assert_eq!(Setting::named(setting.key()), Some(setting));
            assert_eq!(Setting::SECRETS.contains(&setting), setting.is_secret());
            assert!(!setting.expects().is_empty());
            assert!(setting.key().len() <= crate::node::DRIVER_KEY_LEN);
        }
        for driver in DriverKind::ALL {
            assert_eq!(DriverKind::named(driver.name()), Some(driver));
            assert_eq!(DriverKind::from_number(driver as u8), Some(driver));
        }
        assert_eq!(DriverKind::named("farrier"), Some(DriverKind::Manual));
        assert_eq!(DriverKind::named("ipmitool"), None);
        assert_eq!(Setting::from_number(16), None);
    }

    #[test]
    fn values_are_looked_at() {
        let long = "x".repeat(65);
        let cases: [(Setting, &[&str], &[&str]); 11] = [
            (
                Setting::IpmiAddress,
                &["10.0.0.9"],
                &["", "bmc", "10.0.0", "0.0.0.0", "255.255.255.255", "::1"],
            ),
            (
                Setting::IpmiPort,
                &["1", "65535"],
                &["0", "65536", "+1", "-1", "x"],
            ),
            (
                Setting::IpmiUsername,
                &["admin"],
                &["seventeen-letters", "a b", "ä"],
            ),
            (
                Setting::IpmiPassword,
                &["a b", "passwörter"],
                &["a password of twenty-", "a\0"],
            ),
            (Setting::IpmiCipherSuite, &["3", "17"], &["0", "03", "16"]),
            (Setting::IpmiPrivLevel, &["OPERATOR"], &["operator", "USER"]),
            (
                Setting::IpmiHexKgKey,
                &["00112233445566778899aAbBcCdDeEfF00112233"],
                &["0011", "zz112233445566778899aabbccddeeff00112233"],
            ),
            (
                Setting::RedfishAddress,
                &[
                    "http://10.0.0.9",
                    "https://10.0.0.9:8443/",
                    "https://10.0.0.9",
                ],
                &[
                    "10.0.0.9",
                    "https://bmc",
                    "https://10.0.0.9/redfish",
                    "ftp://10.0.0.9",
                ],
            ),
            (
                Setting::RedfishSystemId,
                &["/redfish/v1/Systems/1"],
                &["1", "/a b", &long],
            ),
            (
                Setting::SnmpOutlet,
                &["8", "1.1.8"],
                &["1.", ".1", "1.1.1.1", "a", "4294967296"],
            ),
            (
                Setting::SnmpDriver,
                &["apc", "apc_rackpdu", "poe"],
                &["auto", "APC"],
            ),
        ];
        for (setting, good, bad) in cases {
            for value in good {
                assert!(setting.accepts(value), "{setting:?} {value}");
            }
            for value in bad {
                assert!(!setting.accepts(value), "{setting:?} {value}");
            }
        }
        assert!(!Setting::SnmpCommunity.accepts(&long));
    }

    #[test]
    fn a_service_is_found_by_its_url() {
        let found = RedfishHost::parse("https://10.0.0.9:8443/").unwrap();
        assert_eq!(
            (found.host, found.https, found.port),
            ("10.0.0.9:8443", true, 8443)
        );
        let found = RedfishHost::parse("http://10.0.0.9").unwrap();
        assert_eq!(
            (found.host, found.https, found.port),
            ("10.0.0.9", false, 80)
        );
    }
}
