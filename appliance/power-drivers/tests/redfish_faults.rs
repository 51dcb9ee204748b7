//! Operations over Redfish with the faults of the service.

mod common;

use common::redfish::Rig;
use common::{LOOK, NETWORK, UUID, from, power};
use farrier_power_drivers::PowerAction::{Off, On, Reboot, SoftOff};
use farrier_power_drivers::{OperationError, PowerState, RedfishDriver, limits};
use farrier_redfish::{Auth, Bmc, Which};
use farrier_redfish_service::{
    Fault, Injected, Model, PowerAction as Done, Simulated, Stall, model,
};

/// Without graceful restarts.
const PLAIN: Model = Model {
    resets: &["On", "ForceOff", "GracefulShutdown", "ForceRestart", "Nmi"],
    ..model::STANDARD
};

fn state(on: bool) -> PowerState {
    match on {
        true => PowerState::On,
        false => PowerState::Off,
    }
}

#[test]
fn a_bmc_that_does_not_keep_the_boot_device_starts_the_machine() {
    for fault in [
        Fault::DoesNothing,
        Fault::ForgetsBoot,
        Fault::ErrorInside,
        Fault::EtagNeverMatches,
        Fault::Broken,
        Fault::Stalls(Stall::Silent),
        Fault::Closes(0),
        Fault::Busy(1),
    ] {
        for model in model::MODELS {
            for (action, on) in [(On, false), (Reboot, true)] {
                let fault = Injected::always(fault.clone()).method("PATCH");
                let mut rig = Rig::faulty(model, on, fault.clone());
                rig.within_ms = 90_000;
                let report = rig.does(from(action, NETWORK));
                let name = model.name;
                assert_eq!(report.result, Ok(()), "{name} {fault:?} {report:?}");
                assert_eq!(report.power, PowerState::On);
                if !report.boot_device.is(NETWORK) {
                    assert!(report.reason.is_some(), "{name} {fault:?}");
                }
            }
        }
    }
}

#[test]
fn a_bmc_that_only_accepts_is_found_out() {
    for model in model::MODELS {
        for (action, on) in [(On, false), (Off, true), (Reboot, true)] {
            let fault = Injected::always(Fault::DoesNothing);
            let mut rig = Rig::faulty(model, on, fault);
            let report = rig.power(action);
            assert_eq!(report.result, Err(OperationError::NotApplied));
            assert_eq!(report.power, state(on));
            assert_eq!(rig.line.service.open_sessions(), 0);
        }
    }
}

#[test]
fn an_old_state_is_waited_out() {
    for (action, on) in [(On, false), (Off, true)] {
        let fault = Injected::always(Fault::OldState(60_000));
        let mut rig = Rig::faulty(&model::STANDARD, on, fault);
        rig.within_ms = 120_000;
        let begin = rig.clock.now;
        let report = rig.power(action);
        assert_eq!((report.result, report.power), (Ok(()), action.target()));
        assert!((60_000..70_000).contains(&(rig.clock.now - begin)));
    }
}

#[test]
fn what_a_bmc_refuses_is_told_in_its_words() {
    let fault = Injected::always(Fault::ErrorInside).path("Reset");
    for action in [On, SoftOff] {
        let on = action == SoftOff;
        let mut rig = Rig::faulty(&model::STANDARD, on, fault.clone());
        let report = rig.power(action);
        assert_eq!(report.result, Err(OperationError::Refused));
        assert_eq!(report.power, state(on));
        let reason = report.reason.unwrap().to_string();
        assert_eq!(reason, "the BMC says success and an error (status 200)");
    }
    // A command that is refused, and a machine that is so all the same.
    let mut rig = Rig::faulty(&model::STANDARD, false, fault);
    let report = rig.power(Off);
    assert_eq!((report.result, report.power), (Ok(()), PowerState::Off));
}

#[test]
fn the_words_of_a_bmc_are_kept_for_people() {
    use farrier_power_drivers::{Driver, Instant, RedfishAccess};
    let fault = Injected::always(Fault::ErrorInside).path("Reset");
    let mut rig = Rig::faulty(&model::STANDARD, false, fault);
    let access: RedfishAccess<'_> = rig.access;
    let mut bmc = Bmc::new();
    let now = Instant::from_millis(rig.clock.now);
    let mut driver =
        RedfishDriver::redfish(now, now.plus_millis(60_000), power(On), &access, &mut bmc);
    assert_eq!(driver.message(), "");
    rig.clock.drive(&mut driver, &mut rig.line);
    assert_eq!(driver.message(), "Could not do it.");
}

