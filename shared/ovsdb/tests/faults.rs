//! Changes against the model of a switch, well and with each of its faults.

#[allow(dead_code, reason = "each test uses a part of the rig")]
mod common;

use common::{Rig, access, move_p1, name, outcome};
use farrier_ovsdb::model::{Connection, Fault, Pace, Startup, Switch};
use farrier_ovsdb::{Change, Event, NotNow, Outcome, PortVlan, Stage, State, VlanMode};

fn running(rig: &Rig, port: &str) -> PortVlan {
    *rig.switch.port(port).unwrap().running()
}

#[test]
fn the_initial_state_is_shown_whatever_the_slices() {
    let whole = Rig::ready(usize::MAX);
    assert_eq!(whole.seen.ports["p1"], access(10));
    assert_eq!(whole.seen.ports["p2"], PortVlan::UNSET);
    assert_eq!(whole.seen.ports["up"].trunks.ids(), [10, 20]);
    let p1 = &whole.seen.interfaces["p1"];
    assert_eq!((p1.ofport, p1.link_up), (Some(1), Some(true)));
    assert_eq!(p1.mac_in_use, Some([2, 0xfa, 0x44, 0, 0, 1]));
    assert_eq!(whole.seen.statistics[0], ("rx_packets".into(), 0));
    assert_eq!(whole.seen.status[0].0, "driver_name");
    assert_eq!(whole.session.cur_cfg(), Some(1));
    for slice in [1, 2, 3, 7, 64, 1000] {
        assert_eq!(Rig::ready(slice).seen, whole.seen, "slices of {slice}");
    }
}

#[test]
fn a_change_is_applied_and_only_the_named_port_is_touched() {
    for slice in [1, 5, usize::MAX] {
        for pace in [Pace::AfterReply, Pace::AtOnce] {
            let mut rig = Rig::ready(slice);
            rig.switch.set_pace(pace);
            assert_eq!(rig.change(&move_p1()), Outcome::Applied);
            assert_eq!(running(&rig, "p1"), access(20));
            assert_eq!(running(&rig, "p2"), PortVlan::UNSET);
            assert_eq!(rig.seen.ports["p1"], access(20));
            rig.session.rollback().unwrap();
            assert_eq!(outcome(&rig.run()), Outcome::Applied);
            assert_eq!(running(&rig, "p1"), access(10));
            assert_eq!(rig.switch.commits(), 2);
        }
    }
}

#[test]
fn a_port_that_another_changed_is_left_alone() {
    let mut rig = Rig::ready(usize::MAX);
    assert!(rig.switch.set_vlan("p1", access(99)));
    let found = Some(access(99));
    assert_eq!(rig.change(&move_p1()), Outcome::Conflict { found });
    assert_eq!(running(&rig, "p1"), access(99));
    assert_eq!(rig.switch.commits(), 0);
    assert_eq!(rig.session.rollback(), Err(NotNow::NothingToUndo));
    // Nor is a rollback blind.
    let again = Change {
        expected: access(99),
        ..move_p1()
    };
    assert_eq!(rig.change(&again), Outcome::Applied);
    assert!(rig.switch.set_vlan("p1", access(7)));
    rig.session.rollback().unwrap();
    let found = Some(access(7));
    assert_eq!(outcome(&rig.run()), Outcome::Conflict { found });
    let gone = Change {
        port: name("p9"),
        ..move_p1()
    };
    assert_eq!(rig.change(&gone), Outcome::Conflict { found: None });
}

#[test]
fn a_refusal_has_the_words_of_the_switch() {
    let mut rig = Rig::ready(usize::MAX);
    rig.switch.set_fault(Fault::Refuses);
    let Outcome::Refused(refusal) = rig.change(&move_p1()) else {
        panic!("the switch refuses");
    };
    assert_eq!(
        refusal.to_string(),
        "constraint violation: the switch refuses"
    );
    assert_eq!(rig.session.state(), State::Ready);
    assert_eq!(running(&rig, "p1"), access(10));
}

