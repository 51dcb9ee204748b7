//! The rack switch: a learning Ethernet switch as a thread of this process.
//!
//! Ports are Unix stream sockets that speak the framing of QEMU's
//! `-netdev stream` (each frame behind its length as a big-endian `u32`), or
//! [`HostPort`]s through which the process itself sends and receives raw
//! frames. The switch listens; a QEMU that dies and returns finds its port
//! where it was. A peer that does not read loses its own frames (a bounded
//! queue, then counted drops) and no others.
//!
//! On the way a frame passes, in this order: the sender's capture, the
//! sender's inward [`Faults`], the sender's [`PortMode`], which takes the tag
//! off, the [`Hook`]s, address learning, the [`Observer`]s and the whole-switch
//! capture, the receiver's mode, which puts the tag on, the receiver's outward
//! faults, the receiver's queue and capture.
//!
//! Every port is a plain one until [`Control::set_mode`] makes it an access
//! port or a trunk. Addresses are learnt by VLAN. Frames to the addresses that
//! bridges keep to themselves pass between plain ports only.
//!
//! Not here: spanning tree, link aggregation, a way to configure the switch
//! over the network, and what the frames mean.

mod control;
pub mod corrupt;
mod device;
mod fabric;
mod faults;
mod host;
mod lldp;
mod observe;
mod pcap;
mod pump;
mod vlan;
pub mod wires;

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

pub use control::Control;
pub(crate) use device::{Received, Transmit};
pub use fabric::{Counters, Drops};
pub use faults::Faults;
pub use host::{Cable, HostPort};
pub use observe::{Kind, Mac, Observer, Seen, Traffic};
pub use vlan::{PortMode, Tagging, VlanId};

use crate::folder::Folder;
use fabric::Fabric;
use pcap::PcapWriter;

/// The bytes of one Ethernet frame, without FCS. Cheap to clone: a flooded
/// frame is stored once.
pub type Frame = Arc<[u8]>;

/// Sees, changes or drops each frame that enters the switch, knowing the port
/// that it came in by. Runs on the switch's thread: it must not block, and
/// must not call back into the switch.
pub type Hook = Box<dyn FnMut(PortId, &mut Vec<u8>) -> Verdict + Send>;

/// What a [`Hook`] decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Carry on with the frame as it is now.
    Pass,
    /// Drop it, counted under [`Drops::hook`].
    Drop,
}

/// A port of one switch, by its number from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId(usize);

/// Names an installed [`Hook`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookId(u64);

/// How a switch behaves.
#[derive(Debug, Clone)]
pub struct SwitchConfig {
    /// Seeds every fault of every port.
    pub seed: u64,
    /// How long an address that is not heard stays learnt. 802.1D says 300 s.
    pub ageing: Duration,
    /// Bytes of frames that may wait for one peer. The default, 1 MiB, holds
    /// some 700 full frames.
    pub queue_bytes: usize,
    /// The switch's own address, by which LLDP names it.
    pub mac: Mac,
    /// Its name in LLDP.
    pub name: String,
}

impl Default for SwitchConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            ageing: Duration::from_secs(300),
            queue_bytes: 1 << 20,
            mac: Mac([0x02, 0xFA, 0x44, 0x5A, 0x00, 0x00]),
            name: "rack-switch".to_owned(),
        }
    }
}

/// What the switch's thread, the handle and the host ports share.
struct Shared {
    fabric: Mutex<Fabric>,
    new_sockets: Mutex<Vec<pump::SocketPort>>,
    /// Wakes the pump: new port, frames to carry out, or the end.
    wake: Arc<OwnedFd>,
    stop: AtomicBool,
}

impl Shared {
    fn fabric(&self) -> MutexGuard<'_, Fabric> {
        // A panic in a hook or a filter poisons the lock. The counters are
        // still sound, and the test that panicked fails anyway.
        self.fabric
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The running switch. Dropping it disconnects every peer and removes the
/// sockets.
pub struct Switch {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
    directory: Folder,
    queue_bytes: usize,
    next_hook: AtomicU64,
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch")
            .field("directory", &self.directory.path())
            .finish_non_exhaustive()
    }
}

impl Switch {
    /// Starts a switch without ports.
    ///
    /// # Errors
    /// The system has no room for a temporary directory, an eventfd or a
    /// thread.
    pub fn start(config: SwitchConfig) -> Result<Self> {
        let shared = Arc::new(Shared {
            fabric: Mutex::new(Fabric::new(&config)),
            new_sockets: Mutex::default(),
            wake: Arc::new(event_fd()?),
            stop: AtomicBool::new(false),
        });
        let directory = Folder::new(&std::env::temp_dir(), "farrier-switch-")?;
        let pump = pump::Pump::new(shared.clone());
        let thread = std::thread::Builder::new()
            .name("rack-switch".into())
            .spawn(move || pump.run())?;
        Ok(Self {
            shared,
            thread: Some(thread),
            directory,
            queue_bytes: config.queue_bytes,
            next_hook: AtomicU64::new(0),
        })
    }

    /// Adds a port for a QEMU. The peer connects to
    /// [`socket_path`](Self::socket_path), now or later, once or again; the
    /// newest connection is the port's peer.
    ///
    /// # Errors
    /// The socket can't be made.
    pub fn add_port(&self, name: &str) -> Result<PortId> {
        let id =
            self.shared
                .fabric()
                .add_port(name, self.queue_bytes, true, self.shared.wake.clone());
        let path = self.socket_path(id);
        let listener = UnixListener::bind(&path)
            .with_context(|| format!("listening on {}", path.display()))?;
        listener.set_nonblocking(true)?;
        lock(&self.shared.new_sockets).push(pump::SocketPort::new(id, listener));
        signal(&self.shared.wake);
        Ok(id)
    }

