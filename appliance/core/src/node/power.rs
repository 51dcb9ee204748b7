//! What an operator wants of a machine's power, and what is being done about
//! it. The rules are in `power`.

use crate::interface::{
    BootChoice, Instant, NetworkId, OperationError, OperationId, PowerAction, PowerOperation,
};
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

/// A driver that sees looks so often when nothing else is needed, in milliseconds.
pub const LOOK_MILLIS: u64 = 300_000;
/// It looks so often while something is awaited, in milliseconds.
pub const AWAITED_LOOK_MILLIS: u64 = 15_000;
/// How long a look may take, in milliseconds: a Redfish service is asked several
/// times.
pub const LOOK_DEADLINE_MILLIS: u64 = 30_000;
/// What was seen so long ago is not known any more, in milliseconds.
pub const SEEN_MILLIS: u64 = 900_000;
/// Most looks at once in the whole rack: each takes a socket and memory of the
/// driver's.
pub const MAX_LOOKS: usize = 8;
/// The pause behind the first look that failed, in milliseconds; it doubles up to
/// [`SETTLE_MILLIS`].
const LOOK_RETRY_MILLIS: u64 = 30_000;

fn secs(at: Instant) -> u32 {
    u32::try_from(at.millis() / 1000).unwrap_or(u32::MAX)
}

fn from_secs(secs: u32) -> Instant {
    Instant::from_millis(u64::from(secs) * 1000)
}

/// Looks of a driver at a machine: when the next one is due, and what came of the
/// last ones. In whole seconds, as each node has one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looks {
    next: u32,
    /// 0 where the driver reached the machine last.
    silent: u32,
    failures: u8,
    why: Option<OperationError>,
}

impl Looks {
    const NONE: Looks = Looks {
        next: 0,
        silent: 0,
        failures: 0,
        why: None,
    };

    /// When the next one is due.
    pub(crate) fn due(&self) -> Instant {
        from_secs(self.next)
    }

    /// Since when the BMC or outlet can't be asked, and why. `None` where it was
    /// reached last.
    pub fn silent(&self) -> Option<(Instant, OperationError)> {
        self.why.map(|why| (from_secs(self.silent), why))
    }

    /// The next one is due then.
    pub(crate) fn put_off(&mut self, until: Instant) {
        // Rounded up: what is due is not due before.
        self.next = secs(until.plus_millis(999));
    }

    /// The driver is another one, or reaches the machine in another way: what failed
    /// is tried again soon.
    pub(crate) fn begin(&mut self, now: Instant, jitter: u64) {
        *self = Self::NONE;
        self.put_off(now.plus_millis(jitter));
    }

    /// The driver has reached the machine.
    pub(crate) fn answered(&mut self) {
        (self.silent, self.failures, self.why) = (0, 0, None);
    }

    /// The driver has not reached the machine.
    pub(crate) fn unanswered(&mut self, now: Instant, why: OperationError) {
        if self.why.is_none() {
            self.silent = secs(now);
        }
        self.why = Some(why);
    }

    /// An operation that switches has ended so: what came of it is looked at soon.
    pub(crate) fn ended(&mut self, now: Instant, result: Result<(), OperationError>) {
        match result {
            Ok(()) => self.answered(),
            Err(
                why @ (OperationError::Unreachable
                | OperationError::Login
                | OperationError::HostKey
                | OperationError::Unsupported),
            ) => {
                self.unanswered(now, why);
                // What is asked for again needs no look in between.
                return;
            }
            Err(_) => {}
        }
        self.put_off(now.plus_millis(AWAITED_LOOK_MILLIS));
    }

