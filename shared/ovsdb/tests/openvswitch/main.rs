//! The client against Open vSwitch with its userspace data path, on loopback, in
//! a network namespace and a folder of its own. Skipped, with a reason, where the programs are absent
//! or the test does not run as root.

mod client;
mod switch;

use std::time::Duration;

use client::{Client, Seen};
use farrier_ovsdb::{
    Carriage, Change, Config, Event, NotNow, Outcome, PortName, PortVlan, State, VlanMode, VlanSet,
};
use switch::Switch;

fn name(text: &str) -> PortName {
    PortName::new(text).unwrap()
}

/// One test, because a switch takes a while to start.
#[test]
fn open_vswitch_moves_ports_and_says_when() {
    let Some(switch) = Switch::start() else {
        return;
    };
    let mut client = Client::connect(switch.port(), Config::default());
    client.until_ready();
    the_initial_state_is_shown(&client.seen);
    a_change_is_applied_and_undone(&switch, &mut client);
    a_trunk_is_compared_with_all_its_vlans(&switch, &mut client);
    carriage_is_what_the_data_path_does(&switch, &mut client);
    what_another_changed_is_left_alone(&switch, &mut client);
    a_constraint_is_refused_by_name(&mut client);
    the_switch_asks_whether_the_client_lives(&mut client);
    a_switch_that_does_not_run_does_not_confirm(&switch, &mut client);
    counters_come_where_they_are_wanted(&switch);
}

fn the_initial_state_is_shown(seen: &Seen) {
    assert_eq!(seen.ports["far-a"].tag, Some(10));
    assert_eq!(seen.ports["far-b"].tag, Some(20));
    let trunk = seen.ports["far-t"];
    assert_eq!((trunk.tag, trunk.trunks.ids()), (None, &[10, 20][..]));
    assert_eq!(trunk.carriage(10), Some(Carriage::Tagged));
    assert_eq!(trunk.carriage(0), Some(Carriage::No));
    // The bridge's own port has nothing set.
    assert_eq!(seen.ports["far-br"], PortVlan::UNSET);
    let interface = &seen.interfaces["far-a"];
    assert!(interface.ofport.unwrap() > 0);
    assert!(interface.mac_in_use.is_some());
    assert!(interface.link_up.is_some());
    assert_eq!(seen.statistics, 0, "counters were not asked for");
    assert!(seen.statuses > 0);
}

fn a_change_is_applied_and_undone(switch: &Switch, client: &mut Client) {
    assert!(switch.reaches("far-a", "far-c"), "both are on VLAN 10");
    let change = Change {
        port: name("far-a"),
        expected: PortVlan {
            tag: Some(10),
            ..PortVlan::UNSET
        },
        desired: PortVlan::access(20).unwrap(),
    };
    assert_eq!(client.change(&change), Outcome::Applied);
    assert_eq!(switch.get("far-a", "tag"), "20");
    assert_eq!(switch.get("far-a", "vlan_mode"), "access");
    assert!(switch.reaches("far-a", "far-b"));
    assert!(!switch.reaches("far-a", "far-c"));
    assert_eq!(client.seen.ports["far-a"], change.desired);
    // The numbers of other ports are as they were.
    assert_eq!(switch.get("far-b", "tag"), "20");
    assert_eq!(switch.get("far-c", "tag"), "10");

    client.session.rollback().unwrap();
    assert_eq!(client.outcome(), Outcome::Applied);
    assert_eq!(switch.get("far-a", "tag"), "10");
    assert_eq!(switch.get("far-a", "vlan_mode"), "[]");
    assert!(switch.reaches("far-a", "far-c"));
    assert_eq!(client.read("far-a"), Some(change.expected));
    assert_eq!(client.read("no-such-port"), None);
    assert_eq!(client.session.rollback(), Err(NotNow::NothingToUndo));
}

fn a_trunk_is_compared_with_all_its_vlans(switch: &Switch, client: &mut Client) {
    let port = name("far-t");
    let partly = Change {
        port,
        expected: PortVlan {
            mode: None,
            ..PortVlan::trunk(&[10]).unwrap()
        },
        desired: PortVlan::trunk(&[30]).unwrap(),
    };
    let found = client.seen.ports["far-t"];
    let conflict = Outcome::Conflict { found: Some(found) };
    assert_eq!(client.change(&partly), conflict);
    let vlans: Vec<u16> = (100..132).collect();
    let change = Change {
        port,
        expected: found,
        desired: PortVlan::native(7, &vlans).unwrap(),
    };
    assert_eq!(client.change(&change), Outcome::Applied);
    assert_eq!(switch.get("far-t", "vlan_mode"), "native-untagged");
    assert_eq!(client.change(&change.reversed()), Outcome::Applied);
    assert_eq!(switch.get("far-t", "trunks"), "[10, 20]");
}

