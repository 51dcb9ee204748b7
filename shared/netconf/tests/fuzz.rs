//! Runs the fuzz bodies on random bytes, and the client and the model server on
//! each other's changed bytes.

mod common;

use common::{OTHER, Wire, access, flip};
use farrier_netconf::dialect::OPENCONFIG;
use farrier_netconf::{Step, fuzz};
use proptest::collection::vec;
use proptest::prelude::*;

const PARTS: [&str; 26] = [
    "<rpc-reply message-id='1'>",
    "</rpc-reply>",
    "<data>",
    "</data>",
    "<interfaces>",
    "<interface>",
    "<name>p</name>",
    "<rpc-error>",
    "</rpc-error>",
    "<a>",
    "</a>",
    "<a/>",
    "<a b='c'>",
    "<a xmlns='x'>",
    "<a xmlns:p='x'>",
    "<![CDATA[x]]>",
    "<!--x-->",
    "<?x?>",
    "&lt;",
    "&#65;",
    "]]>]]>",
    "\n#3\n",
    "\n##\n",
    "text",
    " ",
    "<!DOCTYPE x>",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn plain_random_bytes(bytes in vec(any::<u8>(), 0..400)) {
        fuzz::document(&bytes);
        fuzz::frames(&bytes);
        fuzz::client(&bytes);
    }

    #[test]
    fn random_markup(parts in vec(prop::sample::select(&PARTS[..]), 0..60)) {
        let bytes = parts.concat();
        fuzz::document(bytes.as_bytes());
        fuzz::frames(bytes.as_bytes());
    }

    #[test]
    fn random_switches(script in vec(any::<u8>(), 0..200)) {
        fuzz::client(&script);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A byte that is changed on the way ends the session or nothing. A changed
    /// answer moves no other port, and the change is taken back.
    #[test]
    fn a_changed_byte_moves_no_other_port(
        place in 0_usize..6000,
        byte in any::<u8>(),
        to_server in any::<bool>(),
    ) {
        let mut wire = Wire::full(&OPENCONFIG);
        wire.client.flip(&flip(access(20))).unwrap();
        let mut passed = 0;
        let mut buffer = [0; 512];
        for _ in 0..200 {
            let length = wire.client.peek(&mut buffer);
            wire.client.sent(length);
            if to_server && (passed..passed + length).contains(&place) {
                buffer[place - passed] = byte;
            }
            passed += if to_server { length } else { 0 };
            wire.model.receive(wire.key, &buffer[..length]);
            let length = wire.model.transmit(wire.key, &mut buffer);
            if !to_server && (passed..passed + length).contains(&place) {
                buffer[place - passed] = byte;
            }
            passed += if to_server { 0 } else { length };
            wire.client.receive(&buffer[..length], &mut ());
            if !wire.model.is_open(wire.key) {
                wire.client.closed();
            }
            match wire.client.step() {
                Step::Evidence | Step::Over | Step::Ready => break,
                _ => {}
            }
        }
        wire.model.disconnect(wire.key);
        wire.model.set_time(10_000_000);
        // A changed request may be another valid one, and no client can help it.
        if !to_server {
            prop_assert_eq!(wire.model.port(OTHER), Some(access(10)));
            prop_assert_eq!(wire.port(), access(10));
        }
        prop_assert!(wire.model.lock_holder().is_none());
    }
}
