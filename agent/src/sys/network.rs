//! The boot interface: found by its address, brought up, kept configured by
//! the DHCP client for as long as the machine runs.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use farrier_dhcp::client::{Action, Client, Config, Destination, Event, Lease};
use farrier_ethernet::frame;

use super::console::say;
use super::link::{self, Frames};
use super::{hardware, soon_random};

/// DHCP's ports (RFC 2131, section 4.1).
const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
/// Room for the longest message that the client takes, and its headers.
const BUFFER: usize = 1600;
/// Longest wait for a link to come up before the first message: sent earlier
/// it would be lost, and the next one comes a second later.
const CARRIER: Duration = Duration::from_secs(5);
/// Longest wait at a time; waits are repeated.
const STEP: Duration = Duration::from_secs(5);

/// The boot interface.
#[derive(Debug)]
pub struct BootInterface {
    /// Its name.
    pub name: String,
    index: u32,
    mac: [u8; 6],
    address: Mutex<Option<Ipv4Addr>>,
    changed: Condvar,
}

impl BootInterface {
    /// Waits for the interface with this address and sets it up.
    pub fn find(mac: [u8; 6], deadline: Instant) -> Option<Arc<Self>> {
        loop {
            if let Some(name) = hardware::interface_by_mac(mac)
                && let Some(index) = hardware::interface_index(&name)
            {
                if let Err(error) = link::up(index) {
                    say(&format!("can't set {name} up: {error}"));
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

    /// The interface's address at present.
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

    /// Starts the thread that gets and keeps an address.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn spawn_dhcp(self: &Arc<Self>, uuid: [u8; 16]) -> std::io::Result<()> {
        let interface = Arc::clone(self);
        std::thread::Builder::new()
            .name("dhcp".into())
            .stack_size(crate::STACK)
            .spawn(move || {
                interface.wait_carrier();
                loop {
                    if let Err(error) = interface.keep(uuid) {
                        say(&format!("DHCP on {}: {error}", interface.name));
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

    /// Runs the client; comes back only with an error.
    fn keep(&self, uuid: [u8; 16]) -> Result<(), String> {
        let began = Instant::now();
        let now = || u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut client = Client::new(Config {
            uuid: (uuid != [0; 16]).then_some(uuid),
            class_id: Some(b"farrier-agent"),
            ..Config::new(self.mac)
        });
        let mut path = Path::open(self.index, self.mac)?;
        let mut buffer = [0; BUFFER];
        loop {
            let payload = buffer.get_mut(frame::HEADER_LEN..).unwrap_or_default();
            let action = client
                .poll(now(), soon_random(), payload)
                .map_err(|error| format!("{error:?}"))?;
            match action {
                Action::Send { len, to } => path.send(&mut buffer, len, to),
                Action::Expired => {
                    say(&format!("{} has lost its address", self.name));
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
                            say(&format!("{}: the DHCP server refuses", self.name));
                            self.configure(before.as_ref(), None);
                            path = Path::open(self.index, self.mac)?;
                        }
                    }
                }
            }
        }
    }

    /// Puts a lease onto the interface, and takes an older one off.
    fn configure(&self, before: Option<&Lease>, lease: Option<&Lease>) {
        let tell = |what: &str, result: rustix::io::Result<()>| {
            if let Err(error) = result {
                say(&format!("{}: {what}: {error}", self.name));
            }
        };
        let same = |a: &Lease, b: &Lease| a.ip == b.ip && a.mask == b.mask;
        let stays = before.zip(lease).is_some_and(|(a, b)| same(a, b));
        if let Some(old) = before.filter(|_| !stays) {
            tell(
                "address",
                link::set_address(self.index, old.ip, old.mask, false),
            );
        }
        if let Some(new) = lease.filter(|_| !stays) {
            say(&format!(
                "{} has address {} mask {} from {}",
                self.name, new.ip, new.mask, new.server
            ));
            tell(
                "address",
                link::set_address(self.index, new.ip, new.mask, true),
            );
            if let Some(router) = new.router {
                tell("route", link::set_router(self.index, router));
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

/// How messages travel: as raw frames without an address, by the kernel with
/// one. A raw socket that stayed open would see every frame of an image.
enum Path {
    Frames { frames: Frames, mac: [u8; 6] },
    Socket(UdpSocket),
}

impl Path {
    fn open(index: u32, mac: [u8; 6]) -> Result<Self, String> {
        let frames = Frames::open(index).map_err(|error| error.to_string())?;
        Ok(Self::Frames { frames, mac })
    }

    /// Sends the message behind the room for headers. What is not sent is
    /// lost, and the client repeats it.
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

    /// The payload of the next message, `None` after `wait`.
    fn receive<'b>(&self, wait: Duration, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let wait = wait.max(Duration::from_millis(1));
        match self {
            Self::Frames { frames, .. } => {
                let length = frames.receive(wait, buffer).ok().flatten()?;
                // The checksum may be left to hardware that a virtual NIC
                // does not have.
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
