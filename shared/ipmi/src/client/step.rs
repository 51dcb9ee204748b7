//! Where a client stands: each step is a wait with a reason.

use super::session::{Phase, Stage, State};
use super::{Client, Exchange};

/// What a client waits for. [`Client::wake_at`] says until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Step {
    /// Its owner: there is no session, and none is wanted.
    Closed = 0,
    /// The end of a pause before the session is opened again.
    Pause = 1,
    /// What the BMC can do.
    Capabilities = 2,
    /// The session.
    Open = 3,
    /// The proof of the BMC that it knows the password.
    Rakp2 = 4,
    /// The proof of the BMC that it has the session's keys.
    Rakp4 = 5,
    /// The privilege of the session.
    Privilege = 6,
    /// Its owner: the session is open.
    Ready = 7,
    /// The answer to a command.
    Answer = 8,
    /// A sign of life.
    KeepAlive = 9,
    /// The end of the session.
    Close = 10,
}

impl Step {
    /// What is waited for.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Closed => "a command",
            Self::Pause => "the end of a pause before the session with the BMC is opened again",
            Self::Capabilities => "the BMC to say what it can do",
            Self::Open => "the BMC to open a session",
            Self::Rakp2 => "the BMC to prove that it knows the password",
            Self::Rakp4 => "the BMC to prove that it has the session's keys",
            Self::Privilege => "the BMC to raise the session's privilege",
            Self::Ready => "a command in an open session",
            Self::Answer => "the BMC's answer to a command",
            Self::KeepAlive => "a sign of life of the BMC",
            Self::Close => "the BMC to close the session",
        }
    }
}

impl Client {
    /// What the client waits for.
    #[must_use]
    pub const fn step(&self) -> Step {
        match &self.state {
            State::Closed if self.held || self.request.is_some() => Step::Pause,
            State::Closed => Step::Closed,
            State::Opening(opening) => match opening.stage {
                Stage::Capabilities => Step::Capabilities,
                Stage::Open => Step::Open,
                Stage::Rakp1 => Step::Rakp2,
                Stage::Rakp3 => Step::Rakp4,
            },
            State::Open(session) => match session.phase {
                Phase::Privilege => Step::Privilege,
                Phase::Idle => Step::Ready,
                Phase::Request => Step::Answer,
                Phase::KeepAlive => Step::KeepAlive,
                Phase::Closing => Step::Close,
            },
        }
    }

    /// How often the message was sent whose answer is awaited; 0 where none is.
    #[must_use]
    pub const fn tries(&self) -> u8 {
        match &self.state {
            State::Closed => 0,
            State::Opening(opening) => opening.exchange.tries,
            State::Open(session) => match (session.phase, session.exchange) {
                (Phase::Idle, _) => 0,
                (_, Exchange { tries, .. }) => tries,
            },
        }
    }
}
