//! Tests the Ethernet, IPv4 and UDP headers.

use farrier_ethernet::frame::{self, BROADCAST, Error, HEADER_LEN, Header, UdpChecksum};
use proptest::prelude::*;
use std::net::Ipv4Addr;

const HEADER: Header = Header {
    src_mac: [0x02, 0, 0, 0, 0, 0x01],
    dst_mac: BROADCAST,
    src: Ipv4Addr::new(10, 0, 0, 1),
    dst: Ipv4Addr::BROADCAST,
    src_port: 67,
    dst_port: 68,
};

fn emit(payload: &[u8]) -> Vec<u8> {
    let mut buf = vec![0xa5; HEADER_LEN + payload.len()];
    buf[HEADER_LEN..].copy_from_slice(payload);
    let len = frame::emit(&mut buf, &HEADER, payload.len()).unwrap();
    assert_eq!(len, buf.len());
    buf
}

/// RFC 1071's sum, in its plainest form, as the oracle.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Makes the IPv4 header checksum right again after a change.
fn fix_ip(frame: &mut [u8]) {
    let len = usize::from(frame[14] & 0xf) * 4;
    frame[24..26].fill(0);
    let sum = checksum(&frame[14..14 + len]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn emitted_frame_has_the_golden_bytes() {
    // Computed manually: the IPv4 words sum to 0x2cf2f, folded 0xcf31; the UDP words with
    // their pseudo-header (0x20a1b) to 0x2cf0f, folded 0xcf11.
    let expected = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 0x01, 0x08, 0x00, // Ethernet
        0x45, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0x30, 0xce, // IPv4
        10, 0, 0, 1, 255, 255, 255, 255, // its addresses
        0x00, 0x43, 0x00, 0x44, 0x00, 0x0b, 0x30, 0xee, b'a', b'b', b'c', // UDP
    ];
    let frame = emit(b"abc");
    assert_eq!(checksum(&frame[14..34]), 0);
    assert_eq!(frame, expected);
}

#[test]
fn checksums_are_verified() {
    let good = emit(b"a message of odd length");
    assert!(frame::parse(&good).is_ok());
    for at in 14..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert!(frame::parse(&bad).is_err(), "byte {at}");
    }
    let mut bad = good.clone();
    bad[22] ^= 1;
    assert_eq!(frame::parse(&bad), Err(Error::BadIpChecksum));
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    assert_eq!(frame::parse(&bad), Err(Error::BadUdpChecksum));
    assert!(frame::parse_with(&bad, UdpChecksum::Ignore).is_ok());
    // The sender computed none.
    bad[40..42].fill(0);
    assert!(frame::parse(&bad).is_ok());
}

#[test]
fn udp_checksum_of_zero_is_sent_as_all_ones() {
    // Two bytes of payload can bring the sum to any value: find zero.
    let frame = (0..=u16::MAX)
        .map(|word| emit(&word.to_be_bytes()))
        .find(|frame| frame[40..42] == [0xff, 0xff])
        .expect("one payload sums to zero");
    assert!(frame::parse(&frame).is_ok());
    assert!((0..=u16::MAX).all(|word| emit(&word.to_be_bytes())[40..42] != [0, 0]));
}

#[test]
fn padding_and_ip_options_are_skipped() {
    let mut padded = emit(b"x");
    padded.resize(60, 0xee);
    assert_eq!(frame::parse(&padded).unwrap().payload, b"x");

    // Two words of IPv4 options: no-operation, 8 times.
    let mut frame = emit(b"xyz");
    frame.splice(34..34, [1; 8]);
    frame[14] = 0x47;
    frame[17] += 8;
    fix_ip(&mut frame);
    assert_eq!(frame::parse(&frame).unwrap().payload, b"xyz");
}

