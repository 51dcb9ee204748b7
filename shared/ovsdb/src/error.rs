//! Why a session ends.

use core::fmt;

/// A fault of the peer, and where in its stream it is. The session is over:
/// the owner closes the connection and may open another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// How many bytes of the connection came before the one that showed it.
    pub offset: u64,
}

/// What is wrong with a peer. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ErrorKind {
    /// Not JSON, or nested too deep.
    Json(farrier_json::Error) = 0,
    /// JSON that is no message of JSON-RPC 1.0, or no reply to what was asked.
    Shape = 1,
    /// A message longer than [`Config::max_message`](crate::Config::max_message).
    TooLong = 2,
    /// A reply to nothing that was asked.
    Id = 3,
    /// A request of the peer whose id or parameters are too long to be sent
    /// back.
    EchoTooLong = 4,
    /// The server has no database `Open_vSwitch`.
    NoDatabase = 5,
    /// The schema lacks a column that the client needs.
    Schema = 6,
    /// The server refused to list its databases, to show the schema, or to
    /// be monitored.
    Refused = 7,
    /// A value of a column has not its type.
    Column = 8,
    /// The owner gave up on a reply, which could come now.
    GivenUp = 9,
}

impl ErrorKind {
    /// A short text for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Json(error) => error.text(),
            Self::Shape => "unexpected form of an OVSDB message",
            Self::TooLong => "OVSDB message too long",
            Self::Id => "OVSDB reply with an unknown id",
            Self::EchoTooLong => "OVSDB request too long to answer",
            Self::NoDatabase => "no database Open_vSwitch",
            Self::Schema => "the schema lacks a needed column",
            Self::Refused => "the OVSDB server refused the session",
            Self::Column => "a column has a value of another type",
            Self::GivenUp => "a reply is overdue",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind.text(), self.offset)
    }
}

impl core::error::Error for Error {}
