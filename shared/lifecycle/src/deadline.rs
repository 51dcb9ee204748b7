//! Deadlines of states: duration, what the state waits for, and the event at the
//! end.
//!
//! The durations are Ironic's where it has them (its call-back timeouts are 30
//! minutes) and long otherwise: a slow disk must not miss a deadline. The caller
//! can restart the time of a state at every progress.

use crate::{ProvisionEvent, ProvisionState};

const MINUTE: u64 = 60_000;

/// The deadline of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// Milliseconds since the start of the state or since the last progress.
    pub millis: u64,
    /// What the state waits for, as a text for the operator.
    pub reason: &'static str,
    /// The event at the end. It has a transition from the state.
    pub expired: ProvisionEvent,
}

impl ProvisionState {
    /// Returns the default deadline; `None` for stable, failed and hold states,
    /// which wait for an operator.
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
            expired: ProvisionEvent::Fail,
        })
    }
}
