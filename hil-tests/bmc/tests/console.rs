//! The serial console, with all that can get lost on its way.

mod common;

use common::{Lab, Said, credentials, settings};
use farrier_bmc::{Config, Done, Every, Faults};
use farrier_ipmi::command::chassis::ChassisControl;
use farrier_ipmi::command::{Answer, Command};
use farrier_ipmi::console::ConsoleEvent;
use farrier_ipmi::{Completion, Event, Failure};

fn activate(lab: &mut Lab) {
    lab.control(ChassisControl::On).unwrap();
    lab.pass(300);
    let Ok(Answer::ConsoleActive(limits)) = lab.ask(Command::ActivateConsole) else {
        panic!("a console");
    };
    assert_eq!(limits.to_bmc, lab.bmc.config.console_payload);
    lab.console.clear();
}

/// Types all of it, and waits until the machine has it.
fn type_in(lab: &mut Lab, text: &[u8]) {
    let mut rest = text;
    for _ in 0..5000 {
        let taken = lab.client.console_write(rest);
        rest = &rest[taken..];
        if rest.is_empty() && lab.client.console_is_flushed() {
            return;
        }
        lab.pass(20);
    }
    panic!("{} characters are left: {:?}", rest.len(), lab.said);
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|at| b' ' + (at % 90) as u8).collect()
}

#[test]
fn characters_go_both_ways() {
    let mut lab = Lab::new();
    activate(&mut lab);
    type_in(&mut lab, b"hello\r");
    lab.pass(1000);
    assert_eq!(lab.bmc.machine.heard, b"hello\r");
    assert_eq!(lab.console, b"hello\r");
    // Much more than fits a payload, and more payloads than there are numbers.
    let long = text(6000);
    lab.bmc.machine.say(&long);
    type_in(&mut lab, &long);
    lab.pass(60_000);
    assert_eq!(lab.bmc.machine.heard[6..], long);
    let echoed = lab.console.len();
    assert_eq!(echoed, 6 + 2 * 6000);
    assert_eq!(lab.client.console_dropped(), 0);
}

#[test]
fn no_character_is_lost_or_doubled_on_a_bad_network() {
    for n in 2..=6 {
        let mut lab = Lab::new();
        activate(&mut lab);
        lab.bmc.faults = Faults {
            lose_in: Every::new(n),
            lose_out: Every::new(n + 2),
            replay: Every::new(3),
            reorder: Every::new(5),
            corrupt: Every::new(7),
            ..Faults::default()
        };
        let long = text(1500);
        type_in(&mut lab, &long);
        lab.pass(60_000);
        assert_eq!(lab.bmc.machine.heard, long, "{n}");
        assert_eq!(lab.console, long, "{n}");
        assert!(lab.client.has_console());
    }
}

#[test]
fn a_slow_machine_takes_what_it_can() {
    let mut lab = Lab::new();
    activate(&mut lab);
    lab.bmc.machine.console_room = Some(10);
    let long = text(300);
    type_in(&mut lab, &long);
    lab.pass(60_000);
    assert_eq!(lab.bmc.machine.heard, long);
    assert_eq!(lab.console, long);
    // One that takes nothing for some seconds.
    lab.bmc.machine.console_room = Some(0);
    assert_eq!(lab.client.console_write(b"patience"), 8);
    lab.pass(5000);
    lab.bmc.machine.console_room = None;
    lab.pass(5000);
    assert_eq!(lab.bmc.machine.heard[300..], *b"patience");
    assert_eq!(lab.client.console_dropped(), 0);
}

#[test]
fn a_short_payload_of_the_bmc_is_kept() {
    let config = Config {
        console_payload: 20,
        ..Config::default()
    };
    let mut lab = Lab::with(config, credentials(), settings());
    activate(&mut lab);
    let sent = lab.to_bmc.len();
    let long = text(100);
    type_in(&mut lab, &long);
    assert_eq!(lab.bmc.machine.heard, long);
    // 16 characters, their header and the padding.
    let longest = lab.to_bmc[sent..].iter().map(Vec::len).max().unwrap();
    assert_eq!(longest, 16 + 16 + 32 + 4 + 16);
}

