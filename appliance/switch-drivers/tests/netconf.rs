//! Operations over NETCONF, well and with every fault of the model.
#![cfg(feature = "netconf")]

mod common;

use common::{KEEP, MOVE, OTHER, PORT, Peer, UNDO, carry_out, order};
use farrier_netconf::dialect::{DIALECTS, JUNOS, JUNOS_ELS, OPENCONFIG};
use farrier_netconf::hello::Capabilities;
use farrier_netconf::model::{Config, Fault, Model, OPERATIONS, Profile, SessionKey};
use farrier_netconf::xml::name::Name;
use farrier_netconf::{Dialect, PortVlans};
use farrier_switch_drivers::limits::CONFIRM_S;
use farrier_switch_drivers::{OperationError, Report, Seen, SwitchAction, SwitchKind};

fn access(vlan: u16) -> PortVlans {
    PortVlans::access(vlan).unwrap()
}

struct Session<'m> {
    model: &'m mut Model,
    key: SessionKey,
}

impl Peer for Session<'_> {
    fn take(&mut self, bytes: &[u8]) {
        self.model.receive(self.key, bytes);
    }
    fn give(&mut self, most: usize) -> Vec<u8> {
        let mut buffer = vec![0; most.min(4096)];
        let length = self.model.transmit(self.key, &mut buffer);
        buffer.truncate(length);
        buffer
    }
    fn is_open(&self) -> bool {
        self.model.is_open(self.key)
    }
    fn set_time(&mut self, now: u64) {
        self.model.set_time(now);
    }
}

struct Rig {
    model: Model,
    now: u64,
    piece: usize,
}

impl Rig {
    fn new(profile: Profile) -> Self {
        let config = Config::default()
            .vlan(10)
            .vlan(20)
            .vlan(99)
            .port(OTHER, &access(10))
            .port(PORT, &access(10));
        Self {
            model: Model::new(profile, config),
            now: 1_000,
            piece: 4_096,
        }
    }

    fn of(dialect: &'static Dialect) -> Self {
        Self::new(Profile::full(dialect))
    }

    fn does(&mut self, action: SwitchAction) -> Report {
        let key = self.model.connect().unwrap();
        let mut session = Session {
            model: &mut self.model,
            key,
        };
        let order = order(SwitchKind::Netconf, action);
        let report = carry_out(&mut session, &order, self.piece, &mut self.now);
        self.model.disconnect(key);
        report
    }

    fn vlan(&self) -> u16 {
        let port = self.model.port(PORT).unwrap();
        assert!(port.tagged().is_empty());
        port.untagged().unwrap_or(0)
    }

    fn wait(&mut self, seconds: u32) {
        self.now += u64::from(seconds) * 1_000;
        self.model.set_time(self.now);
    }
}

fn ok(vlan: u16) -> Report {
    Report {
        result: Ok(()),
        port: Seen::Vlan(vlan),
        link: None,
    }
}

/// What is said of a port that has a link and was only read.
fn read(vlan: u16) -> Report {
    Report {
        link: Some(true),
        ..ok(vlan)
    }
}

/// What switches can, from confirmed commits with persist-ids down to a running
/// configuration that is edited in place.
fn abilities() -> [Capabilities; 4] {
    let full = Capabilities::all() - Capabilities::WRITABLE_RUNNING;
    [
        full,
        full - Capabilities::CONFIRMED_COMMIT_1_1,
        Capabilities::BASE_1_0 | Capabilities::CANDIDATE,
        Capabilities::BASE_1_0 | Capabilities::BASE_1_1 | Capabilities::WRITABLE_RUNNING,
    ]
}

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
        for capabilities in abilities() {
            for operation in OPERATIONS {
                for fault in Fault::ALL {
                    for others in 0..4 {
                        for action in [SwitchAction::Read, MOVE, KEEP, UNDO] {
                            let mut rig = Rig::new(Profile {
                                capabilities,
                                ..Profile::full(dialect)
                            });
                            if matches!(action, KEEP | UNDO) {
                                assert_eq!(rig.does(MOVE), ok(20));
                            }
                            rig.model.faults.next = Some((operation, others, fault));
                            let case = format!(
                                "{} {capabilities:?} {operation:?} {fault:?} {others} {action:?}",
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
    assert_eq!(runs, 2 * 4 * 9 * 13 * 4 * 4);
}

fn every(rig: &mut Rig, (operation, fault): (Name, Fault), action: SwitchAction, case: &str) {
    let report = rig.does(action);
    let hit = rig.model.faults.next.take().is_none();
    let vlan = rig.vlan();
    let case = format!("{case}: {report:?}, hit {hit}, is {vlan}");
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
    }
    assert_eq!(rig.model.port(OTHER), Some(access(10)), "{case}");
    // A candidate that someone else left behind keeps everybody out until an
    // operator discards it.
    if fault == Fault::AppliesHalf && rig.model.is_dirty() {
        rig.model.set_port(OTHER, &access(10));
    }
    // Whatever has happened, the rack can read the port and take it back.
    let found = rig.does(SwitchAction::Read);
    assert_eq!(found, read(rig.vlan()), "{case}");
    if matches!(rig.vlan(), 10 | 20) {
        assert_eq!(rig.does(UNDO), ok(10), "{case}");
        rig.wait(2 * CONFIRM_S);
        assert_eq!(rig.vlan(), 10, "{case}");
    }
    assert!(!rig.model.is_waiting(), "{case}");
}

#[test]
fn a_port_is_read_by_switches_that_do_not_say_its_link() {
    let faults = [
        Fault::Refuses,
        Fault::HangsBefore,
        Fault::DropsBefore,
        Fault::Garbage,
        Fault::Bomb,
    ];
    for fault in faults {
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
