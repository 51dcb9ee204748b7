//! What switches have beside their ports: VLANs, which the appliance makes and
//! removes where its operator wants that, and tables of hardware addresses.

use crate::api_rig::{call, get};
use crate::common::*;
use crate::ports::*;
use farrier_core::Command;
use farrier_core::Input;
use farrier_core::interface::{Learned, Network, NewOptions, SwitchAction, SwitchKind, Uses};
use farrier_core::ports::Sources;
use farrier_core::switch::Doubt;
use farrier_dhcp::wire::MessageType;
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_testkit::lab::LabPort;
use farrier_testkit::outcome::Details;
use serde_json::json;

const MAKES_VLANS: NewOptions<'static> = NewOptions {
    makes_vlans: Some(true),
    trunk_port: Some("xe-0/0/47"),
};

/// The details of the moves that the driver was asked for: from, to, and the rest.
fn moves(lab: &mut Lab) -> Vec<(u16, u16, Details)> {
    let switch = switch(lab);
    let asked = switch.asked.iter().zip(&switch.details);
    asked
        .filter_map(|((_, action), details)| match *action {
            SwitchAction::Move { from, to } => Some((from, to, details.clone())),
            _ => None,
        })
        .collect()
}

/// A node in a port, whose machine waits for work.
fn in_its_port() -> Lab {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    lab.verb(0, Verb::Manage).unwrap();
    lab
}

/// Moves the first node's port to the network of inspection and back, and returns
/// the details of both moves.
fn to_inspection_and_back(lab: &mut Lab) -> [Details; 2] {
    switch(lab).asked.clear();
    switch(lab).details.clear();
    lab.verb(0, Verb::Inspect).unwrap();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.pass(2);
    speak(lab, MessageType::Discover);
    lab.run(&mut agent, 20);
    lab.pass(5);
    assert_eq!(lab.state(0), ProvisionState::Manageable);
    speak(lab, MessageType::Discover);
    lab.pass(2);
    let moves = moves(lab);
    let [(IDLE, out, there), (from, IDLE, back)] = &moves[..] else {
        panic!("{moves:?}");
    };
    assert_eq!(out, from);
    [there.clone(), back.clone()]
}

#[test]
fn vlans_are_made_where_the_operator_wants_it_and_outlive_a_restart() {
    let mut lab = in_its_port();
    put_switch(&mut lab, SwitchKind::Netconf, NewOptions::default());
    let details = to_inspection_and_back(&mut lab);
    assert_eq!(
        details,
        [Details::default(), Details::default()],
        "by default"
    );

    put_switch(&mut lab, SwitchKind::Netconf, MAKES_VLANS);
    lab.restart(0);
    lab.pass(2);
    let details = to_inspection_and_back(&mut lab);
    let makes = Details {
        make_vlan: true,
        trunk: "xe-0/0/47".to_owned(),
        ..Details::default()
    };
    assert_eq!(details, [makes.clone(), makes], "networks have these VLANs");

    // A definition says all anew.
    put_switch(
        &mut lab,
        SwitchKind::Netconf,
        NewOptions {
            makes_vlans: Some(false),
            trunk_port: Some(""),
        },
    );
    lab.restart(0);
    lab.pass(2);
    let details = to_inspection_and_back(&mut lab);
    assert_eq!(details, [Details::default(), Details::default()]);
}

#[test]
fn a_vlan_goes_with_the_last_port_on_it_unless_a_network_has_it() {
    let mut lab = in_its_port();
    put_switch(&mut lab, SwitchKind::Netconf, MAKES_VLANS);
    // One for each node.
    let own = |vlans| Network {
        uses: Uses::INSPECTION,
        vlan: 200,
        vlans,
        ..Network::EMPTY
    };
    let name = "inspection";
    let network = own(4);
    lab.operator(Command::PutNetwork { name, network }).unwrap();
    let [there, back] = to_inspection_and_back(&mut lab);
    assert!(there.make_vlan && !there.remove_vlan, "the idle network's");
    assert!(back.make_vlan && back.remove_vlan, "the node's own");

    // Somebody else is on it.
    let mac = mac_of(2);
    lab.discover(2);
    let other = "xe-0/0/2";
    let port = LabPort {
        vlan: 200,
        link: true,
    };
    switch(&mut lab).ports.insert(other.to_owned(), port);
    lab.operator(Command::LinkPort {
        mac,
        switch: "tor",
        port: other,
    })
    .unwrap();
    lab.pass(2);
    let [_, back] = to_inspection_and_back(&mut lab);
    assert!(back.make_vlan && !back.remove_vlan);
}

