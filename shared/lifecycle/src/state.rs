//! The provision states, their names and their kinds. `transition` has the
//! transitions.

use core::{fmt, str::FromStr};

use crate::Unknown;

/// The provision state of a node. Records have its number, which is never
/// reordered. [`ProvisionState::ALL`] has names and numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ProvisionState {
    /// The node was discovered and is not managed yet.
    Enroll = 0,
    /// The appliance verifies that it can manage the node.
    Verifying = 1,
    /// The node is managed and not available for deployment.
    Manageable = 2,
    /// The agent inspects the hardware.
    Inspecting = 3,
    /// Inspection waits for the agent.
    InspectWait = 4,
    /// The inspection failed.
    InspectFailed = 5,
    /// The agent erases the disks.
    Cleaning = 6,
    /// Cleaning waits for the agent.
    CleanWait = 7,
    /// Cleaning is on hold until the operator continues it.
    CleanHold = 8,
    /// Cleaning failed. The disks may have data of a previous tenant.
    CleanFailed = 9,
    /// The node is clean and available for deployment.
    Available = 10,
    /// The agent writes an image.
    Deploying = 11,
    /// Deployment waits for the agent.
    WaitCallBack = 12,
    /// Deployment is on hold until the operator continues it.
    DeployHold = 13,
    /// Deployment failed.
    DeployFailed = 14,
    /// The node runs a tenant's system.
    Active = 15,
    /// The instance is deleted; cleaning follows.
    Deleting = 16,
    /// Deleting the instance failed.
    Error = 17,
    /// The appliance adopts a running node without writing to it.
    Adopting = 18,
    /// Adoption failed.
    AdoptFailed = 19,
    /// The node boots the rescue system.
    Rescuing = 20,
    /// Rescue waits for the agent.
    RescueWait = 21,
    /// Rescue failed.
    RescueFailed = 22,
    /// The node runs the rescue system.
    Rescue = 23,
    /// The node boots the tenant's system again.
    Unrescuing = 24,
    /// Leaving rescue failed.
    UnrescueFailed = 25,
    /// The agent services the node.
    Servicing = 26,
    /// Service waits for the agent.
    ServiceWait = 27,
    /// Service is on hold until the operator continues it.
    ServiceHold = 28,
    /// Service failed.
    ServiceFailed = 29,
}

impl ProvisionState {
    /// Every state in the order of the numbers.
    pub const ALL: [Self; 30] = [
        Self::Enroll,
        Self::Verifying,
        Self::Manageable,
        Self::Inspecting,
        Self::InspectWait,
        Self::InspectFailed,
        Self::Cleaning,
        Self::CleanWait,
        Self::CleanHold,
        Self::CleanFailed,
        Self::Available,
        Self::Deploying,
        Self::WaitCallBack,
        Self::DeployHold,
        Self::DeployFailed,
        Self::Active,
        Self::Deleting,
        Self::Error,
        Self::Adopting,
        Self::AdoptFailed,
        Self::Rescuing,
        Self::RescueWait,
        Self::RescueFailed,
        Self::Rescue,
        Self::Unrescuing,
        Self::UnrescueFailed,
        Self::Servicing,
        Self::ServiceWait,
        Self::ServiceHold,
        Self::ServiceFailed,
    ];

