//! Flavors and allocations: what is asked for, and which node it becomes.
//!
//! An allocation is a fact about a node and is kept nowhere else: its UUID
//! is the node's instance, so two of them can't have one node, nor one of
//! them two. A request that no node fits is refused at once and leaves
//! nothing behind.

mod traits;

pub use crate::interface::{Flavor, Requirements};

use crate::interface::Allocate;
use crate::interface::CommandError;
use crate::interface::Effects;
use crate::node::flags::Flags;
use crate::node::{Hardware, NAME_LEN, Node};
use crate::node::{agent_phase, deployed};
use crate::persist::record::Record;
use crate::rack::{Rack, edit};
use crate::strings::{KeyValues, Kind, RACK, StringPool};
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::NodeId;
use uuid::Uuid;

pub use crate::rack::MAX_FLAVORS;

impl Requirements {
    /// Whether a node is and has all of this.
    pub fn fits(&self, node: &Node) -> bool {
        let Hardware {
            cpus,
            memory_mib,
            local_gib,
            link,
            parts,
            ..
        } = node.hardware;
        (self.class == 0 || self.class == node.class)
            && node.traits & self.traits == self.traits
            && cpus >= self.cpus
            && memory_mib >= self.memory_mib
            && local_gib >= self.local_gib
            && link >= self.link
            && parts.contains(self.parts)
    }
}

impl Flavor {
    /// Its name.
    pub fn name<'t>(&self, texts: &'t StringPool) -> &'t str {
        texts.get(usize::from(RACK), Kind::Flavor(self.place))
    }
}

/// Whether a node can be allocated.
pub fn is_free(node: &Node) -> bool {
    let taken = Flags::MAINTENANCE;
    node.state == ProvisionState::Available
        && !node.is_vacant()
        && !node.flags.contains(taken)
        && !node.flags.contains(Flags::RETIRED)
        && !node.flags.contains(Flags::ALLOCATED)
        && node.instance.instance_uuid.is_none()
}

/// Whether a node is in use without an allocation, as adopted ones are: the
/// one that names it may be put in afterwards (Ironic's backfilling).
fn is_unclaimed(node: &Node, id: NodeId) -> bool {
    let instance = node.instance.instance_uuid;
    node.state == ProvisionState::Active
        && !node.flags.contains(Flags::ALLOCATED)
        && instance.is_none_or(|own| own == id)
}

