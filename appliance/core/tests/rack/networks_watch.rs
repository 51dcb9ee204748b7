//! What should not be on the networks, and relays: as the rack sees them.

use crate::api_rig::{call, get};
use crate::common::*;
use farrier_core::interface::{Network, NetworkId, Sighting, SightingKind};
use farrier_core::{Command, Input};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_protocol::message::Mac;
use farrier_testkit::machine::dhcp_message;
use farrier_testkit::outcome::Outcome;
use serde_json::json;
use std::net::Ipv4Addr;

const OTHER: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 9);
const GIADDR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

fn sighting(kind: SightingKind, mac: Mac, address: Ipv4Addr) -> Sighting {
    Sighting {
        kind,
        network: NetworkId::PROVISIONING,
        vlan: 0,
        mac,
        address,
    }
}

fn sees(lab: &mut Lab, kind: SightingKind, mac: Mac, address: Ipv4Addr) -> usize {
    lab.step(Input::Sighting(sighting(kind, mac, address)));
    lab.rack().alarms().all().len()
}

#[test]
fn a_foreign_dhcp_server_is_an_alarm_unless_it_is_the_one_beside_us() {
    let mut lab = Lab::new();
    assert_eq!(
        sees(&mut lab, SightingKind::DhcpServer, mac_of(9), OTHER),
        1
    );
    let own = lab.rack().config().address;
    assert_eq!(
        sees(&mut lab, SightingKind::DhcpServer, mac_of(8), own),
        2,
        "in our name"
    );
    let shown = get(&mut lab, "/farrier/v1/alarms");
    let first = &shown["alarms"][0];
    assert_eq!(first["what"], "dhcp server");
    assert_eq!(first["mac"], "52:54:00:00:00:09");
    assert_eq!(first["address"], "172.22.0.9");
    assert_eq!(first["network"], "provisioning");
    assert_eq!((&first["count"], &first["port"]), (&json!(1), &json!(null)));

    let mut lab = Lab::new();
    let server = Some(OTHER);
    lab.operator(Command::SetBootDhcp { server }).unwrap();
    assert_eq!(
        sees(&mut lab, SightingKind::DhcpServer, mac_of(9), OTHER),
        0
    );
    let third = Ipv4Addr::new(172, 22, 0, 8);
    assert_eq!(
        sees(&mut lab, SightingKind::DhcpServer, mac_of(8), third),
        1
    );
}

#[test]
fn a_client_that_takes_another_offer_names_the_server() {
    let mut lab = Lab::new();
    let took = |lab: &mut Lab, server: Ipv4Addr| {
        lab.dhcp_message(MessageType::Request, 1, |r| {
            r.server_id = Some(server);
            r.requested_ip = Some(Ipv4Addr::new(172, 22, 0, 77));
        });
        lab.rack().alarms().all().len()
    };
    let own = lab.rack().config().address;
    assert_eq!(took(&mut lab, own), 0);
    assert_eq!(took(&mut lab, OTHER), 1);
    let alarm = lab.rack().alarms().all()[0];
    assert_eq!(
        (alarm.sighting.address, alarm.sighting.mac),
        (OTHER, Mac([0; 6]))
    );
    assert!(get(&mut lab, "/farrier/v1/alarms")["alarms"][0]["mac"].is_null());
    let server = Some(OTHER);
    lab.operator(Command::SetBootDhcp { server }).unwrap();
    took(&mut lab, OTHER);
    assert_eq!(lab.rack().alarms().all()[0].count, 1, "it is known now");
}

