//! The machine that a BMC switches: a trait, and a machine in memory.

use farrier_ipmi::command::chassis::{BootDevice, BootFlags};
use std::collections::VecDeque;

/// A machine that a BMC switches, and whose serial port it has.
pub trait Machine {
    /// Lets the time pass; called before anything else of a moment.
    fn elapse(&mut self, _now_ms: u64) {}

    /// Whether it is on.
    fn is_on(&mut self) -> bool;

    /// Switches it on. It boots what `boot` says.
    fn power_on(&mut self, boot: &BootFlags);

    /// Switches it off at once.
    fn power_off(&mut self);

    /// Resets it. It boots what `boot` says.
    fn reset(&mut self, boot: &BootFlags);

    /// Asks its system to shut down.
    fn soft_off(&mut self);

    /// Sends it a diagnostic interrupt (NMI).
    fn diagnostic_interrupt(&mut self);

    /// Takes characters that it has written to its serial port into `buffer`, and
    /// returns how many.
    fn console_output(&mut self, buffer: &mut [u8]) -> usize;

    /// Gives characters to its serial port, and returns how many it took.
    fn console_input(&mut self, bytes: &[u8]) -> usize;

    /// Sends a break to its serial port.
    fn console_break(&mut self) {}
}

/// What was done to a [`VirtualMachine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It was switched on, and booted this.
    On(BootDevice),
    /// It was switched off.
    Off,
    /// It was reset, and booted this.
    Reset(BootDevice),
    /// Its system was asked to shut down.
    SoftOff,
    /// It got a diagnostic interrupt.
    Interrupt,
    /// Its serial port got a break.
    Break,
}

/// A machine in memory: it has a system that shuts down when it is asked, and says
/// each character back that its serial port gets.
#[derive(Debug, Clone, Default)]
pub struct VirtualMachine {
    on: bool,
    now_ms: u64,
    off_at_ms: Option<u64>,
    /// How long its system takes to shut down; `None` for one that does not listen.
    pub shutdown_ms: Option<u64>,
    /// Characters that its serial port takes at a time; `None` for any number.
    pub console_room: Option<usize>,
    /// What was done to it.
    pub done: Vec<Done>,
    /// The boot flags of its last start.
    pub booted: Option<BootFlags>,
    /// Characters that it got.
    pub heard: Vec<u8>,
    output: VecDeque<u8>,
}

impl VirtualMachine {
    /// A machine that is off, and whose system shuts down in two seconds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shutdown_ms: Some(2000),
            ..Self::default()
        }
    }

    /// Lets it write to its serial port.
    pub fn say(&mut self, bytes: &[u8]) {
        self.output.extend(bytes);
    }

    fn start(&mut self, boot: &BootFlags) {
        self.on = true;
        self.off_at_ms = None;
        self.booted = Some(*boot);
        let text = format!("boots from {:?}\r\n", boot.device);
        self.say(text.as_bytes());
    }
}

impl Machine for VirtualMachine {
    fn elapse(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        if self.off_at_ms.is_some_and(|at| at <= now_ms) {
            self.power_off();
        }
    }

    fn is_on(&mut self) -> bool {
        self.on
    }

    fn power_on(&mut self, boot: &BootFlags) {
        self.done.push(Done::On(boot.device));
        self.start(boot);
    }

    fn power_off(&mut self) {
        self.done.push(Done::Off);
        self.on = false;
        self.off_at_ms = None;
    }

    fn reset(&mut self, boot: &BootFlags) {
        self.done.push(Done::Reset(boot.device));
        self.start(boot);
    }

    fn soft_off(&mut self) {
        self.done.push(Done::SoftOff);
        let off_at = self.shutdown_ms.map(|pause| self.now_ms + pause);
        self.off_at_ms = self.off_at_ms.or(off_at);
    }

    fn diagnostic_interrupt(&mut self) {
        self.done.push(Done::Interrupt);
    }

    fn console_output(&mut self, buffer: &mut [u8]) -> usize {
        let len = buffer.len().min(self.output.len());
        for (place, byte) in buffer.iter_mut().zip(self.output.drain(..len)) {
            *place = byte;
        }
        len
    }

    fn console_input(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.console_room.unwrap_or(usize::MAX));
        let taken = &bytes[..len];
        self.heard.extend(taken);
        self.output.extend(taken);
        len
    }

    fn console_break(&mut self) {
        self.done.push(Done::Break);
    }
}
