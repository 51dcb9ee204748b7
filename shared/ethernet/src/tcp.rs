//! The segments that begin a TCP connection, or break it off, told apart from all
//! others. A server with few sockets looks at them before its stack does.

use core::net::{Ipv4Addr, SocketAddrV4};

const ETHERNET: usize = 14;
const PROTOCOL_TCP: u8 = 6;
/// FIN, SYN, RST and ACK.
const FLAGS: u8 = 0x17;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// What a segment does to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// It begins one: SYN without ACK.
    Opening,
    /// It breaks it off: RST.
    Reset,
}

/// Source and destination of a frame that begins a TCP connection or breaks it
/// off: IPv4, no fragment. Checksums are not looked at.
#[must_use]
#[inline]
pub fn edge(frame: &[u8]) -> Option<(Edge, SocketAddrV4, SocketAddrV4)> {
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
    let edge = match segment.get(13)? & FLAGS {
        SYN => Edge::Opening,
        flags if flags & RST != 0 => Edge::Reset,
        _ => return None,
    };
    let address = |at: usize| -> Option<Ipv4Addr> {
        let bytes: [u8; 4] = header.get(at..at + 4)?.try_into().ok()?;
        Some(bytes.into())
    };
    let port = |at: usize| -> Option<u16> {
        let bytes: [u8; 2] = segment.get(at..at + 2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    };
    Some((
        edge,
        SocketAddrV4::new(address(12)?, port(0)?),
        SocketAddrV4::new(address(16)?, port(2)?),
    ))
}
