//! A TFTP client on a host port, over an IP stack of its own.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use farrier_tftp::client::{Action, Config, Download, Outcome};
use farrier_tftp::wire::{Mode, Options, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smoltcp::iface::{self, Interface, SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint};

use super::PATIENCE;
use crate::switch::{HostPort, Mac};

/// The well-known port.
const PORT: u16 = 69;
/// The loop looks around at least this often.
const IDLE: Duration = Duration::from_millis(100);
/// Room for a window of blocks.
const PACKETS: usize = 16;

/// What a transfer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transferred {
    /// DATA packets that came.
    pub blocks: u32,
    /// ACK packets that went.
    pub acks: u32,
}

/// A machine that loads files.
pub struct Client {
    port: HostPort,
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    server: Ipv4Addr,
    next_port: u16,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the server at `server`, with an address of its own.
    pub fn new(
        mut port: HostPort,
        mac: Mac,
        address: Ipv4Addr,
        prefix: u8,
        server: Ipv4Addr,
    ) -> Self {
        let config = iface::Config::new(EthernetAddress(mac.0).into());
        let mut interface = Interface::new(config, &mut port, StackInstant::now());
        interface.update_ip_addrs(|addresses| {
            // The list is new and has room for two.
            addresses.push(IpCidr::new(address.into(), prefix)).ok();
        });
        let buffer = || {
            udp::PacketBuffer::new(
                vec![udp::PacketMetadata::EMPTY; PACKETS],
                vec![0; PACKETS * 1500],
            )
        };
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(udp::Socket::new(buffer(), buffer()));
        Self {
            port,
            interface,
            sockets,
            socket,
            server,
            next_port: 49_152,
        }
    }

    /// Loads a file with blocks of `blksize` bytes, `window` at a time.
    ///
    /// # Errors
    /// The transfer fails, its bytes are not `expected`, or anything was sent
    /// twice: then the packets are not what a count may be divided by.
    pub fn fetch(
        &mut self,
        name: &str,
        expected: &[u8],
        blksize: u16,
        window: u16,
    ) -> Result<Transferred> {
        let request = Request {
            name,
            mode: Mode::Octet,
            options: Options {
                blksize: Some(blksize),
                tsize: Some(0),
                windowsize: Some(window).filter(|window| *window > 1),
                ..Options::default()
            },
        };
        let config = Config {
            timeout_ms: 20_000,
            max_retries: 0,
            ..Config::default()
        };
        let mut download = Download::new(request, config);
        let (mut loaded, mut sent, mut received) = (0, 0, 0);
        let mut peer = SocketAddrV4::new(self.server, PORT);
        // A fresh transfer id: the server may still hold the last one.
        self.next_port += 1;
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.socket);
        socket.close();
        socket.bind(self.next_port)?;
        let start = Instant::now();
        let mut packet = [0; 1500];
        loop {
            let now = start.elapsed().as_millis() as u64;
            ensure!(start.elapsed() < PATIENCE, "{name} takes too long");
            match download.poll(now, &mut packet)? {
                Action::Send(length) => {
                    let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.socket);
                    let to = IpEndpoint::new((*peer.ip()).into(), peer.port());
                    socket.send_slice(&packet[..length], to)?;
                    sent += 1;
                }
                Action::Wait(_) => {
                    let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.socket);
                    let Ok((bytes, from)) = socket.recv() else {
                        self.turn();
                        continue;
                    };
                    peer.set_port(from.endpoint.port);
                    received += 1;
                    if let Some((offset, bytes)) = download.process(now, bytes) {
                        let offset = usize::try_from(offset)?;
                        ensure!(
                            expected.get(offset..offset + bytes.len()) == Some(bytes),
                            "{name} differs behind byte {offset}"
                        );
                        loaded += bytes.len();
                    }
                }
                Action::Done(Outcome::Complete) => break,
                Action::Done(outcome) => bail!("{name}: {outcome:?}"),
            }
        }
        // The last ACK.
        self.turn();
        ensure!(
            loaded == expected.len(),
            "{name} ended after {loaded} bytes"
        );
        let blocks = u32::try_from(expected.len() / usize::from(blksize) + 1)?;
        let acks = blocks.div_ceil(u32::from(window));
        // Besides, the request and the OACK with its ACK.
        ensure!(
            received == blocks + 1 && sent == acks + 2,
            "{name}: {received} packets came and {sent} went for {blocks} blocks"
        );
        Ok(Transferred { blocks, acks })
    }

    /// Moves what can be moved, and waits a little for more.
    fn turn(&mut self) {
        self.interface
            .poll(StackInstant::now(), &mut self.port, &mut self.sockets);
        if self.sockets.get::<udp::Socket<'_>>(self.socket).can_recv() {
            return;
        }
        let timeout = Timespec::try_from(IDLE).unwrap_or_default();
        // Interrupted or not, everything is looked at again.
        poll(
            &mut [PollFd::new(&self.port, PollFlags::IN)],
            Some(&timeout),
        )
        .ok();
        self.interface
            .poll(StackInstant::now(), &mut self.port, &mut self.sockets);
    }
}
