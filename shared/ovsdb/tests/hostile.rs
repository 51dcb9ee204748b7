//! Any bytes, as a switch and as a client: nothing panics, and a session ends in
//! a state that its owner sees.

#[allow(dead_code, reason = "each test uses a part of the rig")]
mod common;

use common::{PORTS, Rig, access, move_p1};
use farrier_ovsdb::model::{Connection, Fault, Pace, Startup};
use farrier_ovsdb::{Event, Outcome, PortVlan, State, fuzz};
use proptest::prelude::*;

/// Words that reach far into a session.
const WORDS: [&str; 44] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "1",
    "2",
    "3",
    "4",
    "-1",
    "4096",
    "1e9",
    "\"id\"",
    "\"method\"",
    "\"params\"",
    "\"result\"",
    "\"error\"",
    "\"update\"",
    "\"echo\"",
    "\"farrier\"",
    "\"Port\"",
    "\"Open_vSwitch\"",
    "\"new\"",
    "\"old\"",
    "\"tag\"",
    "\"trunks\"",
    "\"set\"",
    "\"map\"",
    "\"uuid\"",
    "\"rows\"",
    "\"count\"",
    "\"op\"",
    "\"wait\"",
    "\"where\"",
    "\"transact\"",
    "\"monitor\"",
    "\"columns\"",
    "\"name\"",
    "\"fa440000-0000-4000-8000-000000000012\"",
    "{\"id\":null,\"method\":\"update\",\"params\":[\"farrier\",{\"Port\":{",
    "\"fa440000-0000-4000-8000-000000000012\":{\"new\":{\"trunks\":[\"set\",[",
];

fn words() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(&WORDS[..]), 0..60)
        .prop_map(|words| words.concat().into_bytes())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(any::<u8>(), 0..300), words()]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop::sample::select(vec![
        Fault::None,
        Fault::Refuses,
        Fault::Hangs,
        Fault::HangsAfterCommit,
        Fault::Drops,
        Fault::DropsAfterCommit,
        Fault::Half,
        Fault::Lies,
        Fault::LiesInDataPath,
        Fault::NeverApplies,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn a_session_takes_any_bytes(bytes in bytes(), state in 0_u8..8, cut in 1_usize..40) {
        let mut script = vec![state, cut as u8];
        script.extend(bytes);
        fuzz::session(&script);
    }

    #[test]
    fn the_model_takes_any_bytes(bytes in bytes()) {
        let mut rig = Rig::new(1);
        let mut connection = Connection::<512>::new(&rig.switch);
        let mut input = bytes.as_slice();
        for _ in 0..bytes.len() + 1 {
            connection.receive(&mut rig.switch, &mut input);
            connection.sent(connection.output().len());
        }
        prop_assert!(input.is_empty() || connection.is_closed());
        prop_assert_eq!(rig.switch.ports().count(), 3);
    }

    /// A message of the switch with one byte changed.
    #[test]
    fn a_changed_byte_is_a_fault_or_a_value(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut rig = Rig::ready(usize::MAX);
        rig.session.begin(&move_p1()).unwrap();
        let mut out = [0; farrier_ovsdb::MAX_REQUEST];
        let len = rig.session.send(&mut out).unwrap();
        rig.connection.receive(&mut rig.switch, &mut &out[..len]);
        let mut answer = rig.connection.output().to_vec();
        let at = at.index(answer.len());
        answer[at] = byte;
        let mut input = answer.as_slice();
        while let Ok(Some(_)) = rig.session.receive(&mut input, &mut ()) {
            if rig.session.send(&mut out).unwrap() > 0 {
                break;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the switch does: `Applied` is true of its database, a conflict
    /// and a refusal leave the port alone, and no other port is ever touched.
    #[test]
    fn outcomes_are_true_of_the_database(
        faults in prop::collection::vec((fault(), any::<bool>(), any::<bool>(), 1_u16..4), 1..6),
        slice in 1_usize..200,
    ) {
        let mut rig = Rig::ready(slice);
        for (fault, told, restart, vlan) in faults {
            let before = *rig.switch.port("p1").unwrap().vlan();
            rig.switch.set_fault(fault);
            rig.switch.set_pace(if told { Pace::WhenTold } else { Pace::AfterReply });
            let mut change = move_p1();
            if !restart {
                change.expected = before;
            }
            change.desired = access(vlan);
            rig.session.begin(&change).unwrap();
            let mut events = rig.run();
            rig.switch.apply();
            events.extend(rig.run());
            let now = *rig.switch.port("p1").unwrap().vlan();
            let done = events.iter().find_map(|event| match event {
                Event::Done(outcome) => Some(*outcome),
                _ => None,
            });
            match done {
                Some(Outcome::Applied) => {
                    prop_assert_eq!(now, change.desired);
                    prop_assert_eq!(before, change.expected);
                }
                Some(Outcome::Conflict { found }) => {
                    prop_assert_eq!(found, Some(now));
                    prop_assert_eq!(now, before);
                    prop_assert_ne!(before, change.expected);
                }
                Some(Outcome::Refused(_)) => prop_assert_eq!(now, before),
                Some(Outcome::NotApplied { found }) => {
                    prop_assert_eq!(found, Some(now));
                    prop_assert_ne!(now, change.desired);
                }
                Some(Outcome::Unproven(_)) => prop_assert!(false, "the model shows every port"),
                None => {
                    prop_assert!(rig.session.give_up().is_some());
                    prop_assert!(now == before || now == change.desired);
                }
            }
            prop_assert_eq!(*rig.switch.port("p2").unwrap().vlan(), PortVlan::UNSET);
            let up = PortVlan::trunk(&[10, 20]).unwrap();
            prop_assert_eq!(*rig.switch.port("up").unwrap().vlan(), up);
            if restart {
                rig.switch.restart(Startup::Kept);
            }
            rig.switch.set_fault(Fault::None);
            rig.reconnect();
            prop_assert_eq!(rig.session.state(), State::Ready);
            prop_assert_eq!(rig.read("p1"), Some(now));
        }
        prop_assert!(PORTS > rig.switch.ports().count());
    }
}
