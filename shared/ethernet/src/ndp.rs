//! The answer to an IPv6 router solicitation. The crate supports nothing else of
//! IPv6.
//!
//! iPXE configures IPv4 and IPv6 in parallel and waits for both. Without a
//! router it repeats its solicitation for 16 s at every boot (measured with
//! Debian's BIOS and UEFI builds). A router advertisement without a prefix and
//! flags and with a lifetime of zero ends the wait and configures nothing: a
//! router lifetime of zero means that its sender is not a default router
//! (RFC 4861 §4.2).

use crate::frame::{fold, sum};

/// Bytes of the frame that [`answer_solicitation`] writes: 14 + 40 + 16.
pub const ANSWER_LEN: usize = 70;

const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
/// Hop limit of a packet that no router forwarded (RFC 4861 §6.1.1).
const HOP_LIMIT: u8 = 255;

const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// Writes the router advertisement that answers `frame` into `out` and returns
/// its length in bytes. `frame` is a router solicitation in untagged Ethernet
/// (RFC 4861 §4.1); `mac` is the sender of the answer. Use it only on networks
/// without an IPv6 router: iPXE takes the first answer that arrives.
///
/// Returns `None` if `frame` is any other frame, or if `out` is shorter than
/// [`ANSWER_LEN`].
#[must_use]
pub fn answer_solicitation(frame: &[u8], mac: [u8; 6], out: &mut [u8]) -> Option<usize> {
    let (ethernet, packet) = frame.split_first_chunk::<14>()?;
    let [_, _, _, _, _, _, m0, m1, m2, m3, m4, m5, type_hi, type_lo] = *ethernet;
    let (ip, rest) = packet.split_first_chunk::<40>()?;
    let [
        version,
        _,
        _,
        _,
        len_hi,
        len_lo,
        next_header,
        hop_limit,
        addresses @ ..,
    ] = ip;
    let (src, _) = addresses.split_first_chunk::<16>()?;
    let len = u16::from_be_bytes([*len_hi, *len_lo]);
    // The eight bytes of a solicitation; the options behind them are ignored.
    let message = rest.get(..usize::from(len))?;
    let [kind, code, _, _, _, _, _, _, ..] = message else {
        return None;
    };
    let is_solicitation = [type_hi, type_lo] == ETHERTYPE_IPV6
        && version >> 4 == 6
        && (*next_header, *hop_limit) == (ICMPV6, HOP_LIMIT)
        && (*kind, *code) == (SOLICITATION, 0)
        && fold(checksum_base(addresses, len) + sum(message)) == 0xffff;
    if !is_solicitation || m0 & 1 != 0 {
        return None;
    }
    // Unicast, or to all nodes if the sender has no address yet.
    let (dst_mac, dst) = match src {
        [0xfe, 0x80, ..] => ([m0, m1, m2, m3, m4, m5], *src),
        [0, ..] if *src == [0; 16] => (ALL_NODES_MAC, ALL_NODES),
        _ => return None,
    };

    let out = out.first_chunk_mut::<ANSWER_LEN>()?;
    out.fill(0);
    let (ethernet, packet) = out.split_at_mut(14);
    ethernet[..6].copy_from_slice(&dst_mac);
    ethernet[6..12].copy_from_slice(&mac);
    ethernet[12..].copy_from_slice(&ETHERTYPE_IPV6);
    let (ip, message) = packet.split_at_mut(40);
    ip[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 16, ICMPV6, HOP_LIMIT]);
    ip[8..24].copy_from_slice(&link_local(mac));
    ip[24..].copy_from_slice(&dst);
    message[0] = ADVERTISEMENT;
    let checksum = !fold(checksum_base(&ip[8..], 16) + sum(message));
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    Some(ANSWER_LEN)
}

/// Returns the link-local address of an Ethernet address (RFC 4291
/// appendix A).
fn link_local(mac: [u8; 6]) -> [u8; 16] {
    let [a, b, c, d, e, f] = mac;
    [
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        a ^ 2,
        b,
        c,
        0xff,
        0xfe,
        d,
        e,
        f,
    ]
}

/// Sum of the pseudo-header (RFC 8200 §8.1): both addresses, length, protocol.
fn checksum_base(addresses: &[u8], len: u16) -> u64 {
    sum(addresses) + u64::from(len) + u64::from(ICMPV6)
}
