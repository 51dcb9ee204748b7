//! A port forward: a TCP port of localhost that leads to one TCP port on the
//! virtual network.
//!
//! A [`PortForward`] rests on a small TCP/IP stack on a host port of the switch, so neither
//! root nor a network interface of the host is needed. Each connection is
//! carried by itself, half-closes and resets included; bytes are not looked
//! at. A connection that the far end refuses is reset.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::Device;
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};

use crate::switch::{HostPort, Mac, clear, event_fd, signal};

/// Bytes that may wait in each direction of one connection: as many as TCP
/// can announce without window scaling.
const BUFFER: usize = 65_535;
/// A far end that acknowledges nothing for this long is given up. Generous:
/// an emulated appliance on a crowded machine is slow, not dead.
const PATIENCE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(30);
/// The loop looks around at least this often.
const IDLE: Duration = Duration::from_millis(500);

/// Where a port forward stands on the virtual network, and where it leads.
#[derive(Debug, Clone, Copy)]
pub struct PortForwardConfig {
    /// Its own Ethernet address.
    pub mac: Mac,
    /// Its own IP address, not used by anyone else there.
    pub address: Ipv4Addr,
    /// The network's prefix length, 0 to 32. The target is on it.
    pub prefix: u8,
    /// Where each connection goes.
    pub target: SocketAddrV4,
}

/// An open port forward. Dropping it resets what passes through.
pub struct PortForward {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    wake: Arc<OwnedFd>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl fmt::Debug for PortForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortForward")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl PortForward {
    /// Opens a port forward on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// Localhost has no free port, or the system no room for a thread.
    pub fn open(port: HostPort, config: PortForwardConfig) -> Result<Self> {
        let connections = Connections::listen(config.target)?;
        let address = connections.address()?;
        let stop = Arc::new(AtomicBool::new(false));
        let wake = Arc::new(event_fd()?);
        let mut forwarder = Forwarder::new(port, connections, config);
        let thread = {
            let (stop, wake) = (stop.clone(), wake.clone());
            std::thread::Builder::new()
                .name("port-forward".into())
                .spawn(move || {
                    while !stop.load(Ordering::Acquire) {
                        forwarder.turn();
                        forwarder.wait(wake.as_fd());
                        clear(&*wake);
                    }
                })?
        };
        Ok(Self {
            address,
            stop,
            wake,
            thread: Some(thread),
        })
    }

    /// The address on localhost.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as the beginning of an HTTP URL, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for PortForward {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        signal(&self.wake);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by the panic hook.
            thread.join().ok();
        }
    }
}

/// What the thread works on: a stack of its own and the connections over it.
struct Forwarder {
    port: HostPort,
    interface: Interface,
    sockets: SocketSet<'static>,
    connections: Connections,
}

impl Forwarder {
    fn new(mut port: HostPort, connections: Connections, config: PortForwardConfig) -> Self {
        let mut interface = Config::new(EthernetAddress(config.mac.0).into());
        interface.random_seed = connections.seed;
        let mut interface = Interface::new(interface, &mut port, Instant::now());
        interface.update_ip_addrs(|addresses| {
            // The list is new and has room for two.
            addresses
                .push(IpCidr::new(config.address.into(), config.prefix))
                .ok();
        });
        Self {
            port,
            interface,
            sockets: SocketSet::new(Vec::new()),
            connections,
        }
    }

    /// Moves everything that can be moved now.
    fn turn(&mut self) {
        self.connections
            .accept(&mut self.interface, &mut self.sockets);
        self.interface
            .poll(Instant::now(), &mut self.port, &mut self.sockets);
        self.connections
            .carry(&mut self.interface, &mut self.port, &mut self.sockets);
    }

    /// Sleeps until there may be something to move.
    fn wait(&mut self, wake: BorrowedFd<'_>) {
        let now = Instant::now();
        let left = self
            .interface
            .poll_delay(now, &self.sockets)
            .map_or(IDLE, |delay| Duration::from(delay).min(IDLE));
        // Half a second fits a Timespec.
        let timeout = Timespec::try_from(left).unwrap_or_default();
        let mut fds = vec![
            PollFd::new(&wake, PollFlags::IN),
            PollFd::new(&self.port, PollFlags::IN),
        ];
        let awaited = self.connections.awaited(&self.sockets);
        fds.extend(
            awaited
                .iter()
                .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)),
        );
        // Interrupted or not, everything is looked at again.
        poll(&mut fds, Some(&timeout)).ok();
    }
}

/// TCP connections from localhost, each continued over the caller's stack.
pub(crate) struct Connections {
    listener: TcpListener,
    passages: Passages,
    target: SocketAddrV4,
    next_port: u16,
    seed: u64,
}

