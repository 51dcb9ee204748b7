//! The one IPv6 question that boot clients ask beside DHCP, and its answer:
//! "no router here". Nothing else of IPv6 lives in this crate.
//!
//! iPXE configures IPv4 and IPv6 together and goes on when both are done.
//! Without a router it repeats its solicitation for 16 s first (measured with
//! Debian's builds, BIOS and UEFI), at every boot of every machine. An
//! advertisement with no prefix, no flags and a lifetime of zero ends the wait
//! at once and configures nothing: a router lifetime of zero says that its
//! sender is no default router (RFC 4861 §4.2).

use crate::frame::{fold, sum};

/// Bytes of the frame that [`answer_solicitation`] writes: 14 + 40 + 16.
pub const ANSWER_LEN: usize = 70;

const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
/// Proof that no router has passed the packet on (RFC 4861 §6.1.1).
const HOP_LIMIT: u8 = 255;

const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const ALL_NODES_MAC: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];

/// Writes into `out` the frame with which `mac` answers `frame`, and gives its
/// length, if `frame` is a router solicitation (RFC 4861 §4.1, untagged
/// Ethernet). For networks that boot over IPv4 and have no router of their own
/// for IPv6: iPXE takes the first answer that it gets.
///
/// `None` for any other frame, and for an `out` below [`ANSWER_LEN`] bytes.
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
    // The eight bytes of a solicitation, then options, of which none matters.
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
    // To the asker alone, or to all where it has no address yet.
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

/// The link-local address that belongs to an Ethernet address (RFC 4291
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
