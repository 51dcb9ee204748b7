//! How sessions are opened, refused, kept, lost and closed.

mod common;

use common::{Lab, Said, credentials, settings};
use farrier_bmc::{Config, Every, Faults, User, WrongKey};
use farrier_ipmi::command::Command;
use farrier_ipmi::command::chassis::ChassisControl;
use farrier_ipmi::rakp::Status;
use farrier_ipmi::suite::Suite;
use farrier_ipmi::{
    Completion, Credentials, Failure, Privilege, Settings, Step, Suites, Timing, packet,
};

fn with_suites(bmc: &[Suite], suites: Suites) -> Lab {
    let config = Config {
        suites: bmc.to_vec(),
        ..Config::default()
    };
    let settings = Settings {
        suites,
        ..settings()
    };
    Lab::with(config, credentials(), settings)
}

#[test]
fn suite_3_is_used_only_where_it_is_allowed() {
    let mut lab = with_suites(&[Suite::Sha1], Suites::Strong);
    assert_eq!(lab.status(), Err(Failure::NoSuite));
    let mut lab = with_suites(&[Suite::Sha1], Suites::StrongOrSha1);
    assert!(lab.status().is_ok());
    assert_eq!(lab.client.suite(), Suite::Sha1);
    let mut lab = with_suites(&[Suite::Sha1, Suite::Sha256], Suites::StrongOrSha1);
    assert!(lab.status().is_ok());
    assert_eq!(lab.client.suite(), Suite::Sha256);
    let mut lab = with_suites(&[Suite::Sha256], Suites::Sha1);
    assert_eq!(lab.status(), Err(Failure::NoSuite));
    let mut lab = with_suites(&[], Suites::StrongOrSha1);
    assert_eq!(lab.status(), Err(Failure::NoSuite));
    assert_eq!(lab.client.suite(), Suite::Sha256, "the next time anew");
}

#[test]
fn a_known_suite_is_asked_for_at_once() {
    let mut lab = with_suites(&[Suite::Sha1], Suites::StrongOrSha1);
    lab.status().unwrap();
    let first_ms = lab.now_ms;
    lab.client.close();
    lab.pass(100);
    let begin_ms = lab.now_ms;
    lab.status().unwrap();
    assert!(
        first_ms >= 1_001_000,
        "the refusal has waited for a better answer"
    );
    assert!(lab.now_ms - begin_ms < 100);
}

#[test]
fn wrong_credentials_are_told_apart() {
    let ask = |name: &[u8], password: &[u8]| {
        let credentials = Credentials::new(name, password).unwrap();
        let mut lab = Lab::with(Config::default(), credentials, settings());
        lab.status().unwrap_err()
    };
    assert_eq!(ask(b"farrier", b"wrong"), Failure::Password);
    assert_eq!(ask(b"nobody", b"farrier"), Failure::Refused(Status::NAME));
    // A user that may not be an administrator.
    let config = Config {
        users: vec![User::new("op", "op", Privilege::Operator)],
        ..Config::default()
    };
    let op = Credentials::new(b"op", b"op").unwrap();
    let mut lab = Lab::with(config.clone(), op, settings());
    assert_eq!(lab.status(), Err(Failure::Refused(Status::ROLE)));
    let operator = Settings::default();
    let mut lab = Lab::with(config, op, operator);
    lab.control(ChassisControl::On).unwrap();
    // A session for readers may not switch.
    let reader = Settings {
        privilege: Privilege::User,
        ..settings()
    };
    let mut lab = Lab::with(Config::default(), credentials(), reader);
    assert!(lab.status().is_ok());
    let refused = lab.control(ChassisControl::On);
    assert_eq!(refused, Err(Failure::Completion(Completion::PRIVILEGE)));
}

#[test]
fn names_and_passwords_of_full_length_work() {
    let (name, password) = ("sixteen_letters_", "twenty letters, pass");
    let config = Config {
        users: vec![User::new(name, password, Privilege::Administrator)],
        ..Config::default()
    };
    for suites in [Suites::Strong, Suites::Sha1] {
        let settings = Settings {
            suites,
            ..settings()
        };
        let credentials = Credentials::new(name.as_bytes(), password.as_bytes()).unwrap();
        let mut lab = Lab::with(config.clone(), credentials, settings);
        assert!(lab.status().is_ok());
    }
    assert_eq!(Credentials::new(b"seventeen_letters", b""), None);
    assert_eq!(Credentials::new(b"a", b"twenty-one letters, p"), None);
    assert_eq!(credentials().with_kg(&[1; 21]), None);
}

#[test]
fn the_key_of_the_bmc_is_needed() {
    let config = Config {
        kg: Some(*b"key of the BMC\0\0\0\0\0\0"),
        ..Config::default()
    };
    let ask = |credentials| {
        let mut lab = Lab::with(config.clone(), credentials, settings());
        lab.status().map(|_| ())
    };
    assert_eq!(ask(credentials()), Err(Failure::Key));
    let other = credentials().with_kg(b"another").unwrap();
    assert_eq!(ask(other), Err(Failure::Key));
    assert_eq!(
        ask(credentials().with_kg(b"key of the BMC").unwrap()),
        Ok(())
    );
    // A key of zeros is none.
    let mut lab = Lab::with(
        Config::default(),
        credentials().with_kg(&[]).unwrap(),
        settings(),
    );
    assert!(lab.status().is_ok());
}

