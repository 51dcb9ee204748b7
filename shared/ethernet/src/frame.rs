//! Ethernet II, IPv4 and UDP headers around a payload. The DHCP server sends
//! whole frames to clients that have no address yet; the agent receives whole
//! frames from a packet socket. This module does not read 802.1Q tags or IPv4
//! fragments.

use core::net::Ipv4Addr;

/// Bytes of the three headers that [`emit`] writes: 14 + 20 + 8.
pub const HEADER_LEN: usize = 42;

/// The Ethernet broadcast address.
pub const BROADCAST: [u8; 6] = [0xff; 6];

/// The longest UDP payload: IPv4's total length is 16 bits.
pub const MAX_PAYLOAD_LEN: usize = 65535 - 28;

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const PROTOCOL_UDP: u8 = 17;
const TTL: u8 = 64;

/// Why a frame can't be parsed or emitted. The numbers are stable, for counters and
/// logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Error {
    /// The frame, or a length inside it, ends before a header or the payload.
    Truncated = 1,
    /// Not IPv4 (a VLAN-tagged frame included).
    NotIpv4 = 2,
    /// Not UDP.
    NotUdp = 3,
    /// A fragment of a datagram.
    Fragment = 4,
    /// The IPv4 header checksum does not match.
    BadIpChecksum = 5,
    /// The UDP checksum does not match.
    BadUdpChecksum = 6,
    /// The payload does not fit into the buffer or into a datagram.
    NoRoom = 7,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "frame ends early",
            Self::NotIpv4 => "not IPv4",
            Self::NotUdp => "not UDP",
            Self::Fragment => "IPv4 fragment",
            Self::BadIpChecksum => "bad IPv4 header checksum",
            Self::BadUdpChecksum => "bad UDP checksum",
            Self::NoRoom => "payload does not fit",
        })
    }
}

impl core::error::Error for Error {}

/// The addresses of a frame with a UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Ethernet source.
    pub src_mac: [u8; 6],
    /// Ethernet destination.
    pub dst_mac: [u8; 6],
    /// IPv4 source.
    pub src: Ipv4Addr,
    /// IPv4 destination.
    pub dst: Ipv4Addr,
    /// UDP source port.
    pub src_port: u16,
    /// UDP destination port.
    pub dst_port: u16,
}

/// A received datagram with the addresses of its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpFrame<'a> {
    /// Ethernet source.
    pub src_mac: [u8; 6],
    /// Ethernet destination.
    pub dst_mac: [u8; 6],
    /// IPv4 source.
    pub src: Ipv4Addr,
    /// IPv4 destination.
    pub dst: Ipv4Addr,
    /// UDP source port.
    pub src_port: u16,
    /// UDP destination port.
    pub dst_port: u16,
    /// The payload without Ethernet padding.
    pub payload: &'a [u8],
}

/// Handling of the UDP checksum of a received frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpChecksum {
    /// Verify it, unless it is zero: the sender computed none (RFC 768).
    Verify,
    /// Ignore it. A virtual NIC passes frames of the same host without a checksum,
    /// which hardware offload would add.
    Ignore,
}

/// Parses an untagged Ethernet frame without its frame check sequence. Verifies both
/// checksums.
///
/// # Errors
/// Every [`Error`] but [`Error::NoRoom`].
pub fn parse(frame: &[u8]) -> Result<UdpFrame<'_>, Error> {
    parse_with(frame, UdpChecksum::Verify)
}

/// As [`parse`], with a choice for the UDP checksum.
///
/// # Errors
/// Every [`Error`] but [`Error::NoRoom`].
pub fn parse_with(frame: &[u8], check: UdpChecksum) -> Result<UdpFrame<'_>, Error> {
    let (ethernet, packet) = frame.split_first_chunk::<14>().ok_or(Error::Truncated)?;
    let [
        d0,
        d1,
        d2,
        d3,
        d4,
        d5,
        s0,
        s1,
        s2,
        s3,
        s4,
        s5,
        type_hi,
        type_lo,
    ] = *ethernet;
    if [type_hi, type_lo] != ETHERTYPE_IPV4 {
        return Err(Error::NotIpv4);
    }

    let ip = packet.first_chunk::<20>().ok_or(Error::Truncated)?;
    let [
        version_ihl,
        _,
        l0,
        l1,
        _,
        _,
        f0,
        f1,
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
    ] = *ip;
    if version_ihl >> 4 != 4 {
        return Err(Error::NotIpv4);
    }
    let header_len = usize::from(version_ihl & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([l0, l1]));
    if header_len < 20 || total_len < header_len {
        return Err(Error::Truncated);
    }
    // Short frames are padded to 60 bytes: what follows `total_len` is filler.
    let packet = packet.get(..total_len).ok_or(Error::Truncated)?;
    let (header, datagram) = packet
        .split_at_checked(header_len)
        .ok_or(Error::Truncated)?;
    if fold(sum(header)) != 0xffff {
        return Err(Error::BadIpChecksum);
    }
    // More-fragments flag or a fragment offset; "do not fragment" is fine.
    if u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
        return Err(Error::Fragment);
    }
    if protocol != PROTOCOL_UDP {
        return Err(Error::NotUdp);
    }

    let udp = datagram.first_chunk::<8>().ok_or(Error::Truncated)?;
    let [p0, p1, q0, q1, n0, n1, c0, c1] = *udp;
    let udp_len = u16::from_be_bytes([n0, n1]);
    let datagram = datagram
        .get(..usize::from(udp_len))
        .ok_or(Error::Truncated)?;
    let payload = datagram.get(8..).ok_or(Error::Truncated)?;
    let (src, dst) = ([a0, a1, a2, a3], [b0, b1, b2, b3]);
    if check == UdpChecksum::Verify
        && [c0, c1] != [0, 0]
        && fold(sum(datagram) + pseudo_header(src, dst, udp_len)) != 0xffff
    {
        return Err(Error::BadUdpChecksum);
    }
    Ok(UdpFrame {
        src_mac: [s0, s1, s2, s3, s4, s5],
        dst_mac: [d0, d1, d2, d3, d4, d5],
        src: Ipv4Addr::from(src),
        dst: Ipv4Addr::from(dst),
        src_port: u16::from_be_bytes([p0, p1]),
        dst_port: u16::from_be_bytes([q0, q1]),
        payload,
    })
}

