//! Microversions of the API: what a client asks for, what it gets, and the
//! three headers that every reply carries.

use core::fmt::{self, Write};
use heapless::String;

/// The header with the version that a request asks for, and that a reply is
/// in.
pub const HEADER: &str = "X-OpenStack-Ironic-API-Version";
/// The header with [`Version::MIN`].
pub const HEADER_MIN: &str = "X-OpenStack-Ironic-API-Minimum-Version";
/// The header with [`Version::MAX`].
pub const HEADER_MAX: &str = "X-OpenStack-Ironic-API-Maximum-Version";

/// A microversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Always 1 in what is accepted.
    pub major: u8,
    /// The number behind the dot.
    pub minor: u16,
}

impl Version {
    /// The oldest version that is spoken, and what a client gets that names
    /// none: the first one that calls new nodes `enroll`.
    pub const MIN: Self = Self {
        major: 1,
        minor: 11,
    };
    /// The newest version that is spoken: inventories.
    pub const MAX: Self = Self {
        major: 1,
        minor: 81,
    };

    /// The version to speak with a client that sent this header, or `None`
    /// where there is no such version here.
    pub fn negotiate(header: Option<&str>) -> Option<Self> {
        let Some(text) = header else {
            return Some(Self::MIN);
        };
        if text.eq_ignore_ascii_case("latest") {
            return Some(Self::MAX);
        }
        let (major, minor) = text.split_once('.')?;
        let version = Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        };
        (version.major == 1 && (Self::MIN..=Self::MAX).contains(&version)).then_some(version)
    }

    /// The text of a header's value.
    pub fn text(self) -> String<12> {
        let mut text = String::new();
        // `255.65535` fits.
        let _fits = write!(text, "{self}");
        text
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}
