//! How machines become nodes, how their interfaces find together, and how
//! nodes go.
//!
//! A machine is known by the addresses of its interfaces, by its SMBIOS UUID
//! (DHCP option 97, the agent's handshake and inventory) and by its serial
//! number. An interface belongs to one node at a time. Two nodes that turn
//! out to be one machine are merged while one of them is untouched;
//! otherwise both stay, and the conflict is an error of the node.

pub(crate) mod credential;
mod lease;

use crate::interface::{ActorKind, CommandError, DriverKind, Effects, Instant, PowerState};
use crate::node::flags::Flags;
use crate::node::hardware::Found;
use crate::node::{GivenTicket, Happening, Node, Reason};
use crate::rack::{Entropy, Rack, count, edit};
use crate::strings::Kind;
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::{BootId, Mac, NodeId};

/// A discovered machine that nobody has touched may lose its place in a full
/// table after so many milliseconds, though its agent lives: others want to be
/// seen too. An operator's new node takes the place at once.
const UNTOUCHED_MILLIS: u64 = 15 * 60 * 1000;

/// Most nodes that one inventory joins.
const MAX_JOINS: u8 = 3;

/// UUIDs of boards whose makers set none: they distinguish no machine
/// from another.
pub(crate) fn is_real_uuid(uuid: &[u8; 16]) -> bool {
    // As AMI's and others' boards leave the factory, in both byte orders.
    const FILLERS: [[u8; 16]; 2] = [
        [3, 0, 2, 0, 4, 0, 5, 0, 0, 6, 0, 7, 0, 8, 0, 9],
        [0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0, 9],
    ];
    *uuid != [0; 16] && *uuid != [0xff; 16] && !FILLERS.contains(uuid)
}

/// Whether two UUIDs are one. Its first three fields come in either byte
/// order: SMBIOS has them little-endian (DSP0134, 7.2.1), and boot ROMs differ
/// in whether they turn them around for DHCP.
pub(crate) fn same_uuid(one: &[u8; 16], other: &[u8; 16]) -> bool {
    let [a, b, c, d, e, f, g, h, rest @ ..] = other;
    let turned = [*d, *c, *b, *a, *f, *e, *h, *g];
    one == other || one.starts_with(&turned) && one.ends_with(rest)
}

/// Whether a machine that says this of itself is another one than the node's
/// agent has said it is. What neither side knows contradicts nothing.
pub(crate) fn contradicts(node: &Node, uuid: &[u8; 16], serial: u32) -> bool {
    let uuids = is_real_uuid(&node.system_uuid) && is_real_uuid(uuid);
    node.flags.contains(Flags::IDENTIFIED)
        && (uuids && !same_uuid(&node.system_uuid, uuid)
            || node.serial != 0 && serial != 0 && node.serial != serial)
}

/// The same of what an agent says, which reads it from the machine itself: who
/// says no UUID is not the machine that has one. `serial` is `None` where the
/// agent has not said it yet.
pub(crate) fn agent_contradicts(node: &Node, uuid: &[u8; 16], serial: Option<u32>) -> bool {
    let silent = is_real_uuid(&node.system_uuid) != is_real_uuid(uuid)
        || serial.is_some_and(|serial| node.serial != 0 && serial == 0);
    contradicts(node, uuid, serial.unwrap_or(0)) || node.flags.contains(Flags::IDENTIFIED) && silent
}

