//! A server of a rack, in one of two forms.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::console::Console;
use crate::qemu::{EventLog, ServerSpec};
use crate::switch::{Cable, Mac, Switch};
use crate::{Tools, light, qemu};

/// How much of a server there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// Played by the rig: boot program, network, disks and the shipping agent
    /// as a host process. Seconds.
    Light,
    /// A machine in QEMU with real firmware, kernel, ramdisk and Debian.
    /// Minutes.
    Whole,
}

impl Form {
    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Whole => "whole",
        }
    }
}

/// A server.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a rack has a handful of servers")]
pub enum Server {
    /// See [`Form::Light`].
    Light(light::Server),
    /// See [`Form::Whole`].
    Whole(qemu::Server),
}

macro_rules! either {
    ($self:ident, $server:ident => $what:expr) => {
        match $self {
            Self::Light($server) => $what,
            Self::Whole($server) => $what,
        }
    };
}

impl Server {
    /// Builds a server of `form`; `agent` is the program of a light one. It
    /// stays off.
    ///
    /// # Errors
    /// Those of [`light::Server::new`] and [`qemu::Server::new`].
    pub fn new(
        form: Form,
        spec: ServerSpec,
        switch: &Switch,
        directory: &Path,
        agent: &Path,
        tools: &Tools,
    ) -> Result<Self> {
        Ok(match form {
            Form::Light => Self::Light(light::Server::new(spec, switch, directory, agent, tools)?),
            Form::Whole => Self::Whole(qemu::Server::new(spec, switch, directory, tools)?),
        })
    }

    /// Its form.
    pub fn form(&self) -> Form {
        match self {
            Self::Light(_) => Form::Light,
            Self::Whole(_) => Form::Whole,
        }
    }

    /// What it is built of.
    pub fn spec(&self) -> &ServerSpec {
        either!(self, server => server.spec())
    }

    /// Its name in the rig.
    pub fn name(&self) -> &str {
        &self.spec().name
    }

    /// The address of its first card.
    pub fn mac(&self) -> Mac {
        either!(self, server => server.mac())
    }

    /// The cable of a card of a light server.
    ///
    /// # Errors
    /// The server is a whole one, or has no such card.
    pub fn cable(&self, card: usize) -> Result<&Cable> {
        match self {
            Self::Light(server) => server.cable(card),
            Self::Whole(_) => None,
        }
        .with_context(|| format!("{} has no cable {card} to pull", self.name()))
    }

    /// The raw file behind a disk, to read from outside.
    pub fn disk(&self, index: usize) -> PathBuf {
        either!(self, server => server.disk(index))
    }

    /// Its serial line, over all power cycles.
    pub fn console(&self) -> &Console {
        either!(self, server => server.console())
    }

    /// What has happened to it, over all power cycles.
    pub fn events(&self) -> &EventLog {
        either!(self, server => server.events())
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        either!(self, server => server.is_on())
    }

    /// Switches it on. One that is on stays as it is.
    ///
    /// # Errors
    /// It does not start.
    pub fn power_on(&self) -> Result<()> {
        either!(self, server => server.power_on())
    }

    /// Takes its power away, as a PDU does. One that is off stays off.
    pub fn power_off(&self) {
        either!(self, server => server.power_off());
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
        either!(self, server => server.reset())
    }

    /// Presses the power button for a moment: an ACPI request that a system
    /// may obey.
    ///
    /// # Errors
    /// It is off.
    pub fn press_power_button(&self) -> Result<()> {
        either!(self, server => server.press_power_button())
    }

    /// Waits until it has switched itself off.
    ///
    /// # Errors
    /// It is still on after `wait`; the last console lines are in the message.
    pub fn wait_off(&self, wait: Duration) -> Result<()> {
        let deadline = Instant::now() + wait;
        while self.is_on() {
            ensure!(
                Instant::now() < deadline,
                "{}: still on after {wait:?}; its console:\n{}",
                self.name(),
                self.console().tail()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}