    /// A look failed: the next one is later each time, and not when others are.
    pub(crate) fn failed(&mut self, now: Instant, why: OperationError, jitter: u64) {
        self.unanswered(now, why);
        let pause = (LOOK_RETRY_MILLIS << self.failures.min(5)).min(SETTLE_MILLIS);
        let spread = jitter << self.failures.min(3);
        self.failures = self.failures.saturating_add(1);
        self.put_off(now.plus_millis(pause + spread));
    }
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
    pub(crate) operation: Option<(OperationId, PowerOperation, Instant)>,
    /// Not before this time.
    pub(crate) retry_at: Instant,
    pub(crate) failures: u8,
    /// When a driver, or the machine's agent, had carried out what restarts
    /// the machine; [`Instant::START`] for never.
    restarted: Instant,
    /// It must be off before its ports may leave a tenant's network.
    pub(crate) must_stop: bool,
    /// Looks of a driver that sees the machine.
    pub looks: Looks,
    /// What an operator wants the machine to boot from, until a driver has told its
    /// BMC: the number of a [`BootChoice`].
    boot_wanted: u8,
    /// What the BMC said last that it boots from.
    boot_seen: u8,
    /// An operator wants the machine to be interrupted.
    pub(crate) nmi: bool,
    /// When the BMC said so, in seconds.
    boot_seen_secs: u32,
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
        restarted: Instant::START,
        must_stop: false,
        looks: Looks::NONE,
        boot_wanted: 0,
        boot_seen: 0,
        nmi: false,
        boot_seen_secs: 0,
    };

    /// Another request: what was asked for before is over.
    pub(crate) fn begin(&mut self, now: Instant) {
        self.since = now;
        self.give_up();
        self.retry_at = now;
        self.failures = 0;
        self.restarted = Instant::START;
    }

    /// When a driver, or the machine's agent, had carried out what restarts the
    /// machine.
    pub(crate) fn restarted(&self) -> Option<Instant> {
        Some(self.restarted).filter(|at| *at != Instant::START)
    }

    /// What restarts the machine was carried out.
    pub(crate) fn set_restarted(&mut self, now: Instant) {
        self.restarted = now;
    }

    /// What an operator wants the machine to boot from, until its BMC knows.
    pub fn boot_wanted(&self) -> Option<BootChoice> {
        BootChoice::from_number(self.boot_wanted)
    }

    pub(crate) fn set_boot_wanted(&mut self, choice: Option<BootChoice>) {
        self.boot_wanted = BootChoice::number(choice);
    }

    /// What the BMC said last that the machine boots from, and when; `None` where it
    /// said nothing that the rack knows.
    pub fn boot_seen(&self) -> Option<(BootChoice, Instant)> {
        let choice = BootChoice::from_number(self.boot_seen)?;
        Some((choice, from_secs(self.boot_seen_secs)))
    }

    pub(crate) fn see_boot(&mut self, now: Instant, choice: Option<BootChoice>) {
        self.boot_seen = BootChoice::number(choice);
        self.boot_seen_secs = secs(now);
    }

    /// When the power state was seen last.
    pub const fn seen(&self) -> Instant {
        self.seen
    }

    /// Nobody waits any more for whatever the driver does.
    pub(crate) fn forget_operation(&mut self) {
        self.operation = None;
        // What was wanted of another BMC, and what that one said, is not this one's.
        self.nmi = false;
        self.boot_wanted = 0;
        self.boot_seen = 0;
    }

    /// Nobody waits any more for what the driver switches. Whatever else it does ends
    /// first: a driver has one operation of a node at a time.
    fn give_up(&mut self) {
        if !self.is_beside() {
            self.operation = None;
        }
    }

    /// Whether the power state was seen since the present request was made.
    pub(crate) fn is_fresh(&self) -> bool {
        self.seen >= self.since
    }

    /// The machine restarts by itself: it has this long to show itself.
    pub(crate) fn hold_off(&mut self, until: Instant) {
        self.give_up();
        self.retry_at = until;
    }

    /// The operation that a driver works on.
    pub fn operation(&self) -> Option<OperationId> {
        self.operation.map(|(id, ..)| id)
    }

    /// The operation that a driver works on is one beside switching.
    pub(crate) fn is_beside(&self) -> bool {
        let operation = self.operation.map(|(_, operation, _)| operation);
        operation.is_some_and(|operation| !matches!(operation, PowerOperation::Do(_)))
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
