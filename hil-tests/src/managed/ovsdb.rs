//! The OVSDB server of the virtual switch: the model of `farrier-ovsdb` with
//! sockets, whose data path is the virtual switch.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use farrier_ovsdb::model::{self, Connection, Pace};
use farrier_ovsdb::{Carriage, PortName, PortVlan};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::ports::Ports;
use crate::switch::{Counters, PortMode, VlanId, clear, event_fd, signal};

/// Ports of the switch.
pub const PORTS: usize = 24;
/// Bytes of a request and of a reply.
const BUFFER: usize = 8_192;
/// The model.
pub type Model = model::Switch<PORTS>;

/// A client without a byte for so long is asked whether it is there, and
/// counters are looked at, as Open vSwitch does.
const PROBE: Duration = Duration::from_secs(5);
/// Longest wait at a time.
const STEP: Duration = Duration::from_millis(500);

/// What its thread and its handle share.
struct Shared {
    stop: AtomicBool,
    wake: OwnedFd,
    state: Mutex<State>,
}

/// The model and what it moves.
struct State {
    model: Model,
    ports: Ports,
    /// What the virtual switch was told of each port.
    carried: Vec<PortVlan>,
}

impl State {
    /// Lets the virtual switch do what the model's data path does.
    fn carry(&mut self) {
        for (port, carried) in self.model.ports().zip(&mut self.carried) {
            if carried != port.running() {
                *carried = *port.running();
                self.ports.set(port.name().as_str(), &mode_of(carried));
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server. Dropping it ends it.
pub struct OvsdbServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl fmt::Debug for OvsdbServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OvsdbServer").field(&self.address).finish()
    }
}

impl OvsdbServer {
    /// Starts the server on a free port of 127.0.0.1. The rows begin with what
    /// the switch's ports carry now, which is also what it starts with again.
    ///
    /// # Errors
    /// More than [`PORTS`] ports, one that no row can describe (plain, or
    /// without a VLAN), or the system's.
    pub fn start(ports: Ports) -> Result<Self> {
        let mut model = Model::new();
        for (name, mode) in ports.modes() {
            let port = PortName::new(&name).with_context(|| format!("the port name `{name}`"))?;
            let added = model.add_port(port, row_of(&mode)?);
            ensure!(added, "more than {PORTS} ports");
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            wake: event_fd()?,
            state: Mutex::new(State {
                carried: model.ports().map(|port| *port.running()).collect(),
                model,
                ports,
            }),
        });
        let thread = {
            let mut server = Server {
                shared: shared.clone(),
                listener,
                clients: Vec::new(),
                counted: Vec::new(),
                looked: Instant::now(),
            };
            std::thread::Builder::new()
                .name("ovsdb-server".into())
                .spawn(move || server.run())?
        };
        Ok(Self {
            shared,
            address,
            thread: Some(thread),
        })
    }

    /// Where it listens on localhost.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Looks into the model, or changes it: its faults, its pace, what another
    /// operator does. The virtual switch follows at once, clients are told.
    pub fn with<R>(&self, act: impl FnOnce(&mut Model) -> R) -> R {
        let mut state = self.shared.state();
        let result = act(&mut state.model);
        state.carry();
        drop(state);
        signal(&self.shared.wake);
        result
    }
}

impl Drop for OvsdbServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        signal(&self.shared.wake);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by the panic hook.
            thread.join().ok();
        }
    }
}

/// A connected client.
struct Client {
    stream: TcpStream,
    connection: Connection<BUFFER>,
    /// Bytes that the connection has not yet taken.
    incoming: Vec<u8>,
    heard: Instant,
}

/// What the thread works on.
struct Server {
    shared: Arc<Shared>,
    listener: TcpListener,
    clients: Vec<Client>,
    /// Counters of the ports that the model knows already.
    counted: Vec<Counters>,
    looked: Instant,
}

