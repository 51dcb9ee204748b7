//! Commands about port groups: interfaces that a tenant's system uses as one.

use super::check_word;
use crate::interface::{CommandError, Effects, GroupMode};
use crate::node::deployed;
use crate::persist::record::Record;
use crate::ports::{MAX_PORT_GROUPS, PortGroup};
use crate::rack::Rack;
use crate::strings::{Kind, RACK, StringPool};
use farrier_protocol::message::Mac;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Makes a group that sends under the address of an interface of the node.
    pub(crate) fn create_group(
        &mut self,
        index: usize,
        address: Mac,
        mode: GroupMode,
        name: &str,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        self.check_group_name(name, 0)?;
        self.check_links_free(index)?;
        if self.find_by_mac(address) != Some(index) {
            return Err(CommandError::NoSuchPort);
        }
        if self.ports.group_of(address).is_some() {
            return Err(CommandError::PortGroupTaken);
        }
        let free = |place: &u8| self.ports.group(*place).is_none();
        let place = (1..=MAX_PORT_GROUPS as u8).find(free);
        let place = place.ok_or(CommandError::PortGroupsFull)?;
        if StringPool::cost(name.len()) > self.texts.free() {
            return Err(CommandError::StringsFull);
        }
        self.texts
            .set(usize::from(RACK), Kind::PortGroup(place), name)?;
        let group = PortGroup {
            place,
            address,
            mode,
        };
        let known = self.ports.groups.push(group);
        known.map_err(|_| CommandError::PortGroupsFull)?;
        self.group_record(&group).emit(out);
        Ok(())
    }

    /// Changes the mode of a group, its name, or both.
    pub(crate) fn patch_group(
        &mut self,
        address: Mac,
        mode: Option<GroupMode>,
        name: Option<&str>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let index = self.find_by_mac(address);
        self.check_links_free(index.ok_or(CommandError::NoSuchPortGroup)?)?;
        let group = self.ports.group_of(address).copied();
        let group = group.ok_or(CommandError::NoSuchPortGroup)?;
        if let Some(name) = name {
            self.check_group_name(name, group.place)?;
            self.texts
                .set(usize::from(RACK), Kind::PortGroup(group.place), name)?;
        }
        let mut groups = self.ports.groups.iter_mut();
        let known = groups.find(|known| known.place == group.place);
        let known = known.ok_or(CommandError::NoSuchPortGroup)?;
        known.mode = mode.unwrap_or(known.mode);
        let group = *known;
        self.group_record(&group).emit(out);
        Ok(())
    }

    /// Whether a group may have a name: none, or one that no other group has.
    fn check_group_name(&self, name: &str, of: u8) -> Result<(), CommandError> {
        if name.is_empty() {
            return Ok(());
        }
        check_word(name)?;
        let mut groups = self.ports.groups().iter();
        let taken =
            groups.any(|known| known.place != of && self.texts.port_group(known.place) == name);
        match taken {
            true => Err(CommandError::PortGroupTaken),
            false => Ok(()),
        }
    }

    /// Deletes a group that no interface is in.
    pub(crate) fn delete_group(
        &mut self,
        address: Mac,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let group = self.ports.group_of(address).copied();
        let group = group.ok_or(CommandError::NoSuchPortGroup)?;
        if self
            .ports
            .all()
            .iter()
            .any(|port| port.group == group.place)
        {
            return Err(CommandError::PortGroupInUse);
        }
        self.ports.groups.retain(|known| known.place != group.place);
        self.texts
            .set(usize::from(RACK), Kind::PortGroup(group.place), "")?;
        Record::PortGroup {
            place: group.place,
            address: Mac([0; 6]),
            mode: 0,
            name: "",
        }
        .emit(out);
        Ok(())
    }

    /// Puts an interface into a group of its node, or out of the one that it is in.
    pub(crate) fn group_port(
        &mut self,
        mac: Mac,
        group: Option<Mac>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let index = self.find_by_mac(mac).ok_or(CommandError::NoSuchPort)?;
        self.check_links_free(index)?;
        let place = match group {
            None => 0,
            Some(address) => self.check_group(index, address)?,
        };
        // A VIF is the whole group's.
        if self.ports_of(index).any(|port| port.vif != 0) {
            return Err(CommandError::PortGroupInUse);
        }
        let port = self.ports.of_mut(mac).ok_or(CommandError::NoSwitchPort)?;
        port.group = place;
        self.write_port(mac, out);
        Ok(())
    }

    /// The place of a group of the node that takes another interface up.
    pub(crate) fn check_group(&self, index: usize, address: Mac) -> Result<u8, CommandError> {
        let group = self.ports.group_of(address);
        let own = self.find_by_mac(address) == Some(index);
        let group = group.filter(|_| own).ok_or(CommandError::NoSuchPortGroup)?;
        match self.ports_of(index).any(|port| port.vif != 0) {
            true => Err(CommandError::PortGroupInUse),
            false => Ok(group.place),
        }
    }

    /// Whether the places of a node's interfaces may be changed now.
    pub(super) fn check_links_free(&self, index: usize) -> Result<(), CommandError> {
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        if node.state.is_busy() {
            return Err(CommandError::Locked(node.state));
        }
        match deployed(node.state) {
            true => Err(CommandError::InUse(node.state)),
            false => Ok(()),
        }
    }

    /// The groups of a node are gone with it, or with the interface of their address.
    pub(crate) fn forget_group(&mut self, address: Mac, out: &mut Effects) {
        let Some(place) = self.ports.group_of(address).map(|group| group.place) else {
            return;
        };
        for at in 0..self.ports.ports.len() {
            if let Some(port) = self.ports.ports.get_mut(at)
                && port.group == place
            {
                port.group = 0;
                Record::of_switch_port(port).emit(out);
            }
        }
        let _gone = self.delete_group(address, out);
    }
}
