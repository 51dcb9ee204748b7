//! A message that is complete and known to be JSON, looked into in place.

use farrier_json::{Event, Reader};

use crate::text::Text;

/// A value, as its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a>(&'a str);

impl<'a> Value<'a> {
    /// `text` is one JSON document.
    pub(super) const fn new(text: &'a str) -> Self {
        Self(text)
    }

    pub(super) fn raw(self) -> &'a str {
        self.0.trim_ascii()
    }

    fn inside(self, open: char, close: char) -> &'a str {
        let text = self.raw();
        let text = text.strip_prefix(open).and_then(|t| t.strip_suffix(close));
        text.unwrap_or("").trim_ascii()
    }

    pub(super) fn is_array(self) -> bool {
        self.raw().starts_with('[')
    }

    /// The elements of an array; none of anything else.
    pub(super) fn items(self) -> impl Iterator<Item = Value<'a>> + Clone {
        Pieces(self.inside('[', ']')).map(Self)
    }

    /// An element of an array.
    pub(super) fn at(self, index: usize) -> Option<Value<'a>> {
        self.items().nth(index)
    }

    /// The members of an object, each key as a value of its own.
    pub(super) fn members(self) -> impl Iterator<Item = (Value<'a>, Value<'a>)> + Clone {
        Pieces(self.inside('{', '}')).filter_map(|member| {
            let colon = end_of_string(member)?;
            let (key, rest) = member.split_at_checked(colon)?;
            let value = rest.trim_ascii_start().strip_prefix(':')?;
            Some((Self(key), Self(value)))
        })
    }

    /// A member of an object.
    pub(super) fn get(self, key: &str) -> Option<Value<'a>> {
        self.members().find(|(name, _)| name.is(key)).map(|m| m.1)
    }

    pub(super) fn int(self) -> Option<i64> {
        self.raw().parse().ok()
    }

    pub(super) fn is_null(self) -> bool {
        self.raw() == "null"
    }

    /// A string's text.
    pub(super) fn text<const N: usize>(self) -> Option<Text<N>> {
        self.raw().starts_with('"').then_some(())?;
        let (mut reader, mut text) = (Reader::new(), Text::EMPTY);
        let mut input = self.raw().as_bytes();
        while let Ok(Some(event)) = reader.next(&mut input) {
            match event {
                Event::Text(piece) => text.push(piece),
                Event::Char(character) => text.push_char(character),
                _ => {}
            }
        }
        Some(text)
    }

    /// Whether it is this string.
    pub(super) fn is(self, wanted: &str) -> bool {
        self.text::<64>().is_some_and(|text| &text == wanted)
    }
}

/// Where the string at the beginning of `text` ends, behind its quote.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    let mut bytes = text.bytes().enumerate().skip(1);
    let end = bytes.find(|&(_, byte)| {
        let end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        end
    });
    end.map(|(at, _)| at + 1)
}

/// What stands between the commas of the outermost level.
#[derive(Clone)]
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (mut depth, mut at) = (0_u32, 0);
        while let Some(&byte) = self.0.as_bytes().get(at) {
            match byte {
                b'"' => {
                    let rest = self.0.get(at..).unwrap_or("");
                    at += end_of_string(rest).unwrap_or(rest.len());
                    continue;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                b',' if depth == 0 => break,
                _ => {}
            }
            at += 1;
        }
        let (piece, rest) = self.0.split_at_checked(at).unwrap_or((self.0, ""));
        self.0 = rest.strip_prefix(',').unwrap_or("");
        Some(piece.trim_ascii())
    }
}
