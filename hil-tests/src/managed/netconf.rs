//! The NETCONF server of the virtual switch: the model of `farrier-netconf`
//! with sockets, whose data path is the virtual switch.
//!
//! It speaks NETCONF without a transport below it. Clients come by
//! [SSH](super::ssh).

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use farrier_ethernet::lldp;
use farrier_netconf::model::{Config, Learned, MAX_PORTS, Model, Profile, SessionKey};
use farrier_netconf::{Dialect, PortVlans};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::ports::Ports;
use crate::switch::{Mac, PortMode, VlanId, clear, event_fd, signal};

/// Longest wait at a time, which is also how late a confirmed commit is taken
/// back at the most.
const STEP: Duration = Duration::from_millis(200);

/// The model and what it moves.
struct State {
    model: Model,
    ports: Ports,
    /// What the virtual switch was told of each port.
    carried: Vec<(String, PortVlans)>,
    /// Counts losses of power, which end every session.
    powered: u32,
}

impl State {
    /// Lets the virtual switch do what the running configuration says.
    fn carry(&mut self) {
        for (name, carried) in &mut self.carried {
            let running = self.model.carries(name).unwrap_or(PortVlans::NONE);
            if *carried != running {
                self.ports.set(name, &mode_of(&running));
                *carried = running;
            }
        }
    }

    /// Tells the model what the virtual switch has learnt.
    fn learn(&mut self) {
        let control = self.ports.control();
        let mut learned = Learned::default();
        for (mac, vlan, port) in control.addresses() {
            let known = self.ports.iter().find(|(_, id)| *id == port);
            if let (Some((name, _)), Some(vlan)) = (known, vlan) {
                learned.mac(name, mac.0, vlan.get());
            }
        }
        for (name, port) in self.ports.iter() {
            learned.link(name, control.is_linked(port));
            let frame = control.neighbour(port);
            if let Some(told) = frame.as_deref().and_then(|frame| lldp::parse(frame).ok()) {
                let text = |id: &lldp::Identifier<'_>, mac| match id.mac(mac) {
                    Some(mac) => Mac(mac).to_string(),
                    None => id.text().unwrap_or("").to_owned(),
                };
                let (chassis, port) = (text(&told.chassis, 4), text(&told.port, 3));
                learned.neighbour(name, &chassis, &port, told.system_name);
            }
        }
        self.model.learned = learned;
    }
}

/// What its thread and its handle share.
struct Shared {
    stop: AtomicBool,
    wake: OwnedFd,
    state: Mutex<State>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server. Dropping it ends it.
pub struct NetconfServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl fmt::Debug for NetconfServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NetconfServer").field(&self.address).finish()
    }
}

impl NetconfServer {
    /// Starts a server with all capabilities on a free port of 127.0.0.1. Its
    /// running configuration, which is also what it starts with again, is what
    /// the switch's ports carry now and the VLANs that they are in.
    ///
    /// # Errors
    /// More ports or VLANs than the model has room for, a plain port, or the
    /// system's.
    pub fn start(ports: Ports, dialect: &'static Dialect) -> Result<Self> {
        let mut config = Config::default();
        let mut carried = Vec::new();
        for (name, mode) in ports.modes() {
            let vlans = vlans_of(&mode)?;
            for vlan in vlans.tagged().iter().copied().chain(vlans.untagged()) {
                config = config.vlan(vlan);
            }
            config = config.port(&name, &vlans);
            carried.push((name, vlans));
        }
        ensure!(carried.len() <= MAX_PORTS, "more than {MAX_PORTS} ports");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            wake: event_fd()?,
            state: Mutex::new(State {
                model: Model::new(Profile::full(dialect), config),
                ports,
                carried,
                powered: 0,
            }),
        });
        let thread = {
            let mut server = Server {
                shared: shared.clone(),
                listener,
                clients: Vec::new(),
                powered: 0,
                start: Instant::now(),
            };
            std::thread::Builder::new()
                .name("netconf-server".into())
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

    /// Looks into the model, or changes it: its faults, what an operator does
    /// at the console. The virtual switch follows at once.
    pub fn with<R>(&self, act: impl FnOnce(&mut Model) -> R) -> R {
        let mut state = self.shared.state();
        let result = act(&mut state.model);
        state.carry();
        drop(state);
        signal(&self.shared.wake);
        result
    }

    /// Loses power and starts with its startup configuration; every session
    /// ends.
    pub fn power_cycle(&self) {
        let mut state = self.shared.state();
        state.model.power_cycle();
        state.powered += 1;
        state.carry();
        drop(state);
        signal(&self.shared.wake);
    }
}

