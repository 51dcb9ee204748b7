//! The network: the only place that names the stack (embassy-net, and
//! smoltcp inside it). It starts the stack on a driver behind the L2
//! multiplexer, and wraps sockets in types with `core::net` addresses. It
//! knows no protocol above UDP and TCP.

mod gate;
mod lane;
mod mux;
mod raw_udp;
mod tcp;
mod udp;

use core::net::{Ipv4Addr, SocketAddrV4};

use embassy_net::{IpAddress, IpEndpoint, Ipv4Cidr, StackResources, StaticConfigV4};
use embassy_net_driver::{Driver, HardwareAddress};

pub use gate::{Classes, Gate};
pub use lane::LaneCounters;
pub use mux::MuxCounters;
pub use raw_udp::{RawUdpError, RawUdpReceiver, RawUdpSender};
pub use tcp::{Caller, Connection, TcpError};
pub use udp::{Udp, UdpBuffers, UdpError};

use farrier_sizes::{AGENT_DATAGRAMS, DHCP_DATAGRAMS, REPLIES};
use lane::{LaneReceiver, LaneSender, Sources, Window, share};
use mux::{Frame, L2Mux, Lanes, Queue};

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

/// Ports that the multiplexer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Raw UDP: DHCP's and the agents'.
    pub raw_udp: [u16; 2],
    /// TCP: connections to it go through the gate.
    pub http: u16,
}

/// Memory of one queue of raw UDP datagrams.
struct Lane<const PLACES: usize> {
    frames: [Frame; PLACES],
    queue: Option<Queue>,
    sources: Sources,
    counters: LaneCounters,
}

impl<const PLACES: usize> Lane<PLACES> {
    const fn new() -> Self {
        Self {
            frames: [const { Frame::EMPTY }; PLACES],
            queue: None,
            sources: Sources::new(),
            counters: LaneCounters::new(),
        }
    }

    fn split(&'static mut self) -> (LaneSender, LaneReceiver, &'static LaneCounters) {
        let (queue, frames) = self.queue.insert(Queue::new(&mut self.frames)).split();
        let (sources, counters) = (&self.sources, &self.counters);
        let sender = LaneSender {
            queue,
            sources,
            counters,
            share: share(PLACES),
        };
        let receiver = LaneReceiver {
            queue: frames,
            sources,
        };
        (sender, receiver, counters)
    }
}

/// Memory of the network: one static per program. `SOCKETS` is the number of
/// TCP and UDP sockets that are ever open at once.
pub struct Resources<const SOCKETS: usize> {
    stack: StackResources<SOCKETS>,
    dhcp: Lane<DHCP_DATAGRAMS>,
    agents: Lane<AGENT_DATAGRAMS>,
    replies: [Frame; REPLIES],
    reply_queue: Option<Queue>,
    counters: MuxCounters,
}

impl<const SOCKETS: usize> Resources<SOCKETS> {
    /// Empty, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            stack: StackResources::new(),
            dhcp: Lane::new(),
            agents: Lane::new(),
            replies: [const { Frame::EMPTY }; REPLIES],
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
    lanes: [&'static LaneCounters; 2],
    gate: &'static Gate,
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

    /// The counters of the queues of raw UDP datagrams, in the order of their
    /// ports.
    #[must_use]
    pub fn lanes(&self) -> [&'static LaneCounters; 2] {
        self.lanes
    }

    /// The way to the HTTP server's sockets.
    #[must_use]
    pub fn gate(&self) -> &'static Gate {
        self.gate
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
    /// DHCP messages.
    pub dhcp: RawUdpReceiver,
    /// Datagrams of agents.
    pub agents: RawUdpReceiver,
    /// Sends datagrams that bypass the stack.
    pub sender: RawUdpSender,
}

/// Puts the multiplexer and the stack on a driver. `seed` makes TCP's sequence numbers and first port
/// unpredictable.
#[inline(never)]
pub fn start<D: Driver + 'static, const SOCKETS: usize>(
    driver: D,
    resources: &'static mut Resources<SOCKETS>,
    gate: &'static Gate,
    classes: &'static dyn Classes,
    address: &Address,
    ports: Ports,
    seed: u64,
) -> Started<D> {
    let HardwareAddress::Ethernet(mac) = driver.hardware_address() else {
        // The stack is built for Ethernet only.
        panic!("the driver is not for Ethernet");
    };
    let counters: &'static MuxCounters = &resources.counters;
    let (dhcp_in, dhcp, dhcp_counters) = resources.dhcp.split();
    let (agents_in, agents, agents_counters) = resources.agents.split();
    let (reply_in, replies) = resources
        .reply_queue
        .insert(Queue::new(&mut resources.replies))
        .split();
    let mux = L2Mux {
        driver,
        lanes: Lanes {
            ports: ports.raw_udp,
            queues: [dhcp_in, agents_in],
            tftp: Window::new(),
        },
        gate,
        classes,
        server: SocketAddrV4::new(address.address, ports.http),
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
        network: Network {
            stack,
            counters,
            lanes: [dhcp_counters, agents_counters],
            gate,
        },
        runner: Runner { inner },
        dhcp: RawUdpReceiver::new(dhcp),
        agents: RawUdpReceiver::new(agents),
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
