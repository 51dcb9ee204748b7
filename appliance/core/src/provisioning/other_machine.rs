//! Another machine answers as a node: a network card that moved, a board that
//! was swapped, or a forged MAC address.

use crate::identity::{is_real_uuid, same_uuid};
use crate::interface::{Effects, Instant};
use crate::node::{Reason, agent_phase};
use crate::rack::{Rack, count, edit};
use uuid::Uuid;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Another machine answers as this node: its session ends, its work fails,
    /// and the error names both.
    pub(crate) fn other_machine(
        &mut self,
        now: Instant,
        index: usize,
        uuid: &[u8; 16],
        out: &mut Effects,
    ) {
        count(&mut self.counters.identity_conflicts);
        let Some(node) = edit!(self, index) else {
            return;
        };
        let known = Uuid::from_bytes(node.system_uuid);
        node.boot.session = None;
        node.offered = None;
        let said = Uuid::from_bytes(*uuid);
        if is_real_uuid(uuid) && !same_uuid(&node.system_uuid, uuid) {
            node.set_error(format_args!(
                "another machine answers as this node: UUID {said}, not {known}. Move the \
                 card back, or rebind"
            ));
        } else {
            node.set_error(format_args!(
                "another machine answers as this node: UUID {known}, but another serial \
                 number. Put the machine back, or rebind"
            ));
        }
        if agent_phase(node.state).is_some() {
            self.fail(now, index, Reason::OtherMachine, out);
        }
    }
}
