//! What a state means for the machine: whether an agent works in it, whether a
//! tenant's system is on its disk.

use super::{InstanceInfo, Node};
use crate::node::flags::Flags;
use farrier_lifecycle::ProvisionState;

/// What an agent has to do in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentPhase {
    /// The state lasts as long as the agent works.
    Working,
    /// The state waits for the agent.
    Waiting,
}

/// What an agent has to do in a state; `None` where it has nothing to do.
pub const fn agent_phase(state: ProvisionState) -> Option<AgentPhase> {
    match state {
        ProvisionState::Inspecting
        | ProvisionState::Cleaning
        | ProvisionState::Deploying
        | ProvisionState::Servicing => Some(AgentPhase::Working),
        ProvisionState::InspectWait
        | ProvisionState::CleanWait
        | ProvisionState::WaitCallBack
        | ProvisionState::ServiceWait => Some(AgentPhase::Waiting),
        _ => None,
    }
}

/// The image of a machine that is deployed or being deployed stays what it
/// is.
pub fn changes_in_use(node: &Node, info: &InstanceInfo) -> bool {
    let in_use = node.state.is_busy()
        || deployed(node.state)
            && !matches!(
                node.state,
                ProvisionState::DeployFailed | ProvisionState::Error
            );
    let other = info.instance_uuid != node.instance.instance_uuid;
    in_use && (other || info.image_source != node.instance.image_source)
        || other && node.flags.contains(Flags::ALLOCATED)
}

/// Whether a tenant's system is on the machine's disk, or is on its way
/// there, or its leftovers were not erased yet.
pub const fn deployed(state: ProvisionState) -> bool {
    matches!(
        state.target(),
        Some(ProvisionState::Active | ProvisionState::Rescue)
    ) && !matches!(
        state,
        ProvisionState::Adopting | ProvisionState::AdoptFailed
    ) || matches!(
        state,
        ProvisionState::Active
            | ProvisionState::Rescue
            | ProvisionState::Deleting
            | ProvisionState::Error
    )
}
