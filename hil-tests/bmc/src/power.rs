//! Power and boot flags: what the BMC does to its machine, and what it says.

use farrier_ipmi::command::chassis::{BootDevice, BootFlags, ChassisControl};
use farrier_ipmi::message::Completion;

use crate::{Bmc, Machine};

/// How long the machine is off in a power cycle, in milliseconds.
const CYCLE_MS: u64 = 1000;

/// How long boot flags count without a command for the power, in milliseconds
/// (28.13, parameter 3).
const BOOT_FLAGS_MS: u64 = 60_000;

/// State of the power.
#[derive(Debug, Clone, Default)]
pub(crate) struct Power {
    /// When a power cycle switches the machine on again.
    pub on_at_ms: Option<u64>,
    /// A power state that is told until a time, whatever the machine does.
    told: Option<(bool, u64)>,
    /// Bits of the last power event.
    pub last_event: u8,
    /// The machine was on when it was last looked at.
    pub was_on: bool,
}

/// The boot parameters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Boot {
    /// 0 for free, 1 for claimed.
    pub in_progress: u8,
    /// Bits that say what does not clear the flags.
    pub keep: u8,
    /// Who has seen the flags.
    pub acknowledge: u8,
    /// The flags, as they were written.
    pub flags: [u8; 5],
    /// When the flags were written.
    pub written_ms: u64,
}

impl<M: Machine> Bmc<M> {
    /// Whether the machine is on, by what the BMC says of it.
    pub(crate) fn told_on(&mut self) -> bool {
        let on = self.machine.is_on();
        match self.power.told {
            Some((told, until)) if self.now_ms < until => told,
            _ => on,
        }
    }

    /// Lets the time pass for the machine and its boot flags.
    pub(crate) fn elapse_power(&mut self) {
        self.machine.elapse(self.now_ms);
        if self.power.on_at_ms.is_some_and(|at| at <= self.now_ms) {
            self.power.on_at_ms = None;
            self.start(Machine::power_on);
        }
        let keeps = self.boot.keep & 8 != 0;
        if !keeps && self.now_ms >= self.boot.written_ms + BOOT_FLAGS_MS {
            self.boot.flags[0] &= 0x7f;
        }
        let on = self.machine.is_on();
        if on != self.power.was_on {
            self.power.was_on = on;
            // "Soft off" and "working" of the ACPI state.
            let state = if on { 0 } else { 6 };
            self.log_event(0x22, 0x70, [0x6f, state, 0xff, 0xff]);
        }
    }

    pub(crate) fn log_event(&mut self, sensor_type: u8, sensor: u8, event: [u8; 4]) {
        self.log.add(self.clock_s(), sensor_type, sensor, event);
    }

    /// The BMC's clock, in seconds.
    pub(crate) fn clock_s(&self) -> u32 {
        0x6500_0000_u32.wrapping_add(u32::try_from(self.now_ms / 1000).unwrap_or(0))
    }

    /// What the machine boots now, as its firmware reads it at each start. Flags
    /// that count once are gone thereafter. A rig whose machine restarts by itself
    /// calls this for that start.
    pub fn take_boot_flags(&mut self) -> BootFlags {
        let none = BootFlags {
            valid: false,
            persistent: false,
            uefi: false,
            device: BootDevice::Default,
        };
        if self.faults.lose_boot_flags {
            self.boot.flags = [0; 5];
        }
        let flags = BootFlags::parse(&self.boot.flags).filter(|flags| flags.valid);
        let flags = flags.unwrap_or(none);
        if !flags.persistent {
            self.boot.flags = [0; 5];
        }
        // The firmware has seen them.
        self.boot.acknowledge |= 1;
        flags
    }

    fn start(&mut self, how: impl FnOnce(&mut M, &BootFlags)) {
        let flags = self.take_boot_flags();
        how(&mut self.machine, &flags);
        self.power.last_event = 0x10;
    }

    /// Carries out a command for the power.
    pub(crate) fn control(&mut self, control: ChassisControl) -> Result<(), Completion> {
        let on = self.machine.is_on();
        let told = self.told_on();
        let needs_on = matches!(
            control,
            ChassisControl::Cycle | ChassisControl::HardReset | ChassisControl::DiagnosticInterrupt
        );
        if needs_on && !told {
            return Err(Completion::STATE);
        }
        if self.faults.ignore_control {
            return Ok(());
        }
        self.power.on_at_ms = None;
        match control {
            ChassisControl::Off if on => self.machine.power_off(),
            ChassisControl::On if !on => self.start(Machine::power_on),
            ChassisControl::Cycle => {
                self.machine.power_off();
                self.power.on_at_ms = Some(self.now_ms + CYCLE_MS);
            }
            ChassisControl::HardReset if on => self.start(Machine::reset),
            ChassisControl::DiagnosticInterrupt if on => {
                self.machine.diagnostic_interrupt();
                self.log_event(0x13, 0x71, [0x6f, 0, 0xff, 0xff]);
            }
            ChassisControl::SoftOff if on => self.machine.soft_off(),
            ChassisControl::Off
            | ChassisControl::On
            | ChassisControl::HardReset
            | ChassisControl::DiagnosticInterrupt
            | ChassisControl::SoftOff => {}
        }
        if self.faults.stale_power_ms > 0 {
            self.power.told = Some((told, self.now_ms + self.faults.stale_power_ms));
        }
        Ok(())
    }
}
