//! Ports of switches: every move in its order, each proven, and what happens where
//! one is not.

use crate::api_rig::{call, get};
use crate::common::*;
use farrier_core::Command;
use farrier_core::Input;
use farrier_core::interface::{
    Network, NetworkId, NewLogin, NewOptions, PowerState, SwitchAction, SwitchAddress, SwitchKind,
    Uses,
};
use farrier_dhcp::wire::MessageType;
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_testkit::lab::{LabPort, LabSwitch};
use farrier_testkit::machine::{Lease, dhcp_message};
use farrier_testkit::outcome::Outcome;
use serde_json::json;

pub(crate) const IDLE: u16 = 10;
pub(crate) const INSPECTION: u16 = 11;
pub(crate) const CLEANING: u16 = 12;
pub(crate) const PROVISIONING: u16 = 13;
pub(crate) const BLUE: u16 = 100;
pub(crate) const PORT: &str = "xe-0/0/1";

/// The networks of this rack; their numbers are their places from 1 on.
const NETWORKS: [(&str, Uses, u16); 4] = [
    ("idle", Uses::IDLE, IDLE),
    ("inspection", Uses::INSPECTION, INSPECTION),
    ("cleaning", Uses::CLEANING, CLEANING),
    ("deploying", Uses::PROVISIONING, PROVISIONING),
];

fn number_of(vlan: u16) -> NetworkId {
    let place = NETWORKS.iter().position(|(.., known)| *known == vlan);
    NetworkId(place.map_or(5, |place| place as u8 + 1))
}

fn blue() -> Network {
    Network {
        prefix: 24,
        vlan: BLUE,
        pool_len: 8,
        pool_first: "10.9.0.10".parse().unwrap(),
        address: "10.9.0.1".parse().unwrap(),
        router: "10.9.0.254".parse().unwrap(),
        dns: "10.9.0.53".parse().unwrap(),
        ntp: "10.9.0.123".parse().unwrap(),
        mtu: 1496,
        ..Network::EMPTY
    }
}

/// Defines the rack's switch, or makes it one of another kind.
pub(crate) fn put_switch(lab: &mut Lab, kind: SwitchKind, options: NewOptions<'_>) {
    let (address, port) = match kind {
        SwitchKind::ByHand => ("0.0.0.0", 0),
        SwitchKind::Ovsdb => ("10.0.9.1", 6640),
        SwitchKind::Netconf => ("10.0.9.1", 830),
    };
    lab.operator(Command::PutSwitch {
        name: "tor",
        address: SwitchAddress {
            kind,
            address: address.parse().unwrap(),
            port,
        },
        login: NewLogin::default(),
        options,
    })
    .unwrap();
}

/// Defines the networks and the switch, and puts the first node's interface into
/// its port.
pub(crate) fn with_switch(lab: &mut Lab) {
    for (name, uses, vlan) in NETWORKS {
        let network = Network {
            uses,
            vlan,
            ..Network::EMPTY
        };
        lab.operator(Command::PutNetwork { name, network }).unwrap();
    }
    let (name, network) = ("blue", blue());
    lab.operator(Command::PutNetwork { name, network }).unwrap();
    put_switch(lab, SwitchKind::Ovsdb, NewOptions::default());
    let port = LabPort {
        vlan: IDLE,
        link: true,
    };
    let switch = lab.switch.insert(LabSwitch::default());
    switch.ports.insert(PORT.to_owned(), port);
    lab.operator(Command::LinkPort {
        mac: mac_of(1),
        switch: "tor",
        port: PORT,
    })
    .unwrap();
    // The machine waits for orders on the idle network.
    let mac = mac_of(1);
    lab.step(Input::Seen { mac, vlan: IDLE });
    lab.pass(1);
}

pub(crate) fn switch(lab: &mut Lab) -> &mut LabSwitch {
    lab.switch.as_mut().unwrap()
}

pub(crate) fn vlan(lab: &mut Lab) -> u16 {
    switch(lab).ports[PORT].vlan
}

/// A DHCP message of the first machine on the network that its port is on.
pub(crate) fn speak(lab: &mut Lab, kind: MessageType) -> Option<Lease> {
    let vlan = vlan(lab);
    let network = number_of(vlan);
    let from = mac_of(1);
    let payload = dhcp_message(kind, from, |_| {});
    let outcomes = lab.step(Input::Dhcp {
        network,
        from,
        payload: &payload,
    });
    lab.step(Input::Seen { mac: from, vlan });
    outcomes.into_iter().find_map(|outcome| match outcome {
        Outcome::Dhcp(_, bytes) => Some(Lease::parse(&bytes).expect("a reply parses")),
        _ => None,
    })
}