impl Drop for NetconfServer {
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
    key: SessionKey,
    /// Bytes on their way to the client.
    outgoing: Vec<u8>,
}

/// What the thread works on.
struct Server {
    shared: Arc<Shared>,
    listener: TcpListener,
    clients: Vec<Client>,
    powered: u32,
    start: Instant,
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
            flags.set(PollFlags::OUT, !client.outgoing.is_empty());
            fds.push(PollFd::new(&client.stream, flags));
        }
        // A fifth of a second fits a Timespec.
        let timeout = Timespec::try_from(STEP).unwrap_or_default();
        // Interrupted or not, everything is looked at again.
        poll(&mut fds, Some(&timeout)).ok();
        clear(&self.shared.wake);
    }

    fn turn(&mut self) {
        let mut state = self.shared.state();
        if self.powered != state.powered {
            self.powered = state.powered;
            // Their sessions are gone, and the keys may be others' by now.
            self.clients.clear();
        }
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        state.model.set_time(now);
        state.carry();
        while let Ok((stream, _)) = self.listener.accept() {
            // One too many is closed at once.
            if stream.set_nonblocking(true).is_ok()
                && let Some(key) = state.model.connect()
            {
                stream.set_nodelay(true).ok();
                self.clients.push(Client {
                    stream,
                    key,
                    outgoing: Vec::new(),
                });
            }
        }
        self.clients.retain_mut(|client| {
            let stays = client.turn(&mut state).is_ok();
            if !stays {
                state.model.disconnect(client.key);
                state.carry();
            }
            stays
        });
    }
}

/// The client or its session is gone.
struct Gone;

impl Client {
    fn turn(&mut self, state: &mut State) -> Result<(), Gone> {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Gone),
                Ok(count) => {
                    state.learn();
                    state.model.receive(self.key, &buffer[..count]);
                    self.take(&mut state.model);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
        }
        // This may end a session, and what it did not confirm.
        self.take(&mut state.model);
        // Before anyone is told of it.
        state.carry();
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(count) => {
                    self.outgoing.drain(..count);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
        }
        match state.model.is_open(self.key) {
            true => Ok(()),
            false => Err(Gone),
        }
    }

    /// Takes what the model has for the client.
    fn take(&mut self, model: &mut Model) {
        let mut buffer = [0; 4096];
        loop {
            let count = model.transmit(self.key, &mut buffer);
            if count == 0 {
                return;
            }
            self.outgoing.extend_from_slice(&buffer[..count]);
        }
    }
}

/// What a port with these VLANs does.
fn mode_of(vlans: &PortVlans) -> PortMode {
    PortMode::trunk(
        vlans.tagged().iter().copied().filter_map(VlanId::new),
        vlans.untagged().and_then(VlanId::new),
    )
}

/// The VLANs of a port that carries this.
fn vlans_of(mode: &PortMode) -> Result<PortVlans> {
    let vlans = match mode {
        PortMode::Plain => None,
        PortMode::Vlans { untagged, tagged } => {
            let tagged: Vec<_> = tagged.iter().map(|vlan| vlan.get()).collect();
            PortVlans::new(untagged.map(VlanId::get), &tagged)
        }
    };
    vlans.with_context(|| format!("no configuration says `{mode}`"))
}
