//! HTTP/1.1 (RFC 9110, RFC 9112), the client's side of one request: the head of
//! the answer, then its body as tokens. What they mean is not known here.

mod exchange;
mod head;

pub(crate) use exchange::{Answer, Exchange, Phase};
pub(crate) use head::Field;

use head::HeadReader;

use core::fmt;

/// What is wrong with an answer as HTTP. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum HttpError {
    /// A status line or a header line has a byte that is not allowed there.
    Syntax = 0,
    /// The head is longer than [`MAX_HEAD`] bytes.
    HeadTooLong = 1,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version = 2,
    /// A `Content-Length` that is no number, or that is repeated with another one.
    Length = 3,
    /// A transfer coding other than `chunked`, or one beside a length.
    TransferCoding = 4,
    /// The body is compressed, though the request refuses that.
    ContentEncoding = 5,
    /// A chunk's size line or end is malformed.
    Chunk = 6,
    /// More than [`MAX_INTERIM`] interim responses (status 1xx).
    Interim = 7,
    /// The body is longer than [`Settings::max_body`](crate::Settings::max_body).
    BodyTooLong = 8,
}

/// Longest head of an answer, in bytes.
pub const MAX_HEAD: u16 = 16_384;

/// Largest number of interim responses before an answer.
pub const MAX_INTERIM: u8 = 4;

impl HttpError {
    /// Returns a short text for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Syntax => "malformed HTTP response",
            Self::HeadTooLong => "head of the HTTP response too long",
            Self::Version => "unknown version of HTTP",
            Self::Length => "malformed Content-Length",
            Self::TransferCoding => "unknown or ambiguous transfer coding",
            Self::ContentEncoding => "compressed response",
            Self::Chunk => "malformed chunk",
            Self::Interim => "too many interim responses",
            Self::BodyTooLong => "body of the HTTP response too long",
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
