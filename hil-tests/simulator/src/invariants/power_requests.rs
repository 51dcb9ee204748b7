//! The invariant of power requests: what should happen is asked for, and asked
//! for again.
//!
//! A node may wait for its machine without a boot that makes headway. Then the
//! rack asks the node's power driver within [`FIRST`] of the beginning of the
//! wait, or of the appliance's start. It asks again within a bound that grows
//! with the requests so far, whatever the driver did or answered.

use farrier_core::Instant;
use farrier_core::node::flags::Flags;
use farrier_core::node::{AGENT_SILENT_MILLIS, Hop, Node};
use farrier_core::power::{GRACE_MILLIS, OPERATION_MILLIS, SETTLE_MILLIS};
use farrier_lifecycle::ProvisionState;

/// Time to the first request, in milliseconds: the grace behind a start, the
/// jitter of a node, and a tick for each other node.
const FIRST: u64 = GRACE_MILLIS + 10_000;

/// A node that waits for its machine.
#[derive(Debug, Clone, Copy)]
struct Wait {
    /// The node's own time stamp of its wait.
    began: Instant,
    /// What the next bound counts from.
    from: u64,
    /// The machine said that it restarts by itself: it has until then.
    restarts_until: u64,
    /// Requests so far.
    requests: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct PowerRequests(Vec<Option<Wait>>);

impl PowerRequests {
    /// The appliance has started: all bounds begin anew.
    pub(crate) fn restarted(&mut self) {
        self.0.clear();
    }

    /// A node's driver was asked for an operation.
    pub(crate) fn requested(&mut self, now: u64, slot: usize) {
        if let Some(Some(wait)) = self.0.get_mut(slot) {
            wait.from = now;
            wait.requests += 1;
        }
    }

    /// Looks at a node after a step. Says by how much a request is late. Where the
    /// machine is `held`, it stays off until its ports have moved.
    pub(crate) fn look(
        &mut self,
        now: u64,
        clock: Instant,
        (slot, held): (usize, bool),
        node: &Node,
    ) -> Option<String> {
        if self.0.len() <= slot {
            self.0.resize(slot + 1, None);
        }
        let place = self.0.get_mut(slot)?;
        if !waits(node) {
            *place = None;
            return None;
        }
        let fresh = Wait {
            began: node.since,
            from: now,
            restarts_until: 0,
            requests: 0,
        };
        let wait = place.get_or_insert(fresh);
        if wait.began != node.since {
            *wait = fresh;
        }
        if held {
            wait.from = now;
            return None;
        }
        if node.boot.left && wait.restarts_until == 0 {
            wait.restarts_until = now + Hop::Discover.limit_millis();
        }
        if let Some(until) = headway(node, clock) {
            wait.from = now + until.since(clock);
            return None;
        }
        let bound = match wait.requests {
            0 => FIRST,
            sent => FIRST + OPERATION_MILLIS + (SETTLE_MILLIS << sent.min(3)),
        };
        let from = wait.from.max(wait.restarts_until);
        let late = now.checked_sub(from + bound)?;
        (late > 0).then(|| {
            format!(
                "node {slot} waits in {} and its power driver is not asked: request {} is {} s \
                 late",
                node.state,
                wait.requests + 1,
                late / 1000
            )
        })
    }
}

/// Until when no request is needed: an agent counts as there for a while behind
/// its last request or the appliance's start, and a boot makes headway as long
/// as each of its hops is in time.
fn headway(node: &Node, clock: Instant) -> Option<Instant> {
    let from = node.boot.heard.unwrap_or(node.since);
    let agent = from.plus_millis(AGENT_SILENT_MILLIS);
    if node.boot.session.is_some() && !node.boot.left && clock < agent {
        return Some(agent);
    }
    match node.timeline.due(node.boots_since) {
        None => Some(clock),
        Some((hop, until)) => (hop != Hop::Discover && clock < until).then_some(until),
    }
}

/// Whether a node waits for its machine to boot the agent.
fn waits(node: &Node) -> bool {
    let waiting = matches!(
        node.state,
        ProvisionState::InspectWait
            | ProvisionState::CleanWait
            | ProvisionState::WaitCallBack
            | ProvisionState::ServiceWait
    );
    waiting && !node.boot.imaged && !node.flags.contains(Flags::RECORDS_LOST)
}
