//! Commands: each is checked and carried out as a whole.

mod drivers;
mod interfaces;
mod networks;
mod nodes;
mod patch;
mod port_groups;
mod switches;

use crate::interface::CommandError;
use crate::interface::Effects;
use crate::interface::Instant;
use crate::interface::{Command, PowerAction, Setting};
use crate::node::flags::{AdminFlag, Flags};
use crate::node::{
    DRIVER_KEY_LEN, DRIVER_VALUE_LEN, Happening, InstanceInfo, MAX_DRIVER_INFO, NAME_LEN,
    PowerRequest, Reason,
};
use crate::node::{agent_phase, changes_in_use, deployed};
use crate::persist::record::Record;
use crate::provisioning::steps::Steps;
use crate::rack::{Rack, edit, has_instance};
use crate::strings::{Kind, TEXT_MAX};
use farrier_lifecycle::ProvisionState;

/// Whether a network or a switch may have this name: it stands in paths of the API.
fn check_word(name: &str) -> Result<(), CommandError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let fits = !name.is_empty() && name.len() <= NAME_LEN && name.bytes().all(allowed);
    fits.then_some(()).ok_or(CommandError::BadName)
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    pub(crate) fn command(
        &mut self,
        now: Instant,
        command: Command<'_>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        match command {
            Command::Provision {
                node,
                verb,
                config_drive,
            } => {
                let index = self.must_find(node)?;
                self.verb(now, index, verb, Steps::NONE, config_drive, out)
            }
            Command::ProvisionSteps {
                node,
                verb,
                steps,
                config_drive,
            } => self.verb(now, self.must_find(node)?, verb, steps, config_drive, out),
            Command::PatchNode { node, patch } => self.patch(now, node, &patch, out),
            Command::SetTraits { node, traits } => self.set_traits(node, traits, out),
            Command::SetPower { node, action } => {
                self.set_power(now, self.unlocked(node)?, action, out)
            }
            Command::SetBootDevice { node, choice } => {
                self.set_boot_device(now, self.unlocked(node)?, choice, out)
            }
            Command::InjectNmi { node } => self.inject_nmi(now, self.unlocked(node)?, out),
            Command::Rebind { node } => {
                let index = self.unlocked(node)?;
                self.rebind(now, index, out)?;
                self.end_waivers(index, out);
                Ok(())
            }
            Command::Waive { node, device, seen } => {
                self.waive(now, self.unlocked(node)?, device, seen, out)
            }
            Command::SetLeastErase { node, least } => {
                self.set_least_erase(now, self.unlocked(node)?, least, out)
            }
            Command::CreateNode(new) => self.create_node(now, &new, out),
            Command::DeleteNode { node } => self.delete(now, self.must_find(node)?, out),
            Command::CreatePort {
                node,
                mac,
                switch,
                port,
                patch,
                group,
            } => self.create_port(
                self.unlocked(node)?,
                mac,
                (switch, port),
                (&patch, group),
                out,
            ),
            Command::PatchInterface { mac, patch } => self.patch_interface(mac, &patch, out),
            Command::DeletePort { mac } => self.remove_port(mac, out),
            Command::PutSwitch {
                name,
                address,
                login,
                options,
            } => self.set_switch(name, address, (&login, &options), out),
            Command::DeleteSwitch { name } => self.remove_switch(name, out),
            Command::LinkPort { mac, switch, port } => self.link_port(mac, switch, port, out),
            Command::CreatePortGroup {
                node,
                address,
                mode,
                name,
            } => self.create_group(self.unlocked(node)?, address, mode, name, out),
            Command::PatchPortGroup {
                address,
                mode,
                name,
            } => self.patch_group(address, mode, name, out),
            Command::DeletePortGroup { address } => self.delete_group(address, out),
            Command::GroupPort { mac, group } => self.group_port(mac, group, out),
            Command::AttachVif { node, network } => {
                self.attach_vif(now, self.unlocked(node)?, network, out)
            }
            Command::DetachVif { node, network } => {
                self.detach_vif(now, self.unlocked(node)?, network, out)
            }
            Command::SetTrait { node, name, on } => {
                self.set_trait(self.unlocked(node)?, name, on, out)
            }
            Command::Allocate(request) => self.allocate(&request),
            Command::Deallocate { allocation } => self.deallocate(allocation, out),
            Command::PutFlavor {
                name,
                need,
                class,
                lists,
            } => self.set_flavor(name, need, class, lists, out),
            Command::DeleteFlavor { name } => self.remove_flavor(name, out),
            Command::PutNetwork { name, network } => self.set_network(now, name, network, out),
            Command::PutRelay { relay } => self.put_relay(relay, out),
            Command::DeleteRelay { giaddr } => self.delete_relay(giaddr, out),
            Command::SetBootDhcp { server } => self.set_boot_dhcp(server, out),
            Command::DeleteNetwork { name } => self.remove_network(now, name, out),
            Command::ReserveAddress {
                network,
                mac,
                address,
            } => self.give_address(now, network, mac, address, out),
            Command::ReleaseAddress { network, mac } => self.take_address(now, network, mac, out),
            Command::SetLeastVersion { name, version } => {
                if !self.knows_image(name) {
                    return Err(CommandError::NoSuchImage);
                }
                self.set_least_version(name, version, out)
            }
            Command::RevokeKey { key } => self.revoke_key(key, out),
            Command::PutAccount {
                name,
                role,
                verifier,
            } => self.put_account(name, role, verifier, out),
            Command::DeleteAccount { name } => self.delete_account(name, out),
        }
    }

    /// Takes an operator's request for a node's power. [`crate::power`] carries
    /// it out.
    fn set_power(
        &mut self,
        now: Instant,
        index: usize,
        action: PowerAction,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        if agent_phase(node.state).is_some() {
            return Err(CommandError::PowerInUse(node.state));
        }
        if self.power_access(node.id).is_none() {
            return Err(CommandError::DriverInfoIncomplete);
        }
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        node.power_request = Some(PowerRequest { action });
        node.power_control.begin(now);
        let why = (node.state, Reason::Requested);
        self.remember(now, index, Happening::Power(action), why, out);
        Ok(())
    }

    pub(crate) fn rename(&mut self, index: usize, name: &str) -> Result<(), CommandError> {
        self.check_name(name, Some(index))?;
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        node.name = name.try_into().map_err(|_| CommandError::TooLong)?;
        Ok(())
    }

    pub(crate) fn set_instance(
        &mut self,
        index: usize,
        info: InstanceInfo,
    ) -> Result<(), CommandError> {
        if let Some(id) = info.instance_uuid
            && has_instance(&self.nodes, id, index)
        {
            return Err(CommandError::InstanceTaken);
        }
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        if changes_in_use(node, &info) {
            return Err(CommandError::InUse(node.state));
        }
        node.instance = info;
        Ok(())
    }

    pub(crate) fn set_driver_info(
        &mut self,
        index: usize,
        key: &str,
        value: &str,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        if let Some(setting) = Setting::named(key) {
            return self.set_setting(index, setting, value, out);
        }
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        if key.len() > DRIVER_KEY_LEN || value.len() > DRIVER_VALUE_LEN {
            return Err(CommandError::TooLong);
        }
        let kind = Kind::DriverInfo;
        let others = self.texts.pairs(index, kind).filter(|(k, _)| *k != key);
        let others = others.count();
        if !value.is_empty() && others >= MAX_DRIVER_INFO {
            return Err(CommandError::TooManyKeys);
        }
        self.texts.set_pair(index, kind, key, value)?;
        Record::DriverInfo {
            node: node.id,
            key,
            value,
        }
        .emit(out);
        Ok(())
    }

    /// Sets or takes away a mark. The reason is kept as long as the mark.
    pub(crate) fn mark(
        &mut self,
        now: Instant,
        index: usize,
        (mark, on): (AdminFlag, bool),
        reason: &str,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        let (state, was) = (node.state, node.flags);
        // Maintenance can be set and ended at any time; the other flags are
        // changes like all others.
        if state.is_busy() && mark != AdminFlag::Maintenance {
            return Err(CommandError::Locked(state));
        }
        match mark {
            AdminFlag::Protected if on && !deployed(state) => {
                return Err(CommandError::NotDeployed(state));
            }
            AdminFlag::Retired if on && state == ProvisionState::Available => {
                return Err(CommandError::NodeAvailable);
            }
            _ => {}
        }
        if reason.len() > TEXT_MAX {
            return Err(CommandError::TooLong);
        }
        let reason = if on { reason } else { "" };
        self.set_text(index, mark.reason(), reason)?;
        let mut flags = mark.flag();
        if mark == AdminFlag::Maintenance && !on {
            // Who ends the maintenance has looked at the fault.
            flags = flags.union(Flags::CLEAN_FAULT).union(Flags::RECORDS_LOST);
        }
        let changed = was.contains(mark.flag()) != on;
        self.set_flags(index, flags, on);
        if changed {
            let why = (state, Reason::Requested);
            self.remember(now, index, Happening::Flag(mark, on), why, out);
        }
        Ok(())
    }
}
