//! The network: the only place that names the stack (embassy-net, and
//! smoltcp inside it). It starts the stack on a driver behind the L2
//! multiplexer, and wraps sockets in types with `core::net` addresses. It
//! knows no protocol above UDP and TCP.
//!
//! There is one stack with one address, whatever the number of networks: the
//! multiplexer keeps them apart (`fence`), by the table of `links`.

mod counters;
mod fence;
mod gate;
mod hop;
mod lane;
mod links;
mod mux;
mod raw_udp;
mod tcp;
mod udp;
mod watch;

use core::cell::RefCell;
use core::net::{Ipv4Addr, SocketAddrV4};

use embassy_net::{IpAddress, IpEndpoint, Ipv4Cidr, StackResources, StaticConfigV4};
use embassy_net_driver::{Driver, HardwareAddress};
use farrier_core::interface::{Link, NetworkId, Relay, Services};

pub use counters::MuxCounters;
pub use fence::Dropped;
pub(crate) use fence::PXE;
pub use gate::{Classes, Gate};
pub use lane::LaneCounters;
pub use links::{LINKS, Segment};
pub use raw_udp::{Datagram, RawUdpError, RawUdpReceiver, RawUdpSender};
pub use tcp::{Caller, Connection, TcpError};
pub use udp::{Udp, UdpBuffers, UdpError};
pub use watch::Watch;

use farrier_sizes::{AGENT_DATAGRAMS, DHCP_DATAGRAMS, REPLIES};
use fence::Local;
use hop::Hop;
use lane::{LaneReceiver, LaneSender, Sources, Window, share};
use links::Links;
use mux::{Frame, L2Mux, Lanes, Queue, Rules, longest};

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
    links: RefCell<Links>,
    counters: MuxCounters,
    watch: Watch,
    hop: Hop,
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
            links: RefCell::new(Links::new()),
            counters: MuxCounters::new(),
            watch: Watch::new(),
            hop: Hop::new(),
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
    links: &'static RefCell<Links>,
    watch: &'static Watch,
    /// Bytes of the driver's longest frame.
    room: usize,
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

    /// What was seen that should perhaps not be on the networks.
    #[must_use]
    pub fn watch(&self) -> &'static Watch {
        self.watch
    }

    /// Puts other networks in place of the present ones: the provisioning
    /// network, and at most `networks` of `board.toml`.
    pub fn set_links(&self, links: &[Link]) {
        self.links.borrow_mut().replace(links);
    }

    /// Puts other networks behind relays in place of the present ones.
    pub fn set_relays(&self, relays: impl Iterator<Item = Relay> + Clone) {
        self.links.borrow_mut().set_relays(relays);
    }

    /// An interface was given an address while it was on a segment: from now on
    /// it is there and nowhere else, where nodes are told apart by it.
    pub fn bind(&self, segment: Segment, mac: [u8; 6], address: Ipv4Addr) {
        self.links.borrow_mut().bind(segment, mac, address);
    }

    /// The network that a peer talks on, and what is served there. A peer whose
    /// binding has ended meanwhile is on the provisioning network, where nothing
    /// is served to it.
    #[must_use]
    pub fn network_of(&self, peer: Ipv4Addr) -> (NetworkId, Services) {
        match self.links.borrow().way(peer) {
            Ok((segment, link, _)) => (segment.network, link.services),
            Err(_) => (NetworkId::PROVISIONING, Services::empty()),
        }
    }

    /// Bytes of the longest IP packet on a link: 1,500, or 4 less where the
    /// driver has no room for a tag as well.
    #[must_use]
    pub fn ip_mtu(&self, link: &Link) -> usize {
        longest(self.room, link.vlan != 0).saturating_sub(14)
    }

    /// Bytes of the longest IP packet to a peer.
    #[must_use]
    pub fn ip_mtu_to(&self, peer: Ipv4Addr) -> usize {
        let links = self.links.borrow();
        let least = longest(self.room, true).saturating_sub(14);
        links
            .way(peer)
            .map_or(least, |(_, link, _)| self.ip_mtu(link))
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

/// Puts the multiplexer and the stack on a driver. The stack has one address;
/// the multiplexer puts those of `links` in its place. `seed` makes TCP's sequence
/// numbers and first port unpredictable.
#[inline(never)]
pub fn start<D: Driver + 'static, const SOCKETS: usize>(
    driver: D,
    resources: &'static mut Resources<SOCKETS>,
    gate: &'static Gate,
    classes: &'static dyn Classes,
    (address, links): (Ipv4Addr, &[Link]),
    ports: Ports,
    seed: u64,
) -> Started<D> {
    let HardwareAddress::Ethernet(mac) = driver.hardware_address() else {
        // The stack is built for Ethernet only.
        panic!("the driver is not for Ethernet");
    };
    let counters: &'static MuxCounters = &resources.counters;
    let table: &'static RefCell<Links> = &resources.links;
    let watch: &'static Watch = &resources.watch;
    table.borrow_mut().set_stack(address);
    table.borrow_mut().replace(links);
    let (dhcp_in, dhcp, dhcp_counters) = resources.dhcp.split();
    let (agents_in, agents, agents_counters) = resources.agents.split();
    let (reply_in, replies) = resources
        .reply_queue
        .insert(Queue::new(&mut resources.replies))
        .split();
    let room = driver.capabilities().max_transmission_unit;
    let [dhcp_port, agent_port] = ports.raw_udp;
    let mux = L2Mux {
        driver,
        lanes: Lanes {
            dhcp: dhcp_in,
            agents: agents_in,
            tftp: Window::new(),
        },
        gate,
        classes,
        replies,
        answer: None,
        rules: Rules {
            links: table,
            local: Local {
                mac,
                http: ports.http,
                dhcp: dhcp_port,
                agents: agent_port,
            },
            room,
            counters,
            watch,
            hop: &resources.hop,
        },
    };
    // Every peer is on the link for the stack, which asks by ARP for each: the
    // multiplexer knows which networks there are.
    let config = embassy_net::Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(address, 0),
        gateway: None,
        dns_servers: Default::default(),
    });
    let (stack, inner) = embassy_net::new(mux, config, &mut resources.stack, seed);
    Started {
        network: Network {
            stack,
            counters,
            lanes: [dhcp_counters, agents_counters],
            gate,
            links: table,
            watch,
            room,
        },
        runner: Runner { inner },
        dhcp: RawUdpReceiver::new(dhcp),
        agents: RawUdpReceiver::new(agents),
        sender: RawUdpSender::new(reply_in, mac, table, counters),
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

#[cfg(test)]
mod tests;
