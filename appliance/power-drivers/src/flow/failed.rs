//! What failures mean, and the end of the time.

use farrier_core::Instant;
use farrier_core::interface::{OperationError, PowerState};

use super::{Flow, Phase, Sent};
use crate::ask::{Answer, Command, Fault};
use crate::limits::{MAX_ASKS, POLL_MILLIS};
use crate::report::Reason;

const TAKEN_ONLY: Reason =
    Reason::new("the command was accepted, and the machine's power is as before");
const STOPPED_ONLY: Reason =
    Reason::new("the machine was stopped, and there was no time left to start it");
const MAY_COME: Reason = Reason::new("the command may be carried out, or may still be");
const TOO_SLOW: Reason = Reason::new("the device does not answer in time");

impl Flow {
    pub(super) fn failed(&mut self, now: Instant, fault: Fault) {
        let error = fault.error;
        match self.phase {
            Phase::Look | Phase::Over => self.end(Err(error)),
            // It does not say it, and that is a value. Silence and a user that was
            // forgotten are none.
            Phase::LookBoot | Phase::LookUuid => match error {
                OperationError::Unreachable | OperationError::Login => self.end(Err(error)),
                _ => self.look_on(),
            },
            // Further attempts could lock the user out.
            Phase::SetBoot | Phase::ReadBoot if error == OperationError::Login => {
                self.end(Err(error));
            }
            Phase::SetBoot => {
                self.boot_reason = Some(fault.reason);
                match error {
                    OperationError::Unreachable => self.command(Command::On),
                    _ => self.phase = Phase::ReadBoot,
                }
            }
            Phase::ReadBoot => {
                self.boot_reason = self.boot_reason.or(Some(fault.reason));
                self.command(Command::On);
            }
            Phase::Command(command) => self.command_failed(now, command, fault),
            Phase::Watch(_) => {
                // Nobody knows how it is now.
                self.report.power = PowerState::Unknown;
                self.pause_until = now.plus_millis(POLL_MILLIS);
                // As above.
                if error == OperationError::Login {
                    self.end(Err(match self.sent {
                        Sent::No => error,
                        Sent::Accepted | Sent::Lost => OperationError::Uncertain,
                    }));
                }
            }
            Phase::Refused(_, error) => self.end(Err(error)),
            Phase::Lost(_) => self.end(Err(OperationError::Uncertain)),
        }
    }

    fn command_failed(&mut self, now: Instant, command: Command, fault: Fault) {
        if fault.lost {
            self.sent = Sent::Lost;
        }
        let unsent = matches!(
            fault.error,
            OperationError::Unreachable | OperationError::Busy
        );
        if unsent && self.sent == Sent::No {
            self.report.power = self.before;
        }
        match command {
            _ if fault.error == OperationError::Login && self.sent != Sent::Lost => {
                self.end(Err(fault.error));
            }
            Command::SoftReboot if fault.error == OperationError::Unsupported && !fault.lost => {
                self.soft = true;
                self.command(Command::SoftOff);
            }
            // They may be asked for again: where it may have been carried out, once it
            // was read.
            Command::On if fault.lost => self.watch(PowerState::On),
            Command::Off if fault.lost => self.watch(PowerState::Off),
            Command::On | Command::Off if unsent && self.asks < MAX_ASKS => {
                self.pause_until = now.plus_millis(POLL_MILLIS);
            }
            Command::On | Command::Off if unsent => self.end(Err(match self.sent {
                Sent::Lost => OperationError::Uncertain,
                Sent::No | Sent::Accepted => fault.error,
            })),
            // A machine that goes down by itself takes its time.
            Command::SoftOff if fault.lost && self.soft => self.watch(PowerState::Off),
            Command::SoftOff | Command::SoftReboot | Command::Nmi if fault.lost => {
                self.pause_until = now.plus_millis(POLL_MILLIS);
                self.phase = Phase::Lost(command);
            }
            Command::SoftOff | Command::SoftReboot | Command::Nmi if unsent => {
                self.end(Err(fault.error));
            }
            Command::On | Command::Off | Command::SoftOff | Command::SoftReboot | Command::Nmi => {
                let error = match self.sent {
                    // Of an earlier one the end is not known.
                    Sent::Lost => OperationError::Uncertain,
                    Sent::No | Sent::Accepted => fault.error,
                };
                self.phase = Phase::Refused(command, error);
            }
        }
    }

    /// What is asked takes too long.
    pub(crate) fn overdue(&mut self, now: Instant) {
        let fault = Fault {
            error: OperationError::Unreachable,
            lost: matches!(self.phase, Phase::Command(_)),
            reason: TOO_SLOW,
        };
        self.answer(now, Answer::Failed(fault));
    }

    /// The time of the operation is over.
    pub(crate) fn expire(&mut self) {
        use OperationError::{NotApplied, Uncertain, Unreachable};
        let shown = self.report.power != PowerState::Unknown;
        let error = match (self.phase, self.sent) {
            (Phase::Over, _) => return,
            (Phase::Refused(_, error), _) => error,
            (Phase::Lost(_), _) => Uncertain,
            (Phase::Look | Phase::LookBoot | Phase::LookUuid, _) => Unreachable,
            (Phase::Command(_), _) if self.asking => Uncertain,
            // A restart that has come to its stop: nothing of the start was asked for.
            (Phase::SetBoot | Phase::ReadBoot, _) | (Phase::Command(_), Sent::No)
                if self.stopped =>
            {
                self.sent = Sent::No;
                NotApplied
            }
            (Phase::SetBoot | Phase::ReadBoot, _) => Unreachable,
            (Phase::Command(_) | Phase::Watch(_), Sent::No) => Unreachable,
            (Phase::Watch(_), Sent::Accepted) if shown && !self.soft => NotApplied,
            (Phase::Command(_) | Phase::Watch(_), Sent::Accepted | Sent::Lost) => Uncertain,
        };
        self.asking = false;
        // Of the others, what a device has said itself says more.
        let said = self.report.reason;
        self.report.reason = Some(match error {
            NotApplied if self.sent == Sent::No => STOPPED_ONLY,
            NotApplied => TAKEN_ONLY,
            Uncertain => said.unwrap_or(MAY_COME),
            _ => said.unwrap_or(TOO_SLOW),
        });
        self.end(Err(error));
    }
}
