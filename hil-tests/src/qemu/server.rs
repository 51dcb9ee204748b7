//! A server of the rack: a QEMU process while it is on, files while it is not.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use qapi::qmp;

use super::arguments::{Files, OVMF_VARIABLES, arguments, data_file, nic_slot};
use super::events::{Event, EventLog};
use super::qmp::Qmp;
use super::spec::{Firmware, ServerSpec};
use super::uefi_variables::put_http_boot_first;
use crate::console::Console;
use crate::process::Process;
use crate::switch::{Mac, PortId, Switch};
use crate::{Toolbox, Tools};

/// A blank server that the rig can switch on. Dropping it switches it off and
/// leaves its files to the directory's owner.
#[derive(Debug)]
pub struct Server {
    spec: ServerSpec,
    files: Files,
    ports: Vec<PortId>,
    sockets: Vec<PathBuf>,
    tools: Toolbox,
    console: Console,
    events: EventLog,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    qmp: Qmp,
}

impl Server {
    /// Builds the server: makes its directory below `directory`, its disks,
    /// its firmware's variables, and a port of the switch for each card. It
    /// stays off.
    ///
    /// # Errors
    /// The files can't be made, or OVMF is not installed.
    pub fn new(spec: ServerSpec, switch: &Switch, directory: &Path, tools: &Tools) -> Result<Self> {
        let files = Files {
            directory: directory.join(&spec.name),
        };
        std::fs::create_dir(&files.directory)
            .with_context(|| format!("creating {}", files.directory.display()))?;
        for (index, disk) in spec.disks.iter().enumerate() {
            ensure!(
                disk.bytes.is_multiple_of(512),
                "{}: disk {index} is no whole number of sectors",
                spec.name
            );
            File::create_new(files.disk(index))?.set_len(disk.bytes)?;
        }
        if spec.firmware == Firmware::Uefi {
            let template = data_file(tools, OVMF_VARIABLES)?;
            let mut store = std::fs::read(&template)
                .with_context(|| format!("reading {}", template.display()))?;
            if spec.uefi_http_first {
                let card = spec.nics.first().context("HTTP boot without a card")?;
                put_http_boot_first(&mut store, nic_slot(0), card.mac)?;
            }
            std::fs::write(files.uefi_variables(), store)?;
        }
        let ports: Vec<PortId> = spec
            .nics
            .iter()
            .enumerate()
            .map(|(index, _)| match index {
                0 => switch.add_port(&spec.name),
                _ => switch.add_port(&format!("{}-{}", spec.name, index + 1)),
            })
            .collect::<Result<_>>()?;
        let sockets = ports.iter().map(|port| switch.socket_path(*port)).collect();
        let console = Console::new(&files.console())?;
        Ok(Self {
            spec,
            files,
            ports,
            sockets,
            tools: Toolbox(tools.clone()),
            console,
            events: EventLog::default(),
            running: Mutex::default(),
        })
    }

    /// What it is built of.
    pub fn spec(&self) -> &ServerSpec {
        &self.spec
    }

    /// Its name in the rig.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The address of its first card; all zero without cards.
    pub fn mac(&self) -> Mac {
        self.spec.nics.first().map_or(Mac([0; 6]), |nic| nic.mac)
    }

    /// The switch ports of its cards.
    pub fn ports(&self) -> &[PortId] {
        &self.ports
    }

    /// The raw file behind a disk, to read from outside.
    pub fn disk(&self, index: usize) -> PathBuf {
        self.files.disk(index)
    }

    /// Its serial line, over all power cycles.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// What has happened to it, over all power cycles.
    pub fn events(&self) -> &EventLog {
        &self.events
    }

    /// Whether it is on. A guest that has switched itself off is noticed here.
    pub fn is_on(&self) -> bool {
        let mut running = self.running();
        let ended = running
            .as_mut()
            .is_some_and(|running| !matches!(running.process.poll_exit(), Ok(None)));
        if ended {
            *running = None;
        }
        running.is_some()
    }

    /// Switches it on. One that is on stays as it is.
    ///
    /// # Errors
    /// QEMU is missing or refuses to start; its own words are in the message.
    pub fn power_on(&self) -> Result<()> {
        if self.is_on() {
            return Ok(());
        }
        let mut running = self.running();
        let listener = Qmp::listen(&self.files.qmp())?;
        let mut command = (self.tools.0)("qemu-system-x86_64")?;
        command.args(arguments(
            &self.spec,
            &self.files,
            &self.sockets,
            &self.tools.0,
        )?);
        let complaints = File::create(self.files.complaints())?;
        let mut process = Process::start(&self.tools.0, &command, |command| {
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(complaints);
        })?;
        let serial = process
            .child()
            .stdout
            .take()
            .context("QEMU's serial line")?;
        self.console.attach(serial);
        self.events.push(Event::On);
        let qmp = Qmp::accept(&listener, self.events.clone(), || {
            match process.poll_exit()? {
                None => Ok(()),
                Some(status) => {
                    let words =
                        std::fs::read_to_string(self.files.complaints()).unwrap_or_default();
                    bail!(
                        "{}: QEMU ended with {status}: {}",
                        self.spec.name,
                        words.trim()
                    )
                }
            }
        })?;
        *running = Some(Running { process, qmp });
        Ok(())
    }

    /// Takes its power away, as a PDU does. One that is off stays off.
    pub fn power_off(&self) {
        if self.is_on() {
            *self.running() = None;
            self.events.push(Event::Off { by_guest: false });
        }
    }

    /// Takes its power away and gives it back.
    ///
    /// # Errors
    /// Those of [`power_on`](Self::power_on).
    pub fn power_cycle(&self) -> Result<()> {
        self.power_off();
        self.power_on()
    }

    /// Presses the reset button.
    ///
    /// # Errors
    /// It is off.
    pub fn reset(&self) -> Result<()> {
        self.execute(&qmp::system_reset {})
    }

    /// Presses the power button for a moment: an ACPI request that a guest's
    /// system may obey.
    ///
    /// # Errors
    /// It is off.
    pub fn press_power_button(&self) -> Result<()> {
        self.execute(&qmp::system_powerdown {})
    }

    /// Stops all of its processors, as a machine that hangs; `resume` ends it.
    ///
    /// # Errors
    /// It is off.
    pub fn freeze(&self) -> Result<()> {
        self.execute(&qmp::stop {})
    }

    /// Lets it run on after [`freeze`](Self::freeze).
    ///
    /// # Errors
    /// It is off.
    pub fn resume(&self) -> Result<()> {
        self.execute(&qmp::cont {})
    }

    /// Waits until the guest has switched the machine off.
    ///
    /// # Errors
    /// It is still on after `wait`; the last console lines are in the message.
    pub fn wait_off(&self, wait: Duration) -> Result<()> {
        let deadline = Instant::now() + wait;
        while self.is_on() {
            ensure!(
                Instant::now() < deadline,
                "{}: still on after {wait:?}; its console:\n{}",
                self.spec.name,
                self.console.tail()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn execute<C: qmp::QmpCommand>(&self, command: &C) -> Result<()> {
        let mut running = self.running();
        let running = running
            .as_mut()
            .with_context(|| format!("{}: {}: it is off", self.spec.name, C::NAME))?;
        running
            .qmp
            .execute(command)
            .with_context(|| self.spec.name.clone())?;
        Ok(())
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
