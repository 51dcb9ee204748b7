//! A change of a port's VLANs, and what became of it.

use crate::message::{MAX_DETAILS, MAX_ERROR};
use crate::text::Text;
use crate::vlan::{PortName, PortVlan};

/// A compare-and-set: the switch changes the port only while it is as expected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The port, and the only one that is touched.
    pub port: PortName,
    /// What the port's row has before.
    pub expected: PortVlan,
    /// What it shall have.
    pub desired: PortVlan,
}

impl Change {
    /// The change that undoes this one.
    #[must_use]
    pub const fn reversed(&self) -> Self {
        Self {
            port: self.port,
            expected: self.desired,
            desired: self.expected,
        }
    }
}

/// Why the switch refused, in its words, which may be cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Refusal {
    /// The error, as `constraint violation`.
    pub error: Text<MAX_ERROR>,
    /// Its details.
    pub details: Text<MAX_DETAILS>,
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.error)?;
        if self.details.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.details)
    }
}

/// How far a change had come when its owner gave it up, or when the switch
/// refused to show the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stage {
    /// The switch was not asked: the port is as it was.
    Unsent = 0,
    /// The switch was asked and has not answered: it may have changed the port
    /// or may still do so.
    Unanswered = 1,
    /// The database has the change; the switch has not said that it applied it.
    Committed = 2,
    /// The switch said that it applied the change; it was not read back.
    Unread = 3,
    /// The switch did not commit; what the port has was not read.
    Uncommitted = 4,
}

/// What became of a change.
///
/// None of them says anything about frames: what the switch's data path does is
/// known by frames only.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// The switch committed it, said that it applied it, and the row has it.
    Applied,
    /// The port was not as expected; it was left alone. `found` is what it has,
    /// `None` where there is no such port.
    Conflict {
        /// What the port has.
        found: Option<PortVlan>,
    },
    /// The switch refused; the port was left alone.
    Refused(Refusal),
    /// The switch acknowledged it, and the row has something else.
    NotApplied {
        /// What the port has; `None` where there is no such port.
        found: Option<PortVlan>,
    },
    /// The switch refused to show the port after the change.
    Unproven(Stage),
}
