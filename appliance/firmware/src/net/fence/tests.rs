//! A plain model of the networks says for each frame who may get it; the fence
//! must agree. And whatever the stack gets, its answer leaves by the same tag.

use super::*;
use farrier_core::interface::NetworkId;
use farrier_ethernet::frame::{self, HEADER_LEN, Header};
use std::vec::Vec;

const OURS: [u8; 6] = [2, 0xFA, 0, 0, 0, 1];
const LOCAL: Local = Local {
    mac: OURS,
    http: 80,
    dhcp: 67,
    agents: 8470,
};
const STACK_AT: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 1);
const BROADCAST: [u8; 6] = [0xFF; 6];

fn link(network: u8, vlan: u16, vlans: u16, address: [u8; 4], services: Services) -> Link {
    Link {
        network: NetworkId(network),
        vlan,
        vlans,
        address: address.into(),
        prefix: 24,
        router: Ipv4Addr::UNSPECIFIED,
        services,
    }
}

/// Provisioning, cleaning, an isolating inspection, two tenants, management, BMCs.
fn rack() -> Vec<Link> {
    let boots = Services::BOOT | Services::DHCP;
    let operators = Services::API | Services::DRIVERS;
    std::vec![
        link(0, 0, 1, [172, 22, 0, 1], boots),
        link(1, 20, 1, [172, 22, 0, 1], boots),
        link(2, 100, 4, [172, 22, 0, 1], boots),
        link(3, 30, 1, [10, 1, 0, 1], Services::DHCP),
        link(4, 31, 1, [10, 2, 0, 1], Services::DHCP),
        link(5, 40, 1, [192, 168, 5, 2], operators),
        link(6, 41, 1, [192, 168, 6, 2], Services::DRIVERS),
    ]
}

fn links() -> Links {
    let mut links = Links::new();
    links.set_stack(STACK_AT);
    links.replace(&rack());
    links
}

fn at(network: u8, vlan: u16) -> Segment {
    Segment {
        network: NetworkId(network),
        vlan,
    }
}

fn mac(last: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, last]
}

fn udp(from: ([u8; 6], Ipv4Addr, u16), to: ([u8; 6], Ipv4Addr, u16)) -> Vec<u8> {
    let mut bytes = std::vec![7; HEADER_LEN + 5];
    let header = Header {
        src_mac: from.0,
        dst_mac: to.0,
        src: from.1,
        dst: to.1,
        src_port: from.2,
        dst_port: to.2,
    };
    frame::emit(&mut bytes, &header, 5).unwrap();
    bytes
}

/// The same as TCP; its checksum is not looked at.
fn tcp(from: ([u8; 6], Ipv4Addr, u16), to: ([u8; 6], Ipv4Addr, u16)) -> Vec<u8> {
    let mut bytes = udp(from, to);
    bytes.resize(14 + 40, 0);
    bytes[23] = 6;
    bytes
}

