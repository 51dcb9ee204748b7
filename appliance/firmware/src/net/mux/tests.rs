//! Frames through the whole multiplexer, with a driver of two lists.

use super::super::fence::Local;
use super::super::lane::{LaneCounters, Sources};
use super::super::links::Links;
use super::*;
use core::net::Ipv4Addr;
use core::task::Waker;
use embassy_net_driver::{RxToken as _, TxToken as _};
use farrier_core::interface::{Link, NetworkId, Services};
use farrier_ethernet::arp::{Arp, Operation};
use farrier_ethernet::frame::{HEADER_LEN, Header, emit};
use farrier_http::places::Class;
use farrier_protocol::message::Mac;
use std::boxed::Box;
use std::vec::Vec;

const OURS: [u8; 6] = [4; 6];
const THEIRS: [u8; 6] = [2; 6];
const STACK: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 1);
const MANAGEMENT: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 1);
const OPERATOR: Ipv4Addr = Ipv4Addr::new(10, 5, 0, 9);

#[derive(Default)]
struct Wire {
    from: Vec<Vec<u8>>,
    to: Vec<Vec<u8>>,
    room: usize,
}

struct Rx(Vec<u8>);
struct Tx<'a>(&'a mut Vec<Vec<u8>>);

impl embassy_net_driver::RxToken for Rx {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

impl embassy_net_driver::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = std::vec![0; length];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Driver for Wire {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: &mut Context<'_>) -> Option<(Rx, Tx<'_>)> {
        let frame = self.from.pop()?;
        Some((Rx(frame), Tx(&mut self.to)))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Tx<'_>> {
        Some(Tx(&mut self.to))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = self.room;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(OURS)
    }
}

struct Operators;

/// An interface whose port is on its way to this VLAN.
const AWAITED: ([u8; 6], u16) = ([2, 0, 0, 0, 0, 0x77], 30);

impl Classes for Operators {
    fn class(&self, _: Ipv4Addr) -> Class {
        Class::Operator
    }

