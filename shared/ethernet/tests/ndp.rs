//! Tests the answer to a router solicitation.

use farrier_ethernet::ndp::{ANSWER_LEN, answer_solicitation};
use proptest::collection::vec;
use proptest::prelude::*;

const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];

/// A solicitation as iPXE sends it: from its link-local address to all
/// routers, with its Ethernet address as the only option.
#[rustfmt::skip]
const SOLICITATION: [u8; 70] = [
    0x33, 0x33, 0, 0, 0, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x86, 0xdd,
    0x60, 0, 0, 0, 0, 16, 58, 255,
    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x50, 0x54, 0, 0xff, 0xfe, 0x12, 0x34, 0x56,
    0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
    133, 0, 0xb0, 0xf0, 0, 0, 0, 0, 1, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56,
];

/// Makes the checksum right: pseudo-header and message, the plain way.
fn fix(frame: &mut [u8]) {
    frame[56..58].fill(0);
    let len = u32::from(frame[18]) << 8 | u32::from(frame[19]);
    let mut sum = len + 58;
    for pair in frame[22..].chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    frame[56..58].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let mut out = [0xa5; 100];
    answer_solicitation(frame, MAC, &mut out).map(|len| out[..len].to_vec())
}

#[test]
fn solicitation_gets_the_golden_advertisement() {
    #[rustfmt::skip]
    let mut expected = [
        0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x02, 0, 0, 0, 0, 0x01, 0x86, 0xdd,
        0x60, 0, 0, 0, 0, 16, 58, 255,
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 0x01,
        0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x50, 0x54, 0, 0xff, 0xfe, 0x12, 0x34, 0x56,
        // No hop limit, no flags, lifetime 0, no timers, no options.
        134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    fix(&mut expected);
    let mut frame = SOLICITATION;
    fix(&mut frame);
    assert_eq!(answer(&frame).unwrap(), expected);
    assert_eq!(
        answer_solicitation(&frame, MAC, &mut [0; ANSWER_LEN - 1]),
        None
    );
}

#[test]
fn solicitation_without_address_is_answered_by_multicast() {
    // Eight bytes, padded to Ethernet's least length.
    let mut frame = SOLICITATION[..62].to_vec();
    frame[19] = 8;
    frame[22..38].fill(0);
    fix(&mut frame);
    frame.resize(64, 0xee);
    let answer = answer(&frame).unwrap();
    assert_eq!(answer[..6], [0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(
        answer[38..54],
        [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    );
}

#[test]
fn other_frames_are_not_answered() {
    let mut good = SOLICITATION;
    fix(&mut good);
    for len in 0..good.len() {
        assert_eq!(answer(&good[..len]), None, "{len} bytes");
    }
    // Group source, other protocols and versions, a packet that a router has
    // passed on, other messages, a global address.
    let changes = [
        (6, 0x53),
        (12, 0x08),
        (14, 0x40),
        (20, 17),
        (21, 64),
        (54, 134),
        (55, 1),
    ];
    for (at, value) in changes.into_iter().chain([(22, 0x20), (19, 7)]) {
        let mut frame = good;
        frame[at] = value;
        fix(&mut frame);
        assert_eq!(answer(&frame), None, "byte {at}");
    }
    let mut damaged = good;
    damaged[69] ^= 1;
    assert_eq!(answer(&damaged), None);
}

proptest! {
    #[test]
    fn random_frames_do_not_panic(
        tail in vec(any::<u8>(), 0..120),
        keep in 0_usize..70,
        room in 0_usize..100,
    ) {
        let frame = [&SOLICITATION[..keep], &tail].concat();
        let mut out = vec![0; room];
        if let Some(len) = answer_solicitation(&frame, MAC, &mut out) {
            prop_assert!(len <= room);
        }
    }
}