impl Connections {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// There is none.
    pub fn listen(target: SocketAddrV4) -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listening on localhost")?;
        listener.set_nonblocking(true)?;
        // One that is opened again after a restart must not repeat the port
        // and sequence numbers that the far end still remembers.
        let seed = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_nanos() as u64);
        Ok(Self {
            listener,
            passages: Passages::default(),
            target,
            next_port: 49_152 + (seed % 16_384) as u16,
            seed,
        })
    }

    /// The address on localhost.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Takes the connections that wait.
    pub fn accept(&mut self, interface: &mut Interface, sockets: &mut SocketSet<'static>) {
        while let Ok((stream, _)) = self.listener.accept() {
            self.admit(stream, interface, sockets);
        }
    }

    /// Moves what can be moved between both ends; the stack was polled just
    /// before.
    pub fn carry(
        &mut self,
        interface: &mut Interface,
        device: &mut impl Device,
        sockets: &mut SocketSet<'static>,
    ) {
        self.passages.carry(interface, device, sockets);
    }

    fn admit(
        &mut self,
        local: TcpStream,
        interface: &mut Interface,
        sockets: &mut SocketSet<'static>,
    ) {
        let mut socket = new_socket();
        let port = self.next_port;
        self.next_port = if port == u16::MAX { 49_152 } else { port + 1 };
        let connected = socket
            .connect(interface.context(), self.target, port)
            .is_ok();
        if connected {
            let socket = sockets.add(socket);
            self.passages.add(local, socket, sockets);
        }
    }

    /// The descriptors that can have something to move, for a poll.
    pub fn awaited(&self, sockets: &SocketSet<'static>) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let mut fds = self.passages.awaited(sockets);
        fds.push((self.listener.as_fd(), PollFlags::IN));
        fds
    }
}

/// Room for a connection's socket on the virtual network.
pub(crate) fn new_socket() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_timeout(Some(PATIENCE));
    socket.set_nagle_enabled(false);
    socket
}

/// Connections, each with an end on localhost and one on the virtual network.
#[derive(Default)]
pub(crate) struct Passages(Vec<Passage>);

impl Passages {
    /// Joins two connections. The socket is removed if the one on localhost is
    /// broken.
    pub fn add(
        &mut self,
        local: TcpStream,
        socket: SocketHandle,
        sockets: &mut SocketSet<'static>,
    ) {
        if local.set_nonblocking(true).is_err() {
            sockets.remove(socket);
            return;
        }
        local.set_nodelay(true).ok();
        self.0.push(Passage {
            local,
            socket,
            local_ended: false,
            far_ended: false,
            far_fin: false,
        });
    }

    /// Moves what can be moved between both ends; the stack was polled just
    /// before.
    pub fn carry(
        &mut self,
        interface: &mut Interface,
        device: &mut impl Device,
        sockets: &mut SocketSet<'static>,
    ) {
        self.0.retain_mut(|passage| {
            let socket = sockets.get_mut::<tcp::Socket>(passage.socket);
            let stays = passage.carry(socket).unwrap_or_else(|Broken| {
                socket.abort();
                // Close with a reset, so that the client does not take a
                // broken answer for a whole one.
                rustix::net::sockopt::set_socket_linger(&passage.local, Some(Duration::ZERO)).ok();
                false
            });
            if !stays {
                // Sends the reset of an aborted socket before it goes.
                interface.poll(Instant::now(), device, sockets);
                sockets.remove(passage.socket);
            }
            stays
        });
        // What was just put into the sockets' buffers.
        interface.poll(Instant::now(), device, sockets);
    }

    /// The descriptors that can have something to move, for a poll.
    pub fn awaited(&self, sockets: &SocketSet<'static>) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let mut fds = Vec::new();
        for passage in &self.0 {
            let socket = sockets.get::<tcp::Socket>(passage.socket);
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, !passage.local_ended && socket.can_send());
            flags.set(PollFlags::OUT, socket.can_recv());
            // One that waits for nothing is left out: a hang-up is always
            // reported, and would keep the loop awake.
            if !flags.is_empty() {
                fds.push((passage.local.as_fd(), flags));
            }
        }
        fds
    }
}

/// One connection with two ends.
struct Passage {
    local: TcpStream,
    socket: SocketHandle,
    /// The local client has sent all it will.
    local_ended: bool,
    /// The far end has sent all it will, and the local client knows.
    far_ended: bool,
    /// The far end's FIN was seen, so a closed socket is no broken one.
    far_fin: bool,
}

/// Either end is gone without closing.
struct Broken;

impl Passage {
    /// Moves what can be moved. False once both directions have ended.
    fn carry(&mut self, socket: &mut tcp::Socket<'_>) -> Result<bool, Broken> {
        while !self.local_ended && socket.can_send() {
            let taken = socket.send(|room| match self.local.read(room) {
                Ok(count) => (count, Ok(count)),
                Err(error) => (0, Err(error)),
            });
            match taken {
                Ok(Ok(0)) => {
                    self.local_ended = true;
                    socket.close();
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Ok(Err(_)) | Err(_) => return Err(Broken),
            }
        }
        while socket.can_recv() {
            let given = socket.recv(|bytes| match self.local.write(bytes) {
                Ok(count) => (count, Ok(count)),
                Err(error) => (0, Err(error)),
            });
            match given {
                Ok(Ok(_)) => {}
                Ok(Err(error)) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Ok(Err(_)) | Err(_) => return Err(Broken),
            }
        }
        use tcp::State::{CloseWait, Closed, Closing, LastAck, TimeWait};
        let state = socket.state();
        self.far_fin |= matches!(state, CloseWait | Closing | LastAck | TimeWait);
        if state == Closed && !self.far_fin {
            return Err(Broken);
        }
        if self.far_fin && !self.far_ended && !socket.can_recv() {
            self.far_ended = true;
            self.local
                .shutdown(std::net::Shutdown::Write)
                .map_err(|_| Broken)?;
        }
        Ok(!(self.far_ended && self.local_ended && matches!(state, Closed | TimeWait)))
    }
}
