//! How long a state may last, what it waits for, and what comes then.
//!
//! The times are Ironic's where it has one (its call-back time-outs are 30
//! minutes) and otherwise generous: a deadline is there so that nothing is
//! forgotten, not to hurry a slow disk. A brain that sees progress may
//! start the time of a state anew with each report.

use crate::{Event, State};

const MINUTE: u64 = 60_000;

/// How long a state may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// Milliseconds since the state began, or since its last progress.
    pub millis: u64,
    /// What is being waited for, in words for an operator.
    pub reason: &'static str,
    /// The event when the time has run out; has a transition from the state.
    pub expired: Event,
}

impl State {
    /// The default deadline. `None` in states that need none: stable and
    /// failed ones, and holds, which wait for the operator who asked for
    /// them.
    pub const fn deadline(self) -> Option<Deadline> {
        let (minutes, reason) = match self {
            Self::Verifying => (2, "checking that the node can be managed"),
            Self::Inspecting => (5, "preparing the inventory"),
            Self::InspectWait => (30, "waiting for the agent's inventory"),
            Self::Cleaning => (5, "preparing to clean"),
            Self::CleanWait => (30, "waiting for the agent to erase the disks"),
            Self::Deploying => (5, "preparing to deploy"),
            Self::WaitCallBack => (30, "waiting for the agent to write the image"),
            Self::Deleting => (5, "taking the node from its tenant"),
            Self::Adopting => (5, "taking over the running node"),
            Self::Rescuing => (5, "preparing the rescue system"),
            Self::RescueWait => (30, "waiting for the rescue system"),
            Self::Unrescuing => (5, "leaving the rescue system"),
            Self::Servicing => (5, "preparing to service"),
            Self::ServiceWait => (30, "waiting for the agent to service the node"),
            _ => return None,
        };
        Some(Deadline {
            millis: minutes * MINUTE,
            reason,
            expired: Event::Fail,
        })
    }
}
