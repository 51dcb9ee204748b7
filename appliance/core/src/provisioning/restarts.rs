//! Machines that start anew while they are at work.

use crate::interface::{Effects, Instant};
use crate::node::{AgentPhase, Job, Reason, agent_phase};
use crate::provisioning::steps::Step;
use crate::rack::{Rack, edit};
use farrier_lifecycle::ProvisionEvent;

/// Boots into the ramdisk for one piece of work before it counts as failed.
pub const MAX_ATTEMPTS: u8 = 6;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// A machine that was at work has started anew: the work waits for its
    /// new agent, or fails after too many starts.
    pub(crate) fn restarted(&mut self, now: Instant, index: usize, out: &mut Effects) {
        let Some(node) = edit!(self, index) else {
            return;
        };
        let Some(at_work) = agent_phase(node.state) else {
            return;
        };
        let ordered = node.boot.order.map(|order| order.job);
        if node.steps.first() == Some(Step::Reboot) && ordered == Some(Job::Reboot) {
            // The restart was a step, whether or not a final report came.
            let rest = node.steps.rest();
            self.set_steps(index, rest);
        }
        let Some(node) = edit!(self, index) else {
            return;
        };
        node.attempts = node.attempts.saturating_add(1);
        if node.attempts > MAX_ATTEMPTS {
            node.set_error(format_args!(
                "the machine restarted {MAX_ATTEMPTS} times without finishing; look at its console"
            ));
            self.event(
                now,
                index,
                ProvisionEvent::Fail,
                Reason::TooManyRestarts,
                out,
            );
        } else if at_work == AgentPhase::Working {
            self.event(now, index, ProvisionEvent::Wait, Reason::Restarted, out);
        }
    }
}
