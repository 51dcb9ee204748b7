//! A JSON patch (RFC 6902) of `add`, `replace` and `remove`, read while it
//! arrives. The resource interprets its operations.

use super::{Pairs, Text};
use crate::json::{Event, Reader};
use crate::{Error, MAX_PATCH};
use farrier_http::Status;

/// Longest value in a patch, in bytes.
const VALUE_LEN: usize = 128;
/// What the keys of a value's members begin with among the pairs.
const MEMBER: &str = "value/";

/// The body so far.
#[derive(Debug)]
pub(crate) struct Patch {
    reader: Reader,
    taken: u16,
    key: Text<24>,
    text: Text<VALUE_LEN>,
    op: Text<8>,
    path: Text<64>,
    value: Kind,
    value_text: Text<VALUE_LEN>,
    pairs: Pairs,
    apply: Apply,
}

/// Takes an operation into the pairs.
pub(crate) type Apply = fn(&Operation<'_>, &mut Pairs) -> Result<(), Error>;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Kind {
    #[default]
    Nothing,
    Text,
    Object,
}

/// One operation.
#[derive(Debug)]
pub(crate) struct Operation<'p> {
    /// The path, without its leading `/`.
    pub(crate) path: &'p str,
    pub(crate) value: Value<'p>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'p> {
    /// `remove`, or the value is `null`.
    Nothing,
    /// A string, a number or a boolean, as text.
    Text(&'p str),
    /// An object; [`Operation::member`] has its members.
    Object,
}

impl Operation<'_> {
    /// A refusal of this operation.
    pub(crate) fn refused(&self, why: core::fmt::Arguments<'_>) -> Error {
        Error::new(
            Status::BAD_REQUEST,
            format_args!("the patch of /{} is refused: {why}", self.path),
        )
    }

    /// The members of a value that is an object, one by one.
    pub(crate) fn members(pairs: &Pairs) -> impl Iterator<Item = (&str, &str)> {
        pairs
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(MEMBER)?, value)))
    }
}

fn no_room<E>(_: E) -> Error {
    Error::bad("the patch holds more text than there is room for. Send it in several requests.")
}

impl Patch {
    pub(crate) fn new(apply: Apply) -> Self {
        Self {
            reader: Reader::new(),
            taken: 0,
            key: Text::default(),
            text: Text::default(),
            op: Text::default(),
            path: Text::default(),
            value: Kind::Nothing,
            value_text: Text::default(),
            pairs: Pairs::new(),
            apply,
        }
    }

    /// What the operations came to.
    pub(crate) const fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    /// Takes all bytes of `input`.
    pub(crate) fn push(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        let count = u16::try_from(input.len()).unwrap_or(u16::MAX);
        self.taken = self.taken.saturating_add(count);
        if usize::from(self.taken) > MAX_PATCH {
            return Err(Error::new(
                Status::CONTENT_TOO_LARGE,
                format_args!(
                    "the patch is longer than {MAX_PATCH} bytes. Send it in several requests."
                ),
            ));
        }
        while let Some(event) = self.reader.next(input)? {
            self.event(event)?;
        }
        Ok(())
    }

    /// Checks the body once it is complete.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.reader.finish()?;
        Ok(())
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Error> {
        let depth = self.reader.depth();
        match event {
            Event::ArrayStart if depth == 1 => {}
            Event::ArrayEnd if depth == 0 => {}
            Event::ObjectStart if depth == 2 => {
                self.op.clear();
                self.path.clear();
                self.value = Kind::Nothing;
            }
            Event::ObjectEnd if depth == 1 => self.operation()?,
            Event::KeyStart | Event::StringStart | Event::NumberStart => self.text.clear(),
            Event::Text(_) | Event::Char(_) => self.text.take(event),
            Event::KeyEnd => {
                self.key.clear();
                // Keys are short; a longer one is none of those that count.
                self.key.take(Event::Text(self.text.shown()));
            }
            Event::StringEnd | Event::NumberEnd if depth > 1 => self.member(depth, Kind::Text)?,
            Event::Bool(value) if depth > 1 => {
                self.text.clear();
                let word = if value { "true" } else { "false" };
                self.text.take(Event::Text(word));
                self.member(depth, Kind::Text)?;
            }
            Event::Null if depth > 1 => {
                self.text.clear();
                self.member(depth, Kind::Nothing)?;
            }
            Event::ObjectStart if depth == 3 && self.key.get() == Some("value") => {
                self.value = Kind::Object;
            }
            Event::ObjectEnd if depth == 2 => {}
            _ if depth > 2 => {
                return Err(Error::bad(
                    "a value of the patch is neither a text, a number, a boolean nor one object \
                     of these. Patch one field at a time.",
                ));
            }
            _ => {
                return Err(Error::bad(
                    "the body is not a JSON patch. Send a list of operations with op, path and \
                     value.",
                ));
            }
        }
        Ok(())
    }

    /// A member of an operation, or of the object that is its value.
    fn member(&mut self, depth: u8, kind: Kind) -> Result<(), Error> {
        if depth == 3 {
            let text = self.text.get().ok_or_else(|| {
                Error::bad("a value of the patch is too long. Values have at most 128 bytes.")
            })?;
            let key = self.key.shown();
            return self.pairs.push(&[MEMBER, key], text).map_err(no_room);
        }
        let text = Event::Text(self.text.shown());
        match self.key.get() {
            Some("op") => {
                self.op.clear();
                self.op.take(text);
            }
            Some("path") => {
                self.path.clear();
                self.path.take(text);
            }
            Some("value") => {
                self.value = kind;
                self.value_text = self.text.clone();
            }
            _ => {
                return Err(Error::new(
                    Status::BAD_REQUEST,
                    format_args!(
                        "an operation of the patch has the member {:?}. Only op, path and value \
                         are supported.",
                        self.key.shown()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The end of an operation.
    fn operation(&mut self) -> Result<(), Error> {
        let path = self.path.shown();
        let Some(path) = path.strip_prefix('/') else {
            return Err(Error::new(
                Status::BAD_REQUEST,
                format_args!("the path {path:?} can't be changed. A path begins with /."),
            ));
        };
        let mut operation = Operation {
            path,
            value: Value::Nothing,
        };
        operation.value = match (self.op.get(), self.value) {
            (Some("remove"), _) | (Some("add" | "replace"), Kind::Nothing) => Value::Nothing,
            (Some("add" | "replace"), Kind::Object) => Value::Object,
            (Some("add" | "replace"), Kind::Text) => {
                let text = self.value_text.get();
                let text =
                    text.ok_or_else(|| operation.refused(format_args!("the value is too long.")))?;
                if text.chars().any(char::is_control) {
                    return Err(
                        operation.refused(format_args!("the value has control characters."))
                    );
                }
                Value::Text(text)
            }
            _ => {
                return Err(
                    operation.refused(format_args!("only add, replace and remove are supported."))
                );
            }
        };
        (self.apply)(&operation, &mut self.pairs)?;
        self.pairs.remove(|key| key.starts_with(MEMBER));
        Ok(())
    }
}
