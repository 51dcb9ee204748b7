//! The appliance under test: its firmware on an emulated board, or the same
//! as a host process, at a port of the switch.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use super::arguments::escape;
use super::defmt::LogStrings;
use crate::console::Console;
use crate::process::Process;
use crate::switch::{PortId, Switch};
use crate::{Toolbox, Tools};

/// What runs as the appliance.
#[derive(Debug, Clone)]
pub struct ApplianceSpec {
    program: Program,
    /// Where the texts of its console lines are.
    elf: Option<PathBuf>,
    arguments: Vec<OsString>,
    directory: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum Program {
    /// An emulator, found by the tools.
    Emulator(String),
    /// A program that the project itself has built.
    Built(PathBuf),
}

impl ApplianceSpec {
    /// Firmware on an emulated board. In `arguments` - a board's description
    /// has them - `{elf}` becomes the firmware, `{store}` the file behind its
    /// storage, and `{switch}` the socket of its port.
    pub fn emulated(emulator: &str, arguments: &[String], elf: &Path, store: &Path) -> Self {
        let (program, store) = (escape(elf), escape(store));
        let fill = |argument: &String| {
            argument
                .replace("{elf}", &program)
                .replace("{store}", &store)
                .into()
        };
        Self {
            program: Program::Emulator(emulator.to_owned()),
            elf: Some(elf.to_owned()),
            arguments: arguments.iter().map(fill).collect(),
            directory: None,
        }
    }

    /// The appliance as a process of this host, with its storage in `store`.
    pub fn host(program: &Path, store: &Path) -> Self {
        let arguments = vec![
            "--switch".into(),
            "{switch}".into(),
            "--store".into(),
            store.into(),
        ];
        Self {
            program: Program::Built(program.to_owned()),
            elf: None,
            arguments,
            directory: None,
        }
    }

    /// Makes time an exact count of instructions, each 2^`shift` ns: the same
    /// in two runs. For an emulated board only.
    #[must_use]
    pub fn with_icount(mut self, shift: u8) -> Self {
        self.arguments
            .extend(["-icount".into(), format!("shift={shift}").into()]);
        self
    }

    /// Whether it is firmware on an emulated board.
    #[must_use]
    pub fn is_emulated(&self) -> bool {
        matches!(self.program, Program::Emulator(_))
    }

    /// More arguments, behind the others.
    #[must_use]
    pub fn with_arguments(
        mut self,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The folder that it runs in, for what it opens by relative name.
    #[must_use]
    pub fn in_directory(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    fn command(&self, tools: &Tools, socket: &Path) -> Result<Command> {
        let (mut command, socket) = match &self.program {
            Program::Emulator(name) => (tools(name)?, escape(socket)),
            Program::Built(path) => (Command::new(path), socket.to_string_lossy().into_owned()),
        };
        for argument in &self.arguments {
            match argument.to_str() {
                Some(text) => command.arg(text.replace("{switch}", &socket)),
                None => command.arg(argument),
            };
        }
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        Ok(command)
    }
}

/// A running, or stopped, appliance. Dropping it kills it.
#[derive(Debug)]
pub struct Appliance {
    spec: ApplianceSpec,
    port: PortId,
    socket: PathBuf,
    console: Console,
    texts: Option<LogStrings>,
    tools: Toolbox,
    process: Mutex<Option<Process>>,
}

impl Appliance {
    /// Gives it a port of the switch and a console log in `directory`. It
    /// does not run yet.
    ///
    /// # Errors
    /// The port or the log can't be made, or the firmware's ELF file can't
    /// be read.
    pub fn new(
        spec: ApplianceSpec,
        switch: &Switch,
        directory: &Path,
        tools: &Tools,
    ) -> Result<Self> {
        let texts = match &spec.elf {
            Some(elf) => LogStrings::of(elf)?,
            None => None,
        };
        let port = switch.add_port("appliance")?;
        Ok(Self {
            spec,
            port,
            socket: switch.socket_path(port),
            console: Console::new(&directory.join("appliance.log"))?,
            texts,
            tools: Toolbox(tools.clone()),
            process: Mutex::default(),
        })
    }

    /// Its port of the switch.
    pub fn port(&self) -> PortId {
        self.port
    }

    /// Everything that it prints, on whatever stream, over all of its runs.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.process()
            .as_mut()
            .is_some_and(|process| matches!(process.poll_exit(), Ok(None)))
    }

    /// Starts it, as power coming back does. One that runs stays as it is.
    ///
    /// # Errors
    /// The program is missing or can't be started.
    pub fn start(&self) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let command = self.spec.command(&self.tools.0, &self.socket)?;
        let mut process = Process::start(&self.tools.0, &command, |command| {
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
        })?;
        let child = process.child();
        let output = child.stdout.take().context("its standard output")?;
        match &self.texts {
            Some(texts) => self.console.attach(texts.lines(output)),
            None => self.console.attach(output),
        }
        self.console
            .attach(child.stderr.take().context("its standard error")?);
        *self.process() = Some(process);
        Ok(())
    }

    /// Cuts its power: nothing is flushed.
    pub fn kill(&self) {
        *self.process() = None;
    }

    /// Cuts its power and gives it back.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub fn restart(&self) -> Result<()> {
        self.kill();
        self.start()
    }

    /// Waits until it ends by itself. Returns its exit code; none if it still
    /// runs after `wait`, or a signal ended it.
    ///
    /// # Errors
    /// It was not started.
    pub fn wait_exit(&self, wait: Duration) -> Result<Option<i32>> {
        let status = self
            .process()
            .as_mut()
            .context("the appliance was not started")?
            .wait_exit(wait)?;
        Ok(status.and_then(|status| status.code()))
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
