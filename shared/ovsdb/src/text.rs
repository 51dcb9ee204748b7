//! Text of bounded length out of messages of any length.

use core::fmt;

/// Text of at most `N` bytes (`N` ≤ 255). What does not fit is cut off, and
/// the text remembers it: a text that was cut equals no other.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
    cut: bool,
}

impl<const N: usize> Text<N> {
    /// No text.
    pub const EMPTY: Self = {
        assert!(N <= 255, "the length is one byte");
        Self {
            bytes: [0; N],
            len: 0,
            cut: false,
        }
    };

    /// The beginning of `text`, all of it where it fits.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut new = Self::EMPTY;
        new.push(text);
        new
    }

    /// Whether this was kept.
    pub(crate) fn is(&self, text: &str) -> bool {
        let bytes = self.bytes.get(..usize::from(self.len));
        bytes == Some(text.as_bytes())
    }

    /// What was kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or(&[]);
        core::str::from_utf8(bytes).unwrap_or("")
    }

    /// The text, or `None` where its end is missing.
    #[must_use]
    pub fn whole(&self) -> Option<&str> {
        (!self.cut).then(|| self.as_str())
    }

    /// Whether its end is missing.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether nothing was kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.cut = false;
    }

    /// Appends; cuts at a character's border, and then for good.
    pub(crate) fn push(&mut self, text: &str) {
        if self.cut {
            return;
        }
        let len = usize::from(self.len);
        let mut end = text.len().min(N - len.min(N));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let (kept, rest) = text.split_at_checked(end).unwrap_or(("", text));
        if let Some(room) = self.bytes.get_mut(len..len + kept.len()) {
            room.copy_from_slice(kept.as_bytes());
            self.len = (len + kept.len()) as u8;
        }
        self.cut = !rest.is_empty();
    }

    /// Takes no more.
    pub(crate) const fn cut(&mut self) {
        self.cut = true;
    }

    pub(crate) fn push_char(&mut self, character: char) {
        self.push(character.encode_utf8(&mut [0; 4]));
    }
}

impl<const N: usize> PartialEq for Text<N> {
    fn eq(&self, other: &Self) -> bool {
        matches!((self.whole(), other.whole()), (Some(a), Some(b)) if a == b)
    }
}

impl<const N: usize> PartialEq<str> for Text<N> {
    fn eq(&self, other: &str) -> bool {
        self.whole() == Some(other)
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())?;
        f.write_str(if self.cut { "…" } else { "" })
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        f.write_str(if self.cut { "…" } else { "" })
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}
