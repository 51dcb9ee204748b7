//! The real stack behind the multiplexer, on a trunk of three networks.

use super::*;
use core::cell::RefCell;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use embassy_net_driver::{Capabilities, LinkState};
use farrier_ethernet::arp::{Arp, Operation};
use farrier_ethernet::frame;
use farrier_http::places::Class;
use std::boxed::Box;
use std::rc::Rc;
use std::vec::Vec;

const OURS: [u8; 6] = [4; 6];
const THEIRS: [u8; 6] = [2; 6];
const STACK: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 50);
const MANAGEMENT: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 1);
const OPERATOR: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 9);
const BMCS: Ipv4Addr = Ipv4Addr::new(10, 6, 0, 1);
const BMC: Ipv4Addr = Ipv4Addr::new(10, 6, 0, 9);

/// Frames to the appliance, and from it.
type Frames = (Vec<Vec<u8>>, Vec<Vec<u8>>);

#[derive(Clone, Default)]
struct Wire(Rc<RefCell<Frames>>);

struct Rx(Vec<u8>);

impl embassy_net_driver::RxToken for Rx {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

impl embassy_net_driver::TxToken for Wire {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = std::vec![0; length];
        let result = f(&mut frame);
        self.0.borrow_mut().1.push(frame);
        result
    }
}

impl Driver for Wire {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Wire;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(Rx, Wire)> {
        let frame = self.0.borrow_mut().0.pop()?;
        Some((Rx(frame), self.clone()))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Wire> {
        Some(self.clone())
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1518;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(OURS)
    }
}

struct Operators;

impl Classes for Operators {
    fn class(&self, _: Ipv4Addr) -> Class {
        Class::Operator
    }

