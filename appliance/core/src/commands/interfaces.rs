//! Commands about interfaces of nodes, which the API calls ports.

use super::check_word;
use crate::interface::{CommandError, Effects, InterfacePatch};
use crate::persist::record::Record;
use crate::rack::Rack;
use crate::strings::{InterfaceSettings, PHYSICAL_NETWORK_LEN, SETTINGS_LEN, StringPool};
use farrier_protocol::message::Mac;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Gives a node an interface, in a port of a switch and one of a group where these
    /// are named.
    pub(crate) fn create_port(
        &mut self,
        index: usize,
        mac: Mac,
        (switch, port): (&str, &str),
        (patch, group): (&InterfacePatch<'_>, Option<Mac>),
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        self.check_link(mac, switch, port)?;
        let name = patch.physical_network.unwrap_or("");
        check_physical_network(name)?;
        let is_default = name.is_empty() && patch.pxe != Some(false);
        if !is_default && StringPool::cost(SETTINGS_LEN + name.len()) > self.texts.free() {
            return Err(CommandError::StringsFull);
        }
        if !switch.is_empty() {
            self.check_links_free(index)?;
        }
        if let Some(group) = group {
            self.check_group(index, group)?;
            if switch.is_empty() {
                return Err(CommandError::NoSwitchPort);
            }
        }
        self.add_port(index, mac)?;
        if !switch.is_empty() {
            self.link_port(mac, switch, port, out)?;
        }
        if group.is_some() {
            self.group_port(mac, group, out)?;
        }
        self.patch_interface(mac, patch, out)
    }

    /// Says more of an interface.
    pub(crate) fn patch_interface(
        &mut self,
        mac: Mac,
        patch: &InterfacePatch<'_>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let index = self.find_by_mac(mac).ok_or(CommandError::NoSuchPort)?;
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        if node.state.is_busy() {
            return Err(CommandError::Locked(node.state));
        }
        let old = self.texts.interface(index, mac);
        let name = patch.physical_network.unwrap_or(old.physical_network);
        check_physical_network(name)?;
        let mut kept = heapless::String::<PHYSICAL_NETWORK_LEN>::new();
        kept.push_str(name).map_err(|_| CommandError::TooLong)?;
        let said = InterfaceSettings {
            pxe_enabled: patch.pxe.unwrap_or(old.pxe_enabled),
            physical_network: &kept,
        };
        self.set_interface(index, mac, said, out)
    }

    /// Nothing is said of an interface any more: it is its node's no longer.
    pub(crate) fn forget_interface(&mut self, index: usize, mac: Mac, out: &mut Effects) {
        let _less = self.set_interface(index, mac, InterfaceSettings::DEFAULT, out);
    }

    /// Something is said of an interface of the node, unless it is said already.
    fn set_interface(
        &mut self,
        index: usize,
        mac: Mac,
        said: InterfaceSettings<'_>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        if self.texts.interface(index, mac) == said {
            return Ok(());
        }
        let node = node.id;
        self.texts.set_interface(index, mac, said)?;
        Record::Interface {
            node,
            mac,
            pxe: said.pxe_enabled,
            physical_network: said.physical_network,
        }
        .emit(out);
        Ok(())
    }
}

/// Whether an operator may call a network so; empty for none.
fn check_physical_network(name: &str) -> Result<(), CommandError> {
    if name.len() > PHYSICAL_NETWORK_LEN {
        return Err(CommandError::TooLong);
    }
    match name {
        "" => Ok(()),
        name => check_word(name),
    }
}
