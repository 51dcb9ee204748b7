//! Changes of ports that go well: every dialect, both framings, bytes in pieces
//! of all sizes, and servers with fewer capabilities.

mod common;

use common::{OTHER, PORT, Wire, access, config, flip};
use farrier_netconf::dialect::{DIALECTS, IETF, JUNOS, JUNOS_ELS, OPENCONFIG};
use farrier_netconf::hello::Capabilities;
use farrier_netconf::model::{Model, Profile};
use farrier_netconf::{
    Client, Dialect, Flip, Observed, Outcome, Pending, PortVlans, Refusal, Settings, Step,
    VlanChange,
};

fn outcome(wire: &Wire) -> Outcome {
    wire.client.report().expect("the task ended").outcome
}

fn profile(dialect: &'static Dialect, capabilities: Capabilities) -> Profile {
    Profile {
        capabilities,
        ..Profile::full(dialect)
    }
}

#[test]
fn every_dialect_flips_a_port_in_pieces_of_all_sizes() {
    for dialect in DIALECTS {
        for chunked in [true, false] {
            for piece in [1, 2, 7, 64, 1000, 5000] {
                let settings = Settings {
                    dialect: Some(dialect),
                    chunked,
                    ..Settings::default()
                };
                let mut wire = Wire::new(Model::new(Profile::full(dialect), config()), settings);
                wire.piece = piece;
                wire.flip(&flip(access(20)));
                assert_eq!(wire.client.step(), Step::Evidence, "{}", dialect.name);
                assert_eq!(wire.port(), access(20));
                assert!(wire.model.is_waiting());
                assert!(wire.client.confirm());
                wire.run();
                assert_eq!(outcome(&wire), Outcome::Confirmed);
                assert_eq!(wire.port(), access(20));
                assert_eq!(wire.model.port(OTHER), Some(access(10)));
                assert!(!wire.model.is_waiting() && wire.model.lock_holder().is_none());
                assert!(wire.client.report().unwrap().tidy);
                assert_eq!(wire.sent().contains("]]>]]>\n#"), chunked);
            }
        }
    }
}

#[test]
fn each_step_is_a_wait_with_a_reason() {
    let mut wire = Wire::full(&OPENCONFIG);
    wire.flip(&flip(access(20)));
    assert!(wire.client.confirm());
    wire.run();
    assert_eq!(
        wire.steps,
        [
            Step::Hello,
            Step::Ready,
            Step::Lock,
            Step::ReadBefore,
            Step::Edit,
            Step::Validate,
            Step::Commit,
            Step::ReadBack,
            Step::Evidence,
            Step::Confirm,
            Step::ReadConfirmed,
            Step::Unlock,
            Step::Ready,
        ]
    );
    assert_eq!(Step::Commit.reason(), "the commit");
}

#[test]
fn a_cancelled_change_is_taken_back_whatever_the_server_has() {
    let base = Capabilities::BASE_1_1 | Capabilities::BASE_1_0;
    let candidate = base | Capabilities::CANDIDATE;
    let cases = [
        (candidate | Capabilities::CONFIRMED_COMMIT_1_1, true),
        (candidate | Capabilities::CONFIRMED_COMMIT_1_0, true),
        (candidate, false),
        (base | Capabilities::WRITABLE_RUNNING, false),
    ];
    for dialect in DIALECTS {
        for (capabilities, waits) in cases {
            let mut wire = Wire::of(profile(dialect, capabilities));
            wire.flip(&flip(access(30)));
            assert_eq!(wire.client.step(), Step::Evidence, "{}", dialect.name);
            assert_eq!((wire.port(), wire.model.is_waiting()), (access(30), waits));
            assert!(wire.client.cancel());
            wire.run();
            assert_eq!(outcome(&wire), Outcome::Cancelled, "{capabilities:?}");
            assert_eq!(wire.port(), access(10));
            assert!(!wire.model.is_waiting() && !wire.model.is_dirty());
            assert!(wire.model.lock_holder().is_none());
            let report = wire.client.report().unwrap();
            assert_eq!(report.port, &Observed::Port(access(10)));
            assert_eq!((report.pending, report.tidy), (Pending::None, true));
        }
    }
}

