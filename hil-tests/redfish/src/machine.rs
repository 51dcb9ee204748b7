//! The machine behind a service: what power and boot devices act on. A rig drives
//! QEMU here; [`Simulated`] is a machine of time alone.

use std::sync::{Arc, Mutex};

/// Where and how a machine boots next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// `BootSourceOverrideEnabled`.
    pub enabled: String,
    /// `BootSourceOverrideTarget`.
    pub target: String,
    /// `BootSourceOverrideMode`.
    pub mode: String,
    /// `HttpBootUri`.
    pub http_uri: Option<String>,
}

impl Default for Boot {
    fn default() -> Self {
        Self {
            enabled: "Disabled".into(),
            target: "None".into(),
            mode: "UEFI".into(),
            http_uri: None,
        }
    }
}

impl Boot {
    /// Returns the target that holds: `None` if the boot order does.
    #[must_use]
    pub fn overrides(&self) -> Option<&str> {
        (self.enabled != "Disabled" && self.target != "None").then_some(&self.target)
    }
}

/// What a BMC does to its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerAction {
    /// Switches it on.
    On,
    /// Switches it off at once.
    Off,
    /// Presses the power button, for the operating system to shut down.
    SoftOff,
    /// Resets it at once.
    Reset,
    /// Raises a non-maskable interrupt.
    Nmi,
}

/// A machine. Times are in milliseconds of the service's clock.
pub trait Machine: Send {
    /// Returns whether it is on.
    fn is_on(&mut self, now: u64) -> bool;

    /// Acts on the power. A machine that starts boots by `boot`.
    ///
    /// # Errors
    /// What a person reads in the answer of the BMC.
    fn act(&mut self, action: PowerAction, boot: &Boot, now: u64) -> Result<(), String>;

    /// Puts an image into the drive for CDs, or takes it out.
    ///
    /// # Errors
    /// What a person reads in the answer of the BMC.
    fn set_media(&mut self, image: Option<&str>) -> Result<(), String> {
        let _ = image;
        Ok(())
    }
}

/// A machine that is on or off, and obeys after a while.
#[derive(Debug, Clone, Default)]
pub struct Simulated {
    on: bool,
    pending: Option<(u64, bool)>,
    /// Milliseconds from an action to its effect.
    pub delay_ms: u64,
    /// It ignores the power button: no operating system listens.
    pub deaf: bool,
    /// What was done to it, with the target of each start.
    pub log: PowerLog,
}

/// What was done to a machine, with the boot target that held.
pub type PowerLog = Arc<Mutex<Vec<(PowerAction, Option<String>)>>>;

impl Simulated {
    /// Creates a machine that is on or off.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self {
            on,
            ..Self::default()
        }
    }

    /// Returns it with this time from an action to its effect, in milliseconds.
    #[must_use]
    pub fn delay(mut self, delay_ms: u64) -> Self {
        self.delay_ms = delay_ms;
        self
    }

    fn settle(&mut self, now: u64) {
        if let Some((at, on)) = self.pending
            && now >= at
        {
            self.on = on;
            self.pending = None;
        }
    }
}

impl Machine for Simulated {
    fn is_on(&mut self, now: u64) -> bool {
        self.settle(now);
        self.on
    }

    fn act(&mut self, action: PowerAction, boot: &Boot, now: u64) -> Result<(), String> {
        self.settle(now);
        let target = boot.overrides().map(str::to_owned);
        if let Ok(mut log) = self.log.lock() {
            log.push((action, target));
        }
        let on = match action {
            PowerAction::On => true,
            PowerAction::Off => false,
            PowerAction::SoftOff => self.deaf && self.on,
            PowerAction::Reset | PowerAction::Nmi => return Ok(()),
        };
        self.pending = Some((now + self.delay_ms, on));
        Ok(())
    }
}
