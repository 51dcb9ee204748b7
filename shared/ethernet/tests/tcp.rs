//! The segments that begin a TCP connection or break it off, and all others.

use std::net::{Ipv4Addr, SocketAddrV4};

use farrier_ethernet::tcp::{Edge, edge};

fn syn() -> Vec<u8> {
    let mut frame = vec![0; 54];
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14] = 0x45;
    frame[23] = 6;
    frame[26..30].copy_from_slice(&[10, 0, 0, 7]);
    frame[30..34].copy_from_slice(&[10, 0, 0, 1]);
    frame[34..36].copy_from_slice(&40_000_u16.to_be_bytes());
    frame[36..38].copy_from_slice(&80_u16.to_be_bytes());
    frame[47] = 0x02;
    frame
}

#[test]
fn both_ends_are_read() {
    let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 7), 40_000);
    let to = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 80);
    assert_eq!(edge(&syn()), Some((Edge::Opening, from, to)));
    // Explicit congestion notification (RFC 3168) is negotiated in the SYN.
    let mut frame = syn();
    frame[47] = 0xC2;
    assert_eq!(edge(&frame), Some((Edge::Opening, from, to)));
    for flags in [0x04, 0x14, 0x06] {
        frame[47] = flags;
        assert_eq!(edge(&frame), Some((Edge::Reset, from, to)));
    }
}

#[test]
fn ip_options_are_skipped() {
    let mut frame = syn();
    frame[14] = 0x46;
    frame.splice(34..34, [1; 4]);
    assert!(edge(&frame).is_some());
}

#[test]
fn other_frames_are_none() {
    // Ethernet type, IP version, header length, fragments, protocol, flags.
    for (at, value) in [
        (12, 0x86),
        (14, 0x65),
        (14, 0x44),
        (20, 0x20),
        (21, 1),
        (23, 17),
        (47, 0x12),
        (47, 0x10),
        (47, 0x03),
        (47, 0),
    ] {
        let mut frame = syn();
        frame[at] = value;
        assert_eq!(edge(&frame), None, "byte {at} = {value:#x}");
    }
    for length in 0..48 {
        assert_eq!(edge(&syn()[..length]), None, "{length}");
    }
}
