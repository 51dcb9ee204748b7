//! Power and boot parameters (chapter 28).

use farrier_ipmi::command::chassis::{ChassisControl, parameter};
use farrier_ipmi::message::{Completion, Request};

use super::{Answer, fields};
use crate::{Bmc, Machine};

/// Parameter not supported.
const UNSUPPORTED: Completion = Completion(0x80);
/// Somebody else is changing the parameters.
const IN_PROGRESS: Completion = Completion(0x81);

impl<M: Machine> Bmc<M> {
    pub(super) fn chassis(&mut self, request: &Request<'_>) -> Answer {
        match request.command {
            // Get Chassis Capabilities.
            0x00 => Ok(vec![0, 0x20, 0x20, 0x20, 0x20]),
            // Get Chassis Status.
            0x01 => {
                let on = u8::from(self.told_on());
                // After a loss of mains: as before.
                Ok(vec![0x20 | on, self.power.last_event, 0, 0])
            }
            0x02 => self.chassis_control(request.data),
            0x08 => self.set_boot_parameter(request.data),
            0x09 => self.boot_parameter(request.data),
            _ => Err(Completion::UNKNOWN_COMMAND),
        }
    }

    fn chassis_control(&mut self, data: &[u8]) -> Answer {
        let [number] = fields(data)?;
        let control = ChassisControl::ALL
            .into_iter()
            .find(|control| *control as u8 == number & 0x0f);
        self.control(control.ok_or(Completion::INVALID_FIELD)?)?;
        Ok(Vec::new())
    }

    fn set_boot_parameter(&mut self, data: &[u8]) -> Answer {
        let [selector, rest @ ..] = data else {
            return Err(Completion::LENGTH);
        };
        let number = selector & 0x7f;
        if self.faults.no_boot_dance && number != parameter::FLAGS {
            return Err(UNSUPPORTED);
        }
        match (number, rest) {
            (parameter::SET_IN_PROGRESS, [state, ..]) => match state & 3 {
                1 if self.boot.in_progress == 1 => return Err(IN_PROGRESS),
                2 | 0 => self.boot.in_progress = 0,
                state => self.boot.in_progress = state,
            },
            (parameter::VALID_BIT_CLEARING, [bits, ..]) => self.boot.keep = bits & 0x1f,
            (parameter::ACKNOWLEDGE, [mask, bits, ..]) => {
                self.boot.acknowledge = self.boot.acknowledge & !mask | bits & mask;
            }
            (parameter::FLAGS, _) if self.faults.refuse_boot_flags => {
                return Err(Completion::INVALID_FIELD);
            }
            (parameter::FLAGS, [a, b, c, d, e, ..]) => {
                if !self.faults.ignore_boot_flags {
                    self.boot.flags = [*a, *b, *c, *d, *e];
                    self.boot.written_ms = self.now_ms;
                }
            }
            // The valid bit alone.
            (parameter::FLAGS, []) => {}
            (
                parameter::SET_IN_PROGRESS
                | parameter::VALID_BIT_CLEARING
                | parameter::ACKNOWLEDGE
                | parameter::FLAGS,
                _,
            ) => return Err(Completion::LENGTH),
            _ => return Err(UNSUPPORTED),
        }
        Ok(Vec::new())
    }

    fn boot_parameter(&mut self, data: &[u8]) -> Answer {
        let [selector, _, _] = fields(data)?;
        let number = selector & 0x7f;
        let mut answer = vec![1, number];
        match number {
            parameter::SET_IN_PROGRESS => answer.push(self.boot.in_progress),
            parameter::VALID_BIT_CLEARING => answer.push(self.boot.keep),
            parameter::ACKNOWLEDGE => answer.extend([0, self.boot.acknowledge]),
            parameter::FLAGS => answer.extend(self.boot.flags),
            _ => return Err(UNSUPPORTED),
        }
        Ok(answer)
    }
}
