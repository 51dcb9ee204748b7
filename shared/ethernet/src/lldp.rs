//! LLDP (IEEE 802.1AB-2016): what a switch says of itself and of the port that a
//! cable is in. Only what tells a port is read: chassis, port, their
//! descriptions, the port's native VLAN. Texts and identifiers are slices of the
//! frame.

use crate::vlan::VlanId;
use core::fmt;

/// The EtherType, 0x88CC.
pub const ETHERTYPE: [u8; 2] = [0x88, 0xcc];

/// The address that bridges do not forward; LLDP goes to it (7.1).
pub const NEAREST_BRIDGE: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];

/// Every address that LLDP may go to and bridges do not forward: the nearest bridge,
/// the nearest one that is no two-port relay, the nearest customer's (7.1).
pub const NEAREST: [[u8; 6]; 3] = [
    NEAREST_BRIDGE,
    [0x01, 0x80, 0xc2, 0x00, 0x00, 0x03],
    [0x01, 0x80, 0xc2, 0x00, 0x00, 0x00],
];

/// Subtypes of identifiers that are a MAC address (8.5.2.2, 8.5.3.2).
const CHASSIS_MAC: u8 = 4;
const PORT_MAC: u8 = 3;

/// The organisation of 802.1's own elements (D.1).
const OUI_8021: [u8; 3] = [0x00, 0x80, 0xc2];
/// Its element with the native VLAN of the port (D.2.1).
const PORT_VLAN: u8 = 1;

/// Why a frame is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Another EtherType.
    NotLldp,
    /// The frame ends within an element, or before the end element.
    Truncated,
    /// Chassis, port and time to live do not come first and in this order
    /// (8.2), one comes twice, or one is too short.
    Malformed,
}

/// An identifier, with what it is (8.5.2.2, 8.5.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identifier<'a> {
    /// Its subtype: for a chassis 4 is a MAC address and 7 a text of the switch;
    /// for a port 3 is a MAC address, 5 the interface's name, 7 a text.
    pub subtype: u8,
    /// Its bytes, 1 to 255.
    pub bytes: &'a [u8],
}

impl<'a> Identifier<'a> {
    /// The MAC address, where `subtype` says that it is one.
    #[must_use]
    pub fn mac(&self, subtype: u8) -> Option<[u8; 6]> {
        match self.subtype == subtype {
            true => self.bytes.try_into().ok(),
            false => None,
        }
    }

    /// The identifier as text, where it is printable ASCII.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        printable(self.bytes)
    }
}

/// What a neighbour says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour<'a> {
    /// Which device it is.
    pub chassis: Identifier<'a>,
    /// Which port of it.
    pub port: Identifier<'a>,
    /// For how many seconds this holds; 0 says that it holds no longer.
    pub ttl: u16,
    /// The port's description; empty where there is none, or it is not ASCII.
    pub port_description: &'a str,
    /// The device's name; empty as above.
    pub system_name: &'a str,
    /// The VLAN of the port's untagged frames, where the switch says it.
    pub native_vlan: Option<VlanId>,
}

impl<'a> Neighbour<'a> {
    /// The chassis for people and for comparing.
    #[must_use]
    pub fn chassis_text(&self) -> Shown<'a> {
        Shown(self.chassis, CHASSIS_MAC)
    }

    /// The port for people and for comparing.
    #[must_use]
    pub fn port_text(&self) -> Shown<'a> {
        Shown(self.port, PORT_MAC)
    }
}

/// An identifier as text: a MAC address, printable ASCII, or else its bytes in
/// hexadecimal.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(Identifier<'a>, u8);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bytes, between) = match (self.0.mac(self.1), self.0.text()) {
            (Some(_), _) => (self.0.bytes, ":"),
            (None, Some(text)) => return f.write_str(text),
            (None, None) => (self.0.bytes, ""),
        };
        for (place, byte) in bytes.iter().enumerate() {
            if place > 0 {
                f.write_str(between)?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

fn printable(bytes: &[u8]) -> Option<&str> {
    // Some devices count a NUL behind the text.
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    let plain = bytes.iter().all(|b| *b == b' ' || b.is_ascii_graphic());
    core::str::from_utf8(bytes).ok().filter(|_| plain)
}

/// One element: its type, its content, and what follows.
type Element<'a> = (u8, &'a [u8], &'a [u8]);

fn element(bytes: &[u8]) -> Result<Element<'_>, Error> {
    let (head, rest) = bytes.split_first_chunk::<2>().ok_or(Error::Truncated)?;
    let head = u16::from_be_bytes(*head);
    let length = usize::from(head & 0x1ff);
    let (content, rest) = rest.split_at_checked(length).ok_or(Error::Truncated)?;
    Ok(((head >> 9) as u8, content, rest))
}

fn identifier(content: &[u8]) -> Result<Identifier<'_>, Error> {
    match content {
        [subtype, bytes @ ..] if (1..=255).contains(&bytes.len()) => Ok(Identifier {
            subtype: *subtype,
            bytes,
        }),
        _ => Err(Error::Malformed),
    }
}

