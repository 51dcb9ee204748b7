//! Published test vectors of `Noise_IK_25519_ChaChaPoly_SHA256`, from the
//! files `cacophony.txt` and `snow.txt` that Noise implementations share. They
//! verify the library with the primitives of this crate.

use std::{vec, vec::Vec};

use super::*;
use crate::crypto::{noise_nonce, open_in_place, seal_in_place};

struct Vector {
    prologue: &'static str,
    init_static: &'static str,
    init_ephemeral: &'static str,
    resp_static: &'static str,
    resp_public: &'static str,
    resp_ephemeral: &'static str,
    /// Payloads and cipher texts: two of the handshake, then alternately of the
    /// initiator and the responder.
    messages: &'static [(&'static str, &'static str)],
}

const VECTORS: [Vector; 2] = [
    Vector {
        prologue: "4a6f686e2047616c74",
        init_static: "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
        init_ephemeral: "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
        resp_static: "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
        resp_public: "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
        resp_ephemeral: "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
        messages: &[
            (
                "4c756477696720766f6e204d69736573",
                "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944718da798efbcd9\
                 1528520204f904b9bd6c7413dccdc214d951e15253e39987f18146e8cd0873654207148333479d\
                 4d16c289f0294b29960a72f48e0b7bba2e89083169825e59642148d492020664ccf7",
            ),
            (
                "4d757272617920526f746862617264",
                "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088435361e70b2ed446\
                 e6c9ec387d1d6b3b840f194e373979d241b203c4acafccf5",
            ),
            (
                "462e20412e20486179656b",
                "050e9f3c8fac16b68dbce8f8c4bfbf6617c897f9ada4aa29aa19c8",
            ),
            (
                "4361726c204d656e676572",
                "344233a6cabb7141d80f3da2fedc311d9646bbb0f505afe403a667",
            ),
            (
                "4a65616e2d426170746973746520536179",
                "62cdeeb172ad7ade7aa7d9e069da5790f12331bfa00177787a1d0810c67dc3b2b4",
            ),
            (
                "457567656e2042f6686d20766f6e2042617765726b",
                "029bead1b40992327044d409d9a1f3ad8f36c3c452775d557e18bbeb2e8dfcead32d514024",
            ),
        ],
    },
    Vector {
        prologue: "5468657265206973206e6f20726967687420616e642077726f6e672e205468657265277320\
                   6f6e6c792066756e20616e6420626f72696e672e",
        init_static: "f49f93c5112c0787acc808d61716d7e090e076a58f15a3f78d92773f8dcb473b",
        init_ephemeral: "dae68498c41315cff7e4a34dded8d973199d8f0cf3fcb8b6651c169de77de8be",
        resp_static: "b790546f98b1e933c48cd01f17e7b281469d46fcacc9a3b584ae65b1d6272e8e",
        resp_public: "2ea5942829bac414e25aa4cbb1bcc43394816ebb1bd12550d7d0eb4415e42951",
        resp_ephemeral: "c0875a5b59c8492bd2135e5432d7d484f938e0a1f5009428c4bcb70b2f69f69f",
        messages: &[
            (
                "95a8f51c435a9530ff1f30868ed7b23ec952eb513c26a0774fed82d2978a8c81",
                "6d21fec9141f3f37cc464e936a48b2d9521b5a44e0f3d960895d3c3fba30282f731f445c25e898\
                 e2534ac0536715b24308c108fc46bd260c887b36c3f68e3a05654fc8295c068ed53fb202256096\
                 1224e0b10b0835e1efc82fc587cd50f7178fe3d9eb06e0351c6e7334162c10bed670bfa2a105f7\
                 b2768a140b3fd597782601",
            ),
            (
                "b866b807a6d8b83182b884dbfedc861843c5082bd6e480cb54e4245a72083041",
                "e64e1fb8701c4f4bc3850b255fea657d4d835338b059c89acc99628fbe52473b41a4e79e3c1e6a\
                 bc46bf80f078a005e15d8a3e04f989af3e6cb99b52031165006163ac3e17b928af8c116009d7bf\
                 4fb2",
            ),
            (
                "e3a4937faef391028f759758b428b57652e0069a8dee64dfed01b60846938740",
                "2bebe19102169cdfe79cf41e38930bfd20a5b2fc78ccf33e853ddd939c0983174656eb27b61464\
                 a607762848892ca1c0",
            ),
            (
                "693972f27b0cb98aeac1fb54d782125431e7540e0cb2fa882cf51a8184d724fd",
                "c7c56da33b45d12f4754e17978bd49999c9c8f51d00db460f902aba2e6e245d0c46662f507915d\
                 e8596f43b1d175f1db",
            ),
        ],
    },
];

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn key(hex: &str) -> [u8; 32] {
    bytes(hex).try_into().unwrap()
}

#[test]
fn published_vectors_pass() {
    for vector in &VECTORS {
        let prologue = bytes(vector.prologue);
        let public = key(vector.resp_public);
        assert_eq!(public_key(&key(vector.resp_static)), public);
        let mut agent = Initiator::new(
            &prologue,
            &key(vector.init_static),
            &key(vector.init_ephemeral),
            &public,
        )
        .unwrap();
        let mut appliance = Responder::new(
            &prologue,
            key_pair(&key(vector.resp_static)),
            &key(vector.resp_ephemeral),
        )
        .unwrap();
        let [first, second, transport @ ..] = vector.messages else {
            panic!("a handshake has two messages");
        };
        let (mut message, mut payload) = ([0; 256], [0; 256]);

        let len = agent.write(&bytes(first.0), &mut message).unwrap();
        assert_eq!(message[..len], bytes(first.1));
        let len = appliance.read(&message[..len], &mut payload).unwrap();
        assert_eq!(payload[..len], bytes(first.0));

        let (keys, len) = appliance.write(&bytes(second.0), &mut message).unwrap();
        assert_eq!(message[..len], bytes(second.1));
        let (same, len) = agent.read(&message[..len], &mut payload).unwrap();
        assert_eq!(payload[..len], bytes(second.0));
        assert!(keys == same);

        for (i, (plain, sealed)) in transport.iter().enumerate() {
            let key = if i % 2 == 0 {
                &keys.requests
            } else {
                &keys.replies
            };
            let nonce = noise_nonce((i / 2) as u64);
            let (plain, sealed) = (bytes(plain), bytes(sealed));
            let mut buffer = vec![0; sealed.len()];
            buffer[..plain.len()].copy_from_slice(&plain);
            seal_in_place(key, &nonce, &[], &mut buffer, plain.len()).unwrap();
            assert_eq!(buffer, sealed);
            let opened = open_in_place(key, &nonce, &[], &mut buffer).unwrap();
            assert_eq!(opened, plain);
        }
    }
}

#[test]
fn points_of_small_order_are_refused() {
    // The order-1, order-2 and an order-8 point of RFC 7748's curve.
    let mut small = [[0; 32]; 3];
    small[1][0] = 1;
    small[2] = key("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
    for point in small {
        let mut agent = Initiator::new(&[], &[1; 32], &[2; 32], &point).unwrap();
        assert_eq!(agent.write(&[], &mut [0; 256]), Err(Failed));
    }
}
