//! Ports that are shut on an alarm: only where an operator wants it, only the port by
//! which it came, and until an operator opens it.

use crate::api_rig::get;
use crate::common::*;
use crate::ports::*;
use farrier_core::Command;
use farrier_core::Input;
use farrier_core::interface::{
    InterfacePatch, Network, NetworkId, PowerState, Sighting, SightingKind, Uses,
};
use farrier_dhcp::wire::MessageType;
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::Mac;

/// The first VLAN for shut ports: one for each node.
const SHUT: u16 = 300;

/// The operator wants ports to be shut.
fn shuts(lab: &mut Lab) {
    let network = Network {
        uses: Uses::SHUT,
        vlan: SHUT,
        vlans: 8,
        ..Network::EMPTY
    };
    let name = "shut";
    lab.operator(Command::PutNetwork { name, network }).unwrap();
}

/// A DHCP server is seen to answer on a VLAN.
fn rogue(lab: &mut Lab, mac: Mac, vlan: u16) {
    lab.step(Input::Sighting(Sighting {
        kind: SightingKind::DhcpServer,
        network: NetworkId::PROVISIONING,
        vlan,
        mac,
        address: "172.22.0.9".parse().unwrap(),
    }));
    lab.pass(3);
}

fn is_shut(lab: &mut Lab) -> bool {
    let shown = get(lab, "/farrier/v1/switch-ports");
    shown["switch_ports"][0]["shut"].as_bool().unwrap()
}

/// The operator says once more where the first machine's interface is.
fn opens(lab: &mut Lab) {
    lab.operator(Command::LinkPort {
        mac: mac_of(1),
        switch: "tor",
        port: PORT,
    })
    .unwrap();
}

/// A node of a tenant, in use.
fn active() -> Lab {
    let (mut lab, mut agent) = deploying();
    speak(&mut lab, MessageType::Discover);
    lab.run(&mut agent, 30);
    lab.pass(2);
    speak(&mut lab, MessageType::Discover);
    assert_eq!(lab.state(0), ProvisionState::Active);
    lab
}

#[test]
fn no_port_is_shut_where_no_network_is_for_that() {
    let mut lab = active();
    rogue(&mut lab, mac_of(1), BLUE);
    assert_eq!(vlan(&mut lab), BLUE);
    assert!(!is_shut(&mut lab));
    assert_eq!(lab.rack().alarms().all().len(), 1);
}

#[test]
fn a_tenants_machine_is_shut_while_it_runs_and_opened_again() {
    let mut lab = active();
    shuts(&mut lab);
    rogue(&mut lab, mac_of(9), BLUE);
    rogue(&mut lab, mac_of(1), CLEANING);
    assert!(!is_shut(&mut lab), "another's, or from elsewhere");
    rogue(&mut lab, mac_of(1), BLUE);
    assert!(is_shut(&mut lab));
    assert_eq!(vlan(&mut lab), SHUT, "its own of the range");
    assert_eq!(lab.state(0), ProvisionState::Active);
    let error = lab.node(0).last_error.to_string();
    assert!(
        error.contains("xe-0/0/1 of tor is being shut: dhcp server 172.22.0.9"),
        "{error}"
    );
    lab.restart(0);
    lab.pass(5);
    assert_eq!((vlan(&mut lab), is_shut(&mut lab)), (SHUT, true));
    opens(&mut lab);
    lab.pass(3);
    assert_eq!(vlan(&mut lab), BLUE, "open again");
    lab.step(Input::Seen {
        mac: mac_of(1),
        vlan: BLUE,
    });
    lab.pass(3);
    assert!(!is_shut(&mut lab));
    assert_eq!(lab.rack().ports().all()[0].at, BLUE);
}

#[test]
fn work_with_a_machine_that_is_shut_ends_and_it_comes_back_switched_off() {
    let (mut lab, mut agent) = deploying();
    shuts(&mut lab);
    speak(&mut lab, MessageType::Discover);
    lab.run(&mut agent, 3);
    rogue(&mut lab, mac_of(1), PROVISIONING);
    assert_eq!(lab.state(0), ProvisionState::DeployFailed);
    lab.pass(60);
    assert_eq!(vlan(&mut lab), SHUT);
    let refused = lab.verb(0, Verb::Deleted).unwrap_err();
    assert_eq!(refused, "PortShut", "until an operator has looked");
    opens(&mut lab);
    assert!(lab.node(0).last_error.is_empty());
    lab.verb(0, Verb::Deleted).unwrap();
    lab.pass(60);
    assert_eq!(vlan(&mut lab), SHUT, "it runs");
    switch(&mut lab).ports.get_mut(PORT).unwrap().link = false;
    lab.pass(60);
    assert_ne!(vlan(&mut lab), SHUT);
}

#[test]
fn where_each_node_has_its_vlan_that_names_the_port_whatever_address_is_forged() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    shuts(&mut lab);
    let (name, network) = (
        "own",
        Network {
            uses: Uses::RESCUING,
            vlan: 400,
            vlans: 8,
            ..Network::EMPTY
        },
    );
    lab.operator(Command::PutNetwork { name, network }).unwrap();
    // The node in place 0 has no port on VLAN 401, and its address is forged there.
    rogue(&mut lab, mac_of(1), 401);
    assert!(!is_shut(&mut lab));
    rogue(&mut lab, mac_of(7), IDLE);
    assert!(!is_shut(&mut lab), "an address that is no node's");
    rogue(&mut lab, mac_of(1), IDLE);
    assert!(is_shut(&mut lab));
}

#[test]
fn a_port_that_is_shut_while_its_node_is_released_says_so_and_ends_that() {
    let mut lab = active();
    shuts(&mut lab);
    lab.verb(0, Verb::Deleted).unwrap();
    lab.pass(1);
    rogue(&mut lab, mac_of(1), BLUE);
    assert_eq!(lab.state(0), ProvisionState::Error);
    let error = lab.node(0).last_error.to_string();
    assert!(error.contains("is being shut"), "{error}");
    lab.pass(60);
    assert_eq!(vlan(&mut lab), SHUT);
}

#[test]
fn a_machine_that_answers_by_its_other_interface_is_no_alarm() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    shuts(&mut lab);
    let (node, mac) = (lab.node(0).id, mac_of(2));
    lab.operator(Command::CreatePort {
        node,
        mac,
        switch: "",
        port: "",
        patch: InterfacePatch::default(),
        group: None,
    })
    .unwrap();
    let lease = lab.dhcp(1, |_| {}).unwrap();
    let claims = |lab: &mut Lab, mac: Mac| {
        lab.step(Input::Sighting(Sighting {
            kind: SightingKind::Address,
            network: NetworkId::PROVISIONING,
            vlan: IDLE,
            mac,
            address: lease.address,
        }));
        lab.rack().alarms().all().len()
    };
    assert_eq!(
        claims(&mut lab, mac),
        0,
        "Linux answers ARP on every interface"
    );
    assert_eq!(claims(&mut lab, mac_of(3)), 1);
}

#[test]
fn a_machine_that_is_off_and_was_a_tenants_is_awaited_where_it_was() {
    let mut lab = active();
    assert!(!lab.rack().awaits_frame(mac_of(1), BLUE));
    let node = lab.node(0).id;
    let power = PowerState::Off;
    lab.step(Input::Observed { node, power });
    assert!(
        lab.rack().awaits_frame(mac_of(1), BLUE),
        "somebody switches it on"
    );
}