/// Writes the headers before a payload of `payload_len` bytes, which is already at
/// [`HEADER_LEN`]. Returns the length of the frame in bytes. The driver pads it to
/// Ethernet's 60 bytes.
///
/// # Errors
/// [`Error::NoRoom`] when the payload does not end within the buffer, or is
/// longer than [`MAX_PAYLOAD_LEN`].
pub fn emit(buf: &mut [u8], header: &Header, payload_len: usize) -> Result<usize, Error> {
    let udp_len = u16::try_from(payload_len.saturating_add(8)).map_err(|_| Error::NoRoom)?;
    let total_len = udp_len.checked_add(20).ok_or(Error::NoRoom)?;
    let frame_len = HEADER_LEN + payload_len;
    let frame = buf.get_mut(..frame_len).ok_or(Error::NoRoom)?;
    let (ethernet, packet) = frame.split_at_mut(14);
    let (ip, datagram) = packet.split_at_mut(20);
    let (src, dst) = (header.src.octets(), header.dst.octets());

    ethernet[..6].copy_from_slice(&header.dst_mac);
    ethernet[6..12].copy_from_slice(&header.src_mac);
    ethernet[12..].copy_from_slice(&ETHERTYPE_IPV4);

    // Version 4, five words; "do not fragment" lets the id be zero (RFC 6864).
    ip[..2].copy_from_slice(&[0x45, 0]);
    ip[2..4].copy_from_slice(&total_len.to_be_bytes());
    ip[4..12].copy_from_slice(&[0, 0, 0x40, 0, TTL, PROTOCOL_UDP, 0, 0]);
    ip[12..16].copy_from_slice(&src);
    ip[16..].copy_from_slice(&dst);
    let checksum = !fold(sum(ip));
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());

    datagram[..2].copy_from_slice(&header.src_port.to_be_bytes());
    datagram[2..4].copy_from_slice(&header.dst_port.to_be_bytes());
    datagram[4..6].copy_from_slice(&udp_len.to_be_bytes());
    datagram[6..8].fill(0);
    // Zero on the wire means "none": zero is sent as its other form (RFC 768).
    let checksum = match !fold(sum(datagram) + pseudo_header(src, dst, udp_len)) {
        0 => 0xffff,
        other => other,
    };
    datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
    Ok(frame_len)
}

/// Sum of the pseudo-header: addresses, protocol, UDP length.
fn pseudo_header(src: [u8; 4], dst: [u8; 4], udp_len: u16) -> u64 {
    sum(&src) + sum(&dst) + u64::from(PROTOCOL_UDP) + u64::from(udp_len)
}

/// Sum of big-endian 16-bit words (RFC 1071). An odd byte is padded.
///
/// It adds the words in the order of the machine and swaps the bytes of the
/// folded sum: the checksum does not depend on the byte order (RFC 1071, 2).
/// The halves of 32-bit words are added apart, so that nothing is carried; a
/// frame is much shorter than the 256 KiB at which they could overflow.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    for (slot, byte) in last.iter_mut().zip(rest) {
        *slot = *byte;
    }
    let last = u32::from_le_bytes(last);
    let mut low = last & 0xffff;
    let mut high = last >> 16;
    for word in words {
        let word = u32::from_le_bytes(*word);
        low = low.wrapping_add(word & 0xffff);
        high = high.wrapping_add(word >> 16);
    }
    u64::from(fold(u64::from(low) + u64::from(high)).swap_bytes())
}

/// Folds a sum to 16 bits with end-around carry.
pub(crate) fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}
