//! IPv4 headers of untagged frames: whose packet it is, and another address in
//! place of one, with the checksums that follow from it (RFC 1624). Checksums of
//! packets are not looked at: whoever takes the packet does that.

use core::net::Ipv4Addr;

/// Bytes of the Ethernet header.
const ETHERNET: usize = 14;
const CHECKSUM: usize = ETHERNET + 10;
const SOURCE: usize = ETHERNET + 12;
const DESTINATION: usize = ETHERNET + 16;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// Addresses and content of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// What is in it.
    pub content: Content,
}

/// What a packet carries, as far as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A TCP segment: source and destination port.
    Tcp(u16, u16),
    /// A UDP datagram: source and destination port.
    Udp(u16, u16),
    /// An ICMP message of this type.
    Icmp(u8),
    /// Another protocol, a fragment, or a header that is cut off.
    Other,
}

/// Reads the packet in a frame. `None` where the frame is too short for an IPv4
/// header, or is another frame.
#[must_use]
#[inline]
pub fn read(frame: &[u8]) -> Option<Packet> {
    let header: &[u8; 20] = frame.get(ETHERNET..)?.first_chunk()?;
    let [
        version_ihl,
        _,
        _,
        _,
        _,
        _,
        flags,
        offset,
        _,
        protocol,
        _,
        _,
        a0,
        a1,
        a2,
        a3,
        b0,
        b1,
        b2,
        b3,
    ] = *header;
    if frame.get(12..14) != Some(&[0x08, 0x00]) || version_ihl >> 4 != 4 || version_ihl & 15 < 5 {
        return None;
    }
    let is_fragment = flags & 0x3f != 0 || offset != 0;
    let inside = frame.get(ETHERNET + usize::from(version_ihl & 15) * 4..);
    let content = match (protocol, inside) {
        _ if is_fragment => Content::Other,
        // Whole headers, so that their checksums can be changed.
        (TCP, Some(&[f0, f1, t0, t1, ref rest @ ..])) if rest.len() >= 16 => {
            Content::Tcp(u16::from_be_bytes([f0, f1]), u16::from_be_bytes([t0, t1]))
        }
        (UDP, Some(&[f0, f1, t0, t1, ref rest @ ..])) if rest.len() >= 4 => {
            Content::Udp(u16::from_be_bytes([f0, f1]), u16::from_be_bytes([t0, t1]))
        }
        (ICMP, Some(&[kind, ..])) => Content::Icmp(kind),
        _ => Content::Other,
    };
    Some(Packet {
        source: [a0, a1, a2, a3].into(),
        destination: [b0, b1, b2, b3].into(),
        content,
    })
}

/// Puts another source address into a packet that [`read`] has read, and is no
/// fragment. Any other frame stays as it is.
pub fn replace_source(frame: &mut [u8], address: Ipv4Addr) {
    let _other = replace(frame, SOURCE, address);
}

/// Puts another destination address into a packet that [`read`] has read, and is
/// no fragment. Any other frame stays as it is.
pub fn replace_destination(frame: &mut [u8], address: Ipv4Addr) {
    let _other = replace(frame, DESTINATION, address);
}

fn replace(frame: &mut [u8], at: usize, address: Ipv4Addr) -> Option<()> {
    read(frame)?;
    let new = address.octets();
    let old = *word::<4>(frame, at)?;
    *word(frame, at)? = new;
    let sum = word::<2>(frame, CHECKSUM)?;
    *sum = changed(*sum, old, new);
    let first = *frame.get(ETHERNET)?;
    let protocol = *frame.get(ETHERNET + 9)?;
    let inside = ETHERNET + usize::from(first & 15) * 4;
    // Both pseudo-headers have the addresses (RFC 9293, 3.1; RFC 768).
    match protocol {
        TCP => {
            let sum = word::<2>(frame, inside + 16)?;
            *sum = changed(*sum, old, new);
        }
        UDP => {
            let sum = word::<2>(frame, inside + 6)?;
            *sum = match *sum {
                // The sender computed none.
                [0, 0] => [0, 0],
                sum => match changed(sum, old, new) {
                    [0, 0] => [0xff, 0xff],
                    sum => sum,
                },
            };
        }
        _ => {}
    }
    Some(())
}

fn word<const N: usize>(frame: &mut [u8], at: usize) -> Option<&mut [u8; N]> {
    frame.get_mut(at..)?.first_chunk_mut()
}

/// The checksum after an address has changed: ~(~HC + ~m + m'), for both words
/// of it (RFC 1624, 3).
fn changed(sum: [u8; 2], old: [u8; 4], new: [u8; 4]) -> [u8; 2] {
    let halves = |[a, b, c, d]: [u8; 4]| {
        (
            u32::from(u16::from_be_bytes([a, b])),
            u32::from(u16::from_be_bytes([c, d])),
        )
    };
    let ((m0, m1), (n0, n1)) = (halves(old), halves(new));
    let mut total = u32::from(!u16::from_be_bytes(sum)) + (m0 ^ 0xffff) + (m1 ^ 0xffff) + n0 + n1;
    total = (total >> 16) + (total & 0xffff);
    total = (total >> 16) + (total & 0xffff);
    (!(total as u16)).to_be_bytes()
}
