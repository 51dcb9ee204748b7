//! The first segment of a TCP connection, told apart from all others. A server
//! with few sockets looks at it before its stack does.

use core::net::{Ipv4Addr, SocketAddrV4};

const ETHERNET: usize = 14;
const PROTOCOL_TCP: u8 = 6;
/// FIN, SYN, RST and ACK.
const FLAGS: u8 = 0x17;
const SYN: u8 = 0x02;

/// Source and destination of a frame that begins a TCP connection: IPv4, no
/// fragment, SYN without ACK. Checksums are not looked at.
#[must_use]
#[inline]
pub fn opening(frame: &[u8]) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let header = frame.get(ETHERNET..ETHERNET + 20)?;
    let length = usize::from(header.first()? & 0x0F) * 4;
    if frame.get(12..14)? != [0x08, 0x00]
        || header.first()? >> 4 != 4
        || *header.get(9)? != PROTOCOL_TCP
        || header.get(6)? & 0x3F != 0
        || *header.get(7)? != 0
        || length < 20
    {
        return None;
    }
    let segment = frame.get(ETHERNET + length..)?;
    if segment.get(13)? & FLAGS != SYN {
        return None;
    }
    let address = |at: usize| -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = header.get(at..at + 4)?.try_into().ok()?;
        Some(bytes.into())
    };
    let port = |at: usize| -> Option<u16> {
        let bytes: [u8; 2] = segment.get(at..at + 2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    };
    Some((
        SocketAddrV4::new(address(12)?, port(0)?),
        SocketAddrV4::new(address(16)?, port(2)?),
    ))
}