#[test]
fn a_change_is_confirmed_whatever_the_server_has() {
    let base = Capabilities::BASE_1_0;
    for capabilities in [
        base | Capabilities::CANDIDATE | Capabilities::CONFIRMED_COMMIT_1_0,
        base | Capabilities::CANDIDATE | Capabilities::VALIDATE_1_0,
        base | Capabilities::WRITABLE_RUNNING,
    ] {
        let mut wire = Wire::of(profile(&JUNOS, capabilities));
        wire.flip(&flip(access(20)));
        assert!(wire.client.confirm());
        wire.run();
        assert_eq!(outcome(&wire), Outcome::Confirmed, "{capabilities:?}");
        // Long after the confirm timeout.
        wire.model.set_time(1_000_000);
        assert_eq!(wire.port(), access(20));
    }
}

#[test]
fn a_port_that_is_as_wanted_is_not_written() {
    let mut wire = Wire::full(&JUNOS);
    wire.flip(&flip(access(10)));
    assert_eq!(outcome(&wire), Outcome::Unchanged);
    assert!(!wire.sent().contains("edit-config"));
    assert!(wire.model.lock_holder().is_none());
    assert_eq!(wire.model.changes, 0);
}

#[test]
fn trunks_and_native_vlans_come_and_go() {
    let trunk = PortVlans::new(Some(10), &[30, 20]).unwrap();
    let tagged = PortVlans::new(None, &[20]).unwrap();
    for dialect in [&JUNOS, &JUNOS_ELS, &OPENCONFIG] {
        let mut wire = Wire::full(dialect);
        for wanted in [&trunk, &tagged, &trunk, &access(10), &tagged] {
            wire.flip(&flip(wanted.clone()));
            assert_eq!(wire.port(), *wanted, "{}", dialect.name);
            assert!(
                wire.client.confirm(),
                "{} {:?}",
                dialect.name,
                wire.client.report()
            );
            wire.run();
            assert_eq!(outcome(&wire), Outcome::Confirmed);
        }
    }
}

#[test]
fn vlans_are_made_and_removed_and_foreign_ones_left() {
    for dialect in [&JUNOS, &JUNOS_ELS, &OPENCONFIG] {
        let mut wire = Wire::full(dialect);
        let made = Flip {
            vlan: VlanChange::make(100),
            ..flip(access(100))
        };
        wire.flip(&made);
        assert!(wire.model.running().has_vlan(100), "{}", dialect.name);
        assert!(wire.client.cancel());
        wire.run();
        assert!(!wire.model.running().has_vlan(100));
        wire.flip(&made);
        assert!(wire.client.confirm());
        wire.run();
        assert_eq!(outcome(&wire), Outcome::Confirmed);
        // An operator's VLAN is no business of the driver's.
        for (vlan, left) in [(20, true), (100, false)] {
            wire.flip(&Flip {
                vlan: VlanChange::remove(vlan),
                ..flip(access(if left { 30 } else { 10 }))
            });
            assert!(wire.client.confirm());
            wire.run();
            assert_eq!(outcome(&wire), Outcome::Confirmed);
            assert_eq!(wire.model.running().has_vlan(vlan), left);
        }
    }
}

#[test]
fn a_lost_session_is_confirmed_or_cancelled_by_another_one() {
    for (dialect, confirm) in [(&JUNOS, true), (&JUNOS, false), (&OPENCONFIG, true)] {
        let settings = Settings {
            dialect: Some(dialect),
            ..Settings::default()
        };
        let mut wire = Wire::full(dialect);
        let change = Flip {
            expected: Some(access(10)),
            ..flip(access(20))
        };
        wire.flip(&change);
        wire.model.disconnect(wire.key);
        wire.client.closed();
        let report = wire.client.report().unwrap();
        assert_eq!(
            (report.pending, report.step),
            (Pending::Persistent, Step::Evidence)
        );
        assert_eq!(
            wire.port(),
            access(20),
            "the persist-id outlives the session"
        );
        wire.reconnect(settings);
        if confirm {
            wire.client.confirm_earlier(&change).unwrap();
        } else {
            wire.client.cancel_earlier(&change).unwrap();
        }
        wire.run();
        let (wanted, vlan) = match confirm {
            true => (Outcome::Confirmed, 20),
            false => (Outcome::Cancelled, 10),
        };
        assert_eq!(outcome(&wire), wanted);
        wire.model.set_time(1_000_000);
        assert_eq!(wire.port(), access(vlan));
        assert!(wire.model.lock_holder().is_none());
    }
}

