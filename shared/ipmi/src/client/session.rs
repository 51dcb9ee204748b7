//! Where a client stands with its session.

use super::Exchange;
use crate::sequence::{Outbound, Window};
use crate::suite::{Code, SessionKeys};

/// Whether there is a session.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// There is none.
    Closed,
    /// One is being opened.
    Opening(Opening),
    /// It is open.
    Open(Session),
}

/// The message whose answer is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The question what the BMC can do.
    Capabilities,
    /// The request to open a session.
    Open,
    /// RAKP 1.
    Rakp1,
    /// RAKP 3.
    Rakp3,
}

/// A session that is being opened.
#[derive(Clone)]
pub(super) struct Opening {
    pub stage: Stage,
    pub exchange: Exchange,
    /// How often it has begun anew.
    pub restarts: u8,
    pub console_session: u32,
    pub bmc_session: u32,
    pub console_random: [u8; 16],
    pub bmc_random: [u8; 16],
    pub guid: [u8; 16],
    pub sik: Option<Code>,
}

impl core::fmt::Debug for Opening {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Opening")
            .field("stage", &self.stage)
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}

/// What an open session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It asks for its privilege.
    Privilege,
    /// Nothing.
    Idle,
    /// It asks for what its owner wants.
    Request,
    /// It shows that it is alive.
    KeepAlive,
    /// It asks for its end.
    Closing,
}

/// An open session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub phase: Phase,
    pub exchange: Exchange,
    pub keys: SessionKeys,
    pub console_session: u32,
    pub bmc_session: u32,
    pub outbound: Outbound,
    pub window: Window,
    /// When the BMC was last asked or heard.
    pub active_ms: u64,
}
