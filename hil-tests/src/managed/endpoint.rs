//! An address on the virtual network at which servers of this host are
//! reached: TCP connections to it are continued to sockets of localhost.
//!
//! It is the switch's own address in a managed rack, so that the appliance
//! talks to the switch through the same wires as to everything else. What
//! stands behind it may be a thread of the rig or a real server.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};

use crate::port_forward::{Passages, new_socket};
use crate::switch::{HostPort, Mac, PortId, clear, event_fd, signal};

/// Connections of one service that may wait to be taken.
const BACKLOG: usize = 4;
/// The loop looks around at least this often.
const IDLE: Duration = Duration::from_millis(500);
/// How long a server of localhost may take to accept.
const LOCAL: Duration = Duration::from_secs(1);

/// Where an endpoint stands on the virtual network.
#[derive(Debug, Clone, Copy)]
pub struct EndpointConfig {
    /// Its own Ethernet address.
    pub mac: Mac,
    /// Its own IP address.
    pub address: Ipv4Addr,
    /// The network's prefix length, 0 to 32.
    pub prefix: u8,
}

/// A TCP port of an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// The port on the virtual network.
    pub port: u16,
    /// The server on localhost.
    pub server: SocketAddr,
}

/// How an endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reachability {
    /// It accepts connections.
    Serves = 0,
    /// It resets every connection that is asked for, as a host without the
    /// server does. Those that are open stay.
    Refuses = 1,
    /// It answers nothing, not even ARP, and forgets every connection.
    Dead = 2,
}

/// What its thread and its handle share.
struct Shared {
    stop: AtomicBool,
    wanted: AtomicU8,
    services: Mutex<Vec<Service>>,
    wake: OwnedFd,
}

/// An open endpoint. Dropping it closes it.
pub struct Endpoint {
    id: PortId,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.id).finish()
    }
}

impl Endpoint {
    /// Opens an endpoint behind a port of the switch.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub fn open(port: HostPort, config: EndpointConfig, services: Vec<Service>) -> Result<Self> {
        let id = port.id();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            wanted: AtomicU8::new(Reachability::Serves as u8),
            services: Mutex::new(services),
            wake: event_fd()?,
        });
        let mut stack = Stack::new(port, config);
        let thread = {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name("endpoint".into())
                .spawn(move || {
                    while !shared.stop.load(Ordering::Acquire) {
                        stack.turn(&shared);
                        stack.wait(shared.wake.as_fd());
                        clear(&shared.wake);
                    }
                })?
        };
        Ok(Self {
            id,
            shared,
            thread: Some(thread),
        })
    }

    /// Its port of the switch.
    pub fn port(&self) -> PortId {
        self.id
    }

    /// Changes how it answers, soon.
    pub fn set_reachability(&self, wanted: Reachability) {
        self.shared.wanted.store(wanted as u8, Ordering::Release);
        signal(&self.shared.wake);
    }

    /// Puts other servers behind it. Open connections stay with the old ones.
    pub fn set_services(&self, services: Vec<Service>) {
        *self
            .shared
            .services
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = services;
        signal(&self.shared.wake);
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        signal(&self.shared.wake);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by the panic hook.
            thread.join().ok();
        }
    }
}

/// What the thread works on.
struct Stack {
    port: HostPort,
    config: EndpointConfig,
    interface: Interface,
    sockets: SocketSet<'static>,
    /// Sockets that wait for a connection, each with its port.
    waiting: Vec<(u16, SocketHandle)>,
    passages: Passages,
    dead: bool,
}

impl Stack {
    fn new(mut port: HostPort, config: EndpointConfig) -> Self {
        Self {
            interface: interface(&mut port, config),
            port,
            config,
            sockets: SocketSet::new(Vec::new()),
            waiting: Vec::new(),
            passages: Passages::default(),
            dead: false,
        }
    }

