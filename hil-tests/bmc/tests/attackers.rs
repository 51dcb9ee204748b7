//! Attackers between the client and the BMC, who see every packet.

mod common;

use common::{Attacker, Lab, Said, credentials, deploy, settings};
use farrier_bmc::{Config, Every};
use farrier_ipmi::command::chassis::ChassisControl;
use farrier_ipmi::{Failure, Settings, Suites};

#[test]
fn a_session_of_suite_0_is_never_opened() {
    for suites in [Suites::Strong, Suites::StrongOrSha1, Suites::Sha1] {
        let settings = Settings {
            suites,
            ..settings()
        };
        let mut lab = Lab::with(Config::default(), credentials(), settings);
        lab.bmc.faults.suite_0 = true;
        assert_eq!(lab.status(), Err(Failure::NoSuite));
        let has_name = |datagram: &Vec<u8>| datagram.windows(7).any(|it| it == b"farrier");
        assert!(!lab.to_bmc.iter().any(has_name));
    }
}

#[test]
fn old_packets_of_a_session_do_nothing_in_the_next_one() {
    let mut lab = Lab::new();
    lab.control(ChassisControl::On).unwrap();
    let (to_bmc, from_bmc) = (lab.to_bmc.clone(), lab.from_bmc.clone());
    lab.client.close();
    lab.pass(100);
    lab.status().unwrap();
    let (before, power) = (*lab.client.counters(), lab.bmc.machine.done.len());
    for mut datagram in from_bmc {
        assert_eq!(lab.client.input(&mut datagram, lab.now_ms), None);
    }
    for datagram in to_bmc {
        lab.bmc.receive(lab.now_ms, common::CONSOLE, &datagram);
    }
    lab.bmc.faults.lose_out = Every::default();
    assert!(lab.status().is_ok());
    let after = lab.client.counters();
    assert!(after.other_session > before.other_session);
    assert_eq!(lab.bmc.machine.done.len(), power);
    assert_eq!(after.sessions, 2);
}

/// Each datagram of the BMC with each of its bits wrong, one at a time.
fn each_bit(datagram: &[u8]) -> Vec<Vec<u8>> {
    (0..datagram.len() * 8)
        .map(|bit| {
            let mut wrong = datagram.to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            wrong
        })
        .collect()
}

/// Each beginning of each datagram, and each with a tail.
fn each_length(datagram: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..datagram.len())
        .map(|len| datagram[..len].to_vec())
        .collect();
    all.push([datagram, &[0]].concat());
    all.push([datagram, &[7; 16]].concat());
    all
}

#[test]
fn no_wrong_bit_and_no_missing_byte_deceives_the_client() {
    for attacker in [each_bit as Attacker, each_length] {
        for suites in [Suites::Strong, Suites::Sha1] {
            let settings = Settings {
                suites,
                ..settings()
            };
            let mut lab = Lab::with(Config::default(), credentials(), settings);
            lab.status().unwrap();
            lab.attacker = Some(attacker);
            // Within the session nothing has an effect: not one of the answers is
            // taken before the genuine one, and none is repeated.
            let said = lab.said.len();
            deploy(&mut lab);
            let counters = *lab.client.counters();
            assert_eq!(counters.repeated, 0);
            assert!(counters.forged + counters.truncated > 1000, "{counters:?}");
            assert!(lab.said[said..].iter().all(|said| *said == Said::Done));
        }
    }
}

#[test]
fn no_wrong_bit_keeps_a_session_from_being_opened() {
    // What opens a session is not authenticated packet by packet: a wrong byte may
    // lead the client on, and it then tries anew. It never opens a wrong session,
    // and opens one as soon as the attacker is gone.
    for attacker in [each_bit as Attacker, each_length] {
        let mut lab = Lab::new();
        lab.attacker = Some(attacker);
        lab.client.open();
        lab.pass(60_000);
        lab.attacker = None;
        lab.client.open();
        assert!(lab.status().is_ok(), "{:?}", lab.said);
    }
}
