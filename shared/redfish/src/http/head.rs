//! The head of an answer, byte by byte: no buffer of its size is needed. Headers
//! that nobody reads are skipped.

use super::{HttpError, MAX_HEAD};
use crate::text::Text;
use crate::tokens::MAX_TEXT;

/// The headers that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    AuthToken,
    Connection,
    ContentEncoding,
    ContentLength,
    ETag,
    Location,
    RetryAfter,
    TransferEncoding,
    Other,
}

impl Field {
    const NAMED: [(&'static str, Self); 8] = [
        ("x-auth-token", Self::AuthToken),
        ("connection", Self::Connection),
        ("content-encoding", Self::ContentEncoding),
        ("content-length", Self::ContentLength),
        ("etag", Self::ETag),
        ("location", Self::Location),
        ("retry-after", Self::RetryAfter),
        ("transfer-encoding", Self::TransferEncoding),
    ];
}

/// Longest name of a header that is read.
const MAX_NAME: usize = 17;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// This byte of `HTTP/1.` comes next.
    Version(u8),
    Minor,
    /// A blank ahead of the status.
    Blank,
    /// So many digits of the status have come.
    Status(u8),
    Reason,
    ReasonLineFeed,
    LineStart,
    Name,
    /// Blanks ahead of the value.
    ValueStart,
    Value,
    ValueLineFeed,
    EndLineFeed,
    End,
}

/// What a head says about the body and the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Headers {
    pub(crate) status: u16,
    pub(crate) length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) close: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct HeadReader {
    state: State,
    bytes: u16,
    name: [u8; MAX_NAME],
    name_len: u8,
    field: Field,
    headers: Headers,
}

impl HeadReader {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Version(0),
            bytes: 0,
            name: [0; MAX_NAME],
            name_len: 0,
            field: Field::Other,
            headers: Headers {
                status: 0,
                length: None,
                chunked: false,
                close: false,
            },
        }
    }

    pub(crate) const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Reads up to the end of the head; returns whether it was reached. Values
    /// that are read go to `field`.
    pub(crate) fn take(
        &mut self,
        input: &mut &[u8],
        text: &mut Text<MAX_TEXT>,
        field: &mut dyn FnMut(u16, Field, &Text<MAX_TEXT>),
    ) -> Result<bool, HttpError> {
        while self.state != State::End {
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(false);
            };
            *input = rest;
            self.bytes += 1;
            if self.bytes >= MAX_HEAD {
                return Err(HttpError::HeadTooLong);
            }
            self.state = self.step(byte, text)?;
            if self.state == State::ValueLineFeed && byte == b'\r' {
                self.note(text)?;
                field(self.headers.status, self.field, text);
            }
        }
        Ok(true)
    }

    fn step(&mut self, byte: u8, text: &mut Text<MAX_TEXT>) -> Result<State, HttpError> {
        const VERSION: &[u8; 7] = b"HTTP/1.";
        Ok(match (self.state, byte) {
            (State::Version(at), _) => match VERSION.get(usize::from(at)..) {
                Some([wanted, rest @ ..]) if *wanted == byte => match rest {
                    [] => State::Minor,
                    _ => State::Version(at + 1),
                },
                _ if at >= 5 => return Err(HttpError::Version),
                _ => return Err(HttpError::Syntax),
            },
            (State::Minor, b'0' | b'1') => {
                // Without a header, only HTTP/1.1 keeps a connection open.
                self.headers.close = byte == b'0';
                State::Blank
            }
            (State::Minor, _) => return Err(HttpError::Version),
            (State::Blank, b' ') => State::Status(0),
            (State::Status(at @ 0..=2), b'0'..=b'9') => {
                self.headers.status = self.headers.status * 10 + u16::from(byte - b'0');
                State::Status(at + 1)
            }
            (State::Status(3), b' ') if self.headers.status >= 100 => State::Reason,
            (State::Status(3), b'\r') if self.headers.status >= 100 => State::ReasonLineFeed,
            (State::Reason, b'\r') => State::ReasonLineFeed,
            (State::Reason, b' '..=b'~' | b'\t' | 0x80..) => State::Reason,
            (State::ReasonLineFeed | State::ValueLineFeed, b'\n') => State::LineStart,
            (State::LineStart, b'\r') => State::EndLineFeed,
            (State::LineStart, _) => {
                self.name_len = 0;
                self.name_byte(byte)?;
                State::Name
            }
            (State::Name, b':') => {
                self.field = self.field_of();
                text.clear();
                State::ValueStart
            }
            (State::Name, _) => {
                self.name_byte(byte)?;
                State::Name
            }
            (State::ValueStart, b' ' | b'\t') => State::ValueStart,
            (State::ValueStart | State::Value, b'\r') => State::ValueLineFeed,
            (State::ValueStart | State::Value, b' '..=b'~' | b'\t') => {
                text.push_char(char::from(byte));
                State::Value
            }
            // Text beyond ASCII is opaque; what is read of headers has none.
            (State::ValueStart | State::Value, 0x80..) => {
                text.push("?");
                State::Value
            }
            (State::EndLineFeed, b'\n') => State::End,
            _ => return Err(HttpError::Syntax),
        })
    }

    /// Keeps a byte of a header's name (RFC 9110, section 5.6.2).
    fn name_byte(&mut self, byte: u8) -> Result<(), HttpError> {
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if !token {
            return Err(HttpError::Syntax);
        }
        if let Some(place) = self.name.get_mut(usize::from(self.name_len)) {
            *place = byte.to_ascii_lowercase();
        }
        self.name_len = self.name_len.saturating_add(1);
        Ok(())
    }

    fn field_of(&self) -> Field {
        let name = self.name.get(..usize::from(self.name_len)).unwrap_or(&[]);
        let mut named = Field::NAMED.iter();
        let found = named.find(|(text, _)| text.as_bytes() == name);
        found.map_or(Field::Other, |(_, field)| *field)
    }

    /// Takes what the value says about the body and the connection.
    fn note(&mut self, text: &Text<MAX_TEXT>) -> Result<(), HttpError> {
        let value = text.as_str().trim_end_matches([' ', '\t']);
        let headers = &mut self.headers;
        match self.field {
            Field::ContentLength => {
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                let length = value.parse().ok().filter(|_| digits);
                let length: u64 = length.ok_or(HttpError::Length)?;
                if headers.length.is_some_and(|known| known != length) {
                    return Err(HttpError::Length);
                }
                headers.length = Some(length);
            }
            Field::TransferEncoding if value.eq_ignore_ascii_case("chunked") => {
                headers.chunked = true;
            }
            Field::TransferEncoding if value.eq_ignore_ascii_case("identity") => {}
            Field::TransferEncoding => return Err(HttpError::TransferCoding),
            Field::ContentEncoding if !value.eq_ignore_ascii_case("identity") => {
                return Err(HttpError::ContentEncoding);
            }
            Field::Connection => {
                let says = |word: &str| {
                    let mut words = value.split(',');
                    words.any(|option| option.trim().eq_ignore_ascii_case(word))
                };
                headers.close = says("close") || headers.close && !says("keep-alive");
            }
            Field::ContentEncoding
            | Field::AuthToken
            | Field::ETag
            | Field::Location
            | Field::RetryAfter
            | Field::Other => {}
        }
        if headers.chunked && headers.length.is_some() {
            return Err(HttpError::TransferCoding);
        }
        Ok(())
    }
}