fn arp(operation: Operation, from: ([u8; 6], Ipv4Addr), target: Ipv4Addr) -> Vec<u8> {
    let message = Arp {
        operation,
        sender_mac: from.0,
        sender: from.1,
        target_mac: [0; 6],
        target,
    };
    let mut bytes = std::vec![0; 60];
    message.emit(BROADCAST, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_request_on_the_management_network_reaches_the_stack_under_its_own_address() {
    let links = links();
    let operator = (mac(9), Ipv4Addr::new(192, 168, 5, 77), 40_000);
    let address = Ipv4Addr::new(192, 168, 5, 2);
    let mut request = udp(operator, (OURS, address, 2000));
    assert_eq!(links.inward(&LOCAL, 40, &mut request), Inward::Stack);
    let seen = frame::parse(&request).expect("its checksums follow");
    assert_eq!((seen.src, seen.dst), (operator.1, STACK_AT));

    let mut reply = udp((OURS, STACK_AT, 2000), operator);
    assert_eq!(links.outward(&LOCAL, &mut reply), Ok(at(5, 40)));
    let seen = frame::parse(&reply).expect("its checksums follow");
    assert_eq!((seen.src, seen.dst), (address, operator.1));

    // The API is there, boot services are not.
    let mut http = tcp(operator, (OURS, address, 80));
    assert_eq!(links.inward(&LOCAL, 40, &mut http), Inward::Http);
    for port in [69, 8470] {
        let mut other = udp(operator, (OURS, address, port));
        let refused = Inward::Drop(Dropped::WrongService);
        assert_eq!(links.inward(&LOCAL, 40, &mut other), refused);
    }
    let mut dhcp = udp(
        (mac(9), Ipv4Addr::UNSPECIFIED, 68),
        (BROADCAST, Ipv4Addr::BROADCAST, 67),
    );
    let refused = Inward::Drop(Dropped::WrongService);
    assert_eq!(links.inward(&LOCAL, 40, &mut dhcp), refused);
}

#[test]
fn arp_is_answered_where_the_stack_has_no_service() {
    let links = links();
    let address = Ipv4Addr::new(10, 1, 0, 1);
    let tenant = (mac(5), Ipv4Addr::new(10, 1, 0, 40));
    let mut ask = arp(Operation::Request, tenant, address);
    let Inward::Answer(segment, answer) = links.inward(&LOCAL, 30, &mut ask) else {
        panic!("no answer");
    };
    assert_eq!(segment, at(3, 30));
    assert_eq!((answer.sender_mac, answer.sender), (OURS, address));
    assert_eq!((answer.target_mac, answer.target), tenant);
    // Nothing else is: not another's address, not by another's tag.
    for (vlan, target) in [(30, [10, 1, 0, 2]), (31, [10, 1, 0, 1])] {
        let mut ask = arp(Operation::Request, tenant, target.into());
        let inward = links.inward(&LOCAL, vlan, &mut ask);
        assert_eq!(inward, Inward::Drop(Dropped::NotOurs), "{vlan}");
    }
    let mut reply = arp(Operation::Reply, tenant, address);
    assert!(matches!(
        links.inward(&LOCAL, 30, &mut reply),
        Inward::Drop(_)
    ));
}

#[test]
fn beside_another_dhcp_server_machines_ask_before_they_are_bound() {
    let mut links = links();
    let ip = Ipv4Addr::new(172, 22, 0, 50);
    let asks = |links: &Links, vlan: u16, port: u16| {
        let mut frame = udp((mac(1), ip, 68), (OURS, STACK_AT, port));
        links.inward(&LOCAL, vlan, &mut frame)
    };
    let arps = |links: &Links, vlan: u16, operation: Operation| {
        let mut frame = arp(operation, (mac(1), ip), STACK_AT);
        links.inward(&LOCAL, vlan, &mut frame)
    };
    let closed = Inward::Drop(Dropped::WrongService);
    assert_eq!(asks(&links, 0, PXE), closed, "no such service");
    let unbound = Inward::Drop(Dropped::NoBinding);
    assert_eq!(arps(&links, 20, Operation::Request), unbound);

    let mut beside = rack();
    for link in &mut beside {
        let boots = link.services.contains(Services::BOOT);
        link.services.set(Services::PROXY, boots);
    }
    links.replace(&beside);
    for (network, vlan) in [(0, 0), (1, 20), (2, 102)] {
        let from = at(network, vlan);
        assert_eq!(
            asks(&links, vlan, PXE),
            Inward::Dhcp { from, boots: true },
            "{vlan}"
        );
    }
    assert_eq!(asks(&links, 40, PXE), Inward::Drop(Dropped::NotOurs));
    assert_eq!(asks(&links, 20, 69), unbound, "nothing else yet");
    // The multiplexer answers: the stack does not learn where it is.
    assert_eq!(arps(&links, 0, Operation::Request), Inward::Stack, "home");
    let Inward::Answer(segment, answer) = arps(&links, 20, Operation::Request) else {
        panic!("no answer");
    };
    assert_eq!((segment, answer.target_mac), (at(1, 20), mac(1)));
    assert_eq!(arps(&links, 20, Operation::Reply), unbound);
    links.bind(at(1, 20), mac(1), ip);
    assert_eq!(arps(&links, 20, Operation::Request), Inward::Stack);
    assert_eq!(asks(&links, 20, 69), Inward::Tftp);
    // It may ask in another place, and its answer moves it.
    let from = at(2, 102);
    assert_eq!(asks(&links, 102, PXE), Inward::Dhcp { from, boots: true });
}

#[test]
fn behind_a_relay_are_peers_and_beside_it_is_nobody() {
    use farrier_core::interface::Relay;

    let mut links = links();
    let (router, far) = (mac(7), Ipv4Addr::new(10, 9, 0, 20));
    let relay = Relay {
        giaddr: Ipv4Addr::new(10, 9, 0, 1),
        prefix: 24,
        router: Ipv4Addr::new(10, 9, 0, 1),
        pool_first: far,
        pool_len: 5,
    };
    let asks = |links: &Links, vlan: u16, from: Ipv4Addr| {
        let mut frame = udp((router, from, 2000), (OURS, STACK_AT, 69));
        links.inward(&LOCAL, vlan, &mut frame)
    };
    let wrong = Inward::Drop(Dropped::WrongSource);
    assert_eq!(asks(&links, 0, far), wrong, "no relay is named");
    let question = arp(Operation::Request, (OURS, STACK_AT), far);
    assert_eq!(links.answer_stack(&LOCAL, &question), None);
    links.set_relays([relay].into_iter());
    assert!(
        links.answer_stack(&LOCAL, &question).is_none(),
        "no router yet"
    );
    assert_eq!(asks(&links, 0, far), Inward::Tftp);
    for (vlan, from) in [(20, far), (0, Ipv4Addr::new(10, 8, 0, 20))] {
        assert_eq!(asks(&links, vlan, from), wrong, "{vlan} {from}");
    }
    // The stack's question is answered here, and its packet goes to the router.
    let answer = links.answer_stack(&LOCAL, &question).unwrap();
    assert_eq!((answer.sender_mac, answer.sender), (router, far));
    let mut block = udp((OURS, STACK_AT, 2000), (router, far, 2000));
    assert_eq!(links.outward(&LOCAL, &mut block), Ok(at(0, 0)));
    let mut astray = udp((OURS, STACK_AT, 2000), (mac(8), far, 2000));
    let dropped = links.outward(&LOCAL, &mut astray);
    assert_eq!(dropped, Err(Dropped::OutNoBinding));
    // The router asks for us with its address on the other side.
    let mut asked = arp(Operation::Request, (router, relay.giaddr), STACK_AT);
    assert!(matches!(
        links.inward(&LOCAL, 0, &mut asked),
        Inward::Answer(..)
    ));
    // A relay that goes takes its network with it.
    links.set_relays(core::iter::empty());
    assert_eq!(asks(&links, 0, far), wrong);
}

#[test]
fn an_arp_message_in_another_interfaces_name_is_dropped() {
    let links = links();
    let peer = Ipv4Addr::new(172, 22, 0, 50);
    for operation in [Operation::Request, Operation::Reply] {
        let mut forged = arp(operation, (mac(1), peer), STACK_AT);
        assert_eq!(links.inward(&LOCAL, 0, &mut forged.clone()), Inward::Stack);
        forged[6..12].copy_from_slice(&mac(2));
        let inward = links.inward(&LOCAL, 0, &mut forged);
        assert_eq!(inward, Inward::Drop(Dropped::WrongSource));
    }
    let mut ours = arp(Operation::Request, (mac(1), STACK_AT), STACK_AT);
    let inward = links.inward(&LOCAL, 0, &mut ours);
    assert_eq!(inward, Inward::Drop(Dropped::WrongSource), "our address");
}

#[test]
fn the_stack_asks_by_arp_on_the_networks_of_its_peers() {
    let mut links = links();
    let ask = |links: &Links, target: [u8; 4]| {
        let mut bytes = arp(Operation::Request, (OURS, STACK_AT), target.into());
        let way = links.outward(&LOCAL, &mut bytes);
        way.map(|segment| (segment, Arp::parse(&bytes).unwrap().sender))
    };
    let bmc = ask(&links, [192, 168, 6, 50]);
    assert_eq!(bmc, Ok((at(6, 41), Ipv4Addr::new(192, 168, 6, 2))));
    let unbound = ask(&links, [172, 22, 0, 50]);
    assert_eq!(unbound, Ok((at(0, 0), STACK_AT)), "at home");
    links.bind(at(2, 102), mac(1), Ipv4Addr::new(172, 22, 0, 50));
    assert_eq!(ask(&links, [172, 22, 0, 50]), Ok((at(2, 102), STACK_AT)));
    assert_eq!(ask(&links, [10, 1, 0, 50]), Err(Dropped::OutWrongService));
    assert_eq!(ask(&links, [8, 8, 8, 8]), Err(Dropped::OutNoLink));
}

#[test]
fn a_bound_machine_is_heard_on_its_tag_only_until_it_asks_anew() {
    let mut links = links();
    let ip = Ipv4Addr::new(172, 22, 0, 50);
    let hears = |links: &Links, vlan: u16, mac: [u8; 6]| {
        links.inward(
            &LOCAL,
            vlan,
            &mut udp((mac, ip, 2000), (OURS, STACK_AT, 69)),
        )
    };
    assert_eq!(hears(&links, 0, mac(1)), Inward::Tftp, "its home");
    assert_eq!(hears(&links, 20, mac(1)), Inward::Drop(Dropped::NoBinding));
    links.bind(at(1, 20), mac(1), ip);
    assert_eq!(hears(&links, 20, mac(1)), Inward::Tftp);
    assert_eq!(hears(&links, 0, mac(1)), Inward::Drop(Dropped::WrongTag));
    assert_eq!(
        hears(&links, 20, mac(2)),
        Inward::Drop(Dropped::WrongSource)
    );
    // Another address does not help it on its former tag.
    let other = Ipv4Addr::new(172, 22, 0, 51);
    let mut moved = udp((mac(1), other, 2000), (OURS, STACK_AT, 69));
    let inward = links.inward(&LOCAL, 0, &mut moved);
    assert_eq!(inward, Inward::Drop(Dropped::WrongTag));
    // DHCP is heard everywhere, and its ACK moves the machine.
    let mut asks = udp(
        (mac(1), Ipv4Addr::UNSPECIFIED, 68),
        (BROADCAST, Ipv4Addr::BROADCAST, 67),
    );
    let dhcp = Inward::Dhcp {
        from: at(2, 101),
        boots: true,
    };
    assert_eq!(links.inward(&LOCAL, 101, &mut asks), dhcp);
    links.bind(at(2, 101), mac(1), ip);
    assert_eq!(hears(&links, 101, mac(1)), Inward::Tftp);
    assert_eq!(hears(&links, 102, mac(1)), Inward::Drop(Dropped::WrongTag));
    // Without its tags, the binding is gone.
    let mut fewer = rack();
    fewer.remove(2);
    links.replace(&fewer);
    assert_eq!(hears(&links, 0, mac(1)), Inward::Tftp);
}

#[test]
fn what_the_stack_sends_to_the_former_holder_of_an_address_is_dropped() {
    let mut links = links();
    let ip = Ipv4Addr::new(172, 22, 0, 50);
    links.bind(at(1, 20), mac(1), ip);
    links.bind(at(2, 101), mac(2), ip);
    let mut block = udp((OURS, STACK_AT, 2000), (mac(1), ip, 2000));
    assert_eq!(
        links.outward(&LOCAL, &mut block),
        Err(Dropped::OutNoBinding)
    );
    let mut block = udp((OURS, STACK_AT, 2000), (mac(2), ip, 2000));
    assert_eq!(links.outward(&LOCAL, &mut block), Ok(at(2, 101)));
}

#[test]
fn a_flood_of_bindings_ends_the_oldest_and_no_other() {
    let mut links = links();
    let address = |i: u16| Ipv4Addr::new(172, 22, 0, 2 + u8::try_from(i % 200).unwrap());
    for i in 0..200 {
        links.bind(at(1, 20), mac(u8::try_from(i).unwrap()), address(i));
    }
    let bound = |i: u16| links.way(address(i)).unwrap().2.is_some();
    let count = (0..200).filter(|i| bound(*i)).count();
    assert_eq!(count, 2 * farrier_sizes::NODES);
    assert!(bound(199) && !bound(0));
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// The networks as a person would list them: a row a tag.
struct Model {
    rows: Vec<(u16, Link)>,
    /// Interface, address, tag: the last one counts.
    acks: Vec<([u8; 6], Ipv4Addr, u16)>,
}

impl Model {
    fn new() -> Self {
        let mut rows = Vec::new();
        for link in rack() {
            rows.extend((0..link.vlans).map(|more| (link.vlan + more, link)));
        }
        let acks = Vec::new();
        Self { rows, acks }
    }

    fn row(&self, vlan: u16) -> Option<Link> {
        let row = self.rows.iter().find(|row| row.0 == vlan);
        row.map(|row| row.1)
    }

    fn tag_of(&self, mac: [u8; 6]) -> Option<u16> {
        let own = || self.acks.iter().filter(|ack| ack.0 == mac);
        let has_any = own().any(|ack| self.holder(ack.1) == Some(mac));
        own().next_back().filter(|_| has_any).map(|ack| ack.2)
    }

    fn holder(&self, ip: Ipv4Addr) -> Option<[u8; 6]> {
        let ack = self.acks.iter().rev().find(|ack| ack.1 == ip);
        ack.map(|ack| ack.0)
    }

    /// Whether the stack may hear this host by this tag.
    fn lives(&self, mac: [u8; 6], ip: Ipv4Addr, vlan: u16) -> bool {
        let Some(link) = self.row(vlan) else {
            return false;
        };
        let ([a, b, c, d], [e, f, g, _]) = (ip.octets(), link.address.octets());
        if [a, b, c] != [e, f, g] || d == 0 || d == 255 || ip == link.address {
            return false;
        }
        if link.address != STACK_AT {
            return true;
        }
        match (self.holder(ip), self.tag_of(mac)) {
            (Some(holder), Some(tag)) => holder == mac && tag == vlan,
            (Some(_), None) => false,
            (None, Some(tag)) => tag == vlan && vlan == 0,
            (None, None) => vlan == 0,
        }
    }
}

const PORTS: [u16; 7] = [67, 69, 80, 443, 8470, 2000, 53];
const TAGS: [u16; 12] = [0, 1, 20, 30, 31, 40, 41, 100, 101, 103, 104, 4094];

fn some_ip(random: &mut Random) -> Ipv4Addr {
    let nets = [
        [172, 22, 0],
        [172, 22, 0],
        [10, 1, 0],
        [10, 2, 0],
        [192, 168, 5],
        [192, 168, 6],
        [9, 9, 9],
    ];
    let [a, b, c] = random.of(&nets);
    Ipv4Addr::new(a, b, c, random.of(&[0, 1, 2, 50, 51, 52, 255]))
}

#[test]
fn frames_pass_to_and_from_their_own_network_only() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut passed = 0;
    for _ in 0..600 {
        let (mut links, mut model) = (links(), Model::new());
        for _ in 0..300 {
            let sender = mac(1 + u8::try_from(random.below(4)).unwrap());
            let vlan = random.of(&TAGS);
            let ip = match model.row(vlan) {
                Some(link) if random.below(3) > 0 => {
                    let [a, b, c, _] = link.address.octets();
                    Ipv4Addr::new(a, b, c, random.of(&[1, 50, 51, 52, 53]))
                }
                _ => some_ip(&mut random),
            };
            if random.below(16) == 0 && [0, 20, 100, 101, 103].contains(&vlan) {
                let ip = Ipv4Addr::new(172, 22, 0, random.of(&[50, 51, 52]));
                let network = model.row(vlan).unwrap().network;
                links.bind(Segment { network, vlan }, sender, ip);
                model.acks.push((sender, ip, vlan));
            }
            let lives = model.lives(sender, ip, vlan);
            let ours = model.row(vlan).map_or(STACK_AT, |link| link.address);
            let other = some_ip(&mut random);
            let to = random.of(&[ours, ours, ours, STACK_AT, other]);
            let port = random.of(&PORTS);
            let interface = random.of(&[OURS, OURS, OURS, BROADCAST, mac(9)]);
            let kind = random.below(3);
            let peer = (sender, ip, 3000);
            let mut bytes = match kind {
                0 => udp(peer, (interface, to, port)),
                1 => tcp(peer, (interface, to, port)),
                _ => arp(
                    random.of(&[Operation::Request, Operation::Reply]),
                    (sender, ip),
                    to,
                ),
            };
            let reached = kind == 2 || interface != mac(9);
            let services = model.row(vlan).map_or(Services::empty(), |l| l.services);
            let may = |kind: usize, port: u16| match (kind, port) {
                (0, 69) => services.contains(Services::BOOT),
                (0, 2000) => services.intersects(Services::BOOT | Services::DRIVERS),
                (1, 80) => services.intersects(Services::BOOT | Services::API),
                (1, 2000 | 8470) => services.contains(Services::DRIVERS),
                (2, _) => services.intersects(Services::BOOT | Services::API | Services::DRIVERS),
                _ => false,
            };
            let gets = reached && lives && to == ours && may(kind, port);
            match links.inward(&LOCAL, vlan, &mut bytes) {
                Inward::Stack | Inward::Http | Inward::Tftp => {
                    assert!(gets, "{vlan} {peer:?} to {to}:{port} ({kind})");
                    passed += 1;
                    // What the stack answers leaves by the same tag.
                    let mut answer = match kind {
                        0 => udp((OURS, STACK_AT, port), peer),
                        1 => tcp((OURS, STACK_AT, port), peer),
                        _ => {
                            let mut bytes = arp(Operation::Reply, (OURS, STACK_AT), ip);
                            bytes[..6].copy_from_slice(&sender);
                            bytes
                        }
                    };
                    let network = model.row(vlan).unwrap().network;
                    let way = links.outward(&LOCAL, &mut answer);
                    assert_eq!(way, Ok(Segment { network, vlan }));
                    let shown = if kind == 2 {
                        &answer[28..32]
                    } else {
                        &answer[26..30]
                    };
                    assert_eq!(shown, ours.octets(), "under its address there");
                }
                Inward::Dhcp {
                    from: segment,
                    boots,
                } => {
                    assert_eq!(boots, services.contains(Services::BOOT));
                    assert!(kind == 0 && port == 67 && segment.vlan == vlan);
                    assert!(to == ours || to.octets()[3] == 255, "{to}");
                    assert!(services.contains(Services::DHCP));
                }
                Inward::Agent(segment) => {
                    assert!(kind == 0 && port == 8470 && segment.vlan == vlan);
                    assert!(services.contains(Services::BOOT) && to == ours);
                    let another = model.holder(ip).is_some_and(|holder| holder != sender);
                    assert!(!another);
                }
                Inward::Answer(segment, _) => {
                    assert!(kind == 2 && segment.vlan == vlan && to == ours);
                    assert_eq!(services, Services::DHCP);
                }
                Inward::Ipv6(_) => panic!("none was sent"),
                Inward::Drop(_) => assert!(!gets, "{vlan} {peer:?} to {to}:{port} ({kind})"),
            }
        }
    }
    assert!(passed > 5000, "{passed} frames passed");
}

#[test]
fn any_bytes_are_judged() {
    let mut random = Random(77);
    let mut links = links();
    links.bind(at(2, 101), mac(1), Ipv4Addr::new(172, 22, 0, 50));
    for round in 0..200_000 {
        let mut bytes: Vec<u8> = (0..random.below(80)).map(|_| random.next() as u8).collect();
        // Mostly past the first checks.
        let head = [
            &OURS[..],
            &mac(1),
            random.of(&[&[8, 0, 0x45], &[8, 6, 0], &[0x86, 0xDD, 0x60]]),
        ]
        .concat();
        if round % 4 != 0 && bytes.len() > head.len() {
            bytes[..head.len()].copy_from_slice(&head);
        }
        let before = bytes.len();
        let vlan = random.of(&TAGS);
        let _inward = links.inward(&LOCAL, vlan, &mut bytes.clone());
        if let Ok(segment) = links.outward(&LOCAL, &mut bytes) {
            assert!(links.at(segment).is_some());
        }
        assert_eq!(bytes.len(), before);
    }
}
