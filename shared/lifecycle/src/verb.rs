//! The verbs of an operator: the targets of `PUT /v1/nodes/{id}/states/provision`.

use core::{fmt, str::FromStr};

use crate::{ProvisionEvent, ProvisionState, Unknown};

/// A target of the provision API. Two of them have a second spelling, which
/// [`Verb::from_str`] accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verb {
    /// `active` (or `deploy`): write an image and boot it.
    Active = 0,
    /// `rebuild`: write the image again.
    Rebuild = 1,
    /// `deleted` (or `undeploy`): delete the instance.
    Deleted = 2,
    /// `manage`: manage the node, or make it unavailable.
    Manage = 3,
    /// `provide`: clean and make available.
    Provide = 4,
    /// `inspect`: inspect the hardware.
    Inspect = 5,
    /// `abort`: abort the work.
    Abort = 6,
    /// `clean`: clean, then stay manageable.
    Clean = 7,
    /// `adopt`: adopt a running node.
    Adopt = 8,
    /// `rescue`: boot the rescue system.
    Rescue = 9,
    /// `unrescue`: boot the tenant's system again.
    Unrescue = 10,
    /// `unhold`: continue after a hold.
    Unhold = 11,
    /// `service`: service an active node.
    Service = 12,
}

impl Verb {
    /// Every verb in the order of the numbers.
    pub const ALL: [Self; 13] = [
        Self::Active,
        Self::Rebuild,
        Self::Deleted,
        Self::Manage,
        Self::Provide,
        Self::Inspect,
        Self::Abort,
        Self::Clean,
        Self::Adopt,
        Self::Rescue,
        Self::Unrescue,
        Self::Unhold,
        Self::Service,
    ];

    /// Returns the API's first spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Rebuild => "rebuild",
            Self::Deleted => "deleted",
            Self::Manage => "manage",
            Self::Provide => "provide",
            Self::Inspect => "inspect",
            Self::Abort => "abort",
            Self::Clean => "clean",
            Self::Adopt => "adopt",
            Self::Rescue => "rescue",
            Self::Unrescue => "unrescue",
            Self::Unhold => "unhold",
            Self::Service => "service",
        }
    }

    /// Returns the event of the verb.
    pub const fn event(self) -> ProvisionEvent {
        match self {
            Self::Active => ProvisionEvent::Deploy,
            Self::Rebuild => ProvisionEvent::Rebuild,
            Self::Deleted => ProvisionEvent::Delete,
            Self::Manage => ProvisionEvent::Manage,
            Self::Provide => ProvisionEvent::Provide,
            Self::Inspect => ProvisionEvent::Inspect,
            Self::Abort => ProvisionEvent::Abort,
            Self::Clean => ProvisionEvent::Clean,
            Self::Adopt => ProvisionEvent::Adopt,
            Self::Rescue => ProvisionEvent::Rescue,
            Self::Unrescue => ProvisionEvent::Unrescue,
            Self::Unhold => ProvisionEvent::Unhold,
            Self::Service => ProvisionEvent::Service,
        }
    }
}

impl ProvisionState {
    /// Returns the event of `verb` in this state; `None` if the state does not accept
    /// the verb. Busy states accept no verb: some of their events have the name of a
    /// verb (`clean` in deleting, `manage` in cleaning), but the appliance causes
    /// them.
    pub const fn event(self, verb: Verb) -> Option<ProvisionEvent> {
        let event = verb.event();
        if self.is_busy() || self.next(event).is_none() {
            return None;
        }
        Some(event)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Verb {
    type Err = Unknown;

    fn from_str(name: &str) -> Result<Self, Unknown> {
        match name {
            "deploy" => Ok(Self::Active),
            "undeploy" => Ok(Self::Deleted),
            _ => Self::ALL
                .into_iter()
                .find(|verb| verb.as_str() == name)
                .ok_or(Unknown),
        }
    }
}
