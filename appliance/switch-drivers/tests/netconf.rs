//! Operations over NETCONF, well and with every fault of the model.
#![cfg(feature = "netconf")]

mod common;

use common::{KEEP, MOVE, OTHER, PORT, Peer, UNDO, carry_out, order};
use farrier_netconf::dialect::{DIALECTS, IETF, JUNOS, JUNOS_ELS, OPENCONFIG};
use farrier_netconf::hello::Capabilities;
use farrier_netconf::model::{Config, Fault, Model, OPERATIONS, Profile, SessionKey};
use farrier_netconf::xml::name::Name;
use farrier_netconf::{Dialect, PortVlans};
use farrier_switch_drivers::limits::CONFIRM_S;
use farrier_switch_drivers::{
    Learned, Mac, OperationError, Order, Report, Seen, SwitchAction, SwitchDetails, SwitchKind,
};

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
    details: SwitchDetails<'static>,
    profile: Profile,
}

/// The port that leads to the appliance.
const TRUNK: &str = "ge-0/0/47";

/// The appliance's own VLANs are made and removed with the moves.
const WITH_VLANS: SwitchDetails<'static> = SwitchDetails {
    make_vlan: true,
    remove_vlan: true,
    trunk: "",
    mac: None,
};
const CARD: [u8; 6] = [2, 0, 0, 0, 0, 7];

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
            details: SwitchDetails::default(),
            profile,
        }
    }

    /// A switch that has none but an operator's VLAN and the appliance's own for the
    /// VLAN that the port is on.
    fn with_vlans(profile: Profile) -> Self {
        let config = Config::default()
            .vlan(99)
            .vlan(5)
            .own_vlan(10, true)
            .port(OTHER, &access(99))
            .port(PORT, &access(10));
        Self {
            model: Model::new(profile, config),
            details: WITH_VLANS,
            ..Self::new(profile)
        }
    }

    /// The same, and a trunk that carries what the port is on.
    fn with_trunk(profile: Profile) -> Self {
        let mut rig = Self::with_vlans(profile);
        let config = rig.model.running().clone();
        let carries = PortVlans::new(Some(5), &[10, 99]).unwrap();
        rig.model = Model::new(profile, config.port(TRUNK, &carries));
        rig.details.trunk = TRUNK;
        rig
    }

    fn has(&self, vlan: u16) -> bool {
        self.model.running().has_vlan(vlan)
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
        let order = Order {
            details: self.details,
            ..order(SwitchKind::Netconf, action)
        };
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
        learned: Learned::Unknown,
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
        // With VLANs that come and go: on the best and on the least switch.
        let all = abilities().map(|abilities| (abilities, false));
        let with_vlans = [all[0], all[3]].map(|(abilities, _)| (abilities, true));
        for (capabilities, vlans) in all.into_iter().chain(with_vlans) {
            for operation in OPERATIONS {
                for fault in Fault::ALL {
                    for others in 0..4 {
                        for action in [SwitchAction::Read, MOVE, KEEP, UNDO] {
                            let profile = Profile {
                                capabilities,
                                ..Profile::full(dialect)
                            };
                            let mut rig = match vlans {
                                true => Rig::with_trunk(profile),
                                false => Rig::new(profile),
                            };
                            if matches!(action, KEEP | UNDO) {
                                assert_eq!(rig.does(MOVE), ok(20));
                            }
                            rig.model.faults.next = Some((operation, others, fault));
                            let case = format!(
                                "{} {capabilities:?} {operation:?} {fault:?} {others} {vlans} {action:?}",
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
    assert_eq!(runs, 2 * 6 * 9 * 13 * 4 * 4);
}

fn every(rig: &mut Rig, (operation, fault): (Name, Fault), action: SwitchAction, case: &str) {
    let report = rig.does(action);
    let hit = rig.model.faults.next.take().is_none();
    let vlan = rig.vlan();
    let case = format!("{case}: {report:?}, hit {hit}, is {vlan}");
    assert_eq!(rig.model.carries(PORT), rig.model.port(PORT), "{case}");
    let other = rig.model.port(OTHER);
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
        assert_eq!(
            rig.model.carries(PORT),
            rig.model.port(PORT),
            "later {case}"
        );
    }
    assert_eq!(rig.model.port(OTHER), other, "{case}");
    // A candidate that someone else left behind keeps everybody out until an
    // operator discards it.
    if fault == Fault::AppliesHalf && rig.model.is_dirty() {
        rig.model.set_port(OTHER, &other.unwrap());
    }
    // Whatever has happened, the rack can read the port and take it back.
    let found = rig.does(SwitchAction::Read);
    assert_eq!(found, read(rig.vlan()), "{case}");
    if matches!(rig.vlan(), 10 | 20) {
        assert_eq!(rig.does(UNDO), ok(10), "{case}");
        rig.wait(2 * CONFIRM_S);
        assert_eq!(rig.vlan(), 10, "{case}");
        assert_eq!(rig.model.carries(PORT), Some(access(10)), "{case}");
        if let Some(trunk) = rig.model.carries(TRUNK) {
            assert!(trunk.tagged().contains(&10), "{trunk:?}, {case}");
        }
    }
    assert!(!rig.model.is_waiting(), "{case}");
    assert!(rig.has(99), "an operator's VLAN, {case}");
}

#[test]
fn a_move_makes_the_vlan_that_it_leads_to_and_removes_its_own_that_it_leaves() {
    for dialect in DIALECTS {
        for capabilities in abilities() {
            let case = format!("{} {capabilities:?}", dialect.name);
            let mut rig = Rig::with_vlans(Profile {
                capabilities,
                ..Profile::full(dialect)
            });
            let objects = dialect.vlan_edit.is_some();
            assert_eq!(rig.does(MOVE), ok(20), "{case}");
            assert_eq!((rig.has(10), rig.has(20)), (!objects, objects), "{case}");
            assert_eq!(rig.does(KEEP), ok(20), "{case}");
            assert_eq!((rig.has(10), rig.has(20)), (!objects, objects), "{case}");
            // Back, after it was made permanent.
            assert_eq!(rig.does(UNDO), ok(10), "{case}");
            assert_eq!((rig.has(10), rig.has(20)), (true, false), "{case}");
            // And while it waits.
            assert_eq!(rig.does(MOVE), ok(20), "{case}");
            assert_eq!(rig.does(UNDO), ok(10), "{case}");
            assert_eq!((rig.has(10), rig.has(20)), (true, false), "{case}");
            assert_eq!(rig.model.carries(PORT), Some(access(10)), "{case}");
            // A VLAN of an operator's stays.
            let (from, to) = (99, 20);
            rig.model.set_port(PORT, &access(from));
            assert_eq!(rig.does(SwitchAction::Move { from, to }), ok(20), "{case}");
            assert!(rig.has(99), "{case}");
            assert_eq!(rig.model.port(OTHER), Some(access(99)), "{case}");
        }
    }
}

#[test]
fn a_move_that_nobody_keeps_takes_its_vlan_with_it() {
    let mut rig = Rig::with_vlans(Profile::full(&JUNOS_ELS));
    assert_eq!(rig.does(MOVE), ok(20));
    assert_eq!((rig.has(10), rig.has(20)), (false, true));
    rig.wait(CONFIRM_S + 60);
    assert_eq!((rig.has(10), rig.has(20)), (true, false));
    assert_eq!(rig.model.carries(PORT), Some(access(10)));
}

#[test]
fn a_switch_that_keeps_a_vlan_in_use_moves_the_port_all_the_same() {
    for dialect in [&JUNOS, &JUNOS_ELS, &OPENCONFIG] {
        for capabilities in abilities() {
            let mut rig = Rig::with_vlans(Profile {
                capabilities,
                ..Profile::full(dialect)
            });
            // Somebody else's port is on it.
            rig.model.set_port(OTHER, &access(10));
            rig.model.faults.keeps_used_vlans = true;
            let case = format!("{} {capabilities:?}", dialect.name);
            assert_eq!(rig.does(MOVE), ok(20), "{case}");
            assert_eq!((rig.has(10), rig.has(20)), (true, true), "{case}");
            assert_eq!(rig.does(KEEP), ok(20), "{case}");
            assert_eq!(rig.does(UNDO), ok(10), "{case}");
            assert_eq!(rig.model.port(OTHER), Some(access(10)), "{case}");
        }
    }
}

#[test]
fn a_trunk_takes_up_what_is_made_and_drops_what_is_removed() {
    let trunk = |tagged: &[u16]| PortVlans::new(Some(5), tagged).unwrap();
    for dialect in [&JUNOS, &JUNOS_ELS, &OPENCONFIG] {
        for capabilities in abilities() {
            let case = format!("{} {capabilities:?}", dialect.name);
            let mut rig = Rig::with_vlans(Profile {
                capabilities,
                ..Profile::full(dialect)
            });
            let config = rig.model.running().clone().port(TRUNK, &trunk(&[10, 99]));
            rig.model = Model::new(rig.profile, config);
            rig.details.trunk = TRUNK;
            let shown = |rig: &Rig| rig.model.port(TRUNK).unwrap();
            assert_eq!(rig.does(MOVE), ok(20), "{case}");
            assert_eq!(shown(&rig), trunk(&[20, 99]), "{case}");
            assert_eq!(rig.does(UNDO), ok(10), "{case}");
            assert_eq!(shown(&rig), trunk(&[10, 99]), "{case}");
            assert_eq!(rig.does(MOVE), ok(20), "{case}");
            assert_eq!(rig.does(KEEP), ok(20), "{case}");
            assert_eq!(rig.does(UNDO), ok(10), "{case}");
            assert_eq!(shown(&rig), trunk(&[10, 99]), "{case}");
            assert_eq!((rig.has(10), rig.has(20)), (true, false), "{case}");
            // The VLAN is an operator's, and the trunk lacks it.
            let (from, to) = (10, 99);
            rig.details.remove_vlan = false;
            rig.model.set_port(TRUNK, &trunk(&[10]));
            assert_eq!(rig.does(SwitchAction::Move { from, to }), ok(99), "{case}");
            assert_eq!(shown(&rig), trunk(&[10, 99]), "{case}");
        }
    }
}

#[test]
fn a_port_is_not_moved_where_the_trunk_is_none() {
    for named in [OTHER, "ge-0/0/99"] {
        let mut rig = Rig::with_vlans(Profile::full(&JUNOS_ELS));
        rig.details.trunk = named;
        let report = rig.does(MOVE);
        assert_eq!(report.result, Err(OperationError::NoTrunk), "{named}");
        assert_eq!(report.port, Seen::Vlan(10), "{named}");
        assert_eq!((rig.has(10), rig.has(20)), (true, false), "{named}");
        assert_eq!(rig.model.lock_holder(), None, "{named}");
    }
}

#[test]
fn a_read_says_where_the_switch_has_learned_an_address() {
    for dialect in [&JUNOS, &JUNOS_ELS, &OPENCONFIG] {
        for piece in [1, 4096] {
            let mut rig = Rig::of(dialect);
            rig.piece = piece;
            rig.details.mac = Some(Mac(CARD));
            let learned = |rig: &mut Rig| {
                let report = rig.does(SwitchAction::Read);
                assert_eq!(
                    report,
                    Report {
                        learned: report.learned,
                        ..read(10)
                    }
                );
                report.learned
            };
            let name = dialect.name;
            // No table is empty where frames pass.
            assert_eq!(learned(&mut rig), Learned::Unknown, "{name}");
            rig.model.learned.mac(OTHER, [2, 0, 0, 0, 0, 8], 10);
            assert_eq!(learned(&mut rig), Learned::Nowhere, "{name}");
            rig.model.learned.mac("ae0", CARD, 10);
            assert_eq!(learned(&mut rig), Learned::Nowhere, "{name}");
            rig.model.learned.mac(OTHER, CARD, 20);
            assert_eq!(learned(&mut rig), Learned::Elsewhere, "{name}");
            rig.model.learned.mac(PORT, CARD, 99);
            assert_eq!(learned(&mut rig), Learned::Here(99), "{name}");
            rig.model.learned.mac(PORT, CARD, 10);
            rig.model.learned.mac(PORT, CARD, 99);
            assert_eq!(learned(&mut rig), Learned::Here(10), "{name}");
            // Nobody asked.
            rig.details.mac = None;
            assert_eq!(rig.does(SwitchAction::Read), read(10), "{name}");
        }
    }
    let mut rig = Rig::of(&IETF);
    rig.details.mac = Some(Mac(CARD));
    assert_eq!(rig.does(SwitchAction::Read), read(10), "it has no table");
}

#[test]
fn a_table_that_does_not_come_costs_nothing_but_itself() {
    let faults = [
        Fault::Refuses,
        Fault::HangsBefore,
        Fault::DropsBefore,
        Fault::Garbage,
        Fault::Bomb,
    ];
    for fault in faults {
        let mut rig = Rig::of(&JUNOS_ELS);
        rig.details.mac = Some(Mac(CARD));
        rig.model.learned.mac(OTHER, CARD, 10);
        rig.model.faults.next = Some((Name::GetEthernetSwitchingTable, 0, fault));
        assert_eq!(rig.does(SwitchAction::Read), read(10), "{fault:?}");
        assert!(rig.model.faults.next.is_none(), "{fault:?}");
    }
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
