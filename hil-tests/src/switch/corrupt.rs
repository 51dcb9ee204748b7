//! Aimed corruption: one bit of a TCP payload, with checksums made right
//! again, so that nothing but an end-to-end hash can notice.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket};

use super::{Hook, Verdict};

/// A TCP segment with payload, as [`flip_tcp_bit`] shows it to its selector.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Sender.
    pub source: SocketAddrV4,
    /// Receiver.
    pub destination: SocketAddrV4,
    /// Sequence number of the first payload byte.
    pub sequence: u32,
    /// Never empty.
    pub payload: &'a [u8],
}

/// Counts the bits that a hook has flipped.
#[derive(Debug, Clone, Default)]
pub struct Flips(Arc<AtomicU64>);

impl Flips {
    /// Bits flipped so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A hook that shows every untagged IPv4 TCP segment with payload to
/// `select`, and flips the bit that it names, if any: `8 × byte + bit`
/// within the payload, bit 0 the least significant. The TCP checksum is
/// recomputed; the IPv4 header has not changed. A bit beyond the payload
/// flips nothing.
///
/// The receiver acknowledges the wrong bytes, so TCP does not heal them.
pub fn flip_tcp_bit(
    mut select: impl FnMut(&Segment<'_>) -> Option<usize> + Send + 'static,
) -> (Hook, Flips) {
    let flips = Flips::default();
    let counter = flips.clone();
    let hook = move |_port, frame: &mut Vec<u8>| {
        if flip(frame, &mut select).is_some() {
            counter.0.fetch_add(1, Ordering::Relaxed);
        }
        Verdict::Pass
    };
    (Box::new(hook), flips)
}

fn flip(frame: &mut [u8], select: &mut impl FnMut(&Segment<'_>) -> Option<usize>) -> Option<()> {
    let mut ethernet = EthernetFrame::new_checked(frame).ok()?;
    if ethernet.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let mut ip = Ipv4Packet::new_checked(ethernet.payload_mut()).ok()?;
    if ip.next_header() != IpProtocol::Tcp || ip.more_frags() || ip.frag_offset() != 0 {
        return None;
    }
    let (source, destination) = (ip.src_addr(), ip.dst_addr());
    let mut tcp = TcpPacket::new_checked(ip.payload_mut()).ok()?;
    if tcp.payload_mut().is_empty() {
        return None;
    }
    let segment = Segment {
        source: SocketAddrV4::new(source, tcp.src_port()),
        destination: SocketAddrV4::new(destination, tcp.dst_port()),
        // smoltcp keeps sequence numbers as i32; the bits are the same.
        sequence: tcp.seq_number().0 as u32,
        payload: tcp.payload_mut(),
    };
    let bit = select(&segment)?;
    *tcp.payload_mut().get_mut(bit / 8)? ^= 1 << (bit % 8);
    tcp.fill_checksum(&source.into(), &destination.into());
    Some(())
}
