//! What an operator may ask: the targets of
//! `PUT /v1/nodes/{id}/states/provision`.

use core::{fmt, str::FromStr};

use crate::{Event, State, Unknown};

/// A target of the provision API. Two of them have a second spelling, which
/// [`Verb::from_str`] takes as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verb {
    /// `active` (or `deploy`): write an image and start it.
    Active = 0,
    /// `rebuild`: write the image again.
    Rebuild = 1,
    /// `deleted` (or `undeploy`): end the tenant's use.
    Deleted = 2,
    /// `manage`: take under management, or out of use.
    Manage = 3,
    /// `provide`: clean and make available.
    Provide = 4,
    /// `inspect`: take the inventory.
    Inspect = 5,
    /// `abort`: break off.
    Abort = 6,
    /// `clean`: clean, then stay manageable.
    Clean = 7,
    /// `adopt`: take over a node that runs.
    Adopt = 8,
    /// `rescue`: start the rescue system.
    Rescue = 9,
    /// `unrescue`: start the tenant's system again.
    Unrescue = 10,
    /// `unhold`: go on.
    Unhold = 11,
    /// `service`: service a node in use.
    Service = 12,
}

impl Verb {
    /// Every verb, in the order of its number.
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

    /// The API's first spelling.
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

    /// The event of the state machine that the verb stands for.
    pub const fn event(self) -> Event {
        match self {
            Self::Active => Event::Deploy,
            Self::Rebuild => Event::Rebuild,
            Self::Deleted => Event::Delete,
            Self::Manage => Event::Manage,
            Self::Provide => Event::Provide,
            Self::Inspect => Event::Inspect,
            Self::Abort => Event::Abort,
            Self::Clean => Event::Clean,
            Self::Adopt => Event::Adopt,
            Self::Rescue => Event::Rescue,
            Self::Unrescue => Event::Unrescue,
            Self::Unhold => Event::Unhold,
            Self::Service => Event::Service,
        }
    }
}

impl State {
    /// The event that `verb` stands for in this state; `None` where an
    /// operator can't ask for it here. Busy states take no verb: some of
    /// their events bear a verb's name (`clean` in deleting, `manage` in
    /// cleaning), but are the appliance's own.
    pub const fn event(self, verb: Verb) -> Option<Event> {
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
