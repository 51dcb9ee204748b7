//! Boot credentials: a script and a ticket are for one lease and for minutes, and
//! a boot ends nothing before its handshake.

use crate::common::*;
use farrier_core::interface::{NetworkId, Transport};
use farrier_core::{Command, Input};
use farrier_lifecycle::{ProvisionState, Verb};
use std::net::Ipv4Addr;

const MINUTE: u64 = 60_000;

fn agent_of(mac: u8, address: Ipv4Addr, script: &str, salt: u8) -> Agent {
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]);
    Agent::new(mac, address, script, salt, scripted).expect("a ticket in the script")
}

fn has_session(agent: &Agent) -> bool {
    agent.driver.handler().welcome.is_some()
}

/// A node whose cleaning hangs, and its agent.
fn at_work() -> (Lab, Agent) {
    let (mut lab, mut agent) = available_with(&[8 * GIB]);
    lab.verb(0, Verb::Manage).unwrap();
    agent.driver.handler_mut().behaviour = Behaviour::Hangs;
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 3);
    assert_eq!(lab.state(0), ProvisionState::Cleaning);
    (lab, agent)
}

#[test]
fn a_script_is_served_to_its_lease_and_for_minutes() {
    let mut lab = Lab::new();
    let own = lab.dhcp(1, ipxe).unwrap();
    let other = lab.dhcp(2, ipxe).unwrap();
    let path = own.script();
    assert_eq!(lab.open(other.address, path), Served::NotFound);
    assert_eq!(
        lab.open("172.22.0.99".parse().unwrap(), path),
        Served::NotFound
    );
    assert_eq!(
        lab.open_by(Transport::Tftp, own.address, path),
        Served::NotFound,
        "a datagram may be forged"
    );
    for wrong in [
        "boot/",
        "boot/0001000003e80007.ipxe",
        "boot/0001000003e80007-0000000000000000.ipxe",
        "boot/+001000003e80007-d94212dfd564fe7c.ipxe",
    ] {
        assert_eq!(lab.open(own.address, wrong), Served::NotFound, "{wrong}");
    }
    let Served::Text(first) = lab.open(own.address, path) else {
        panic!("no script");
    };
    assert!(first.contains("farrier.bootif=52-54-00-00-00-01"));
    assert_eq!(lab.open(own.address, path), Served::Text(first.clone()));
    let again = lab.dhcp(1, ipxe).unwrap();
    assert_eq!(again.script(), path, "the same exchange");
    lab.now += 1;
    let next = lab.dhcp(1, ipxe).unwrap();
    let Served::Text(second) = lab.open(own.address, next.script()) else {
        panic!("no script");
    };
    assert_ne!(first, second, "each exchange has its own ticket");
    lab.now += 15 * MINUTE;
    assert_eq!(lab.open(own.address, path), Served::NotFound);
}

#[test]
fn fetching_scripts_ends_no_session_and_counts_as_no_restart() {
    let (mut lab, mut agent) = at_work();
    for _ in 0..20 {
        lab.now += 1;
        let records = lab.records().len();
        let (address, _) = lab.boot(1);
        lab.open_by(Transport::Tftp, address, "boot/x.ipxe");
        assert!(lab.records().len() <= records + 1, "a lease at the most");
    }
    assert_eq!(lab.state(0), ProvisionState::Cleaning);
    assert!(lab.node(0).attempts <= 1);
    agent.driver.handler_mut().behaviour = Behaviour::Honest;
    lab.run(&mut agent, 5);
    assert!(!agent.over, "its session goes on");
}

#[test]
fn a_ticket_is_good_at_its_own_place_only() {
    let mut lab = Lab::new();
    let (address, script) = lab.boot(1);
    let (other, _) = lab.boot(2);
    for (mac, ip) in [(2, other), (2, address), (1, other)] {
        let mut thief = agent_of(mac, ip, &script, 9);
        lab.run(&mut thief, 3);
        assert!(!has_session(&thief), "{mac} {ip}");
    }
    assert!(lab.rack().nodes().is_empty());
    let mut own = agent_of(1, address, &script, 0);
    lab.run(&mut own, 3);
    assert!(has_session(&own));
}

#[test]
fn a_ticket_ends_after_minutes() {
    let mut lab = Lab::new();
    for (wait, good) in [(14 * MINUTE, true), (16 * MINUTE, false)] {
        let (address, script) = lab.boot(1);
        lab.now += wait;
        let mut agent = agent_of(1, address, &script, 0);
        lab.run(&mut agent, 3);
        assert_eq!(has_session(&agent), good, "after {wait} ms");
    }
}

#[test]
fn a_ticket_survives_a_restart_of_the_appliance() {
    let mut lab = Lab::new();
    let (address, script) = lab.boot(1);
    lab.restart(0);
    let mut agent = agent_of(1, address, &script, 0);
    lab.run(&mut agent, 3);
    assert!(has_session(&agent));
}

