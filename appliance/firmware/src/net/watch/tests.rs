use super::*;
use crate::net::links::Segment;
use farrier_core::interface::{Link, NetworkId};
use farrier_dhcp::wire::{Reply, Request};
use farrier_ethernet::frame::{HEADER_LEN, Header};
use std::task::Waker;
use std::vec::Vec;

const OURS: [u8; 6] = [2, 0xFA, 0, 0, 0, 1];
const LOCAL: Local = Local {
    mac: OURS,
    http: 80,
    dhcp: 67,
    agents: 8470,
};
const STACK: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 1);
const ROGUE: ([u8; 6], Ipv4Addr) = ([2, 0, 0, 0, 0, 9], Ipv4Addr::new(172, 22, 0, 9));
const ALL: [u8; 6] = [0xFF; 6];

fn links() -> Links {
    let link = |network, vlan, address: [u8; 4], services| Link {
        network: NetworkId(network),
        vlan,
        vlans: 1,
        address: address.into(),
        prefix: 24,
        router: Ipv4Addr::UNSPECIFIED,
        services,
    };
    let mut links = Links::new();
    links.set_stack(STACK);
    links.replace(&[
        link(0, 0, [172, 22, 0, 1], Services::BOOT | Services::DHCP),
        link(1, 30, [10, 1, 0, 1], Services::DHCP),
        link(2, 40, [10, 2, 0, 1], Services::API),
    ]);
    links
}

fn reply(kind: MessageType, from: ([u8; 6], Ipv4Addr), to: ([u8; 6], u16)) -> Vec<u8> {
    let mut asked = [0; 400];
    let length = Request::new(MessageType::Discover, 7, [2; 6])
        .emit(&mut asked)
        .unwrap();
    let asked = Request::parse(&asked[..length]).unwrap();
    let mut bytes = std::vec![0; 800];
    let length = Reply::answering(&asked, kind, from.1)
        .emit(&mut bytes[HEADER_LEN..])
        .unwrap();
    let header = Header {
        src_mac: from.0,
        dst_mac: to.0,
        src: from.1,
        dst: Ipv4Addr::BROADCAST,
        src_port: 67,
        dst_port: to.1,
    };
    let length = frame::emit(&mut bytes, &header, length).unwrap();
    bytes.truncate(length);
    bytes
}

fn arp(operation: Operation, from: ([u8; 6], [u8; 4]), target: [u8; 4]) -> Vec<u8> {
    let mut bytes = std::vec![0; 60];
    let message = Arp {
        operation,
        sender_mac: from.0,
        sender: from.1.into(),
        target_mac: [0; 6],
        target: target.into(),
    };
    message.emit(ALL, &mut bytes).unwrap();
    bytes
}

fn seen(links: &Links, vlan: u16, frame: &[u8]) -> Option<(SightingKind, Ipv4Addr)> {
    let sighting = links.sighting(&LOCAL, vlan, frame)?;
    assert_eq!(sighting.vlan, vlan);
    Some((sighting.kind, sighting.address))
}

#[test]
fn another_servers_answer_is_seen() {
    let links = links();
    let server = Some((SightingKind::DhcpServer, ROGUE.1));
    for kind in [MessageType::Offer, MessageType::Ack, MessageType::Nak] {
        let frame = reply(kind, ROGUE, (ALL, 68));
        assert_eq!(seen(&links, 0, &frame), server, "{kind:?}");
        assert_eq!(seen(&links, 30, &frame), server);
        assert_eq!(seen(&links, 40, &frame), None, "not ours to look after");
        assert_eq!(seen(&links, 50, &frame), None, "no network");
    }
    let mut damaged = reply(MessageType::Offer, ROGUE, (ALL, 68));
    damaged[30] ^= 1;
    let ours = (OURS, STACK);
    for frame in [
        reply(MessageType::Offer, ours, (ALL, 68)),
        reply(MessageType::Offer, ROGUE, (ALL, 67)),
        reply(MessageType::Offer, ROGUE, (OURS, 68)),
        damaged,
    ] {
        assert_eq!(seen(&links, 0, &frame), None);
    }
}

