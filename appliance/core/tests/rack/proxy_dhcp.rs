//! ProxyDHCP: another server gives the addresses, and the appliance says what to boot.

use crate::api_rig::{call, get};
use crate::common::*;
use farrier_core::interface::{NetworkId, Services};
use farrier_core::{Command, Input};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_protocol::message::Mac;
use farrier_testkit::machine::dhcp_message;
use farrier_testkit::outcome::Outcome;
use std::net::Ipv4Addr;

const OTHER: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 9);
const OURS: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 1);

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 22, 0, last)
}

fn proxy() -> Lab {
    let mut lab = Lab::new();
    let server = Some(OTHER);
    lab.operator(Command::SetBootDhcp { server }).unwrap();
    lab
}

fn rom(request: &mut Request<'_>) {
    request.class_id = Some(b"PXEClient:Arch:00000:UNDI:002001");
}

fn http(request: &mut Request<'_>) {
    request.class_id = Some(b"HTTPClient:Arch:00016:UNDI:003001");
}

/// A message of a machine to port 67, and the bytes of the answer.
fn to_server(
    lab: &mut Lab,
    kind: MessageType,
    machine: u8,
    shape: impl FnOnce(&mut Request<'_>),
) -> Option<Vec<u8>> {
    let from = mac_of(machine);
    let payload = dhcp_message(kind, from, shape);
    let did = lab.step(Input::Dhcp {
        network: NetworkId::PROVISIONING,
        from,
        payload: &payload,
    });
    answer(did)
}

/// A message of a machine to port 4011 from an address, and the bytes of the answer.
fn to_proxy(
    lab: &mut Lab,
    machine: u8,
    source: Ipv4Addr,
    shape: impl FnOnce(&mut Request<'_>),
) -> Option<Vec<u8>> {
    let from = mac_of(machine);
    let payload = dhcp_message(MessageType::Request, from, |request| {
        request.ciaddr = source;
        request.server_id = Some(OURS);
        shape(request);
    });
    asked(lab, from, source, &payload)
}

fn asked(lab: &mut Lab, from: Mac, source: Ipv4Addr, payload: &[u8]) -> Option<Vec<u8>> {
    let did = lab.step(Input::PxeRequest {
        network: NetworkId::PROVISIONING,
        from,
        source,
        payload,
    });
    answer(did)
}

fn answer(did: Vec<Outcome>) -> Option<Vec<u8>> {
    did.into_iter().find_map(|did| match did {
        Outcome::Dhcp(_, payload) => Some(payload),
        _ => None,
    })
}

fn file(answer: &[u8]) -> String {
    let reply = Reply::parse(answer).unwrap();
    String::from_utf8(reply.boot_file.unwrap_or_default().to_vec()).unwrap()
}

#[test]
fn an_offer_gives_no_address_and_leads_to_port_4011() {
    let mut lab = proxy();
    for (shape, class) in [
        (rom as fn(&mut Request<'_>), &b"PXEClient"[..]),
        (ipxe, b"PXEClient"),
        (http, b"HTTPClient"),
    ] {
        let shape_and_id = |request: &mut Request<'_>| {
            shape(request);
            request.machine_id = Some(&[0; 17]);
        };
        let offer = to_server(&mut lab, MessageType::Discover, 1, shape_and_id).unwrap();
        let offer = Reply::parse(&offer).unwrap();
        assert_eq!(offer.message_type, MessageType::Offer);
        assert!(offer.yiaddr.is_unspecified() && offer.lease_secs.is_none());
        assert_eq!(offer.class_id, Some(class));
        assert_eq!((offer.server_id, offer.next_server), (OURS, Some(OURS)));
        assert_eq!(offer.machine_id, Some(&[0; 17][..]), "option 97 comes back");
        assert!(!offer.no_pxedhcp && offer.pxe_discovery_control.is_none());
        // UEFI's HTTP boot never asks there.
        assert_eq!(offer.boot_file.is_some(), class == b"HTTPClient");
    }
    assert!(lab.rack().lease_usage(lab.clock()).1 == 0, "no address");
}

#[test]
fn everything_else_is_the_other_servers() {
    let mut lab = proxy();
    for kind in [
        MessageType::Discover,
        MessageType::Request,
        MessageType::Inform,
        MessageType::Release,
        MessageType::Decline,
    ] {
        let plain = to_server(&mut lab, kind, 1, |r| r.requested_ip = Some(address(20)));
        assert_eq!(plain, None, "{kind:?} of a system");
        if kind != MessageType::Discover {
            assert_eq!(to_server(&mut lab, kind, 1, ipxe), None, "{kind:?}");
        }
    }
    let relayed = to_server(&mut lab, MessageType::Discover, 1, |r| {
        ipxe(r);
        r.giaddr = address(30);
    });
    assert_eq!(relayed, None);
}

#[test]
fn a_machine_boots_from_the_address_that_it_asks_from() {
    let mut lab = proxy();
    let ack = to_proxy(&mut lab, 1, address(25), rom).unwrap();
    let reply = Reply::parse(&ack).unwrap();
    assert_eq!(reply.message_type, MessageType::Ack);
    assert!(reply.yiaddr.is_unspecified());
    assert_eq!((reply.ciaddr, reply.next_server), (address(25), Some(OURS)));
    assert_eq!(file(&ack), "undionly.kpxe");

    let ack = to_proxy(&mut lab, 1, address(25), ipxe).unwrap();
    let script = file(&ack);
    let path = script.strip_prefix("http://172.22.0.1/").unwrap();
    // Nobody else gets its script.
    assert_eq!(lab.open(address(26), path), Served::NotFound);
    let _other = to_proxy(&mut lab, 2, address(26), ipxe).unwrap();
    assert_eq!(lab.open(address(26), path), Served::NotFound);
    let Served::Text(text) = lab.open(address(25), path) else {
        panic!("no script");
    };
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]);
    let mut agent = Agent::new(1, address(25), &text, 1, scripted).expect("a ticket");
    lab.shake_hands(&mut agent);
    assert!(agent.driver.handler().welcome.is_some());
    assert_eq!(lab.node(0).address, address(25));
}

#[test]
fn an_address_is_its_machines_for_as_long_as_that_is_heard() {
    let mut lab = proxy();
    let ack = to_proxy(&mut lab, 1, address(25), ipxe).unwrap();
    let script = file(&ack);
    let path = script.strip_prefix("http://172.22.0.1/").unwrap();
    let Served::Text(text) = lab.open(address(25), path) else {
        panic!("no script");
    };
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]);
    let mut agent = Agent::new(1, address(25), &text, 1, scripted).expect("a ticket");
    lab.run(&mut agent, 1000);
    assert_eq!(to_proxy(&mut lab, 2, address(25), ipxe), None, "its agent");
    assert_eq!(lab.rack().counters().proxy_refused, 1);
    // A restart does not forget it.
    lab.restart(0);
    assert_eq!(to_proxy(&mut lab, 2, address(25), ipxe), None);
    lab.pass(601);
    assert!(to_proxy(&mut lab, 2, address(25), ipxe).is_some(), "silent");
}

