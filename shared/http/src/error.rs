//! Errors of requests: numbers for counters, and statuses for the client.

use crate::Status;
use core::fmt;

/// Why a request or its body is refused. The position of the next request in the
/// stream is unknown then: answer and close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Error {
    /// The request line or a header line has a byte that is not allowed, or
    /// a line ends without a carriage return.
    Syntax = 0,
    /// The target is invalid for the method (RFC 9112, section 3.2).
    Target = 1,
    /// A version other than 1.0 and 1.1.
    Version = 2,
    /// A method that is not in [`crate::Method`].
    Method = 3,
    /// More than [`crate::MAX_HEADERS`] header lines.
    TooManyHeaders = 4,
    /// The head fills the caller's buffer and is not complete.
    HeadTooLong = 5,
    /// The request line alone fills the caller's buffer.
    TargetTooLong = 6,
    /// No `Host`, or several (RFC 9112, section 3.2).
    Host = 7,
    /// A `Content-Length` that is not a number, or that is repeated.
    ContentLength = 8,
    /// A `Content-Length` above 64 bits.
    ContentTooLong = 9,
    /// Both `Content-Length` and `Transfer-Encoding`, or the latter repeated or in a
    /// request of HTTP/1.0: request smuggling.
    Framing = 10,
    /// A transfer coding other than `chunked`.
    TransferCoding = 11,
    /// An expectation other than `100-continue`.
    Expectation = 12,
    /// A chunk's size line or end is malformed.
    Chunk = 13,
    /// Chunk extensions or trailers are longer than
    /// [`crate::chunked::MAX_LINE`].
    ChunkLine = 14,
    /// A `%` without two hexadecimal digits, or decoded text that is not UTF-8 or
    /// has a NUL.
    Percent = 15,
    /// Decoded text is longer than the caller's buffer.
    PercentTooLong = 16,
}

impl Error {
    /// Returns the status of the response.
    pub const fn status(self) -> Status {
        match self {
            Self::Syntax
            | Self::Target
            | Self::Host
            | Self::ContentLength
            | Self::Framing
            | Self::Chunk
            | Self::Percent => Status::BAD_REQUEST,
            Self::ContentTooLong => Status::CONTENT_TOO_LARGE,
            Self::TargetTooLong | Self::PercentTooLong => Status::URI_TOO_LONG,
            Self::Expectation => Status::EXPECTATION_FAILED,
            Self::TooManyHeaders | Self::HeadTooLong | Self::ChunkLine => {
                Status::HEADER_FIELDS_TOO_LARGE
            }
            Self::Method | Self::TransferCoding => Status::NOT_IMPLEMENTED,
            Self::Version => Status::VERSION_NOT_SUPPORTED,
        }
    }

    /// Returns a short text for the client.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Syntax => "malformed request head",
            Self::Target => "malformed request target",
            Self::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
            Self::Method => "method not implemented",
            Self::TooManyHeaders => "too many header lines",
            Self::HeadTooLong => "request head too long",
            Self::TargetTooLong => "request target too long",
            Self::Host => "the request needs exactly one Host header",
            Self::ContentLength => "malformed or repeated Content-Length",
            Self::ContentTooLong => "Content-Length too large",
            Self::Framing => "ambiguous length of the body",
            Self::TransferCoding => "the server supports only the transfer coding chunked",
            Self::Expectation => "only the expectation 100-continue is known",
            Self::Chunk => "malformed chunk",
            Self::ChunkLine => "chunk extension or trailers too long",
            Self::Percent => "malformed percent-encoding",
            Self::PercentTooLong => "text too long",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}
