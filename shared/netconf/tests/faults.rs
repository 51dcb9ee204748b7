//! Switches that misbehave. Whatever a switch does, the task ends where the
//! owner's deadlines drive it, the report says where the port is, and nothing is
//! left behind.

mod common;

use common::{OTHER, PORT, Wire, access, config, flip};
use farrier_netconf::dialect::{DIALECTS, JUNOS, OPENCONFIG};
use farrier_netconf::hello::Capabilities;
use farrier_netconf::model::{Fault, Model, OPERATIONS, Profile};
use farrier_netconf::reply::ErrorTag;
use farrier_netconf::xml::name::Name;
use farrier_netconf::{
    Abort, Dialect, Failure, Flip, Observed, Outcome, Pending, PortVlans, ProtocolError, Settings,
    Step,
};

fn settings(dialect: &'static Dialect) -> Settings {
    Settings {
        dialect: Some(dialect),
        ..Settings::default()
    }
}

/// What the owner decides when the change is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Confirm,
    Cancel,
}

/// Drives a change to its end as an owner with deadlines does.
fn drive(wire: &mut Wire, change: &Flip<'_>, verdict: Verdict) {
    wire.flip(change);
    for _ in 0..3 {
        match wire.client.step() {
            Step::Ready | Step::Over => return,
            Step::Evidence => {
                let waiting = match verdict {
                    Verdict::Confirm => wire.client.confirm(),
                    Verdict::Cancel => wire.client.cancel(),
                };
                assert!(waiting);
            }
            // The deadline of the step passed.
            _ => {
                if wire.client.abort() == Abort::Close {
                    wire.model.disconnect(wire.key);
                }
            }
        }
        wire.run();
    }
    let step = wire.client.step();
    assert!(matches!(step, Step::Ready | Step::Over), "{step:?}");
}

/// Says whether the configuration is another one than what the client read last.
fn is_lie(operation: Name, fault: Fault) -> bool {
    matches!(
        (operation, fault),
        (Name::GetConfig, Fault::WrongData) | (Name::GetConfig | Name::Unlock, Fault::LosesRunning)
    )
}

fn every_fault(capabilities: Capabilities, validate: bool) -> u32 {
    let mut runs = 0;
    for dialect in [&JUNOS, &OPENCONFIG] {
        for operation in OPERATIONS {
            for fault in Fault::ALL {
                for others in 0..3 {
                    for verdict in [Verdict::Confirm, Verdict::Cancel] {
                        let profile = Profile {
                            capabilities,
                            ..Profile::full(dialect)
                        };
                        let settings = Settings {
                            validate,
                            ..settings(dialect)
                        };
                        let mut wire = Wire::new(Model::new(profile, config()), settings);
                        wire.model.faults.next = Some((operation, others, fault));
                        drive(&mut wire, &flip(access(20)), verdict);
                        check(&mut wire, (operation, fault, others, verdict));
                        runs += 1;
                    }
                }
            }
        }
    }
    runs
}

fn check(wire: &mut Wire, case: (Name, Fault, u8, Verdict)) {
    let report = wire
        .client
        .report()
        .unwrap_or_else(|| panic!("{case:?}: no report"));
    let (outcome, pending, tidy) = (report.outcome, report.pending, report.tidy);
    let observed = report.port.clone();
    let over = wire.client.step() == Step::Over;
    let now = wire.port();
    let context = format!(
        "{case:?} {:?} {}: {outcome:?} {pending:?} tidy {tidy} {observed:?}, is {now:?}",
        wire.model.running().has_vlan(10),
        wire.client.dialect().unwrap().name,
    );
    // No other port was ever touched.
    assert_eq!(wire.model.port(OTHER), Some(access(10)), "{context}");
    if is_lie(case.0, case.1) {
        return;
    }
    match outcome {
        Outcome::Confirmed => assert_eq!(
            (now.clone(), pending),
            (access(20), Pending::None),
            "{context}"
        ),
        Outcome::Cancelled | Outcome::Unchanged => assert_eq!(now, access(10), "{context}"),
        Outcome::Failed(_) => {}
        Outcome::Read | Outcome::Closed => panic!("{context}"),
    }
    // A port that the report knows is where it says. A fault behind the last
    // reading can't be seen.
    let moved_later = matches!(case.1, Fault::LosesRunning | Fault::AppliesHalf);
    if let Observed::Port(known) = &observed
        && !over
        && !moved_later
    {
        assert_eq!(*known, now, "{context}");
    }
    let kept = (case.0, case.1) == (Name::Unlock, Fault::Lies);
    if !over && tidy && !kept {
        assert_eq!(wire.model.lock_holder(), None, "{context}");
        assert!(!wire.model.is_dirty(), "{context}");
    }
    // The end of the session and of the confirm timeout settle everything.
    wire.model.disconnect(wire.key);
    assert_eq!(wire.model.lock_holder(), None, "{context}");
    let before = wire.port();
    wire.model.set_time(1_000_000);
    let after = wire.port();
    assert!(!wire.model.is_waiting(), "{context}");
    // A switch that says `ok` to the confirming commit and forgets it can't be
    // seen before its timeout: the owner reads the port once more after it.
    let forgotten = (case.0, case.1, case.2) == (Name::Commit, Fault::Lies, 1);
    if pending == Pending::None && !moved_later && !forgotten {
        assert_eq!(now, before, "{context}");
        assert_eq!(before, after, "{context}");
    }
    match pending {
        Pending::Persistent if !moved_later && !forgotten => {
            assert_eq!(now, before, "{context}: the session's end changes nothing");
            assert_eq!(after, access(10), "{context}: the timeout does");
        }
        Pending::Reverts if !moved_later && !forgotten => {
            assert_eq!(before, access(10), "{context}: the session's end suffices");
        }
        _ => {}
    }
    let known = [access(10), access(20), PortVlans::NONE];
    assert!(known.contains(&after), "{context}: {after:?}");
}