#[test]
fn an_address_is_an_alarm_where_another_interface_has_it() {
    let mut lab = Lab::new();
    let lease = lab.dhcp(1, |_| {}).unwrap();
    let claim = SightingKind::Address;
    assert_eq!(
        sees(&mut lab, claim, mac_of(1), lease.address),
        0,
        "its own"
    );
    let free = Ipv4Addr::new(172, 22, 0, 99);
    assert_eq!(sees(&mut lab, claim, mac_of(2), free), 0, "nobody's");
    assert_eq!(sees(&mut lab, claim, mac_of(2), lease.address), 1);
    lab.pass(601);
    assert_eq!(sees(&mut lab, claim, mac_of(3), lease.address), 1, "over");
    let own = lab.rack().config().address;
    assert_eq!(sees(&mut lab, SightingKind::OwnAddress, mac_of(3), own), 2);

    // On a tenants' network it is who has the reservation.
    let network = Network {
        prefix: 24,
        vlan: 100,
        pool_len: 8,
        pool_first: "10.80.0.10".parse().unwrap(),
        address: "10.80.0.1".parse().unwrap(),
        ..Network::EMPTY
    };
    let name = "blue";
    lab.operator(Command::PutNetwork { name, network }).unwrap();
    let (mac, address) = (mac_of(1), None);
    lab.operator(Command::ReserveAddress {
        network: name,
        mac,
        address,
    })
    .unwrap();
    for (machine, more) in [(1, 0), (2, 1)] {
        let seen = Sighting {
            network: NetworkId(1),
            vlan: 100,
            ..sighting(claim, mac_of(machine), network.pool_first)
        };
        lab.step(Input::Sighting(seen));
        assert_eq!(lab.rack().alarms().all().len(), 2 + more);
    }
}

/// A message that the relay passes on, and what comes back to it.
fn relayed(
    lab: &mut Lab,
    kind: MessageType,
    machine: u8,
    shape: impl FnOnce(&mut Request<'_>),
) -> Option<Vec<u8>> {
    let payload = dhcp_message(kind, mac_of(machine), |request| {
        request.giaddr = GIADDR;
        request.relay_info = Some(&[1, 4, b'p', b'o', b'r', b't']);
        ipxe(request);
        shape(request);
    });
    let did = lab.step(Input::Dhcp {
        network: NetworkId::PROVISIONING,
        from: mac_of(200),
        payload: &payload,
    });
    did.into_iter().find_map(|did| match did {
        Outcome::Dhcp(_, payload) => Some(payload),
        _ => None,
    })
}

const RELAY: &str =
    r#"{"prefix": 24, "router": "10.9.0.254", "pool_first": "10.9.0.20", "pool_len": 2}"#;
const PATH: &str = "/farrier/v1/relays/10.9.0.1";

/// An exchange of four messages by the relay.
fn lease(lab: &mut Lab, machine: u8) -> Option<Ipv4Addr> {
    let offer = relayed(lab, MessageType::Discover, machine, |_| {})?;
    let offer = Reply::parse(&offer).unwrap().yiaddr;
    let ack = relayed(lab, MessageType::Request, machine, |r| {
        r.requested_ip = Some(offer);
        r.server_id = Some(Ipv4Addr::new(172, 22, 0, 1));
    })?;
    let ack = Reply::parse(&ack).unwrap();
    assert_eq!((ack.message_type, ack.yiaddr), (MessageType::Ack, offer));
    Some(offer)
}

#[test]
fn a_relay_is_served_once_an_operator_has_named_it_and_from_its_own_pool() {
    let mut lab = Lab::new();
    assert_eq!(relayed(&mut lab, MessageType::Discover, 1, |_| {}), None);
    assert_eq!(lab.rack().counters().dhcp_ignored, 1);
    assert_eq!(call(&mut lab, "PUT", PATH, RELAY).status, 204);
    let offer = relayed(&mut lab, MessageType::Discover, 1, |_| {}).unwrap();
    let offer = Reply::parse(&offer).unwrap();
    assert!(
        [20, 21].contains(&offer.yiaddr.octets()[3]),
        "{}",
        offer.yiaddr
    );
    assert_eq!(offer.giaddr, GIADDR);
    assert_eq!(offer.relay_info, Some(&[1, 4, b'p', b'o', b'r', b't'][..]));
    assert_eq!(offer.router, Some(Ipv4Addr::new(10, 9, 0, 254)));
    assert_eq!(offer.mask, Some(Ipv4Addr::new(255, 255, 255, 0)));
    assert_eq!(offer.next_server, Some(Ipv4Addr::new(172, 22, 0, 1)));

    let first = lease(&mut lab, 1).unwrap();
    let second = lease(&mut lab, 2).unwrap();
    assert_ne!(first, second);
    assert_eq!(lease(&mut lab, 3), None, "two addresses");
    assert_eq!(lab.rack().counters().pool_exhausted, 1);
    lab.restart(0);
    assert_eq!(lease(&mut lab, 2), Some(second), "over a restart");
    let thief = relayed(&mut lab, MessageType::Request, 3, |r| {
        r.requested_ip = Some(first)
    });
    let thief = Reply::parse(&thief.unwrap()).unwrap().message_type;
    assert_eq!(thief, MessageType::Nak);
    // The lease of whoever is silent ends, and of whoever renews it does not.
    lab.pass(400);
    assert_eq!(lease(&mut lab, 2), Some(second));
    lab.pass(400);
    assert_eq!(lease(&mut lab, 3), Some(first));
}

#[test]
fn a_machine_behind_a_relay_boots_by_its_lease() {
    let mut lab = Lab::new();
    assert_eq!(call(&mut lab, "PUT", PATH, RELAY).status, 204);
    let address = lease(&mut lab, 1).unwrap();
    let ack = relayed(&mut lab, MessageType::Request, 1, |r| {
        r.requested_ip = Some(address);
    })
    .unwrap();
    let file = Reply::parse(&ack).unwrap().boot_file.unwrap();
    let file = std::str::from_utf8(file).unwrap();
    let path = file.strip_prefix("http://172.22.0.1/").unwrap();
    let Served::Text(script) = lab.open(address, path) else {
        panic!("no script");
    };
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]);
    let mut agent = Agent::new(1, address, &script, 1, scripted).expect("a ticket");
    // What comes through a router has the router's hardware address.
    agent.endpoint.mac = mac_of(200);
    lab.shake_hands(&mut agent);
    assert_eq!(lab.node(0).address, address);
}

