//! The writer: values in, text out. It puts commas where they belong and
//! escapes what must be, and it remembers when there was no more room.

use core::fmt::{self, Display, Write};

/// A slice to write text into; fails where the text does not fit, and then
/// holds a part of it.
#[derive(Debug)]
pub struct Slice<'b> {
    buffer: &'b mut [u8],
    used: usize,
}

impl<'b> Slice<'b> {
    /// An empty text.
    pub const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, used: 0 }
    }

    /// Bytes written so far.
    pub const fn len(&self) -> usize {
        self.used
    }

    /// Whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }
}

impl Write for Slice<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.used.checked_add(text.len()).ok_or(fmt::Error)?;
        let room = self.buffer.get_mut(self.used..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.used = end;
        Ok(())
    }
}

/// Escapes what is written through it, for the inside of a JSON string.
#[derive(Debug)]
pub struct Escaped<W>(pub W);

impl<W: Write> Write for Escaped<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| matches!(c, '"' | '\\' | ..'\u{20}')) {
            let (plain, tail) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut characters = tail.chars();
            match characters.next() {
                Some('"') => self.0.write_str("\\\"")?,
                Some('\\') => self.0.write_str("\\\\")?,
                Some('\n') => self.0.write_str("\\n")?,
                Some('\r') => self.0.write_str("\\r")?,
                Some('\t') => self.0.write_str("\\t")?,
                Some(control) => write!(self.0, "\\u{:04x}", u32::from(control))?,
                None => {}
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Writes one document, or a piece of one.
///
/// Whether a comma is due is told by the last byte that was written, so a
/// document can be written by several writers in turn: hand
/// [`Writer::last`] of one to [`Writer::resume`] of the next. Brackets are
/// the caller's to balance.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    last: u8,
    full: bool,
}

impl<W: Write> Writer<W> {
    /// A writer that begins a document.
    pub const fn new(out: W) -> Self {
        Self::resume(out, b':')
    }

    /// A writer that goes on behind this byte of a document.
    pub const fn resume(out: W, last: u8) -> Self {
        Self {
            out,
            last,
            full: false,
        }
    }

    /// The last byte of syntax written (within a document, what
    /// [`Writer::resume`] wants).
    pub const fn last(&self) -> u8 {
        self.last
    }

    /// The sink, or `None` where it could not hold everything.
    pub fn finish(self) -> Option<W> {
        (!self.full).then_some(self.out)
    }

    fn put(&mut self, text: &str) -> &mut Self {
        self.full = self.full || self.out.write_str(text).is_err();
        if let Some(&last) = text.as_bytes().last() {
            self.last = last;
        }
        self
    }

    /// Writes the comma that is due ahead of a key or a value.
    fn separate(&mut self) -> &mut Self {
        match self.last {
            b'{' | b'[' | b':' => self,
            _ => self.put(","),
        }
    }

    /// `{`
    pub fn object(&mut self) -> &mut Self {
        self.separate().put("{")
    }

    /// `}`
    pub fn end_object(&mut self) -> &mut Self {
        self.put("}")
    }

    /// `[`
    pub fn array(&mut self) -> &mut Self {
        self.separate().put("[")
    }

    /// `]`
    pub fn end_array(&mut self) -> &mut Self {
        self.put("]")
    }

    /// A key, with its colon.
    pub fn key(&mut self, key: &str) -> &mut Self {
        self.string(key).put(":")
    }

    /// A string.
    pub fn string(&mut self, text: &str) -> &mut Self {
        self.text(text)
    }

    /// A string made of whatever can be shown.
    pub fn text(&mut self, text: impl Display) -> &mut Self {
        self.separate().put("\"");
        self.full = self.full || write!(Escaped(&mut self.out), "{text}").is_err();
        self.put("\"")
    }

    /// A string, or `null` where it is empty.
    pub fn string_or_null(&mut self, text: &str) -> &mut Self {
        match text {
            "" => self.null(),
            text => self.string(text),
        }
    }

    /// A number.
    pub fn number(&mut self, number: impl Into<u64>) -> &mut Self {
        self.separate();
        self.full = self.full || write!(self.out, "{}", number.into()).is_err();
        self.last = b'0';
        self
    }

    /// `true` or `false`.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.separate().put(if value { "true" } else { "false" })
    }

    /// `null`
    pub fn null(&mut self) -> &mut Self {
        self.separate().put("null")
    }

    /// Text that is JSON already.
    pub fn verbatim(&mut self, json: &str) -> &mut Self {
        self.separate().put(json)
    }
}
