//! UUIDs as text (RFC 9562, section 4), and the UUIDs of ports.

use core::fmt;
use farrier_protocol::message::{Mac, NodeId};

/// Shows 16 bytes as a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text(pub [u8; 16]);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Shows an address with colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MacText(pub Mac);

impl fmt::Display for MacText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.0.iter().enumerate() {
            let between = if place == 0 { "" } else { ":" };
            write!(f, "{between}{byte:02x}")?;
        }
        Ok(())
    }
}

/// Reads a UUID: 32 hexadecimal digits in any case, with hyphens in their
/// places.
pub fn parse(text: &str) -> Option<NodeId> {
    let text = text.as_bytes();
    if text.len() != 36 {
        return None;
    }
    let mut id = [0; 16];
    let mut digits = text.iter().enumerate().filter_map(|(place, &byte)| {
        let hyphen = matches!(place, 8 | 13 | 18 | 23);
        match (hyphen, byte) {
            (true, b'-') => None,
            (true, _) => Some(None),
            (false, byte) => Some(char::from(byte).to_digit(16)),
        }
    });
    for byte in &mut id {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    digits.next().is_none().then_some(NodeId(id))
}

/// Reads an address: six pairs of hexadecimal digits with colons or hyphens.
pub fn parse_mac(text: &str) -> Option<Mac> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(Mac(mac))
}

/// The address of the port with this UUID.
pub fn mac_of_port(id: NodeId) -> Option<Mac> {
    let (_, mac) = id.0.split_last_chunk::<6>()?;
    Some(Mac(*mac)).filter(|mac| of_port(*mac) == id)
}

/// The UUID of the port with this address: version 8 (RFC 9562, section
/// 5.8), made of a fixed head and the address itself, so that it needs no
/// table and stays the same.
pub fn of_port(mac: Mac) -> NodeId {
    let [a, b, c, d, e, f] = mac.0;
    let [g, h, i, j, k, l] = *b"farrie";
    NodeId([g, h, i, j, k, l, 0x80, 0, 0x80, 0, a, b, c, d, e, f])
}
