//! What is asked for, and how the device is reached.

use core::fmt;
use core::net::Ipv4Addr;

use farrier_core::interface::{Mac, PowerAction};
use farrier_core::power::BootDevice;
use farrier_ipmi::Suites;
use farrier_redfish::Target;
use farrier_snmp::outlet::Outlet;

/// What is to be done with one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Reads its power, its boot device and its UUID.
    Look,
    /// Changes its power.
    Power(PowerAction),
    /// Sends it a diagnostic interrupt (NMI), once.
    Nmi,
}

/// The firmware interface that a machine boots by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// UEFI.
    Uefi,
    /// BIOS.
    Bios,
}

/// What a machine boots from at its next start, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartFrom {
    /// The device.
    pub device: BootDevice,
    /// By which firmware interface.
    pub firmware: Firmware,
}

/// One operation on one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// What is to be done.
    pub action: Action,
    /// What the machine shall boot from, where the action starts it. `None` leaves
    /// its boot device as it is. An action that starts nothing ignores it.
    pub start_from: Option<StartFrom>,
}

impl Order {
    /// An order that leaves the boot device as it is.
    #[must_use]
    pub const fn new(action: Action) -> Self {
        Self {
            action,
            start_from: None,
        }
    }
}

/// A BMC with IPMI over LAN.
#[derive(Clone, Copy)]
pub struct IpmiAccess<'a> {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its UDP port, 623 on all that are known.
    pub port: u16,
    /// The user, of 16 bytes at the most. It needs the privilege of an operator.
    pub user: &'a [u8],
    /// The password, of 20 bytes at the most.
    pub password: &'a [u8],
    /// The BMC's key (Kg), of 20 bytes at the most; empty where it has none.
    pub kg: &'a [u8],
    /// The cipher suites that are allowed.
    pub suites: Suites,
}

impl fmt::Debug for IpmiAccess<'_> {
    /// Without password and key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IpmiAccess")
            .field("address", &self.address)
            .field("port", &self.port)
            .field("suites", &self.suites)
            .finish_non_exhaustive()
    }
}

/// A BMC with Redfish.
#[derive(Debug, Clone, Copy)]
pub struct RedfishAccess<'a> {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its TCP port.
    pub port: u16,
    /// The service, its account, and which of its systems the machine is.
    pub target: Target<'a>,
    /// The session stays open in the [`Bmc`](farrier_redfish::Bmc) for an operation
    /// right behind this one, which has to end it.
    pub keep_session: bool,
}

/// An outlet, or a PoE port, with SNMPv2c.
#[derive(Clone, Copy)]
pub struct OutletAccess<'a> {
    /// The device's address.
    pub address: Ipv4Addr,
    /// Its UDP port, 161 on all that are known.
    pub port: u16,
    /// The community, which is a password.
    pub community: &'a str,
    /// The outlet: its family and its index.
    pub outlet: Outlet,
}

impl fmt::Debug for OutletAccess<'_> {
    /// Without the community.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutletAccess")
            .field("address", &self.address)
            .field("port", &self.port)
            .field("outlet", &self.outlet)
            .finish_non_exhaustive()
    }
}

/// How the device is reached that switches a machine.
#[derive(Debug, Clone, Copy)]
pub enum Access<'a> {
    /// A BMC with IPMI.
    Ipmi(IpmiAccess<'a>),
    /// A BMC with Redfish.
    Redfish(RedfishAccess<'a>),
    /// An outlet.
    Outlet(OutletAccess<'a>),
    /// The machine's own card, by Wake-on-LAN. It can be started, and no more.
    WakeOnLan(Mac),
}

/// Where a driver's bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Datagrams to this UDP port.
    Udp(Ipv4Addr, u16),
    /// A TCP connection to this port.
    Tcp(Ipv4Addr, u16),
    /// A magic packet to everybody on the machine's network: as a datagram to this
    /// UDP port, or as the payload of a frame with EtherType
    /// [`WAKE_ETHERTYPE`](crate::WAKE_ETHERTYPE).
    Broadcast(u16),
}

impl Access<'_> {
    /// Where the bytes go.
    #[must_use]
    pub const fn endpoint(&self) -> Endpoint {
        match self {
            Self::Ipmi(ipmi) => Endpoint::Udp(ipmi.address, ipmi.port),
            Self::Redfish(redfish) => Endpoint::Tcp(redfish.address, redfish.port),
            Self::Outlet(outlet) => Endpoint::Udp(outlet.address, outlet.port),
            Self::WakeOnLan(_) => Endpoint::Broadcast(crate::WAKE_PORT),
        }
    }
}