#[test]
fn a_node_comes_before_a_stranger_and_moves_with_its_lease() {
    let mut lab = proxy();
    lab.operator(Command::SetBootDhcp { server: None }).unwrap();
    lab.discover(1);
    let server = Some(OTHER);
    lab.operator(Command::SetBootDhcp { server }).unwrap();
    assert!(
        to_proxy(&mut lab, 2, address(26), ipxe).is_some(),
        "a stranger"
    );
    assert!(
        to_proxy(&mut lab, 1, address(26), ipxe).is_some(),
        "the node"
    );
    assert_eq!(to_proxy(&mut lab, 2, address(26), ipxe), None);
    assert!(to_proxy(&mut lab, 1, address(27), ipxe).is_some(), "moved");
    assert_eq!(lab.node(0).address, address(27));
    // Changes are bounded: each is a record, and a source can be forged.
    let answered = (0..20).filter(|turn| {
        let to = address(26 + turn % 2);
        let moves = lab.node(0).address != to;
        to_proxy(&mut lab, 1, to, ipxe).is_some() && moves
    });
    assert!(answered.count() < 5);
}

#[test]
fn what_does_not_come_from_the_machine_itself_is_ignored() {
    let mut lab = proxy();
    let shape = |request: &mut Request<'_>| {
        ipxe(request);
        request.ciaddr = address(25);
    };
    let sound = dhcp_message(MessageType::Request, mac_of(1), shape);
    let other = mac_of(2);
    assert_eq!(asked(&mut lab, other, address(25), &sound), None, "frame");
    assert_eq!(asked(&mut lab, mac_of(1), address(26), &sound), None, "ip");
    let bad: [&dyn Fn(&mut Request<'_>); 4] = [
        &|r| r.giaddr = address(3),
        &|r| r.server_id = Some(OTHER),
        &|r| {
            r.class_id = None;
            r.user_class = None;
        },
        &|r| r.message_type = MessageType::Discover,
    ];
    for bad in bad {
        let payload = dhcp_message(MessageType::Request, mac_of(1), |r| {
            shape(r);
            bad(r);
        });
        assert_eq!(asked(&mut lab, mac_of(1), address(25), &payload), None);
    }
    assert_eq!(asked(&mut lab, mac_of(1), address(25), &[7; 30]), None);
    for outside in [Ipv4Addr::new(172, 22, 0, 5), Ipv4Addr::new(10, 0, 0, 1)] {
        assert_eq!(to_proxy(&mut lab, 1, outside, ipxe), None, "{outside}");
    }
    assert!(asked(&mut lab, mac_of(1), address(25), &sound).is_some());
    // Without another server the port has no service.
    lab.operator(Command::SetBootDhcp { server: None }).unwrap();
    assert_eq!(asked(&mut lab, mac_of(1), address(25), &sound), None);
}

