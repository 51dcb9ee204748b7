//! Events and the transition table.

use core::{fmt, str::FromStr};

use crate::{ProvisionState, Unknown};

/// An event that moves a node to another state. Verbs of an operator cause some of
/// them (see [`crate::Verb`]), the work of a state causes the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ProvisionEvent {
    /// The work of this state is done.
    Done = 0,
    /// The work of this state failed or missed its deadline.
    Fail = 1,
    /// The appliance waits for an agent.
    Wait = 2,
    /// The agent reported, and the appliance continues.
    Resume = 3,
    /// Hold until `Unhold`.
    Hold = 4,
    /// Continue after `Hold`.
    Unhold = 5,
    /// Abort the work.
    Abort = 6,
    /// Manage the node, or make it unavailable.
    Manage = 7,
    /// Make the node available after cleaning.
    Provide = 8,
    /// Inspect the hardware.
    Inspect = 9,
    /// Clean the node.
    Clean = 10,
    /// Adopt a running node.
    Adopt = 11,
    /// Write an image and boot it.
    Deploy = 12,
    /// Write the image of an active node again.
    Rebuild = 13,
    /// Delete the instance.
    Delete = 14,
    /// Boot the rescue system.
    Rescue = 15,
    /// Boot the tenant's system again.
    Unrescue = 16,
    /// Service an active node.
    Service = 17,
}

impl ProvisionEvent {
    /// Every event in the order of the numbers.
    pub const ALL: [Self; 18] = [
        Self::Done,
        Self::Fail,
        Self::Wait,
        Self::Resume,
        Self::Hold,
        Self::Unhold,
        Self::Abort,
        Self::Manage,
        Self::Provide,
        Self::Inspect,
        Self::Clean,
        Self::Adopt,
        Self::Deploy,
        Self::Rebuild,
        Self::Delete,
        Self::Rescue,
        Self::Unrescue,
        Self::Service,
    ];

    /// Returns the name, as in Ironic's state machine.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Fail => "fail",
            Self::Wait => "wait",
            Self::Resume => "resume",
            Self::Hold => "hold",
            Self::Unhold => "unhold",
            Self::Abort => "abort",
            Self::Manage => "manage",
            Self::Provide => "provide",
            Self::Inspect => "inspect",
            Self::Clean => "clean",
            Self::Adopt => "adopt",
            Self::Deploy => "deploy",
            Self::Rebuild => "rebuild",
            Self::Delete => "delete",
            Self::Rescue => "rescue",
            Self::Unrescue => "unrescue",
            Self::Service => "service",
        }
    }
}

impl fmt::Display for ProvisionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProvisionEvent {
    type Err = Unknown;

    fn from_str(name: &str) -> Result<Self, Unknown> {
        Self::ALL
            .into_iter()
            .find(|event| event.as_str() == name)
            .ok_or(Unknown)
    }
}