#[test]
fn half_and_lies_are_found_by_reading_back() {
    let mut rig = Rig::ready(usize::MAX);
    rig.switch.set_fault(Fault::Lies);
    let found = Some(access(10));
    assert_eq!(rig.change(&move_p1()), Outcome::NotApplied { found });
    rig.switch.set_fault(Fault::Half);
    let change = Change {
        port: name("p2"),
        expected: PortVlan::UNSET,
        desired: PortVlan::native(5, &[6]).unwrap(),
    };
    let half = PortVlan {
        tag: Some(5),
        ..PortVlan::UNSET
    };
    let found = Some(half);
    assert_eq!(rig.change(&change), Outcome::NotApplied { found });
    // The port is not as desired, so the plain rollback leaves it alone …
    rig.switch.set_fault(Fault::None);
    rig.session.rollback().unwrap();
    assert_eq!(outcome(&rig.run()), Outcome::Conflict { found });
    // … and the owner decides by what was found.
    let back = Change {
        expected: half,
        desired: PortVlan::UNSET,
        ..change
    };
    assert_eq!(rig.change(&back), Outcome::Applied);
}

#[test]
fn a_lie_of_the_data_path_is_not_seen_in_the_database() {
    let mut rig = Rig::ready(usize::MAX);
    rig.switch.set_fault(Fault::LiesInDataPath);
    assert_eq!(rig.change(&move_p1()), Outcome::Applied);
    assert_eq!(running(&rig, "p1"), access(10), "frames know better");
}

#[test]
fn what_is_applied_late_is_waited_for_in_a_state_of_its_own() {
    let mut rig = Rig::ready(3);
    rig.switch.set_pace(Pace::WhenTold);
    let events = rig.begin(&move_p1());
    assert!(events.contains(&Event::Committed));
    assert_eq!(rig.session.state(), State::Apply { next_cfg: 2 });
    assert!(rig.run().is_empty());
    rig.switch.apply();
    assert_eq!(outcome(&rig.run()), Outcome::Applied);
}

#[test]
fn what_is_never_applied_can_be_undone() {
    let mut rig = Rig::ready(usize::MAX);
    rig.switch.set_fault(Fault::NeverApplies);
    rig.begin(&move_p1());
    assert_eq!(rig.session.give_up(), Some(Stage::Committed));
    assert_eq!(rig.session.state(), State::Ready);
    rig.switch.set_fault(Fault::None);
    rig.session.rollback().unwrap();
    assert_eq!(outcome(&rig.run()), Outcome::Applied);
    assert_eq!(running(&rig, "p1"), access(10));
}

#[test]
fn a_switch_that_hangs_leaves_open_what_happened() {
    for (fault, vlan) in [(Fault::Hangs, 10), (Fault::HangsAfterCommit, 20)] {
        let mut rig = Rig::ready(usize::MAX);
        rig.switch.set_fault(fault);
        assert!(rig.begin(&move_p1()).is_empty());
        assert_eq!(rig.session.state(), State::Commit);
        assert_eq!(rig.session.give_up(), Some(Stage::Unanswered));
        assert!(matches!(rig.session.state(), State::Failed(_)));
        assert_eq!(rig.session.begin(&move_p1()), Err(NotNow::Busy));
        rig.switch.set_fault(Fault::None);
        rig.reconnect();
        assert_eq!(rig.read("p1"), Some(access(vlan)));
    }
}

#[test]
fn a_lost_connection_leaves_open_what_happened() {
    for (fault, vlan) in [(Fault::Drops, 10), (Fault::DropsAfterCommit, 20)] {
        let mut rig = Rig::ready(usize::MAX);
        rig.switch.set_fault(fault);
        rig.begin(&move_p1());
        assert!(rig.connection.is_closed());
        assert_eq!(rig.session.give_up(), Some(Stage::Unanswered));
        rig.switch.set_fault(Fault::None);
        rig.reconnect();
        assert_eq!(rig.read("p1"), Some(access(vlan)));
        let back = move_p1().reversed();
        let wanted = match vlan {
            20 => Outcome::Applied,
            _ => Outcome::Conflict {
                found: Some(access(10)),
            },
        };
        assert_eq!(rig.change(&back), wanted);
    }
}

