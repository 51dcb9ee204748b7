//! How a driver reaches a machine: what follows from the settings of a node, borrowed
//! from where they are kept.

use crate::interface::{
    DriverKind, IpmiPrivilege, KG_LEN, Mac, RedfishHost, Setting, address, family, kg, port,
    privilege,
};
use crate::node::Node;
use crate::rack::Rack;
use crate::strings::StringPool;
use core::net::Ipv4Addr;
use farrier_protocol::message::NodeId;
use farrier_snmp::outlet::Outlet;

/// The port of IPMI over LAN.
const IPMI_PORT: u16 = 623;
/// The port of SNMP.
const SNMP_PORT: u16 = 161;

/// A secret that is read where it lies, and that no log shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretText<'a>(&'a str);

impl<'a> SecretText<'a> {
    /// The secret.
    pub const fn reveal(self) -> &'a str {
        self.0
    }
}

impl core::fmt::Debug for SecretText<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// A key that no log shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretKey([u8; KG_LEN]);

impl SecretKey {
    /// The key.
    pub const fn reveal(&self) -> &[u8; KG_LEN] {
        &self.0
    }
}

impl core::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// How a driver logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BmcLogin<'a> {
    /// The user's name; empty for none, and always for SNMP.
    pub user: &'a str,
    /// The password or the community.
    pub password: SecretText<'a>,
    /// The one before, to be tried second, until
    /// [`Input::LoginWorked`](crate::Input::LoginWorked) says that the new one works.
    pub former: Option<SecretText<'a>>,
}

/// How a driver reaches a machine.
#[derive(Debug, Clone, Copy)]
pub enum PowerAccess<'a> {
    /// A person at the rack.
    Manual,
    /// By magic packets.
    Wol {
        /// The node's interfaces; there is one at least.
        macs: &'a [Mac],
    },
    /// By IPMI 2.0.
    Ipmi {
        /// The BMC.
        address: Ipv4Addr,
        /// UDP port.
        port: u16,
        /// User and passwords.
        login: BmcLogin<'a>,
        /// The cipher suite, 17 or 3: no other one may be used, and 3 only where it is
        /// said here.
        suite: u8,
        /// What to ask for.
        privilege: IpmiPrivilege,
        /// The key K_G; `None` where it is the user's password.
        kg: Option<SecretKey>,
    },
    /// By Redfish.
    Redfish {
        /// The service.
        host: RedfishHost<'a>,
        /// User and passwords.
        login: BmcLogin<'a>,
        /// The system's path; empty for the only one.
        system: &'a str,
    },
    /// An outlet by SNMPv2c.
    Snmp {
        /// The PDU or the switch.
        address: Ipv4Addr,
        /// UDP port.
        port: u16,
        /// Communities.
        login: BmcLogin<'a>,
        /// The outlet.
        outlet: Outlet,
    },
}

impl PowerAccess<'_> {
    /// The driver.
    pub const fn kind(&self) -> DriverKind {
        match self {
            Self::Manual => DriverKind::Manual,
            Self::Wol { .. } => DriverKind::Wol,
            Self::Ipmi { .. } => DriverKind::Ipmi,
            Self::Redfish { .. } => DriverKind::Redfish,
            Self::Snmp { .. } => DriverKind::Snmp,
        }
    }
}

/// What a driver lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// A setting has no value, or the board has lost the key of a secret.
    Setting(Setting),
    /// The numbers of the outlet are not those of its family, which are named here.
    Outlet(&'static [&'static str]),
    /// The node has no interface.
    Interface,
}

/// How the driver of the node in a place reaches its machine.
///
/// # Errors
/// What it lacks first.
pub fn access<'a>(
    node: &'a Node,
    index: usize,
    texts: &'a StringPool,
) -> Result<PowerAccess<'a>, Lack> {
    let text = |setting| texts.setting(index, setting);
    let needed = |setting| Some(text(setting)).filter(|text| !text.is_empty());
    let lack = Lack::Setting;
    let login = |user: &'a str, setting| {
        let password = needed(setting).ok_or(lack(setting))?;
        let former = texts.former(index, setting);
        Ok(BmcLogin {
            user,
            password: SecretText(password),
            former: (!former.is_empty()).then_some(SecretText(former)),
        })
    };
    // Values were looked at when they were set.
    Ok(match node.driver {
        DriverKind::Manual => PowerAccess::Manual,
        DriverKind::Wol if node.macs.is_empty() => return Err(Lack::Interface),
        DriverKind::Wol => PowerAccess::Wol { macs: &node.macs },
        DriverKind::Ipmi => PowerAccess::Ipmi {
            address: address(text(Setting::IpmiAddress)).ok_or(lack(Setting::IpmiAddress))?,
            login: login(text(Setting::IpmiUsername), Setting::IpmiPassword)?,
            port: port(text(Setting::IpmiPort)).unwrap_or(IPMI_PORT),
            suite: match text(Setting::IpmiCipherSuite) {
                "3" => 3,
                _ => 17,
            },
            privilege: privilege(text(Setting::IpmiPrivLevel)).unwrap_or_default(),
            kg: kg(text(Setting::IpmiHexKgKey)).map(SecretKey),
        },
        DriverKind::Redfish => {
            let host = RedfishHost::parse(text(Setting::RedfishAddress));
            let user = needed(Setting::RedfishUsername);
            PowerAccess::Redfish {
                host: host.ok_or(lack(Setting::RedfishAddress))?,
                login: login(
                    user.ok_or(lack(Setting::RedfishUsername))?,
                    Setting::RedfishPassword,
                )?,
                system: text(Setting::RedfishSystemId),
            }
        }
        DriverKind::Snmp => {
            let family = family(text(Setting::SnmpDriver)).ok_or(lack(Setting::SnmpDriver))?;
            let numbers = needed(Setting::SnmpOutlet).ok_or(lack(Setting::SnmpOutlet))?;
            PowerAccess::Snmp {
                address: address(text(Setting::SnmpAddress)).ok_or(lack(Setting::SnmpAddress))?,
                port: port(text(Setting::SnmpPort)).unwrap_or(SNMP_PORT),
                login: login("", Setting::SnmpCommunity)?,
                outlet: Outlet::parse(family, numbers).ok_or(Lack::Outlet(family.index))?,
            }
        }
    })
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// How a node's driver reaches its machine; `None` where there is no such node, or
    /// its settings are not complete.
    pub fn power_access(&self, node: NodeId) -> Option<PowerAccess<'_>> {
        let index = self.find(node)?;
        access(self.nodes.get(index)?, index, &self.texts).ok()
    }
}
