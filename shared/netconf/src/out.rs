//! Writing of messages without a buffer of their size: a message is written as
//! often as its bytes are asked for, and a window of it is kept each time.

use core::fmt::{self, Write};

/// Takes the bytes of a message and keeps those in a window.
#[derive(Debug)]
pub struct Window<'b> {
    /// Bytes that are dropped in front of the window.
    skip: usize,
    buffer: &'b mut [u8],
    kept: usize,
    /// Bytes of the whole message.
    total: usize,
}

impl<'b> Window<'b> {
    /// Creates a window of the bytes from `skip` on, as many as `buffer` takes.
    pub fn new(skip: usize, buffer: &'b mut [u8]) -> Self {
        Self {
            skip,
            buffer,
            kept: 0,
            total: 0,
        }
    }

    /// Returns the number of bytes in the buffer.
    #[must_use]
    pub const fn kept(&self) -> usize {
        self.kept
    }

    /// Returns the length of the message so far.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        let seen = self.skip.saturating_sub(self.total).min(bytes.len());
        self.total += bytes.len();
        let new = bytes.get(seen..).unwrap_or(&[]);
        let room = self.buffer.get_mut(self.kept..).unwrap_or(&mut []);
        let length = new.len().min(room.len());
        if let (Some(room), Some(new)) = (room.get_mut(..length), new.get(..length)) {
            room.copy_from_slice(new);
        }
        self.kept += length;
    }

    /// Writes markup as it is.
    pub fn raw(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Writes a text with the characters escaped that are markup.
    pub fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(place) = rest.find(['<', '>', '&', '"', '\'']) {
            let (plain, marked) = rest.split_at(place);
            self.raw(plain);
            let mut chars = marked.chars();
            self.raw(match chars.next() {
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('&') => "&amp;",
                Some('"') => "&quot;",
                _ => "&apos;",
            });
            rest = chars.as_str();
        }
        self.raw(rest);
    }

    /// Writes a value that has no markup in it, such as a number.
    pub fn value(&mut self, value: impl fmt::Display) {
        // A window takes everything.
        let written = write!(self, "{value}");
        debug_assert!(written.is_ok(), "a window refuses nothing");
    }
}

impl Write for Window<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.raw(text);
        Ok(())
    }
}
