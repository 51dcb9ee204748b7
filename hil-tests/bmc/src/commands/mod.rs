//! Commands, by network function. Each answers with a completion code and data.

mod app;
mod chassis;
mod sensor;
mod storage;
mod transport;

use farrier_ipmi::message::{Completion, NetFn, Request};

use crate::{Bmc, Machine};

/// Data of an answer, or the code that it is refused with.
type Answer = Result<Vec<u8>, Completion>;

/// Privileges (6.8).
const USER: u8 = 2;
const OPERATOR: u8 = 3;

/// Cuts `N` bytes off the front of a request's data.
fn fields<const N: usize>(data: &[u8]) -> Result<[u8; N], Completion> {
    data.first_chunk().copied().ok_or(Completion::LENGTH)
}

impl<M: Machine> Bmc<M> {
    /// Answers what may be asked without a session.
    pub(crate) fn sessionless(&mut self, request: &Request<'_>) -> Option<(u8, Vec<u8>)> {
        const APP: u8 = NetFn::App as u8;
        let answer = match (request.net_fn, request.command) {
            (APP, 0x38) => self.authentication_capabilities(request.data),
            (APP, 0x37) => Ok(self.config.guid.0.to_vec()),
            (APP, 0x54) => self.cipher_suites(request.data),
            _ => return None,
        };
        Some(flatten(answer))
    }

    /// Whether a command changes something in the world.
    pub(crate) const fn changes(&self, request: &Request<'_>) -> bool {
        const CHASSIS: u8 = NetFn::Chassis as u8;
        matches!((request.net_fn, request.command), (CHASSIS, 0x02 | 0x08))
    }

    /// Carries out a command of a session.
    pub(crate) fn carry_out(&mut self, session: u32, request: &Request<'_>) -> (u8, Vec<u8>) {
        let Some(at) = self.session_at(session) else {
            return (Completion::STATE.0, Vec::new());
        };
        if self.sessions[at].privilege < needed(request) {
            return (Completion::PRIVILEGE.0, Vec::new());
        }
        flatten(match request.net_fn {
            n if n == NetFn::Chassis as u8 => self.chassis(request),
            n if n == NetFn::Sensor as u8 => self.sensor(request),
            n if n == NetFn::App as u8 => self.app(at, request),
            n if n == NetFn::Storage as u8 => self.storage(request),
            n if n == NetFn::Transport as u8 => self.transport(request),
            _ => Err(Completion::UNKNOWN_COMMAND),
        })
    }
}

fn flatten(answer: Answer) -> (u8, Vec<u8>) {
    match answer {
        Ok(data) => (0, data),
        Err(completion) => (completion.0, Vec::new()),
    }
}

/// The privilege that a command needs (appendix G).
const fn needed(request: &Request<'_>) -> u8 {
    const CHASSIS: u8 = NetFn::Chassis as u8;
    const APP: u8 = NetFn::App as u8;
    const STORAGE: u8 = NetFn::Storage as u8;
    match (request.net_fn, request.command) {
        // Chassis Control, Set System Boot Options, the log's erasure.
        (CHASSIS, 0x02 | 0x08) | (STORAGE, 0x47) => OPERATOR,
        // Get System Boot Options; the console.
        (CHASSIS, 0x09) | (APP, 0x48 | 0x49) => OPERATOR,
        // What a session begins and ends with.
        (APP, 0x38 | 0x3b | 0x3c) => 0,
        _ => USER,
    }
}
