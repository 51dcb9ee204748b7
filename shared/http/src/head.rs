//! Request heads: the request line and the headers that control body and
//! connection. Other headers are available by name.

use crate::{Error, Range};

/// Largest number of header lines in a request. Firmware sends five, Python's
/// clients ten.
pub const MAX_HEADERS: usize = 32;

/// The supported methods (RFC 9110, section 9.3). Any other is [`Error::Method`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Returns a resource.
    Get,
    /// Returns the head of the response to `GET`.
    Head,
    /// Processes the body.
    Post,
    /// Replaces a resource.
    Put,
    /// Changes a resource.
    Patch,
    /// Deletes a resource.
    Delete,
    /// Returns the allowed methods.
    Options,
}

impl Method {
    /// Returns the method as in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }

    /// Methods are case-sensitive (RFC 9110, section 9.1).
    fn parse(token: &str) -> Option<Self> {
        [
            Self::Get,
            Self::Head,
            Self::Post,
            Self::Put,
            Self::Patch,
            Self::Delete,
            Self::Options,
        ]
        .into_iter()
        .find(|method| method.as_str() == token)
    }
}

/// The supported versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunked responses, closes after a response by default.
    Http10,
    /// HTTP/1.1: the connection persists by default.
    Http11,
}

/// The length of the request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// The body has this number of bytes; 0 without a header of a body.
    Known(u64),
    /// Chunks follow the head (RFC 9112, section 7.1).
    Chunked,
}

/// A complete and valid request head, borrowed from the caller's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Head<'b> {
    /// The method.
    pub method: Method,
    /// The target's path, percent-encoded. It starts with `/`, or is `*` for
    /// `OPTIONS`. The scheme and authority of an absolute target are removed.
    pub path: &'b str,
    /// The query behind the target's first `?`, percent-encoded; empty without one.
    pub query: &'b str,
    /// The version.
    pub version: Version,
    /// `Host`; `None` only in HTTP/1.0.
    pub host: Option<&'b str>,
    /// The length of the body.
    pub body: BodyLength,
    /// Whether the client wants a persistent connection.
    pub keep_alive: bool,
    /// Whether the client waits for [`crate::CONTINUE`] before it sends the
    /// body (RFC 9110, section 10.1.1).
    pub expect_continue: bool,
    /// The requested byte range; `None` without a range, with an unsupported
    /// `Range`, and with an `If-Range` (responses have no validators).
    pub range: Option<Range>,
    /// The header lines, each ended by CRLF.
    lines: &'b str,
}

impl<'b> Head<'b> {
    /// Parses a request head at the start of `bytes`.
    ///
    /// Returns the head and its length in bytes; the body or the next request
    /// follows. Returns `None` if the head is incomplete: read more and call again,
    /// or answer [`Head::overflow`] if the buffer is full.
    ///
    /// # Errors
    ///
    /// Any [`Error`] but those of chunks and of percent-encoding.
    pub fn parse(bytes: &'b [u8]) -> Result<Option<(Self, usize)>, Error> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Error::TooManyHeaders),
            Err(httparse::Error::Version) => return Err(Error::Version),
            Err(_) => return Err(Error::Syntax),
        };
        let head = bytes.get(..length).ok_or(Error::Syntax)?;
        if has_bare_line_feed(head) {
            return Err(Error::Syntax);
        }
        let (Some(method), Some(target), Some(minor)) =
            (request.method, request.path, request.version)
        else {
            return Err(Error::Syntax);
        };
        let method = Method::parse(method).ok_or(Error::Method)?;
        let version = match minor {
            0 => Version::Http10,
            _ => Version::Http11,
        };
        let (path, query) = split_target(method, target)?;
        // Header values may hold bytes beyond ASCII (RFC 9110, section 5.5),
        // but the headers of this parser do not.
        let lines = core::str::from_utf8(head).map_err(|_| Error::Syntax)?;
        let (_, lines) = lines
            .trim_start_matches("\r\n")
            .split_once("\r\n")
            .ok_or(Error::Syntax)?;

