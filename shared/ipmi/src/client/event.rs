//! What a client tells its owner.

use crate::command::Answer;
use crate::console::ConsoleEvent;
use crate::message::Completion;
use crate::rakp::Status;

/// Why something did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nobody has answered, as often as the client has asked.
    Silent,
    /// The BMC has no sessions of IPMI 2.0.
    NoRmcpPlus,
    /// The BMC has none of the cipher suites that are allowed.
    NoSuite,
    /// The BMC refuses the session.
    Refused(Status),
    /// The BMC does not know the password: its own proof is wrong. So no proof of
    /// ours was sent.
    Password,
    /// The BMC's key (Kg) is another one.
    Key,
    /// The BMC refuses the command.
    Completion(Completion),
    /// The answer is too short for the command.
    Malformed,
    /// The session was lost before the answer. The BMC may have carried the command
    /// out.
    Lost,
    /// The owner has closed the session.
    Closed,
}

impl Failure {
    /// Whether a new session with the same credentials can't succeed. Trying again
    /// might lock the user out.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::NoRmcpPlus | Self::NoSuite | Self::Password | Self::Key | Self::Closed => true,
            Self::Refused(status) => !status.is_transient(),
            // Of the privilege of the session.
            Self::Completion(code) => !code.is_transient(),
            Self::Silent | Self::Malformed | Self::Lost => false,
        }
    }

    /// What failed, as text.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Silent => "the BMC does not answer",
            Self::NoRmcpPlus => "the BMC has no sessions of IPMI 2.0",
            Self::NoSuite => "the BMC has none of the cipher suites that are allowed",
            Self::Refused(status) => status.reason(),
            Self::Password => "the password is another one",
            Self::Key => "the key of the BMC (Kg) is another one",
            Self::Completion(code) => code.reason(),
            Self::Malformed => "the BMC's answer is too short",
            Self::Lost => "the session was lost before the answer; the command may be carried out",
            Self::Closed => "the session was closed",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The session is open.
    Up,
    /// The session is not open, or no longer.
    Down {
        /// Why.
        failure: Failure,
        /// When the client opens it again by itself, as it does between
        /// [`super::Client::open`] and [`super::Client::close`] unless the failure
        /// is final.
        reopens_at_ms: Option<u64>,
    },
    /// The command succeeded.
    Done(Answer<'a>),
    /// The command failed.
    Failed(Failure),
    /// The device is there, and says whether it speaks IPMI.
    Present {
        /// It does.
        ipmi: bool,
    },
    /// No device has answered the ping.
    Absent,
    /// Of the serial console.
    Console(ConsoleEvent<'a>),
}

/// What [`super::Client::poll`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Send the first bytes of the buffer, as many as this, to the BMC's port 623.
    /// Then call again.
    Datagram(usize),
    /// Something happened. Call again.
    Event(Event<'static>),
    /// Nothing to do before this time, or before a datagram or a call of the
    /// owner's; `None` for no time at all.
    Wait(Option<u64>),
}

/// Why a client takes no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another one is at work.
    Busy,
}

/// What a client has sent and dropped since it was made. Counters stop at their
/// greatest value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Datagrams that were sent.
    pub sent: u32,
    /// Repetitions among them.
    pub repeated: u32,
    /// Datagrams that were used.
    pub received: u32,
    /// Dropped: cut off, or with lengths that contradict each other.
    pub truncated: u32,
    /// Dropped: no packets of IPMI, or of a kind that nobody asked for.
    pub unknown: u32,
    /// Dropped: of another session.
    pub other_session: u32,
    /// Dropped: answers to something else than what is asked.
    pub other_request: u32,
    /// Dropped: numbers that were there before, or are too old.
    pub replayed: u32,
    /// Dropped: unprotected, or with a wrong authentication code or checksum.
    pub forged: u32,
    /// Sessions that were opened.
    pub sessions: u32,
    /// Sessions that were lost.
    pub lost: u32,
    /// Datagrams that did not fit the owner's buffer.
    pub oversized: u32,
}