#[test]
fn claims_of_addresses_are_seen() {
    let mut links = links();
    let host = |last| [172, 22, 0, last];
    let (mac, other) = (ROGUE.0, [2, 0, 0, 0, 0, 8]);
    let own = Some((SightingKind::OwnAddress, STACK));
    for operation in [Operation::Request, Operation::Reply] {
        let frame = arp(operation, (mac, host(1)), host(7));
        assert_eq!(seen(&links, 0, &frame), own);
        assert_eq!(seen(&links, 40, &frame), None, "elsewhere it is nobody's");
        let probe = arp(operation, (mac, [0; 4]), host(1));
        assert_eq!(seen(&links, 0, &probe), None);
    }
    let management = arp(Operation::Reply, (mac, [10, 2, 0, 1]), [10, 2, 0, 7]);
    assert!(seen(&links, 40, &management).is_some(), "on every network");
    // Answers and announcements are for the rack to judge, and questions are not...
    let address = Some((SightingKind::Address, Ipv4Addr::from(host(20))));
    for (operation, target, expected) in [
        (Operation::Reply, 1, address),
        (Operation::Request, 20, address),
        (Operation::Request, 1, None),
    ] {
        let frame = arp(operation, (mac, host(20)), host(target));
        assert_eq!(seen(&links, 0, &frame), expected);
    }
    // ... unless the address is bound to another interface.
    let native = Segment::NATIVE;
    links.bind(native, mac, host(20).into());
    let asks = |mac| arp(Operation::Request, (mac, host(20)), host(1));
    assert_eq!(seen(&links, 0, &asks(mac)), None);
    assert_eq!(seen(&links, 0, &asks(other)), address);
    for length in 0..42 {
        let _whatever = links.sighting(&LOCAL, 0, &asks(other)[..length]);
    }
}

#[test]
fn few_sightings_wait_and_few_are_taken_in_a_second() {
    let watch = Watch::new();
    let of = |last| Sighting {
        kind: SightingKind::Address,
        network: NetworkId::PROVISIONING,
        vlan: 0,
        mac: Mac([last; 6]),
        address: STACK,
    };
    let mut context = Context::from_waker(Waker::noop());
    assert!(watch.poll_ready(&mut context).is_pending());
    for _ in 0..50 {
        watch.note(10, of(1));
    }
    assert!(watch.poll_ready(&mut context).is_ready());
    assert_eq!((watch.take(), watch.take()), (Some(of(1)), None));
    assert_eq!(watch.dropped().get(), 0, "it was the same");
    let mut taken = 0;
    for last in 2..100 {
        watch.note(500, of(last));
        if last % 2 == 0 {
            taken += u32::from(watch.take().is_some());
        }
    }
    while watch.take().is_some() {
        taken += 1;
    }
    assert_eq!((taken, watch.dropped().get()), (RATE - 1, 98 - (RATE - 1)));
    watch.note(1500, of(1));
    assert!(watch.take().is_some(), "another second");
}

#[test]
fn what_the_switch_says_on_the_own_cable_is_heard() {
    let watch = Watch::new();
    let mut frame = std::vec::Vec::from(farrier_ethernet::lldp::NEAREST_BRIDGE);
    frame.extend([2, 0, 0, 0, 0, 9]);
    frame.extend(farrier_ethernet::lldp::ETHERTYPE);
    frame.extend(b"\x02\x04\x07tor\x04\x09\x05ge-0/0/4\x06\x02\x00\x78\x00\x00");
    for length in 0..frame.len() {
        watch.hear(length as u64 * SECOND, &frame[..length]);
        assert!(watch.take_uplink().is_none(), "{length}");
    }
    watch.hear(1000 * SECOND, &frame);
    let heard = watch.take_uplink().expect("a frame of LLDP");
    assert_eq!(
        (heard.chassis.as_str(), heard.port.as_str()),
        ("tor", "ge-0/0/4")
    );
    assert!(watch.take_uplink().is_none());
    // Bridges forward what goes to other addresses: it may be of any machine.
    frame[5] = 0x55;
    watch.hear(1500 * SECOND, &frame);
    assert!(watch.take_uplink().is_none());
    frame[5] = 0x0e;
    let mut taken = 0;
    for _ in 0..1000 {
        watch.hear(2000 * SECOND, &frame);
        taken += usize::from(watch.take_uplink().is_some());
    }
    assert_eq!(taken, 1);
}
