//! What a node waits for, and until when: as the API tells it, as whoever
//! wakes the brain is told, and as the errors say that a wait leaves behind.

use crate::api_rig::{get, rack};
use crate::common::*;
use farrier_core::interface::NetworkId;
use farrier_core::interface::PowerState;
use farrier_core::node::{AGENT_SILENT_MILLIS, Hop};
use farrier_core::power::OPERATION_MILLIS;
use farrier_dhcp::wire::{ArchList, MessageType, Request};
use farrier_lifecycle::{ProvisionState, Verb};

/// The hop that the first node's boot waits for, and for how many seconds
/// yet: timelines are exact to one part in 2048.
fn next(lab: &mut Lab) -> Option<(String, u64)> {
    let status = get(lab, "/farrier/v1/status");
    let next = &status["nodes"][0]["next_hop"];
    let name = next["name"].as_str()?.to_owned();
    assert_eq!(next["late"].as_bool(), Some(next["deadline_ms"] == 0));
    Some((name, next["deadline_ms"].as_u64().unwrap().div_ceil(1000)))
}

fn due(hop: Hop, seconds: u64) -> Option<(String, u64)> {
    Some((hop.as_str().to_owned(), seconds))
}

fn rom(request: &mut Request<'_>) {
    request.class_id = Some(b"PXEClient:Arch:00000:UNDI:002001");
    request.arch_list = ArchList(&[0, 0]);
}

/// A node whose cleaning waits for its machine.
fn clean_wait() -> Lab {
    let mut lab = rack();
    lab.pass(200);
    assert_eq!(next(&mut lab), None, "nobody waits for anything");
    lab.verb(0, Verb::Provide).unwrap();
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    lab
}

/// An agent that takes its order to erase and does nothing.
fn hangs(lab: &mut Lab) -> Agent {
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut agent, 2);
    agent.driver.handler_mut().behaviour = Behaviour::Hangs;
    agent
}

#[test]
fn the_next_hop_is_told_with_the_time_that_it_has() {
    let mut lab = clean_wait();
    assert_eq!(next(&mut lab), due(Hop::Discover, 900));
    lab.now += 60_000;
    assert_eq!(next(&mut lab), due(Hop::Discover, 840));
    let offer = lab.dhcp_message(MessageType::Discover, 1, rom).unwrap();
    assert_eq!(next(&mut lab), due(Hop::Address, 60));
    lab.now += 61_000;
    assert_eq!(next(&mut lab), due(Hop::Address, 0), "it is late");
    let address = offer.address;
    let ask = |request: &mut Request<'_>| {
        request.requested_ip = Some(address);
        request.server_id = Some(farrier_core::Config::default().address);
    };
    lab.dhcp_message(MessageType::Request, 1, |request| {
        rom(request);
        ask(request);
    });
    assert_eq!(next(&mut lab), due(Hop::Program, 120));
    lab.step(farrier_core::Input::Sent {
        network: NetworkId::PROVISIONING,
        peer: address,
        path: "undionly.kpxe",
        bytes: 70_000,
        complete: true,
    });
    assert_eq!(next(&mut lab), due(Hop::Ipxe, 60));
    lab.now += 1_000;
    let lease = lab.dhcp(1, ipxe).unwrap();
    assert_eq!(next(&mut lab), due(Hop::Script, 60));
    lab.open(address, lease.script());
    assert_eq!(next(&mut lab), due(Hop::Kernel, 300));
    // One boot from its first packet on.
    let reached = |lab: &Lab, hop| lab.node(0).timeline.reached(hop);
    assert_eq!(reached(&lab, Hop::Discover), Some(0));
    assert!(reached(&lab, Hop::Ipxe) > reached(&lab, Hop::Address));

    // The machine starts anew, from a ROM that is iPXE itself.
    lab.now += 5_000;
    lab.dhcp(1, ipxe);
    assert_eq!(reached(&lab, Hop::Discover), Some(0));
    assert_eq!(reached(&lab, Hop::Ipxe), None);
    assert_eq!(next(&mut lab), due(Hop::Script, 60));
    lab.now += 1_000;
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    agent.driver.handler_mut().behaviour = Behaviour::Hangs;
    lab.run(&mut agent, 5);
    assert_eq!(next(&mut lab), None, "the agent has its order");
}

#[test]
fn no_hop_is_due_later_than_the_work() {
    let mut lab = clean_wait();
    let end = lab.node(0).deadline.unwrap().millis();
    lab.now = end - 30_000;
    lab.dhcp_message(MessageType::Discover, 1, rom);
    assert_eq!(next(&mut lab), due(Hop::Address, 30));
}

