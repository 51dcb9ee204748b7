//! Another machine answers as a node: a network card that moved, or a forged
//! MAC address. It gets no order, no key and no address, and the node's error
//! names both machines.

use crate::api_rig::{call, get};
use crate::common::*;
use farrier_core::interface::StoredConfigDrive;
use farrier_core::{Command, Transport};
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::handler::RunnerPoll;

/// The UUID of the machine that the node is known as.
const KNOWN: [u8; 16] = [1; 16];
/// That of the other one, in DHCP and in the agent's words.
const OTHER: [u8; 16] = [7; 16];
const OTHER_OPTION: [u8; 17] = [0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];

/// A node that waits for its machine, in order to be cleaned again.
fn waiting() -> Lab {
    let (mut lab, _) = available_with(&[8 * GIB]);
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
    let lease = lab.dhcp(1, |request| {
        ipxe(request);
        request.machine_id = Some(&OTHER_OPTION);
    });
    let address = lease.expect("a lease").address;
    assert_eq!(lab.state(0), ProvisionState::CleanWait, "a datagram alone");
    let by_tftp = lab.open_by(Transport::Tftp, address, "boot.ipxe");
    assert_eq!(by_tftp, Served::NotFound);
    assert_eq!(lab.state(0), ProvisionState::CleanWait, "a datagram alone");
    let Served::Text(script) = lab.open(address, "boot.ipxe") else {
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
    let (mut lab, mut agent) = available_with(&[8 * GIB]);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    let lease = lab.dhcp(1, |request| {
        ipxe(request);
        request.machine_id = Some(&OTHER_OPTION);
    });
    lab.open(lease.expect("a lease").address, "boot.ipxe");
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), ProvisionState::Available, "{}", named(&lab));
}

#[test]
fn a_tenants_machine_is_not_read_by_another() {
    let mut lab = active_lab();
    lab.pass(100);
    let lease = lab.dhcp(1, |request| {
        ipxe(request);
        request.machine_id = Some(&OTHER_OPTION);
    });
    lab.open(lease.expect("a lease").address, "boot.ipxe");
    assert_eq!(
        lab.state(0),
        ProvisionState::Active,
        "it stays the tenant's"
    );
    assert!(named(&lab).contains("another machine"), "{}", named(&lab));
    let drive: Option<StoredConfigDrive> = lab.node(0).config_drive;
    assert_eq!(drive, None);
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
