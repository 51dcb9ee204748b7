//! Changes of several fields of a node in one command: everything is checked,
//! then everything is applied. A command that is refused changes nothing.

use crate::interface::{
    AccountName, CommandError, Effects, InstanceInfo, Instant, KeyValues, NAME_LEN, NewNode,
    NodePatch, SETTING_LEN, Setting, driver_info_pairs as pairs,
};
use crate::node::flags::Flags;
use crate::node::{DRIVER_KEY_LEN, DRIVER_VALUE_LEN, MAX_DRIVER_INFO, changes_in_use, deployed};
use crate::rack::{Rack, check_name, has_instance};
use crate::strings::{Kind, StringPool, TEXT_MAX};
use farrier_lifecycle::ProvisionState;
use farrier_protocol::digest::fingerprint;
use farrier_protocol::message::NodeId;

/// The room in the string pool that pairs of `driver_info` take, where all
/// of them are new.
fn room_for_pairs(all: KeyValues<'_>) -> Result<usize, CommandError> {
    let mut room = 0;
    for (key, value) in pairs(all) {
        if let Some(setting) = Setting::named(key) {
            if !value.is_empty() && !setting.accepts(value) {
                return Err(CommandError::BadSetting(setting));
            }
            // The secret before is kept beside a new one.
            room += match setting.rotates() {
                _ if value.is_empty() => 0,
                true => StringPool::cost(SETTING_LEN),
                false => StringPool::cost(value.len()),
            };
            continue;
        }
        if key.is_empty() || key.len() > DRIVER_KEY_LEN || value.len() > DRIVER_VALUE_LEN {
            return Err(CommandError::TooLong);
        }
        if !value.is_empty() {
            room += StringPool::cost(key.len() + 1 + value.len());
        }
    }
    Ok(room)
}

/// Whether one of the pairs is a secret that has to be sealed.
fn has_secret(all: KeyValues<'_>) -> bool {
    pairs(all).any(|(key, value)| {
        !value.is_empty() && Setting::named(key).is_some_and(Setting::is_secret)
    })
}

/// Pairs whose keys mean nothing to the appliance.
fn free_pairs(all: KeyValues<'_>) -> impl Iterator<Item = (&str, &str)> {
    pairs(all).filter(|(key, _)| Setting::named(key).is_none())
}

