//! Short JSON objects as bodies: read while they arrive, and kept as pairs
//! of key and text. The route lists the keys that there may be.

use super::{Pairs, Text};
use crate::Error;
use crate::json::{Event, Reader};
use farrier_http::Status;

/// Longest value in bytes.
const VALUE_LEN: usize = 96;
/// Most bytes of such a body.
const MAX_FORM: usize = 2048;

/// The body so far.
#[derive(Debug)]
pub(crate) struct Form {
    reader: Reader,
    taken: usize,
    /// The key at depth 1, and the one within an object at depth 2.
    key: Text<24>,
    inner: Text<24>,
    text: Text<VALUE_LEN>,
    pairs: Pairs,
    /// The value of a key is a list, which may be empty.
    has_list: bool,
}

impl Form {
    pub(crate) fn new() -> Self {
        Self {
            reader: Reader::new(),
            taken: 0,
            key: Text::default(),
            inner: Text::default(),
            text: Text::default(),
            pairs: Pairs::new(),
            has_list: false,
        }
    }

    /// Whether the value of a key is a list, which may be empty.
    pub(crate) const fn has_list(&self) -> bool {
        self.has_list
    }

    /// Takes all bytes of `input`.
    pub(crate) fn push(&mut self, input: &mut &[u8]) -> Result<(), Error> {
        self.taken = self.taken.saturating_add(input.len());
        if self.taken > MAX_FORM {
            return Err(Error::new(
                Status::CONTENT_TOO_LARGE,
                format_args!("the body is longer than {MAX_FORM} bytes. Shorten it."),
            ));
        }
        while let Some(event) = self.reader.next(input)? {
            self.event(event)?;
        }
        Ok(())
    }

    /// Checks the body once it is complete. `known` are the keys that it may
    /// have; that of an object ends in `/`. Nothing at all is as good as an
    /// empty object.
    pub(crate) fn finish(&mut self, known: &[&str]) -> Result<(), Error> {
        if self.taken > 0 {
            self.reader.finish()?;
        }
        for (key, _) in self.pairs.iter() {
            let fits = |known: &&&str| match known.ends_with('/') {
                true => key.starts_with(**known),
                false => key == **known,
            };
            if !known.iter().any(|known| fits(&known)) {
                return Err(Error::new(
                    Status::BAD_REQUEST,
                    format_args!(
                        "the body has the key {key:?}, which is not supported here. Leave it out."
                    ),
                ));
            }
        }
        Ok(())
    }

    /// All keys and values, in their order.
    pub(crate) const fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Error> {
        let depth = self.reader.depth();
        match event {
            Event::ObjectStart | Event::ArrayStart if depth <= 2 => {
                if depth == 1 && event == Event::ArrayStart {
                    return Err(Error::bad("the body is not an object. Send a JSON object."));
                }
                self.has_list |= event == Event::ArrayStart;
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
                    return Err(Error::bad(
                        "a key of the body is too long. Keys have at most 24 bytes.",
                    ));
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
                    "the body is not an object of texts and numbers. Send one without deeper objects.",
                ));
            }
        }
        Ok(())
    }

    fn keep(&mut self) -> Result<(), Error> {
        let long = || Error::bad("a value in the body is too long. Values have at most 96 bytes.");
        let text = self.text.get().ok_or_else(long)?;
        if text.chars().any(char::is_control) {
            return Err(Error::bad(
                "a value in the body has control characters. Remove them.",
            ));
        }
        let (key, inner) = (self.key.shown(), self.inner.shown());
        let between = if inner.is_empty() { "" } else { "/" };
        self.pairs.push(&[key, between, inner], text).map_err(|_| {
            Error::bad(
                "the body holds more text than there is room for. Send fewer or shorter values.",
            )
        })
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
            assert_eq!(form.pairs().get("name"), "a\"b");
            assert_eq!(form.pairs().all("traits").count(), 2);
            assert_eq!(form.pairs().get("count"), "7");
            assert_eq!(form.pairs().get("on"), "true");
            assert_eq!(form.pairs().get("info/n"), "2");
            assert_eq!(form.pairs().get("name2"), "");
        }
        assert_eq!(Form::new().finish(&[]), Ok(()));
    }

    #[test]
    fn what_is_refused() {
        let long = std::format!(r#"{{"name": "{}"}}"#, "x".repeat(97));
        let much = std::format!(
            r#"{{"traits": [{}"x"]}}"#,
            r#""yyyyyyyyyyyyyyyyyyyyyyyyyy","#.repeat(40)
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
