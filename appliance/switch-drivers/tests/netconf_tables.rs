//! What a switch with NETCONF has beside its ports: VLANs that moves make and remove,
//! and its table of hardware addresses.
#![cfg(feature = "netconf")]

mod common;

use common::netconf::{CARD, NO_ANSWER, Rig, TRUNK, abilities, access, ok, read};
use common::{KEEP, MOVE, OTHER, PORT, UNDO};
use farrier_netconf::PortVlans;
use farrier_netconf::dialect::{DIALECTS, IETF, JUNOS, JUNOS_ELS, OPENCONFIG};
use farrier_netconf::model::{Model, Profile};
use farrier_netconf::xml::name::Name;
use farrier_switch_drivers::limits::CONFIRM_S;
use farrier_switch_drivers::{Learned, Mac, OperationError, Report, Seen, SwitchAction};

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
    for fault in NO_ANSWER {
        let mut rig = Rig::of(&JUNOS_ELS);
        rig.details.mac = Some(Mac(CARD));
        rig.model.learned.mac(OTHER, CARD, 10);
        rig.model.faults.next = Some((Name::GetEthernetSwitchingTable, 0, fault));
        assert_eq!(rig.does(SwitchAction::Read), read(10), "{fault:?}");
        assert!(rig.model.faults.next.is_none(), "{fault:?}");
    }
}