/// A random name for a node (RFC 9562: version 4, variant 10).
pub(crate) fn new_node_id(entropy: &mut dyn Entropy) -> NodeId {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    NodeId(bytes)
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Forgets which machine a node is: the next agent that answers says it.
    pub(crate) fn rebind(
        &mut self,
        now: Instant,
        index: usize,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        let idle = matches!(
            node.state,
            ProvisionState::Enroll | ProvisionState::Manageable | ProvisionState::Active
        );
        if !idle && !node.state.is_failure() {
            return Err(CommandError::InUse(node.state));
        }
        if node.state != ProvisionState::Active {
            // It was proven of the machine before.
            node.written = None;
            node.flags.remove(Flags::ERASED);
            node.erased_in = BootId(0);
        }
        node.flags.remove(Flags::IDENTITY);
        node.system_uuid = [0; 16];
        node.serial = 0;
        node.boot.session = None;
        node.offered = None;
        let why = (node.state, Reason::Requested);
        if why.0 != ProvisionState::Active {
            self.disks.retain(|slot| usize::from(slot.node) != index);
        }
        self.remember(now, index, Happening::Rebind, why, out);
        Ok(())
    }

    /// Puts a new node into the first free place.
    pub(crate) fn add_node(&mut self, node: Node) -> Result<usize, CommandError> {
        self.make_place();
        let free = self.nodes.iter().position(Node::is_vacant);
        let index = free.unwrap_or(self.nodes.len());
        let put = self
            .touch(index)
            .is_some_and(|key| self.nodes.put(key, node));
        if !put {
            count(&mut self.counters.nodes_full);
            return Err(CommandError::NodesFull);
        }
        self.forget_slot(index);
        Ok(index)
    }

    /// Gives a node an interface.
    pub(crate) fn add_port(&mut self, index: usize, mac: Mac) -> Result<(), CommandError> {
        if self.find_by_mac(mac).is_some() {
            return Err(CommandError::MacTaken);
        }
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        node.macs.push(mac).map_err(|_| {
            count(&mut self.counters.ports_full);
            CommandError::TooManyPorts
        })?;
        Ok(())
    }

    /// Empties a node's place and everything that hangs on it.
    pub(crate) fn clear_slot(&mut self, index: usize) {
        // Copies of its handshake make no new node.
        self.spend_ticket(index);
        if let Some(node) = edit!(self, index) {
            node.clear();
        }
        self.forget_slot(index);
        self.nodes.trim();
    }

    /// Interfaces that no node has begin no boot with a node's ticket any more.
    pub(crate) fn spend_ticket(&mut self, index: usize) {
        let ticket = self.nodes.get(index).and_then(|node| node.boot.ticket);
        if let Some(GivenTicket { id, .. }) = ticket
            && self.spent.is_none_or(|of| self.is_later(id, of))
        {
            self.spent = Some(id);
        }
    }

    /// Learns who a machine is from its inventory, and joins what belongs
    /// to it. `false` where the node that spoke has become part of another
    /// one and is gone.
    pub(crate) fn identify(&mut self, index: usize, found: &Found) -> bool {
        let Some(node) = edit!(self, index) else {
            return false;
        };
        let serial = found.serial;
        let uuid = Some(found.system_uuid).filter(is_real_uuid);
        if !node.flags.contains(Flags::IDENTIFIED) {
            // What DHCP has claimed before does not count against it.
            node.system_uuid = uuid.unwrap_or_default();
            node.flags.insert(Flags::IDENTIFIED);
        }
        if serial != 0 {
            node.serial = serial;
        }
        if let Some(uuid) = uuid.filter(|_| node.system_uuid == [0; 16]) {
            node.system_uuid = uuid;
        }
        // Each costs a record of this step; what is left over comes with the
        // next inventory.
        let mut joins = MAX_JOINS;
        let mut stays = index;
        if let Some(twin) = self.find_duplicate(index) {
            joins -= 1;
            stays = self.merge(index, twin);
        }
        for mac in &found.macs {
            match self.find_by_mac(*mac) {
                Some(own) if own == stays => {}
                Some(other) if joins > 0 && stays == index => {
                    joins -= 1;
                    stays = self.merge(index, other);
                }
                Some(_) => {}
                // More interfaces than fit stay in the inventory, and count.
                None => {
                    let _full = self.add_port(stays, *mac);
                }
            }
        }
        stays == index
    }

    /// The place of the node of that UUID.
    pub(crate) fn find_by_uuid(&self, uuid: &[u8; 16]) -> Option<usize> {
        let mut all = self.nodes.iter();
        all.position(|node| same_uuid(&node.system_uuid, uuid))
    }

    /// Whether a machine's inventory names an interface of another node in use
    /// and may be the same machine. An interface alone does not say so where
    /// UUIDs speak against it: inside of servers, between system and BMC,
    /// makers give many machines one address.
    pub(crate) fn belongs_to_other(&self, index: usize, found: &Found) -> bool {
        let in_use = |other: usize| {
            other != index
                && !self.is_untouched(other, ProvisionState::Enroll)
                && !self.are_two(index, other)
        };
        let owners = found.macs.iter();
        self.find_duplicate(index).is_some()
            || owners.filter_map(|mac| self.find_by_mac(*mac)).any(in_use)
    }

    /// Whether two nodes are known to be two machines: their UUIDs differ, or
    /// their serial numbers where one has no UUID.
    fn are_two(&self, one: usize, other: usize) -> bool {
        let Some((one, other)) = self.nodes.get(one).zip(self.nodes.get(other)) else {
            return false;
        };
        if is_real_uuid(&one.system_uuid) && is_real_uuid(&other.system_uuid) {
            return !same_uuid(&one.system_uuid, &other.system_uuid);
        }
        one.serial != 0 && other.serial != 0 && one.serial != other.serial
    }

    /// Another node that is the same machine: by its UUID, or by a
    /// serial number that no UUID contradicts.
    pub(crate) fn find_duplicate(&self, index: usize) -> Option<usize> {
        let own = self.nodes.get(index)?;
        self.nodes.iter().enumerate().find_map(|(other, node)| {
            let same_uuid =
                same_uuid(&own.system_uuid, &node.system_uuid) && is_real_uuid(&own.system_uuid);
            let open = !is_real_uuid(&own.system_uuid) || !is_real_uuid(&node.system_uuid);
            let same_serial = own.serial == node.serial && own.serial != 0 && open;
            (other != index && !node.is_vacant() && (same_uuid || same_serial)).then_some(other)
        })
    }

    /// Whether a machine that says a node's UUID may join it with an interface
    /// that nobody knows: only before an agent has spoken for the node, and
    /// before it is in work or in use. Anybody can say a UUID.
    pub(crate) fn may_join(&self, index: usize) -> bool {
        let before_use = |node: &Node| {
            matches!(
                node.state,
                ProvisionState::Enroll | ProvisionState::Manageable
            ) && !node.flags.contains(Flags::IDENTIFIED)
                && !node.macs.is_full()
        };
        self.nodes.get(index).is_some_and(before_use)
    }

    /// Whether a node is in work or in use, so that a machine that says its UUID
    /// and comes by another interface is to be shown there.
    pub(crate) fn is_in_use(&self, index: usize) -> bool {
        self.nodes.get(index).is_some_and(|node| {
            !matches!(
                node.state,
                ProvisionState::Enroll | ProvisionState::Manageable
            )
        })
    }

    /// Makes room for a new node in a full table: a machine that was discovered,
    /// that nobody has touched, and whose agent is gone is forgotten, the one
    /// that was not heard for longest first.
    fn make_place(&mut self) {
        if !self.has_free_place()
            && let Some(index) = self.forgettable()
        {
            count(&mut self.counters.nodes_forgotten);
            self.clear_slot(index);
        }
    }

    /// Whether there is room for a new node, or some can be made.
    pub(crate) fn has_room(&self) -> bool {
        self.has_free_place() || self.forgettable().is_some()
    }

    fn has_free_place(&self) -> bool {
        self.nodes.len() < N || self.nodes.iter().any(Node::is_vacant)
    }

    /// The node that a new one takes the place of: of those that nobody has
    /// touched one whose agent is gone, else one that was there for long.
    fn forgettable(&self) -> Option<usize> {
        let now = self.now;
        let old = match self.actor.0 {
            ActorKind::Account => 0,
            _ => UNTOUCHED_MILLIS,
        };
        let forgettable = |index: &usize| {
            let node = self.nodes.get(*index);
            self.is_untouched(*index, ProvisionState::Enroll)
                && node.is_some_and(|node| !node.agent_is_live(now) || now.since(node.since) >= old)
        };
        let heard = |index: &usize| {
            let node = self.nodes.get(*index)?;
            let live = node.agent_is_live(now);
            Some((
                live,
                if live {
                    Some(node.since)
                } else {
                    node.boot.heard
                },
            ))
        };
        (0..self.nodes.len()).filter(forgettable).min_by_key(heard)
    }

    /// Whether operators have changed nothing of a node but what brings it into
    /// this state.
    fn is_untouched(&self, of: usize, state: ProvisionState) -> bool {
        let says = self.texts.interfaces(of).next().is_some()
            || self.texts.settings(of).next().is_some()
            || self.texts.pairs(of, Kind::DriverInfo).next().is_some();
        self.nodes.get(of).is_some_and(|node| {
            !says
                && node.state == state
                && node.name.is_empty()
                && node.driver == DriverKind::Manual
                && node.instance == crate::node::InstanceInfo::default()
                && node.flags.difference(Flags::IDENTITY).is_empty()
        })
    }

    /// Makes one node of two that are one machine. The one that an operator
    /// enrolled stays; of two discovered ones, the one with the session.
    /// Gives the one that stays.
    fn merge(&mut self, index: usize, other: usize) -> usize {
        // Makers give one address to many machines, and cards move: what another
        // machine's own agent has claimed stays its.
        let has_agent = |node: &Node| node.flags.contains(Flags::IDENTIFIED);
        // One machine has no agent of an earlier boot that still speaks.
        let began = self.nodes.get(index).map(|node| node.timeline.started());
        let speaks = |node: &Node| node.boot.heard > began && node.boot.heard.is_some();
        let two = self.nodes.get(other).is_some_and(|other_node| {
            has_agent(other_node) && (self.are_two(index, other) || speaks(other_node))
        });
        let (stays, goes) = if !two && self.is_untouched(other, ProvisionState::Enroll) {
            (index, other)
        } else if !two
            && self.is_untouched(index, ProvisionState::Inspecting)
            && self.may_join(other)
            && self
                .nodes
                .get(other)
                .is_some_and(|node| node.flags.contains(Flags::BY_HAND))
        {
            (other, index)
        } else {
            count(&mut self.counters.identity_conflicts);
            self.warn(
                index,
                "another node in use has the same UUID or serial number; delete one of the two nodes",
            );
            return index;
        };
        self.take_over(stays, goes);
        if stays == other
            && let Some(node) = edit!(self, stays)
        {
            // Its agent spoke for the node that went: it gives up and starts
            // the machine anew. Who waits for it has it done at once.
            node.power = PowerState::On;
        }
        stays
    }

    /// Gives a node what another one has that is the same machine, and lets
    /// that one go.
    fn take_over(&mut self, stays: usize, goes: usize) {
        let Some(gone) = self.nodes.get(goes) else {
            return;
        };
        let (macs, uuid, serial) = (gone.macs.clone(), gone.system_uuid, gone.serial);
        let identified = gone.flags & Flags::IDENTITY;
        let ticket = gone.boot.ticket;
        self.clear_slot(goes);
        for mac in macs {
            let _full = self.add_port(stays, mac);
        }
        if let Some(node) = edit!(self, stays) {
            // What an agent has said counts more than what anybody has claimed.
            let more = !identified.is_empty() && !node.flags.contains(Flags::IDENTIFIED);
            if more || node.system_uuid == [0; 16] {
                node.system_uuid = uuid;
            }
            if more || node.serial == 0 {
                node.serial = serial;
            }
            node.flags.insert(identified);
            if node.boot.ticket.is_none() {
                // It is used up for this node as well.
                node.boot.ticket = ticket;
            }
        }
    }
}

#[cfg(test)]
mod tests;