/// An available node in a port, with a VIF, that is being deployed; the machine has
/// been seen on the network of the deployment.
pub(crate) fn deploying() -> (Lab, Agent) {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    let node = lab.node(0).id;
    lab.operator(Command::AttachVif {
        node,
        network: "blue",
    })
    .unwrap();
    lab.set_image(0, "debian12").unwrap();
    lab.pass(100);
    lab.verb(0, Verb::Active).unwrap();
    lab.pass(1);
    assert_eq!(vlan(&mut lab), PROVISIONING);
    let agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    (lab, agent)
}

#[test]
fn a_port_is_read_before_anything_is_done_with_it() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    lab.pass(10);
    let asked = &switch(&mut lab).asked;
    assert_eq!(asked[..], [(PORT.to_owned(), SwitchAction::Read)]);
    assert_eq!(lab.rack().ports().all()[0].at, IDLE);
}

#[test]
fn no_order_is_given_before_the_machine_was_seen_on_the_network_of_its_work() {
    let (mut lab, mut agent) = deploying();
    lab.run(&mut agent, 3);
    assert!(
        lab.node(0).boot.order.is_none(),
        "an order on the old network"
    );
    // Its frames so far came by network 0, which proves nothing.
    speak(&mut lab, MessageType::Discover);
    let port = &lab.rack().ports().all()[0];
    assert_eq!((port.at, port.to), (PROVISIONING, 0));
    lab.run(&mut agent, 20);
    assert!(lab.node(0).boot.imaged || lab.state(0) == ProvisionState::WaitCallBack);
}

#[test]
fn a_deployed_machine_is_active_once_it_was_seen_on_its_tenants_network() {
    let (mut lab, mut agent) = deploying();
    speak(&mut lab, MessageType::Discover);
    lab.run(&mut agent, 30);
    lab.pass(2);
    assert_eq!(vlan(&mut lab), BLUE, "the agent has left");
    assert_ne!(
        lab.state(0),
        ProvisionState::Active,
        "nothing was seen there"
    );
    let offer = speak(&mut lab, MessageType::Discover).expect("an offer on its network");
    assert_eq!(offer.address.to_string(), "10.9.0.10");
    assert_eq!(lab.state(0), ProvisionState::Active);
    let moved: Vec<_> = switch(&mut lab)
        .asked
        .iter()
        .filter_map(|(_, action)| match action {
            SwitchAction::Move { from, to } => Some((*from, *to)),
            _ => None,
        })
        .collect();
    assert_eq!(moved, [(IDLE, PROVISIONING), (PROVISIONING, BLUE)]);
}

#[test]
fn a_frame_is_awaited_where_it_would_prove_a_move_and_no_longer() {
    let (mut lab, mut agent) = deploying();
    let awaited = |lab: &Lab| {
        let all = [IDLE, PROVISIONING, BLUE];
        all.map(|vlan| lab.rack().awaits_frame(mac_of(1), vlan))
    };
    assert_eq!(awaited(&lab), [false, true, false]);
    speak(&mut lab, MessageType::Discover);
    assert_eq!(awaited(&lab), [false; 3]);
    lab.run(&mut agent, 30);
    lab.pass(2);
    assert_eq!(awaited(&lab), [false, false, true]);
    // A system with a fixed address speaks no DHCP.
    let (mac, vlan) = (mac_of(1), BLUE);
    lab.step(Input::Seen { mac, vlan });
    lab.pass(1);
    assert_eq!(lab.state(0), ProvisionState::Active);
    assert_eq!(awaited(&lab), [false; 3]);
}

