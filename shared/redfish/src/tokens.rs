//! Resources as tokens: each value in one piece of bounded length, with the
//! path of members that leads to it. Nothing of a resource is kept but that.

use farrier_json::{Error, Event, Reader};

use crate::names::Name;
use crate::text::{SEED, Text, extend};

/// Longest text of a header, a string or a number that is looked at, in bytes.
/// Longer ones pass, cut off.
pub(crate) const MAX_TEXT: usize = 128;

/// Longest key that is looked at, in bytes; the longest known of an attribute is
/// shorter.
pub(crate) const MAX_KEY: usize = 64;

/// What stands at the end of a path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'t> {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    /// A string, and the hash of all of it.
    Str(&'t Text<MAX_TEXT>, u64),
    /// A number as it is written, or nothing where it is too long.
    Number(&'t str),
    Bool(bool),
    Null,
}

/// A value and where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token<'t> {
    /// The members from the root to the value.
    pub(crate) path: &'t [Name],
    /// The text of the last key.
    pub(crate) key: &'t Text<MAX_KEY>,
    pub(crate) value: Value<'t>,
}

/// Takes what is in an answer as it arrives.
pub(crate) trait Sink {
    fn token(&mut self, token: Token<'_>);
}

#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    reader: Reader,
    path: [Name; farrier_json::MAX_DEPTH as usize],
    key: Text<MAX_KEY>,
    in_key: bool,
    hash: u64,
    /// Whether a byte that is not blank has come.
    begun: bool,
    broken: Option<Error>,
}

impl Tokens {
    pub(crate) const fn new() -> Self {
        Self {
            reader: Reader::new(),
            path: [Name::Other; farrier_json::MAX_DEPTH as usize],
            key: Text::EMPTY,
            in_key: false,
            hash: SEED,
            begun: false,
            broken: None,
        }
    }

    /// Takes a piece of the body. `text` holds the value that is incomplete.
    pub(crate) fn take(
        &mut self,
        text: &mut Text<MAX_TEXT>,
        mut piece: &[u8],
        sink: &mut dyn Sink,
    ) {
        self.begun |= !piece.trim_ascii().is_empty();
        while self.broken.is_none() {
            match self.reader.next(&mut piece) {
                Ok(Some(event)) => self.event(event, text, sink),
                Ok(None) => return,
                Err(error) => self.broken = Some(error),
            }
        }
    }

    /// Ends the body. Returns whether there was a document.
    pub(crate) fn finish(&mut self) -> Result<bool, Error> {
        match self.broken {
            Some(error) => Err(error),
            None if !self.begun => Ok(false),
            None => self.reader.finish().map(|_| true),
        }
    }

    fn event(&mut self, event: Event<'_>, text: &mut Text<MAX_TEXT>, sink: &mut dyn Sink) {
        let depth = usize::from(self.reader.depth());
        let value = match event {
            Event::KeyStart => {
                self.key.clear();
                self.in_key = true;
                return;
            }
            Event::KeyEnd => {
                self.in_key = false;
                let name = self.key.whole().map_or(Name::Other, Name::of);
                self.enter(depth, name);
                return;
            }
            Event::StringStart | Event::NumberStart => {
                text.clear();
                self.hash = SEED;
                return;
            }
            Event::Text(piece) => {
                self.push(text, piece);
                return;
            }
            Event::Char(character) => {
                self.push(text, character.encode_utf8(&mut [0; 4]));
                return;
            }
            Event::StringEnd => Value::Str(text, self.hash),
            Event::NumberEnd => Value::Number(text.whole().unwrap_or("")),
            Event::Bool(value) => Value::Bool(value),
            Event::Null => Value::Null,
            Event::ObjectStart => Value::ObjectStart,
            Event::ArrayStart => Value::ArrayStart,
            Event::ObjectEnd => Value::ObjectEnd,
            Event::ArrayEnd => Value::ArrayEnd,
        };
        // A container that begins is itself one level further out.
        let begins = matches!(value, Value::ObjectStart | Value::ArrayStart);
        let level = depth.saturating_sub(usize::from(begins));
        sink.token(Token {
            path: self.path.get(..level).unwrap_or(&[]),
            key: &self.key,
            value,
        });
        if matches!(value, Value::ArrayStart) {
            self.enter(depth, Name::Item);
        }
    }

    fn push(&mut self, text: &mut Text<MAX_TEXT>, piece: &str) {
        match self.in_key {
            true => self.key.push(piece),
            false => {
                text.push(piece);
                self.hash = extend(self.hash, piece);
            }
        }
    }

    fn enter(&mut self, depth: usize, name: Name) {
        let place = depth.checked_sub(1).and_then(|at| self.path.get_mut(at));
        if let Some(place) = place {
            *place = name;
        }
    }
}

/// Reads a decimal number as thousandths; `None` for one with an exponent or out
/// of range.
pub(crate) fn milli(text: &str) -> Option<i32> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole: i32 = whole.parse().ok()?;
    let mut value = whole.checked_mul(1000)?;
    let mut unit = 100;
    for digit in fraction.chars() {
        let digit = i32::try_from(digit.to_digit(10)?).ok()?;
        value = value.checked_add(digit * unit)?;
        unit /= 10;
    }
    Some(if negative { -value } else { value })
}