/// How much a node that fits is more than what was asked for: the least is
/// the best. Traits first, since they are what makes a machine rare; the
/// place last, so that the choice is always the same.
fn waste(need: &Requirements, node: &Node) -> impl Ord + use<> {
    let hardware = &node.hardware;
    (
        (node.traits & !need.traits).count_ones(),
        (hardware.parts.bits() & !need.parts.bits()).count_ones(),
        hardware.memory_mib,
        hardware.cpus,
        hardware.local_gib,
        hardware.link,
    )
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// The flavors.
    pub fn flavors(&self) -> &[Flavor] {
        &self.flavors
    }

    /// Defines a flavor, or defines it anew.
    pub(crate) fn set_flavor(
        &mut self,
        name: &str,
        mut need: Requirements,
        class: &str,
        lists: KeyValues<'_>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        self.check_name(name, None)
            .or_else(|refused| match refused {
                // A node and a flavor may have one name.
                CommandError::NameTaken => Ok(()),
                other => Err(other),
            })?;
        if name.is_empty() || name.len() > NAME_LEN {
            return Err(CommandError::BadName);
        }
        let set = self.put_flavor(name, &mut need, class, lists, out);
        // Also where it was refused half-way: nothing keeps its traits then.
        self.sweep_traits(out);
        set
    }

    fn put_flavor(
        &mut self,
        name: &str,
        need: &mut Requirements,
        class: &str,
        lists: KeyValues<'_>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let known = self.find_flavor(name).map(|flavor| flavor.place);
        let free = || {
            let taken = |place: u8| self.flavors.iter().any(|flavor| flavor.place == place);
            (0..MAX_FLAVORS as u8).find(|place| !taken(*place))
        };
        let place = known.or_else(free).ok_or(CommandError::FlavorsFull)?;
        need.class = match class {
            "" => 0,
            class => self.intern(class, out)? + 1,
        };
        for word in lists.all("traits") {
            need.traits |= 1 << self.intern(word, out)?;
        }
        self.texts
            .set(usize::from(RACK), Kind::Flavor(place), name)?;
        self.flavors.retain(|flavor| flavor.place != place);
        let need = *need;
        let flavor = Flavor { place, need };
        self.flavors
            .push(flavor)
            .map_err(|_| CommandError::FlavorsFull)?;
        Record::Flavor { place, name, need }.emit(out);
        Ok(())
    }

    /// Forgets a flavor. Allocations that it made stay.
    pub(crate) fn remove_flavor(
        &mut self,
        name: &str,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let flavor = *self.find_flavor(name).ok_or(CommandError::NoSuchFlavor)?;
        self.flavors.retain(|other| other.place != flavor.place);
        self.texts
            .set(usize::from(RACK), Kind::Flavor(flavor.place), "")?;
        Record::FlavorDeleted {
            place: flavor.place,
        }
        .emit(out);
        self.sweep_traits(out);
        Ok(())
    }

    fn find_flavor(&self, name: &str) -> Option<&Flavor> {
        self.flavors
            .iter()
            .find(|flavor| flavor.name(&self.texts) == name)
    }

    /// Finds the node that fits best, and claims it.
    pub(crate) fn allocate(&mut self, request: &Allocate<'_>) -> Result<(), CommandError> {
        let Allocate {
            id,
            name,
            class,
            node,
            account,
            lists,
        } = *request;
        // A node in use may be this allocation's already, but for its name.
        let other = |index: usize| self.nodes.get(index).map(|of| of.id) != node;
        if self.find_by_instance(id).is_some_and(other) || self.find(id).is_some() {
            return Err(CommandError::IdTaken);
        }
        if name.len() > NAME_LEN {
            return Err(CommandError::TooLong);
        }
        self.check_name(name, None)
            .or_else(|refused| match refused {
                CommandError::NameTaken => Ok(()),
                other => Err(other),
            })?;
        let mut all = 0..self.nodes.len();
        let named = |index| self.texts.get(index, Kind::AllocationName) == name;
        if !name.is_empty() && all.any(named) {
            return Err(CommandError::NameTaken);
        }
        let mut need = match (self.find_flavor(class), self.texts.find_trait(class)) {
            (Some(flavor), _) => flavor.need,
            (None, Some(place)) => Requirements {
                class: place + 1,
                ..Requirements::default()
            },
            (None, None) if class.is_empty() && node.is_some() => Requirements::default(),
            (None, None) => return Err(CommandError::NoMatchingNode),
        };
        let mut wanted = 0;
        for word in lists.all("traits") {
            // A trait that no node has ever had is none that one has now.
            let place = self
                .texts
                .find_trait(word)
                .ok_or(CommandError::NoMatchingNode)?;
            wanted |= 1 << place;
        }
        need.traits |= wanted;
        let candidate = |index: usize, of: &Node| {
            let own = Uuid::from_bytes(of.id.0);
            let mut candidates = lists.all("candidate_nodes").peekable();
            node.is_none_or(|only| only == of.id)
                && (candidates.peek().is_none()
                    || candidates.any(|name| name == of.name || Uuid::try_parse(name) == Ok(own)))
                && index < usize::from(RACK)
                && (account.is_empty() || self.texts.is_worked_by(index, account))
        };
        let found = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, of)| is_free(of) || node.is_some() && is_unclaimed(of, id))
            .filter(|(index, of)| {
                need.fits(of) && candidate(*index, of) && !self.ports.has_shut(&of.macs)
            })
            .min_by_key(|(index, of)| (waste(&need, of), *index))
            .map(|(index, _)| index)
            .ok_or(CommandError::NoMatchingNode)?;
        let room = StringPool::cost(name.len()) + StringPool::cost(class.len());
        if room > self.texts.free() {
            return Err(CommandError::StringsFull);
        }
        self.allocated(found, id, name, class, wanted)
    }

    /// Notes that an allocation has a node: also for a record of before a
    /// restart.
    pub(crate) fn allocated(
        &mut self,
        index: usize,
        allocation: NodeId,
        name: &str,
        class: &str,
        wanted: u32,
    ) -> Result<(), CommandError> {
        self.touch(index).ok_or(CommandError::NoSuchNode)?;
        self.texts.set(index, Kind::AllocationName, name)?;
        self.texts.set(index, Kind::AllocationClass, class)?;
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        node.instance.instance_uuid = Some(allocation);
        node.wanted = wanted;
        node.flags.set(Flags::ALLOCATED, true);
        Ok(())
    }

    /// Ends an allocation whose node is not in use.
    pub(crate) fn deallocate(&mut self, id: NodeId, out: &mut Effects) -> Result<(), CommandError> {
        let index = self
            .find_by_instance(id)
            .filter(|index| {
                let node = self.nodes.get(*index);
                node.is_some_and(|node| node.flags.contains(Flags::ALLOCATED))
            })
            .ok_or(CommandError::NoSuchAllocation)?;
        let state = self
            .nodes
            .get(index)
            .map_or(ProvisionState::Enroll, |n| n.state);
        if deployed(state) || agent_phase(state).is_some() {
            return Err(CommandError::InUse(state));
        }
        self.deallocated(index);
        self.sweep_traits(out);
        Ok(())
    }

    /// Notes that no allocation has a node any more.
    pub(crate) fn deallocated(&mut self, index: usize) {
        if self.touch(index).is_none() {
            return;
        }
        // Removing always fits.
        let _fits = self.texts.set(index, Kind::AllocationName, "");
        let _fits = self.texts.set(index, Kind::AllocationClass, "");
        if let Some(node) = edit!(self, index) {
            node.instance.instance_uuid = None;
            node.wanted = 0;
            node.flags.set(Flags::ALLOCATED, false);
        }
    }
}

#[cfg(test)]
mod tests;