#[test]
fn an_answer_that_is_lost_is_read_first() {
    for fault in [
        Fault::Closes(0),
        Fault::Closes(40),
        Fault::Stalls(Stall::Silent),
        Fault::Stalls(Stall::Head),
        Fault::Broken,
        Fault::TaskHangs,
        Fault::TaskForgotten,
        Fault::NoLocation,
    ] {
        for model in [&model::STANDARD, &model::MODERN, &PLAIN] {
            for (action, on) in [(On, false), (Off, true), (Reboot, true)] {
                let fault = Injected::always(fault.clone()).method("POST").path("Reset");
                let mut rig = Rig::faulty(model, on, fault.clone().times(1));
                rig.within_ms = 120_000;
                let report = rig.power(action);
                let name = model.name;
                let case = format!("{name} {fault:?} {action:?} {report:?}");
                assert_eq!(report.result, Ok(()), "{case}");
                assert_eq!(report.power, action.target(), "{case}");
                assert_eq!(state(rig.is_on()), action.target());
                let starts = rig.done();
                let starts = starts.iter().filter(|(done, _)| *done == Done::On);
                assert!(starts.count() <= 2, "{case}");
            }
        }
    }
}

#[test]
fn a_refusal_behind_a_lost_answer_is_uncertain() {
    let mut rig = Rig::new(&model::STANDARD, false);
    for fault in [
        Injected::always(Fault::ErrorInside),
        Injected::always(Fault::Closes(0)).times(1),
    ] {
        let fault = fault.method("POST").path("Reset");
        rig.line.service.inject(fault);
    }
    let report = rig.power(On);
    assert_eq!(report.result, Err(OperationError::Uncertain));
    assert_eq!(report.power, PowerState::Off);
}

#[test]
fn a_restart_that_stops_half_way_says_so() {
    let mut stopped = 0;
    for most in 1..20 {
        let mut rig = Rig::new(&model::STANDARD, true);
        rig.line.most_connections = most;
        let report = rig.power(Reboot);
        let case = format!("{most} {report:?}");
        let on = rig.is_on();
        match (report.result, report.power) {
            (Ok(()), PowerState::On) => assert!(on, "{case}"),
            // Nothing of the start was sent.
            (Err(OperationError::Unreachable), PowerState::Off) => {
                assert!(!on, "{case}");
                stopped += 1;
            }
            (Err(OperationError::Unreachable), power) => {
                assert!(on && power != PowerState::Off, "{case}");
            }
            (Err(error), power) => {
                assert_eq!(error, OperationError::Uncertain, "{case}");
                assert_eq!(power, PowerState::Unknown, "{case}");
            }
            (Ok(()), _) => panic!("{case}"),
        }
    }
    assert!(stopped > 0);
    // No time is left for the start.
    let mut rig = Rig::with(&model::STANDARD, Simulated::new(true).delay(6_500));
    rig.within_ms = 13_000;
    let report = rig.power(Reboot);
    assert_eq!(report.result, Err(OperationError::NotApplied));
    assert_eq!(report.power, PowerState::Off);
    assert!(report.reason.unwrap().text.contains("no time left"));
}

#[test]
fn a_task_that_fails_is_a_refusal() {
    // The model's machine obeys all the same: what is seen counts.
    let fault = Injected::always(Fault::TaskFails);
    let mut rig = Rig::faulty(&model::MODERN, false, fault.clone());
    let report = rig.power(On);
    assert_eq!((report.result, report.power), (Ok(()), PowerState::On));
    let mut rig = Rig::faulty(&model::MODERN, false, fault);
    rig.line
        .service
        .inject(Injected::always(Fault::DoesNothing));
    let report = rig.power(On);
    assert_eq!(report.result, Err(OperationError::Refused));
    assert_eq!(report.power, PowerState::Off);
}

#[test]
fn logins_that_fail_are_told_at_once() {
    for auth in [Auth::Session, Auth::Basic] {
        let mut rig = Rig::new(&model::STANDARD, true);
        rig.access.target.auth = auth;
        rig.access.target.password = "another";
        let report = rig.power(Off);
        assert_eq!(report.result, Err(OperationError::Login));
        let asked = rig.line.service.log.len();
        assert!(asked <= 2, "an account must not be locked: {asked}");
        assert!(rig.is_on());
    }
    let fault = Injected::always(Fault::ForgetsUsers);
    let mut rig = Rig::faulty(&model::STANDARD, true, fault);
    assert_eq!(rig.power(Off).result, Err(OperationError::Login));
}

#[test]
fn a_bmc_that_is_not_there_is_unreachable() {
    let mut rig = Rig::new(&model::STANDARD, true);
    rig.line.refuses = true;
    let begin = rig.clock.now;
    assert_eq!(rig.power(Off).result, Err(OperationError::Unreachable));
    assert_eq!(rig.clock.now, begin, "nobody listens");
    rig.line.refuses = false;
    for stall in [Stall::Silent, Stall::Head, Stall::Body] {
        rig.line.service.heal();
        let fault = Injected::always(Fault::Stalls(stall));
        rig.line.service.inject(fault);
        let report = rig.power(Off);
        assert_eq!(report.result, Err(OperationError::Unreachable));
        assert_eq!(report.power, PowerState::Unknown);
    }
}

