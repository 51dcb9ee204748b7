//! The steps of a node's work: cleaning, deploying, servicing.
//!
//! A queue of at most [`MAX_STEPS`] steps fits in a word, four bits each.
//! Work without steps of its own has those that its state implies. How
//! steps are carried out is in `agent`; here stands which there are, and
//! what comes when one is done.

use crate::interface::Effects;
use crate::interface::Instant;
use crate::node::Reason;
use crate::node::flags::Flags;
use crate::node::{Job, Node};
use crate::rack::{Rack, edit};
use farrier_lifecycle::{ProvisionEvent, ProvisionState};

pub use crate::interface::{MAX_STEPS, Step, Steps, WRITE_PRIORITY};

/// The job of the agent that a step is; `None` where the step needs no agent.
pub(crate) const fn job_of(step: Step) -> Option<Job> {
    match step {
        Step::Inspect => Some(Job::Inspect),
        Step::Erase => Some(Job::Erase),
        Step::Write => Some(Job::Deploy),
        Step::Reboot => Some(Job::Reboot),
        Step::Hold => None,
    }
}

impl Node {
    /// The step that is due, if any: the first of the queue, or what the
    /// state implies where no steps were chosen.
    pub fn step(&self) -> Option<Step> {
        self.steps.first().or(match self.state {
            ProvisionState::Inspecting | ProvisionState::InspectWait => Some(Step::Inspect),
            ProvisionState::Cleaning | ProvisionState::CleanWait
                if !self.flags.contains(Flags::MANUAL_CLEAN)
                    && !self.flags.contains(Flags::ERASED) =>
            {
                Some(Step::Erase)
            }
            ProvisionState::Deploying | ProvisionState::WaitCallBack if self.written.is_none() => {
                Some(Step::Write)
            }
            _ => None,
        })
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Gives a node its queue.
    pub(crate) fn set_steps(&mut self, index: usize, steps: Steps) {
        if let Some(node) = edit!(self, index)
            && node.steps != steps
        {
            node.steps = steps;
        }
    }

    /// The step that was due is done.
    pub(crate) fn step_done(&mut self, now: Instant, index: usize, out: &mut Effects) {
        if let Some(node) = self.nodes.get(index) {
            self.set_steps(index, node.steps.rest());
        }
        self.proceed(now, index, out);
    }

    /// Does what needs no agent of the steps that are due, in a state in
    /// which an agent is at work: stands still at a hold, ends the work
    /// behind the last step.
    pub(crate) fn proceed(&mut self, now: Instant, index: usize, out: &mut Effects) {
        let Some(node) = edit!(self, index) else {
            return;
        };
        match (node.step(), node.state) {
            (
                Some(Step::Hold),
                ProvisionState::Cleaning | ProvisionState::Deploying | ProvisionState::Servicing,
            ) => {
                let rest = node.steps.rest();
                self.set_steps(index, rest);
                self.event(now, index, ProvisionEvent::Hold, Reason::Held, out);
            }
            (Some(_), _) => {}
            (None, ProvisionState::Cleaning) if node.flags.contains(Flags::MANUAL_CLEAN) => {
                self.event(
                    now,
                    index,
                    ProvisionEvent::Manage,
                    Reason::CleanStepsDone,
                    out,
                );
            }
            (None, ProvisionState::Cleaning) if node.flags.contains(Flags::RETIRED) => {
                let reason = Reason::CleanRetired;
                self.event(now, index, ProvisionEvent::Manage, reason, out);
            }
            (None, ProvisionState::Cleaning) => {
                self.event(now, index, ProvisionEvent::Done, Reason::Erased, out);
            }
            (None, ProvisionState::Deploying) => {
                node.boot.imaged = true;
                node.reason = Reason::ImageWritten;
            }
            (None, ProvisionState::Servicing) => {
                node.boot.imaged = true;
                node.reason = Reason::ServiceStepsDone;
            }
            (None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_keeps_its_order_and_its_bound() {
        let mut steps = Steps::NONE;
        assert!(steps.is_empty());
        for n in 0..MAX_STEPS {
            steps = steps.with(Step::ALL[n % 5]).unwrap();
        }
        assert_eq!(steps.with(Step::Hold), None);
        assert_eq!(steps.iter().count(), MAX_STEPS);
        assert_eq!(steps.first(), Some(Step::Inspect));
        assert_eq!(steps.rest().first(), Some(Step::Erase));
        assert_eq!(Steps::from_bits(steps.bits()), steps);
        assert_eq!(Steps::from_bits(0xf).first(), None);
        let kept: std::vec::Vec<Step> = steps.iter().collect();
        for (n, step) in kept.into_iter().enumerate() {
            assert_eq!(step, Step::ALL[n % 5]);
        }
    }

    #[test]
    fn steps_are_known_by_number_and_name() {
        let names = [
            ("collect_inventory", "deploy"),
            ("erase_devices", "deploy"),
            ("write_image", "deploy"),
            ("hold", ""),
            ("reboot", ""),
        ];
        for (place, (step, (name, interface))) in Step::ALL.into_iter().zip(names).enumerate() {
            assert_eq!((step.as_str(), step.interface()), (name, interface));
            assert_eq!(Step::chosen(name), Some(step));
            // The number stands in records.
            assert_eq!(step as usize, place + 1);
            assert_eq!(Step::from_number(place as u32 + 1), Some(step));
        }
        assert_eq!(Step::from_number(0), None);
        assert_eq!(Step::from_number(6), None);
        assert_eq!(Step::chosen("deploy"), None);
    }

    #[test]
    fn states_imply_steps_until_they_are_done() {
        let id = farrier_protocol::message::NodeId([1; 16]);
        let mut node = Node::enrolled(id, Instant::START);
        let mut due = |state, flags, written| {
            node.state = state;
            node.flags = flags;
            node.written = written;
            node.step()
        };
        let written = crate::node::Written {
            image_bytes: core::num::NonZeroU64::MIN,
            fetched_bytes: 1,
            refetched_chunks: 0,
            peak_rss_kib: 1,
        };
        let none = Flags::empty();
        for state in [ProvisionState::Inspecting, ProvisionState::InspectWait] {
            assert_eq!(due(state, none, None), Some(Step::Inspect));
        }
        for state in [ProvisionState::Cleaning, ProvisionState::CleanWait] {
            assert_eq!(due(state, none, None), Some(Step::Erase));
            assert_eq!(due(state, Flags::ERASED, None), None);
            assert_eq!(due(state, Flags::MANUAL_CLEAN, None), None);
        }
        for state in [ProvisionState::Deploying, ProvisionState::WaitCallBack] {
            assert_eq!(due(state, none, None), Some(Step::Write));
            assert_eq!(due(state, none, Some(written)), None);
        }
        assert_eq!(due(ProvisionState::Available, none, None), None);
        node.steps = Steps::NONE.with(Step::Reboot).unwrap();
        assert_eq!(node.step(), Some(Step::Reboot));
    }
}