#[test]
fn who_is_at_the_agent_already_needs_no_boot() {
    let mut lab = rack();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut agent, 60);
    lab.verb(0, Verb::Provide).unwrap();
    let (hop, left) = next(&mut lab).unwrap();
    assert_eq!(hop, Hop::Order.as_str(), "its boot is not forgotten");
    assert!(left < 120);
}

#[test]
fn the_brain_is_woken_when_something_is_due() {
    let wake = |lab: &Lab| lab.rack().wake_at().millis();
    let mut lab = rack();
    assert!(wake(&lab) > lab.now + 3_000_000, "nothing is due");
    lab.pass(200);
    lab.verb(0, Verb::Provide).unwrap();
    // The power driver is given a minute.
    let deadline = |lab: &Lab| lab.node(0).deadline.unwrap().millis();
    assert_eq!(wake(&lab), lab.now + OPERATION_MILLIS);

    // An agent at work is missed when it falls silent.
    let mut agent = hangs(&mut lab);
    lab.run(&mut agent, 2);
    assert_eq!(lab.state(0), ProvisionState::Available);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 5);
    assert_eq!(lab.state(0), ProvisionState::Cleaning);
    let heard = lab.node(0).boot.heard.unwrap().millis();
    assert_eq!(wake(&lab), heard + AGENT_SILENT_MILLIS);
    // After a restart it has until the deadline.
    lab.restart(0);
    assert_eq!(lab.state(0), ProvisionState::Cleaning);
    assert_eq!(wake(&lab), deadline(&lab));
    // Once it has come back, it has all of its time again.
    lab.run(&mut agent, 60);
    let heard = lab.node(0).boot.heard.unwrap().millis();
    let limit = lab.state(0).deadline().unwrap().millis;
    assert!(deadline(&lab) + 60_000 > heard + limit);
}

#[test]
fn nobody_is_missed_once_the_image_is_proven() {
    let (mut lab, mut agent) = available_with(&[8 * GIB]);
    agent.driver.handler_mut().behaviour = Behaviour::Vanishes;
    lab.set_image(0, "debian12").unwrap();
    lab.verb(0, Verb::Active).unwrap();
    lab.run(&mut agent, 20);
    assert_eq!(lab.state(0), ProvisionState::Deploying);
    assert!(lab.node(0).boot.imaged);
    assert_eq!(next(&mut lab), None);
    assert_eq!(Some(lab.rack().wake_at()), lab.node(0).deadline);
    lab.pass(AGENT_SILENT_MILLIS / 1000 + 5);
    assert_eq!(lab.state(0), ProvisionState::Deploying);
    // Of its boot nothing is known any more, and nothing is missing.
    lab.restart(0);
    assert_eq!(lab.state(0), ProvisionState::Deploying);
    assert_eq!(next(&mut lab), None);
}

#[test]
fn an_error_says_which_hop_was_missing() {
    let mut lab = clean_wait();
    lab.pass(1900);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    let error = &lab.node(0).last_error;
    assert!(
        error.ends_with("no packet of the machine was seen"),
        "{error}"
    );
    assert_eq!(lab.node(0).power, PowerState::Unknown);
    assert_eq!(lab.node(0).deadline, None);

    let mut lab = clean_wait();
    lab.dhcp_message(MessageType::Discover, 1, rom);
    lab.pass(1900);
    let error = &lab.node(0).last_error;
    assert!(error.ends_with("missing: dhcp ack"), "{error}");
    assert_eq!(lab.node(0).power, PowerState::On);
}

#[test]
fn clients_give_addresses_back_and_ask_for_nothing_but_facts() {
    let mut lab = Lab::new();
    let first = lab.dhcp(9, |_| {}).unwrap().address;
    // Somebody else has it: it is nobody's for a while.
    let silent = lab.dhcp_message(MessageType::Decline, 9, |request| {
        request.requested_ip = Some(first);
        request.server_id = Some(farrier_core::Config::default().address);
    });
    assert_eq!(silent, None);
    for mac in [9, 10] {
        assert_ne!(lab.dhcp(mac, |_| {}).unwrap().address, first);
    }
    lab.check_sweeps();
    let told = lab
        .dhcp_message(MessageType::Inform, 11, |request| {
            rom(request);
            request.ciaddr = [172, 22, 0, 200].into();
        })
        .unwrap();
    assert_eq!(told.kind, MessageType::Ack);
    assert!(told.address.is_unspecified() && told.file.is_none());
}
