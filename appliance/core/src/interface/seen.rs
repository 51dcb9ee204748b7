//! What an operator has seen of a device that the agent can't erase, and waives.

use core::fmt::{self, Display, Formatter};

use farrier_protocol::message::SkipReason;

/// A device as an inspection describes it, beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<'a> {
    /// A block device that the agent skips.
    Skipped {
        /// Why.
        reason: SkipReason,
        /// Its size in bytes.
        size: u64,
    },
    /// A controller or a device on a bus without a driver.
    Controller {
        /// Its kind, at most 24 printable ASCII characters.
        kind: &'a str,
    },
}

impl<'a> Seen<'a> {
    /// Reads what [`Display`] writes.
    pub(crate) fn parse(kept: &'a str) -> Option<Self> {
        if let Some(kind) = kept.strip_prefix('=') {
            return Some(Self::Controller { kind });
        }
        let (reason, size) = kept.split_once(' ')?;
        Some(Self::Skipped {
            reason: *SkipReason::ALL.get(reason.parse::<usize>().ok()?)?,
            size: size.parse().ok()?,
        })
    }
}

/// Short, since it lies in the string pool: `1 1073741824` or
/// `=1000:0012 class 010000`.
impl Display for Seen<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped { reason, size } => write!(f, "{} {size}", *reason as u8),
            Self::Controller { kind } => write!(f, "={kind}"),
        }
    }
}
