//! Bounded texts.

use heapless::String;

/// Copies a text, cut at a character if it is too long.
pub(crate) fn clip<const N: usize>(text: &str) -> String<N, u8> {
    let mut end = text.len().min(N);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut clipped = String::new();
    let pushed = clipped.push_str(text.get(..end).unwrap_or(""));
    debug_assert!(pushed.is_ok(), "it was cut to fit");
    clipped
}

/// FNV-1a of 64 bits: stands for a name that is compared and not shown.
pub(crate) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Returns whether two names are the same port: `.0`, the first logical unit of
/// Junos, names its interface.
#[must_use]
pub fn same_port(one: &str, other: &str) -> bool {
    let bare = |name| str::strip_suffix(name, ".0").unwrap_or(name);
    bare(one) == bare(other)
}

/// Reads a hardware address with colons, dashes or dots in it, or none.
pub(crate) fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut digits = 0_usize;
    for char in text.chars() {
        if matches!(char, ':' | '-' | '.') {
            continue;
        }
        let digit = u8::try_from(char.to_digit(16)?).ok()?;
        let byte = mac.get_mut(digits / 2)?;
        *byte = (*byte << 4) | digit;
        digits += 1;
    }
    (digits == 12).then_some(mac)
}