#[test]
fn malformed_frames_fail() {
    let good = emit(b"payload");
    let changed = |at: usize, value: u8| {
        let mut frame = good.clone();
        frame[at] = value;
        fix_ip(&mut frame);
        frame::parse(&frame).map(|_| ()).unwrap_err()
    };
    for len in 0..good.len() {
        assert_eq!(
            frame::parse(&good[..len]),
            Err(Error::Truncated),
            "{len} bytes"
        );
    }
    assert_eq!(changed(13, 0x06), Error::NotIpv4);
    assert_eq!(changed(12, 0x81), Error::NotIpv4);
    assert_eq!(changed(14, 0x65), Error::NotIpv4);
    assert_eq!(changed(23, 6), Error::NotUdp);
    // More fragments; an offset in its high and low byte.
    assert_eq!(changed(20, 0x20), Error::Fragment);
    assert_eq!(changed(20, 0x01), Error::Fragment);
    assert_eq!(changed(21, 0x01), Error::Fragment);
    // Lengths: header below 20, total below header, total beyond the frame.
    assert_eq!(changed(14, 0x44), Error::Truncated);
    assert_eq!(changed(17, 19), Error::Truncated);
    assert_eq!(changed(17, 27), Error::Truncated);
    assert_eq!(changed(17, 200), Error::Truncated);
    // UDP length below its header, beyond the datagram.
    assert_eq!(changed(39, 7), Error::Truncated);
    assert_eq!(changed(39, 16), Error::Truncated);
}

#[test]
fn too_long_payloads_fail() {
    let mut buf = [0; 100];
    assert_eq!(frame::emit(&mut buf, &HEADER, 59), Err(Error::NoRoom));
    assert_eq!(
        frame::emit(&mut buf, &HEADER, usize::MAX),
        Err(Error::NoRoom)
    );
    let mut buf = vec![0; 70_000];
    assert!(frame::emit(&mut buf, &HEADER, frame::MAX_PAYLOAD_LEN).is_ok());
    assert!(frame::parse(&buf[..HEADER_LEN + frame::MAX_PAYLOAD_LEN]).is_ok());
    assert_eq!(
        frame::emit(&mut buf, &HEADER, frame::MAX_PAYLOAD_LEN + 1),
        Err(Error::NoRoom)
    );
}

proptest! {
    #[test]
    fn emitted_frame_parses_equal(
        payload in proptest::collection::vec(any::<u8>(), 0..1472),
        macs in any::<([u8; 6], [u8; 6])>(),
        addrs in any::<([u8; 4], [u8; 4])>(),
        ports in any::<(u16, u16)>(),
    ) {
        let header = Header {
            src_mac: macs.0,
            dst_mac: macs.1,
            src: addrs.0.into(),
            dst: addrs.1.into(),
            src_port: ports.0,
            dst_port: ports.1,
        };
        let mut buf = [&[0xa5; HEADER_LEN][..], &payload].concat();
        frame::emit(&mut buf, &header, payload.len()).unwrap();
        // The plain sum agrees: pseudo-header and datagram add up to zero.
        let mut summed = [&addrs.0[..], &addrs.1, &[0, 17], &buf[38..40]].concat();
        summed.extend_from_slice(&buf[34..]);
        prop_assert_eq!(checksum(&summed), 0);
        prop_assert_eq!(checksum(&buf[14..34]), 0);
        let read = frame::parse(&buf).unwrap();
        prop_assert_eq!(read.payload, payload);
        prop_assert_eq!((read.src_mac, read.dst_mac), macs);
        prop_assert_eq!((read.src.octets(), read.dst.octets()), addrs);
        prop_assert_eq!((read.src_port, read.dst_port), ports);
    }

    #[test]
    fn parsed_frame_emits_and_parses_equal(
        payload in proptest::collection::vec(any::<u8>(), 0..600),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        cut_off in any::<bool>(),
    ) {
        let mut bytes = emit(&payload);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut_off {
            let len = cut.index(bytes.len());
            bytes.truncate(len);
        }
        if let Ok(read) = frame::parse_with(&bytes, UdpChecksum::Ignore) {
            prop_assert!(read.payload.len() + HEADER_LEN <= bytes.len());
            let header = Header {
                src_mac: read.src_mac,
                dst_mac: read.dst_mac,
                src: read.src,
                dst: read.dst,
                src_port: read.src_port,
                dst_port: read.dst_port,
            };
            let mut again = [&[0; HEADER_LEN][..], read.payload].concat();
            let len = frame::emit(&mut again, &header, read.payload.len()).unwrap();
            prop_assert_eq!(frame::parse(&again[..len]), Ok(read));
        }
    }
}
