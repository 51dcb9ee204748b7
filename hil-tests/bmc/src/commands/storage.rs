//! The log and the sensors' records (chapters 31 and 33).

use farrier_ipmi::message::{Completion, Request};

use super::{Answer, fields};
use crate::{Bmc, Machine};

const NEVER: u32 = u32::MAX;

impl<M: Machine> Bmc<M> {
    pub(super) fn storage(&mut self, request: &Request<'_>) -> Answer {
        match request.command {
            0x20 => {
                let [low, high] = u16::try_from(self.config.sensors.len())
                    .unwrap_or(u16::MAX)
                    .to_le_bytes();
                let mut data = vec![0x51, low, high, 0, 0];
                data.extend(self.clock_s().to_le_bytes());
                data.extend(NEVER.to_le_bytes());
                // Reservations.
                data.push(2);
                Ok(data)
            }
            0x22 | 0x42 => {
                self.reservation = self.reservation.wrapping_add(1).max(1);
                Ok(self.reservation.to_le_bytes().to_vec())
            }
            0x23 => self.sensor_record(request.data),
            0x40 => {
                let count = u16::try_from(self.log.entries().len()).unwrap_or(u16::MAX);
                let mut data = vec![0x51];
                data.extend(count.to_le_bytes());
                data.extend(self.log.free().to_le_bytes());
                data.extend(self.log.added_s.unwrap_or(NEVER).to_le_bytes());
                data.extend(self.log.erased_s.unwrap_or(NEVER).to_le_bytes());
                // Reservations and the loss of entries.
                data.push(2 | if self.log.overflow { 0x80 } else { 0 });
                Ok(data)
            }
            0x43 => self.log_entry(request.data),
            0x47 => self.clear_log(request.data),
            0x48 => Ok(self.clock_s().to_le_bytes().to_vec()),
            _ => Err(Completion::UNKNOWN_COMMAND),
        }
    }

    fn sensor_record(&mut self, data: &[u8]) -> Answer {
        let [v0, v1, r0, r1, offset, count] = fields(data)?;
        if self.faults.lose_reservation.strikes() {
            self.reservation = self.reservation.wrapping_add(1).max(1);
        }
        let reservation = u16::from_le_bytes([v0, v1]);
        if offset > 0 && reservation != self.reservation {
            return Err(Completion::RESERVATION);
        }
        // Records are numbered from 1.
        let record = u16::from_le_bytes([r0, r1]).max(1);
        let sensors = &self.config.sensors;
        let sensor = sensors.get(usize::from(record) - 1);
        let bytes = sensor.ok_or(Completion::NOT_PRESENT)?.record(record);
        let next = match usize::from(record) < sensors.len() {
            true => record + 1,
            false => 0xffff,
        };
        let most = self.faults.record_part;
        if most > 0 && count > most {
            return Err(Completion::TOO_LONG);
        }
        let from = usize::from(offset);
        let rest = bytes.get(from..).ok_or(Completion::OUT_OF_RANGE)?;
        let mut answer = next.to_le_bytes().to_vec();
        answer.extend(&rest[..rest.len().min(count.into())]);
        Ok(answer)
    }

    fn log_entry(&mut self, data: &[u8]) -> Answer {
        let [_, _, id0, id1, offset, count] = fields(data)?;
        let entry = self.log.get(u16::from_le_bytes([id0, id1]));
        let (next, entry) = entry.ok_or(Completion::NOT_PRESENT)?;
        let rest = entry
            .get(usize::from(offset)..)
            .ok_or(Completion::OUT_OF_RANGE)?;
        let mut answer = next.to_le_bytes().to_vec();
        answer.extend(&rest[..rest.len().min(count.into())]);
        Ok(answer)
    }

    fn clear_log(&mut self, data: &[u8]) -> Answer {
        let [r0, r1, b'C', b'L', b'R', action] = fields(data)? else {
            return Err(Completion::INVALID_FIELD);
        };
        if u16::from_le_bytes([r0, r1]) != self.reservation {
            return Err(Completion::RESERVATION);
        }
        if action == 0xaa {
            let now_s = self.clock_s();
            self.log.clear(now_s);
        }
        // Erased.
        Ok(vec![1])
    }
}
