//! Light servers: machines that the rig plays itself, in seconds where QEMU
//! takes minutes.
//!
//! What the rack can see of them is real. The boot program asks by DHCP, TFTP
//! and HTTP as PXE, UEFI and iPXE do ([`rom`](self)); the ramdisk's agent is
//! the shipping one, as a process of the host whose disks are files; the
//! system on the disk is checked byte by byte and takes its identity from the
//! config drive. What the rack can't see is left out: no processor, no
//! kernel, no drivers, no firmware variables. A light server shows nothing
//! about those; QEMU's servers do.

pub mod assets;
mod config_drive;
mod dhcp;
mod http;
mod lease;
mod network;
mod power;
mod ramdisk;
mod rom;
mod script;
mod system;
mod tftp;

pub use ramdisk::{PROGRAM as AGENT_PROGRAM, STOLEN_TICKET};

use std::fs::File;
use std::io::{PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};

use crate::console::Console;
use crate::qemu::{Event, EventLog, ServerSpec};
use crate::switch::{Cable, HostPort, Mac, Switch};
use crate::{Toolbox, Tools};
use network::Network;
use power::Control;

/// How a machine stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Reboot,
    PowerOff,
}

/// A light server. Dropping it switches it off and leaves its files to the
/// directory's owner.
#[derive(Debug)]
pub struct Server {
    spec: ServerSpec,
    directory: PathBuf,
    agent: PathBuf,
    tools: Toolbox,
    console: Console,
    events: EventLog,
    cables: Vec<Cable>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Off(Vec<HostPort>),
    On(Running),
    /// While it changes from one to the other; stays so after a panic.
    Between,
}

#[derive(Debug)]
struct Running {
    thread: JoinHandle<Vec<HostPort>>,
    control: Arc<Control>,
}

/// What the thread that plays the machine works with.
struct Machine {
    spec: ServerSpec,
    directory: PathBuf,
    disks: Vec<PathBuf>,
    agent: PathBuf,
    tools: Toolbox,
    serial: PipeWriter,
    network: Network,
    control: Arc<Control>,
    asker: dhcp::Asker,
}

