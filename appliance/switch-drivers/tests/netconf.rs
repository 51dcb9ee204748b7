//! Operations over NETCONF, well and with every fault of the model.
#![cfg(feature = "netconf")]

mod common;

use common::netconf::{NO_ANSWER, Rig, Session, TRUNK, abilities, access, ok, read};
use common::{KEEP, MOVE, OTHER, PORT, UNDO, carry_out, order};
use farrier_netconf::PortVlans;
use farrier_netconf::dialect::{DIALECTS, JUNOS, JUNOS_ELS, OPENCONFIG};
use farrier_netconf::model::{Fault, OPERATIONS, Profile};
use farrier_netconf::xml::name::Name;
use farrier_switch_drivers::limits::CONFIRM_S;
use farrier_switch_drivers::{OperationError, Seen, SwitchAction, SwitchKind};

#[test]
fn a_port_is_moved_and_kept_on_switches_of_every_kind() {
    for dialect in DIALECTS {
        for capabilities in abilities() {
            for piece in [1, 37, 4096] {
                let mut rig = Rig::new(Profile {
                    capabilities,
                    ..Profile::full(dialect)
                });
                rig.piece = piece;
                let case = format!("{} {capabilities:?} {piece}", dialect.name);
                assert_eq!(rig.does(SwitchAction::Read), read(10), "{case}");
                assert_eq!(rig.does(MOVE), ok(20), "{case}");
                assert_eq!(rig.vlan(), 20, "{case}");
                assert_eq!(rig.does(SwitchAction::Read), read(20), "{case}");
                assert_eq!(rig.does(KEEP), ok(20), "{case}");
                assert!(!rig.model.is_waiting(), "{case}");
                // Again, as after an answer that was lost.
                assert_eq!(rig.does(KEEP), ok(20), "{case}");
                assert_eq!(rig.does(MOVE), ok(20), "{case}");
                rig.wait(2 * CONFIRM_S);
                assert_eq!(rig.vlan(), 20, "{case}");
                assert_eq!(rig.does(UNDO), ok(10), "{case}");
                assert_eq!(rig.does(UNDO), ok(10), "{case}");
                assert_eq!(rig.vlan(), 10, "{case}");
                assert_eq!(rig.model.port(OTHER), Some(access(10)), "{case}");
                assert_eq!(rig.model.lock_holder(), None, "{case}");
            }
        }
    }
}

#[test]
fn a_move_that_is_permanent_at_once_is_never_taken_back_by_the_switch() {
    for dialect in DIALECTS {
        for capabilities in abilities() {
            let mut rig = Rig::new(Profile {
                capabilities,
                ..Profile::full(dialect)
            });
            rig.details.at_once = true;
            let case = format!("{} {capabilities:?}", dialect.name);
            assert_eq!(rig.does(MOVE), ok(20), "{case}");
            assert!(!rig.model.is_waiting(), "{case}");
            rig.wait(2 * CONFIRM_S);
            assert_eq!(rig.vlan(), 20, "{case}");
            assert_eq!(rig.does(KEEP), ok(20), "{case}");
            // The rack may want it back all the same.
            rig.details.at_once = false;
            assert_eq!(rig.does(UNDO), ok(10), "{case}");
            assert_eq!(rig.vlan(), 10, "{case}");
            assert_eq!(rig.model.lock_holder(), None, "{case}");
        }
    }
}

#[test]
fn a_move_that_nobody_keeps_is_taken_back_by_the_switch() {
    let mut rig = Rig::of(&OPENCONFIG);
    assert_eq!(rig.does(MOVE), ok(20));
    assert!(rig.model.is_waiting());
    rig.wait(CONFIRM_S + 60);
    assert_eq!(rig.vlan(), 10);
    let late = rig.does(KEEP);
    assert_eq!(late.result, Err(OperationError::Unexpected));
    assert_eq!(late.port, Seen::Vlan(10));
    assert_eq!(rig.does(UNDO), ok(10));
}

#[test]
fn a_move_is_undone_while_it_waits() {
    let mut rig = Rig::of(&JUNOS_ELS);
    assert_eq!(rig.does(MOVE), ok(20));
    assert_eq!(rig.does(UNDO), ok(10));
    assert!(!rig.model.is_waiting());
    rig.wait(2 * CONFIRM_S);
    assert_eq!(rig.vlan(), 10);
}