#[test]
fn what_is_no_redfish_is_unsupported() {
    for fault in [
        Fault::Html,
        Fault::Empty,
        Fault::NoBody,
        Fault::LinksElsewhere,
        Fault::Deep(40),
        Fault::Gzip,
        Fault::TwoFramings,
        Fault::Interim(100),
    ] {
        let mut rig = Rig::faulty(&model::STANDARD, true, Injected::always(fault.clone()));
        let report = rig.power(Off);
        assert_eq!(
            report.result,
            Err(OperationError::Unsupported),
            "{fault:?} {report:?}"
        );
        assert!(rig.is_on());
    }
}

#[test]
fn a_bmc_that_is_busy_is_asked_again() {
    let fault = Injected::always(Fault::Busy(2)).times(3);
    let mut rig = Rig::faulty(&model::STANDARD, true, fault);
    assert_eq!(rig.power(Off).result, Ok(()));
    let mut rig = Rig::faulty(&model::STANDARD, true, Injected::always(Fault::Busy(1)));
    assert_eq!(rig.power(Off).result, Err(OperationError::Busy));
}

#[test]
fn sessions_are_kept_where_the_owner_wants_that() {
    let mut rig = Rig::new(&model::STANDARD, false);
    rig.access.keep_session = true;
    assert_eq!(rig.power(On).result, Ok(()));
    assert_eq!(rig.line.service.open_sessions(), 1);
    assert!(rig.bmc.has_session());
    rig.access.keep_session = false;
    let log = rig.line.service.log.len();
    assert_eq!(rig.does(LOOK).result, Ok(()));
    assert_eq!(rig.line.service.open_sessions(), 0);
    // The read, and the end of the session.
    assert_eq!(rig.line.service.log.len() - log, 2);
    // One that the BMC has forgotten is made anew, once.
    rig.access.keep_session = true;
    assert_eq!(rig.does(LOOK).result, Ok(()));
    rig.line
        .service
        .inject(Injected::always(Fault::ForgetsSessions).times(1));
    rig.access.keep_session = false;
    assert_eq!(rig.power(Off).result, Ok(()));
    assert_eq!(rig.line.service.open_sessions(), 0);
}

#[test]
fn a_session_that_can_not_be_ended_does_not_keep_the_report() {
    let fault = Injected::always(Fault::Stalls(Stall::Silent)).method("DELETE");
    let mut rig = Rig::faulty(&model::STANDARD, false, fault);
    let report = rig.power(On);
    assert_eq!((report.result, report.power), (Ok(()), PowerState::On));
}

#[test]
fn systems_are_chosen() {
    let mut rig = Rig::new(&model::STANDARD, false);
    for (which, result) in [
        (Which::Uuid(UUID), Ok(())),
        (Which::Path("/redfish/v1/Systems/1"), Ok(())),
        (Which::Uuid([7; 16]), Err(OperationError::Unsupported)),
        (
            Which::Path("/redfish/v1/Systems/2"),
            Err(OperationError::Refused),
        ),
    ] {
        rig.bmc = Bmc::new();
        rig.access.target.which = which;
        assert_eq!(rig.does(LOOK).result, result, "{which:?}");
    }
}

#[test]
fn pieces_of_any_length_do() {
    for piece in [1, 7, 100] {
        for model in model::MODELS {
            let mut rig = Rig::new(model, true);
            rig.line.piece = piece;
            let report = rig.does(from(Reboot, NETWORK));
            assert_eq!(report.result, Ok(()), "{}", model.name);
        }
    }
}

#[test]
fn a_deadline_that_is_near_is_kept() {
    for within_ms in [0, 1, 10, 500, 3_000] {
        for order in [power(Reboot), from(Reboot, NETWORK)] {
            let mut rig = Rig::new(&model::MODERN, true);
            rig.within_ms = within_ms;
            assert!(rig.does(order).result.is_err());
        }
    }
    // A machine that is slower than the order.
    let mut rig = Rig::with(&model::STANDARD, Simulated::new(true).delay(90_000));
    let report = rig.power(Off);
    assert_eq!(report.result, Err(OperationError::NotApplied));
    assert_eq!(report.power, PowerState::On);
    // In longer than any operation has.
    rig.within_ms = 10_000_000;
    let mut rig = Rig::with(&model::STANDARD, Simulated::new(true).delay(900_000));
    rig.within_ms = 10_000_000;
    let begin = rig.clock.now;
    let report = rig.power(Off);
    assert_eq!(report.result, Err(OperationError::NotApplied));
    assert!(rig.clock.now - begin <= limits::OPERATION_MILLIS);
}
