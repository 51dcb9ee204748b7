//! A machine that is known comes by an interface that nobody knew of, and its
//! boot ROM tells no UUID: its agent does.

use crate::api_rig::{get, rack};
use crate::common::*;
use farrier_core::Operator;
use farrier_core::node::{MAX_MACS, Power};
use farrier_lifecycle::{State, Verb};

/// The UUID in every inventory of these tests' agents.
const UUID: [u8; 16] = [1; 16];

/// An agent on the machine of that UUID, behind another interface.
fn comes_by(lab: &mut Lab, mac: u8) -> Agent {
    let hands = Hands {
        uuid: Some(UUID),
        ..Hands::with_disks(&[8 * GIB])
    };
    lab.start_agent(mac, hands)
}

/// How many nodes there are.
fn known(lab: &Lab) -> usize {
    let nodes = lab.rack.nodes().iter();
    nodes.filter(|node| !node.is_vacant()).count()
}

#[test]
fn a_tenants_machine_goes_back_to_its_own_disk() {
    let mut lab = active_lab();
    assert_eq!(lab.node(0).system_uuid, UUID);
    lab.pass(100);
    let mut agent = comes_by(&mut lab, 2);
    assert_eq!(known(&lab), 1);
    assert_eq!(lab.node(0).macs, [mac_of(1), mac_of(2)]);
    assert_eq!(lab.state(0), State::Active);
    assert_eq!(lab.node(0).power, Power::On);
    // Its agent has nobody to talk to and gives up, as on any lost session.
    lab.run(&mut agent, 120);
    assert!(agent.driver.handler().lost.is_some());
    assert!(agent.driver.handler().orders.is_empty());
    let (_, script) = lab.boot(2);
    assert!(script.contains("sanboot"), "{script}");
    lab.restart(0);
    assert_eq!(lab.node(0).macs, [mac_of(1), mac_of(2)]);
    assert_eq!(lab.rack.counters().identity_conflicts, 0);
}

#[test]
fn work_that_waits_for_the_machine_gets_it() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    lab.pass(100);
    lab.set_image(0, "debian12").unwrap();
    lab.verb(0, Verb::Active).unwrap();
    assert_eq!(lab.state(0), State::WaitCallBack);
    comes_by(&mut lab, 2);
    assert_eq!(known(&lab), 1);
    let mut agent = comes_by(&mut lab, 2);
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), State::Active, "{}", lab.node(0).last_error);
}

#[test]
fn while_its_agent_is_heard_it_is_another_machine() {
    let (mut lab, _agent) = available_with(&[8 * GIB]);
    comes_by(&mut lab, 2);
    assert_eq!(known(&lab), 2, "two machines of one UUID");
    lab.pass(100);
    comes_by(&mut lab, 2);
    assert_eq!(known(&lab), 1);
}

#[test]
fn nodes_that_somebody_has_touched_stay() {
    // The one that speaks.
    let mut lab = active_lab();
    lab.pass(100);
    let (_, _script) = lab.boot(2);
    lab.verb(1, Verb::Manage).unwrap();
    comes_by(&mut lab, 2);
    assert_eq!(known(&lab), 2);
    let mut lab = active_lab();
    lab.pass(100);
    lab.boot(2);
    let node = lab.node(1).id;
    let name = "mine";
    lab.operator(Operator::Rename { node, name }).unwrap();
    comes_by(&mut lab, 2);
    assert_eq!(known(&lab), 2);
    // Of two that nobody has touched, the inventory decides.
    let mut lab = Lab::new();
    comes_by(&mut lab, 1);
    lab.pass(100);
    comes_by(&mut lab, 2);
    assert_eq!(known(&lab), 2);
    // One that was enrolled by hand is somebody's, seen or not.
    let mut lab = rack();
    lab.pass(100);
    let before = known(&lab);
    let uuid = lab.node(0).system_uuid;
    let hands = Hands {
        uuid: Some(uuid),
        ..Hands::default()
    };
    lab.start_agent(9, hands);
    assert_eq!(known(&lab), before);
    assert!(get(&mut lab, "/v1/nodes")["nodes"].is_array());
}

#[test]
fn a_node_without_room_for_another_interface_takes_none() {
    for (room, joined) in [(1, true), (0, false)] {
        let mut lab = active_lab();
        let node = lab.node(0).id;
        let more = MAX_MACS - 1 - room;
        for mac in (20..).take(more) {
            let mac = mac_of(mac);
            lab.operator(Operator::Port { node, mac }).unwrap();
        }
        lab.pass(100);
        comes_by(&mut lab, 2);
        assert_eq!(known(&lab), if joined { 1 } else { 2 });
    }
}