/// Reads an untagged frame.
///
/// # Errors
/// [`Error`].
pub fn parse(frame: &[u8]) -> Result<Neighbour<'_>, Error> {
    let (ethernet, rest) = frame.split_first_chunk::<14>().ok_or(Error::NotLldp)?;
    let [.., hi, lo] = *ethernet;
    if [hi, lo] != ETHERTYPE {
        return Err(Error::NotLldp);
    }
    let (1, chassis, rest) = element(rest)? else {
        return Err(Error::Malformed);
    };
    let (2, port, rest) = element(rest)? else {
        return Err(Error::Malformed);
    };
    let (3, ttl, mut rest) = element(rest)? else {
        return Err(Error::Malformed);
    };
    let mut neighbour = Neighbour {
        chassis: identifier(chassis)?,
        port: identifier(port)?,
        ttl: u16::from_be_bytes(*ttl.first_chunk::<2>().ok_or(Error::Malformed)?),
        port_description: "",
        system_name: "",
        native_vlan: None,
    };
    // A frame has at most 1,500 bytes and an element at least two: this ends.
    loop {
        let (kind, content, behind) = element(rest)?;
        rest = behind;
        match kind {
            0 => return Ok(neighbour),
            1..=3 => return Err(Error::Malformed),
            4 => neighbour.port_description = printable(content).unwrap_or(""),
            5 => neighbour.system_name = printable(content).unwrap_or(""),
            127 => {
                if let [a, b, c, PORT_VLAN, hi, lo, ..] = *content
                    && [a, b, c] == OUI_8021
                {
                    neighbour.native_vlan = VlanId::new(u16::from_be_bytes([hi, lo]));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    fn put(frame: &mut Vec<u8>, kind: u16, content: &[u8]) {
        let head = kind << 9 | content.len() as u16;
        frame.extend(head.to_be_bytes());
        frame.extend(content);
    }

    /// As a switch of another maker has it, element by element.
    fn frame() -> Vec<u8> {
        let mut frame = Vec::from(NEAREST_BRIDGE);
        frame.extend([0x2c, 0x6b, 0xf5, 0x01, 0x02, 0x03]);
        frame.extend(ETHERTYPE);
        put(&mut frame, 1, &[4, 0x2c, 0x6b, 0xf5, 0x01, 0x02, 0x00]);
        put(&mut frame, 2, b"\x05ge-0/0/7");
        put(&mut frame, 3, &[0, 120]);
        put(&mut frame, 4, b"server 7\0");
        put(&mut frame, 5, b"ex4200-1");
        put(&mut frame, 6, b"Juniper Networks");
        put(&mut frame, 127, &[0x00, 0x80, 0xc2, 1, 0, 42]);
        put(&mut frame, 127, &[0x00, 0x12, 0x0f, 1, 0, 43]);
        put(&mut frame, 0, &[]);
        frame
    }

    #[test]
    fn the_port_is_told() {
        let frame = frame();
        let neighbour = parse(&frame).unwrap();
        assert_eq!(
            neighbour.chassis.mac(4),
            Some([0x2c, 0x6b, 0xf5, 0x01, 0x02, 0x00])
        );
        assert_eq!(neighbour.chassis.mac(5), None);
        let shown = (neighbour.chassis_text(), neighbour.port_text());
        assert_eq!(std::format!("{}", shown.0), "2c:6b:f5:01:02:00");
        assert_eq!(std::format!("{}", shown.1), "ge-0/0/7");
        assert_eq!(neighbour.port.text(), Some("ge-0/0/7"));
        assert_eq!(neighbour.ttl, 120);
        assert_eq!(neighbour.port_description, "server 7");
        assert_eq!(neighbour.system_name, "ex4200-1");
        assert_eq!(neighbour.native_vlan, VlanId::new(42));
    }

    #[test]
    fn padding_behind_the_end_is_no_matter_and_a_missing_end_is() {
        let mut padded = frame();
        padded.resize(120, 0xee);
        assert!(parse(&padded).is_ok());
        let whole = frame();
        for length in 14..whole.len() {
            assert_eq!(parse(&whole[..length]), Err(Error::Truncated), "{length}");
        }
        for length in 0..14 {
            assert_eq!(parse(&whole[..length]), Err(Error::NotLldp));
        }
    }

    #[test]
    fn the_first_three_elements_are_in_their_order_and_not_empty() {
        let bodies: [&[(u16, &[u8])]; 6] = [
            &[(2, b"\x05p"), (1, b"\x07c"), (3, &[0, 1])],
            &[(1, b"\x07c"), (3, &[0, 1]), (2, b"\x05p")],
            &[(1, b"\x07"), (2, b"\x05p"), (3, &[0, 1])],
            &[(1, b"\x07c"), (2, b""), (3, &[0, 1])],
            &[(1, b"\x07c"), (2, b"\x05p"), (3, &[1])],
            &[(1, b"\x07c"), (2, b"\x05p"), (3, &[0, 1]), (1, b"\x07d")],
        ];
        for body in bodies {
            let mut frame = Vec::from([0; 12]);
            frame.extend(ETHERTYPE);
            body.iter()
                .for_each(|(kind, content)| put(&mut frame, *kind, content));
            put(&mut frame, 0, &[]);
            assert_eq!(parse(&frame), Err(Error::Malformed), "{body:?}");
        }
    }

    #[test]
    fn what_is_not_text_is_left_out() {
        let mut frame = Vec::from([0; 12]);
        frame.extend(ETHERTYPE);
        put(&mut frame, 1, &[7, 0xff, 0x00]);
        put(&mut frame, 2, b"\x07p\x1b[2J");
        put(&mut frame, 3, &[0, 1]);
        put(&mut frame, 5, b"\xc3\xa4");
        put(&mut frame, 0, &[]);
        let neighbour = parse(&frame).unwrap();
        assert_eq!(neighbour.chassis.text(), None);
        assert_eq!(std::format!("{}", neighbour.chassis_text()), "ff00");
        assert_eq!(neighbour.port.text(), None);
        assert_eq!(neighbour.system_name, "");
        assert_eq!(neighbour.native_vlan, None);
    }
}
