//! Runs the fuzz bodies on random bytes, on real messages, and on real messages
//! with changed or missing bytes.

mod common;

use farrier_dhcp::fuzz;
use proptest::collection::vec;
use proptest::prelude::*;

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

fn check_all(bytes: &[u8]) {
    fuzz::request(bytes);
    fuzz::reply(bytes);
}

#[test]
fn real_messages_and_their_prefixes_keep_the_rules() {
    for bytes in corpus() {
        for len in 0..=bytes.len() {
            check_all(&bytes[..len]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn random_bytes_keep_the_rules(bytes in vec(any::<u8>(), 0..700)) {
        check_all(&bytes);
    }

    #[test]
    fn random_options_keep_the_rules(op in 1_u8..=2, options in vec(any::<u8>(), 0..300)) {
        let typed = [&[53, 1, if op == 1 { 1 } else { 2 }, 54, 4, 10, 0, 0, 1], &options[..]];
        check_all(&common::message(op, &typed.concat()));
    }

    #[test]
    fn damaged_messages_keep_the_rules(
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
        check_all(&bytes);
    }
}
