//! Commands that make nodes and ports and delete them.

use crate::interface::{CommandError, Effects, Instant};
use crate::node::flags::Flags;
use crate::node::{Node, deployed};
use crate::rack::{Rack, edit};
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::{Mac, NodeId};

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Enrols a node that nothing was seen of yet.
    pub(crate) fn create(
        &mut self,
        now: Instant,
        id: NodeId,
        name: &str,
        serial: u32,
    ) -> Result<(), CommandError> {
        if self.find(id).is_some() || id.0 == [0; 16] {
            return Err(CommandError::IdTaken);
        }
        self.check_name(name, None)?;
        let mut node = Node::enrolled(id, now);
        node.name = name.try_into().map_err(|_| CommandError::TooLong)?;
        node.serial = serial;
        node.flags.set(Flags::BY_HAND, true);
        self.add_node(node)?;
        Ok(())
    }

    /// Takes an interface from its node.
    pub(crate) fn remove_port(&mut self, mac: Mac, out: &mut Effects) -> Result<(), CommandError> {
        let index = self.find_by_mac(mac).ok_or(CommandError::NoSuchPort)?;
        let node = edit!(self, index).ok_or(CommandError::NoSuchPort)?;
        if node.state.is_busy() {
            return Err(CommandError::Locked(node.state));
        }
        if deployed(node.state) {
            return Err(CommandError::InUse(node.state));
        }
        node.macs.retain(|own| *own != mac);
        // Nobody says any more whose session it is that came by it.
        let place = node.boot.ticket.map(|given| given.place);
        if place.is_some_and(|place| place.mac == mac) {
            node.boot.session = None;
            node.offered = None;
        }
        self.spend_ticket(index);
        self.forget_interface(index, mac, out);
        self.forget_group(mac, out);
        self.forget_switch_port(mac, out);
        Ok(())
    }

    /// Deletes a node. Its place stays free until another node comes.
    pub(crate) fn delete(
        &mut self,
        now: Instant,
        index: usize,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        let state = node.state;
        if state.is_busy() {
            return Err(CommandError::Locked(state));
        }
        if node.flags.contains(Flags::PROTECTED) {
            return Err(CommandError::Protected);
        }
        let maintained = node.flags.contains(Flags::MAINTENANCE);
        let deletable = match state {
            ProvisionState::Enroll
            | ProvisionState::Manageable
            | ProvisionState::Available
            | ProvisionState::AdoptFailed
            | ProvisionState::InspectFailed => true,
            ProvisionState::CleanFailed => maintained,
            _ => false,
        };
        if !deletable {
            return Err(CommandError::NotDeletable(state));
        }
        if node.flags.contains(Flags::ALLOCATED) || node.instance.instance_uuid.is_some() {
            return Err(CommandError::Associated);
        }
        self.end_tenant(now, index, out);
        let macs = self.nodes.get(index).map(|node| node.macs.clone());
        for mac in macs.into_iter().flatten() {
            self.forget_group(mac, out);
            self.forget_switch_port(mac, out);
        }
        self.clear_slot(index);
        self.sweep_traits(out);
        Ok(())
    }
}
