//! Which port an interface is in: two sources agree before it is moved, and LLDP that
//! says another one stops everything.

use crate::api_rig::get;
use crate::common::*;
use crate::ports::*;
use farrier_core::Command;
use farrier_core::Input;
use farrier_core::interface::{InterfacePatch, Uplink};
use farrier_core::ports::Sources;
use farrier_core::switch::Doubt;
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::HeardNeighbour;
use farrier_testkit::lab::LabPort;

/// The first machine's agent hears LLDP.
fn hears(lab: &mut Lab, agent: &mut Agent, chassis: &str, port: &str, system: &str) {
    let text = |text: &str| text.try_into().unwrap();
    agent.driver.handler_mut().heard.push_back(HeardNeighbour {
        mac: mac_of(1),
        chassis: text(chassis),
        port: text(port),
        system: text(system),
        description: text(""),
    });
    lab.run(agent, 3);
}

/// A manageable node in a port, whose agent waits.
fn waiting() -> (Lab, Agent) {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    lab.verb(0, Verb::Manage).unwrap();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut agent, 3);
    (lab, agent)
}

fn sources(lab: &Lab) -> Sources {
    lab.rack().ports().all()[0].sources
}

#[test]
fn a_port_is_not_moved_before_a_second_source_agrees() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    lab.verb(0, Verb::Manage).unwrap();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut agent, 3);
    hears(
        &mut lab,
        &mut agent,
        "02:00:00:00:00:09",
        PORT,
        "rack-switch",
    );
    assert_eq!(sources(&lab), Sources::OPERATOR | Sources::LLDP);
    assert_eq!(lab.rack().doubt(mac_of(1)), None);
    let (node, mac) = (lab.node(0).id, mac_of(2));
    let create = Command::CreatePort {
        node,
        mac,
        switch: "tor",
        port: "xe-0/0/2",
        patch: InterfacePatch::default(),
        group: None,
    };
    lab.operator(create).unwrap();
    lab.step(Input::Seen { mac, vlan: IDLE });
    lab.pass(2);
    // The switch speaks LLDP, and nobody has heard it on this port.
    assert_eq!(lab.rack().doubt(mac), Some(Doubt::NoLldp));
    lab.operator(Command::LinkPort {
        mac,
        switch: "tor",
        port: "xe-0/0/2",
    })
    .unwrap();
    assert_eq!(lab.rack().doubt(mac), None, "the operator means it");
    lab.operator(Command::DeletePort { mac }).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.pass(1);
    assert_eq!(vlan(&mut lab), INSPECTION);
}

#[test]
fn a_machine_that_nobody_has_seen_has_its_port_left_alone() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    // Said anew it is another port, in which nothing was seen.
    let mut others = switch(&mut lab).ports.clone();
    let other = others.remove(PORT).unwrap();
    switch(&mut lab)
        .ports
        .insert("xe-0/0/2".to_owned(), LabPort { vlan: 77, ..other });
    link(&mut lab, "xe-0/0/2");
    lab.pass(1);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.pass(60);
    assert_eq!(switch(&mut lab).ports["xe-0/0/2"].vlan, 77);
    assert_eq!(lab.rack().doubt(mac_of(1)), Some(Doubt::NotSeen));
    let error = lab.node(0).last_error.to_string();
    assert!(error.contains("VLAN 77"), "{error}");
    lab.pass(40 * 60);
    assert_eq!(lab.state(0), ProvisionState::InspectFailed);
    let error = lab.node(0).last_error.to_string();
    assert!(error.contains("not seen on its vlan"), "{error}");
}

#[test]
fn a_cable_in_another_port_stops_everything_until_an_operator_says_where_it_is() {
    let (mut lab, mut agent) = waiting();
    let chassis = "02:00:00:00:00:09";
    hears(&mut lab, &mut agent, chassis, PORT, "rack-switch");
    hears(&mut lab, &mut agent, chassis, "xe-0/0/5", "rack-switch");
    assert_eq!(lab.rack().doubt(mac_of(1)), Some(Doubt::Contradicted));
    assert_eq!(lab.rack().counters().ports_contradicted, 1);
    let error = lab.node(0).last_error.to_string();
    assert!(
        error.contains(PORT) && error.contains("rack-switch xe-0/0/5"),
        "{error}"
    );
    lab.restart(0);
    assert_eq!(lab.rack().doubt(mac_of(1)), Some(Doubt::Contradicted));
    // Work that needs the port ends at once.
    lab.verb(0, Verb::Inspect).unwrap();
    lab.pass(2);
    assert_eq!(lab.state(0), ProvisionState::InspectFailed);
    assert_eq!(vlan(&mut lab), IDLE);
    let error = lab.node(0).last_error.to_string();
    assert!(error.contains("local_link_connection"), "{error}");
    // The same again: the operator means it, whatever LLDP says.
    link(&mut lab, PORT);
    assert_eq!(lab.rack().doubt(mac_of(1)), None);
    lab.verb(0, Verb::Manage).unwrap();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut agent, 3);
    hears(&mut lab, &mut agent, chassis, "xe-0/0/5", "rack-switch");
    assert_eq!(lab.rack().doubt(mac_of(1)), None);
    hears(&mut lab, &mut agent, chassis, "xe-0/0/6", "rack-switch");
    assert_eq!(lab.rack().doubt(mac_of(1)), Some(Doubt::Contradicted));
}

#[test]
fn the_same_port_of_another_switch_is_another_port() {
    let (mut lab, mut agent) = waiting();
    hears(&mut lab, &mut agent, "02:00:00:00:00:09", PORT, "");
    assert_eq!(lab.rack().doubt(mac_of(1)), None);
    hears(&mut lab, &mut agent, "02:00:00:00:00:08", PORT, "");
    assert_eq!(lab.rack().doubt(mac_of(1)), Some(Doubt::Contradicted));
}

fn link(lab: &mut Lab, port: &str) {
    let (mac, switch) = (mac_of(1), "tor");
    lab.operator(Command::LinkPort { mac, switch, port })
        .unwrap();
}

#[test]
fn the_chassis_on_the_appliances_own_cable_is_that_of_the_servers_cables() {
    let uplink = |chassis: &str| Uplink {
        chassis: chassis.try_into().unwrap(),
        port: "xe-0/0/47".try_into().unwrap(),
        system: "TOR".try_into().unwrap(),
        description: "".try_into().unwrap(),
    };
    for (chassis, agrees) in [("02:00:00:00:00:09", true), ("02:00:00:00:00:08", false)] {
        let (mut lab, mut agent) = waiting();
        lab.step(Input::Uplink(&uplink(chassis)));
        let shown = get(&mut lab, "/farrier/v1/status")["uplink"].clone();
        assert_eq!(shown["port"], "xe-0/0/47");
        assert_eq!(shown["chassis"], chassis);
        hears(&mut lab, &mut agent, "02:00:00:00:00:09", PORT, "tor");
        let doubt = (!agrees).then_some(Doubt::Contradicted);
        assert_eq!(lab.rack().doubt(mac_of(1)), doubt, "{chassis}");
    }
}