#[test]
fn tasks_that_can_not_be_done_are_refused_before_a_byte_is_sent() {
    let mut wire = Wire::full(&IETF);
    let sent = wire.log.len();
    let trunk = flip(PortVlans::new(None, &[20]).unwrap());
    assert_eq!(wire.client.flip(&trunk), Err(Refusal::Unsupported));
    assert_eq!(
        wire.client.flip(&flip(PortVlans::NONE)),
        Err(Refusal::NoVlan)
    );
    assert_eq!(wire.client.read_macs(""), Err(Refusal::Unsupported));
    let unnamed = Flip {
        interface: "",
        ..flip(access(20))
    };
    assert_eq!(wire.client.flip(&unnamed), Err(Refusal::Interface));
    wire.run();
    assert_eq!(wire.log.len(), sent);
    let mut early = Client::new(Settings::default());
    assert_eq!(early.read_port(PORT), Err(Refusal::Busy));
    let bare = Capabilities::BASE_1_0;
    let mut bare = Wire::of(profile(&JUNOS, bare));
    assert_eq!(
        bare.client.flip(&flip(access(20))),
        Err(Refusal::NotWritable)
    );
}

#[test]
fn the_dialect_follows_from_the_models_where_they_are_clear() {
    for (dialect, clear) in [(&OPENCONFIG, true), (&IETF, true), (&JUNOS, false)] {
        let model = Model::new(Profile::full(dialect), config());
        let mut wire = Wire::new(model, Settings::default());
        let found = wire.client.dialect().map(|found| found.name);
        assert_eq!(found, clear.then_some(dialect.name));
        let started = wire.client.read_port(PORT);
        assert_eq!(started.err(), (!clear).then_some(Refusal::NoDialect));
    }
}

#[test]
fn a_port_is_read_and_the_session_closed() {
    let mut wire = Wire::full(&JUNOS_ELS);
    wire.client.read_port(PORT).unwrap();
    wire.run();
    let report = wire.client.report().unwrap();
    assert_eq!(report.outcome, Outcome::Read);
    assert_eq!(report.port, &Observed::Port(access(10)));
    wire.client.close().unwrap();
    wire.run();
    assert_eq!(wire.client.step(), Step::Over);
    assert_eq!(outcome(&wire), Outcome::Closed);
    assert!(!wire.model.is_open(wire.key));
}

#[test]
fn tables_of_the_model_are_read_by_every_dialect() {
    for dialect in [&JUNOS, &JUNOS_ELS, &OPENCONFIG] {
        let mut wire = Wire::full(dialect);
        for last in 0..70 {
            let port = if last % 2 == 0 { PORT } else { OTHER };
            wire.model.learned.mac(port, [2, 0, 0, 0, 0, last], 20);
        }
        wire.model
            .learned
            .neighbour(PORT, "02:00:00:00:00:01", "eth0", "node <7>");
        wire.client.read_macs("").unwrap();
        wire.run();
        // The six oldest made room.
        assert_eq!(wire.rows.macs.len(), 64, "{}", dialect.name);
        assert!(
            wire.rows
                .macs
                .iter()
                .all(|(_, mac, vlan)| mac[5] > 5 && vlan == "20")
        );
        wire.client.read_macs(PORT).unwrap();
        wire.run();
        assert_eq!(wire.client.report().unwrap().rows, 32);
        wire.client.read_neighbours(PORT).unwrap();
        wire.run();
        let row = &wire.rows.neighbours[0];
        assert_eq!(row[1..], ["02:00:00:00:00:01", "eth0", "node <7>"]);
    }
}

#[test]
fn a_port_without_a_link_is_told_from_one_with_a_link_in_every_dialect() {
    for dialect in DIALECTS {
        let mut wire = Wire::full(dialect);
        for up in [true, false, true] {
            wire.model.learned.link(PORT, up);
            wire.client.read_link(PORT).unwrap();
            wire.run();
            assert_eq!(wire.client.report().unwrap().rows, 1, "{}", dialect.name);
            let last = wire.rows.links.last();
            assert_eq!(last, Some(&(PORT.to_owned(), up)), "{}", dialect.name);
        }
    }
}

#[test]
fn a_session_fits_in_two_kibibytes() {
    let size = size_of::<Client>();
    println!(
        "a client takes {size} bytes, the reader {}",
        size_of::<farrier_netconf::xml::Reader>()
    );
    println!("the model takes {} bytes", size_of::<Model>());
    assert!(size <= 2048, "{size}");
}
