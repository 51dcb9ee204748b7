//! Runs the fuzz bodies on random bytes.

use farrier_tftp::fuzz;
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn plain_random_bytes(bytes in vec(any::<u8>(), 0..600)) {
        fuzz::packet(&bytes);
        fuzz::download(&bytes);
    }

    #[test]
    fn random_strings_behind_an_opcode(
        opcode in 0_u8..8,
        strings in vec("(blksize|tsize|octet|[0-9]{0,21}|[/\\\\.a]{0,9}|[ -~]{0,9})", 0..8),
        end in any::<bool>(),
    ) {
        let mut bytes = [&[0, opcode][..], strings.join("\0").as_bytes()].concat();
        if end {
            bytes.push(0);
        }
        fuzz::packet(&bytes);
    }

    #[test]
    fn random_peers(script in vec(0..=255_u8, 0..200)) {
        fuzz::transfer(&script);
    }

    #[test]
    fn random_servers(
        packets in vec((2_u8..7, 0_u8..12, prop::sample::select(vec![0_usize, 5, 63, 64, 65])), 0..60),
    ) {
        let mut script = Vec::new();
        for (opcode, block, len) in packets {
            script.extend_from_slice(&[len as u8 + 4, 0, opcode, 0, block]);
            script.extend(std::iter::repeat_n(block, len));
        }
        fuzz::download(&script);
    }
}
