//! The network card of a light server: a host port of the switch with an IP
//! stack. DHCP is kept from the stack, since it begins before there is an
//! address.

use std::collections::VecDeque;
use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use farrier_ethernet::frame::{self, BROADCAST, HEADER_LEN, Header};
use farrier_ethernet::lldp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities};
use smoltcp::socket::udp;
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, IpCidr};

use super::power::Control;
use crate::port_forward::Connections;
use crate::switch::{Frame, HostPort, Mac, Received, Transmit};

/// UDP ports of DHCP.
const SERVER: u16 = 67;
const CLIENT: u16 = 68;
/// Where a DHCP message has its client's address.
const CHADDR: std::ops::Range<usize> = 28..34;
/// Longest wait at a time; waits are repeated.
const STEP: Duration = Duration::from_millis(500);
/// DHCP messages that wait unread; more are dropped, as a card does.
const MAX_WAITING: usize = 64;

/// The port, with DHCP messages for a client put aside.
struct Tap {
    port: HostPort,
    /// The card's own address, and the one in use.
    own: Mac,
    mac: Mac,
    dhcp: VecDeque<Frame>,
    /// A message came since the last wait.
    fresh: bool,
    /// Where the last LLDP frame is kept, and that frame.
    lldp: (PathBuf, Option<Frame>),
}

impl Tap {
    /// Whether a frame is a DHCP message for this client: others' are
    /// broadcast too.
    fn is_ours(&self, frame: &[u8]) -> bool {
        frame::parse(frame).is_ok_and(|udp| {
            let chaddr = udp.payload.get(CHADDR);
            udp.dst_port == CLIENT && chaddr.is_some_and(|mac| *mac == self.mac.0)
        })
    }
}

impl Tap {
    /// The next frame for the stack.
    fn next(&mut self) -> Option<Frame> {
        while let Some(frame) = self.port.try_recv() {
            if frame.get(12..14) == Some(&lldp::ETHERTYPE) {
                self.heard(frame);
            } else if !self.is_ours(&frame) {
                return Some(frame);
            } else if self.dhcp.len() < MAX_WAITING {
                self.dhcp.push_back(frame);
                self.fresh = true;
            }
        }
        None
    }

    /// The switch says which port the cable is in.
    fn heard(&mut self, frame: Frame) {
        let (path, last) = &mut self.lldp;
        if last.as_ref() != Some(&frame) {
            // The agent reads it beside this; without it the scenario fails.
            let new = path.with_extension("new");
            let written = fs::write(&new, &*frame).and_then(|()| fs::rename(&new, &*path));
            written.ok();
            *last = Some(frame);
        }
    }
}

impl Device for Tap {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _now: StackInstant) -> Option<(Received, Transmit<'_>)> {
        let frame = self.next()?;
        Some((Received(frame), Transmit(&self.port)))
    }

    fn transmit(&mut self, _now: StackInstant) -> Option<Transmit<'_>> {
        Some(Transmit(&self.port))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        Device::capabilities(&self.port)
    }
}

/// The cards, and the stack on one of them.
pub(super) struct Network {
    /// The card with the stack.
    tap: Tap,
    /// The others, with their places, and the place of the one with the stack.
    others: Vec<(usize, Tap)>,
    place: usize,
    mac: Mac,
    /// The stack without its sockets.
    pub interface: Interface,
    /// Sockets of the present boot.
    pub sockets: SocketSet<'static>,
    control: Arc<Control>,
    next_port: u16,
    seed: u64,
}

