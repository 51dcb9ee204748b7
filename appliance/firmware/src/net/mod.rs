//! The network: the only place that names the stack (embassy-net, and
//! smoltcp inside it). What lives here: starting the stack on a driver, the
//! L2 multiplexer in front of it, and thin socket types that speak in
//! `core::net` addresses. What does not: any protocol above UDP and TCP.

mod door;
mod mux;
mod tcp;
mod udp;

use core::net::{Ipv4Addr, SocketAddrV4};

use embassy_net::{IpAddress, IpEndpoint, Ipv4Cidr, StackResources, StaticConfigV4};
use embassy_net_driver::{Driver, HardwareAddress};

pub use door::{DoorReceiver, DoorSender};
pub use mux::MuxCounters;
pub use tcp::{Connection, TcpError};
pub use udp::{Udp, UdpBuffers, UdpError};

use mux::{Frame, L2Mux, Queue, REPLIES, REQUESTS};

/// The appliance's own place on the provisioning network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Our address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix, 0 to 32.
    pub prefix: u8,
    /// Where packets for other networks go, if anywhere.
    pub gateway: Option<Ipv4Addr>,
}

/// Memory of the network: one static a program. `SOCKETS` is the number of
/// TCP and UDP sockets that are ever open at once.
pub struct Resources<const SOCKETS: usize> {
    stack: StackResources<SOCKETS>,
    requests: [Frame; REQUESTS],
    replies: [Frame; REPLIES],
    request_queue: Option<Queue>,
    reply_queue: Option<Queue>,
    counters: MuxCounters,
}

impl<const SOCKETS: usize> Resources<SOCKETS> {
    /// Empty, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            stack: StackResources::new(),
            requests: [const { Frame::EMPTY }; REQUESTS],
            replies: [const { Frame::EMPTY }; REPLIES],
            request_queue: None,
            reply_queue: None,
            counters: MuxCounters::new(),
        }
    }
}

impl<const SOCKETS: usize> Default for Resources<SOCKETS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const SOCKETS: usize> core::fmt::Debug for Resources<SOCKETS> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Resources").finish_non_exhaustive()
    }
}

/// Handle to the running stack, from which sockets are made.
#[derive(Clone, Copy)]
pub struct Network {
    stack: embassy_net::Stack<'static>,
    counters: &'static MuxCounters,
}

impl core::fmt::Debug for Network {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Network {
    /// What the multiplexer has counted.
    #[must_use]
    pub fn counters(&self) -> &'static MuxCounters {
        self.counters
    }

    /// Waits until the cable has a link.
    pub async fn wait_link_up(&self) {
        self.stack.wait_link_up().await;
    }
}

/// The stack's engine: moves frames between driver and sockets.
pub struct Runner<D: Driver> {
    inner: embassy_net::Runner<'static, L2Mux<D>>,
}

impl<D: Driver> core::fmt::Debug for Runner<D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

impl<D: Driver> Runner<D> {
    /// Runs the stack for ever.
    pub async fn run(&mut self) -> ! {
        self.inner.run().await
    }
}

/// A network that was started.
#[derive(Debug)]
pub struct Started<D: Driver> {
    /// Makes sockets.
    pub network: Network,
    /// To be run by a task of its own.
    pub runner: Runner<D>,
    /// Datagrams to the raw door's ports.
    pub receiver: DoorReceiver,
    /// Datagrams that leave as raw frames.
    pub sender: DoorSender,
}

/// Puts the multiplexer and the stack on a driver. Datagrams to `ports` go
/// to the raw door. `seed` makes TCP's sequence numbers and first port
/// unpredictable.
#[inline(never)]
pub fn start<D: Driver + 'static, const SOCKETS: usize>(
    driver: D,
    resources: &'static mut Resources<SOCKETS>,
    address: &Address,
    ports: [u16; 2],
    seed: u64,
) -> Started<D> {
    let HardwareAddress::Ethernet(mac) = driver.hardware_address() else {
        // The stack is built for Ethernet only.
        panic!("the driver is not for Ethernet");
    };
    let counters: &'static MuxCounters = &resources.counters;
    let (request_in, requests) = resources
        .request_queue
        .insert(Queue::new(&mut resources.requests))
        .split();
    let (reply_in, replies) = resources
        .reply_queue
        .insert(Queue::new(&mut resources.replies))
        .split();
    let mux = L2Mux {
        driver,
        ports,
        requests: request_in,
        replies,
        advertisement: None,
        mac,
        counters,
    };
    let config = embassy_net::Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(address.address, address.prefix),
        gateway: address.gateway,
        dns_servers: Default::default(),
    });
    let (stack, inner) = embassy_net::new(mux, config, &mut resources.stack, seed);
    Started {
        network: Network { stack, counters },
        runner: Runner { inner },
        receiver: DoorReceiver::new(requests),
        sender: DoorSender::new(reply_in, mac, address.address),
    }
}

/// An endpoint of the stack as an address of the standard library. The stack
/// is built with IPv4 only.
fn from_endpoint(endpoint: IpEndpoint) -> SocketAddrV4 {
    let IpAddress::Ipv4(address) = endpoint.addr;
    SocketAddrV4::new(address, endpoint.port)
}

fn to_endpoint(address: SocketAddrV4) -> IpEndpoint {
    IpEndpoint::new(IpAddress::Ipv4(*address.ip()), address.port())
}
