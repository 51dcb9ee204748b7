//! Another machine answers as a node: a network card that moved, or a forged
//! MAC address. It gets no order, no key and no address, and the node's error
//! names both machines.

use crate::api_rig::{call, get};
use crate::common::*;
use farrier_core::{Command, Transport};
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::handler::RunnerPoll;

/// The UUID of the machine that the node is known as.
const KNOWN: [u8; 16] = [1; 16];
/// That of the other one, in DHCP and in the agent's words.
const OTHER: [u8; 16] = [7; 16];
const OTHER_OPTION: [u8; 17] = [0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];

/// A lab with an available node whose machine says its UUID in DHCP too.
fn available() -> (Lab, Agent) {
    const OPTION: [u8; 17] = [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    let mut lab = Lab::new();
    lab.dhcp(1, |request| {
        ipxe(request);
        request.machine_id = Some(&OPTION);
    });
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::Available);
    (lab, agent)
}

/// The other machine's DHCP exchange as iPXE; its address, and the path that it
/// is sent to.
fn other_boots(lab: &mut Lab) -> (std::net::Ipv4Addr, String) {
    let lease = lab.dhcp(1, |request| {
        ipxe(request);
        request.machine_id = Some(&OTHER_OPTION);
    });
    let lease = lease.expect("a lease");
    let file = lease.file.expect("a boot file");
    let (_, path) = file.split_once("172.22.0.1/").unwrap();
    (lease.address, path.to_owned())
}

/// A node that waits for its machine, in order to be cleaned again.
fn waiting() -> Lab {
    let (mut lab, _) = available();
    assert_eq!(lab.node(0).system_uuid, KNOWN);
    lab.verb(0, Verb::Manage).unwrap();
    lab.pass(100);
    lab.verb(0, Verb::Provide).unwrap();
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    lab
}

/// The other machine's agent, which has somehow got the node's script.
fn other_agent(lab: &mut Lab, scripted: ScriptedAgent) -> Agent {
    let (address, script) = lab.boot(1);
    Agent::new(1, address, &script, 9, scripted).expect("a ticket in the script")
}

fn named(lab: &Lab) -> String {
    lab.node(0).last_error.to_string()
}

#[test]
fn a_moved_card_that_says_its_uuid_gets_no_ticket() {
    let mut lab = waiting();
    let (address, path) = other_boots(&mut lab);
    assert_eq!(lab.state(0), ProvisionState::CleanWait, "a datagram alone");
    lab.open_by(Transport::Tftp, address, &path);
    assert_eq!(lab.state(0), ProvisionState::CleanWait, "a datagram alone");
    let Served::Text(script) = lab.open(address, &path) else {
        panic!("no script");
    };
    assert!(!script.contains("ticket"), "{script}");
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    let error = named(&lab);
    for uuid in [KNOWN, OTHER] {
        let uuid = uuid::Uuid::from_bytes(uuid).to_string();
        assert!(error.contains(&uuid), "{error}");
    }
}

#[test]
fn a_moved_card_that_tells_dhcp_nothing_gets_no_session() {
    let mut lab = waiting();
    let scripted = ScriptedAgent::with_disks(&[4 * GIB]).with_uuid(OTHER);
    let mut agent = other_agent(&mut lab, scripted);
    lab.run(&mut agent, 30);
    let handler = agent.driver.handler();
    assert!(handler.welcome.is_none() && handler.orders.is_empty());
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(named(&lab).contains("another machine answers as this node"));
    assert_eq!(lab.rack().counters().identity_conflicts, 1);
}

#[test]
fn the_same_board_in_another_chassis_gets_no_order() {
    let mut lab = waiting();
    let mut scripted = ScriptedAgent::with_disks(&[4 * GIB]);
    scripted.engine.inspection.serial = "OTHER".try_into().unwrap();
    let mut agent = other_agent(&mut lab, scripted);
    lab.run(&mut agent, 30);
    let erases = |order: &farrier_protocol::message::Order| {
        order.task != farrier_protocol::message::Task::Inspect
    };
    assert!(!agent.driver.handler().orders.iter().any(erases));
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(named(&lab).contains("serial number"), "{}", named(&lab));
}

