//! Who gives a command or causes a change.

use heapless::String;

/// Longest name of an account in bytes.
pub const ACCOUNT_LEN: usize = 16;

/// What kind of party acts. The numbers stand in records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum ActorKind {
    /// The rack itself: a deadline, a boot, a restart.
    #[default]
    Rack = 0,
    /// An account of the API.
    Account = 1,
    /// The node's agent.
    Agent = 2,
}

impl ActorKind {
    /// The kind of that number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Rack),
            1 => Some(Self::Account),
            2 => Some(Self::Agent),
            _ => None,
        }
    }
}

/// Who gives a command. The role of an account follows from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor<'a> {
    /// What kind of party.
    pub kind: ActorKind,
    /// The account's name, cut to [`ACCOUNT_LEN`] bytes where it is kept;
    /// empty for others.
    pub account: &'a str,
}

impl Actor<'_> {
    /// The rack itself.
    pub const RACK: Actor<'static> = Actor {
        kind: ActorKind::Rack,
        account: "",
    };
    /// A node's agent.
    pub const AGENT: Actor<'static> = Actor {
        kind: ActorKind::Agent,
        account: "",
    };
    /// An account of programs that give commands without the API: tests,
    /// rigs.
    pub const OPERATOR: Actor<'static> = Actor {
        kind: ActorKind::Account,
        account: "operator",
    };

    /// The account's name as it is kept.
    pub fn kept(&self) -> String<ACCOUNT_LEN, u8> {
        super::cut(self.account)
    }
}