impl Server {
    /// Builds the server: its directory below `directory`, its disks, a port
    /// of the switch for each card: `NAME`, `NAME-2`, and so on. It stays off. `agent` is the program
    /// [`AGENT_PROGRAM`].
    ///
    /// # Errors
    /// The files can't be made, or it has no card.
    pub fn new(
        spec: ServerSpec,
        switch: &Switch,
        directory: &Path,
        agent: &Path,
        tools: &Tools,
    ) -> Result<Self> {
        ensure!(
            !spec.nics.is_empty(),
            "{}: a light server has a network card",
            spec.name
        );
        let directory = directory.join(&spec.name);
        std::fs::create_dir(&directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        for (index, disk) in spec.disks.iter().enumerate() {
            File::create_new(disk_path(&directory, index))?.set_len(disk.bytes)?;
        }
        let ports = (0..spec.nics.len())
            .map(|card| match card {
                0 => switch.add_host_port(&spec.name),
                card => switch.add_host_port(&format!("{}-{}", spec.name, card + 1)),
            })
            .collect::<Result<Vec<_>>>()?;
        ports.iter().for_each(|port| port.set_linked(false));
        Ok(Self {
            cables: ports.iter().map(HostPort::cable).collect(),
            console: Console::new(&directory.join("console.log"))?,
            spec,
            directory,
            agent: agent.to_owned(),
            tools: Toolbox(tools.clone()),
            events: EventLog::default(),
            state: Mutex::new(State::Off(ports)),
        })
    }

    /// What it is built of.
    pub fn spec(&self) -> &ServerSpec {
        &self.spec
    }

    /// The address of its card.
    pub fn mac(&self) -> Mac {
        self.spec.nics.first().map_or(Mac([0; 6]), |nic| nic.mac)
    }

    /// The cable of a card.
    pub fn cable(&self, card: usize) -> Option<&Cable> {
        self.cables.get(card)
    }

    /// The raw file behind a disk.
    pub fn disk(&self, index: usize) -> PathBuf {
        disk_path(&self.directory, index)
    }

    /// Its serial line, over all power cycles.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// What has happened to it, over all power cycles.
    pub fn events(&self) -> &EventLog {
        &self.events
    }

    /// Whether it is on. One that has switched itself off is noticed here.
    pub fn is_on(&self) -> bool {
        let mut state = self.state();
        if matches!(&*state, State::On(running) if running.thread.is_finished()) {
            stop(&mut state);
        }
        matches!(&*state, State::On(_))
    }

    /// Switches it on. One that is on stays as it is.
    ///
    /// # Errors
    /// The host has no room for a thread or a pipe.
    pub fn power_on(&self) -> Result<()> {
        if self.is_on() {
            return Ok(());
        }
        let mut state = self.state();
        let digits: String = self
            .spec
            .identity
            .uuid
            .chars()
            .filter(|c| *c != '-')
            .collect();
        let uuid = u128::from_str_radix(&digits, 16).context("the server's UUID")?;
        let control = Arc::new(Control::new()?);
        let (reader, serial) = std::io::pipe()?;
        let State::Off(ports) = std::mem::replace(&mut *state, State::Between) else {
            anyhow::bail!("{}: its thread has panicked", self.spec.name);
        };
        self.console.attach(reader);
        self.events.push(Event::On);
        ports.iter().for_each(|port| port.set_linked(true));
        let mac = self.mac();
        let cards = ports
            .into_iter()
            .zip(&self.spec.nics)
            .enumerate()
            .map(|(place, (port, nic))| (port, nic.mac, lldp_path(&self.directory, place)))
            .collect();
        let machine = Machine {
            spec: self.spec.clone(),
            directory: self.directory.clone(),
            disks: (0..self.spec.disks.len())
                .map(|index| self.disk(index))
                .collect(),
            agent: self.agent.clone(),
            tools: self.tools.clone(),
            serial,
            network: Network::new(cards, control.clone())?,
            control: control.clone(),
            asker: dhcp::Asker {
                mac: mac.0,
                uuid: uuid.to_be_bytes(),
            },
        };
        let events = self.events.clone();
        let thread = std::thread::Builder::new()
            .name(format!("light-{}", self.spec.name))
            .spawn(move || machine.run(&events))?;
        *state = State::On(Running { thread, control });
        Ok(())
    }

    /// Takes its power away, as a PDU does. One that is off stays off.
    pub fn power_off(&self) {
        if self.is_on() {
            let mut state = self.state();
            if let State::On(running) = &*state {
                running.control.cut();
            }
            stop(&mut state);
            self.events.push(Event::Off { by_guest: false });
        }
    }

    /// Presses the reset button.
    ///
    /// # Errors
    /// It is off.
    pub fn reset(&self) -> Result<()> {
        self.control("reset")?.reset();
        self.events.push(Event::Reset { by_guest: false });
        Ok(())
    }

    /// Presses the power button for a moment. The system on its disk obeys.
    ///
    /// # Errors
    /// It is off.
    pub fn press_power_button(&self) -> Result<()> {
        self.control("power button")?.press_button();
        self.events.push(Event::PowerButton);
        Ok(())
    }

    fn control(&self, what: &str) -> Result<Arc<Control>> {
        match &*self.state() {
            State::On(running) if !running.thread.is_finished() => Ok(running.control.clone()),
            _ => anyhow::bail!("{}: {what}: it is off", self.spec.name),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.power_off();
    }
}

/// Waits for the machine's thread and takes its link down.
fn stop(state: &mut State) {
    if let State::On(running) = std::mem::replace(state, State::Between)
        // A panic of the thread has been printed by the panic hook.
        && let Ok(ports) = running.thread.join()
    {
        ports.iter().for_each(|port| port.set_linked(false));
        *state = State::Off(ports);
    }
}

/// Where the last LLDP frame of a card is kept.
fn lldp_path(directory: &Path, card: usize) -> PathBuf {
    directory.join(format!("lldp-{card}"))
}

fn disk_path(directory: &Path, index: usize) -> PathBuf {
    directory.join(format!("disk-{index}.raw"))
}

impl Machine {
    /// Plays the machine until it is off.
    fn run(mut self, events: &EventLog) -> Vec<HostPort> {
        while !self.control.is_cut() {
            self.control.start_over();
            let ended = rom::start(&mut self);
            if self.control.is_cut() {
                break;
            }
            match ended {
                _ if self.control.is_interrupted() => {}
                Ok(Ending::Reboot) => events.push(Event::Reset { by_guest: true }),
                Ok(Ending::PowerOff) => {
                    events.push(Event::Off { by_guest: true });
                    break;
                }
                Err(error) => {
                    self.say(&format!("the machine stops: {error:#}"));
                    events.push(Event::Panicked);
                    // As a kernel with panic=… does.
                    self.network.pause(std::time::Duration::from_secs(2)).ok();
                }
            }
        }
        self.network.into_ports()
    }

    /// Prints a line on the serial line.
    fn say(&mut self, line: &str) {
        // Nobody reads it any more only when the rig ends.
        self.serial.write_all(format!("{line}\n").as_bytes()).ok();
    }
}
