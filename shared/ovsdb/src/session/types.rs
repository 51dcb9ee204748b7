//! What a session is told, and what it says.

use crate::change::Outcome;
use crate::error::Error;
use crate::vlan::PortVlan;

/// Room that every request fits, in bytes.
pub const MAX_REQUEST: usize = 1024;

/// What a session is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Longest message in bytes. A schema has some 25 KiB; the first reply to
    /// a monitor has about 1 KiB a port.
    pub max_message: u32,
    /// Whether the counters of interfaces are monitored. Open vSwitch then
    /// sends those of every interface every 5 s.
    pub statistics: bool,
}

impl Default for Config {
    /// 1 MiB, no counters.
    fn default() -> Self {
        Self {
            max_message: 1 << 20,
            statistics: false,
        }
    }
}

/// What the session waits for. The owner puts a deadline around each but
/// [`State::Ready`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The names of the databases.
    Databases,
    /// The schema.
    Schema,
    /// The present rows.
    Monitor,
    /// Nothing: a change, a read or a probe can begin.
    Ready,
    /// The answer to a change.
    Commit,
    /// The switch has the change in its database and has to say that it
    /// applied it: an update with this number or a higher one.
    Apply {
        /// The number of the configuration.
        next_cfg: i64,
    },
    /// The port's row after a change.
    ReadBack,
    /// The port's row, as the owner asked.
    Read,
    /// The answer to a probe.
    Probe,
    /// Nothing any more.
    Failed(Error),
}

/// What became of what was received.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    /// Something is to be sent: the answer to a request of the switch, or the
    /// next request.
    Send,
    /// All rows were shown: the session is ready.
    Ready,
    /// Rows that changed were shown.
    Updated,
    /// The switch has the change in its database: [`State::Apply`].
    Committed,
    /// The change that was begun ended.
    Done(Outcome),
    /// The port that was asked for has this; `None`: there is no such port.
    Port(Option<PortVlan>),
    /// The switch refused to show the port.
    Unreadable,
    /// The switch answered the probe.
    Alive,
}

/// Why something can't begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NotNow {
    /// The session is not [`State::Ready`].
    Busy = 0,
    /// A side of the change is not [exact](PortVlan::is_exact).
    Inexact = 1,
    /// No change was made that could be undone.
    NothingToUndo = 2,
}

/// The buffer has less room than the request takes; see [`MAX_REQUEST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BufferTooSmall;
