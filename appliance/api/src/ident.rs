//! UUIDs and Ethernet addresses as text, and the UUIDs of ports.

use core::fmt;
use farrier_protocol::message::{Mac, NodeId};
use uuid::Uuid;

/// Shows an identity as a UUID.
pub fn text(id: NodeId) -> Uuid {
    Uuid::from_bytes(id.0)
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
    let hyphenated = text.len() == 36;
    let id = Uuid::try_parse(text).ok().filter(|_| hyphenated)?;
    Some(NodeId(id.into_bytes()))
}

/// A new identity out of random bytes: version 4 (RFC 9562, section 5.4).
pub fn random(bytes: [u8; 16]) -> NodeId {
    let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
    NodeId(id.into_bytes())
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
    of_mac(mac, 0)
}

/// The UUID of the port group with this address, made the same way.
pub fn of_group(mac: Mac) -> NodeId {
    of_mac(mac, 1)
}

/// The address of the port group with this UUID.
pub fn mac_of_group(id: NodeId) -> Option<Mac> {
    let (_, mac) = id.0.split_last_chunk::<6>()?;
    Some(Mac(*mac)).filter(|mac| of_group(*mac) == id)
}

fn of_mac(mac: Mac, what: u8) -> NodeId {
    let [a, b, c, d, e, f] = mac.0;
    let [g, h, i, j, k, l] = *b"farrie";
    NodeId([g, h, i, j, k, l, 0x80, 0, 0x80, what, a, b, c, d, e, f])
}
