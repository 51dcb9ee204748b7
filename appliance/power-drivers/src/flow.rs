//! The way of one operation, the same over all protocols: what is asked next, and
//! what each answer means for the end. The protocols are in [`crate::link`].
//!
//! On and off are asked for also where the machine is said to be so already: BMCs
//! show an old state, and both commands do no harm. A restart is a stop that is seen,
//! and a start: nothing shows of a reset that it was carried out, and BMCs differ in
//! what a power cycle does to a machine that is off.

mod failed;

use farrier_core::Instant;
use farrier_core::interface::{OperationError, PowerAction, PowerState};

use crate::ask::{Answer, Ask, Command, Seen};
use crate::limits::{MAX_ASKS, POLL_MILLIS};
use crate::order::{Action, Order};
use crate::report::{BootSeen, Reason, Report};

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The machine is read first.
    Look,
    LookBoot,
    LookUuid,
    SetBoot,
    ReadBoot,
    Command(Command),
    /// The power is read until it is so.
    Watch(PowerState),
    /// The power is read once behind a command that was refused.
    Refused(Command, OperationError),
    /// The same behind a command whose answer was lost and that is not repeated.
    Lost(Command),
    Over,
}

/// What became of the present command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// It reached nobody.
    No,
    Accepted,
    /// It may be carried out.
    Lost,
}

/// The way of one operation.
#[derive(Debug)]
pub struct Flow {
    report: Report,
    /// Nothing is asked before this time.
    pause_until: Instant,
    order: Order,
    off_pause: u16,
    phase: Phase,
    sent: Sent,
    /// The power as it was read ahead of the present command.
    before: PowerState,
    /// How often the present command was asked for.
    asks: u8,
    asking: bool,
    /// Off was asked for by the machine's own system.
    soft: bool,
    /// It was seen off, and a start is behind that.
    stopped: bool,
    /// Nothing of the device can be read.
    blind: bool,
    boot_read: bool,
    uuid_read: bool,
    /// Why the boot device is not as wanted.
    boot_reason: Option<Reason>,
}

const BOOT_IGNORED: Reason =
    Reason::new("the boot device was accepted, and the BMC shows another one");

impl Flow {
    pub(crate) fn new(order: Order, off_pause: u64) -> Self {
        Self {
            report: Report::NOTHING,
            pause_until: Instant::START,
            order,
            off_pause: off_pause.try_into().unwrap_or(u16::MAX),
            phase: Phase::Look,
            sent: Sent::No,
            before: PowerState::Unknown,
            asks: 0,
            asking: false,
            soft: false,
            stopped: false,
            blind: false,
            boot_read: false,
            uuid_read: false,
            boot_reason: None,
        }
    }

    /// The same for a device that can't be read.
    pub(crate) fn blind(order: Order) -> Self {
        Self {
            phase: Phase::Command(Command::On),
            blind: true,
            ..Self::new(order, 0)
        }
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    pub(crate) const fn is_asking(&self) -> bool {
        self.asking
    }

    pub(crate) const fn report(&self) -> Report {
        self.report
    }

    pub(crate) const fn pause_until(&self) -> Instant {
        self.pause_until
    }

    /// What is asked now, if anything is.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Ask> {
        if self.asking || now < self.pause_until {
            return None;
        }
        let ask = match self.phase {
            Phase::Over => return None,
            Phase::Look | Phase::Watch(_) | Phase::Refused(..) | Phase::Lost(_) => Ask::Power,
            Phase::LookBoot | Phase::ReadBoot => Ask::Boot,
            Phase::LookUuid => Ask::Uuid,
            Phase::SetBoot => match self.order.start_from {
                Some(wanted) => {
                    self.report.boot_device = BootSeen::Unknown;
                    Ask::SetBoot(wanted)
                }
                None => Ask::Boot,
            },
            Phase::Command(command) => {
                self.asks = self.asks.saturating_add(1);
                // What was read before says nothing any more.
                self.report.power = match command {
                    Command::Nmi => self.report.power,
                    _ => PowerState::Unknown,
                };
                Ask::Command(command)
            }
        };
        self.asking = true;
        Some(ask)
    }

    /// Takes an answer. One that nobody waits for is dropped.
    pub(crate) fn answer(&mut self, now: Instant, answer: Answer) {
        if !core::mem::take(&mut self.asking) || self.is_over() {
            return;
        }
        match answer {
            Answer::Seen(seen) => {
                self.take(seen);
                self.seen(now);
            }
            Answer::Taken => self.taken(now),
            Answer::Failed(fault) => {
                self.report.reason = Some(fault.reason);
                self.failed(now, fault);
            }
        }
    }

    fn take(&mut self, seen: Seen) {
        if let Some(power) = seen.power {
            self.report.power = power;
        }
        let counts = match self.phase {
            Phase::Look | Phase::LookBoot | Phase::SetBoot | Phase::ReadBoot => true,
            // Behind a start it is used up.
            Phase::LookUuid
            | Phase::Command(_)
            | Phase::Watch(_)
            | Phase::Refused(..)
            | Phase::Lost(_)
            | Phase::Over => false,
        };
        if let Some(boot) = seen.boot.filter(|_| counts) {
            self.report.boot_device = boot;
            self.boot_read = true;
        }
        if let Some(uuid) = seen.uuid {
            self.report.uuid = uuid;
            self.uuid_read = true;
        }
    }