#[test]
fn a_tenants_machine_leaves_its_network_switched_off_and_then_is_cleaned() {
    let (mut lab, mut agent) = deploying();
    speak(&mut lab, MessageType::Discover);
    lab.run(&mut agent, 30);
    speak(&mut lab, MessageType::Discover);
    assert_eq!(lab.state(0), ProvisionState::Active);
    lab.verb(0, Verb::Deleted).unwrap();
    lab.pass(60);
    // It may be running: it stays where it is.
    assert_eq!(lab.state(0), ProvisionState::Deleting);
    assert_eq!(vlan(&mut lab), BLUE);
    assert!(
        speak(&mut lab, MessageType::Discover).is_none(),
        "its address is gone"
    );
    switch(&mut lab).ports.get_mut(PORT).unwrap().link = false;
    lab.pass(30);
    assert_eq!(vlan(&mut lab), CLEANING);
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    let port = &lab.rack().ports().all()[0];
    assert_eq!((port.at, port.to, port.vif), (CLEANING, 0, 0));
    switch(&mut lab).ports.get_mut(PORT).unwrap().link = true;
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut agent, 20);
    let mut again = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut again, 20);
    assert_eq!(lab.state(0), ProvisionState::Available);
    lab.pass(2);
    assert_eq!(vlan(&mut lab), IDLE);
}

#[test]
fn a_machine_that_is_not_seen_on_its_new_network_is_taken_back() {
    let (mut lab, mut agent) = deploying();
    speak(&mut lab, MessageType::Discover);
    lab.run(&mut agent, 30);
    lab.pass(1);
    assert_eq!(vlan(&mut lab), BLUE);
    assert!(lab.rack().may_ask_on(mac_of(1), BLUE));
    assert!(
        !lab.rack().may_ask_on(mac_of(1), PROVISIONING),
        "an address of the network that it leaves"
    );
    lab.pass(40 * 60);
    assert_eq!(lab.state(0), ProvisionState::DeployFailed);
    assert_eq!(vlan(&mut lab), PROVISIONING);
    let error = lab.node(0).last_error.to_string();
    assert!(error.contains("VLAN 100"), "{error}");
}

#[test]
fn a_restart_between_move_and_proof_goes_on() {
    let (mut lab, mut agent) = deploying();
    speak(&mut lab, MessageType::Discover);
    lab.run(&mut agent, 30);
    lab.pass(1);
    let before = lab.rack().ports().all()[0].clone();
    assert_eq!((before.at, before.to), (PROVISIONING, BLUE));
    lab.restart(0);
    lab.pass(5);
    let port = &lab.rack().ports().all()[0];
    assert_eq!((port.at, port.to), (PROVISIONING, BLUE));
    speak(&mut lab, MessageType::Discover);
    lab.pass(1);
    assert_eq!(lab.state(0), ProvisionState::Active);
    assert_eq!(lab.rack().ports().all()[0].at, BLUE);
}

#[test]
fn a_move_of_a_node_whose_records_are_lost_is_neither_kept_nor_taken_back() {
    let (mut lab, mut agent) = deploying();
    speak(&mut lab, MessageType::Discover);
    lab.run(&mut agent, 30);
    lab.pass(1);
    assert_eq!(vlan(&mut lab), BLUE);
    // The move may have been kept, and the tenant have its machine.
    lab.restart(1);
    switch(&mut lab).asked.clear();
    lab.pass(40 * 60);
    assert_eq!(vlan(&mut lab), BLUE);
    assert!(switch(&mut lab).asked.is_empty());
}

#[test]
fn a_port_is_read_behind_a_restart_though_its_driver_has_no_room_at_first() {
    let (mut lab, mut agent) = deploying();
    speak(&mut lab, MessageType::Discover);
    lab.run(&mut agent, 30);
    lab.pass(1);
    assert_eq!(vlan(&mut lab), BLUE);
    switch(&mut lab).busy = 2;
    switch(&mut lab).asked.clear();
    lab.restart(0);
    lab.pass(30);
    let asked: Vec<_> = switch(&mut lab).asked.iter().map(|(_, a)| *a).collect();
    assert_eq!(asked[..], [SwitchAction::Read; 3]);
    speak(&mut lab, MessageType::Discover);
    lab.pass(1);
    assert_eq!(lab.state(0), ProvisionState::Active);
}

#[test]
fn a_port_is_read_before_a_move_is_taken_back_that_is_being_carried_out() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    lab.pass(100);
    lab.verb(0, Verb::Manage).unwrap();
    switch(&mut lab).silent = true;
    lab.verb(0, Verb::Inspect).unwrap();
    lab.pass(1);
    let port = &lab.rack().ports().all()[0];
    assert_eq!((port.at, port.to), (IDLE, INSPECTION));
    // The switch has done it, and the driver has not said so yet.
    switch(&mut lab).ports.get_mut(PORT).unwrap().vlan = INSPECTION;
    switch(&mut lab).silent = false;
    switch(&mut lab).asked.clear();
    lab.verb(0, Verb::Abort).unwrap();
    lab.verb(0, Verb::Manage).unwrap();
    lab.pass(30);
    let (from, to) = (IDLE, INSPECTION);
    let asked: Vec<_> = switch(&mut lab).asked.iter().map(|(_, a)| *a).collect();
    assert_eq!(
        asked[..],
        [SwitchAction::Read, SwitchAction::Undo { from, to }]
    );
}