impl Server {
    fn run(&mut self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            self.wait();
            self.turn();
        }
    }

    fn wait(&self) {
        let mut fds = vec![
            PollFd::new(&self.shared.wake, PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN),
        ];
        for client in &self.clients {
            let mut flags = PollFlags::IN;
            flags.set(PollFlags::OUT, !client.connection.output().is_empty());
            fds.push(PollFd::new(&client.stream, flags));
        }
        // Half a second fits a Timespec.
        let timeout = Timespec::try_from(STEP).unwrap_or_default();
        // Interrupted or not, everything is looked at again.
        poll(&mut fds, Some(&timeout)).ok();
        clear(&self.shared.wake);
    }

    fn turn(&mut self) {
        let shared = self.shared.clone();
        let mut state = shared.state();
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                stream.set_nodelay(true).ok();
                self.clients.push(Client {
                    stream,
                    connection: Connection::new(&state.model),
                    incoming: Vec::new(),
                    heard: Instant::now(),
                });
            }
        }
        if self.looked.elapsed() >= PROBE {
            self.looked = Instant::now();
            let State { model, ports, .. } = &mut *state;
            ports.count(&mut self.counted, |name, linked, received, transmitted| {
                model.set_link(name, linked);
                model.count(name, received, transmitted);
            });
        }
        // What one client changes, others are told, who may answer.
        let mut moved = true;
        while std::mem::take(&mut moved) {
            self.clients.retain_mut(|client| {
                let turn = client.turn(&mut state);
                moved |= matches!(turn, Ok(true) | Err(Gone));
                turn.is_ok()
            });
            // Also what was stored for a client that is gone or is never
            // answered.
            if state.model.pace() == Pace::AfterReply {
                state.model.apply();
                state.carry();
            }
        }
    }
}

/// The client or its connection is gone.
struct Gone;

impl Client {
    /// Moves bytes; true if there were any.
    fn turn(&mut self, state: &mut State) -> Result<bool, Gone> {
        let mut moved = false;
        let mut buffer = [0; BUFFER];
        if self.incoming.len() < BUFFER {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Gone),
                Ok(count) => {
                    self.incoming.extend_from_slice(&buffer[..count]);
                    self.heard = Instant::now();
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
        }
        if self.heard.elapsed() >= PROBE {
            self.heard = Instant::now();
            self.connection.ask_echo();
        }
        let mut input = self.incoming.as_slice();
        let before = input.len();
        self.connection.receive(&mut state.model, &mut input);
        let taken = before - input.len();
        self.incoming.drain(..taken);
        self.connection.poll(&mut state.model);
        // Before anyone is told that the data path follows.
        state.carry();
        if self.connection.is_closed() {
            return Err(Gone);
        }
        let output = self.connection.output();
        if !output.is_empty() {
            match self.stream.write(output) {
                Ok(count) => {
                    self.connection.sent(count);
                    moved |= count > 0;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
        }
        Ok(moved || taken > 0)
    }
}

/// What a port with these columns does.
///
/// VLAN 0, in which Open vSwitch carries untagged frames of trunks without a
/// native VLAN, is not carried; `native-tagged` is a trunk that takes tagged
/// frames only; a tunnel and unknown modes carry nothing.
fn mode_of(row: &PortVlan) -> PortMode {
    let carriage = |vlan: &VlanId| row.carriage(vlan.get());
    let all = || (1..=4094).filter_map(VlanId::new);
    PortMode::trunk(
        all().filter(|vlan| carriage(vlan) == Some(Carriage::Tagged)),
        all().find(|vlan| carriage(vlan) == Some(Carriage::Untagged)),
    )
}

/// The columns of a port that carries this.
fn row_of(mode: &PortMode) -> Result<PortVlan> {
    let PortMode::Vlans { untagged, tagged } = mode else {
        anyhow::bail!("a plain port has no VLANs that a row can say");
    };
    let tags: Vec<_> = tagged.iter().map(|vlan| vlan.get()).collect();
    let row = match (untagged, tags.as_slice()) {
        (None, tags) => PortVlan::trunk(tags),
        (Some(vlan), []) => PortVlan::access(vlan.get()),
        (Some(vlan), tags) => PortVlan::native(vlan.get(), tags),
    };
    row.with_context(|| format!("no row says `{mode}`"))
}