    fn is_awaited(&self, mac: [u8; 6], vlan: u16) -> bool {
        (mac, vlan) == AWAITED
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

fn leak<T>(value: T) -> &'static mut T {
    Box::leak(Box::new(value))
}

fn queue() -> (FrameSender, FrameReceiver) {
    leak(Queue::new(leak([const { Frame::EMPTY }; 2]))).split()
}

fn lane() -> (LaneSender, FrameReceiver) {
    let (queue, receiver) = queue();
    let sender = LaneSender {
        queue,
        sources: leak(Sources::new()),
        counters: leak(LaneCounters::new()),
        share: 2,
    };
    (sender, receiver)
}

struct Bench {
    mux: L2Mux<Wire>,
    dhcp: FrameReceiver,
    replies: FrameSender,
}

fn bench(room: usize, provisioning_vlan: u16) -> Bench {
    let links = leak(RefCell::new(Links::new()));
    links.borrow_mut().set_stack(STACK);
    links.borrow_mut().replace(&[
        link(0, provisioning_vlan, STACK, Services::BOOT | Services::DHCP),
        link(1, 30, MANAGEMENT, Services::API),
    ]);
    let (dhcp_in, dhcp) = lane();
    let (agents, _) = lane();
    let (replies, replies_out) = queue();
    let mux = L2Mux {
        driver: Wire {
            room,
            ..Wire::default()
        },
        lanes: Lanes {
            dhcp: dhcp_in,
            agents,
            tftp: Window::new(),
        },
        gate: leak(Gate::new()),
        classes: &Operators,
        replies: replies_out,
        answer: None,
        rules: Rules {
            links,
            local: Local {
                mac: OURS,
                http: 80,
                dhcp: 67,
                agents: 8470,
            },
            room,
            counters: leak(MuxCounters::new()),
            watch: leak(Watch::new()),
            hop: leak(Hop::new()),
        },
    };
    Bench { mux, dhcp, replies }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn tagged(frame: &[u8], vlan: u16) -> Vec<u8> {
    let mut tagged = frame.to_vec();
    let [hi, lo] = vlan.to_be_bytes();
    tagged.splice(12..12, [0x81, 0, 0xE0 | hi, lo]);
    tagged
}

fn datagram(from: ([u8; 6], Ipv4Addr, u16), to: ([u8; 6], Ipv4Addr, u16)) -> Vec<u8> {
    let mut frame = std::vec![0; 60];
    let header = Header {
        src_mac: from.0,
        dst_mac: to.0,
        src: from.1,
        dst: to.1,
        src_port: from.2,
        dst_port: to.2,
    };
    emit(&mut frame, &header, 60 - HEADER_LEN).unwrap();
    frame
}

fn ask(target: Ipv4Addr) -> Vec<u8> {
    let mut frame = std::vec![0; 60];
    let message = Arp {
        operation: Operation::Request,
        sender_mac: THEIRS,
        sender: OPERATOR,
        target_mac: [0; 6],
        target,
    };
    message.emit([0xFF; 6], &mut frame).unwrap();
    frame
}

/// Lets the stack take a frame of the wire: what it gets.
fn takes(bench: &mut Bench, frame: Vec<u8>) -> Vec<u8> {
    bench.mux.driver.from.push(frame);
    let (rx, _) = bench.mux.receive(&mut context()).expect("a frame waits");
    rx.consume(|frame| frame.to_vec())
}

/// Lets the stack send a frame: what is on the wire.
fn sends(bench: &mut Bench, frame: &[u8]) -> Option<Vec<u8>> {
    let token = bench.mux.transmit(&mut context()).unwrap();
    token.consume(frame.len(), |room| room.copy_from_slice(frame));
    bench.mux.driver.to.pop()
}

#[test]
fn a_tag_comes_off_on_the_way_in_and_goes_on_on_the_way_out() {
    let mut bench = bench(1518, 20);
    let request = datagram(
        (THEIRS, Ipv4Addr::new(172, 22, 0, 9), 900),
        (OURS, STACK, 69),
    );
    assert_eq!(takes(&mut bench, tagged(&request, 20)), request);
    let block = datagram(
        (OURS, STACK, 2000),
        (THEIRS, Ipv4Addr::new(172, 22, 0, 9), 900),
    );
    let mut expected = tagged(&block, 20);
    expected[14] &= 0x0F;
    assert_eq!(sends(&mut bench, &block), Some(expected));
    // By another tag, or none, nothing comes and nothing goes.
    for vlan in [0, 21, 30, 4095] {
        assert!(takes(&mut bench, tagged(&request, vlan)).is_empty());
    }
    assert!(takes(&mut bench, request).is_empty());
    let elsewhere = datagram(
        (OURS, STACK, 2000),
        (THEIRS, Ipv4Addr::new(10, 9, 0, 9), 900),
    );
    assert_eq!(sends(&mut bench, &elsewhere), None);
    let counters = bench.mux.rules.counters;
    assert_eq!(counters.dropped(Dropped::UnknownTag), 4);
    assert_eq!(
        counters.dropped(Dropped::NotOurs),
        1,
        "by the tag of another"
    );
    assert_eq!(counters.dropped(Dropped::OutNoLink), 1);
}

#[test]
fn a_tag_that_no_frame_can_have_sends_nothing() {
    let server = Ipv4Addr::new(172, 22, 0, 9);
    let block = datagram((OURS, STACK, 2000), (THEIRS, server, 900));
    for vlan in [4095, 4096] {
        assert_eq!(sends(&mut bench(1518, vlan), &block), None);
    }
}

#[test]
fn a_priority_tag_is_none() {
    let mut bench = bench(1518, 0);
    let request = datagram(
        (THEIRS, Ipv4Addr::new(172, 22, 0, 9), 900),
        (OURS, STACK, 69),
    );
    assert_eq!(takes(&mut bench, tagged(&request, 0)), request);
}

#[test]
fn a_dhcp_message_keeps_its_tag_and_its_reply_has_it() {
    let mut bench = bench(1518, 20);
    let broadcast = ([0xFF; 6], Ipv4Addr::BROADCAST, 67);
    let message = datagram((THEIRS, Ipv4Addr::UNSPECIFIED, 68), broadcast);
    assert!(takes(&mut bench, tagged(&message, 20)).is_empty());
    let queued = bench.dhcp.try_receive().expect("it is queued");
    let segment = queued.segment;
    assert_eq!((segment.network, segment.vlan), (NetworkId(0), 20));
    assert_eq!(&queued.bytes[..queued.length], &message);
    // On the management network nobody answers DHCP.
    bench.dhcp.receive_done();
    assert!(takes(&mut bench, tagged(&message, 30)).is_empty());
    assert!(bench.dhcp.try_receive().is_none());

    for (vlan, goes) in [(20, true), (0, false), (30, false)] {
        let slot = bench.replies.try_send().unwrap();
        slot.segment = Segment { vlan, ..segment };
        slot.length = message.len();
        slot.bytes[..message.len()].copy_from_slice(&message);
        bench.replies.send_done();
        assert!(bench.mux.receive(&mut context()).is_none());
        let sent = bench.mux.driver.to.pop();
        assert_eq!(sent.is_some(), goes, "{vlan}");
        assert!(sent.is_none_or(|sent| sent[12..16] == [0x81, 0, 0, 20]));
    }
}

#[test]
fn each_network_has_its_own_address_for_the_one_stack() {
    let mut bench = bench(1518, 20);
    let seen = takes(&mut bench, tagged(&ask(MANAGEMENT), 30));
    assert_eq!(Arp::parse(&seen).unwrap().target, STACK);
    assert!(takes(&mut bench, tagged(&ask(STACK), 30)).is_empty());
    let mut reply = ask(OPERATOR);
    reply[22..32].copy_from_slice(&[4, 4, 4, 4, 4, 4, 172, 22, 0, 1]);
    let sent = sends(&mut bench, &reply).expect("it is the operator's");
    assert_eq!(sent[12..16], [0x81, 0, 0, 30]);
    assert_eq!(sent[32..36], MANAGEMENT.octets(), "behind the tag");
}

#[test]
fn a_driver_without_room_for_a_tag_gets_shorter_frames() {
    for (room, vlan, longest) in [(1514, 0, 1510), (1518, 20, 1514), (9018, 20, 1514)] {
        let bench = bench(room, vlan);
        let capabilities = bench.mux.capabilities();
        assert_eq!(capabilities.max_transmission_unit, longest, "{room}");
    }
    assert_eq!(super::longest(1514, false), 1514, "without any tag");
    let mut bench = bench(100, 20);
    let mut block = datagram(
        (OURS, STACK, 2000),
        (THEIRS, Ipv4Addr::new(172, 22, 0, 9), 900),
    );
    block.resize(97, 0);
    assert_eq!(sends(&mut bench, &block), None);
    assert_eq!(bench.mux.rules.counters.dropped(Dropped::OutTooLong), 1);
    block.truncate(96);
    assert!(sends(&mut bench, &block).is_some());
}

#[test]
fn a_system_that_only_asks_by_arp_proves_where_its_port_is() {
    let mut bench = bench(1518, 0);
    let mut frame = ask(MANAGEMENT);
    frame[6..12].copy_from_slice(&AWAITED.0);
    for (vlan, proves) in [(31, false), (30, true)] {
        bench.mux.driver.from.push(tagged(&frame, vlan));
        let _ = bench
            .mux
            .receive(&mut context())
            .map(|(rx, _)| rx.consume(|_| ()));
        let seen = bench.mux.rules.watch.take_seen();
        assert_eq!(seen, proves.then_some((Mac(AWAITED.0), 30)), "{vlan}");
    }
    bench.mux.driver.from.push(tagged(&ask(MANAGEMENT), 30));
    let _ = bench
        .mux
        .receive(&mut context())
        .map(|(rx, _)| rx.consume(|_| ()));
    assert_eq!(
        bench.mux.rules.watch.take_seen(),
        None,
        "nobody waits for it"
    );
}