/// A tenant's machine that is released and off, whose switch refuses to move its
/// port.
fn released_and_stuck() -> Lab {
    let (mut lab, mut agent) = deploying();
    speak(&mut lab, MessageType::Discover);
    lab.run(&mut agent, 30);
    speak(&mut lab, MessageType::Discover);
    assert_eq!(lab.state(0), ProvisionState::Active);
    lab.verb(0, Verb::Deleted).unwrap();
    switch(&mut lab).refuses = true;
    switch(&mut lab).ports.get_mut(PORT).unwrap().link = false;
    lab.pass(60);
    let port = &lab.rack().ports().all()[0];
    assert_eq!((port.at, port.to), (BLUE, CLEANING), "the move has begun");
    assert_eq!(vlan(&mut lab), BLUE);
    lab
}

#[test]
fn a_tenants_machine_that_is_on_again_is_not_moved() {
    for shown_by in ["link", "frame", "restart"] {
        let mut lab = released_and_stuck();
        match shown_by {
            "link" => switch(&mut lab).ports.get_mut(PORT).unwrap().link = true,
            // The switch does not see the link.
            "frame" => assert!(speak(&mut lab, MessageType::Discover).is_none()),
            _ => {
                switch(&mut lab).ports.get_mut(PORT).unwrap().link = true;
                lab.restart(0);
            }
        }
        if shown_by == "link" {
            // Until it is read again behind the refusals.
            lab.pass(100);
        }
        switch(&mut lab).refuses = false;
        if shown_by != "frame" {
            lab.pass(60);
            assert_eq!(vlan(&mut lab), BLUE, "{shown_by}");
        } else {
            lab.pass(4);
            assert_eq!(vlan(&mut lab), BLUE, "{shown_by}");
        }
        switch(&mut lab).ports.get_mut(PORT).unwrap().link = false;
        lab.pass(110);
        assert_eq!(vlan(&mut lab), CLEANING, "{shown_by}");
    }
}

#[test]
fn what_was_seen_of_a_machine_long_ago_does_not_move_its_port() {
    let (mut lab, mut agent) = deploying();
    speak(&mut lab, MessageType::Discover);
    lab.run(&mut agent, 30);
    speak(&mut lab, MessageType::Discover);
    assert_eq!(lab.state(0), ProvisionState::Active);
    // Its link stays up without power, and its switch answers nothing for a while.
    switch(&mut lab).silent = true;
    lab.verb(0, Verb::Deleted).unwrap();
    let node = lab.node(0).id;
    let power = PowerState::Off;
    lab.step(Input::Observed { node, power });
    lab.pass(130);
    switch(&mut lab).silent = false;
    // Somebody has switched it on, and no frame of it has come.
    lab.pass(100);
    assert_eq!(lab.state(0), ProvisionState::Deleting);
    assert_eq!(vlan(&mut lab), BLUE);
    lab.step(Input::Observed { node, power });
    lab.pass(60);
    assert_eq!(vlan(&mut lab), CLEANING);
}

#[test]
fn a_switch_that_refuses_lies_or_is_silent_moves_nothing_and_is_said_so() {
    for fault in ["refuses", "lies", "silent"] {
        let (mut lab, _) = available_with(&[8 * GIB]);
        with_switch(&mut lab);
        match fault {
            "refuses" => switch(&mut lab).refuses = true,
            "lies" => switch(&mut lab).lies = true,
            _ => switch(&mut lab).silent = true,
        }
        lab.pass(100);
        lab.verb(0, Verb::Manage).unwrap();
        lab.verb(0, Verb::Inspect).unwrap();
        lab.pass(40 * 60);
        assert_eq!(lab.state(0), ProvisionState::InspectFailed, "{fault}");
        assert_eq!(vlan(&mut lab), IDLE, "{fault}");
        assert!(
            switch(&mut lab).asked.len() < 200,
            "{fault}: asked too often"
        );
    }
}