    /// Adds a port whose peer is this process.
    ///
    /// # Errors
    /// The system has no eventfd left.
    pub fn add_host_port(&self, name: &str) -> Result<HostPort> {
        let wake = Arc::new(event_fd()?);
        let mut fabric = self.shared.fabric();
        let id = fabric.add_port(name, self.queue_bytes, false, wake.clone());
        fabric.ports[id.0].set_linked(true);
        Ok(HostPort::new(self.shared.clone(), id, wake))
    }

    /// Where the peer of a port made by [`add_port`](Self::add_port) connects.
    pub fn socket_path(&self, port: PortId) -> PathBuf {
        self.directory.path().join(format!("{}.sock", port.0))
    }

    /// The name that the port was given.
    pub fn name(&self, port: PortId) -> String {
        self.shared.fabric().ports[port.0].name.clone()
    }

    /// Whether a peer is connected to the port.
    pub fn is_linked(&self, port: PortId) -> bool {
        self.control().is_linked(port)
    }

    /// What the port has carried so far.
    pub fn counters(&self, port: PortId) -> Counters {
        self.shared.fabric().ports[port.0].counters
    }

    /// The port behind which an address was last heard, in whatever VLAN, if
    /// not aged out.
    pub fn port_of(&self, mac: Mac) -> Option<PortId> {
        let fabric = self.shared.fabric();
        fabric
            .learnt(Instant::now())
            .filter(|(_, known, ..)| *known == mac)
            .max_by_key(|(.., heard)| *heard)
            .map(|(_, _, port, _)| port)
    }

    /// The handle by which the switch is configured.
    pub fn control(&self) -> Control {
        Control::new(self.shared.clone())
    }

    /// What an address has sent so far, from whatever port.
    pub fn traffic(&self, sender: Mac) -> Traffic {
        self.shared
            .fabric()
            .traffic
            .get(&sender)
            .copied()
            .unwrap_or_default()
    }

    /// Every address that has sent anything, with what it sent.
    pub fn senders(&self) -> Vec<(Mac, Traffic)> {
        let mut senders: Vec<_> = self
            .shared
            .fabric()
            .traffic
            .iter()
            .map(|(mac, traffic)| (*mac, *traffic))
            .collect();
        senders.sort_unstable_by_key(|(mac, _)| *mac);
        senders
    }

    /// Sets the faults of a port: `inward` befall what its peer sends,
    /// `outward` what its peer would receive. The lanes' generators run on;
    /// they are seeded once, when the port is made.
    pub fn set_faults(&self, port: PortId, inward: Faults, outward: Faults) {
        self.shared.fabric().set_faults(port, inward, outward);
    }

    /// Installs a hook behind those that are there.
    pub fn add_hook(&self, hook: Hook) -> HookId {
        let id = self.next_hook.fetch_add(1, Ordering::Relaxed);
        self.shared.fabric().hooks.push((id, hook));
        HookId(id)
    }

    /// Removes a hook; one that is gone already is no error.
    pub fn remove_hook(&self, hook: HookId) {
        self.shared.fabric().hooks.retain(|(id, _)| *id != hook.0);
    }

    /// Streams to the caller the frames that `filter` wants. The filter runs
    /// on the switch's thread, under the same rules as a [`Hook`].
    pub fn observe(&self, filter: impl FnMut(&Seen) -> bool + Send + 'static) -> Observer {
        let (sink, observer) = observe::observer(Box::new(filter));
        self.shared.fabric().observers.push(sink);
        observer
    }

    /// Captures every frame that enters the fabric, once each, until the
    /// switch ends.
    ///
    /// # Errors
    /// The file can't be made.
    pub fn capture(&self, path: &Path) -> Result<()> {
        self.set_capture(None, path)
    }

    /// Captures what one port's peer sends (before any fault) and is queued
    /// for it (after).
    ///
    /// # Errors
    /// The file can't be made.
    pub fn capture_port(&self, port: PortId, path: &Path) -> Result<()> {
        self.set_capture(Some(port), path)
    }

    /// Captures what is on the wire of every port, present and future, in one
    /// file, with the direction of each frame and the changes of the ports'
    /// modes: see [`wires`].
    ///
    /// # Errors
    /// The file can't be made.
    pub fn capture_wires(&self, path: &Path) -> Result<()> {
        let writer = wires::WiresWriter::create(path)
            .with_context(|| format!("creating the capture {}", path.display()))?;
        self.shared.fabric().set_wires(writer);
        Ok(())
    }

    fn set_capture(&self, port: Option<PortId>, path: &Path) -> Result<()> {
        let writer = PcapWriter::create(path)
            .with_context(|| format!("creating the capture {}", path.display()))?;
        self.shared.fabric().set_pcap(port, Some(writer));
        Ok(())
    }

    /// Writes what the captures still hold in memory to their files.
    pub fn flush_captures(&self) {
        self.shared.fabric().flush_captures();
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        signal(&self.shared.wake);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by the panic hook.
            drop(thread.join());
        }
        self.shared.fabric().flush_captures();
    }
}

pub(crate) fn event_fd() -> Result<OwnedFd> {
    use rustix::event::{EventfdFlags, eventfd};
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Makes an eventfd readable.
pub(crate) fn signal(event: &OwnedFd) {
    // It fails only when the counter is full, and then it is readable already.
    rustix::io::write(event, &1_u64.to_ne_bytes()).ok();
}

/// Makes an eventfd unreadable again.
pub(crate) fn clear(event: impl AsFd) {
    // It fails only when there is nothing to clear.
    rustix::io::read(event, &mut [0_u8; 8]).ok();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
