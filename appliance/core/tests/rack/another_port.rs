//! A machine that is known comes by an interface that nobody knew of, and its
//! boot ROM tells no UUID: its agent does.

use crate::api_rig::{get, rack};
use crate::common::*;
use farrier_core::Command;
use farrier_core::interface::{NewNode, NodePatch, PowerState};
use farrier_core::node::MAX_MACS;
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::NodeId;

/// A machine that runs a system is taken over by the address on its label,
/// and boots by another interface: as a node of its own, which somebody
/// brings into use. Gives that node's place.
fn under_another_name(shape: impl Fn(&mut Lab)) -> (Lab, usize) {
    let mut lab = Lab::new();
    let node = NodeId([5; 16]);
    lab.operator(Command::CreateNode(NewNode::new(node)))
        .unwrap();
    let mac = mac_of(1);
    lab.operator(Command::CreatePort { node, mac }).unwrap();
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Adopt).unwrap();
    shape(&mut lab);
    let mut scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid(UUID);
    scripted = scripted.with_nics(&[nic(2, "e1000e", 1000), nic(1, "e1000e", 1000)]);
    let mut agent = lab.start_agent(2, scripted);
    lab.verb(1, Verb::Manage).unwrap();
    lab.verb(1, Verb::Provide).unwrap();
    lab.run(&mut agent, 30);
    (lab, 1)
}

#[test]
fn the_disks_of_a_machine_that_was_adopted_are_not_erased_under_another_name() {
    let (lab, other) = under_another_name(|_| {});
    assert_eq!(lab.state(0), ProvisionState::Active);
    assert_eq!(lab.state(other), ProvisionState::CleanFailed);
    let error = lab.node(other).last_error.as_str();
    assert!(error.contains("another node in use"), "{error}");
    assert_eq!(lab.rack().counters().identity_conflicts, 1);
}

#[test]
fn an_address_that_many_machines_have_makes_them_not_one() {
    // The adopted one has booted meanwhile, and is another machine.
    let boots = |lab: &mut Lab| {
        lab.dhcp(1, |request| {
            ipxe(request);
            request.machine_id = Some(&[0, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8]);
        });
        lab.restart(0);
        assert_eq!(lab.node(0).system_uuid, [8; 16]);
    };
    let (lab, other) = under_another_name(boots);
    assert_eq!(lab.state(0), ProvisionState::Active);
    assert_eq!(lab.state(other), ProvisionState::Available);
}

#[test]
fn a_uuid_is_learnt_once_and_where_a_machine_boots() {
    let tell = |lab: &mut Lab, boots: bool, uuid: &'static [u8; 17]| {
        lab.dhcp(1, |request| {
            if boots {
                ipxe(request);
            }
            request.machine_id = Some(uuid);
        });
        lab.node(0).system_uuid
    };
    const FILLER: [u8; 17] = [
        0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    ];
    const ONE: [u8; 17] = [0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3];
    const TWO: [u8; 17] = [0, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4];
    let mut lab = Lab::new();
    lab.dhcp(1, ipxe);
    assert_eq!(tell(&mut lab, false, &ONE), [0; 16], "a system that runs");
    assert_eq!(tell(&mut lab, true, &FILLER), [0; 16]);
    assert_eq!(tell(&mut lab, true, &ONE), [3; 16]);
    assert_eq!(tell(&mut lab, true, &TWO), [3; 16]);
}

/// The UUID in every inventory of these tests' agents.
const UUID: [u8; 16] = [1; 16];

/// An agent on the machine of that UUID, behind another interface.
fn comes_by(lab: &mut Lab, mac: u8) -> Agent {
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid(UUID);
    lab.start_agent(mac, scripted)
}

/// How many nodes there are.
fn known(lab: &Lab) -> usize {
    let nodes = lab.rack().nodes().iter();
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
    assert_eq!(lab.state(0), ProvisionState::Active);
    assert_eq!(lab.node(0).power, PowerState::On);
    // Its agent has nobody to talk to and gives up, as on any lost session.
    lab.run(&mut agent, 120);
    assert!(agent.driver.handler().lost.is_some());
    assert!(agent.driver.handler().orders.is_empty());
    let (_, script) = lab.boot(2);
    assert!(script.contains("sanboot"), "{script}");
    lab.restart(0);
    assert_eq!(lab.node(0).macs, [mac_of(1), mac_of(2)]);
    assert_eq!(lab.rack().counters().identity_conflicts, 0);
}

#[test]
fn work_that_waits_for_the_machine_gets_it() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    lab.pass(100);
    lab.set_image(0, "debian12").unwrap();
    lab.verb(0, Verb::Active).unwrap();
    assert_eq!(lab.state(0), ProvisionState::WaitCallBack);
    comes_by(&mut lab, 2);
    assert_eq!(known(&lab), 1);
    let mut agent = comes_by(&mut lab, 2);
    lab.run(&mut agent, 30);
    assert_eq!(
        lab.state(0),
        ProvisionState::Active,
        "{}",
        lab.node(0).last_error
    );
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
    lab.operator(Command::PatchNode {
        node,
        patch: NodePatch::name(name),
    })
    .unwrap();
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
    let scripted = ScriptedAgent::with_disks(&[]).with_uuid(uuid);
    lab.start_agent(9, scripted);
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
            lab.operator(Command::CreatePort { node, mac }).unwrap();
        }
        lab.pass(100);
        comes_by(&mut lab, 2);
        assert_eq!(known(&lab), if joined { 1 } else { 2 });
    }
}