    fn seen(&mut self, now: Instant) {
        let power = self.report.power;
        match self.phase {
            Phase::Look => self.looked(power),
            Phase::LookBoot | Phase::LookUuid => self.look_on(),
            Phase::SetBoot | Phase::ReadBoot => self.boot_known(),
            Phase::Watch(target) => self.watched(now, target, power),
            Phase::Refused(command, error) => match command.target() {
                Some(target) if target == power => self.reached(now, target),
                _ => self.end(Err(error)),
            },
            Phase::Lost(command) => match command.target() {
                Some(target) if target == power => self.reached(now, target),
                _ => self.end(Err(OperationError::Uncertain)),
            },
            // Nothing was read: a protocol has mixed up its answers.
            Phase::Command(_) | Phase::Over => self.end(Err(OperationError::Uncertain)),
        }
    }

    /// The machine was read behind a command.
    fn watched(&mut self, now: Instant, target: PowerState, power: PowerState) {
        // What it was already, before a command of which nothing was heard, may be an
        // old state.
        let proven = self.sent == Sent::Accepted || self.before != target;
        if power == target && proven {
            return self.reached(now, target);
        }
        self.pause_until = now.plus_millis(POLL_MILLIS);
        let unheard = self.sent != Sent::Accepted && !self.soft;
        if unheard && self.asks < MAX_ASKS && power != PowerState::Unknown {
            self.phase = Phase::Command(match target {
                PowerState::Off => Command::Off,
                PowerState::On | PowerState::Unknown => Command::On,
            });
        }
    }

    /// The machine was read for the first time.
    fn looked(&mut self, power: PowerState) {
        let is_off = power == PowerState::Off;
        match self.order.action {
            Action::Look => self.look_on(),
            Action::Nmi if is_off => {
                self.report.reason = Some(Reason::new("the machine is off"));
                self.end(Err(OperationError::Refused));
            }
            Action::Nmi => self.command(Command::Nmi),
            Action::Power(action) => match action {
                // It does not start: its boot device stays.
                PowerAction::On if power == PowerState::On => self.command(Command::On),
                PowerAction::On => self.start(),
                PowerAction::Off | PowerAction::Reboot => self.command(Command::Off),
                // Asked to shut down, some machines that are off go on.
                PowerAction::SoftOff | PowerAction::SoftReboot if is_off => {
                    self.command(Command::Off);
                }
                PowerAction::SoftOff => self.command(Command::SoftOff),
                PowerAction::SoftReboot => self.command(Command::SoftReboot),
            },
        }
    }

    /// Reads what a look has not brought yet.
    fn look_on(&mut self) {
        if !core::mem::replace(&mut self.boot_read, true) {
            self.phase = Phase::LookBoot;
        } else if !core::mem::replace(&mut self.uuid_read, true) {
            self.phase = Phase::LookUuid;
        } else {
            self.end(Ok(()));
        }
    }

    fn command(&mut self, command: Command) {
        self.sent = Sent::No;
        self.before = self.report.power;
        self.asks = 0;
        self.phase = Phase::Command(command);
    }

    fn start(&mut self) {
        match self.order.start_from {
            Some(_) => self.phase = Phase::SetBoot,
            None => self.command(Command::On),
        }
    }

    /// The boot device was read behind its setting. Whatever it is, the machine starts:
    /// what it gets from the network does not depend on it.
    fn boot_known(&mut self) {
        let wanted = self.order.start_from;
        match wanted.is_none_or(|wanted| self.report.boot_device.is(wanted)) {
            true => self.boot_reason = None,
            false => self.boot_reason = self.boot_reason.or(Some(BOOT_IGNORED)),
        }
        self.command(Command::On);
    }

    fn watch(&mut self, target: PowerState) {
        self.phase = Phase::Watch(target);
    }

    /// The machine is seen to be so.
    fn reached(&mut self, now: Instant, target: PowerState) {
        let restarts = match self.order.action {
            Action::Power(action) => action.restarts(),
            Action::Look | Action::Nmi => false,
        };
        if target == PowerState::Off && restarts {
            self.soft = false;
            self.stopped = true;
            self.pause_until = now.plus_millis(self.off_pause.into());
            return self.start();
        }
        self.end(Ok(()));
    }

    fn taken(&mut self, now: Instant) {
        match self.phase {
            Phase::SetBoot => self.phase = Phase::ReadBoot,
            Phase::Command(command) => {
                self.sent = Sent::Accepted;
                match command {
                    Command::On if self.blind => self.end(Ok(())),
                    Command::On => self.watch(PowerState::On),
                    Command::Off => self.watch(PowerState::Off),
                    Command::SoftOff if self.soft => self.watch(PowerState::Off),
                    // The rack waits for these.
                    Command::SoftOff | Command::SoftReboot | Command::Nmi => self.end(Ok(())),
                }
            }
            // What was to be read was not.
            Phase::Look
            | Phase::LookBoot
            | Phase::LookUuid
            | Phase::ReadBoot
            | Phase::Watch(_)
            | Phase::Refused(..)
            | Phase::Lost(_)
            | Phase::Over => self.seen(now),
        }
    }

    fn end(&mut self, result: Result<(), OperationError>) {
        if result.is_ok() {
            self.report.reason = self.boot_reason;
        }
        self.report.result = result;
        self.phase = Phase::Over;
    }
}
