//! What an operator wants of a machine's power, and what is being done about
//! it. The rules are in `power`.

use crate::interface::{Instant, NetworkId, OperationId, PowerAction};
use farrier_protocol::message::NodeId;

/// How long a driver may take to answer, in milliseconds.
pub const OPERATION_MILLIS: u64 = 60_000;
/// How long after a start of the appliance machines may show themselves before
/// they are switched, in milliseconds: most of those that are waited for boot
/// already.
pub const GRACE_MILLIS: u64 = 20_000;
/// How long a machine has after an operation to show itself before it is
/// asked for once more, in milliseconds: large servers test themselves for
/// minutes.
pub const SETTLE_MILLIS: u64 = 600_000;
/// How long a machine's own system has to follow a soft request, in
/// milliseconds.
pub const SOFT_MILLIS: u64 = 120_000;
/// How long an operator's request stands that nothing was seen of, in
/// milliseconds.
pub const REQUEST_MILLIS: u64 = 1_800_000;
/// The pause behind the first failure of a driver, in milliseconds; it
/// doubles up to [`SETTLE_MILLIS`].
const RETRY_MILLIS: u64 = 15_000;

/// Up to four seconds that differ from node to node: racks do not restart in
/// one instant.
pub(crate) fn jitter(id: NodeId) -> u64 {
    let [a, b, ..] = id.0;
    u64::from(u16::from_le_bytes([a, b]) % 4096)
}

/// What an operator wants of a machine's power, until it was seen to be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerRequest {
    /// What the power shall do.
    pub action: PowerAction,
}

/// What is known of a node's power, and what is being done about it. None of
/// it outlives a restart of the appliance.
#[derive(Debug, Clone, Copy, Default)]
pub struct PowerControl {
    /// When the present request was made, or found by a restart.
    pub(crate) since: Instant,
    /// When the power state was seen last.
    pub(crate) seen: Instant,
    /// The network that the machine's packets came by last.
    pub(crate) network: NetworkId,
    pub(crate) operation: Option<(OperationId, PowerAction, Instant)>,
    /// Not before this time.
    pub(crate) retry_at: Instant,
    pub(crate) failures: u8,
    /// When a driver, or the machine's agent, had carried out what restarts
    /// the machine.
    pub(crate) restarted: Option<Instant>,
    /// It must be off before its ports may leave a tenant's network.
    pub(crate) must_stop: bool,
}

impl PowerControl {
    /// Before anything is known.
    pub const NONE: PowerControl = PowerControl {
        since: Instant::START,
        seen: Instant::START,
        network: NetworkId::PROVISIONING,
        operation: None,
        retry_at: Instant::START,
        failures: 0,
        restarted: None,
        must_stop: false,
    };

    /// Another request: what was asked for before is over.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.since = now;
        self.operation = None;
        self.retry_at = now;
        self.failures = 0;
        self.restarted = None;
    }

    /// Whether the power state was seen since the present request was made.
    pub(crate) fn is_fresh(&self) -> bool {
        self.seen >= self.since
    }

    /// The machine restarts by itself: it has this long to show itself.
    pub(crate) fn hold_off(&mut self, until: Instant) {
        self.operation = None;
        self.retry_at = until;
    }

    /// The operation that a driver works on.
    pub fn operation(&self) -> Option<OperationId> {
        self.operation.map(|(id, ..)| id)
    }

    /// When the next operation is due, if one is needed.
    pub(crate) fn due(&self) -> Instant {
        match self.operation {
            Some((_, _, deadline)) => deadline,
            None => self.retry_at,
        }
    }

    pub(crate) fn failed(&mut self, now: Instant, jitter: u64) {
        let pause = RETRY_MILLIS << self.failures.min(6);
        self.failures = self.failures.saturating_add(1);
        self.operation = None;
        self.retry_at = now.plus_millis(pause.min(SETTLE_MILLIS) + jitter);
    }
}
