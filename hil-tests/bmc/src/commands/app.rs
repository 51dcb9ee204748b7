//! The BMC itself and its sessions (chapters 20, 22 and 24).

use farrier_ipmi::message::{Completion, Request};
use farrier_ipmi::suite::Suite;

use super::{Answer, fields};
use crate::console::Console;
use crate::{Bmc, Machine};

impl<M: Machine> Bmc<M> {
    pub(super) fn app(&mut self, at: usize, request: &Request<'_>) -> Answer {
        match request.command {
            // Get Device ID: firmware 1.00, IPMI 2.0, with sensors and a log, of
            // no maker.
            0x01 => Ok(vec![
                0x20, 0x01, 0x01, 0x00, 0x02, 0x87, 0, 0, 0, 1, 0, 0, 0, 0, 0,
            ]),
            // Get Self Test Results: none failed.
            0x04 => Ok(vec![0x55, 0]),
            // Get Device GUID and Get System GUID.
            0x08 | 0x37 => Ok(self.config.guid.0.to_vec()),
            0x38 => self.authentication_capabilities(request.data),
            0x3b => self.set_privilege(at, request.data),
            0x3c => self.close_session(at, request.data),
            // Get Channel Info: channel 1 is a LAN with many sessions.
            0x42 => {
                let sessions = u8::try_from(self.open_sessions()).unwrap_or(u8::MAX);
                Ok(vec![1, 4, 1, 0x80 | sessions, 0xf2, 0x1b, 0, 0, 0])
            }
            0x48 => self.activate(at, request.data),
            0x49 => self.deactivate(at, request.data),
            // Get Payload Activation Status: the first of one.
            0x4a => Ok(vec![1, u8::from(self.console.is_some()), 0]),
            // Get Payload Instance Info.
            0x4b => {
                let session = self.console.as_ref().map_or(0, |console| console.session);
                let mut data = session.to_le_bytes().to_vec();
                data.extend([1; 8]);
                Ok(data)
            }
            // Get Channel Payload Support: messages, the console, what opens sessions.
            0x4e => Ok(vec![3, 0, 0x3f, 0, 0, 0, 0, 0]),
            // Get Channel Payload Version: 1.0.
            0x4f => Ok(vec![0x10]),
            0x54 => self.cipher_suites(request.data),
            _ => Err(Completion::UNKNOWN_COMMAND),
        }
    }

    /// Get Channel Authentication Capabilities (22.13).
    pub(super) fn authentication_capabilities(&self, data: &[u8]) -> Answer {
        let [channel, _] = fields(data)?;
        if !matches!(channel & 0x0f, 1 | 0x0e) {
            return Err(Completion::INVALID_FIELD);
        }
        // Users have names; a key is set or is not.
        let kg = if self.config.kg.is_some() { 0x20 } else { 0 };
        let (types, extended) = match channel & 0x80 != 0 && !self.faults.no_rmcp_plus {
            true => (0x80, 2),
            // MD5 of IPMI 1.5.
            false => (4, 0),
        };
        Ok(vec![1, types, kg | 4, extended, 0, 0, 0, 0])
    }

    /// Get Channel Cipher Suites (22.15).
    pub(super) fn cipher_suites(&self, data: &[u8]) -> Answer {
        let [_, _, index] = fields(data)?;
        let record = |suite: &Suite| {
            let algorithms = suite.algorithms();
            [
                0xc0,
                *suite as u8,
                algorithms.authentication,
                0x40 | algorithms.integrity,
                0x80 | algorithms.confidentiality,
            ]
        };
        let all: Vec<u8> = self.config.suites.iter().flat_map(record).collect();
        let part = all.chunks(16).nth(usize::from(index & 0x3f));
        let mut answer = vec![1];
        answer.extend(part.unwrap_or_default());
        Ok(answer)
    }

    fn set_privilege(&mut self, at: usize, data: &[u8]) -> Answer {
        let [wanted] = fields(data)?;
        let session = &mut self.sessions[at];
        match wanted & 0x0f {
            0 => {}
            1 | 5.. => return Err(Completion::INVALID_FIELD),
            // Beyond what the user may.
            level if level > session.highest => return Err(Completion(0x81)),
            level => session.privilege = level,
        }
        Ok(vec![session.privilege])
    }

    fn close_session(&mut self, at: usize, data: &[u8]) -> Answer {
        let id = u32::from_le_bytes(fields(data)?);
        // Whose session it is is looked at only here: nobody closes another's.
        if id != self.sessions[at].id {
            return Err(Completion(0x87));
        }
        self.closing = Some(id);
        Ok(Vec::new())
    }

    /// Ends a session whose Close Session was answered.
    pub(crate) fn end_if_closed(&mut self, id: u32) {
        if self.closing.take_if(|closing| *closing == id).is_some() {
            self.sessions.retain(|session| session.id != id);
            self.console.take_if(|console| console.session == id);
        }
    }

    /// Activate Payload (24.1).
    fn activate(&mut self, at: usize, data: &[u8]) -> Answer {
        let [kind, instance, options, ..] = fields::<6>(data)?;
        if kind & 0x3f != 1 || instance & 0x0f != 1 {
            return Err(Completion::INVALID_FIELD);
        }
        if self.console.is_some() {
            return Err(Completion(0x80));
        }
        // Without encryption: not here.
        if options & 0x80 == 0 {
            return Err(Completion(0x84));
        }
        self.console = Some(Console::new(self.sessions[at].id));
        let [low, high] = self.config.console_payload.to_le_bytes();
        let [port_low, port_high] = self.config.port.to_le_bytes();
        // No VLAN.
        Ok(vec![
            0, 0, 0, 0, low, high, low, high, port_low, port_high, 0xff, 0xff,
        ])
    }

    /// Deactivate Payload (24.2).
    fn deactivate(&mut self, at: usize, data: &[u8]) -> Answer {
        let [kind, instance] = fields(data)?;
        if kind & 0x3f != 1 || instance & 0x0f != 1 {
            return Err(Completion::INVALID_FIELD);
        }
        let Some(console) = &self.console else {
            return Err(Completion(0x80));
        };
        // Who ends its own console knows that it ends.
        match console.session == self.sessions[at].id {
            true => self.console = None,
            false => self.end_console(),
        }
        Ok(Vec::new())
    }
}
