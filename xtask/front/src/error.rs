//! One error type: a text for the person at the terminal.

use std::fmt;

/// What failed, on which thing, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

/// A result with that error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// An error of the operating system while `what` was done.
    #[must_use]
    pub fn io(what: &str, error: &std::io::Error) -> Self {
        Self(format!("{what}: {error}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}
