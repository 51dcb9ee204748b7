//! Characters: checks of UTF-8, of names and of references.

/// Checks that a stream of bytes is UTF-8 (RFC 3629, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Utf8 {
    /// Continuation bytes that are missing.
    missing: u8,
    /// Smallest and largest value of the next continuation byte.
    least: u8,
    most: u8,
}

impl Utf8 {
    /// Creates a check of an empty stream.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            missing: 0,
            least: 0,
            most: 0,
        }
    }

    /// Reads a byte; returns whether the stream is still valid.
    pub fn push(&mut self, byte: u8) -> bool {
        if self.missing > 0 {
            let valid = (self.least..=self.most).contains(&byte);
            (self.missing, self.least, self.most) = (self.missing - 1, 0x80, 0xbf);
            return valid;
        }
        (self.missing, self.least, self.most) = match byte {
            0..=0x7f => (0, 0, 0),
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            _ => return false,
        };
        true
    }

    /// Returns whether the stream may end here.
    #[must_use]
    pub const fn complete(self) -> bool {
        self.missing == 0
    }
}

/// Returns whether a byte can begin a name.
pub(super) const fn begins_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..)
}

/// Returns whether a byte can be in a name. A colon separates a prefix.
pub(super) const fn is_name(byte: u8) -> bool {
    begins_name(byte) || matches!(byte, b'0'..=b'9' | b'-' | b'.' | b':')
}

/// Returns whether a byte is XML's white space.
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Returns the character of a reference, given without `&` and `;`.
pub(super) fn reference(name: &[u8]) -> Option<char> {
    Some(match name {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"apos" => '\'',
        b"quot" => '"',
        [b'#', b'x', digits @ ..] => number(digits, 16)?,
        [b'#', digits @ ..] => number(digits, 10)?,
        _ => return None,
    })
}

fn number(digits: &[u8], radix: u32) -> Option<char> {
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_u32;
    for &digit in digits {
        let digit = char::from(digit).to_digit(radix)?;
        value = value.checked_mul(radix)?.checked_add(digit)?;
    }
    // XML 1.0, production 2: no other control characters, no U+FFFE, U+FFFF.
    match value {
        0x9 | 0xa | 0xd | 0x20..=0xfffd | 0x1_0000.. => char::from_u32(value),
        _ => None,
    }
}
