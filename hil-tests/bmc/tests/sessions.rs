//! How sessions are opened, refused, kept, lost and closed.

mod common;

use common::{Lab, Said, credentials, settings};
use farrier_bmc::{Config, Every, Faults, User, WrongKey};
use farrier_ipmi::command::Command;
use farrier_ipmi::command::chassis::ChassisControl;
use farrier_ipmi::rakp::Status;
use farrier_ipmi::suite::Suite;
use farrier_ipmi::{Completion, Credentials, Failure, Privilege, Settings, Suites, Timing, packet};

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