#[test]
fn operators_say_who_gives_the_addresses() {
    let mut lab = Lab::new();
    let path = "/farrier/v1/networks/provisioning";
    let shown = get(&mut lab, path);
    assert_eq!(
        (&shown["dhcp"], &shown["dhcp_server"]),
        (&"server".into(), &serde_json::Value::Null)
    );
    for bad in [
        r#"{}"#,
        r#"{"dhcp": "proxy"}"#,
        r#"{"dhcp": "server", "dhcp_server": "172.22.0.9"}"#,
        r#"{"dhcp": "relay"}"#,
        r#"{"dhcp": "proxy", "dhcp_server": "172.22.0.1"}"#,
        r#"{"dhcp": "proxy", "dhcp_server": "172.22.0.20"}"#,
        r#"{"dhcp": "proxy", "dhcp_server": "10.0.0.1"}"#,
    ] {
        assert_eq!(call(&mut lab, "PUT", path, bad).status, 400, "{bad}");
    }
    let good = r#"{"dhcp": "proxy", "dhcp_server": "172.22.0.9"}"#;
    assert_eq!(call(&mut lab, "PUT", path, good).status, 204);
    let shown = get(&mut lab, path);
    assert_eq!(shown["dhcp_server"], "172.22.0.9");
    let proxies = |lab: &Lab| {
        lab.rack()
            .links()
            .all(|l| l.services.contains(Services::PROXY))
    };
    assert!(proxies(&lab));
    lab.restart(0);
    assert_eq!(lab.rack().dhcp_server(), Some(OTHER));
    let back = r#"{"dhcp": "server"}"#;
    assert_eq!(call(&mut lab, "PUT", path, back).status, 204);
    assert!(!proxies(&lab));
    assert!(lab.dhcp(1, ipxe).is_some());
}
