//! Operations on outlets, and Wake-on-LAN.

mod common;

use common::outlet::{Faults, Rig};
use common::{Clock, Device, LOOK, NETWORK, NMI, from, power};
use farrier_power_drivers::PowerAction::{Off, On, Reboot, SoftOff, SoftReboot};
use farrier_power_drivers::{
    Access, BootSeen, Endpoint, Mac, OperationError, PowerState, WAKE_LEN, limits, magic_packet,
};
use farrier_snmp::outlet::{APC, FAMILIES};

fn state(on: bool) -> PowerState {
    match on {
        true => PowerState::On,
        false => PowerState::Off,
    }
}

#[test]
fn every_family_is_read_and_switched() {
    for family in FAMILIES {
        for on in [false, true] {
            let mut rig = Rig::new(family, on);
            let report = rig.does(LOOK);
            assert_eq!((report.result, report.power), (Ok(()), state(on)));
            assert_eq!((report.boot_device, report.uuid), (BootSeen::Unknown, None));
            assert!(rig.pdu.sets.is_empty());
            for action in [On, Off, Off, Reboot, On] {
                let report = rig.power(action);
                let name = family.name;
                assert_eq!(report.result, Ok(()), "{name} {action:?} {report:?}");
                assert_eq!(report.power, action.target());
                assert_eq!(state(rig.pdu.on), action.target(), "{name}");
            }
        }
    }
}

#[test]
fn an_outlet_stays_off_for_a_while() {
    let mut rig = Rig::new(&APC, true);
    let begin = rig.clock.now;
    let report = rig.does(from(Reboot, NETWORK));
    assert_eq!((report.result, report.power), (Ok(()), PowerState::On));
    assert_eq!(rig.pdu.sets, [2, 1]);
    let took = rig.clock.now - begin;
    assert!(took >= limits::OUTLET_OFF_PAUSE_MILLIS, "{took}");
}

#[test]
fn what_an_outlet_can_not_do_is_unsupported() {
    for order in [NMI, power(SoftOff), power(SoftReboot)] {
        let mut rig = Rig::new(&APC, true);
        let report = rig.does(order);
        assert_eq!(report.result, Err(OperationError::Unsupported));
        assert!(rig.pdu.sets.is_empty());
    }
}

#[test]
fn every_fault_ends_in_a_known_result() {
    let none = Faults::default();
    for (faults, result) in [
        (Faults { lose_in: 2, ..none }, Ok(())),
        (
            Faults {
                lose_out: 2,
                ..none
            },
            Ok(()),
        ),
        (
            Faults {
                lose_in: 3,
                lose_out: 2,
                delay_ms: 1_500,
                ..none
            },
            Ok(()),
        ),
        (
            Faults {
                delay_ms: 3_000,
                ..none
            },
            Ok(()),
        ),
        (
            Faults {
                forged: true,
                ..none
            },
            Ok(()),
        ),
        (
            Faults {
                stale_ms: 20_000,
                ..none
            },
            Ok(()),
        ),
        (
            Faults {
                mute_sets: true,
                ..none
            },
            Ok(()),
        ),
        (
            Faults {
                mute_sets: true,
                ignores: true,
                ..none
            },
            Err(OperationError::Uncertain),
        ),
        (
            Faults {
                silent: true,
                ..none
            },
            Err(OperationError::Unreachable),
        ),
        (
            Faults {
                ignores: true,
                ..none
            },
            Err(OperationError::NotApplied),
        ),
        (
            Faults {
                stale_ms: 600_000,
                ..none
            },
            Err(OperationError::NotApplied),
        ),
        // noAccess, authorizationError, notWritable, resourceUnavailable
        (Faults { refuses: 6, ..none }, Err(OperationError::Login)),
        (
            Faults {
                refuses: 16,
                ..none
            },
            Err(OperationError::Login),
        ),
        (
            Faults {
                refuses: 17,
                ..none
            },
            Err(OperationError::Refused),
        ),
        (
            Faults {
                refuses: 13,
                ..none
            },
            Err(OperationError::Busy),
        ),
        (
            Faults {
                empty: true,
                ..none
            },
            Err(OperationError::Unsupported),
        ),
        (
            Faults {
                nonsense: true,
                ..none
            },
            Err(OperationError::Uncertain),
        ),
    ] {
        for (action, on) in [(On, false), (Off, true)] {
            let mut rig = Rig::new(&APC, on);
            rig.pdu.faults = faults;
            let report = rig.power(action);
            let case = format!("{faults:?} {action:?} {report:?}");
            assert_eq!(report.result, result, "{case}");
            match report.result {
                Ok(()) => {
                    assert_eq!(report.power, action.target(), "{case}");
                    assert_eq!(state(rig.pdu.on), action.target(), "{case}");
                }
                Err(OperationError::NotApplied) => {
                    assert_eq!(report.power, state(on), "{case}");
                }
                Err(_) => assert!(report.reason.is_some(), "{case}"),
            }
        }
    }
}

#[test]
fn another_community_is_silence() {
    let mut rig = Rig::new(&APC, true);
    rig.community = "public";
    let report = rig.power(Off);
    assert_eq!(report.result, Err(OperationError::Unreachable));
    assert!(report.reason.unwrap().text.contains("community"));
    assert!(rig.pdu.on);
}

/// Takes magic packets.
#[derive(Default)]
struct Card(Vec<(u64, Vec<u8>)>);

impl Device for Card {
    fn datagram(&mut self, now: u64, bytes: &[u8]) {
        self.0.push((now, bytes.to_vec()));
    }
    fn give(&mut self, _: u64) -> Option<Vec<u8>> {
        None
    }
}

#[test]
fn a_card_is_woken() {
    let mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    let access = Access::WakeOnLan(mac);
    assert_eq!(access.endpoint(), Endpoint::Broadcast(9));
    let (mut card, mut clock) = (Card::default(), Clock::new(1));
    let report = clock.carry_out(&mut card, &access, from(On, NETWORK), 60_000);
    assert_eq!((report.result, report.power), (Ok(()), PowerState::Unknown));
    assert_eq!(card.0.len(), usize::from(limits::WAKE_PACKETS));
    let mut expected = vec![0xff; 6];
    for _ in 0..16 {
        expected.extend([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    }
    assert_eq!((expected.len(), WAKE_LEN), (102, 102));
    assert_eq!(magic_packet(mac)[..], expected);
    for (packet, (at, bytes)) in card.0.iter().enumerate() {
        assert_eq!(bytes, &expected);
        assert_eq!(at - card.0[0].0, limits::WAKE_PAUSE_MILLIS * packet as u64);
    }
    // It can do nothing else.
    for order in [LOOK, NMI, power(Off), power(Reboot), power(SoftOff)] {
        let report = clock.carry_out(&mut card, &access, order, 60_000);
        assert_eq!(report.result, Err(OperationError::Unsupported));
    }
    // Without time, some of them are sent and it is not said that all were.
    let report = clock.carry_out(&mut card, &access, power(On), 600);
    assert_eq!(report.result, Err(OperationError::Uncertain));
}