#[test]
fn every_fault_of_a_switch_with_persist_ids_ends_in_a_known_state() {
    let all = Capabilities::all() - Capabilities::WRITABLE_RUNNING;
    let runs = every_fault(all, true) + every_fault(all, false);
    println!("{runs} runs");
}

#[test]
fn every_fault_of_a_switch_without_persist_ids_ends_in_a_known_state() {
    let old = Capabilities::BASE_1_0 | Capabilities::CANDIDATE;
    let runs = every_fault(old | Capabilities::CONFIRMED_COMMIT_1_0, true)
        + every_fault(old, true)
        + every_fault(
            Capabilities::BASE_1_1 | Capabilities::WRITABLE_RUNNING,
            true,
        );
    println!("{runs} runs");
}

fn failed(wire: &Wire) -> (Failure, Step) {
    let report = wire.client.report().unwrap();
    match report.outcome {
        Outcome::Failed(failure) => (failure, report.step),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_switch_that_refuses_is_quoted_and_left_clean() {
    let mut wire = Wire::full(&JUNOS);
    wire.model.faults.next = Some((Name::EditConfig, 0, Fault::Refuses));
    wire.flip(&flip(access(20)));
    assert_eq!(failed(&wire), (Failure::Refused, Step::Edit));
    let report = wire.client.report().unwrap();
    let error = report.error.unwrap();
    assert_eq!(
        (error.tag, error.message.as_str()),
        (ErrorTag::OperationFailed, "operation-failed")
    );
    assert!(report.tidy && wire.model.lock_holder().is_none());
    assert_eq!(wire.model.changes, 0);
}

#[test]
fn a_lock_of_another_session_is_named() {
    let mut wire = Wire::full(&JUNOS);
    wire.model.faults.next = Some((Name::Lock, 0, Fault::Locked(4711)));
    wire.flip(&flip(access(20)));
    assert_eq!(failed(&wire), (Failure::Locked, Step::Lock));
    assert_eq!(
        wire.client.report().unwrap().error.unwrap().holder,
        Some(4711)
    );
    // The session is of use: later the lock is free.
    wire.flip(&flip(access(20)));
    assert_eq!(wire.client.step(), Step::Evidence);
}

#[test]
fn a_switch_that_hangs_in_the_commit_is_left_after_two_deadlines() {
    for (fault, done) in [(Fault::HangsBefore, false), (Fault::HangsAfter, true)] {
        let mut wire = Wire::full(&OPENCONFIG);
        wire.model.faults.next = Some((Name::Commit, 0, fault));
        wire.flip(&flip(access(20)));
        assert_eq!(wire.client.step(), Step::Commit);
        assert_eq!(wire.client.abort(), Abort::Orderly);
        wire.run();
        assert_eq!(wire.client.abort(), Abort::Close);
        assert_eq!(failed(&wire), (Failure::Aborted, Step::Commit));
        assert_eq!(wire.client.report().unwrap().pending, Pending::Unknown);
        assert_eq!(wire.port(), access(if done { 20 } else { 10 }));
        // Another session settles it.
        wire.reconnect(settings(&OPENCONFIG));
        let change = Flip {
            expected: Some(access(10)),
            ..flip(access(20))
        };
        wire.client.cancel_earlier(&change).unwrap();
        wire.run();
        assert_eq!(wire.client.report().unwrap().outcome, Outcome::Cancelled);
        assert_eq!(wire.port(), access(10));
    }
}

#[test]
fn two_aborts_end_every_step() {
    for (operation, others) in [
        (Name::Lock, 0),
        (Name::GetConfig, 0),
        (Name::EditConfig, 0),
        (Name::Commit, 0),
        (Name::GetConfig, 1),
        (Name::CancelCommit, 0),
        (Name::DiscardChanges, 0),
        (Name::GetConfig, 2),
        (Name::Unlock, 0),
    ] {
        let mut wire = Wire::full(&JUNOS);
        wire.model.faults.next = Some((operation, others, Fault::HangsBefore));
        wire.flip(&flip(access(20)));
        // At the evidence, or at the request that hangs.
        assert_eq!(wire.client.abort(), Abort::Orderly);
        wire.run();
        assert_eq!(wire.client.abort(), Abort::Close, "{operation:?} {others}");
        assert_eq!(wire.client.step(), Step::Over);
        assert_eq!(failed(&wire).0, Failure::Aborted);
    }
}

#[test]
fn an_aborted_commit_that_is_answered_late_is_taken_back() {
    let mut wire = Wire::full(&OPENCONFIG);
    wire.client.flip(&flip(access(20))).unwrap();
    while wire.client.step() != Step::Commit {
        let mut buffer = [0; 64];
        let length = wire.client.peek(&mut buffer);
        wire.client.sent(length);
        wire.model.receive(wire.key, &buffer[..length]);
        let length = wire.model.transmit(wire.key, &mut buffer);
        wire.client.receive(&buffer[..length], &mut ());
    }
    assert_eq!(wire.client.abort(), Abort::Orderly);
    wire.run();
    assert_eq!(failed(&wire).0, Failure::Aborted);
    assert_eq!(wire.port(), access(10));
    assert!(wire.client.report().unwrap().tidy);
}

#[test]
fn an_abort_turns_back_from_every_step() {
    for stop in [
        Step::Lock,
        Step::ReadBefore,
        Step::Edit,
        Step::Validate,
        Step::Commit,
        Step::ReadBack,
        Step::Evidence,
    ] {
        let mut wire = Wire::full(&JUNOS);
        wire.client.flip(&flip(access(20))).unwrap();
        while wire.client.step() != stop {
            let mut buffer = [0; 64];
            let length = wire.client.peek(&mut buffer);
            wire.client.sent(length);
            wire.model.receive(wire.key, &buffer[..length]);
            let length = wire.model.transmit(wire.key, &mut buffer);
            wire.client.receive(&buffer[..length], &mut ());
        }
        assert_eq!(wire.client.abort(), Abort::Orderly);
        wire.run();
        assert_eq!(failed(&wire).0, Failure::Aborted, "{stop:?}");
        assert_eq!(wire.port(), access(10), "{stop:?}");
        assert!(!wire.model.is_waiting() && wire.model.lock_holder().is_none());
        wire.flip(&flip(access(20)));
        assert_eq!(wire.client.step(), Step::Evidence, "the session goes on");
    }
}

#[test]
fn a_switch_that_forgets_a_validated_candidate_is_noticed() {
    let mut wire = Wire::full(&JUNOS);
    wire.model.faults.forgets_validated = true;
    wire.flip(&flip(access(20)));
    assert_eq!(failed(&wire), (Failure::NotApplied, Step::ReadBack));
    let report = wire.client.report().unwrap();
    assert_eq!(report.port, &Observed::Port(access(10)));
    assert!(report.tidy);
    // Without validate it does what it says.
    wire.reconnect(Settings {
        validate: false,
        ..settings(&JUNOS)
    });
    wire.flip(&flip(access(20)));
    assert_eq!(wire.client.step(), Step::Evidence);
}

#[test]
fn half_of_a_change_is_taken_back() {
    for dialect in DIALECTS {
        for capabilities in [
            Capabilities::all() - Capabilities::WRITABLE_RUNNING,
            Capabilities::BASE_1_0 | Capabilities::CANDIDATE,
        ] {
            let profile = Profile {
                capabilities,
                ..Profile::full(dialect)
            };
            let mut wire = Wire::of(profile);
            wire.model.faults.next = Some((Name::Commit, 0, Fault::AppliesHalf));
            wire.flip(&flip(access(20)));
            assert_eq!(failed(&wire), (Failure::NotApplied, Step::ReadBack));
            assert_eq!(wire.port(), access(10), "{} {capabilities:?}", dialect.name);
            let report = wire.client.report().unwrap();
            assert_eq!(report.port, &Observed::Port(access(10)));
        }
    }
}

#[test]
fn a_confirmed_commit_that_ran_out_is_noticed() {
    let mut wire = Wire::full(&OPENCONFIG);
    wire.flip(&flip(access(20)));
    wire.model.set_time(119_000);
    assert_eq!(wire.port(), access(20));
    wire.model.set_time(121_000);
    assert_eq!(wire.port(), access(10));
    assert!(wire.client.confirm());
    wire.run();
    assert_eq!(failed(&wire), (Failure::Refused, Step::Confirm));
    let report = wire.client.report().unwrap();
    assert_eq!(report.port, &Observed::Port(access(10)));
    assert_eq!((report.pending, report.tidy), (Pending::None, true));
}

#[test]
fn junos_timeouts_are_whole_minutes() {
    let mut wire = Wire::full(&JUNOS);
    wire.flip(&Flip {
        confirm_timeout_s: 61,
        ..flip(access(20))
    });
    assert_eq!(wire.model.due_ms(), Some(120_000));
}

#[test]
fn a_switch_that_loses_its_running_configuration_is_noticed() {
    // At the confirmation, the second commit.
    let mut wire = Wire::full(&OPENCONFIG);
    wire.model.faults.next = Some((Name::Commit, 1, Fault::LosesRunning));
    wire.flip(&flip(access(20)));
    assert!(wire.client.confirm());
    wire.run();
    assert_eq!(failed(&wire), (Failure::NotApplied, Step::ReadConfirmed));
    assert_eq!(
        wire.client.report().unwrap().port,
        &Observed::Port(access(10))
    );
    // A restart between commit and confirmation.
    let mut wire = Wire::full(&OPENCONFIG);
    let change = flip(access(20));
    wire.flip(&change);
    wire.model.power_cycle();
    wire.client.closed();
    assert_eq!(wire.client.report().unwrap().pending, Pending::Persistent);
    wire.reconnect(settings(&OPENCONFIG));
    wire.client.confirm_earlier(&change).unwrap();
    wire.run();
    assert_eq!(failed(&wire), (Failure::NotApplied, Step::ReadBefore));
    assert_eq!(wire.client.report().unwrap().pending, Pending::None);
}

#[test]
fn an_unexpected_port_is_not_touched() {
    let mut wire = Wire::full(&JUNOS);
    wire.model.set_port(PORT, &access(30));
    wire.model.changes = 0;
    wire.flip(&Flip {
        expected: Some(access(10)),
        ..flip(access(20))
    });
    assert_eq!(failed(&wire), (Failure::Unexpected, Step::ReadBefore));
    let report = wire.client.report().unwrap();
    assert_eq!(report.port, &Observed::Port(access(30)));
    assert_eq!(wire.model.changes, 0);
    assert!(wire.model.lock_holder().is_none());
}

#[test]
fn bombs_and_garbage_end_the_session() {
    for fault in [Fault::Bomb, Fault::Garbage] {
        let mut wire = Wire::full(&JUNOS);
        wire.model.faults.next = Some((Name::GetConfig, 1, fault));
        wire.flip(&flip(access(20)));
        let (failure, step) = failed(&wire);
        assert!(
            matches!(failure, Failure::Protocol(ProtocolError::Xml(_))),
            "{failure:?}"
        );
        assert_eq!((step, wire.client.step()), (Step::ReadBack, Step::Over));
        assert_eq!(wire.client.report().unwrap().pending, Pending::Persistent);
    }
}

#[test]
fn a_session_lost_without_persist_ids_reverts_by_itself() {
    let profile = Profile {
        capabilities: Capabilities::BASE_1_0
            | Capabilities::CANDIDATE
            | Capabilities::CONFIRMED_COMMIT_1_0,
        ..Profile::full(&JUNOS)
    };
    let mut wire = Wire::of(profile);
    wire.flip(&flip(access(20)));
    wire.model.disconnect(wire.key);
    wire.client.closed();
    assert_eq!(wire.client.report().unwrap().pending, Pending::Reverts);
    assert_eq!(wire.port(), access(10));
}
