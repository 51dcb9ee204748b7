//! How sessions are kept, lost, opened again and closed.

mod common;

use common::{Lab, Said, credentials, settings};
use farrier_bmc::{Config, Faults};
use farrier_ipmi::command::Command;
use farrier_ipmi::command::chassis::ChassisControl;
use farrier_ipmi::rakp::Status;
use farrier_ipmi::{Failure, Step};

#[test]
fn a_kept_session_is_opened_again() {
    let mut lab = Lab::new();
    lab.client.open();
    lab.pass(300_000);
    assert_eq!(lab.said, [Said::Up], "it shows that it is alive");
    assert_eq!(lab.bmc.open_sessions(), 1);
    lab.bmc.reset();
    lab.pass(120_000);
    let [Said::Down(Failure::Lost, Some(at)), Said::Up] = lab.said[1..] else {
        panic!("{:?}", lab.said);
    };
    assert!(at > 1_300_000 && lab.client.is_open());
    assert_eq!(lab.client.counters().lost, 1);
    // As long as it takes, with pauses of five minutes at the most.
    lab.said.clear();
    lab.bmc.faults.silent = true;
    lab.pass(4 * 3_600_000);
    let downs = lab.said.len();
    assert!((40..100).contains(&downs), "{downs}");
    lab.bmc.faults.silent = false;
    lab.pass(400_000);
    assert_eq!(lab.said.last(), Some(&Said::Up));
}

#[test]
fn a_command_behind_a_lost_keep_alive_goes_with_the_next_session() {
    let mut lab = Lab::new();
    lab.status().unwrap();
    lab.bmc.reset();
    lab.pass(25_000);
    // The session is lost, and the keep-alive is to find it out.
    assert!(lab.client.is_open());
    lab.control(ChassisControl::On).unwrap();
    assert_eq!(lab.client.counters().sessions, 2);
    let again = lab.said.iter().position(|it| matches!(it, Said::Down(..)));
    let Some(Said::Down(Failure::Lost, Some(at))) = again.map(|at| lab.said[at]) else {
        panic!("{:?}", lab.said);
    };
    assert!(lab.now_ms < at + 1000, "at once");
}

#[test]
fn a_final_failure_is_not_tried_again() {
    let mut lab = Lab::new();
    lab.bmc.faults.no_users = true;
    lab.client.open();
    lab.pass(3_600_000);
    let refused = Failure::Refused(Status::NAME);
    assert_eq!(lab.said, [Said::Down(refused, None)], "users get locked");
    assert_eq!(lab.client.wake_at(), None);
    lab.bmc.faults.no_users = false;
    lab.client.open();
    lab.pass(1000);
    assert_eq!(lab.said[1..], [Said::Up]);
}

#[test]
fn a_session_is_closed_at_both_ends() {
    let mut lab = Lab::new();
    lab.client.close();
    lab.status().unwrap();
    assert_eq!(lab.bmc.open_sessions(), 1);
    lab.client.close();
    assert!(lab.client.request(Command::DeviceId).is_err(), "it closes");
    lab.pass(100);
    assert_eq!(lab.bmc.open_sessions(), 0);
    assert_eq!(lab.said.last(), Some(&Said::Down(Failure::Closed, None)));
    assert_eq!(lab.client.wake_at(), None);
    // A command at work ends, and a BMC that is gone does not keep it open.
    lab.status().unwrap();
    lab.bmc.faults.silent = true;
    lab.client.request(Command::DeviceId).unwrap();
    lab.pass(100);
    lab.client.close();
    lab.said.clear();
    lab.pass(10_000);
    let closed = [
        Said::Failed(Failure::Closed),
        Said::Down(Failure::Closed, None),
    ];
    assert_eq!(lab.said, closed);
    assert_eq!(lab.client.wake_at(), None);
}

