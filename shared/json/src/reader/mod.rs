//! The tokenizer: bytes in, in slices of any length; events out.

mod text;

use crate::number::Number;

/// How deep arrays and objects may be nested. What the API takes is at most
/// five deep; user data of a config drive is text within.
pub const MAX_DEPTH: u8 = 16;

/// What stands next in a document.
///
/// Text of keys, strings and numbers comes in pieces, between its start and
/// its end: as many [`Event::Text`] and [`Event::Char`] as the slices and
/// the escapes ask for, possibly none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'b> {
    /// `{`
    ObjectStart,
    /// `}`
    ObjectEnd,
    /// `[`
    ArrayStart,
    /// `]`
    ArrayEnd,
    /// The quote ahead of a key.
    KeyStart,
    /// The quote behind a key.
    KeyEnd,
    /// The quote ahead of a string.
    StringStart,
    /// The quote behind a string.
    StringEnd,
    /// A number begins. None of its bytes are used up yet.
    NumberStart,
    /// The number is complete.
    NumberEnd,
    /// A piece of a key, a string or a number; never empty.
    Text(&'b str),
    /// One character of a key or a string: it was escaped, or its bytes
    /// came in two slices.
    Char(char),
    /// `true` or `false`.
    Bool(bool),
    /// `null`
    Null,
}

/// Why a document is refused. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Error {
    /// A byte that must not stand here.
    Syntax = 0,
    /// Nested deeper than [`MAX_DEPTH`].
    Depth = 1,
    /// A string that is not UTF-8.
    Utf8 = 2,
    /// An unknown escape, or half of a surrogate pair.
    Escape = 3,
    /// The document ended in its middle.
    Incomplete = 4,
}

impl Error {
    /// A short text for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Syntax => "malformed JSON",
            Self::Depth => "JSON nested too deep",
            Self::Utf8 => "JSON text is not UTF-8",
            Self::Escape => "malformed escape in JSON text",
            Self::Incomplete => "JSON ends in its middle",
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}

/// Takes one document apart.
///
/// ```
/// use farrier_json::{Event, Reader};
///
/// let mut reader = Reader::new();
/// let mut input: &[u8] = b"[true";
/// assert_eq!(reader.next(&mut input), Ok(Some(Event::ArrayStart)));
/// assert_eq!(reader.next(&mut input), Ok(Some(Event::Bool(true))));
/// assert_eq!(reader.next(&mut input), Ok(None)); // used up; here is more
/// assert_eq!(reader.next(&mut &b"]"[..]), Ok(Some(Event::ArrayEnd)));
/// assert_eq!(reader.finish(), Ok(None));
/// ```
#[derive(Debug, Clone)]
pub struct Reader {
    state: State,
    /// One bit for each level that is open: set for an object.
    objects: u16,
    depth: u8,
    /// Whether the text at hand is a key.
    key: bool,
    /// The first half of a surrogate pair, 0 for none.
    high: u16,
    /// Bytes of a character that was torn, and how many.
    torn: [u8; 4],
    torn_len: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    /// Behind `[`.
    ValueOrEnd,
    /// Behind `,` in an object.
    Key,
    /// Behind `{`.
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    /// Behind the document.
    Done,
    Text,
    /// Behind a backslash.
    Escape,
    /// Behind `\u`: so many digits have come, this is their value.
    Unicode(u8, u16),
    /// Behind the first half of a surrogate pair: a backslash must come.
    LowBackslash,
    /// And then a `u`.
    LowU,
    /// Within `true`, `false`, `null`: the rest that must come.
    Literal(&'static [u8], Event<'static>),
    Number(Number),
    Failed(Error),
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// A reader that stands before a document.
    pub const fn new() -> Self {
        Self {
            state: State::Value,
            objects: 0,
            depth: 0,
            key: false,
            high: 0,
            torn: [0; 4],
            torn_len: 0,
        }
    }