impl ProvisionState {
    /// Returns the state after `event`; `None` if the state has no such transition.
    pub const fn next(self, event: ProvisionEvent) -> Option<ProvisionState> {
        use ProvisionEvent as E;
        use ProvisionState as S;
        Some(match (self, event) {
            (S::Enroll, E::Manage) => S::Verifying,
            (S::Verifying, E::Done) => S::Manageable,
            (S::Verifying, E::Fail) => S::Enroll,

            (S::Manageable, E::Adopt) => S::Adopting,
            (S::Manageable, E::Clean | E::Provide) => S::Cleaning,
            (S::Manageable, E::Inspect) => S::Inspecting,

            (S::Inspecting | S::InspectWait, E::Done) => S::Manageable,
            (S::Inspecting | S::InspectWait, E::Fail) => S::InspectFailed,
            (S::Inspecting, E::Wait) => S::InspectWait,
            (S::InspectWait, E::Abort) => S::InspectFailed,
            (S::InspectWait, E::Resume) => S::Inspecting,
            (S::InspectFailed, E::Inspect) => S::Inspecting,
            (S::InspectFailed, E::Manage) => S::Manageable,

            (S::Cleaning, E::Done) => S::Available,
            (S::Cleaning | S::CleanWait, E::Fail) => S::CleanFailed,
            (S::Cleaning | S::CleanWait, E::Hold) => S::CleanHold,
            (S::Cleaning, E::Manage) => S::Manageable,
            (S::Cleaning, E::Wait) => S::CleanWait,
            (S::CleanWait, E::Abort) => S::CleanFailed,
            (S::CleanWait, E::Resume) => S::Cleaning,
            (S::CleanHold, E::Abort) => S::CleanFailed,
            (S::CleanHold, E::Unhold) => S::CleanWait,
            (S::CleanFailed, E::Manage) => S::Manageable,

            (S::Available, E::Deploy) => S::Deploying,
            (S::Available, E::Manage) => S::Manageable,

            (S::Deploying, E::Done) => S::Active,
            (S::Deploying | S::WaitCallBack, E::Fail) => S::DeployFailed,
            (S::Deploying | S::WaitCallBack, E::Hold) => S::DeployHold,
            (S::Deploying, E::Wait) => S::WaitCallBack,
            (S::WaitCallBack, E::Abort) => S::DeployFailed,
            (S::WaitCallBack, E::Delete) => S::Deleting,
            (S::WaitCallBack, E::Resume) => S::Deploying,
            (S::DeployHold, E::Abort) => S::DeployFailed,
            (S::DeployHold, E::Unhold) => S::WaitCallBack,
            (S::DeployFailed, E::Delete) => S::Deleting,
            (S::DeployFailed, E::Deploy | E::Rebuild) => S::Deploying,

            (S::Active, E::Delete) => S::Deleting,
            (S::Active, E::Rebuild) => S::Deploying,
            (S::Active, E::Rescue) => S::Rescuing,
            (S::Active, E::Service) => S::Servicing,

            (S::Deleting, E::Clean) if cfg!(farrier_bug = "old-disk-boots") => S::Available,
            (S::Deleting, E::Clean) => S::Cleaning,
            (S::Deleting, E::Fail) => S::Error,
            (S::Error, E::Delete) => S::Deleting,
            (S::Error, E::Rebuild) => S::Deploying,

            (S::Adopting, E::Done) => S::Active,
            (S::Adopting, E::Fail) => S::AdoptFailed,
            (S::AdoptFailed, E::Adopt) => S::Adopting,
            (S::AdoptFailed, E::Manage) => S::Manageable,

            (S::Rescuing, E::Done) => S::Rescue,
            (S::Rescuing | S::RescueWait, E::Fail) => S::RescueFailed,
            (S::Rescuing, E::Wait) => S::RescueWait,
            (S::RescueWait, E::Abort) => S::RescueFailed,
            (S::RescueWait, E::Resume) => S::Rescuing,
            (S::Rescue | S::RescueFailed | S::RescueWait, E::Delete) => S::Deleting,
            (S::Rescue | S::RescueFailed, E::Rescue) => S::Rescuing,
            (S::Rescue | S::RescueFailed, E::Unrescue) => S::Unrescuing,

            (S::Unrescuing, E::Done) => S::Active,
            (S::Unrescuing, E::Fail) => S::UnrescueFailed,
            (S::UnrescueFailed, E::Delete) => S::Deleting,
            (S::UnrescueFailed, E::Rescue) => S::Rescuing,
            (S::UnrescueFailed, E::Unrescue) => S::Unrescuing,

            (S::Servicing, E::Done) => S::Active,
            (S::Servicing | S::ServiceWait, E::Fail) => S::ServiceFailed,
            (S::Servicing | S::ServiceWait, E::Hold) => S::ServiceHold,
            (S::Servicing, E::Wait) => S::ServiceWait,
            (S::ServiceWait, E::Abort) => S::ServiceFailed,
            (S::ServiceWait, E::Delete) => S::Deleting,
            (S::ServiceWait, E::Resume) => S::Servicing,
            (S::ServiceHold, E::Abort | E::Fail) => S::ServiceFailed,
            (S::ServiceHold, E::Service) => S::Servicing,
            (S::ServiceHold, E::Unhold) => S::ServiceWait,
            (S::ServiceFailed, E::Abort) => S::Active,
            (S::ServiceFailed, E::Delete) => S::Deleting,
            (S::ServiceFailed, E::Hold) => S::ServiceHold,
            (S::ServiceFailed, E::Rescue) => S::Rescuing,
            (S::ServiceFailed, E::Service) => S::Servicing,
            (S::ServiceFailed, E::Wait) => S::ServiceWait,

            _ => return None,
        })
    }
}