/// The room in the string pool that the name of an account takes. There need
/// not be an account of that name yet.
fn room_for_account(name: &str) -> Result<usize, CommandError> {
    match name {
        "" => Ok(0),
        name => AccountName::new(name)
            .map(|_| StringPool::cost(name.len()))
            .ok_or(CommandError::BadAccountName),
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Changes fields of a node, all of them or none.
    pub(crate) fn patch(
        &mut self,
        now: Instant,
        id: NodeId,
        patch: &NodePatch<'_>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let index = self.must_find(id)?;
        let instance = self.check_patch(index, patch)?;
        self.apply_patch(now, index, patch, instance, out)
    }

    fn check_patch(
        &self,
        index: usize,
        patch: &NodePatch<'_>,
    ) -> Result<Option<InstanceInfo>, CommandError> {
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        // Maintenance can be set and ended at any time; other fields of a
        // node stay as they are while the appliance works on it.
        if node.state.is_busy() && !patch.is_maintenance() {
            return Err(CommandError::Locked(node.state));
        }
        if patch.protected.on == Some(true) && !deployed(node.state) {
            return Err(CommandError::NotDeployed(node.state));
        }
        if patch.retired.on == Some(true) && node.state == ProvisionState::Available {
            return Err(CommandError::NodeAvailable);
        }
        if let Some(name) = patch.name {
            check_name(&self.nodes, name, Some(index))?;
            if name.len() > NAME_LEN {
                return Err(CommandError::TooLong);
            }
        }
        let mut room = room_for_pairs(patch.driver_info)?;
        if let Some(class) = patch.resource_class {
            if !class.is_empty() {
                room += self.texts.room_for(class)?;
            }
            if node.flags.contains(Flags::ALLOCATED) && self.texts.class(node.class) != class {
                return Err(CommandError::Associated);
            }
        }
        for (_, flag) in patch.flags() {
            let reason = flag.reason.unwrap_or("");
            if reason.len() > TEXT_MAX {
                return Err(CommandError::TooLong);
            }
            if flag.on != Some(false) && !reason.is_empty() {
                room += StringPool::cost(reason.len());
            }
        }
        for name in [patch.owner, patch.lessee].into_iter().flatten() {
            room += room_for_account(name)?;
        }
        if room > self.texts.free() {
            return Err(CommandError::StringsFull);
        }
        if self.keys_after(index, patch.driver_info) > MAX_DRIVER_INFO {
            return Err(CommandError::TooManyKeys);
        }
        if has_secret(patch.driver_info) && !self.sealing.is_ready() {
            return Err(CommandError::NoBoardKey);
        }
        // As Ironic: who takes a machine in use to another driver has it in maintenance.
        let maintained = patch
            .maintenance
            .on
            .unwrap_or(node.flags.contains(Flags::MAINTENANCE));
        let changes = patch.driver.is_some_and(|driver| driver != node.driver);
        if changes && deployed(node.state) && !maintained {
            return Err(CommandError::InUse(node.state));
        }
        let instance = patch.instance(&node.instance)?;
        if let Some(info) = &instance {
            if let Some(id) = info.instance_uuid
                && has_instance(&self.nodes, id, index)
            {
                return Err(CommandError::InstanceTaken);
            }
            if changes_in_use(node, info) {
                return Err(CommandError::InUse(node.state));
            }
        }
        Ok(instance)
    }

    /// How many keys of `driver_info` a node has after a patch.
    fn keys_after(&self, index: usize, patch: KeyValues<'_>) -> usize {
        let known = || self.texts.pairs(index, Kind::DriverInfo);
        let removed = |key: &str| free_pairs(patch).any(|(k, value)| k == key && value.is_empty());
        let kept = known().filter(|(key, _)| !removed(key)).count();
        let new = |(key, value): &(&str, &str)| {
            !value.is_empty() && known().all(|(known, _)| known != *key)
        };
        kept + free_pairs(patch).filter(new).count()
    }

    fn apply_patch(
        &mut self,
        now: Instant,
        index: usize,
        patch: &NodePatch<'_>,
        instance: Option<InstanceInfo>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        if let Some(name) = patch.name {
            self.rename(index, name)?;
        }
        if let Some(info) = instance {
            self.set_instance(index, info)?;
        }
        for (kind, name) in [(Kind::Owner, patch.owner), (Kind::Lessee, patch.lessee)] {
            if let Some(name) = name {
                self.set_text(index, kind, name)?;
            }
        }
        if let Some(driver) = patch.driver {
            self.set_driver(now, index, driver)?;
        }
        // Removals first: they make room.
        for gone in [true, false] {
            for (key, value) in pairs(patch.driver_info) {
                if value.is_empty() == gone {
                    self.set_driver_info(index, key, value, out)?;
                }
            }
        }
        if let Some(class) = patch.resource_class {
            self.set_class(index, class, out)?;
        }
        for (flag, new) in patch.flags() {
            if !new.is_none() {
                let present = self
                    .nodes
                    .get(index)
                    .map(|node| node.flags.contains(flag.flag()));
                let on = new.on.or(present).unwrap_or(false);
                let why = new.reason.unwrap_or("");
                self.mark(now, index, (flag, on), why, out)?;
            }
        }
        Ok(())
    }

    /// Enrols a node of which nothing was seen yet, whole or not at all.
    pub(crate) fn create_node(
        &mut self,
        now: Instant,
        new: &NewNode<'_>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let mut room = room_for_pairs(new.driver_info)?;
        if free_pairs(new.driver_info).count() > MAX_DRIVER_INFO {
            return Err(CommandError::TooManyKeys);
        }
        if !new.resource_class.is_empty() {
            room += self.texts.room_for(new.resource_class)?;
        }
        if has_secret(new.driver_info) && !self.sealing.is_ready() {
            return Err(CommandError::NoBoardKey);
        }
        room += room_for_account(new.owner)?;
        if room > self.texts.free() {
            return Err(CommandError::StringsFull);
        }
        self.create(now, new.id, new.name, fingerprint(new.serial))?;
        // The node's place comes ahead of what belongs to the node.
        self.write_touched(out);
        let index = self.must_find(new.id)?;
        if !new.resource_class.is_empty() {
            self.set_class(index, new.resource_class, out)?;
        }
        self.set_text(index, Kind::Owner, new.owner)?;
        self.set_driver(now, index, new.driver)?;
        for (key, value) in pairs(new.driver_info) {
            self.set_driver_info(index, key, value, out)?;
        }
        Ok(())
    }

    /// Replaces a node's traits by those that the pairs name, all or none.
    pub(crate) fn set_traits(
        &mut self,
        id: NodeId,
        traits: KeyValues<'_>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let index = self.unlocked(id)?;
        let (mut room, mut new) = (0, 0);
        for name in traits.all("traits") {
            let cost = self.texts.room_for(name)?;
            room += cost;
            new += usize::from(cost > 0);
        }
        if new > self.texts.free_traits() {
            return Err(CommandError::TraitsFull);
        }
        if room > self.texts.free() {
            return Err(CommandError::StringsFull);
        }
        let mut set = 0;
        for name in traits.all("traits") {
            set |= 1 << self.intern(name, out)?;
        }
        self.replace_traits(index, set, out)
    }
}
