//! The boot interface: this module finds it by its MAC address, brings it up, and
//! runs the DHCP client on it until the server goes down.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use farrier_dhcp::client::{Action, Client, Config, Destination, Event, Lease};
use farrier_ethernet::frame;

use super::console::log;
use super::link::{self, Frames};
use super::{hardware, insecure_random};

/// DHCP's UDP ports (RFC 2131, section 4.1).
const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// Buffer for the longest message and its headers.
const BUFFER: usize = 1600;
/// Longest wait for the carrier before the first message. A message without a
/// carrier is lost, and the client sends the next a second later.
const CARRIER: Duration = Duration::from_secs(5);
/// Longest single wait. Waits are repeated.
const STEP: Duration = Duration::from_secs(5);

/// The boot interface.
#[derive(Debug)]
pub struct BootInterface {
    /// The name of the interface.
    pub name: String,
    index: u32,
    mac: [u8; 6],
    address: Mutex<Option<Ipv4Addr>>,
    changed: Condvar,
}

impl BootInterface {
    /// Waits for the interface with this MAC address and brings it up.
    pub fn find(mac: [u8; 6], deadline: Instant) -> Option<Arc<Self>> {
        loop {
            if let Some(name) = hardware::interface_by_mac(mac)
                && let Some(index) = hardware::interface_index(&name)
            {
                if let Err(error) = link::up(index) {
                    log(&format!("can't bring {name} up: {error}"));
                }
                return Some(Arc::new(Self {
                    name,
                    index,
                    mac,
                    address: Mutex::new(None),
                    changed: Condvar::new(),
                }));
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the interface's current address.
    pub fn address(&self) -> Option<Ipv4Addr> {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an address.
    pub fn wait_address(&self, deadline: Instant) -> Option<Ipv4Addr> {
        let mut address = self.address.lock().unwrap_or_else(PoisonError::into_inner);
        while address.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            address = self
                .changed
                .wait_timeout(address, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(guard, _)| guard);
        }
        *address
    }

    /// Starts the thread of the DHCP client. It takes offers and refusals of that
    /// server only: its address is on the kernel command line.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn spawn_dhcp(self: &Arc<Self>, uuid: [u8; 16], server: Ipv4Addr) -> std::io::Result<()> {
        let interface = Arc::clone(self);
        std::thread::Builder::new()
            .name("dhcp".into())
            .stack_size(crate::STACK)
            .spawn(move || {
                interface.wait_carrier();
                loop {
                    if let Err(error) = interface.keep(uuid, server) {
                        log(&format!("DHCP on {}: {error}", interface.name));
                    }
                    std::thread::sleep(STEP);
                }
            })?;
        Ok(())
    }

    fn wait_carrier(&self) {
        let deadline = Instant::now() + CARRIER;
        while !hardware::has_carrier(&self.name) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs the client. Returns only with an error.
    fn keep(&self, uuid: [u8; 16], server: Ipv4Addr) -> Result<(), String> {
        let began = Instant::now();
        let now = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut client = Client::new(Config {
            uuid: (uuid != [0; 16]).then_some(uuid),
            class_id: Some(b"farrier-agent"),
            server: Some(server),
            ..Config::new(self.mac)
        });
        let mut path = Path::open(self.index, self.mac)?;
        let mut buffer = [0; BUFFER];
        loop {
            let payload = buffer.get_mut(frame::HEADER_LEN..).unwrap_or_default();
            let action = client
                .poll(now(), insecure_random(), payload)
                .map_err(|error| format!("{error:?}"))?;
            match action {
                Action::Send { len, to } => path.send(&mut buffer, len, to),
                Action::Expired => {
                    log(&format!("{}: the DHCP lease expired", self.name));
                    self.configure(None, None);
                    path = Path::open(self.index, self.mac)?;
                }
                Action::Wait(until) => {
                    let wait = Duration::from_millis(until.saturating_sub(now())).min(STEP);
                    let Some(payload) = path.receive(wait, &mut buffer) else {
                        continue;
                    };
                    let before = client.lease().copied();
                    match client.process(now(), payload) {
                        Event::Ignored | Event::Offered => {}
                        Event::Bound | Event::Renewed => {
                            self.configure(before.as_ref(), client.lease());
                            if matches!(path, Path::Frames { .. }) {
                                path = Path::Socket(
                                    bound_socket().map_err(|error| error.to_string())?,
                                );
                            }
                        }
                        Event::Refused => {
                            log(&format!("{}: the DHCP server sent a DHCPNAK", self.name));
                            self.configure(before.as_ref(), None);
                            path = Path::open(self.index, self.mac)?;
                        }
                    }
                }
            }
        }
    }

    /// Configures the interface with a lease and removes the previous one.
    fn configure(&self, before: Option<&Lease>, lease: Option<&Lease>) {
        let log_error = |what: &str, result: rustix::io::Result<()>| {
            if let Err(error) = result {
                log(&format!("{}: {what}: {error}", self.name));
            }
        };
        let same = |a: &Lease, b: &Lease| a.ip == b.ip && a.mask == b.mask;
        let stays = before.zip(lease).is_some_and(|(a, b)| same(a, b));
        if let Some(old) = before.filter(|_| !stays) {
            log_error(
                "address",
                link::set_address(self.index, old.ip, old.mask, false),
            );
        }
        if let Some(new) = lease.filter(|_| !stays) {
            log(&format!(
                "{} has address {} mask {} from {}",
                self.name, new.ip, new.mask, new.server
            ));
            log_error(
                "address",
                link::set_address(self.index, new.ip, new.mask, true),
            );
            if let Some(mtu) = new.mtu {
                log_error("MTU", link::set_mtu(self.index, mtu));
            }
            if let Some(router) = new.router {
                log_error("route", link::set_router(self.index, router));
            }
        }
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = lease.map(|lease| lease.ip);
        self.changed.notify_all();
    }
}

fn bound_socket() -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, CLIENT_PORT))?;
    socket.set_broadcast(true)?;
    Ok(socket)
}

