//! What sensors read (chapter 35).

use farrier_ipmi::message::{Completion, Request};

use super::{Answer, fields};
use crate::sensors::Kind;
use crate::{Bmc, Machine};

impl<M: Machine> Bmc<M> {
    pub(super) fn sensor(&mut self, request: &Request<'_>) -> Answer {
        let on = self.machine.is_on();
        let [number, ..] = fields::<1>(request.data)?;
        let sensors = &self.config.sensors;
        let sensor = sensors.iter().find(|sensor| sensor.number == number);
        let sensor = sensor.ok_or(Completion::NOT_PRESENT)?;
        match (request.command, &sensor.kind) {
            // Get Sensor Reading.
            (0x2d, _) => Ok(sensor.reading(on)),
            // Get Sensor Hysteresis: none.
            (0x25, Kind::Number { .. }) => Ok(vec![0, 0]),
            // Get Sensor Thresholds.
            (0x27, Kind::Number { limits, .. }) => Ok(match limits {
                Some((warning, critical)) => vec![0x18, 0, 0, 0, *warning, *critical, 0],
                None => vec![0; 7],
            }),
            // Get Sensor Event Enable: scanned, no events.
            (0x29, _) => Ok(vec![0xc0, 0, 0]),
            // Get Sensor Event Status.
            (0x2b, _) => Ok(vec![0xc0, 0, 0]),
            (0x25 | 0x27, Kind::States(_)) => Err(Completion::ILLEGAL),
            _ => Err(Completion::UNKNOWN_COMMAND),
        }
    }
}
