//! Parameters of the serial console (26.3). They can be read only.

use farrier_ipmi::message::{Completion, Request};

use super::{Answer, fields};
use crate::{Bmc, Machine};

impl<M: Machine> Bmc<M> {
    pub(super) fn transport(&mut self, request: &Request<'_>) -> Answer {
        // Get SOL Configuration Parameters.
        if request.command != 0x22 {
            return Err(Completion::UNKNOWN_COMMAND);
        }
        let [_, parameter, _, _] = fields(request.data)?;
        let mut answer = vec![0x11];
        answer.extend(match parameter {
            // Nobody changes them; it is enabled.
            0 => vec![0],
            1 => vec![1],
            // Encrypted and authenticated, for operators.
            2 => vec![0xc3],
            // 60 ms and 96 characters; seven repetitions, 500 ms apart.
            3 => vec![12, 96],
            4 => vec![7, 50],
            // 115,200 bits a second, in both.
            5 | 6 => vec![10],
            7 => vec![1],
            8 => self.config.port.to_le_bytes().to_vec(),
            _ => return Err(Completion(0x80)),
        });
        Ok(answer)
    }
}
