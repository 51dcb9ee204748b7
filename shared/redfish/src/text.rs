//! Text of bounded length out of answers of any length.

use core::fmt;

/// Text of at most `N` bytes (`N` ≤ 255). What does not fit is cut off, and
/// the text remembers it: [`Text::whole`] is `None` then.
#[derive(Clone, Copy, PartialEq, Eq)]
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

    /// Creates a text of the beginning of `text`, all of it where it fits.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut new = Self::EMPTY;
        new.push(text);
        new
    }

    /// Returns what was kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or(&[]);
        core::str::from_utf8(bytes).unwrap_or("")
    }

    /// Returns the text, or `None` where its end is missing.
    #[must_use]
    pub fn whole(&self) -> Option<&str> {
        (!self.cut).then(|| self.as_str())
    }

    /// Returns whether its end is missing.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    /// Returns whether nothing was kept.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes it empty. Bytes behind the text are zeroed, so that equal texts
    /// are equal bytes.
    pub(crate) fn clear(&mut self) {
        *self = Self::EMPTY;
    }

    /// Appends; cuts at a character's border, and then for good.
    pub(crate) fn push(&mut self, text: &str) {
        if self.cut {
            return;
        }
        let len = usize::from(self.len);
        let mut end = text.len().min(N.saturating_sub(len));
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

    /// Says that its end is missing.
    pub(crate) const fn mark_cut(&mut self) {
        self.cut = true;
    }

    pub(crate) fn push_char(&mut self, character: char) {
        self.push(character.encode_utf8(&mut [0; 4]));
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

/// FNV-1a of 64 bits: stands for a text that is compared and not shown.
pub(crate) fn hash(text: &str) -> u64 {
    extend(SEED, text)
}

/// The hash of no text.
pub(crate) const SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash of a text with this behind it.
pub(crate) fn extend(hash: u64, text: &str) -> u64 {
    text.bytes().fold(hash, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