/// A second holder, in the place of the first or elsewhere, before or after its
/// handshake: neither gets orders, and the error shows it.
#[test]
fn a_second_holder_stops_the_orders_whoever_came_first() {
    for (elsewhere, first) in [(true, true), (true, false), (false, true), (false, false)] {
        let case = format!("elsewhere {elsewhere}, owner first {first}");
        let (mut lab, _) = available_with(&[8 * GIB]);
        lab.verb(0, Verb::Manage).unwrap();
        lab.pass(100);
        lab.verb(0, Verb::Provide).unwrap();
        let (address, script) = lab.boot(1);
        let mut own = agent_of(1, address, &script, 0);
        own.driver.handler_mut().behaviour = Behaviour::Hangs;
        let mut thief = match elsewhere {
            true => {
                let ip = lab.dhcp(7, |_| {}).unwrap().address;
                agent_of(7, ip, &script, 9)
            }
            false => agent_of(1, address, &script, 9),
        };
        thief.driver.handler_mut().behaviour = Behaviour::Hangs;
        match first {
            true => {
                lab.run(&mut own, 3);
                lab.run(&mut thief, 3);
            }
            false => {
                lab.run(&mut thief, 3);
                lab.run(&mut own, 3);
            }
        }
        assert_eq!(lab.state(0), ProvisionState::CleanFailed, "{case}");
        let error = lab.node(0).last_error.as_str();
        assert!(error.contains("second machine"), "{case}: {error}");
        assert!(lab.node(0).boot.session.is_none(), "{case}");
        assert!(lab.rack().counters().ticket_reused > 0, "{case}");
        // The machine starts again, with a ticket of its own.
        lab.now += 1;
        lab.verb(0, Verb::Manage).unwrap();
        lab.verb(0, Verb::Provide).unwrap();
        let mut again = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
        lab.run(&mut again, 20);
        assert_eq!(lab.state(0), ProvisionState::Available, "{case}");
    }
}

/// The boot of a ticket that two had is over. Copies of their handshakes do not
/// end the work that waits for the next boot.
#[test]
fn a_copy_of_a_second_holders_handshake_stops_no_later_work() {
    for elsewhere in [true, false] {
        let (mut lab, _) = available_with(&[8 * GIB]);
        lab.verb(0, Verb::Manage).unwrap();
        lab.pass(100);
        lab.verb(0, Verb::Provide).unwrap();
        let (address, script) = lab.boot(1);
        let mut own = agent_of(1, address, &script, 0);
        own.driver.handler_mut().behaviour = Behaviour::Hangs;
        lab.run(&mut own, 3);
        let mut thief = match elsewhere {
            true => {
                let ip = lab.dhcp(7, |_| {}).unwrap().address;
                agent_of(7, ip, &script, 9)
            }
            false => agent_of(1, address, &script, 9),
        };
        let from = thief.endpoint;
        let datagram = &lab.shake_hands(&mut thief);
        assert_eq!(lab.state(0), ProvisionState::CleanFailed);
        lab.verb(0, Verb::Manage).unwrap();
        lab.verb(0, Verb::Provide).unwrap();
        for _ in 0..3 {
            lab.now += 1;
            lab.step(Input::Agent { from, datagram });
            assert_eq!(lab.state(0), ProvisionState::CleanWait);
        }
        lab.run(&mut own, 3);
        assert_eq!(lab.state(0), ProvisionState::CleanWait);
        let mut again = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
        lab.step(Input::Agent { from, datagram });
        lab.run(&mut again, 20);
        assert_eq!(lab.state(0), ProvisionState::Available);
    }
}

#[test]
fn a_copied_handshake_stops_nobody() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    lab.pass(100);
    let (address, script) = lab.boot(1);
    let mut agent = agent_of(1, address, &script, 0);
    let from = agent.endpoint;
    let datagram = lab.shake_hands(&mut agent);
    lab.run(&mut agent, 3);
    let elsewhere = farrier_core::interface::Endpoint {
        mac: mac_of(9),
        network: NetworkId::PROVISIONING,
        ..from
    };
    for from in [from, elsewhere] {
        let datagram = &datagram;
        lab.step(Input::Agent { from, datagram });
    }
    assert!(lab.node(0).last_error.is_empty());
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 20);
    assert_eq!(lab.state(0), ProvisionState::Available);
}

/// A copy that is sent from elsewhere and overtakes the original is no second
/// holder; two different handshakes from elsewhere are.
#[test]
fn a_copied_handshake_that_comes_first_stops_nobody() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    lab.verb(0, Verb::Manage).unwrap();
    lab.pass(100);
    lab.verb(0, Verb::Provide).unwrap();
    let (address, script) = lab.boot(1);
    let mut agent = agent_of(1, address, &script, 0);
    let ip = lab.dhcp(7, |_| {}).unwrap().address;
    let from = agent_of(7, ip, &script, 9).endpoint;
    let datagram = &lab.ask_only(&mut agent);
    lab.now += 10_000;
    for _ in 0..3 {
        lab.step(Input::Agent { from, datagram });
    }
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    lab.run(&mut agent, 20);
    lab.step(Input::Agent { from, datagram });
    let mut again = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut again, 20);
    assert_eq!(lab.state(0), ProvisionState::Available);
    assert_eq!(lab.rack().counters().ticket_reused, 0);
}