/// `far-c` sends frames of VLAN 10, `far-b` those of VLAN 20.
fn carriage_is_what_the_data_path_does(switch: &Switch, client: &mut Client) {
    let start = client.read("far-t").unwrap();
    let set = |tag, trunks: &[u16], mode| PortVlan {
        tag,
        trunks: VlanSet::new(trunks).unwrap(),
        mode,
    };
    let mut before = start;
    for desired in [
        PortVlan::UNSET,
        PortVlan::access(10).unwrap(),
        PortVlan::trunk(&[10, 30]).unwrap(),
        PortVlan::native(10, &[20]).unwrap(),
        set(Some(10), &[20], None),
        set(Some(10), &[20], Some(VlanMode::Trunk)),
        set(Some(10), &[20], Some(VlanMode::NativeTagged)),
        set(Some(10), &[], Some(VlanMode::NativeUntagged)),
        set(None, &[], Some(VlanMode::Trunk)),
        set(None, &[20], None),
        start,
    ] {
        let change = Change {
            port: name("far-t"),
            expected: before,
            desired,
        };
        assert_eq!(client.change(&change), Outcome::Applied, "{desired}");
        for (from, vlan) in [("far-c", 10), ("far-b", 20)] {
            let wanted = match desired.carriage(vlan).unwrap() {
                Carriage::No => None,
                Carriage::Untagged => Some(None),
                Carriage::Tagged => Some(Some(vlan)),
                Carriage::Tunnel => unreachable!(),
            };
            assert_eq!(
                switch.leaves(from, "far-t"),
                wanted,
                "{vlan} with {desired}"
            );
        }
        before = desired;
    }
}

fn what_another_changed_is_left_alone(switch: &Switch, client: &mut Client) {
    let expected = client.read("far-a").unwrap();
    switch.set("far-a", "tag=77");
    let change = Change {
        port: name("far-a"),
        expected,
        desired: PortVlan::access(20).unwrap(),
    };
    let Outcome::Conflict { found: Some(found) } = client.change(&change) else {
        panic!("the port was changed by another");
    };
    assert_eq!(found.tag, Some(77));
    assert_eq!(switch.get("far-a", "tag"), "77");
    assert_eq!(client.seen.ports["far-a"].tag, Some(77));
    let gone = Change {
        port: name("far-none"),
        ..change
    };
    assert_eq!(client.change(&gone), Outcome::Conflict { found: None });
    switch.set("far-a", "tag=10");
}

fn a_constraint_is_refused_by_name(client: &mut Client) {
    let change = Change {
        port: name("far-a"),
        expected: client.read("far-a").unwrap(),
        // The schema ends at 4095.
        desired: PortVlan {
            tag: Some(5000),
            ..PortVlan::UNSET
        },
    };
    let Outcome::Refused(refusal) = client.change(&change) else {
        panic!("the schema refuses this tag");
    };
    assert_eq!(&refusal.error, "constraint violation");
    assert!(refusal.details.as_str().contains("5000"), "{refusal}");
    println!("refusal: {refusal}");
    // The session goes on.
    client.session.probe().unwrap();
    client.until(|event| *event == Event::Alive);
}

/// Open vSwitch sends `echo` after 5 s without a word and closes after 5 more.
fn the_switch_asks_whether_the_client_lives(client: &mut Client) {
    let before = client.seen.echoes;
    client.idle(Duration::from_secs(13));
    let echoes = client.seen.echoes - before;
    assert!(echoes >= 2, "{echoes} echo requests in 13 s");
    assert!(client.read("far-a").is_some());
}

fn a_switch_that_does_not_run_does_not_confirm(switch: &Switch, client: &mut Client) {
    switch.freeze(true);
    let change = Change {
        port: name("far-a"),
        expected: client.read("far-a").unwrap(),
        desired: PortVlan::access(30).unwrap(),
    };
    client.session.begin(&change).unwrap();
    client.until(|event| *event == Event::Committed);
    client.idle(Duration::from_secs(1));
    assert!(matches!(client.session.state(), State::Apply { .. }));
    // The database has it, the data path does not.
    assert_eq!(switch.get("far-a", "tag"), "30");
    client.session.give_up().unwrap();
    client.session.rollback().unwrap();
    client.until(|event| *event == Event::Committed);
    switch.freeze(false);
    assert_eq!(client.outcome(), Outcome::Applied);
    assert_eq!(client.read("far-a"), Some(change.expected));
    assert!(switch.reaches("far-a", "far-c"));
}

fn counters_come_where_they_are_wanted(switch: &Switch) {
    let config = Config {
        statistics: true,
        ..Config::default()
    };
    let mut client = Client::connect(switch.port(), config);
    client.until_ready();
    assert!(client.seen.statistics > 0);
    assert!(client.seen.interfaces.len() >= 5);
    let mode = client.seen.ports["far-t"].mode;
    assert!(matches!(mode, None | Some(VlanMode::Trunk)));
    println!("initial state: {} bytes", client.received);
}
