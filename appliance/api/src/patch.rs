//! The body of `PATCH /v1/nodes/{node}`: a JSON patch (RFC 6902) of `add`,
//! `replace` and `remove`, read while it arrives and boiled down to what
//! shall be changed.

use super::changes::Changes;
use super::text::Text;
use super::{Error, MAX_PATCH};
use crate::json::{Event, Reader};
use farrier_http::Status;
use heapless::Vec;

/// Longest value in a patch, in bytes.
const VALUE_LEN: usize = 160;
/// Most members of an object that replaces `instance_info`.
const MAX_MEMBERS: usize = 2;

/// The body so far.
#[derive(Debug)]
pub(super) struct Patch {
    reader: Reader,
    taken: usize,
    key: Text<24>,
    text: Text<VALUE_LEN>,
    operation: Operation,
    changes: Changes,
}

/// One operation, its members in any order.
#[derive(Debug, Default)]
pub(super) struct Operation {
    pub(super) op: Text<8>,
    pub(super) path: Text<64>,
    pub(super) value: Value,
    pub(super) members: Vec<(Text<24>, Text<VALUE_LEN>), MAX_MEMBERS>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) enum Value {
    #[default]
    Nothing,
    Text(Text<VALUE_LEN>),
    Object,
}

impl Patch {
    pub(super) fn new() -> Self {
        Self {
            reader: Reader::new(),
            taken: 0,
            key: Text::default(),
            text: Text::default(),
            operation: Operation::default(),
            changes: Changes::default(),
        }
    }

    /// Takes all bytes of `input`.
    pub(super) fn push(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        self.taken = self.taken.saturating_add(input.len());
        if self.taken > MAX_PATCH {
            return Err(Error::new(
                Status::CONTENT_TOO_LARGE,
                format_args!("A patch has at most {MAX_PATCH} bytes here."),
            ));
        }
        while let Some(event) = self.reader.next(input)? {
            self.event(event)?;
        }
        Ok(())
    }

    /// Tells that the body is complete.
    pub(super) fn finish(&mut self) -> Result<Changes, Error> {
        self.reader.finish()?;
        Ok(core::mem::take(&mut self.changes))
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Error> {
        let depth = self.reader.depth();
        match event {
            Event::ArrayStart if depth == 1 => {}
            Event::ArrayEnd if depth == 0 => {}
            Event::ObjectStart if depth == 2 => self.operation = Operation::default(),
            Event::ObjectEnd if depth == 1 => self.changes.apply(&self.operation)?,
            Event::KeyStart | Event::StringStart | Event::NumberStart => self.text.clear(),
            Event::Text(_) | Event::Char(_) => self.text.take(event),
            Event::KeyEnd => {
                self.key.clear();
                // Keys are short; a longer one is none of those that count.
                self.key.take(Event::Text(self.text.shown()));
            }
            Event::StringEnd | Event::NumberEnd if depth > 1 => {
                let text = self.text.clone();
                self.member(depth, Value::Text(text))?;
            }
            Event::Bool(value) if depth > 1 => {
                self.text.clear();
                self.text
                    .take(Event::Text(if value { "true" } else { "false" }));
                let text = self.text.clone();
                self.member(depth, Value::Text(text))?;
            }
            Event::Null if depth > 1 => self.member(depth, Value::Nothing)?,
            Event::ObjectStart if depth == 3 && self.key.get() == Some("value") => {
                self.operation.value = Value::Object;
            }
            Event::ObjectEnd if depth == 2 => {}
            _ if depth > 2 => {
                return Err(Error::bad(
                    "Values are texts, numbers and booleans, or one object of these.",
                ));
            }
            _ => return Err(Error::bad("The body is not a JSON patch.")),
        }
        Ok(())
    }

    /// A member of an operation, or of the object that is its value.
    fn member(&mut self, depth: u8, value: Value) -> Result<(), Error> {
        let text = match &value {
            Value::Text(text) => text.clone(),
            _ => Text::default(),
        };
        if depth == 3 {
            return self
                .operation
                .members
                .push((self.key.clone(), text))
                .map_err(|_| Error::bad("The object has more members than are known here."));
        }
        match self.key.get() {
            Some("op") => {
                self.operation.op.clear();
                self.operation.op.take(Event::Text(text.shown()));
            }
            Some("path") => {
                self.operation.path.clear();
                self.operation.path.take(Event::Text(text.shown()));
            }
            Some("value") => self.operation.value = value,
            _ => {
                return Err(Error::new(
                    Status::BAD_REQUEST,
                    format_args!("{:?} is no part of an operation here.", self.key.shown()),
                ));
            }
        }
        Ok(())
    }
}