#[test]
fn a_port_that_another_moved_is_left_alone() {
    for action in [MOVE, KEEP, UNDO] {
        for capabilities in abilities() {
            let mut rig = Rig::new(Profile {
                capabilities,
                ..Profile::full(&JUNOS)
            });
            rig.model.set_port(PORT, &access(99));
            let changes = rig.model.changes;
            let report = rig.does(action);
            assert_eq!(report.result, Err(OperationError::Unexpected), "{action:?}");
            assert_eq!(report.port, Seen::Vlan(99), "{action:?} {capabilities:?}");
            assert_eq!(rig.model.changes, changes, "{action:?}");
        }
    }
    let mut rig = Rig::of(&JUNOS);
    let trunk = PortVlans::new(None, &[20]).unwrap();
    rig.model.set_port(PORT, &trunk);
    let report = rig.does(SwitchAction::Read);
    assert_eq!((report.result, report.port), (Ok(()), Seen::Other));
}

#[test]
fn a_locked_switch_is_busy() {
    let mut rig = Rig::of(&OPENCONFIG);
    rig.model.faults.next = Some((Name::Lock, 0, Fault::Locked(7)));
    assert_eq!(rig.does(MOVE).result, Err(OperationError::Busy));
    // A move that waits keeps the others out.
    assert_eq!(rig.does(MOVE), ok(20));
    assert_eq!(rig.does(MOVE).result, Err(OperationError::Busy));
    for action in [KEEP, UNDO] {
        rig.model.faults.next = Some((Name::Lock, 0, Fault::Locked(7)));
        assert_eq!(rig.does(action).result, Err(OperationError::Busy));
        assert_eq!(rig.vlan(), 20);
    }
    assert_eq!(rig.does(KEEP), ok(20));
}

#[test]
fn a_confirmation_that_is_forgotten_is_noticed_by_the_lock() {
    let mut rig = Rig::of(&OPENCONFIG);
    assert_eq!(rig.does(MOVE), ok(20));
    rig.model.faults.next = Some((Name::Commit, 0, Fault::Lies));
    assert_eq!(rig.does(KEEP).result, Err(OperationError::Busy));
    assert_eq!(rig.does(KEEP), ok(20));
    rig.wait(2 * CONFIRM_S);
    assert_eq!(rig.vlan(), 20);
}

#[test]
fn a_move_that_a_lost_session_has_not_confirmed_is_not_kept() {
    let mut rig = Rig::new(Profile {
        capabilities: abilities()[1],
        ..Profile::full(&OPENCONFIG)
    });
    rig.model.faults.next = Some((Name::Commit, 0, Fault::HangsAfter));
    let lost = rig.model.connect().unwrap();
    let mut session = Session {
        model: &mut rig.model,
        key: lost,
    };
    let order = order(SwitchKind::Netconf, MOVE);
    let report = carry_out(&mut session, &order, 4_096, &mut rig.now);
    assert_eq!(report.result, Err(OperationError::Uncertain));
    // The appliance has lost power, and the switch does not know.
    assert!(rig.model.is_waiting() && rig.vlan() == 20);
    assert_eq!(rig.does(KEEP).result, Err(OperationError::Busy));
    rig.model.disconnect(lost);
    assert_eq!(rig.vlan(), 10);
    assert_eq!(rig.does(KEEP).result, Err(OperationError::Unexpected));
}

/// What was read is not what is: an answer about another port, or a switch that
/// loses its configuration behind the last reading.
fn is_lie(operation: Name, fault: Fault) -> bool {
    matches!(
        (operation, fault),
        (Name::GetConfig | Name::Unlock, Fault::LosesRunning) | (Name::GetConfig, Fault::WrongData)
    )
}

