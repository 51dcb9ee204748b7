//! How a task ended.

use crate::reply::RpcError;
use crate::session::ProtocolError;
use crate::vlan::Observed;

use super::Step;

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The change was confirmed and read back.
    Confirmed,
    /// The port was as wanted before; nothing was written.
    Unchanged,
    /// The owner cancelled the change, and the port was read back as before it.
    Cancelled,
    /// The port's configuration, or all rows of a table, were read.
    Read,
    /// The session was closed.
    Closed,
    /// The task failed.
    Failed(Failure),
}

/// Why a task failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The switch answered with an error: [`Report::error`].
    Refused,
    /// The switch answered with neither `ok`, data nor an error.
    NoAnswer,
    /// Another session holds the lock, or its confirmed commit waits. If the switch
    /// says which, it is [`RpcError::holder`].
    Locked,
    /// The port was not as expected before the change: [`Report::port`].
    Unexpected,
    /// The switch said `ok`, and its running configuration is not as wanted.
    NotApplied,
    /// The change was to be taken back, and the port is not as before.
    NotRestored,
    /// The owner aborted the task.
    Aborted,
    /// The session ended.
    SessionLost,
    /// The trunk that was to carry the port's VLAN carries no tagged VLANs.
    NoTrunk,
    /// The bytes of the switch can't be read.
    Protocol(ProtocolError),
}

impl Failure {
    /// Returns a number for counters and records.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Refused => 0,
            Self::NoAnswer => 1,
            Self::Locked => 2,
            Self::Unexpected => 3,
            Self::NotApplied => 4,
            Self::NotRestored => 5,
            Self::Aborted => 6,
            Self::SessionLost => 7,
            Self::Protocol(_) => 8,
            Self::NoTrunk => 9,
        }
    }

    /// Returns a short text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Refused => "the switch refused",
            Self::NoAnswer => "the switch answered neither ok nor an error",
            Self::Locked => "another session holds the lock or has a commit that waits",
            Self::Unexpected => "the port was not as expected before the change",
            Self::NotApplied => "the switch's running configuration is not as wanted",
            Self::NotRestored => "the port could not be brought back",
            Self::Aborted => "aborted",
            Self::NoTrunk => "the trunk carries no tagged VLANs",
            Self::SessionLost => "the session was lost",
            Self::Protocol(error) => error.text(),
        }
    }
}

/// What may still happen to the port without another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pending {
    /// Nothing.
    #[default]
    None,
    /// The switch takes the change back when the session ends or the confirm
    /// timeout passes.
    Reverts,
    /// The change waits for its confirm timeout. Any session can confirm or cancel
    /// it by its persist-id.
    Persistent,
    /// The request was under way when the session ended: the commit may have been
    /// done or not, and if it was, it waits as a confirmed commit of its kind does.
    Unknown,
}

/// The end of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report<'a> {
    /// How it ended.
    pub outcome: Outcome,
    /// The step at which it failed; [`Step::Ready`] if it did not.
    pub step: Step,
    /// The port as it was read last.
    pub port: &'a Observed,
    /// The description of the port, cut to 48 bytes; of [`super::Client::read_port`].
    pub description: &'a str,
    /// The first error of the switch.
    pub error: Option<&'a RpcError>,
    /// What may still happen to the port.
    pub pending: Pending,
    /// The lock was released and the candidate is clean, as far as the switch said.
    pub tidy: bool,
    /// Number of rows that the visitor got.
    pub rows: u32,
}

/// Why a task can't begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Refusal {
    /// The session is not ready: hellos, another task, or over.
    Busy = 0,
    /// No dialect is configured, and the hello fits none or several.
    NoDialect = 1,
    /// The name of the interface is empty, has control characters or is longer
    /// than [`super::MAX_INTERFACE`].
    Interface = 2,
    /// The wanted port has no VLAN.
    NoVlan = 3,
    /// The dialect has no tagged VLANs, can't make VLANs, or has no such table.
    Unsupported = 4,
    /// The switch has neither a candidate nor a writable running configuration.
    NotWritable = 5,
    /// The switch has no persist-ids.
    NoPersistId = 6,
    /// The confirm timeout is 0.
    Timeout = 7,
}

impl Refusal {
    /// Returns a short text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Busy => "the session is not ready for a task",
            Self::NoDialect => "the switch's dialect is not configured and not clear",
            Self::Interface => "not a name of an interface",
            Self::NoVlan => "the port is to have no VLAN",
            Self::Unsupported => "the dialect does not have it",
            Self::NotWritable => "the switch has no configuration that can be edited",
            Self::NoPersistId => "the switch has no persist-ids",
            Self::Timeout => "the confirm timeout is 0",
        }
    }
}
