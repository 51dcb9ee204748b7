//! Deadlines: what is waited for until when, and what comes when the time
//! is over.

use crate::interface::Instant;
use crate::interface::{Effects, PowerState};
use crate::node::Reason;
use crate::node::{AGENT_SILENT_MILLIS, Hop, Node};
use crate::node::{AgentPhase, agent_phase};
use crate::rack::{Rack, count, edit};

/// The hop of its boot that a node's work waits for, and until when: the
/// hop's own limit, and never later than the state's deadline. `None` where
/// no boot is waited for.
pub fn due(node: &Node, now: Instant) -> Option<(Hop, Instant)> {
    agent_phase(node.state)?;
    if node.boot.imaged || node.agent_is_live(now) && node.boot.order.is_some() {
        return None;
    }
    let (hop, until) = node.timeline.due(awaited_since(node, now))?;
    let until = match hop {
        // The first packet has its time from the beginning of the wait on.
        Hop::Discover => until.max(node.since.plus_millis(hop.limit_millis())),
        _ => until,
    };
    let until = node.deadline.map_or(until, |deadline| deadline.min(until));
    Some((hop, until))
}

/// Since when a boot counts for the work at hand. A machine that runs the
/// agent already needs no other one.
fn awaited_since(node: &Node, now: Instant) -> Instant {
    if node.agent_is_live(now) {
        Instant::START
    } else {
        node.boots_since
    }
}

/// When a node's wait ends or its agent is to be missed, if nothing comes
/// before.
pub(crate) fn wakes_at(node: &Node, now: Instant) -> Option<Instant> {
    let power = crate::power::wakes_at(node, now);
    let needed = agent_phase(node.state) == Some(AgentPhase::Working) && !node.boot.imaged;
    let missed = match node.boot.heard {
        _ if !needed => None,
        Some(heard) => Some(heard.plus_millis(AGENT_SILENT_MILLIS)),
        // After a restart of the appliance an agent has its deadline.
        None if node.boot.session.is_some() => None,
        None => Some(Instant::START),
    };
    let due = [node.deadline, missed, power].into_iter();
    due.flatten().min()
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Does what is due for one node: ends a wait whose time is over, misses an
    /// agent, asks a driver. The next node has its turn in a step of its own,
    /// at once.
    pub(crate) fn look_at_deadlines(&mut self, now: Instant, out: &mut Effects) {
        if let Some(index) = self.quarantined.checked_sub(1) {
            let node = self.nodes.get(index);
            if node.is_some_and(|node| agent_phase(node.state).is_some()) {
                self.fail(now, index, Reason::RecordsLost, out);
            }
            self.write_quarantine(index, out);
            self.quarantined = index;
            // The others have their turn at once, in steps of their own.
            self.next_tick = now;
            return;
        }
        for index in 0..self.nodes.len() {
            if self.nodes.wake_of(index) > now {
                continue;
            }
            self.nodes.look_again(index);
            let Some(node) = self.nodes.get(index) else {
                return;
            };
            if node.is_vacant() {
                continue;
            }
            // After a restart of the appliance an agent has its deadline to
            // come back.
            let proves = node.boot.session.is_some() && node.boot.heard.is_none();
            let over = node.deadline.is_some_and(|deadline| deadline <= now);
            let silent = agent_phase(node.state) == Some(AgentPhase::Working)
                && !node.boot.imaged
                && !node.agent_is_live(now)
                && !proves;
            if over || silent || crate::power::is_due(node, now) {
                if over {
                    count(&mut self.counters.deadlines);
                    self.expired(now, index, out);
                } else if silent {
                    self.missed(now, index, out);
                }
                self.reconcile(now, index, out);
                // One node a step: what a step may do has a bound then.
                self.next_tick = now;
                return;
            }
        }
    }

    /// A node's agent is silent: its machine is waited for. One that has started
    /// anew since it was heard is on its way already.
    fn missed(&mut self, now: Instant, index: usize, out: &mut Effects) {
        let heard = self.nodes.get(index).and_then(|node| node.boot.heard);
        self.wait_for_machine(now, index, out);
        if let Some(heard) = heard
            && let Some(node) = edit!(self, index)
            && node.timeline.started() > heard
        {
            node.boots_since = heard;
        }
    }

    fn expired(&mut self, now: Instant, index: usize, out: &mut Effects) {
        let moving = self.ports_of(index).find(|port| port.is_moving());
        let moving = moving.map(|port| (port.name.clone(), port.to));
        let doubted = self.ports_of(index).find_map(|port| {
            let moves = self.desired_vlan(index, port) != Some(port.at);
            let doubt = self.doubt(port.mac).filter(|_| moves)?;
            Some((port.name.clone(), doubt))
        });
        let Some(node) = edit!(self, index) else {
            return;
        };
        let (state, reason) = (node.state.as_str(), node.reason);
        let missing = node.timeline.due(awaited_since(node, now));
        match missing.map(|(hop, _)| hop) {
            _ if let Some((name, vlan)) = moving => {
                node.set_error(format_args!(
                    "{state} took too long: port {name} is being moved to VLAN {vlan}, and \
                     nothing of the machine was seen there"
                ));
            }
            _ if let Some((name, doubt)) = doubted => node.set_error(format_args!(
                "{state} took too long: port {name} was not moved ({})",
                doubt.name()
            )),
            // There is a session in which nothing was heard: it is of before
            // a restart.
            _ if agent_phase(node.state) == Some(AgentPhase::Working)
                && node.boot.session.is_some()
                && node.boot.heard.is_none() =>
            {
                node.set_error(format_args!(
                    "the appliance restarted while the node was {state}, and its agent did not \
                     come back"
                ));
            }
            // The agent is there and does not get on, or there is none to be
            // waited for.
            _ if node.boot.order.is_some() || agent_phase(node.state).is_none() => {
                node.set_error(format_args!("{state} took too long ({reason})"));
            }
            Some(Hop::Discover) => {
                // There is no evidence any more that it runs at all.
                node.power = PowerState::Unknown;
                node.set_error(format_args!(
                    "{state} took too long ({reason}); missing: dhcp discover, no packet of \
                     the machine was seen"
                ));
            }
            Some(hop) => node.set_error(format_args!(
                "{state} took too long ({reason}); missing: {}",
                hop.as_str()
            )),
            None => node.set_error(format_args!(
                "{state} took too long ({reason}); missing: the agent's report"
            )),
        }
        self.fail(now, index, Reason::Deadline, out);
        if let Some(node) = edit!(self, index)
            && node.deadline.is_some_and(|deadline| deadline <= now)
        {
            // A state without a way to fail keeps its error only.
            node.deadline = None;
        }
    }
}