#[test]
fn a_boot_of_another_machine_does_not_disturb_an_agent_at_work() {
    let (mut lab, mut agent) = available();
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    let (address, path) = other_boots(&mut lab);
    lab.open(address, &path);
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), ProvisionState::Available, "{}", named(&lab));
}

#[test]
fn a_forged_claim_does_not_stop_the_right_machine() {
    let mut lab = waiting();
    let lease = lab.dhcp(1, ipxe).unwrap();
    let address = lease.address;
    other_boots(&mut lab);
    let Served::Text(script) = lab.open(address, lease.script()) else {
        panic!("no script");
    };
    assert!(script.contains("farrier.ticket="), "{script}");
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    // Nor does a path that somebody makes up.
    lab.open(address, "other-machine/01010101010101010101010101010101");
    lab.open(address, "other-machine/x");
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
}

#[test]
fn a_rom_with_a_uuid_of_its_own_boots_again() {
    let mut lab = Lab::new();
    for boot in 0..2 {
        let lease = lab.dhcp(1, |request| {
            ipxe(request);
            request.machine_id = Some(&OTHER_OPTION);
        });
        let lease = lease.unwrap();
        assert!(lease.script().starts_with("boot/"), "boot {boot}");
        lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
        assert_eq!(lab.node(0).system_uuid, KNOWN, "the agent knows better");
        lab.pass(100);
    }
}

#[test]
fn another_machine_gets_no_reserved_address() {
    let (mut lab, _) = available();
    let own = "172.22.0.5".parse().unwrap();
    lab.operator(Command::ReserveAddress {
        network: "provisioning",
        mac: mac_of(1),
        address: Some(own),
    })
    .unwrap();
    assert_ne!(other_boots(&mut lab).0, own);
    // Its running system says its UUID too.
    let lease = lab.dhcp(1, |request| request.machine_id = Some(&OTHER_OPTION));
    assert_ne!(lease.unwrap().address, own);
    assert_eq!(lab.dhcp(1, ipxe).unwrap().address, own);
}

#[test]
fn an_operator_rebinds_a_node() {
    let mut lab = waiting();
    let node = lab.node(0).id;
    let early = lab.operator(Command::Rebind { node });
    assert!(early.is_err(), "its work waits for the machine");
    let scripted = ScriptedAgent::with_disks(&[4 * GIB]).with_uuid(OTHER);
    let mut agent = other_agent(&mut lab, scripted);
    lab.run(&mut agent, 30);
    let target = format!(
        "/farrier/v1/nodes/{}/rebind",
        uuid::Uuid::from_bytes(node.0)
    );
    assert_eq!(call(&mut lab, "PUT", &target, "").status, 204);
    lab.restart(0);
    let history = get(
        &mut lab,
        &format!("/v1/nodes/{}/history", uuid::Uuid::from_bytes(node.0)),
    );
    assert!(
        history
            .to_string()
            .contains("rebind: an operator asked for it")
    );
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    let scripted = ScriptedAgent::with_disks(&[4 * GIB]).with_uuid(OTHER);
    let mut agent = lab.start_agent(1, scripted);
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), ProvisionState::Available, "{}", named(&lab));
    assert_eq!(lab.node(0).system_uuid, OTHER);
    assert!(!matches!(agent.driver.poll(lab.now), RunnerPoll::Over));
}

#[test]
fn an_inventory_does_not_take_over_another_machines_node() {
    // The other machine has booted once, and nobody has touched its node.
    let mut lab = Lab::new();
    lab.start_agent(2, ScriptedAgent::with_disks(&[8 * GIB]).with_uuid(OTHER));
    let nics = [nic(1, "e1000e", 1000), nic(2, "e1000e", 1000)];
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_nics(&nics);
    let mut agent = lab.start_agent(1, scripted);
    lab.verb(1, Verb::Manage).unwrap();
    lab.verb(1, Verb::Inspect).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.rack().find_by_mac(mac_of(2)), Some(0));
    assert_eq!(lab.node(0).system_uuid, OTHER);
}
