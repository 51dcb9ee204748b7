//! Messages as tokens: each key, string and number in one piece of bounded
//! length, whatever the slices that it came in.

use farrier_json::{Event, Reader};

use crate::error::{Error, ErrorKind};
use crate::text::Text;

/// Longest text of a key, a string or a number that is looked at. Longer ones
/// pass, cut off.
pub(crate) const MAX_TOKEN: usize = 96;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    /// Text is in [`Lexer::text`], of these three and of numbers.
    Key,
    Str,
    Int(i64),
    /// A number that is no `i64`.
    Number,
    Bool(bool),
    Null,
}

#[derive(Debug, Clone)]
pub(crate) struct Lexer {
    reader: Reader,
    text: Text<MAX_TOKEN>,
    /// Bytes of the connection that were taken.
    offset: u64,
    /// Bytes of them that belong to this message.
    length: u32,
    max_message: u32,
}

impl Lexer {
    pub(crate) const fn new(max_message: u32) -> Self {
        Self {
            reader: Reader::new(),
            text: Text::EMPTY,
            offset: 0,
            length: 0,
            max_message,
        }
    }

    pub(crate) const fn text(&self) -> &Text<MAX_TOKEN> {
        &self.text
    }

    /// Gives this fault the place that was reached.
    pub(crate) const fn fault(&self, kind: ErrorKind) -> Error {
        let offset = self.offset.saturating_sub(1);
        Error { kind, offset }
    }

    /// Gets ready for the next message.
    pub(crate) const fn restart(&mut self) {
        self.reader = Reader::new();
        self.length = 0;
    }

    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Token>, Error> {
        loop {
            let (start, torn) = (self.offset, u64::from(self.reader.torn()));
            let before = input.len();
            let event = self.reader.next(input);
            let taken = before - input.len();
            self.offset += taken as u64;
            self.length = self.length.saturating_add(taken as u32);
            let event = event.map_err(|error| Error {
                kind: ErrorKind::Json(error),
                offset: match error {
                    // The character's first byte, whichever slice that was in.
                    farrier_json::Error::Utf8 => start - torn,
                    _ => self.offset - u64::from(taken > 0),
                },
            })?;
            if self.length > self.max_message {
                return Err(self.fault(ErrorKind::TooLong));
            }
            let token = match event {
                None => return Ok(None),
                Some(Event::KeyStart | Event::StringStart | Event::NumberStart) => {
                    self.text.clear();
                    continue;
                }
                Some(Event::Text(text)) => {
                    self.text.push(text);
                    continue;
                }
                Some(Event::Char(character)) => {
                    self.text.push_char(character);
                    continue;
                }
                Some(Event::ObjectStart) => Token::ObjectStart,
                Some(Event::ObjectEnd) => Token::ObjectEnd,
                Some(Event::ArrayStart) => Token::ArrayStart,
                Some(Event::ArrayEnd) => Token::ArrayEnd,
                Some(Event::KeyEnd) => Token::Key,
                Some(Event::StringEnd) => Token::Str,
                Some(Event::NumberEnd) => {
                    let number = self.text.whole().and_then(|text| text.parse().ok());
                    number.map_or(Token::Number, Token::Int)
                }
                Some(Event::Bool(value)) => Token::Bool(value),
                Some(Event::Null) => Token::Null,
            };
            return Ok(Some(token));
        }
    }
}
