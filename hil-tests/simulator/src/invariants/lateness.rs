//! The invariant of work that is late: a node's work ends within a bound of the
//! last datagram that its own machine has sent, whoever else sends what.
//!
//! An agent that is not heard for [`AGENT_SILENT_MILLIS`] is at work no longer,
//! and a node waits for its machine no longer than the deadline of the waiting
//! state. After a restart of the appliance an agent has the deadline of its
//! state to come back.

use farrier_core::node::{AGENT_SILENT_MILLIS, AgentPhase, Node, agent_phase};
use farrier_lifecycle::ProvisionState;

use super::GRACE;

/// When something of a node happened last, in the simulation's time.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    /// Its own machine's datagram came, or an operator wanted something.
    heard: u64,
    /// Its state changed.
    changed: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    nodes: Vec<Last>,
    /// When the appliance started.
    started: u64,
}

impl Lateness {
    /// The appliance has started.
    pub(super) fn restarted(&mut self, now: u64) {
        self.started = now;
    }

    fn last(&mut self, slot: usize) -> &mut Last {
        if self.nodes.len() <= slot {
            self.nodes.resize(slot + 1, Last::default());
        }
        &mut self.nodes[slot]
    }

    /// A datagram of a node's own machine is here.
    pub(crate) fn heard(&mut self, slot: usize, now: u64) {
        self.last(slot).heard = now;
    }

    /// A node has come to its state.
    pub(super) fn changed(&mut self, slot: usize, now: u64) {
        self.last(slot).changed = now;
    }

    /// Until when a node may be in its state, if nothing comes.
    fn bound(&mut self, slot: usize, node: &Node) -> Option<u64> {
        let deadline = node.state.deadline()?.millis;
        let started = self.started;
        let last = *self.last(slot);
        Some(match agent_phase(node.state)? {
            AgentPhase::Working if node.boot.imaged => last.heard.max(last.changed) + deadline,
            AgentPhase::Working => (last.heard + AGENT_SILENT_MILLIS).max(last.changed),
            AgentPhase::Waiting => last.heard.max(last.changed) + deadline,
        })
        .map(|until| until.max(started + deadline) + GRACE)
    }

    /// Says what is wrong with a node.
    pub(super) fn look(&mut self, now: u64, slot: usize, node: &Node) -> Option<String> {
        let until = self.bound(slot, node)?;
        let state: ProvisionState = node.state;
        (now > until).then(|| {
            format!(
                "node {slot} is in {state} {} s beyond its bound, and its machine says nothing",
                (now - until) / 1000
            )
        })
    }
}