#[test]
fn every_wait_has_a_reason() {
    let mut lab = Lab::new();
    assert_eq!((lab.client.step(), lab.client.tries()), (Step::Closed, 0));
    lab.bmc.faults.delay_ms = 10;
    lab.client.open();
    let mut steps = vec![lab.client.step()];
    let mut watch = |lab: &mut Lab, ms: u64| {
        for _ in 0..ms / 5 {
            lab.pass(5);
            if steps.last() != Some(&lab.client.step()) {
                steps.push(lab.client.step());
            }
            let awaits = !matches!(lab.client.step(), Step::Closed | Step::Pause | Step::Ready);
            assert_eq!(lab.client.tries() > 0, awaits);
            assert!(!lab.client.step().reason().is_empty());
        }
    };
    watch(&mut lab, 21_000);
    lab.client.request(Command::DeviceId).unwrap();
    watch(&mut lab, 100);
    lab.bmc.reset();
    lab.client.request(Command::DeviceId).unwrap();
    watch(&mut lab, 40_000);
    lab.client.close();
    watch(&mut lab, 1000);
    let opening = [
        Step::Capabilities,
        Step::Open,
        Step::Rakp2,
        Step::Rakp4,
        Step::Privilege,
        Step::Ready,
    ];
    let mut expected = vec![Step::Pause];
    expected.extend(opening);
    expected.extend([Step::KeepAlive, Step::Ready, Step::Answer, Step::Ready]);
    expected.extend([Step::Answer, Step::Pause]);
    expected.extend(opening);
    expected.extend([Step::Close, Step::Closed]);
    assert_eq!(steps, expected);
}

#[test]
fn a_session_can_be_closed_while_it_opens() {
    for pass in 0..6 {
        let mut lab = Lab::new();
        lab.bmc.faults.delay_ms = 10;
        lab.client.request(Command::ChassisStatus).unwrap();
        lab.pass(pass * 10 + 5);
        lab.client.close();
        lab.pass(20_000);
        assert!(lab.said.contains(&Said::Failed(Failure::Closed)), "{pass}");
        assert!(!lab.said.contains(&Said::Done), "{pass}");
        assert!(!lab.client.is_open() && !lab.client.is_busy());
        lab.bmc.faults = Faults::default();
        assert!(lab.status().is_ok());
    }
}

#[test]
fn a_full_bmc_is_asked_again() {
    let config = Config {
        sessions: 0,
        ..Config::default()
    };
    let mut lab = Lab::with(config, credentials(), settings());
    lab.client.open();
    lab.pass(10_000);
    let full = Failure::Refused(Status::NO_RESOURCES);
    let Some(Said::Down(failure, Some(_))) = lab.said.first() else {
        panic!("{:?}", lab.said);
    };
    assert_eq!(*failure, full);
    lab.bmc.config.sessions = 1;
    lab.pass(60_000);
    assert_eq!(lab.said.last(), Some(&Said::Up));
}

#[test]
fn the_numbers_of_packets_pass_their_end() {
    let mut lab = Lab::new();
    lab.status().unwrap();
    lab.client.set_sequence(u32::MAX - 3, u32::MAX - 5);
    lab.bmc.set_sequence(u32::MAX - 4, u32::MAX - 4);
    for _ in 0..12 {
        lab.status().unwrap();
    }
    let counters = lab.client.counters();
    assert_eq!((counters.replayed, counters.sessions), (0, 1));
    let number = |datagram: &Vec<u8>| u32::from_le_bytes(datagram[10..14].try_into().unwrap());
    let sent: Vec<u32> = lab.to_bmc.iter().rev().take(9).map(number).collect();
    assert_eq!(sent, [8, 7, 6, 5, 4, 3, 2, 1, u32::MAX]);
    let of_bmc: Vec<u32> = lab.from_bmc.iter().rev().take(9).map(number).collect();
    assert_eq!(of_bmc, [7, 6, 5, 4, 3, 2, 1, u32::MAX, u32::MAX - 1]);
}
