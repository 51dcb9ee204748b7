//! Small changes of one node and small questions that every room asks.

use super::{Rack, edit};
use crate::interface::{CommandError, cut};
use crate::ipam::PROVISIONING;
use crate::node::Node;
use crate::node::flags::Flags;
use crate::strings::{Full, Kind};
use core::net::Ipv4Addr;
use farrier_protocol::message::{Mac, NodeId};

/// Whether the node in that place (`None`: a new one) may have this name.
pub fn check_name(nodes: &[Node], name: &str, of: Option<usize>) -> Result<(), CommandError> {
    let looks_like_uuid = name.len() == 36 && name.bytes().filter(|b| *b == b'-').count() == 4;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if looks_like_uuid || !name.bytes().all(allowed) {
        return Err(CommandError::BadName);
    }
    let named = |node: &Node| !name.is_empty() && node.name == name;
    match nodes.iter().position(named) {
        Some(other) if Some(other) != of => Err(CommandError::NameTaken),
        _ => Ok(()),
    }
}

/// Whether another node than the one in that place has this instance.
pub fn has_instance(nodes: &[Node], id: NodeId, of: usize) -> bool {
    let has = |node: &Node| !node.is_vacant() && node.instance.instance_uuid == Some(id);
    let mut others = nodes.iter().enumerate().filter(|(place, _)| *place != of);
    others.any(|(_, node)| has(node))
}

impl From<Full> for CommandError {
    fn from(_: Full) -> Self {
        CommandError::StringsFull
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    pub(crate) fn must_find(&self, id: NodeId) -> Result<usize, CommandError> {
        self.find(id).ok_or(CommandError::NoSuchNode)
    }

    /// A node that the appliance itself is not at work on.
    pub(crate) fn unlocked(&self, id: NodeId) -> Result<usize, CommandError> {
        let index = self.must_find(id)?;
        match self.nodes.get(index) {
            Some(node) if node.state.is_busy() => Err(CommandError::Locked(node.state)),
            Some(_) => Ok(index),
            None => Err(CommandError::NoSuchNode),
        }
    }

    /// Whether a node (`None`: a new one) may have this name.
    pub(crate) fn check_name(&self, name: &str, of: Option<usize>) -> Result<(), CommandError> {
        check_name(&self.nodes, name, of)
    }

    /// The place of the node that has this instance.
    pub(crate) fn find_by_instance(&self, id: NodeId) -> Option<usize> {
        self.nodes
            .iter()
            .position(|node| !node.is_vacant() && node.instance.instance_uuid == Some(id))
    }

    /// Sets or clears flags of a node.
    pub(crate) fn set_flags(&mut self, index: usize, flags: Flags, on: bool) {
        if let Some(node) = edit!(self, index) {
            node.flags.set(flags, on);
        }
    }

    /// Replaces a text of a node.
    pub(crate) fn set_text(
        &mut self,
        index: usize,
        kind: Kind,
        text: &str,
    ) -> Result<(), CommandError> {
        if self.texts.get(index, kind) != text {
            self.touch(index).ok_or(CommandError::NoSuchNode)?;
            self.texts.set(index, kind, text)?;
        }
        Ok(())
    }

    /// Notes an error without changing the state: something to look at.
    pub(crate) fn warn(&mut self, index: usize, text: &str) {
        if let Some(node) = edit!(self, index) {
            node.last_error = cut(text);
        }
    }

    /// The static address of an interface on the provisioning network.
    pub(crate) fn static_address(&self, mac: Mac) -> Option<Ipv4Addr> {
        self.ipam.find(PROVISIONING, mac)
    }
}