/// The node is deleted while the ticket would still be good.
#[test]
fn a_copied_handshake_brings_no_deleted_node_back() {
    let mut lab = Lab::new();
    let (address, script) = lab.boot(1);
    let mut agent = agent_of(1, address, &script, 0);
    let from = agent.endpoint;
    let datagram = &lab.shake_hands(&mut agent);
    let node = lab.node(0).id;
    lab.operator(Command::DeleteNode { node }).unwrap();
    let nodes = |lab: &Lab| {
        let all = lab.rack().nodes().iter();
        all.filter(|node| !node.is_vacant()).count()
    };
    assert_eq!(nodes(&lab), 0);
    lab.step(Input::Agent { from, datagram });
    assert_eq!(nodes(&lab), 0);
    lab.now += 1;
    let mut again = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut again, 3);
    assert_eq!(nodes(&lab), 1);
}

#[test]
fn two_handshakes_from_elsewhere_with_one_ticket_stop_the_orders() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    lab.verb(0, Verb::Manage).unwrap();
    lab.pass(100);
    lab.verb(0, Verb::Provide).unwrap();
    let (_, script) = lab.boot(1);
    let ip = lab.dhcp(7, |_| {}).unwrap().address;
    for (seed, state) in [
        (9, ProvisionState::CleanWait),
        (10, ProvisionState::CleanFailed),
    ] {
        let mut thief = agent_of(7, ip, &script, seed);
        lab.shake_hands(&mut thief);
        assert_eq!(lab.state(0), state);
    }
    assert!(lab.node(0).last_error.contains("second machine"));
}

#[test]
fn the_ticket_of_an_earlier_boot_begins_no_other_one() {
    let mut lab = Lab::new();
    let (address, script) = lab.boot(1);
    let mut first = agent_of(1, address, &script, 0);
    lab.run(&mut first, 3);
    let mut second = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    let mut late = agent_of(1, address, &script, 9);
    lab.run(&mut late, 3);
    assert!(!has_session(&late));
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut second, 20);
    assert_eq!(lab.state(0), ProvisionState::Available);
}

/// Whoever hears everything fetches an earlier boot's script again and repeats
/// that boot's handshake from a place of its own.
#[test]
fn a_copied_handshake_of_an_earlier_boot_stops_nobody() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    lab.pass(100);
    let lease = lab.dhcp(1, ipxe).unwrap();
    let Served::Text(script) = lab.open(lease.address, lease.script()) else {
        panic!("no script");
    };
    let mut first = agent_of(1, lease.address, &script, 0);
    let from = first.endpoint;
    let datagram = lab.shake_hands(&mut first);
    lab.pass(2);
    let mut second = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.open(lease.address, lease.script());
    let elsewhere = farrier_core::interface::Endpoint {
        mac: mac_of(9),
        ..from
    };
    lab.step(Input::Agent {
        from: elsewhere,
        datagram: &datagram,
    });
    assert!(lab.node(0).last_error.is_empty());
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut second, 20);
    assert_eq!(lab.state(0), ProvisionState::Available);
}

#[test]
fn strangers_are_shown_and_are_no_nodes() {
    let mut lab = Lab::new();
    lab.step(Input::Tick);
    let before = lab.records().len();
    for mac in 1..=40 {
        lab.dhcp_message(farrier_dhcp::wire::MessageType::Discover, mac, ipxe);
    }
    assert!(lab.rack().nodes().is_empty());
    let strangers = lab.rack().strangers().all().len();
    assert!((1..40).contains(&strangers), "{strangers}");
    assert_eq!(lab.records().len(), before, "{:?}", lab.records());
    // The addresses that they were offered are free again.
    lab.pass(300);
    lab.starts(60);
    assert_eq!(lab.rack().nodes().len(), 1);
    assert!(lab.rack().strangers().find(mac_of(60)).is_none());
    let node = lab.node(0).id;
    lab.operator(Command::DeleteNode { node }).unwrap();
}

#[test]
fn operators_see_strangers() {
    let mut lab = Lab::new();
    let lease = lab.dhcp(7, |request| {
        ipxe(request);
        request.machine_id = Some(&[0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
    });
    lab.now += 5_000;
    let shown = crate::api_rig::get(&mut lab, "/farrier/v1/strangers");
    assert_eq!(
        shown["strangers"],
        serde_json::json!([{
            "mac": "52:54:00:00:00:07",
            "uuid": "09090909-0909-0909-0909-090909090909",
            "address": lease.unwrap().address.to_string(),
            "last_hop": "dhcp ack",
            "seen_seconds": 5,
        }])
    );
}