#[test]
fn a_machine_that_is_off_takes_no_characters() {
    let mut lab = Lab::new();
    activate(&mut lab);
    lab.control(ChassisControl::Off).unwrap();
    assert_eq!(lab.client.console_write(b"in vain"), 7);
    lab.pass(60_000);
    assert!(lab.said.contains(&Said::Unavailable));
    assert_eq!(lab.client.console_dropped(), 7);
    assert!(lab.client.has_console() && lab.client.console_is_flushed());
    // It goes on when the machine does.
    lab.control(ChassisControl::On).unwrap();
    type_in(&mut lab, b"on again");
    assert_eq!(lab.bmc.machine.heard, b"on again");
}

#[test]
fn a_break_comes_between_the_characters() {
    let mut lab = Lab::new();
    assert!(!lab.client.console_break());
    activate(&mut lab);
    type_in(&mut lab, b"before");
    assert!(lab.client.console_break());
    lab.pass(1000);
    type_in(&mut lab, b"after");
    assert_eq!(lab.bmc.machine.done.last(), Some(&Done::Break));
    let breaks = lab.bmc.machine.done.iter().filter(|it| **it == Done::Break);
    assert_eq!(breaks.count(), 1);
    assert_eq!(lab.bmc.machine.heard, b"beforeafter");
}

#[test]
fn a_console_has_one_owner() {
    let mut lab = Lab::new();
    activate(&mut lab);
    // Another session.
    let mut other = Lab::new();
    std::mem::swap(&mut lab.bmc, &mut other.bmc);
    other.now_ms = lab.now_ms;
    let taken = other.ask(Command::ActivateConsole);
    assert_eq!(taken, Err(Failure::Completion(Completion(0x80))));
    assert_eq!(other.ask(Command::DeactivateConsole), Ok(Answer::Done));
    assert!(other.ask(Command::ActivateConsole).is_ok());
    assert!(other.client.has_console());
    // Each BMC sends to one address here, so the one who has lost it is told by
    // the packet that it gets.
    let ended = other
        .from_bmc
        .iter()
        .filter_map(|datagram| {
            let mut datagram = datagram.clone();
            match lab.client.input(&mut datagram, lab.now_ms) {
                Some(Event::Console(event)) => Some(matches!(event, ConsoleEvent::Deactivated)),
                _ => None,
            }
        })
        .count();
    assert_eq!(ended, 0, "it is told by poll");
    assert!(!lab.client.has_console());
    assert_eq!(lab.client.console_write(b"x"), 0);
    std::mem::swap(&mut lab.bmc, &mut other.bmc);
    lab.pass(10);
    assert_eq!(lab.said.last(), Some(&Said::Deactivated));
}

#[test]
fn a_console_ends_with_its_session() {
    let mut lab = Lab::new();
    activate(&mut lab);
    lab.client.open();
    lab.said.clear();
    lab.bmc.reset();
    lab.client.console_write(b"is anybody there?");
    lab.pass(60_000);
    let [
        Said::Deactivated,
        Said::Down(Failure::Lost, Some(_)),
        Said::Up,
    ] = lab.said[..]
    else {
        panic!("{:?}", lab.said);
    };
    assert!(!lab.client.has_console());
    activate_again(&mut lab);
    // And with its owner's wish.
    lab.said.clear();
    assert_eq!(lab.ask(Command::DeactivateConsole), Ok(Answer::Done));
    assert!(!lab.client.has_console() && !lab.bmc.has_console());
    assert_eq!(
        lab.ask(Command::DeactivateConsole),
        Ok(Answer::Done),
        "it has ended"
    );
    activate_again(&mut lab);
    lab.client.close();
    lab.pass(100);
    assert!(!lab.bmc.has_console());
}

fn activate_again(lab: &mut Lab) {
    assert!(matches!(
        lab.ask(Command::ActivateConsole),
        Ok(Answer::ConsoleActive(_))
    ));
    type_in(lab, b"back");
    assert!(lab.bmc.machine.heard.ends_with(b"back"));
}

#[test]
fn commands_and_characters_share_a_session() {
    let mut lab = Lab::new();
    activate(&mut lab);
    let long = text(2000);
    lab.bmc.machine.say(&long);
    for _ in 0..30 {
        assert!(lab.status().unwrap().is_on());
        lab.pass(100);
    }
    assert_eq!(lab.console, long);
    assert_eq!(lab.client.counters().repeated, 0);
}

#[test]
fn an_unacknowledged_console_is_a_lost_session() {
    let mut lab = Lab::new();
    activate(&mut lab);
    lab.bmc.faults.deaf_console = Every::new(1);
    lab.client.console_write(b"x");
    lab.pass(40_000);
    assert!(lab.said.contains(&Said::Down(Failure::Lost, None)));
    assert!(!lab.client.has_console());
}
