//! Settings of `driver_info` that drivers understand, and the forms of their values. How
//! a setting is kept is in `strings::settings`, what follows from it in
//! `power::access`.

use super::DriverKind;
use core::net::Ipv4Addr;
use farrier_snmp::outlet::{Family, MAX_INDEX};

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
mod tests;
