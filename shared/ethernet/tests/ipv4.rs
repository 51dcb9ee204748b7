//! Other addresses in place of a packet's own, against checksums that are
//! computed anew.

use std::net::Ipv4Addr;

use farrier_ethernet::frame::{self, HEADER_LEN, Header};
use farrier_ethernet::ipv4::{Content, read, replace_destination, replace_source};
use proptest::prelude::*;

/// The sum of RFC 1071 in its plainest form.
fn sum(bytes: &[u8], mut total: u64) -> u16 {
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        total += u64::from(u16::from_be_bytes([pair[0], low]));
    }
    while total > 0xffff {
        total = (total >> 16) + (total & 0xffff);
    }
    total as u16
}

fn udp(src: Ipv4Addr, dst: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; HEADER_LEN + payload.len()];
    frame[HEADER_LEN..].copy_from_slice(payload);
    let header = Header {
        src_mac: [2; 6],
        dst_mac: [4; 6],
        src,
        dst,
        src_port: 1024,
        dst_port: 69,
    };
    frame::emit(&mut frame, &header, payload.len()).unwrap();
    frame
}

/// A TCP segment with options in both of its headers.
fn tcp(src: Ipv4Addr, dst: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut frame = udp(src, dst, &[0; 8]);
    frame.truncate(14 + 20);
    frame.extend([1; 4]);
    frame[14] = 0x46;
    let length = 24 + 20 + payload.len() as u16;
    frame[16..18].copy_from_slice(&length.to_be_bytes());
    frame[23] = 6;
    frame[24..26].fill(0);
    let checksum = !sum(&frame[14..38], 0);
    frame[24..26].copy_from_slice(&checksum.to_be_bytes());
    let mut segment = vec![0xc0, 0x01, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, 0x18, 9, 9];
    segment.extend([0, 0, 0, 0]);
    segment.extend(payload);
    let checksum = !pseudo(&frame, &segment, 6);
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    frame.extend(segment);
    frame
}

fn pseudo(frame: &[u8], segment: &[u8], protocol: u64) -> u16 {
    let addresses = u64::from(sum(&frame[26..34], 0));
    sum(segment, addresses + protocol + segment.len() as u64)
}

proptest! {
    #[test]
    fn replaced_addresses_have_the_checksums_of_a_new_packet(
        old: [u8; 8],
        new: [u8; 8],
        payload in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let address = |bytes: [u8; 8], at: usize| {
            Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
        };
        for make in [udp, tcp] {
            let mut frame = make(address(old, 0), address(old, 4), &payload);
            let want = make(address(new, 0), address(new, 4), &payload);
            replace_source(&mut frame, address(new, 0));
            replace_destination(&mut frame, address(new, 4));
            prop_assert_eq!(frame, want);
        }
    }

    #[test]
    fn random_frames_do_not_panic(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
        typed: bool,
    ) {
        if typed && bytes.len() > 15 {
            bytes[12..15].copy_from_slice(&[8, 0, 0x45]);
        }
        let before = bytes.clone();
        replace_source(&mut bytes, Ipv4Addr::new(10, 0, 0, 1));
        replace_destination(&mut bytes, Ipv4Addr::new(10, 0, 0, 2));
        if read(&before).is_none() {
            prop_assert_eq!(bytes, before);
        }
    }
}

#[test]
fn a_datagram_without_checksum_gets_none() {
    let (old, new) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 9, 0, 1));
    let mut frame = udp(old, old, b"ask");
    frame[40..42].fill(0);
    replace_source(&mut frame, new);
    assert_eq!(frame[40..42], [0, 0]);
    assert!(frame::parse(&frame).is_ok());
}

#[test]
fn contents_are_told_apart() {
    let at = Ipv4Addr::new(10, 0, 0, 1);
    let content = |frame: &[u8]| read(frame).map(|packet| packet.content);
    let mut frame = udp(at, at, b"four");
    assert_eq!(content(&frame), Some(Content::Udp(1024, 69)));
    assert_eq!(content(&frame[..41]), Some(Content::Other), "cut off");
    assert_eq!(content(&frame[..33]), None);
    assert_eq!(content(&tcp(at, at, b"")), Some(Content::Tcp(0xc001, 80)));
    frame[23] = 1;
    assert_eq!(content(&frame), Some(Content::Icmp(4)));
    frame[23] = 2;
    assert_eq!(content(&frame), Some(Content::Other));
    frame[23] = 17;
    for (byte, value) in [(20, 0x20), (20, 0x01), (21, 1)] {
        let mut fragment = frame.clone();
        fragment[byte] = value;
        assert_eq!(content(&fragment), Some(Content::Other), "{byte}");
    }
    for (byte, value) in [(12, 0x86), (14, 0x65), (14, 0x44)] {
        let mut other = frame.clone();
        other[byte] = value;
        assert_eq!(content(&other), None, "{byte}");
    }
}
