//! Power: what operators ask for, what drivers answer, what was seen.

use crate::common::{GIB, Lab, Outcome, active_lab};
use farrier_core::interface::{OperationError, OperationId, PowerAction, PowerState};
use farrier_core::{Actor, Command, Input};

/// Asks for a node's power as an operator does.
fn ask(lab: &mut Lab, action: PowerAction) -> Vec<Outcome> {
    let node = lab.node(0).id;
    lab.step(Input::Command {
        actor: Actor::OPERATOR,
        command: Command::SetPower { node, action },
    })
}

/// The operation that a driver is asked for.
fn asked(outcomes: &[Outcome]) -> Option<(OperationId, PowerAction)> {
    outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Power(id, _, action) => Some((*id, *action)),
        _ => None,
    })
}

/// The next operation within some seconds.
fn asked_within(lab: &mut Lab, seconds: u64) -> Option<(OperationId, PowerAction)> {
    for _ in 0..seconds {
        lab.now += 1000;
        let outcomes = lab.step(Input::Tick);
        if let Some(found) = asked(&outcomes) {
            return Some(found);
        }
    }
    None
}

fn done(lab: &mut Lab, id: OperationId, result: Result<(), OperationError>) {
    lab.step(Input::OperationDone { id, result });
}

#[test]
fn a_reboot_by_hand_is_asked_for_until_a_boot_is_seen() {
    let mut lab = active_lab();
    let (id, action) = asked(&ask(&mut lab, PowerAction::Reboot)).expect("an operation");
    assert_eq!(action, PowerAction::Reboot);
    done(&mut lab, id, Err(OperationError::ByHand));
    lab.pass(5);
    assert!(lab.node(0).power_request.is_some(), "nothing was seen");
    assert_eq!(lab.node(0).last_error, "");

    // The request follows from durable state.
    lab.restart(0);
    let (_, again) = asked_within(&mut lab, 40).expect("it is asked for again");
    assert_eq!(again, PowerAction::Reboot);
    lab.boot(1);
    assert_eq!(lab.node(0).power_request, None, "a boot was seen");
    assert_eq!(asked_within(&mut lab, 3600), None);
}

#[test]
fn a_driver_that_does_not_answer_is_asked_again() {
    let mut lab = active_lab();
    let (first, _) = asked(&ask(&mut lab, PowerAction::Off)).expect("an operation");
    let (second, action) = asked_within(&mut lab, 90).expect("another one");
    assert_ne!(first, second);
    assert_eq!(action, PowerAction::Off);
    // The first operation's answer comes too late and means nothing.
    done(&mut lab, first, Ok(()));
    let node = lab.node(0).id;
    let power = PowerState::Off;
    lab.step(Input::Observed { node, power });
    lab.pass(2);
    assert_eq!(lab.node(0).power_request, None);
    assert_eq!(asked_within(&mut lab, 3600), None);
}

#[test]
fn a_request_without_an_end_ends_in_an_error() {
    let mut lab = active_lab();
    let (id, _) = asked(&ask(&mut lab, PowerAction::Off)).expect("an operation");
    done(&mut lab, id, Err(OperationError::ByHand));
    lab.pass(31 * 60);
    assert_eq!(lab.node(0).power_request, None);
    let error = lab.node(0).last_error.as_str();
    assert!(error.contains("power request"), "{error}");
}

#[test]
fn a_node_at_work_takes_no_power_request() {
    let (mut lab, _agent) = crate::common::available_with(&[8 * GIB]);
    lab.verb(0, farrier_lifecycle::Verb::Manage).unwrap();
    lab.verb(0, farrier_lifecycle::Verb::Inspect).unwrap();
    assert_eq!(asked(&ask(&mut lab, PowerAction::Off)), None);
    assert_eq!(lab.node(0).power_request, None);
}

#[test]
fn what_was_seen_before_a_request_proves_nothing() {
    let mut lab = active_lab();
    let node = lab.node(0).id;
    let power = PowerState::Off;
    lab.step(Input::Observed { node, power });
    // Somebody switches it on by hand, and nobody sees it.
    lab.pass(3600);
    let (id, action) = asked(&ask(&mut lab, PowerAction::Off)).expect("an operation");
    assert_eq!(action, PowerAction::Off);
    done(&mut lab, id, Ok(()));
    lab.pass(2);
    assert!(lab.node(0).power_request.is_some(), "nothing was seen yet");
    lab.step(Input::Observed { node, power });
    lab.pass(2);
    assert_eq!(lab.node(0).power_request, None);
}

#[test]
fn a_reboot_is_seen_only_after_it_was_carried_out() {
    let mut lab = active_lab();
    let node = lab.node(0).id;
    let (id, _) = asked(&ask(&mut lab, PowerAction::Reboot)).expect("an operation");
    let power = PowerState::On;
    lab.step(Input::Observed { node, power });
    lab.pass(1);
    done(&mut lab, id, Ok(()));
    lab.pass(2);
    assert!(lab.node(0).power_request.is_some(), "it was on before too");
    lab.step(Input::Observed { node, power });
    lab.pass(2);
    assert_eq!(lab.node(0).power_request, None);
}
