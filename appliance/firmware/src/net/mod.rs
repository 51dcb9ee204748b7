//! The network: the only place that names the stack (embassy-net, and
//! smoltcp inside it). It starts the stack on a driver behind the L2
//! multiplexer, and wraps sockets in types with `core::net` addresses. It
//! knows no protocol above UDP and TCP.

mod mux;
mod raw_udp;
mod tcp;
mod udp;

use core::net::{Ipv4Addr, SocketAddrV4};

use embassy_net::{IpAddress, IpEndpoint, Ipv4Cidr, StackResources, StaticConfigV4};
use embassy_net_driver::{Driver, HardwareAddress};

pub use mux::MuxCounters;
pub use raw_udp::{RawUdpError, RawUdpReceiver, RawUdpSender};
pub use tcp::{Connection, TcpError};
pub use udp::{Udp, UdpBuffers, UdpError};

use farrier_sizes::{DATAGRAMS, REPLIES};
use mux::{Frame, L2Mux, Queue};

/// The appliance's address on the provisioning network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The appliance's address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix, 0 to 32.
    pub prefix: u8,
    /// Router to other networks, if there is one.
    pub gateway: Option<Ipv4Addr>,
}

/// Memory of the network: one static per program. `SOCKETS` is the number of
/// TCP and UDP sockets that are ever open at once.
pub struct Resources<const SOCKETS: usize> {
    stack: StackResources<SOCKETS>,
    requests: [Frame; DATAGRAMS],
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
            requests: [const { Frame::EMPTY }; DATAGRAMS],
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
    /// The multiplexer's counters.
    #[must_use]
    pub fn counters(&self) -> &'static MuxCounters {
        self.counters
    }

    /// Waits until the link is up.
    pub async fn wait_link_up(&self) {
        self.stack.wait_link_up().await;
    }
}

/// Moves frames between driver and sockets.
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

/// A started network.
#[derive(Debug)]
pub struct Started<D: Driver> {
    /// Makes sockets.
    pub network: Network,
    /// Must be run by a task of its own.
    pub runner: Runner<D>,
    /// Datagrams to the raw UDP ports.
    pub receiver: RawUdpReceiver,
    /// Sends datagrams that bypass the stack.
    pub sender: RawUdpSender,
}

/// Puts the multiplexer and the stack on a driver. Datagrams to `ports` go
/// to raw UDP. `seed` makes TCP's sequence numbers and first port
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
        receiver: RawUdpReceiver::new(requests),
        sender: RawUdpSender::new(reply_in, mac, address.address),
    }
}

/// Converts an endpoint of the stack, which is built with IPv4 only.
fn from_endpoint(endpoint: IpEndpoint) -> SocketAddrV4 {
    let IpAddress::Ipv4(address) = endpoint.addr;
    SocketAddrV4::new(address, endpoint.port)
}

fn to_endpoint(address: SocketAddrV4) -> IpEndpoint {
    IpEndpoint::new(IpAddress::Ipv4(*address.ip()), address.port())
}
