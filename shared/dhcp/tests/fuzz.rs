//! The fuzz bodies over plain random bytes, and over real messages with bytes
//! changed, cut off and put in.

mod common;

use farrier_dhcp::{frame, fuzz};
use proptest::collection::vec;
use proptest::prelude::*;
use std::net::Ipv4Addr;

fn corpus() -> Vec<Vec<u8>> {
    let mut reply = common::message(
        2,
        &common::options(&[
            (53, &[5]),
            (54, &[10, 0, 0, 1]),
            (51, &[0, 0, 2, 88]),
            (1, &[255, 255, 255, 0]),
            (43, &[6, 1, 8, 255]),
            (66, b"10.0.0.1"),
            (67, b"snponly.efi"),
            (52, &[2]),
            (82, &[1, 1, 1]),
        ]),
    );
    reply[16..20].copy_from_slice(&[10, 0, 0, 100]);
    reply[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    reply[44..50].copy_from_slice(&[12, 3, b'a', b'b', b'c', 255]);
    vec![
        common::ovmf_discover(),
        common::ipxe_discover(),
        common::bios_discover(),
        reply,
    ]
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let header = frame::Header {
        src_mac: common::MAC,
        dst_mac: frame::BROADCAST,
        src: Ipv4Addr::UNSPECIFIED,
        dst: Ipv4Addr::BROADCAST,
        src_port: 68,
        dst_port: 67,
    };
    let mut buf = [&[0; frame::HEADER_LEN][..], payload].concat();
    frame::emit(&mut buf, &header, payload.len()).unwrap();
    buf
}

fn all(bytes: &[u8]) {
    fuzz::request(bytes);
    fuzz::reply(bytes);
    fuzz::frame(bytes);
}

#[test]
fn corpus_and_all_its_prefixes() {
    for bytes in corpus() {
        for len in 0..=bytes.len() {
            all(&bytes[..len]);
        }
        let frame = framed(&bytes);
        for len in 0..=frame.len() {
            fuzz::frame(&frame[..len]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn plain_random_bytes(bytes in vec(any::<u8>(), 0..700)) {
        all(&bytes);
    }

    #[test]
    fn random_options(op in 1_u8..=2, options in vec(any::<u8>(), 0..300)) {
        let typed = [&[53, 1, if op == 1 { 1 } else { 2 }, 54, 4, 10, 0, 0, 1], &options[..]];
        all(&common::message(op, &typed.concat()));
    }

    #[test]
    fn damaged_messages(
        which in 0_usize..4,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        cut_off in any::<bool>(),
    ) {
        let mut bytes = corpus().swap_remove(which);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut_off {
            let len = cut.index(bytes.len());
            bytes.truncate(len);
        }
        all(&bytes);
        fuzz::frame(&framed(&bytes));
    }
}
