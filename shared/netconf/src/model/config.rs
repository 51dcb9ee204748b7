//! Configurations of the model: ports and VLANs.

use super::{Numbers, PortName};
use crate::dialect::Field;
use crate::vlan::PortVlans;
use heapless::Vec;

/// Largest number of ports.
pub const MAX_PORTS: usize = 16;
/// Largest number of VLANs.
pub const MAX_VLANS: usize = 32;

/// The configuration of a port, as its elements say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Port {
    pub(super) name: PortName,
    pub(super) trunk: bool,
    pub(super) access: Option<u16>,
    pub(super) native: Option<u16>,
    pub(super) members: Numbers,
}

impl Port {
    /// Sets what a text of an edit says. Members are added.
    pub(super) fn set(&mut self, field: Field, text: &str) -> Result<(), &'static str> {
        let number = || text.parse::<u16>().map_err(|_| "invalid-value");
        match field {
            Field::Mode => self.trunk = text.eq_ignore_ascii_case("trunk"),
            Field::Access => self.access = Some(number()?),
            Field::Native => self.native = Some(number()?),
            Field::Member | Field::Tagged => {
                let number = number()?;
                if !self.members.contains(&number) {
                    self.members.push(number).map_err(|_| "too-big")?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes one VLAN out of the list.
    pub(super) fn drop_member(&mut self, text: &str) -> Result<(), &'static str> {
        let before = self.members.len();
        self.members.retain(|member| text.parse() != Ok(*member));
        match self.members.len() < before {
            true => Ok(()),
            false => Err("data-missing"),
        }
    }

    /// Removes what a field holds; returns whether there was anything.
    pub(super) fn clear(&mut self, field: Field) -> bool {
        match field {
            Field::Mode => core::mem::take(&mut self.trunk),
            Field::Access => self.access.take().is_some(),
            Field::Native => self.native.take().is_some(),
            Field::Member | Field::Tagged => {
                let had = !self.members.is_empty();
                self.members.clear();
                had
            }
            _ => false,
        }
    }

    fn vlans(&self) -> PortVlans {
        let vlans = match (self.trunk, self.access) {
            (true, _) => PortVlans::new(self.native, &self.members),
            (false, Some(access)) => PortVlans::access(access),
            (false, None) => PortVlans::new(self.members.first().copied(), &[]),
        };
        vlans.unwrap_or(PortVlans::NONE)
    }
}

/// A configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    pub(super) ports: Vec<Port, MAX_PORTS, u8>,
    /// Numbers of the VLANs, and whether the driver made them.
    pub(super) vlans: Vec<(u16, bool), MAX_VLANS, u8>,
}

impl Config {
    /// Adds a VLAN of an operator, named `vNUMBER`. VLANs beyond [`MAX_VLANS`] are
    /// left out.
    #[must_use]
    pub fn vlan(mut self, number: u16) -> Self {
        if !self.has_vlan(number) {
            let full = self.vlans.push((number, false)).is_err();
            debug_assert!(!full, "too many VLANs");
        }
        self
    }

    /// Adds a VLAN that the driver made, named `farrier-NUMBER`, or takes it out
    /// again. VLANs beyond [`MAX_VLANS`] are left out.
    #[must_use]
    pub fn own_vlan(mut self, number: u16, there: bool) -> Self {
        self.vlans.retain(|&(vlan, _)| vlan != number);
        if there {
            let full = self.vlans.push((number, true)).is_err();
            debug_assert!(!full, "too many VLANs");
        }
        self
    }

    /// Adds a port. Ports beyond [`MAX_PORTS`] are left out.
    #[must_use]
    pub fn port(mut self, name: &str, vlans: &PortVlans) -> Self {
        let port = Port {
            name: crate::text::clip(name),
            ..Port::default()
        };
        let full = self.ports.push(port).is_err();
        debug_assert!(!full, "too many ports");
        self.set_vlans(name, vlans);
        self
    }

    /// Returns whether the VLAN exists.
    #[must_use]
    pub fn has_vlan(&self, number: u16) -> bool {
        self.vlans.iter().any(|&(vlan, _)| vlan == number)
    }

    /// Returns whether a port is on the VLAN.
    pub(super) fn uses_vlan(&self, number: u16) -> bool {
        let mut ports = self.ports.iter();
        ports.any(|port| {
            let vlans = port.vlans();
            vlans.untagged() == Some(number) || vlans.tagged().contains(&number)
        })
    }

    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.ports.iter().position(|port| port.name == name)
    }

    pub(super) fn vlans_of(&self, name: &str) -> Option<PortVlans> {
        let place = self.place(name)?;
        self.ports.get(place).map(Port::vlans)
    }

    pub(super) fn set_vlans(&mut self, name: &str, vlans: &PortVlans) {
        let Some(port) = self.place(name).and_then(|place| self.ports.get_mut(place)) else {
            return;
        };
        port.trunk = !vlans.tagged().is_empty();
        port.access = None;
        port.native = None;
        port.members.clear();
        if port.trunk {
            port.native = vlans.untagged();
            port.members.extend(vlans.tagged().iter().copied());
        } else {
            port.members.extend(vlans.untagged());
        }
    }

    pub(super) fn clear_port(&mut self, name: &str) {
        self.set_vlans(name, &PortVlans::NONE);
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.ports.iter().map(|port| port.name.as_str())
    }
}

/// Operational tables of the model: what the switch has learned.
#[derive(Debug, Clone, Default)]
pub struct Learned {
    /// Hardware addresses: port, address, VLAN.
    pub macs: Vec<(PortName, [u8; 6], u16), 64>,
    /// Neighbours: port, chassis, the neighbour's port, its system name.
    pub neighbours: Vec<[PortName; 4], MAX_PORTS>,
    /// Ports without a link.
    pub down: Vec<PortName, MAX_PORTS>,
}

impl Learned {
    /// Notes that frames of an address came in by a port. The oldest entry makes
    /// room.
    pub fn mac(&mut self, port: &str, mac: [u8; 6], vlan: u16) {
        self.macs
            .retain(|&(_, known, network)| (known, network) != (mac, vlan));
        if self.macs.is_full() {
            self.macs.remove(0);
        }
        let pushed = self.macs.push((crate::text::clip(port), mac, vlan));
        debug_assert!(pushed.is_ok(), "an entry was removed");
    }

    /// Notes whether a port has a link.
    pub fn link(&mut self, port: &str, up: bool) {
        self.down.retain(|known| known != port);
        if !up {
            let pushed = self.down.push(crate::text::clip(port));
            debug_assert!(pushed.is_ok(), "as many as there are ports");
        }
    }

    /// Notes the neighbour of a port, in place of the one before.
    pub fn neighbour(&mut self, port: &str, chassis: &str, remote_port: &str, system: &str) {
        self.neighbours.retain(|row| row[0] != port);
        if self.neighbours.is_full() {
            self.neighbours.remove(0);
        }
        let row = [port, chassis, remote_port, system].map(crate::text::clip);
        let pushed = self.neighbours.push(row);
        debug_assert!(pushed.is_ok(), "an entry was removed");
    }
}