    fn is_awaited(&self, _: [u8; 6], _: u16) -> bool {
        false
    }
}

fn link(network: u8, vlan: u16, address: Ipv4Addr, services: Services) -> Link {
    Link {
        network: NetworkId(network),
        vlan,
        vlans: 1,
        address,
        prefix: 24,
        router: Ipv4Addr::UNSPECIFIED,
        services,
    }
}

fn started(wire: &Wire) -> Started<Wire> {
    let links = [
        link(0, 0, STACK, Services::BOOT | Services::DHCP),
        link(1, 30, MANAGEMENT, Services::API),
        link(2, 31, BMCS, Services::DRIVERS),
        link(3, 20, STACK, Services::BOOT | Services::DHCP),
    ];
    let ports = Ports {
        raw_udp: [67, 8470],
        http: 80,
    };
    let resources = Box::leak(Box::new(Resources::<4>::new()));
    let gate = Box::leak(Box::new(Gate::new()));
    let at = (STACK, &links[..]);
    start(wire.clone(), resources, gate, &Operators, at, ports, 7)
}

fn poll<F: Future>(future: core::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What the appliance sends when it gets a frame by a tag, with the tags.
fn exchange(wire: &Wire, stack: &mut Runner<Wire>, frame: &[u8], vlan: u16) -> Vec<(u16, Vec<u8>)> {
    let mut tagged = frame.to_vec();
    if vlan != 0 {
        let [hi, lo] = vlan.to_be_bytes();
        tagged.splice(12..12, [0x81, 0, hi, lo]);
    }
    wire.0.borrow_mut().0.push(tagged);
    run(wire, stack)
}

fn run(wire: &Wire, stack: &mut Runner<Wire>) -> Vec<(u16, Vec<u8>)> {
    assert!(poll(pin!(stack.run())).is_pending());
    let sent: Vec<Vec<u8>> = wire.0.borrow_mut().1.drain(..).collect();
    let untag = |mut frame: Vec<u8>| {
        if frame[12..14] != [0x81, 0] {
            return (0, frame);
        }
        let vlan = u16::from_be_bytes([frame[14], frame[15]]);
        frame.drain(12..16);
        (vlan, frame)
    };
    sent.into_iter().map(untag).collect()
}

fn arp(operation: Operation, sender: Ipv4Addr, target: Ipv4Addr) -> [u8; 60] {
    let mut frame = [0; 60];
    let message = Arp {
        operation,
        sender_mac: THEIRS,
        sender,
        target_mac: OURS,
        target,
    };
    message.emit(OURS, &mut frame).unwrap();
    frame
}

/// An echo request, made of a datagram's headers.
fn ping(from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let mut bytes = std::vec![0; frame::HEADER_LEN];
    let header = frame::Header {
        src_mac: THEIRS,
        dst_mac: OURS,
        src: from,
        dst: to,
        src_port: 0,
        dst_port: 0,
    };
    frame::emit(&mut bytes, &header, 0).unwrap();
    // Protocol 1 in place of 17 leaves 16 more in the checksum.
    bytes[23] = 1;
    let sum = u16::from_be_bytes([bytes[24], bytes[25]]);
    let (more, carry) = sum.overflowing_add(16);
    bytes[24..26].copy_from_slice(&(more + u16::from(carry)).to_be_bytes());
    bytes[34..].copy_from_slice(&[8, 0, 0xF7, 0xFE, 0, 0, 0, 1]);
    bytes
}

#[test]
fn each_network_reaches_the_stack_at_its_own_address_and_at_no_other() {
    let wire = Wire::default();
    let Started { mut runner, .. } = started(&wire);
    for (vlan, peer, address) in [
        (0, SERVER, STACK),
        (30, OPERATOR, MANAGEMENT),
        (31, BMC, BMCS),
    ] {
        let ask = arp(Operation::Request, peer, address);
        let sent = exchange(&wire, &mut runner, &ask, vlan);
        let [(tag, answer)] = &sent[..] else {
            panic!("{vlan}: {sent:?}");
        };
        let answer = Arp::parse(answer).unwrap();
        assert_eq!((*tag, answer.sender, answer.target), (vlan, address, peer));
        let sent = exchange(&wire, &mut runner, &ping(peer, address), vlan);
        let [(tag, pong)] = &sent[..] else {
            panic!("{vlan}: {sent:?}");
        };
        assert_eq!(*tag, vlan);
        assert_eq!((pong[23], pong[34]), (1, 0), "an echo reply");
        assert_eq!(pong[26..30], address.octets());
        assert_eq!(pong[30..34], peer.octets());
        // Its checksum is right: the parser says what else is not UDP's.
        assert_eq!(frame::parse(pong), Err(frame::Error::NotUdp));
        for other in [0, 20, 30, 31, 32] {
            if other != vlan {
                assert_eq!(exchange(&wire, &mut runner, &ask, other), [], "{other}");
                let ping = ping(peer, address);
                assert_eq!(exchange(&wire, &mut runner, &ping, other), [], "{other}");
            }
        }
    }
}

#[test]
fn a_server_that_moves_is_answered_where_it_is() {
    let wire = Wire::default();
    let Started {
        mut runner,
        network,
        ..
    } = started(&wire);
    assert_eq!(network.network_of(SERVER).0, NetworkId(0));
    let cleaning = Segment {
        network: NetworkId(3),
        vlan: 20,
    };
    network.bind(cleaning, THEIRS, SERVER);
    assert_eq!(network.network_of(SERVER).0, NetworkId(3));
    let ask = arp(Operation::Request, SERVER, STACK);
    for (vlan, answers) in [(20, 1), (0, 0)] {
        assert_eq!(exchange(&wire, &mut runner, &ask, vlan).len(), answers);
        let ping = ping(SERVER, STACK);
        assert_eq!(exchange(&wire, &mut runner, &ping, vlan).len(), answers);
    }
    // Its former network is gone, and with it nothing that it needs.
    network.set_links(&[link(3, 20, STACK, Services::BOOT | Services::DHCP)]);
    assert_eq!(exchange(&wire, &mut runner, &ask, 20).len(), 1);
    assert_eq!(network.counters().dropped(Dropped::WrongTag), 2);
}

#[test]
fn a_driver_calls_a_device_on_its_network() {
    let wire = Wire::default();
    let Started {
        mut runner,
        network,
        ..
    } = started(&wire);
    let buffers = Box::leak(Box::new(UdpBuffers::<64, 64, 2, 2>::new()));
    let mut socket = Udp::new(network, buffers);
    socket.bind(0).unwrap();
    let to = SocketAddrV4::new(BMC, 623);
    assert_eq!(poll(pin!(socket.send(b"ping", to))), Poll::Ready(Ok(())));
    let sent = run(&wire, &mut runner);
    let [(31, ask)] = &sent[..] else {
        panic!("{sent:?}");
    };
    let ask = Arp::parse(ask).unwrap();
    assert_eq!((ask.sender, ask.target), (BMCS, BMC));
    let answer = arp(Operation::Reply, BMC, BMCS);
    let sent = exchange(&wire, &mut runner, &answer, 31);
    let [(31, datagram)] = &sent[..] else {
        panic!("{sent:?}");
    };
    let seen = frame::parse(datagram).expect("its checksums are right");
    assert_eq!(
        (seen.src, seen.dst, seen.payload),
        (BMCS, BMC, &b"ping"[..])
    );
}