        let mut head = Self {
            method,
            path,
            query,
            version,
            host: None,
            body: BodyLength::Known(0),
            keep_alive: version == Version::Http11,
            expect_continue: false,
            range: None,
            lines,
        };
        head.interpret()?;
        Ok(Some((head, length)))
    }

    /// Returns the error if the buffer is full and [`Head::parse`] returns `None`:
    /// [`Error::TargetTooLong`] or [`Error::HeadTooLong`].
    pub fn overflow(bytes: &[u8]) -> Error {
        // The parser skips blank lines before the request line.
        let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
        match start.and_then(|start| bytes.get(start..)) {
            Some(line) if !line.contains(&b'\n') => Error::TargetTooLong,
            _ => Error::HeadTooLong,
        }
    }

    /// Returns the value of the first header of this name (in any case) without
    /// surrounding blanks.
    pub fn header(&self, name: &str) -> Option<&'b str> {
        self.headers(name).next()
    }

    /// Iterates over the values of all headers of this name in order.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &'b str> {
        self.all_headers()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn all_headers(&self) -> impl Iterator<Item = (&'b str, &'b str)> + use<'b> {
        self.lines
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.trim_matches([' ', '\t'])))
    }

    /// Parses the headers that control the end of the request and the connection.
    fn interpret(&mut self) -> Result<(), Error> {
        let mut length = None;
        let mut coding = None;
        let mut close = false;
        let mut keep = false;
        let mut ranges = 0u8;
        let mut if_range = false;

        for (name, value) in self.all_headers() {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            if is("Host") {
                if self.host.replace(value).is_some() {
                    return Err(Error::Host);
                }
            } else if is("Content-Length") {
                if length.replace(parse_length(value)?).is_some() {
                    return Err(Error::ContentLength);
                }
            } else if is("Transfer-Encoding") {
                if coding.replace(value).is_some() {
                    return Err(Error::Framing);
                }
            } else if is("Connection") {
                for token in value.split(',').map(str::trim) {
                    close |= token.eq_ignore_ascii_case("close");
                    keep |= token.eq_ignore_ascii_case("keep-alive");
                }
            } else if is("Expect") {
                if !value.eq_ignore_ascii_case("100-continue") {
                    return Err(Error::Expectation);
                }
                // HTTP/1.0 has no 1xx responses (RFC 9110, 10.1.1).
                self.expect_continue = self.version == Version::Http11;
            } else if is("Range") {
                ranges = ranges.saturating_add(1);
                self.range = Range::parse(value);
            } else if is("If-Range") {
                if_range = true;
            }
        }

        self.body = match (length, coding) {
            (Some(_), Some(_)) => return Err(Error::Framing),
            (None, Some(_)) if self.version == Version::Http10 => return Err(Error::Framing),
            (None, Some(coding)) if coding.eq_ignore_ascii_case("chunked") => BodyLength::Chunked,
            (None, Some(_)) => return Err(Error::TransferCoding),
            (length, None) => BodyLength::Known(length.unwrap_or(0)),
        };
        match (self.host, self.version) {
            (None, Version::Http11) => return Err(Error::Host),
            (Some(host), _) if !is_host(host) => return Err(Error::Host),
            _ => {}
        }
        if ranges > 1 || if_range || self.method != Method::Get {
            self.range = None;
        }
        if close {
            self.keep_alive = false;
        } else if keep {
            self.keep_alive = true;
        }
        Ok(())
    }
}

/// Rejects a line feed without a carriage return. Parsers disagree whether it ends
/// a line, which allows request smuggling.
fn has_bare_line_feed(head: &[u8]) -> bool {
    let mut previous = 0;
    head.iter().any(|&byte| {
        let bare = byte == b'\n' && previous != b'\r';
        previous = byte;
        bare
    })
}

/// Splits a target into path and query (RFC 9112, section 3.2).
fn split_target(method: Method, target: &str) -> Result<(&str, &str), Error> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) || target.contains('#') {
        return Err(Error::Target);
    }
    if target == "*" {
        return match method {
            Method::Options => Ok((target, "")),
            _ => Err(Error::Target),
        };
    }
    let target = if target.starts_with('/') {
        target
    } else {
        let scheme = target.get(..7).ok_or(Error::Target)?;
        let rest = target.get(7..).ok_or(Error::Target)?;
        if !scheme.eq_ignore_ascii_case("http://") {
            return Err(Error::Target);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let rest = rest.get(end..).unwrap_or("");
        match rest.strip_prefix('?') {
            Some(query) => return Ok(("/", query)),
            None if rest.is_empty() => "/",
            None => rest,
        }
    };
    Ok(target.split_once('?').unwrap_or((target, "")))
}

/// Parses a `Content-Length`, which has only digits.
fn parse_length(value: &str) -> Result<u64, Error> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::ContentLength);
    }
    value.parse().map_err(|_| Error::ContentTooLong)
}

/// Returns whether a `Host` has only the characters of a name, address and port.
fn is_host(host: &str) -> bool {
    host.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]!$&'()*+,;=%".contains(&byte))
}
