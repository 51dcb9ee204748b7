//! The provision states: their names and what kind of state each is. How
//! one leads to another is in `transition`.

use core::{fmt, str::FromStr};

use crate::Unknown;

/// A provision state of a node. The numbers are for records: never
/// reordered, only appended to. Names and numbers stand in [`State::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// Discovered; nobody has said yet that it is ours to manage.
    Enroll = 0,
    /// Checking that the node can be managed.
    Verifying = 1,
    /// Managed; not offered to anybody.
    Manageable = 2,
    /// The inventory is being taken.
    Inspecting = 3,
    /// Waiting for the agent that takes the inventory.
    InspectWait = 4,
    /// The inventory could not be taken.
    InspectFailed = 5,
    /// Disks are being erased.
    Cleaning = 6,
    /// Waiting for the agent that erases.
    CleanWait = 7,
    /// Cleaning stands still until the operator lets it go on.
    CleanHold = 8,
    /// Cleaning failed. The disks may hold a former tenant's data.
    CleanFailed = 9,
    /// Clean, and free to be deployed.
    Available = 10,
    /// An image is being written.
    Deploying = 11,
    /// Waiting for the agent that writes the image.
    WaitCallBack = 12,
    /// Deploying stands still until the operator lets it go on.
    DeployHold = 13,
    /// Deploying failed.
    DeployFailed = 14,
    /// A tenant's system runs.
    Active = 15,
    /// The tenant's use ends; cleaning follows.
    Deleting = 16,
    /// Deleting failed.
    Error = 17,
    /// A running node is being taken over without writing to it.
    Adopting = 18,
    /// Taking over failed.
    AdoptFailed = 19,
    /// A rescue system is being started.
    Rescuing = 20,
    /// Waiting for the rescue system.
    RescueWait = 21,
    /// The rescue system could not be started.
    RescueFailed = 22,
    /// The rescue system runs.
    Rescue = 23,
    /// The tenant's system is being started again.
    Unrescuing = 24,
    /// The tenant's system could not be started again.
    UnrescueFailed = 25,
    /// A running node is being serviced.
    Servicing = 26,
    /// Waiting for the agent that services.
    ServiceWait = 27,
    /// Servicing stands still until the operator lets it go on.
    ServiceHold = 28,
    /// Servicing failed.
    ServiceFailed = 29,
}

impl State {
    /// Every state, in the order of its number.
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

    /// The name, exactly as the Ironic API spells it.
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

    /// The state of that number in a record.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether a node may stay here for ever without anybody's attention.
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

    /// Whether the appliance itself is at work, so that an operator's verbs
    /// have to wait. In all other states somebody else's next step is
    /// awaited: an agent's or an operator's.
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

    /// Whether something went wrong and an operator decides how it goes on.
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

    /// Whether the node stands still on an operator's wish.
    pub const fn is_hold(self) -> bool {
        matches!(self, Self::CleanHold | Self::DeployHold | Self::ServiceHold)
    }

    /// The stable state that a node in this one is on its way to, as the API
    /// shows in `target_provision_state`. `None` in stable states.
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

    /// Where a node goes from here when its work fails: what
    /// [`Event::Fail`](crate::Event::Fail) leads to, or, where there is no
    /// such event, [`Event::Abort`](crate::Event::Abort). `None` in states
    /// in which nothing is under way.
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

    /// The state after the appliance was started anew, when nothing proves
    /// that the work of before goes on: busy states become their failure,
    /// all others stay (a waiting agent may still report).
    pub const fn after_restart(self) -> Self {
        if self.is_busy()
            && let Some(failure) = self.failure()
        {
            return failure;
        }
        self
    }

    /// Whether an agent that asks which node it runs on is answered. In all
    /// other states nobody sent for one.
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

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = Unknown;

    fn from_str(name: &str) -> Result<Self, Unknown> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == name)
            .ok_or(Unknown)
    }
}
