//! Byte ranges (RFC 9110, section 14): the requested range and the selected part of
//! a resource of a known length.

use crate::Status;
use core::fmt;

/// A requested byte range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// `a-b`: from the first to the last offset, inclusive; first ≤ last.
    FromTo(u64, u64),
    /// `a-`: from this offset to the end.
    From(u64),
    /// `-n`: the last `n` bytes.
    Last(u64),
}

impl Range {
    /// Parses the value of a `Range` header. Returns `None` for another unit, several
    /// ranges or a malformed value; the header is ignored then.
    pub fn parse(value: &str) -> Option<Self> {
        let (unit, set) = value.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = set.trim().split_once('-')?;
        match (first, last) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::FromTo(first, last))
            }
        }
    }
}

/// Parses digits. A number above 64 bits becomes the largest.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// The selected part of a resource of a known length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// The whole resource: status 200.
    Whole {
        /// Length of the resource in bytes.
        total: u64,
    },
    /// A part of at least one byte: status 206.
    Part {
        /// Offset of the part's first byte.
        first: u64,
        /// Offset of the part's last byte; first ≤ last < total.
        last: u64,
        /// Length of the resource in bytes.
        total: u64,
    },
    /// The range is outside the resource: status 416.
    Unsatisfiable {
        /// Length of the resource in bytes.
        total: u64,
    },
}

impl Selection {
    /// Applies a range to a resource of `total` bytes.
    pub fn of(range: Option<Range>, total: u64) -> Self {
        let Some(range) = range else {
            return Self::Whole { total };
        };
        let Some(end) = total.checked_sub(1) else {
            return Self::Unsatisfiable { total };
        };
        let (first, last) = match range {
            Range::FromTo(first, last) => (first, last.min(end)),
            Range::From(first) => (first, end),
            Range::Last(0) => return Self::Unsatisfiable { total },
            Range::Last(count) => (total.saturating_sub(count), end),
        };
        if first > last {
            return Self::Unsatisfiable { total };
        }
        Self::Part { first, last, total }
    }

    /// Returns 200, 206 or 416.
    pub const fn status(self) -> Status {
        match self {
            Self::Whole { .. } => Status::OK,
            Self::Part { .. } => Status::PARTIAL_CONTENT,
            Self::Unsatisfiable { .. } => Status::RANGE_NOT_SATISFIABLE,
        }
    }

    /// Returns the offset of the first byte to send.
    pub const fn offset(self) -> u64 {
        match self {
            Self::Part { first, .. } => first,
            Self::Whole { .. } | Self::Unsatisfiable { .. } => 0,
        }
    }

    /// Returns the number of bytes to send.
    pub const fn length(self) -> u64 {
        match self {
            Self::Whole { total } => total,
            Self::Part { first, last, .. } => last.saturating_sub(first).saturating_add(1),
            Self::Unsatisfiable { .. } => 0,
        }
    }
}

/// Writes the value of `Content-Range`, empty for [`Selection::Whole`].
impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole { .. } => Ok(()),
            Self::Part { first, last, total } => write!(f, "bytes {first}-{last}/{total}"),
            Self::Unsatisfiable { total } => write!(f, "bytes */{total}"),
        }
    }
}