    /// Returns the name, as in the Ironic API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enroll => "enroll",
            Self::Verifying => "verifying",
            Self::Manageable => "manageable",
            Self::Inspecting => "inspecting",
            Self::InspectWait => "inspect wait",
            Self::InspectFailed => "inspect failed",
            Self::Cleaning => "cleaning",
            Self::CleanWait => "clean wait",
            Self::CleanHold => "clean hold",
            Self::CleanFailed => "clean failed",
            Self::Available => "available",
            Self::Deploying => "deploying",
            Self::WaitCallBack => "wait call-back",
            Self::DeployHold => "deploy hold",
            Self::DeployFailed => "deploy failed",
            Self::Active => "active",
            Self::Deleting => "deleting",
            Self::Error => "error",
            Self::Adopting => "adopting",
            Self::AdoptFailed => "adopt failed",
            Self::Rescuing => "rescuing",
            Self::RescueWait => "rescue wait",
            Self::RescueFailed => "rescue failed",
            Self::Rescue => "rescue",
            Self::Unrescuing => "unrescuing",
            Self::UnrescueFailed => "unrescue failed",
            Self::Servicing => "servicing",
            Self::ServiceWait => "service wait",
            Self::ServiceHold => "service hold",
            Self::ServiceFailed => "service failed",
        }
    }

    /// Returns the state of a number in a record.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Returns whether the state is stable: it needs no action and has no deadline.
    pub const fn is_stable(self) -> bool {
        matches!(
            self,
            Self::Enroll
                | Self::Manageable
                | Self::Available
                | Self::Active
                | Self::Error
                | Self::Rescue
        )
    }

    /// Returns whether the appliance is working, so that it refuses verbs. All other
    /// states wait for an agent or an operator.
    pub const fn is_busy(self) -> bool {
        matches!(
            self,
            Self::Verifying
                | Self::Inspecting
                | Self::Cleaning
                | Self::Deploying
                | Self::Deleting
                | Self::Adopting
                | Self::Rescuing
                | Self::Unrescuing
                | Self::Servicing
        )
    }

    /// Returns whether the state is a failure that needs an operator.
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::InspectFailed
                | Self::CleanFailed
                | Self::DeployFailed
                | Self::Error
                | Self::AdoptFailed
                | Self::RescueFailed
                | Self::UnrescueFailed
                | Self::ServiceFailed
        )
    }

    /// Returns whether the node is on hold.
    pub const fn is_hold(self) -> bool {
        matches!(self, Self::CleanHold | Self::DeployHold | Self::ServiceHold)
    }

    /// Returns the stable state to which this one leads, `target_provision_state` in
    /// the API; `None` for stable states.
    pub const fn target(self) -> Option<Self> {
        Some(match self {
            Self::Verifying | Self::Inspecting | Self::InspectWait | Self::InspectFailed => {
                Self::Manageable
            }
            Self::Cleaning
            | Self::CleanWait
            | Self::CleanHold
            | Self::CleanFailed
            | Self::Deleting => Self::Available,
            Self::Deploying
            | Self::WaitCallBack
            | Self::DeployHold
            | Self::DeployFailed
            | Self::Adopting
            | Self::AdoptFailed
            | Self::Unrescuing
            | Self::UnrescueFailed
            | Self::Servicing
            | Self::ServiceWait
            | Self::ServiceHold
            | Self::ServiceFailed => Self::Active,
            Self::Rescuing | Self::RescueWait | Self::RescueFailed => Self::Rescue,
            Self::Enroll
            | Self::Manageable
            | Self::Available
            | Self::Active
            | Self::Error
            | Self::Rescue => return None,
        })
    }

    /// Returns the state after a failure of this state's work: the target of
    /// [`ProvisionEvent::Fail`](crate::ProvisionEvent::Fail), or else of
    /// [`ProvisionEvent::Abort`](crate::ProvisionEvent::Abort). `None` if the state has no work.
    pub const fn failure(self) -> Option<Self> {
        Some(match self {
            Self::Verifying => Self::Enroll,
            Self::Inspecting | Self::InspectWait => Self::InspectFailed,
            Self::Cleaning | Self::CleanWait | Self::CleanHold => Self::CleanFailed,
            Self::Deploying | Self::WaitCallBack | Self::DeployHold => Self::DeployFailed,
            Self::Deleting => Self::Error,
            Self::Adopting => Self::AdoptFailed,
            Self::Rescuing | Self::RescueWait => Self::RescueFailed,
            Self::Unrescuing => Self::UnrescueFailed,
            Self::Servicing | Self::ServiceWait | Self::ServiceHold => Self::ServiceFailed,
            _ => return None,
        })
    }

    /// Returns the state after a restart of the appliance if the work can't
    /// continue: the failure of a busy state, else the same state (its agent may
    /// still report).
    pub const fn after_restart(self) -> Self {
        if self.is_busy()
            && let Some(failure) = self.failure()
        {
            return failure;
        }
        self
    }

    /// Returns whether the appliance answers the lookup of an agent. In all other
    /// states it expects no agent.
    pub const fn answers_lookup(self) -> bool {
        matches!(
            self,
            Self::Deploying
                | Self::WaitCallBack
                | Self::Cleaning
                | Self::CleanWait
                | Self::Inspecting
                | Self::InspectWait
                | Self::Rescuing
                | Self::RescueWait
                | Self::ServiceWait
        )
    }
}

impl fmt::Display for ProvisionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProvisionState {
    type Err = Unknown;

    fn from_str(name: &str) -> Result<Self, Unknown> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == name)
            .ok_or(Unknown)
    }
}