#[test]
fn a_port_that_somebody_moves_is_said_so_and_left_alone() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    switch(&mut lab).ports.get_mut(PORT).unwrap().vlan = 77;
    lab.pass(100);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.pass(60);
    assert_eq!(vlan(&mut lab), 77);
    let error = lab.node(0).last_error.to_string();
    assert!(error.contains("VLAN 77"), "{error}");
}

#[test]
fn a_machine_that_is_seen_elsewhere_than_a_person_has_put_its_port_is_said_so() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    lab.pass(10);
    put_switch(&mut lab, SwitchKind::ByHand, NewOptions::default());
    let (mac, vlan) = (mac_of(1), INSPECTION);
    lab.step(Input::Seen { mac, vlan });
    let error = lab.node(0).last_error.to_string();
    assert!(error.contains("VLAN 11"), "{error}");
}

#[test]
fn a_machine_that_is_seen_elsewhere_has_its_port_read() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    lab.pass(100);
    assert!(lab.node(0).last_error.is_empty());
    // The switch has lost what it was told.
    switch(&mut lab).ports.get_mut(PORT).unwrap().vlan = BLUE;
    speak(&mut lab, MessageType::Discover);
    lab.pass(2);
    let error = lab.node(0).last_error.to_string();
    assert!(error.contains("VLAN 100"), "{error}");
    // Once it is back, work goes on.
    switch(&mut lab).ports.get_mut(PORT).unwrap().vlan = IDLE;
    lab.pass(600);
    speak(&mut lab, MessageType::Discover);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.pass(2);
    assert_eq!(vlan(&mut lab), INSPECTION);
}

#[test]
fn a_machine_gets_no_address_where_its_port_is_not() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    let rack = lab.rack();
    assert!(rack.may_ask_on(mac_of(1), IDLE));
    for vlan in [0, INSPECTION, BLUE] {
        assert!(!rack.may_ask_on(mac_of(1), vlan), "{vlan}");
    }
    // In no known port.
    assert!(rack.may_ask_on(mac_of(2), BLUE));
}

#[test]
fn a_driver_without_room_for_a_tag_shortens_the_packets_of_servers_that_boot() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    let offered = |lab: &mut Lab| speak(lab, MessageType::Discover).unwrap().mtu;
    with_switch(&mut lab);
    assert_eq!(offered(&mut lab), None);
    lab.controller.carries(1514);
    assert_eq!(offered(&mut lab), Some(1496));
    lab.controller.carries(1518);
    assert_eq!(offered(&mut lab), None);
}

#[test]
fn a_deployment_without_a_network_is_refused() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    lab.set_image(0, "debian12").unwrap();
    lab.pass(100);
    assert_eq!(lab.verb(0, Verb::Active), Err("NoVif".to_owned()));
}

#[test]
fn work_without_a_network_of_its_own_is_done_where_servers_are_deployed() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    let name = "inspection";
    lab.operator(Command::DeleteNetwork { name }).unwrap();
    lab.pass(100);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.pass(2);
    assert_eq!(vlan(&mut lab), PROVISIONING);
}

#[test]
fn networks_with_ports_stay() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    let gone = lab.operator(Command::DeleteNetwork { name: "idle" });
    assert_eq!(gone, Err("NetworkInUse".to_owned()));
    let gone = lab.operator(Command::DeleteSwitch { name: "tor" });
    assert_eq!(gone, Err("SwitchInUse".to_owned()));
}

