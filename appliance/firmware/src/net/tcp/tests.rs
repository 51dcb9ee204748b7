//! The switches' driver calls a switch: two stacks with a wire between them.

use std::boxed::Box;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::vec;
use std::vec::Vec;

use core::net::Ipv4Addr;
use core::task::{Context, Waker};

use embassy_executor::{Executor, Spawner};
use embassy_net::{Config, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use farrier_core::interface::{OperationError, SwitchAction, SwitchKind};
use farrier_ovsdb::model::{Connection as Served, Fault, Switch};
use farrier_ovsdb::{PortName, PortVlan};
use farrier_switch_drivers::{Learned, Order, Report, Seen, SwitchDetails, SwitchDriver};

use super::*;
use crate::controller::now;
use crate::switch::talk;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const OVSDB: u16 = 6640;

/// One direction of the wire.
#[derive(Default)]
struct Way {
    frames: RefCell<VecDeque<Vec<u8>>>,
    waker: RefCell<Option<Waker>>,
}

struct End {
    mac: [u8; 6],
    incoming: Rc<Way>,
    outgoing: Rc<Way>,
}

struct Frame(Vec<u8>);

struct Out<'a>(&'a Way);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

impl TxToken for Out<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.frames.borrow_mut().push_back(frame);
        if let Some(waker) = self.0.waker.borrow_mut().take() {
            waker.wake();
        }
        result
    }
}

impl Driver for End {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Out<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Frame, Out<'_>)> {
        let frame = self.incoming.frames.borrow_mut().pop_front();
        if frame.is_none() {
            self.incoming.waker.replace(Some(cx.waker().clone()));
        }
        Some((Frame(frame?), Out(&self.outgoing)))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Out<'_>> {
        Some(Out(&self.outgoing))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1514;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

fn leak(length: usize) -> &'static mut [u8] {
    Box::leak(vec![0; length].into_boxed_slice())
}

#[embassy_executor::task(pool_size = 2)]
async fn run(mut runner: Runner<'static, End>) -> ! {
    runner.run().await
}

/// The switch.
#[embassy_executor::task]
async fn serve(stack: Stack<'static>, faults: Vec<Fault>) -> ! {
    let mut switch = Switch::<2>::new();
    let access = PortVlan::access(10).unwrap();
    assert!(switch.add_port(PortName::new("p1").unwrap(), access));
    let mut socket = TcpSocket::new(stack, leak(600), leak(700));
    for fault in faults.into_iter().chain(core::iter::repeat(Fault::None)) {
        socket.accept(OVSDB).await.unwrap();
        switch.set_fault(fault);
        let mut connection = Box::new(Served::<4096>::new(&switch));
        while !connection.is_closed() {
            let mut buffer = [0; 300];
            let Ok(length @ 1..) = socket.read(&mut buffer).await else {
                break;
            };
            let mut input = &buffer[..length];
            loop {
                connection.receive(&mut switch, &mut input);
                connection.poll(&mut switch);
                if connection.output().is_empty() {
                    break;
                }
                let Ok(sent) = socket.write(connection.output()).await else {
                    break;
                };
                connection.sent(sent);
            }
        }
        socket.abort();
        let _gone = socket.flush().await;
    }
    unreachable!("there is always one more");
}

/// The appliance: one operation a connection.
#[embassy_executor::task]
async fn operate(stack: Stack<'static>, orders: Vec<(u16, SwitchAction)>, ends: Sender<Report>) {
    let mut caller = Caller::on(stack, leak(1024), leak(1024));
    for (port, action) in orders {
        let peer = SocketAddrV4::new(SERVER, port);
        let connected = caller.connect(peer, Duration::from_secs(5)).await;
        let report = match connected {
            Ok(()) => {
                let order = Order {
                    kind: SwitchKind::Ovsdb,
                    port: "p1",
                    action,
                    token: 0,
                    details: SwitchDetails::default(),
                };
                let deadline = now().plus_millis(20_000);
                let mut driver = SwitchDriver::new(now(), deadline, &order).unwrap();
                talk(&mut caller, &mut driver).await
            }
            Err(TcpError) => Report {
                result: Err(OperationError::Unreachable),
                port: Seen::Unread,
                link: None,
                learned: Learned::Unknown,
            },
        };
        caller.close().await;
        ends.send(report).unwrap();
    }
}

fn stack(
    spawner: Spawner,
    address: Ipv4Addr,
    [incoming, outgoing]: [&Rc<Way>; 2],
) -> Stack<'static> {
    let end = End {
        mac: [2, 0, 0, 0, 0, address.octets()[3]],
        incoming: Rc::clone(incoming),
        outgoing: Rc::clone(outgoing),
    };
    let config = Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(address, 24),
        gateway: None,
        dns_servers: Default::default(),
    });
    let resources = Box::leak(Box::new(StackResources::<2>::new()));
    let (stack, runner) = embassy_net::new(end, config, resources, 7);
    spawner.spawn(run(runner).unwrap());
    stack
}

/// Carries operations out, each on the TCP port that is given.
fn reports(faults: &[Fault], orders: &[(u16, SwitchAction)]) -> Vec<Report> {
    let (sender, ends) = channel();
    let (faults, list) = (faults.to_vec(), orders.to_vec());
    // The executor runs as long as the process.
    let _executor = thread::spawn(move || {
        let executor = Box::leak(Box::new(Executor::new()));
        executor.run(|spawner| {
            let (there, back) = (Rc::new(Way::default()), Rc::new(Way::default()));
            let appliance = stack(spawner, Ipv4Addr::new(10, 0, 0, 1), [&back, &there]);
            let server = stack(spawner, SERVER, [&there, &back]);
            spawner.spawn(serve(server, faults).unwrap());
            spawner.spawn(operate(appliance, list, sender).unwrap());
        })
    });
    let limit = std::time::Duration::from_secs(60);
    let next = |_| ends.recv_timeout(limit).expect("an operation ends");
    orders.iter().map(next).collect()
}

#[test]
fn a_switch_is_called_for_each_operation() {
    let (from, to) = (10, 20);
    let orders = [
        (OVSDB, SwitchAction::Read),
        (OVSDB, SwitchAction::Move { from, to }),
        // Nobody listens.
        (1, SwitchAction::Read),
        (OVSDB, SwitchAction::Keep { from, to }),
        // The switch closes the connection in place of an answer.
        (OVSDB, SwitchAction::Undo { from, to }),
        (OVSDB, SwitchAction::Read),
    ];
    let faults = [
        Fault::None,
        Fault::None,
        Fault::None,
        Fault::DropsAfterCommit,
    ];
    let ends = reports(&faults, &orders);
    let done = |vlan| (Ok(()), Seen::Vlan(vlan));
    let failed = |error| (Err(error), Seen::Unread);
    let expected = [
        done(10),
        done(20),
        failed(OperationError::Unreachable),
        done(20),
        failed(OperationError::Uncertain),
        done(10),
    ];
    let ends: Vec<_> = ends.iter().map(|end| (end.result, end.port)).collect();
    assert_eq!(ends, expected);
}
