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
        if !name.is_empty() {
            check_word(name)?;
        }
        if name.len() > PHYSICAL_NETWORK_LEN {
            return Err(CommandError::TooLong);
        }
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
        let id = node.id;
        let mut known = heapless::String::<PHYSICAL_NETWORK_LEN>::new();
        let old = self.texts.interface(index, mac);
        let name = patch.physical_network.unwrap_or(old.physical_network);
        known.push_str(name).map_err(|_| CommandError::TooLong)?;
        if !known.is_empty() {
            check_word(&known)?;
        }
        let said = InterfaceSettings {
            pxe_enabled: patch.pxe.unwrap_or(old.pxe_enabled),
            physical_network: &known,
        };
        if said == old {
            return Ok(());
        }
        self.texts.set_interface(index, mac, said)?;
        Record::Interface {
            node: id,
            mac,
            pxe: said.pxe_enabled,
            physical_network: said.physical_network,
        }
        .emit(out);
        Ok(())
    }

    /// Nothing is said of an interface any more: it is its node's no longer.
    pub(crate) fn forget_interface(&mut self, index: usize, mac: Mac, out: &mut Effects) {
        let said = InterfaceSettings::DEFAULT;
        if self.texts.interface(index, mac) == said {
            return;
        }
        let _less = self.texts.set_interface(index, mac, said);
        if let Some(node) = self.nodes.get(index).map(|node| node.id) {
            Record::Interface {
                node,
                mac,
                pxe: said.pxe_enabled,
                physical_network: said.physical_network,
            }
            .emit(out);
        }
    }
}
