//! Short JSON objects as bodies: read while they arrive, and kept as pairs
//! of key and text. Which keys there may be, the request's owner says.

use super::Error;
use super::text::Text;
use crate::json::{Event, Reader};
use farrier_core::strings::KeyValues;
use farrier_http::Status;
use heapless::Vec;

/// Longest value in bytes.
const VALUE_LEN: usize = 96;
/// Bytes for all keys and values of one body, each with its end.
const ROOM: usize = 640;
/// Most bytes of such a body.
const MAX_FORM: usize = 2048;

/// The body so far.
#[derive(Debug)]
pub(super) struct Form {
    reader: Reader,
    taken: usize,
    /// The key at depth 1, and the one within an object at depth 2.
    key: Text<24>,
    inner: Text<24>,
    text: Text<VALUE_LEN>,
    /// `key`, 0, `value`, 0; and so on.
    pairs: Vec<u8, ROOM, u16>,
}

impl Form {
    pub(super) fn new() -> Self {
        Self {
            reader: Reader::new(),
            taken: 0,
            key: Text::default(),
            inner: Text::default(),
            text: Text::default(),
            pairs: Vec::new(),
        }
    }

    /// Takes all bytes of `input`.
    pub(super) fn push(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        self.taken = self.taken.saturating_add(input.len());
        if self.taken > MAX_FORM {
            return Err(Error::new(
                Status::CONTENT_TOO_LARGE,
                format_args!("The body of this request has at most {MAX_FORM} bytes here."),
            ));
        }
        while let Some(event) = self.reader.next(input)? {
            self.event(event)?;
        }
        Ok(())
    }

    /// Tells that the body is complete. `known` are the keys that it may
    /// have; that of an object ends in `/`. Nothing at all is as good as an
    /// empty object.
    pub(super) fn finish(&mut self, known: &[&str]) -> Result<(), Error> {
        if self.taken > 0 {
            self.reader.finish()?;
        }
        for (key, _) in self.pairs() {
            let fits = |known: &&&str| match known.ends_with('/') {
                true => key.starts_with(**known),
                false => key == **known,
            };
            if !known.iter().any(|known| fits(&known)) {
                return Err(Error::new(
                    Status::BAD_REQUEST,
                    format_args!("{key:?} is not supported here."),
                ));
            }
        }
        Ok(())
    }

    /// All keys and values, in their order. A list is its key once for every
    /// value; a member of an object is `object/key`.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lists().iter()
    }

    /// The same, to be handed over.
    pub(super) fn lists(&self) -> KeyValues<'_> {
        KeyValues(core::str::from_utf8(&self.pairs).unwrap_or(""))
    }

    /// The value of a key; empty where there is none.
    pub(super) fn get(&self, key: &str) -> &str {
        let mut pairs = self.pairs();
        pairs.find(|(known, _)| *known == key).map_or("", |p| p.1)
    }

    /// The values of a list.
    pub(super) fn all<'f>(&'f self, key: &'f str) -> impl Iterator<Item = &'f str> {
        let found = self.pairs().filter(move |(known, _)| *known == key);
        found.map(|(_, value)| value)
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Error> {
        let depth = self.reader.depth();
        match event {
            Event::ObjectStart | Event::ArrayStart if depth <= 2 => {
                if depth == 1 && event == Event::ArrayStart {
                    return Err(Error::bad("The body is not an object."));
                }
                self.inner.clear();
            }
            Event::ObjectEnd | Event::ArrayEnd => self.inner.clear(),
            Event::KeyStart => self.text.clear(),
            Event::StringStart | Event::NumberStart if depth > 0 => self.text.clear(),
            Event::Text(_) | Event::Char(_) => self.text.take(event),
            Event::KeyEnd => {
                let key = if depth == 1 {
                    &mut self.key
                } else {
                    &mut self.inner
                };
                key.clear();
                key.take(Event::Text(self.text.shown()));
                if key.get().is_none() || self.text.get().is_none() {
                    return Err(Error::bad("A key of the body is too long."));
                }
            }
            Event::Null => {}
            Event::StringEnd | Event::NumberEnd if depth > 0 => self.keep()?,
            Event::Bool(value) if depth > 0 => {
                self.text.clear();
                let word = if value { "true" } else { "false" };
                self.text.take(Event::Text(word));
                self.keep()?;
            }
            _ => {
                return Err(Error::bad(
                    "The body is not an object of texts and numbers.",
                ));
            }
        }
        Ok(())
    }

    fn keep(&mut self) -> Result<(), Error> {
        let long = || Error::bad("A value in the body is too long.");
        let text = self.text.get().ok_or_else(long)?;
        if text.chars().any(char::is_control) {
            return Err(Error::bad("A value in the body has control characters."));
        }
        let (key, inner) = (self.key.shown(), self.inner.shown());
        let between = if inner.is_empty() { "" } else { "/" };
        for part in [key, between, inner, "\0", text, "\0"] {
            let kept = self.pairs.extend_from_slice(part.as_bytes());
            kept.map_err(|_| Error::bad("The body says more than there is room for."))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, cut: usize) -> Result<Form, Error> {
        let mut form = Form::new();
        for piece in body.as_bytes().chunks(cut) {
            form.push(&mut &*piece)?;
        }
        form.finish(&["name", "traits", "count", "on", "info/"])?;
        Ok(form)
    }

    #[test]
    fn objects_lists_and_scalars() {
        let body = r#"{"name": "a\"b", "traits": ["X", "Y"], "count": 7, "on": true,
            "info": {"k": "v", "n": 2}, "name2": null}"#;
        for cut in [1, 2, 7, 1000] {
            let form = read(body, cut).unwrap();
            assert_eq!(form.get("name"), "a\"b");
            assert_eq!(form.all("traits").count(), 2);
            assert_eq!(form.get("count"), "7");
            assert_eq!(form.get("on"), "true");
            assert_eq!(form.get("info/n"), "2");
            assert_eq!(form.get("name2"), "");
        }
        assert_eq!(Form::new().finish(&[]), Ok(()));
    }

    #[test]
    fn what_is_refused() {
        let long = std::format!(r#"{{"name": "{}"}}"#, "x".repeat(97));
        let much = std::format!(
            r#"{{"traits": [{}"x"]}}"#,
            r#""yyyyyyyyyyyyyyyyy","#.repeat(40)
        );
        for body in [
            "[]",
            "7",
            "{",
            r#"{"wings": 2}"#,
            r#"{"info": {"a": {"b": 1}}}"#,
            r#"{"name": "a\nb"}"#,
            &long,
            &much,
        ] {
            assert!(read(body, 5).is_err(), "{body}");
        }
        for (length, fits) in [(24, true), (25, false)] {
            let body = std::format!(r#"{{"info": {{"{}": 1}}}}"#, "k".repeat(length));
            assert_eq!(read(&body, 5).is_ok(), fits, "{length}");
        }
        for body in [r#""name""#, "7", "true"] {
            let refused = read(body, 5).unwrap_err();
            assert!(refused.text.contains("not an object"), "{body}");
        }
    }
}