    /// Moves everything that can be moved now.
    fn turn(&mut self, shared: &Shared) {
        let wanted = shared.wanted.load(Ordering::Acquire);
        if (wanted == Reachability::Dead as u8) != self.dead {
            self.dead = !self.dead;
            self.port.set_linked(!self.dead);
            self.interface = interface(&mut self.port, self.config);
            self.sockets = SocketSet::new(Vec::new());
            self.waiting.clear();
            self.passages = Passages::default();
        }
        if self.dead {
            return;
        }
        let services = shared
            .services
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        self.listen(&services, wanted == Reachability::Serves as u8);
        self.interface
            .poll(Instant::now(), &mut self.port, &mut self.sockets);
        self.accept(&services);
        self.passages
            .carry(&mut self.interface, &mut self.port, &mut self.sockets);
    }

    /// Keeps as many sockets waiting as there shall be.
    fn listen(&mut self, services: &[Service], serves: bool) {
        let sockets = &mut self.sockets;
        self.waiting.retain(|(port, handle)| {
            let wanted = serves && services.iter().any(|service| service.port == *port);
            let idle = !sockets.get::<tcp::Socket>(*handle).is_active();
            if !wanted && idle {
                sockets.remove(*handle);
            }
            wanted || !idle
        });
        for service in services.iter().filter(|_| serves) {
            let of = |(port, _): &&(u16, SocketHandle)| *port == service.port;
            let missing = BACKLOG.saturating_sub(self.waiting.iter().filter(of).count());
            for _ in 0..missing {
                let mut socket = new_socket();
                // It fails for port 0 only.
                if socket.listen(service.port).is_ok() {
                    self.waiting.push((service.port, sockets.add(socket)));
                }
            }
        }
    }

    /// Continues the connections that were made to their servers.
    fn accept(&mut self, services: &[Service]) {
        let (sockets, passages) = (&mut self.sockets, &mut self.passages);
        let mut aborted = Vec::new();
        self.waiting.retain(|(port, handle)| {
            use tcp::State::{Listen, SynReceived};
            let socket = sockets.get_mut::<tcp::Socket>(*handle);
            if matches!(socket.state(), Listen | SynReceived) {
                return true;
            }
            let service = services.iter().find(|service| service.port == *port);
            let local =
                service.and_then(|service| TcpStream::connect_timeout(&service.server, LOCAL).ok());
            match local {
                Some(local) => passages.add(local, *handle, sockets),
                None => {
                    socket.abort();
                    aborted.push(*handle);
                }
            }
            false
        });
        if !aborted.is_empty() {
            // Sends the resets before the sockets go.
            self.interface
                .poll(Instant::now(), &mut self.port, &mut self.sockets);
        }
        for handle in aborted {
            self.sockets.remove(handle);
        }
    }

    /// Sleeps until there may be something to move.
    fn wait(&mut self, wake: BorrowedFd<'_>) {
        let left = self
            .interface
            .poll_delay(Instant::now(), &self.sockets)
            .map_or(IDLE, |delay| Duration::from(delay).min(IDLE));
        // Half a second fits a Timespec.
        let timeout = Timespec::try_from(left).unwrap_or_default();
        let mut fds = vec![
            PollFd::new(&wake, PollFlags::IN),
            PollFd::new(&self.port, PollFlags::IN),
        ];
        let awaited = self.passages.awaited(&self.sockets);
        fds.extend(
            awaited
                .iter()
                .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)),
        );
        // Interrupted or not, everything is looked at again.
        poll(&mut fds, Some(&timeout)).ok();
    }
}

fn interface(port: &mut HostPort, config: EndpointConfig) -> Interface {
    let mut settings = Config::new(EthernetAddress(config.mac.0).into());
    // One that starts again must not repeat sequence numbers that the far end
    // still remembers.
    settings.random_seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_nanos() as u64);
    let mut interface = Interface::new(settings, port, Instant::now());
    interface.update_ip_addrs(|addresses| {
        // The list is new and has room for two.
        addresses
            .push(IpCidr::new(config.address.into(), config.prefix))
            .ok();
    });
    interface
}