#[test]
fn a_move_that_is_taken_back_removes_the_vlan_that_it_made() {
    let mut lab = in_its_port();
    put_switch(&mut lab, SwitchKind::Netconf, MAKES_VLANS);
    let network = Network {
        uses: Uses::INSPECTION,
        vlan: 200,
        vlans: 4,
        ..Network::EMPTY
    };
    let name = "inspection";
    lab.operator(Command::PutNetwork { name, network }).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.pass(40 * 60);
    assert_eq!(lab.state(0), ProvisionState::InspectFailed);
    let switch = switch(&mut lab);
    let asked = switch.asked.iter().zip(&switch.details);
    let undone: Vec<_> = asked
        .filter(|((_, action), _)| matches!(action, SwitchAction::Undo { .. }))
        .map(|(_, details)| (details.make_vlan, details.remove_vlan))
        .collect();
    assert!(!undone.is_empty() && undone.iter().all(|details| *details == (true, true)));
}

#[test]
fn options_of_a_switch_are_said_and_shown_by_the_api() {
    let mut lab = in_its_port();
    let tor = "/farrier/v1/switches/tor";
    let shown = |lab: &mut Lab| {
        let switch = get(lab, "/farrier/v1/switches")["switches"][0].clone();
        (switch["makes_vlans"].clone(), switch["trunk_port"].clone())
    };
    assert_eq!(shown(&mut lab), (json!(false), json!(null)));
    let put = r#"{"kind": "ovsdb", "address": "10.0.9.1", "makes_vlans": true,
                  "trunk_port": "xe-0/0/47"}"#;
    assert_eq!(call(&mut lab, "PUT", tor, put).status, 204);
    assert_eq!(shown(&mut lab), (json!(true), json!("xe-0/0/47")));
    // What is not named stays.
    assert_eq!(
        call(&mut lab, "PATCH", tor, r#"{"trunk_port": ""}"#).status,
        204
    );
    assert_eq!(shown(&mut lab), (json!(true), json!(null)));
    assert_eq!(
        call(&mut lab, "PATCH", tor, r#"{"makes_vlans": false}"#).status,
        204
    );
    assert_eq!(shown(&mut lab), (json!(false), json!(null)));
    for wrong in [
        r#"{"makes_vlans": "yes"}"#,
        r#"{"trunk_port": "a b"}"#,
        r#"{"trunk_port": "a-name-that-is-longer-than-32-bytes"}"#,
    ] {
        assert_eq!(call(&mut lab, "PATCH", tor, wrong).status, 400, "{wrong}");
    }
    assert_eq!(shown(&mut lab), (json!(false), json!(null)));
}

/// Says anew in which port the first interface is: nothing was seen there.
fn in_another_port(lab: &mut Lab) {
    let port = LabPort {
        vlan: IDLE,
        link: true,
    };
    switch(lab).ports.insert("xe-0/0/2".to_owned(), port);
    let at = NewOptions::default();
    put_switch(lab, SwitchKind::Netconf, at);
    lab.operator(Command::LinkPort {
        mac: mac_of(1),
        switch: "tor",
        port: "xe-0/0/2",
    })
    .unwrap();
    // It speaks on another VLAN than the port's, so only the table can agree.
    lab.step(Input::Seen {
        mac: mac_of(1),
        vlan: 0,
    });
    lab.pass(1);
}

#[test]
fn the_switchs_table_agrees_to_a_first_move() {
    let mut lab = in_its_port();
    switch(&mut lab).learned = Learned::Nowhere;
    in_another_port(&mut lab);
    lab.verb(0, Verb::Inspect).unwrap();
    lab.pass(20);
    assert_eq!(lab.rack().doubt(mac_of(1)), Some(Doubt::NotSeen));
    assert_eq!(switch(&mut lab).ports["xe-0/0/2"].vlan, IDLE);
    // The switch has seen a frame of the card.
    switch(&mut lab).learned = Learned::Here(IDLE);
    lab.pass(20);
    assert_eq!(lab.rack().doubt(mac_of(1)), None);
    assert_eq!(switch(&mut lab).ports["xe-0/0/2"].vlan, INSPECTION);
    let sources = lab.rack().ports().all()[0].sources;
    assert_eq!(sources, Sources::OPERATOR | Sources::TABLE);
    let listed = get(&mut lab, "/farrier/v1/switch-ports")["switch_ports"][0].clone();
    assert_eq!(listed["sources"], json!(["operator", "switch-table"]));
    assert_eq!(listed["learned"], "this port");
    assert_eq!(listed["learned_vlan"], IDLE);
    lab.restart(0);
    assert_eq!(lab.rack().ports().all()[0].sources, sources);
}

#[test]
fn a_card_that_the_switch_has_learned_elsewhere_has_its_port_left_alone() {
    let mut lab = in_its_port();
    switch(&mut lab).learned = Learned::Elsewhere;
    in_another_port(&mut lab);
    // Even though the rack has seen it on the VLAN.
    lab.step(Input::Seen {
        mac: mac_of(1),
        vlan: IDLE,
    });
    lab.verb(0, Verb::Inspect).unwrap();
    lab.pass(60);
    assert_eq!(lab.rack().doubt(mac_of(1)), Some(Doubt::LearnedElsewhere));
    assert_eq!(switch(&mut lab).ports["xe-0/0/2"].vlan, IDLE);
    let error = lab.node(0).last_error.to_string();
    assert!(error.contains("on another port"), "{error}");
    let listed = get(&mut lab, "/farrier/v1/switch-ports")["switch_ports"][0].clone();
    assert_eq!(listed["learned"], "another port");
    assert_eq!(listed["not_moved_because"], "learned on another port");
    // The cable was put right, and the switch forgets.
    switch(&mut lab).learned = Learned::Here(0);
    lab.pass(20);
    assert_eq!(switch(&mut lab).ports["xe-0/0/2"].vlan, INSPECTION);
}

#[test]
fn an_operator_who_says_it_again_outweighs_the_table() {
    let mut lab = in_its_port();
    switch(&mut lab).learned = Learned::Elsewhere;
    in_another_port(&mut lab);
    assert_eq!(lab.rack().doubt(mac_of(1)), Some(Doubt::LearnedElsewhere));
    lab.operator(Command::LinkPort {
        mac: mac_of(1),
        switch: "tor",
        port: "xe-0/0/2",
    })
    .unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.pass(5);
    assert_eq!(switch(&mut lab).ports["xe-0/0/2"].vlan, INSPECTION);
}

/// A tenant's machine on a switch with NETCONF is released and switched off, and the
/// switch has moved its port. Returns what the table of the switch has after that.
fn released_and_off(learned: Learned) -> Lab {
    let (mut lab, mut agent) = deploying();
    put_switch(&mut lab, SwitchKind::Netconf, NewOptions::default());
    speak(&mut lab, MessageType::Discover);
    lab.run(&mut agent, 30);
    speak(&mut lab, MessageType::Discover);
    assert_eq!(lab.state(0), ProvisionState::Active);
    lab.verb(0, Verb::Deleted).unwrap();
    switch(&mut lab).learned = learned;
    switch(&mut lab).ports.get_mut(PORT).unwrap().link = false;
    lab.pass(30);
    assert_eq!(vlan(&mut lab), CLEANING);
    lab
}

#[test]
fn a_machine_that_is_off_is_proven_by_the_port_and_the_table() {
    for learned in [
        Learned::Unknown,
        Learned::Nowhere,
        Learned::Here(CLEANING),
        Learned::Elsewhere,
    ] {
        let mut lab = released_and_off(learned);
        let port = &lab.rack().ports().all()[0];
        assert_eq!((port.at, port.to), (CLEANING, 0), "{learned:?}");
        assert_eq!(lab.state(0), ProvisionState::CleanWait, "{learned:?}");
        let asked = switch(&mut lab).asked.clone();
        let behind = asked.len() - 2;
        assert_eq!(asked[behind].1, SwitchAction::Read, "{learned:?}");
        assert!(switch(&mut lab).details[behind].mac.is_some());
    }
}

#[test]
fn an_entry_of_the_old_network_holds_a_move_up_for_a_minute_at_the_most() {
    // It is forgotten.
    let mut lab = released_and_off(Learned::Here(BLUE));
    let moving = |lab: &Lab| lab.rack().ports().all()[0].is_moving();
    assert!(
        moving(&lab),
        "the switch may pass frames by the old network"
    );
    switch(&mut lab).learned = Learned::Nowhere;
    lab.pass(10);
    assert!(!moving(&lab));
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    // It is not.
    let mut lab = released_and_off(Learned::Here(BLUE));
    lab.pass(10);
    assert!(moving(&lab));
    let asked = switch(&mut lab).asked.len();
    assert!(asked < 30, "asked too often: {asked}");
    lab.pass(60);
    assert!(!moving(&lab), "the port, read back, is where it is to be");
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
}