#[test]
fn operators_define_switches_ports_and_vifs_by_the_api() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    let net = "/farrier/v1/networks";
    for (path, body, status) in [
        (
            format!("{net}/idle"),
            json!({"vlan": 10, "uses": ["idle"]}),
            204,
        ),
        (
            format!("{net}/idle2"),
            json!({"vlan": 20, "uses": ["idle"]}),
            409,
        ),
        (
            format!("{net}/same"),
            json!({"vlan": 10, "uses": ["cleaning"]}),
            409,
        ),
        (format!("{net}/none"), json!({"uses": ["cleaning"]}), 400),
        (
            format!("{net}/odd"),
            json!({"vlan": 30, "uses": ["swimming"]}),
            400,
        ),
        (
            format!("{net}/each"),
            json!({"vlan": 200, "vlans": 48, "uses": ["cleaning"]}),
            204,
        ),
        (
            format!("{net}/blue"),
            json!({"vlan": 100, "address": "10.9.0.1", "pool_first": "10.9.0.10", "pool_len": 9}),
            204,
        ),
        (
            "/farrier/v1/switches/tor".to_owned(),
            json!({"kind": "ovsdb"}),
            400,
        ),
        (
            "/farrier/v1/switches/tor".to_owned(),
            json!({"kind": "ovsdb", "address": "10.0.9.1"}),
            204,
        ),
    ] {
        let reply = call(&mut lab, "PUT", &path, &body.to_string());
        assert_eq!(reply.status, status, "{path} {body}: {}", reply.body);
    }
    let ports = get(&mut lab, "/v1/ports/detail");
    let port = ports["ports"][0]["uuid"].as_str().unwrap().to_owned();
    let path = format!("/v1/ports/{port}");
    let vifs = format!("/v1/nodes/{}/vifs", name_of(&lab));
    let early = call(&mut lab, "POST", &vifs, r#"{"id": "blue"}"#);
    assert_eq!(early.status, 409, "{}", early.body);
    let link = |switch: &str| {
        let value =
            json!({"switch_info": switch, "port_id": PORT, "switch_id": "00:00:00:00:00:01"});
        json!([{"op": "add", "path": "/local_link_connection", "value": value}]).to_string()
    };
    for (body, status) in [
        (link("nowhere"), 404),
        (
            r#"[{"op": "add", "path": "/local_link_connection/port_id", "value": "p"}]"#.into(),
            400,
        ),
        (
            r#"[{"op": "add", "path": "/is_smartnic", "value": true}]"#.into(),
            400,
        ),
        (link("tor"), 200),
    ] {
        let reply = call(&mut lab, "PATCH", &path, &body);
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
    }
    for (body, status) in [
        (r#"{"id": "green"}"#, 404),
        ("{}", 400),
        (r#"{"id": "blue"}"#, 204),
        (r#"{"id": "blue"}"#, 400),
    ] {
        let reply = call(&mut lab, "POST", &vifs, body);
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
    }
    assert_eq!(get(&mut lab, &vifs), json!({"vifs": [{"id": "blue"}]}));
    let shown = get(&mut lab, &path);
    let link = json!({"switch_info": "tor", "port_id": PORT});
    assert_eq!(shown["local_link_connection"], link);
    assert_eq!(
        shown["internal_info"],
        json!({"tenant_vif_port_id": "blue"})
    );
    let listed = get(&mut lab, "/farrier/v1/switch-ports");
    assert_eq!(listed["switch_ports"][0]["port"], PORT);
    let gone = format!("{vifs}/blue");
    assert_eq!(call(&mut lab, "DELETE", &gone, "").status, 204);
    assert_eq!(get(&mut lab, &vifs), json!({"vifs": []}));
}

fn name_of(lab: &Lab) -> String {
    uuid::Uuid::from_bytes(lab.node(0).id.0).to_string()
}

#[test]
fn a_switch_with_netconf_moves_one_port_at_a_time() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    lab.discover(2);
    lab.start_agent(2, ScriptedAgent::with_disks(&[8 * GIB]));
    put_switch(&mut lab, SwitchKind::Netconf, NewOptions::default());
    let other = "xe-0/0/2";
    let port = LabPort {
        vlan: INSPECTION,
        link: true,
    };
    switch(&mut lab).ports.insert(other.to_owned(), port);
    lab.set_image(0, "debian12").unwrap();
    lab.pass(10);
    switch(&mut lab).asked.clear();
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.pass(2);
    assert_eq!(vlan(&mut lab), INSPECTION, "it waits for its proof");
    lab.operator(Command::LinkPort {
        mac: mac_of(2),
        switch: "tor",
        port: other,
    })
    .unwrap();
    lab.pass(60);
    let moved = |lab: &mut Lab| {
        let asked = switch(lab).asked.iter();
        let others = asked
            .filter(|(port, action)| port == other && matches!(action, SwitchAction::Move { .. }));
        others.count()
    };
    // Where it is it was seen, by its own frame.
    let seen = Input::Seen {
        mac: mac_of(2),
        vlan: INSPECTION,
    };
    lab.step(seen);
    lab.pass(10);
    assert_eq!(moved(&mut lab), 0, "the switch is held");
    speak(&mut lab, MessageType::Discover);
    lab.pass(10);
    assert_eq!(moved(&mut lab), 1, "its turn");
    assert_eq!(switch(&mut lab).ports[other].vlan, IDLE);
}
