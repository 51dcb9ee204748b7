//! Texts of bounded length.

use heapless::LenType;

/// A text of at most `N` bytes, 255 at the most, with a length of one byte.
pub type String<const N: usize> = heapless::String<N, u8>;

/// Longest name of a node in bytes.
pub const NAME_LEN: usize = 48;

/// Writes as much as fits and drops the rest.
pub(crate) struct Cut<'a, L: LenType, const N: usize>(pub(crate) &'a mut heapless::String<N, L>);

impl<L: LenType, const N: usize> core::fmt::Write for Cut<'_, L, N> {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        for c in s.chars() {
            if self.0.push(c).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Makes a bounded string out of a text, cut at a character where it is too
/// long.
pub fn cut<const N: usize, L: LenType>(text: &str) -> heapless::String<N, L> {
    let mut out = heapless::String::new();
    // `Cut` never fails.
    let _never = core::fmt::Write::write_str(&mut Cut(&mut out), text);
    out
}