impl Network {
    /// The cards: port, address, and where the last LLDP frame is kept.
    ///
    /// # Errors
    /// There is none.
    pub fn new(cards: Vec<(HostPort, Mac, PathBuf)>, control: Arc<Control>) -> Result<Self> {
        let mut others = cards.into_iter().map(|(port, mac, lldp)| {
            // What was heard before the power went is over.
            fs::remove_file(&lldp).ok();
            Tap {
                port,
                own: mac,
                mac,
                dhcp: VecDeque::new(),
                fresh: false,
                lldp: (lldp, None),
            }
        });
        let mut tap = others.next().context("a machine without a card")?;
        let others = (1..).zip(others).collect();
        let mac = tap.mac;
        let seed = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |now| now.as_nanos() as u64)
            ^ u64::from(mac.0[5]) << 56;
        let interface = fresh_interface(&mut tap, mac, seed);
        Ok(Self {
            tap,
            others,
            place: 0,
            mac,
            interface,
            sockets: SocketSet::new(Vec::new()),
            control,
            next_port: 49_152 + (seed % 16_384) as u16,
            seed,
        })
    }

    /// Gives the ports back, after the machine went off.
    pub fn into_ports(mut self) -> Vec<HostPort> {
        self.others.push((self.place, self.tap));
        self.others.sort_by_key(|(place, _)| *place);
        self.others.into_iter().map(|(_, tap)| tap.port).collect()
    }

    /// How many cards there are.
    pub fn cards(&self) -> usize {
        1 + self.others.len()
    }

    /// Whether the card in use has a link.
    pub fn is_linked(&self) -> bool {
        self.tap.port.is_linked()
    }

    /// Uses another card from now on, by its place, with its own address.
    pub fn use_card(&mut self, place: usize) {
        if let Some((known, tap)) = self.others.iter_mut().find(|(known, _)| *known == place) {
            std::mem::swap(&mut self.tap, tap);
            std::mem::swap(&mut self.place, known);
        }
        self.use_address(self.tap.own);
    }

    /// Uses the first card that has a link under the address of the first card, as a
    /// bond of all cards with one active does.
    pub fn use_bond(&mut self) {
        self.use_card(0);
        let address = self.mac;
        for card in 1..self.cards() {
            if self.is_linked() {
                break;
            }
            self.use_card(card);
        }
        self.use_address(address);
    }

    /// Sends by the card in use under this address.
    fn use_address(&mut self, mac: Mac) {
        self.mac = mac;
        self.tap.mac = mac;
        self.start_over();
    }

    /// A program starts that knows nothing of the one before: no address, no
    /// sockets, nothing waits.
    pub fn start_over(&mut self) {
        while self.tap.next().is_some() {}
        self.tap.dhcp.clear();
        self.sockets = SocketSet::new(Vec::new());
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005) | 1;
        self.interface = fresh_interface(&mut self.tap, self.mac, self.seed);
    }

    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Puts an address onto the card, in place of the one before, and the way to other
    /// networks.
    pub fn set_address(&mut self, address: Ipv4Addr, mask: Ipv4Addr, router: Option<Ipv4Addr>) {
        let prefix = mask.to_bits().leading_ones() as u8;
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            // The list has room for two.
            addresses.push(IpCidr::new(address.into(), prefix)).ok();
        });
        let routes = self.interface.routes_mut();
        match router {
            Some(router) => _ = routes.add_default_ipv4_route(router).ok(),
            None => _ = routes.remove_default_ipv4_route(),
        }
    }

    /// A port number for the next connection.
    pub fn local_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = if port == u16::MAX { 49_152 } else { port + 1 };
        port
    }

    /// Random enough for transaction numbers.
    pub fn random(&mut self) -> u32 {
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 32) as u32
    }

    /// Sends a DHCP message from this address to all.
    ///
    /// # Errors
    /// It is longer than a frame.
    pub fn send_dhcp(&mut self, source: Ipv4Addr, to: Ipv4Addr, message: &[u8]) -> Result<()> {
        let mut buffer = [0; 1514];
        let Some(room) = buffer.get_mut(HEADER_LEN..HEADER_LEN + message.len()) else {
            bail!("a DHCP message of {} bytes", message.len());
        };
        room.copy_from_slice(message);
        let header = Header {
            src_mac: self.mac.0,
            // A renewal goes to one server; the switch floods it as well as
            // it would deliver it.
            dst_mac: BROADCAST,
            src: source,
            dst: to,
            src_port: CLIENT,
            dst_port: SERVER,
        };
        let length = frame::emit(&mut buffer, &header, message.len())?;
        self.tap.port.send(&buffer[..length]);
        Ok(())
    }

    /// Sends a datagram from the address and the DHCP port on the card to a server, by
    /// the stack: it asks by ARP where that is.
    ///
    /// # Errors
    /// The stack has no room for it.
    pub fn ask_server(&mut self, to: (Ipv4Addr, u16), message: &[u8]) -> Result<()> {
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 1], vec![0; 1500]);
        let mut socket = udp::Socket::new(buffer(), buffer());
        if socket.bind(CLIENT).is_err() || socket.send_slice(message, to).is_err() {
            bail!("no room for a message to {}", to.0);
        }
        let socket = self.sockets.add(socket);
        let end = Instant::now() + STEP;
        while self.sockets.get::<udp::Socket>(socket).send_queue() > 0 && Instant::now() < end {
            self.turn(end, &[])?;
        }
        self.sockets.remove(socket);
        Ok(())
    }

    /// The oldest DHCP message that waits.
    pub fn take_dhcp(&mut self) -> Option<Vec<u8>> {
        Some(self.take_dhcp_of()?.1)
    }

    /// The oldest DHCP message that waits, behind the port that it came from.
    pub fn take_dhcp_of(&mut self) -> Option<(u16, Vec<u8>)> {
        let frame = self.tap.dhcp.pop_front()?;
        let udp = frame::parse(&frame).ok()?;
        Some((udp.src_port, udp.payload.to_vec()))
    }

    /// Moves everything that can be moved now.
    pub fn poll(&mut self) {
        for (_, tap) in &mut self.others {
            // Nobody listens there, but to what the switch says.
            while tap.next().is_some() {}
            tap.dhcp.clear();
        }
        self.interface
            .poll(StackInstant::now(), &mut self.tap, &mut self.sockets);
    }

    /// Moves what can be moved, and waits for more until `end`, or until one
    /// of `others` is ready.
    ///
    /// # Errors
    /// The machine is interrupted.
    pub fn turn(&mut self, end: Instant, others: &[(BorrowedFd<'_>, PollFlags)]) -> Result<()> {
        self.poll();
        if !std::mem::take(&mut self.tap.fresh) {
            let left = end.saturating_duration_since(Instant::now()).min(STEP);
            let left = self
                .interface
                .poll_delay(StackInstant::now(), &self.sockets)
                .map_or(left, |delay| Duration::from(delay).min(left));
            // Half a second fits a Timespec.
            let timeout = Timespec::try_from(left).unwrap_or_default();
            let mut fds = vec![
                PollFd::new(&*self.control, PollFlags::IN),
                PollFd::new(&self.tap.port, PollFlags::IN),
            ];
            fds.extend(
                others
                    .iter()
                    .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)),
            );
            // Interrupted or not, everything is looked at again.
            poll(&mut fds, Some(&timeout)).ok();
            self.control.clear_wake();
            self.poll();
        }
        if self.control.is_interrupted() {
            bail!("interrupted by its power");
        }
        Ok(())
    }

    /// Moves what can be moved of forwarded connections.
    pub fn carry(&mut self, connections: &mut Connections) {
        connections.accept(&mut self.interface, &mut self.sockets);
        connections.carry(&mut self.interface, &mut self.tap, &mut self.sockets);
    }

    /// Waits for so long.
    ///
    /// # Errors
    /// The machine is interrupted.
    pub fn pause(&mut self, wait: Duration) -> Result<()> {
        let end = Instant::now() + wait;
        while Instant::now() < end {
            self.turn(end, &[])?;
            // Nobody reads them meanwhile.
            self.tap.dhcp.clear();
        }
        Ok(())
    }
}

fn fresh_interface(tap: &mut Tap, mac: Mac, seed: u64) -> Interface {
    let mut config = Config::new(EthernetAddress(mac.0).into());
    config.random_seed = seed;
    Interface::new(config, tap, StackInstant::now())
}