#[test]
fn a_relays_network_is_checked_and_can_be_taken_back() {
    let mut lab = Lab::new();
    for (target, body, status) in [
        ("10.9.0.1", "{}", 400),
        ("nowhere", RELAY, 400),
        (
            "172.22.0.3",
            r#"{"pool_first": "172.22.0.230", "pool_len": 5}"#,
            409,
        ),
        (
            "10.9.0.1",
            r#"{"pool_first": "10.8.0.20", "pool_len": 5}"#,
            400,
        ),
        (
            "10.9.0.1",
            r#"{"pool_first": "10.9.0.1", "pool_len": 5}"#,
            400,
        ),
        (
            "10.9.0.1",
            r#"{"pool_first": "10.9.0.250", "pool_len": 6}"#,
            400,
        ),
        ("10.9.0.1", RELAY, 204),
        ("10.9.0.1", RELAY, 204),
        (
            "10.9.0.2",
            r#"{"pool_first": "10.9.0.40", "pool_len": 6}"#,
            409,
        ),
    ] {
        let target = format!("/farrier/v1/relays/{target}");
        assert_eq!(
            call(&mut lab, "PUT", &target, body).status,
            status,
            "{target} {body}"
        );
    }
    let shown = get(&mut lab, "/farrier/v1/relays");
    assert_eq!(shown["relays"][0]["giaddr"], "10.9.0.1");
    assert_eq!(shown["relays"].as_array().unwrap().len(), 1);
    lab.restart(0);
    assert_eq!(call(&mut lab, "DELETE", PATH, "").status, 204);
    assert_eq!(call(&mut lab, "DELETE", PATH, "").status, 404);
    assert_eq!(relayed(&mut lab, MessageType::Discover, 1, |_| {}), None);
}