/// The transport of the messages: raw frames without an address, a UDP socket
/// with one. An open raw socket would receive every frame of an image.
enum Path {
    Frames { frames: Frames, mac: [u8; 6] },
    Socket(UdpSocket),
}

impl Path {
    fn open(index: u32, mac: [u8; 6]) -> Result<Self, String> {
        let frames = Frames::open(index).map_err(|error| error.to_string())?;
        Ok(Self::Frames { frames, mac })
    }

    /// Sends the message behind the room for headers. The client repeats a
    /// message that is not sent.
    fn send(&self, buffer: &mut [u8], length: usize, to: Destination) {
        match self {
            Self::Frames { frames, mac } => {
                let header = frame::Header {
                    src_mac: *mac,
                    dst_mac: frame::BROADCAST,
                    src: Ipv4Addr::UNSPECIFIED,
                    dst: Ipv4Addr::BROADCAST,
                    src_port: CLIENT_PORT,
                    dst_port: SERVER_PORT,
                };
                if let Ok(total) = frame::emit(buffer, &header, length) {
                    let _lost = frames.send(buffer.get(..total).unwrap_or_default());
                }
            }
            Self::Socket(socket) => {
                let to = match to {
                    Destination::Broadcast => Ipv4Addr::BROADCAST,
                    Destination::Unicast(server) => server,
                };
                let start = frame::HEADER_LEN;
                let payload = buffer.get(start..start + length).unwrap_or_default();
                let _lost = socket.send_to(payload, (to, SERVER_PORT));
            }
        }
    }

    /// Returns the payload of the next message, `None` after `wait`.
    fn receive<'b>(&self, wait: Duration, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let wait = wait.max(Duration::from_millis(1));
        match self {
            Self::Frames { frames, .. } => {
                let length = frames.receive(wait, buffer).ok().flatten()?;
                // A virtual NIC may deliver frames without a checksum.
                let frame = frame::parse_with(buffer.get(..length)?, frame::UdpChecksum::Ignore);
                let frame = frame.ok().filter(|frame| frame.dst_port == CLIENT_PORT)?;
                Some(frame.payload)
            }
            Self::Socket(socket) => {
                socket.set_read_timeout(Some(wait)).ok()?;
                let length = socket.recv(buffer).ok()?;
                buffer.get(..length)
            }
        }
    }
}
