//! Response heads: a status and the headers of Farrier's responses.

use crate::{Selection, Version};
use core::fmt::{self, Write};

/// The whole interim response to a request with `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The head does not fit the buffer, or an extra header has a control character,
/// which could inject another header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferTooSmall;

/// A status code, 100 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u16);

impl Status {
    /// 200: the request succeeded.
    pub const OK: Self = Self(200);
    /// 201: the resource was created.
    pub const CREATED: Self = Self(201);
    /// 202: the request was accepted and is in progress.
    pub const ACCEPTED: Self = Self(202);
    /// 204: the request succeeded, without a body.
    pub const NO_CONTENT: Self = Self(204);
    /// 206: the body is the requested range.
    pub const PARTIAL_CONTENT: Self = Self(206);
    /// 400: the request is malformed.
    pub const BAD_REQUEST: Self = Self(400);
    /// 401: the request needs credentials.
    pub const UNAUTHORIZED: Self = Self(401);
    /// 403: the request is not allowed.
    pub const FORBIDDEN: Self = Self(403);
    /// 404: the resource does not exist.
    pub const NOT_FOUND: Self = Self(404);
    /// 405: the resource does not support the method.
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    /// 406: no acceptable representation or version.
    pub const NOT_ACCEPTABLE: Self = Self(406);
    /// 408: the request timed out.
    pub const REQUEST_TIMEOUT: Self = Self(408);
    /// 409: the state of the resource does not allow the request.
    pub const CONFLICT: Self = Self(409);
    /// 413: the body is too long.
    pub const CONTENT_TOO_LARGE: Self = Self(413);
    /// 414: the target is too long.
    pub const URI_TOO_LONG: Self = Self(414);
    /// 415: the format of the body is not supported.
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self(415);
    /// 416: the range is outside the resource.
    pub const RANGE_NOT_SATISFIABLE: Self = Self(416);
    /// 417: the expectation is not supported.
    pub const EXPECTATION_FAILED: Self = Self(417);
    /// 429: the client asks too often.
    pub const TOO_MANY_REQUESTS: Self = Self(429);
    /// 431: the head is too long.
    pub const HEADER_FIELDS_TOO_LARGE: Self = Self(431);
    /// 500: an internal error.
    pub const INTERNAL_SERVER_ERROR: Self = Self(500);
    /// 501: the method is not implemented.
    pub const NOT_IMPLEMENTED: Self = Self(501);
    /// 503: the server has no room now.
    pub const SERVICE_UNAVAILABLE: Self = Self(503);
    /// 505: the version is not supported.
    pub const VERSION_NOT_SUPPORTED: Self = Self(505);

    /// Returns the reason phrase (RFC 9110, section 15); `Status` for numbers without
    /// a constant.
    pub const fn reason(self) -> &'static str {
        match self.0 {
            200 => "OK",
            201 => "Created",
            202 => "Accepted",
            204 => "No Content",
            206 => "Partial Content",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            406 => "Not Acceptable",
            408 => "Request Timeout",
            409 => "Conflict",
            413 => "Content Too Large",
            414 => "URI Too Long",
            415 => "Unsupported Media Type",
            416 => "Range Not Satisfiable",
            417 => "Expectation Failed",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            503 => "Service Unavailable",
            505 => "HTTP Version Not Supported",
            _ => "Status",
        }
    }
}

/// The framing of the response's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The number of bytes that follow (for `HEAD`: that would follow).
    Length(u64),
    /// Chunks follow, see [`crate::chunked`]. Not for clients of HTTP/1.0.
    Chunked,
    /// Bytes follow until the connection is closed, for clients of HTTP/1.0 if the
    /// length is not known.
    UntilClose,
    /// No body and no length: status 204.
    Nothing,
}

impl Framing {
    /// Returns the framing of a body of unknown length: chunks if the client supports
    /// them.
    pub const fn streamed(version: Version) -> Self {
        match version {
            Version::Http11 => Self::Chunked,
            Version::Http10 => Self::UntilClose,
        }
    }
}

/// A response head.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    status: Status,
    framing: Framing,
    keep_alive: bool,
    content_type: &'a str,
    selection: Option<Selection>,
    extra: &'a [(&'a str, &'a str)],
}

impl<'a> ResponseHead<'a> {
    /// Creates a head without a body that closes the connection.
    pub const fn new(status: Status) -> Self {
        Self {
            status,
            framing: Framing::Length(0),
            keep_alive: false,
            content_type: "",
            selection: None,
            extra: &[],
        }
    }

    /// Sets the framing of the body. [`Framing::UntilClose`] overrides
    /// [`ResponseHead::keep_alive`].
    #[must_use]
    pub const fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Sets whether the connection persists after the response.
    #[must_use]
    pub const fn keep_alive(mut self, keep_alive: bool) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// Sets the body's media type; none if empty.
    #[must_use]
    pub const fn content_type(mut self, content_type: &'a str) -> Self {
        self.content_type = content_type;
        self
    }

    /// Adds `Accept-Ranges` and, for a range, `Content-Range`.
    #[must_use]
    pub const fn selection(mut self, selection: Selection) -> Self {
        self.selection = Some(selection);
        self
    }

    /// Adds further headers, name and value.
    #[must_use]
    pub const fn extra(mut self, extra: &'a [(&'a str, &'a str)]) -> Self {
        self.extra = extra;
        self
    }

    /// Writes the head with the blank line. Returns its length.
    ///
    /// # Errors
    ///
    /// [`BufferTooSmall`]; 256 bytes are enough for a head without extra headers.
    pub fn emit(&self, buffer: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let mut out = Sink { buffer, used: 0 };
        self.write(&mut out).map_err(|_| BufferTooSmall)?;
        Ok(out.used)
    }

    fn write(&self, out: &mut Sink<'_>) -> fmt::Result {
        write!(
            out,
            "HTTP/1.1 {} {}\r\n",
            self.status.0,
            self.status.reason()
        )?;
        match self.framing {
            Framing::Length(length) => write!(out, "Content-Length: {length}\r\n")?,
            Framing::Chunked => out.write_str("Transfer-Encoding: chunked\r\n")?,
            Framing::UntilClose | Framing::Nothing => {}
        }
        if !self.content_type.is_empty() {
            write_header(out, "Content-Type", self.content_type)?;
        }
        if let Some(selection) = self.selection {
            out.write_str("Accept-Ranges: bytes\r\n")?;
            if !matches!(selection, Selection::Whole { .. }) {
                write!(out, "Content-Range: {selection}\r\n")?;
            }
        }
        for (name, value) in self.extra {
            write_header(out, name, value)?;
        }
        // Always sent: a client of HTTP/1.0 closes without it.
        out.write_str(if self.keep_alive && self.framing != Framing::UntilClose {
            "Connection: keep-alive\r\n\r\n"
        } else {
            "Connection: close\r\n\r\n"
        })
    }
}

fn write_header(out: &mut Sink<'_>, name: &str, value: &str) -> fmt::Result {
    if name.bytes().chain(value.bytes()).any(|byte| byte < b' ') {
        return Err(fmt::Error);
    }
    write!(out, "{name}: {value}\r\n")
}

struct Sink<'b> {
    buffer: &'b mut [u8],
    used: usize,
}

impl Write for Sink<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.used.checked_add(text.len()).ok_or(fmt::Error)?;
        let room = self.buffer.get_mut(self.used..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.used = end;
        Ok(())
    }
}