#[test]
fn wrong_keys_of_the_bmc_end_the_opening() {
    for (key, failure) in [
        (WrongKey::Rakp2, Failure::Password),
        (WrongKey::Rakp4, Failure::Key),
        (WrongKey::Session, Failure::Silent),
    ] {
        let mut lab = Lab::faulty(Faults {
            wrong_key: Some(key),
            ..Faults::default()
        });
        assert_eq!(lab.status(), Err(failure), "{key:?}");
        assert!(!lab.client.is_open());
        // The proof of ours is not sent to whom has not proven anything.
        let is_rakp3 = |datagram: &Vec<u8>| datagram.get(5) == Some(&0x14);
        let proven = lab.to_bmc.iter().any(is_rakp3);
        assert_eq!(proven, key != WrongKey::Rakp2);
    }
}

#[test]
fn a_bmc_of_ipmi_1_5_is_refused() {
    let mut lab = Lab::faulty(Faults {
        no_rmcp_plus: true,
        ..Faults::default()
    });
    assert_eq!(lab.status(), Err(Failure::NoRmcpPlus));
}

#[test]
fn a_silent_bmc_costs_nothing_but_its_own_time() {
    let mut lab = Lab::faulty(Faults {
        silent: true,
        ..Faults::default()
    });
    assert_eq!(lab.status(), Err(Failure::Silent));
    let took_ms = lab.now_ms - 1_000_000;
    assert!((23_000..29_000).contains(&took_ms), "{took_ms}");
    lab.pass(1);
    assert_eq!(lab.said[1..], [Said::Down(Failure::Silent, None)]);
    assert_eq!((lab.to_bmc.len(), lab.client.wake_at()), (5, None));
}

#[test]
fn pauses_grow_and_differ() {
    let gaps = |seed| {
        let config = Config {
            seed,
            ..Config::default()
        };
        let mut lab = Lab::with(config, credentials(), settings());
        lab.bmc.faults.silent = true;
        lab.client.request(Command::DeviceId).unwrap();
        let (mut times, mut count) = (vec![], 0);
        while lab.client.is_busy() {
            lab.run(10, &mut |_| false);
            if lab.to_bmc.len() > count {
                count = lab.to_bmc.len();
                times.push(lab.now_ms);
            }
        }
        times
            .windows(2)
            .map(|two| two[1] - two[0])
            .collect::<Vec<_>>()
    };
    let first = gaps(1);
    assert!(first.is_sorted() && first.len() == 4, "{first:?}");
    assert_ne!(
        first,
        gaps(0x9999_9999_9999),
        "a rack of them does not ask at a time"
    );
}

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

#[test]
fn all_packets_of_a_session_are_protected() {
    let mut lab = Lab::new();
    lab.control(ChassisControl::On).unwrap();
    let in_session = |datagram: &&Vec<u8>| {
        matches!(packet::Packet::parse(datagram), Ok(packet::Packet::Plus(header, _))
            if header.session != 0)
    };
    let mut count = 0;
    for datagram in lab.to_bmc.iter().filter(in_session) {
        assert_eq!(datagram[5] & 0xc0, 0xc0);
        count += 1;
    }
    assert_eq!(count, 2, "privilege and command");
    // The same command is not the same packet.
    lab.control(ChassisControl::On).unwrap();
    let [.., first, second] = &lab.to_bmc[..] else {
        panic!("two");
    };
    assert_ne!(first[16..], second[16..]);
}

#[test]
fn a_slow_bmc_gets_its_session() {
    // Slower than the first pause, so that each message goes twice.
    for suites in [Suites::Strong, Suites::StrongOrSha1] {
        let settings = Settings {
            suites,
            ..settings()
        };
        let mut lab = Lab::with(Config::default(), credentials(), settings);
        lab.bmc.faults.delay_ms = 1800;
        assert!(lab.status().is_ok());
        lab.control(ChassisControl::On).unwrap();
        assert!(lab.client.counters().repeated > 3);
        // What may do harm is not sent again meanwhile.
        for control in [
            ChassisControl::HardReset,
            ChassisControl::DiagnosticInterrupt,
            ChassisControl::Cycle,
        ] {
            lab.bmc.machine.done.clear();
            lab.control(control).unwrap();
            lab.pass(10);
            assert_eq!(
                lab.bmc.machine.done.len(),
                1 + usize::from(control == ChassisControl::Cycle)
            );
        }
    }
}

#[test]
fn a_short_timing_is_kept() {
    let settings = Settings {
        timing: Timing {
            first_pause_ms: 100,
            longest_pause_ms: 100,
            tries: 2,
            ..Timing::default()
        },
        ..settings()
    };
    let mut lab = Lab::with(Config::default(), credentials(), settings);
    lab.bmc.faults.lose_in = Every::new(1);
    assert_eq!(lab.status(), Err(Failure::Silent));
    assert!(lab.now_ms < 1_000_300);
}