#[test]
fn a_restarted_switch_closes_and_may_have_lost_its_configuration() {
    for (startup, vlan) in [(Startup::Kept, 20), (Startup::Lost, 10)] {
        let mut rig = Rig::ready(usize::MAX);
        assert_eq!(rig.change(&move_p1()), Outcome::Applied);
        rig.switch.restart(startup);
        rig.connection.poll(&mut rig.switch);
        assert!(rig.connection.is_closed());
        rig.reconnect();
        assert_eq!(rig.seen.ports["p1"], access(vlan));
        assert_eq!(running(&rig, "p1"), access(vlan));
    }
}

#[test]
fn others_changes_are_shown_as_they_happen() {
    let mut rig = Rig::ready(11);
    rig.switch.set_vlan("p2", PortVlan::trunk(&[4]).unwrap());
    rig.switch.set_link("p1", false);
    rig.switch.count("p1", 3, 4);
    let events = rig.run();
    assert!(events.iter().all(|event| *event == Event::Updated));
    assert_eq!(rig.seen.ports["p2"].trunks.ids(), [4]);
    assert_eq!(rig.seen.ports["p2"].mode, Some(VlanMode::Trunk));
    assert_eq!(rig.seen.interfaces["p1"].link_up, Some(false));
    let last = rig.seen.statistics.iter().rev().take(2);
    assert_eq!(last.map(|entry| entry.1).collect::<Vec<_>>(), [4, 3]);
}

#[test]
fn the_switch_is_answered_also_while_a_change_waits() {
    let mut rig = Rig::ready(2);
    rig.connection.ask_echo();
    assert_eq!(rig.run(), [Event::Send]);
    rig.switch.set_pace(Pace::WhenTold);
    rig.begin(&move_p1());
    rig.connection.ask_echo();
    rig.connection.ask_echo();
    assert_eq!(rig.run(), [Event::Send, Event::Send]);
    assert_eq!(rig.connection.echoed(), 3);
    rig.switch.apply();
    assert_eq!(outcome(&rig.run()), Outcome::Applied);
    rig.session.probe().unwrap();
    assert_eq!(rig.run(), [Event::Alive]);
}

#[test]
fn one_thing_at_a_time() {
    let mut rig = Rig::new(usize::MAX);
    assert_eq!(rig.session.begin(&move_p1()), Err(NotNow::Busy));
    rig.run();
    rig.session.begin(&move_p1()).unwrap();
    assert_eq!(rig.session.begin(&move_p1()), Err(NotNow::Busy));
    assert_eq!(rig.session.read(&name("p1")), Err(NotNow::Busy));
    assert_eq!(rig.session.probe(), Err(NotNow::Busy));
    // It was not sent yet.
    assert_eq!(rig.session.give_up(), Some(Stage::Unsent));
    assert_eq!(rig.session.state(), State::Ready);
    assert!(rig.run().is_empty());
    assert_eq!(rig.change(&move_p1()), Outcome::Applied);
    // Reading another port ends what can be undone.
    assert_eq!(rig.read("p1"), Some(access(20)));
    rig.read("p2");
    assert_eq!(rig.session.rollback(), Err(NotNow::NothingToUndo));
}

#[test]
fn a_switch_of_many_ports_needs_no_larger_buffer() {
    let mut switch = Switch::<100>::new();
    for at in 0..100 {
        assert!(switch.add_port(name(&format!("ge-0/0/{at}")), access(at + 1)));
    }
    assert!(!switch.add_port(name("one-more"), access(1)));
    let mut connection = Connection::<2048>::new(&switch);
    let request = br#"{"id":"a","method":"monitor","params":["Open_vSwitch",[1],{"Port":{}}]}"#;
    connection.receive(&mut switch, &mut &request[..]);
    let mut text = Vec::new();
    while !connection.output().is_empty() {
        text.extend_from_slice(connection.output());
        connection.sent(connection.output().len());
        connection.poll(&mut switch);
    }
    let reply: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(reply["id"], "a");
    let rows = reply["result"]["Port"].as_object().unwrap();
    assert_eq!(rows.len(), 100);
    assert!(rows.values().all(|row| row["new"]["vlan_mode"] == "access"));
}