    /// How many arrays and objects are open.
    pub const fn depth(&self) -> u8 {
        self.depth
    }

    /// How many bytes of a character were taken whose rest has not come.
    pub const fn torn(&self) -> u8 {
        self.torn_len
    }

    /// Gives the next event and advances `input` past the bytes that it took
    /// (and past blanks ahead of them, never behind them). `None` means that
    /// `input` is used up.
    ///
    /// # Errors
    ///
    /// What is wrong with the document. From then on the same, always.
    pub fn next<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Event<'b>>, Error> {
        let found = self.advance(input);
        if let Err(error) = found {
            self.state = State::Failed(error);
        }
        found
    }

    /// Tells that the document's last byte was seen. Gives the end of a
    /// number that was the whole document.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`], or what [`Reader::next`] said before.
    pub fn finish(&mut self) -> Result<Option<Event<'static>>, Error> {
        match self.state {
            State::Done => Ok(None),
            State::Number(number) if number.may_end() && self.depth == 0 => {
                self.state = State::Done;
                Ok(Some(Event::NumberEnd))
            }
            State::Failed(error) => Err(error),
            _ => Err(Error::Incomplete),
        }
    }

    fn advance<'b>(&mut self, input: &mut &'b [u8]) -> Result<Option<Event<'b>>, Error> {
        loop {
            match self.state {
                State::Text => return self.text(input),
                State::Number(number) => return self.number(number, input),
                State::Failed(error) => return Err(error),
                _ => {}
            }
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(None);
            };
            if self.is_between() && matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                *input = rest;
                continue;
            }
            if matches!(self.state, State::Value | State::ValueOrEnd)
                && matches!(byte, b'-' | b'0'..=b'9')
            {
                self.state = State::Number(Number::Start);
                return Ok(Some(Event::NumberStart));
            }
            *input = rest;
            if let Some(event) = self.step(byte)? {
                return Ok(Some(event));
            }
        }
    }

    /// Whether the reader stands between tokens, where blanks may be.
    fn is_between(&self) -> bool {
        matches!(
            self.state,
            State::Value
                | State::ValueOrEnd
                | State::Key
                | State::KeyOrEnd
                | State::Colon
                | State::CommaOrEnd
                | State::Done
        )
    }

    /// Takes one byte that is neither in plain text nor in a number.
    fn step(&mut self, byte: u8) -> Result<Option<Event<'static>>, Error> {
        Ok(match (self.state, byte) {
            (State::ValueOrEnd, b']') => Some(self.close(false)?),
            (State::KeyOrEnd, b'}') => Some(self.close(true)?),
            (State::CommaOrEnd, b']') => Some(self.close(false)?),
            (State::CommaOrEnd, b'}') => Some(self.close(true)?),
            (State::CommaOrEnd, b',') => {
                self.state = match self.in_object() {
                    true => State::Key,
                    false => State::Value,
                };
                None
            }
            (State::Key | State::KeyOrEnd, b'"') => {
                self.key = true;
                self.state = State::Text;
                Some(Event::KeyStart)
            }
            (State::Colon, b':') => {
                self.state = State::Value;
                None
            }
            (State::Value | State::ValueOrEnd, b'"') => {
                self.key = false;
                self.state = State::Text;
                Some(Event::StringStart)
            }
            (State::Value | State::ValueOrEnd, b'{') => Some(self.open(true)?),
            (State::Value | State::ValueOrEnd, b'[') => Some(self.open(false)?),
            (State::Value | State::ValueOrEnd, b't') => {
                self.state = State::Literal(b"rue", Event::Bool(true));
                None
            }
            (State::Value | State::ValueOrEnd, b'f') => {
                self.state = State::Literal(b"alse", Event::Bool(false));
                None
            }
            (State::Value | State::ValueOrEnd, b'n') => {
                self.state = State::Literal(b"ull", Event::Null);
                None
            }
            (State::Literal(rest, event), byte) => match rest.split_first() {
                Some((&wanted, [])) if wanted == byte => {
                    self.end_value();
                    Some(event)
                }
                Some((&wanted, rest)) if wanted == byte => {
                    self.state = State::Literal(rest, event);
                    None
                }
                _ => return Err(Error::Syntax),
            },
            (State::Escape, b'u') => {
                self.state = State::Unicode(0, 0);
                None
            }
            (State::Escape, byte) => {
                self.state = State::Text;
                Some(Event::Char(unescape(byte).ok_or(Error::Escape)?))
            }
            (State::Unicode(digits, value), byte) => self.unicode(digits, value, byte)?,
            (State::LowBackslash, b'\\') => {
                self.state = State::LowU;
                None
            }
            (State::LowU, b'u') => {
                self.state = State::Unicode(0, 0);
                None
            }
            (State::LowBackslash | State::LowU, _) => return Err(Error::Escape),
            _ => return Err(Error::Syntax),
        })
    }

    /// One digit of `\uXXXX`; pairs of surrogates become one character.
    fn unicode(
        &mut self,
        digits: u8,
        value: u16,
        byte: u8,
    ) -> Result<Option<Event<'static>>, Error> {
        let digit = char::from(byte).to_digit(16).ok_or(Error::Escape)?;
        let value = value << 4 | (digit as u16);
        if digits < 3 {
            self.state = State::Unicode(digits + 1, value);
            return Ok(None);
        }
        let pair = match self.high {
            0 if (0xd800..0xdc00).contains(&value) => {
                self.high = value;
                self.state = State::LowBackslash;
                return Ok(None);
            }
            0 => [value, 0],
            high => [high, value],
        };
        let units = if self.high == 0 { 1 } else { 2 };
        self.high = 0;
        self.state = State::Text;
        let decoded = char::decode_utf16(pair.into_iter().take(units)).next();
        match decoded {
            Some(Ok(character)) => Ok(Some(Event::Char(character))),
            _ => Err(Error::Escape),
        }
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    fn open(&mut self, object: bool) -> Result<Event<'static>, Error> {
        if self.depth == MAX_DEPTH {
            return Err(Error::Depth);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u16::from(object);
        Ok(if object {
            self.state = State::KeyOrEnd;
            Event::ObjectStart
        } else {
            self.state = State::ValueOrEnd;
            Event::ArrayStart
        })
    }

    fn close(&mut self, object: bool) -> Result<Event<'static>, Error> {
        if self.depth == 0 || self.in_object() != object {
            return Err(Error::Syntax);
        }
        self.depth -= 1;
        self.objects >>= 1;
        self.end_value();
        Ok(if object {
            Event::ObjectEnd
        } else {
            Event::ArrayEnd
        })
    }

    fn end_value(&mut self) {
        self.state = if self.depth == 0 {
            State::Done
        } else {
            State::CommaOrEnd
        };
    }

    /// A piece of a number, or its end.
    fn number<'b>(
        &mut self,
        mut number: Number,
        input: &mut &'b [u8],
    ) -> Result<Option<Event<'b>>, Error> {
        let mut length = 0;
        for &byte in input.iter() {
            let Some(next) = number.step(byte) else { break };
            number = next;
            length += 1;
        }
        self.state = State::Number(number);
        let (text, rest) = input.split_at_checked(length).unwrap_or((input, &[]));
        if !text.is_empty() {
            *input = rest;
            let text = core::str::from_utf8(text).map_err(|_| Error::Syntax)?;
            return Ok(Some(Event::Text(text)));
        }
        if rest.is_empty() {
            return Ok(None);
        }
        if !number.may_end() {
            return Err(Error::Syntax);
        }
        self.end_value();
        Ok(Some(Event::NumberEnd))
    }
}

/// What a character behind a backslash stands for.
fn unescape(byte: u8) -> Option<char> {
    Some(match byte {
        b'"' | b'\\' | b'/' => char::from(byte),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    })
}
