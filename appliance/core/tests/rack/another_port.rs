//! A machine comes by an interface that nobody knew of and says a UUID that is
//! known. Anybody can say one: it joins nothing that is in work or in use.

use crate::common::*;
use farrier_core::Command;
use farrier_core::interface::{InterfacePatch, NewNode};
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
    lab.operator(Command::CreatePort {
        node,
        mac,
        switch: "",
        port: "",
        patch: InterfacePatch::default(),
        group: None,
    })
    .unwrap();
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
    lab.discover(1);
    assert_eq!(tell(&mut lab, false, &ONE), [0; 16], "a system that runs");
    assert_eq!(tell(&mut lab, true, &FILLER), [0; 16]);
    assert_eq!(tell(&mut lab, true, &ONE), [3; 16]);
    assert_eq!(tell(&mut lab, true, &TWO), [3; 16]);
}

/// The UUID in every inventory of these tests' agents.
const UUID: [u8; 16] = [1; 16];

/// The same in DHCP.
const UUID_OPTION: [u8; 17] = [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];

/// A machine of that UUID boots by another interface, up to its agent.
fn comes_by(lab: &mut Lab, mac: u8, at: &str) -> Agent {
    let lease = lab.dhcp(mac, |request| {
        ipxe(request);
        request.machine_id = Some(&UUID_OPTION);
    });
    let lease = lease.expect("a lease");
    let Served::Text(script) = lab.open(lease.address, lease.script()) else {
        panic!("no script {at}");
    };
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid(UUID);
    let agent = Agent::new(mac, lease.address, &script, 0, scripted);
    let mut agent = agent.unwrap_or_else(|| panic!("no ticket {at}: {script}"));
    lab.run(&mut agent, 5);
    agent
}

/// How many nodes there are.
fn known(lab: &Lab) -> usize {
    let nodes = lab.rack().nodes().iter();
    nodes.filter(|node| !node.is_vacant()).count()
}

fn has_session(agent: &Agent) -> bool {
    agent.driver.handler().welcome.is_some()
}

#[test]
fn a_tenants_machine_starts_its_own_disk_and_gets_nothing() {
    let mut lab = active_lab();
    assert_eq!(lab.node(0).system_uuid, UUID);
    lab.pass(100);
    // Its ROM says no UUID, and its agent does.
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid(UUID);
    let (address, script) = lab.boot(2);
    let mut agent = Agent::new(2, address, &script, 0, scripted).unwrap();
    lab.run(&mut agent, 120);
    assert!(!has_session(&agent) && agent.driver.handler().orders.is_empty());
    assert_eq!((known(&lab), lab.node(0).macs.len()), (1, 1));
    assert_eq!(lab.state(0), ProvisionState::Active);
    assert_eq!(lab.rack().counters().identity_conflicts, 1, "said once");
    let error = lab.node(0).last_error.as_str();
    assert!(error.contains("add the port 52:54:00:00:00:02"), "{error}");
    let (_, script) = lab.boot(2);
    assert!(script.contains("sanboot"), "{script}");
    // An operator says that it is this machine.
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
    let (_, script) = lab.boot(2);
    assert!(script.contains("sanboot"), "{script}");
}

#[test]
fn work_that_waits_for_its_machine_is_not_given_to_one_that_says_its_uuid() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    lab.pass(100);
    lab.set_image(0, "debian12").unwrap();
    lab.verb(0, Verb::Active).unwrap();
    assert_eq!(lab.state(0), ProvisionState::WaitCallBack);
    let agent = comes_by(&mut lab, 2, "while the node waits");
    assert!(!has_session(&agent));
    assert_eq!((known(&lab), lab.node(0).macs.len()), (1, 1));
    assert_eq!(lab.state(0), ProvisionState::WaitCallBack);
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut agent, 30);
    assert_eq!(
        lab.state(0),
        ProvisionState::Active,
        "{}",
        lab.node(0).last_error
    );
}

#[test]
fn an_interface_joins_a_node_that_no_agent_has_spoken_for() {
    // Enrolled by one interface, whose ROM has said the UUID.
    let mut lab = Lab::new();
    let node = NodeId([5; 16]);
    let mac = mac_of(1);
    lab.operator(Command::CreateNode(NewNode::new(node)))
        .unwrap();
    lab.operator(Command::CreatePort {
        node,
        mac,
        switch: "",
        port: "",
        patch: InterfacePatch::default(),
        group: None,
    })
    .unwrap();
    lab.dhcp(1, |request| {
        ipxe(request);
        request.machine_id = Some(&UUID_OPTION);
    });
    assert!(has_session(&comes_by(&mut lab, 2, "before any agent")));
    assert_eq!(lab.node(0).macs, [mac_of(1), mac_of(2)]);
    // From now on it is more than a claim.
    assert!(has_session(&comes_by(&mut lab, 3, "behind an agent")));
    assert_eq!((known(&lab), lab.node(0).macs.len()), (2, 2));
    lab.restart(0);
    assert_eq!(lab.node(0).macs, [mac_of(1), mac_of(2)]);
}

#[test]
fn a_node_without_room_for_another_interface_takes_none() {
    for (room, joined) in [(1, true), (0, false)] {
        let mut lab = Lab::new();
        let node = NodeId([5; 16]);
        lab.operator(Command::CreateNode(NewNode::new(node)))
            .unwrap();
        for mac in (20..).take(MAX_MACS - room) {
            let mac = mac_of(mac);
            lab.operator(Command::CreatePort {
                node,
                mac,
                switch: "",
                port: "",
                patch: InterfacePatch::default(),
                group: None,
            })
            .unwrap();
        }
        lab.dhcp(20, |request| {
            ipxe(request);
            request.machine_id = Some(&UUID_OPTION);
        });
        comes_by(&mut lab, 2, "");
        assert_eq!(known(&lab), if joined { 1 } else { 2 });
    }
}

#[test]
fn an_inventory_of_the_nodes_own_agent_joins_what_came_by_itself() {
    let mut lab = Lab::new();
    lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.pass(100);
    comes_by(&mut lab, 2, "");
    assert_eq!(known(&lab), 2, "two of one UUID");
    let nics = [nic(1, "e1000e", 1000), nic(2, "e1000e", 1000)];
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_nics(&nics);
    let mut agent = lab.start_agent(1, scripted);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!((known(&lab), lab.node(0).macs.len()), (1, 2));
}