#[test]
fn every_fault_ends_in_a_known_result() {
    let mut runs = 0;
    for dialect in [&JUNOS, &OPENCONFIG] {
        // With VLANs that come and go: on the best and on the least switch.
        let all = abilities().map(|abilities| (abilities, false));
        let with_vlans = [all[0], all[3]].map(|(abilities, _)| (abilities, true));
        for (capabilities, vlans) in all.into_iter().chain(with_vlans) {
            for operation in OPERATIONS {
                for fault in Fault::ALL {
                    for others in 0..if vlans { 2 } else { 4 } {
                        for action in [SwitchAction::Read, MOVE, KEEP, UNDO] {
                            let profile = Profile {
                                capabilities,
                                ..Profile::full(dialect)
                            };
                            let mut rig = match vlans {
                                true => Rig::with_trunk(profile),
                                false => Rig::new(profile),
                            };
                            if matches!(action, KEEP | UNDO) {
                                assert_eq!(rig.does(MOVE), ok(20));
                            }
                            rig.model.faults.next = Some((operation, others, fault));
                            let case = format!(
                                "{} {capabilities:?} {operation:?} {fault:?} {others} {vlans} {action:?}",
                                dialect.name
                            );
                            every(&mut rig, (operation, fault), action, &case);
                            runs += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(runs, 2 * 9 * 13 * 4 * (4 * 4 + 2 * 2));
}

fn every(rig: &mut Rig, (operation, fault): (Name, Fault), action: SwitchAction, case: &str) {
    let report = rig.does(action);
    let hit = rig.model.faults.next.take().is_none();
    let vlan = rig.vlan();
    let case = format!("{case}: {report:?}, hit {hit}, is {vlan}");
    assert_eq!(rig.model.carries(PORT), rig.model.port(PORT), "{case}");
    let other = rig.model.port(OTHER);
    let lie = hit && is_lie(operation, fault);
    if !lie {
        if let Seen::Vlan(known) = report.port {
            assert_eq!(known, vlan, "{case}");
        }
        match (report.result, action) {
            (Ok(()), SwitchAction::Read) => {}
            (Ok(()), SwitchAction::Move { .. } | SwitchAction::Keep { .. }) => {
                assert_eq!(vlan, 20, "{case}");
            }
            (Ok(()), SwitchAction::Undo { .. }) => assert_eq!(vlan, 10, "{case}"),
            (Err(OperationError::Uncertain), _) => {
                assert_eq!(report.port, Seen::Unread, "{case}");
            }
            (Err(_), _) => {}
        }
        if !hit {
            assert_eq!(report.result, Ok(()), "{case}");
        }
    }
    // No answer but "uncertain" and "busy", and a move that waits, leaves
    // anything that goes on by itself.
    let untouched = report.port == Seen::Unread && rig.model.is_waiting();
    let goes_on = untouched
        || matches!(
            report.result,
            Err(OperationError::Uncertain | OperationError::Busy)
        )
        || action == MOVE && report.result.is_ok();
    if !goes_on && !lie && !matches!(action, SwitchAction::Read) {
        rig.wait(2 * CONFIRM_S);
        assert_eq!(rig.vlan(), vlan, "later {case}");
        assert_eq!(
            rig.model.carries(PORT),
            rig.model.port(PORT),
            "later {case}"
        );
    }
    assert_eq!(rig.model.port(OTHER), other, "{case}");
    // A candidate that someone else left behind keeps everybody out until an
    // operator discards it.
    if fault == Fault::AppliesHalf && rig.model.is_dirty() {
        rig.model.set_port(OTHER, &other.unwrap());
    }
    // Whatever has happened, the rack can read the port and take it back.
    let found = rig.does(SwitchAction::Read);
    assert_eq!(found, read(rig.vlan()), "{case}");
    if matches!(rig.vlan(), 10 | 20) {
        assert_eq!(rig.does(UNDO), ok(10), "{case}");
        rig.wait(2 * CONFIRM_S);
        assert_eq!(rig.vlan(), 10, "{case}");
        assert_eq!(rig.model.carries(PORT), Some(access(10)), "{case}");
        if let Some(trunk) = rig.model.carries(TRUNK) {
            assert!(trunk.tagged().contains(&10), "{trunk:?}, {case}");
        }
    }
    assert!(!rig.model.is_waiting(), "{case}");
    assert!(rig.has(99), "an operator's VLAN, {case}");
}

#[test]
fn a_port_is_read_by_switches_that_do_not_say_its_link() {
    for fault in NO_ANSWER {
        let mut rig = Rig::of(&OPENCONFIG);
        rig.model.faults.next = Some((Name::Get, 0, fault));
        let report = rig.does(SwitchAction::Read);
        assert_eq!(report, ok(10), "{fault:?}");
        assert!(rig.model.faults.next.is_none(), "{fault:?}");
    }
    let mut rig = Rig::of(&OPENCONFIG);
    rig.model.learned.link(PORT, false);
    assert_eq!(rig.does(SwitchAction::Read).link, Some(false));
}
