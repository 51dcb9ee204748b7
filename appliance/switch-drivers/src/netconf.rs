//! An operation over NETCONF. A move is a confirmed commit with a persist-id
//! where the switch has it: the session ends, the commit waits, and `Keep` or
//! `Undo` ends it in a session of its own.

use farrier_core::interface::{OperationError, PortName, SwitchAction};
use farrier_netconf::dialect::{JUNOS, JUNOS_ELS};
use farrier_netconf::hello::Models;
use farrier_netconf::{
    Abort, Client, Dialect, Failure, Flip, LinkState, Observed, Outcome, Pending, PortVlans,
    Refusal, Settings, Step, Visitor, VlanChange,
};

use crate::driver::Wait;
use crate::limits::{ANSWER_MILLIS, COMMIT_MILLIS, CONFIRM_S, PAUSE_MILLIS};
use crate::report::{Order, Report, Seen};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The hellos are exchanged.
    Hello,
    /// A pause before the first request.
    Pause,
    /// The port is read.
    Look,
    /// It is asked whether the port has a link, and that is all.
    LookForLink,
    /// The port is read before a move is taken back.
    LookBefore,
    /// The port is moved.
    Change,
    /// An earlier move is made permanent.
    Confirm,
    /// An earlier move is taken back.
    Cancel,
    /// A lock shows whether a commit still waits.
    Settle,
}

#[derive(Debug)]
pub(crate) struct Netconf {
    client: Client,
    port: PortName,
    action: SwitchAction,
    token: u64,
    phase: Phase,
    /// The dialect that is tried where the switch refuses the first one's edit.
    other: Option<&'static Dialect>,
    /// A commit of this session was confirmed.
    confirmed: bool,
    turned: bool,
    /// The port, as it was read before its link was asked for.
    looked: Seen,
    link: Option<bool>,
    end: Option<Report>,
}

/// Whether the port that was asked about has a link.
struct FoundLink(Option<bool>);

impl Visitor for FoundLink {
    fn link(&mut self, link: &LinkState<'_>) {
        self.0 = Some(link.up);
    }
}

/// An access port of this VLAN; without any for 0.
fn vlans(vlan: u16) -> Option<PortVlans> {
    match vlan {
        0 => Some(PortVlans::NONE),
        vlan => PortVlans::access(vlan),
    }
}

fn seen(observed: &Observed) -> Seen {
    match observed {
        Observed::Unknown => Seen::Unread,
        Observed::Other => Seen::Other,
        Observed::Port(port) => match port.tagged() {
            [] => Seen::Vlan(port.untagged().unwrap_or(0)),
            _ => Seen::Other,
        },
    }
}

impl Netconf {
    pub(crate) fn new(order: &Order<'_>) -> Result<Self, OperationError> {
        let port = PortName::try_from(order.port).map_err(|_| OperationError::Unsupported)?;
        let settings = Settings {
            // Some servers apply nothing behind it. The edit is tested by its own
            // option, and everything is read back.
            validate: false,
            ..Settings::default()
        };
        Ok(Self {
            client: Client::new(settings),
            port,
            action: order.action,
            token: order.token,
            phase: Phase::Hello,
            other: None,
            confirmed: false,
            turned: false,
            looked: Seen::Unread,
            link: None,
            end: None,
        })
    }

    pub(crate) const fn report(&self) -> Option<Report> {
        self.end
    }

    pub(crate) const fn wait(&self) -> Wait {
        let step = self.client.step();
        let limit = match step {
            Step::Ready => PAUSE_MILLIS,
            Step::Validate | Step::Commit | Step::Confirm | Step::Cancel | Step::UndoCommit => {
                COMMIT_MILLIS
            }
            // Without a candidate they are commits.
            Step::Edit | Step::UndoEdit => COMMIT_MILLIS,
            _ => ANSWER_MILLIS,
        };
        (step as u8, limit)
    }

    pub(crate) fn send(&mut self, out: &mut [u8]) -> usize {
        let length = self.client.peek(out);
        self.client.sent(length);
        self.advance();
        length
    }

    pub(crate) fn receive(&mut self, input: &mut &[u8]) {
        let mut link = FoundLink(None);
        self.client.receive(input, &mut link);
        self.link = link.0.or(self.link);
        *input = &[];
        self.advance();
    }

    /// The stream is lost, or the operation's time is over.
    pub(crate) fn closed(&mut self) {
        self.client.closed();
        self.advance();
    }

    /// The limit of what is awaited has passed.
    pub(crate) fn overdue(&mut self) {
        if self.phase == Phase::Pause {
            return self.begin();
        }
        self.turn_back();
    }

    /// Takes the orderly way out; the second time none at all.
    pub(crate) fn turn_back(&mut self) {
        self.turned = true;
        if self.phase == Phase::Pause || self.client.abort() == Abort::Close {
            self.client.closed();
        }
        self.advance();
    }

    fn finish(&mut self, error: Option<OperationError>, port: Seen) {
        if self.end.is_none() {
            let report = match error {
                None => Report::done(port),
                Some(error) => Report::failed(error, port),
            };
            let link = self.link;
            self.end = Some(Report { link, ..report });
        }
    }

    fn advance(&mut self) {
        if self.end.is_some() {
            return;
        }
        match (self.client.step(), self.phase) {
            (Step::Ready, Phase::Hello) => self.phase = Phase::Pause,
            (Step::Ready, Phase::Pause) => {}
            (Step::Evidence, _) => self.applied(),
            (Step::Ready | Step::Over, _) => self.ended(),
            _ => {}
        }
    }

    /// The session is open: the first task begins.
    fn begin(&mut self) {
        let models = self.client.hello().models;
        if self.client.dialect().is_none()
            && models.intersects(Models::JUNOS | Models::JUNOS_CONFIGURATION)
        {
            // Which of the two it is shows when a port is edited.
            self.choose(&JUNOS_ELS);
            self.other = Some(&JUNOS);
        }
        let begun = match self.action {
            SwitchAction::Read => self.look(Phase::Look),
            SwitchAction::Move { from, to } => self.change(from, to),
            SwitchAction::Keep { to, .. } => match self.confirm(to) {
                // A move was permanent at once.
                Err(Refusal::NoPersistId) => self.look(Phase::Look),
                begun => begun,
            },
            SwitchAction::Undo { .. } => self.look(Phase::LookBefore),
        };
        self.begun(begun, Seen::Unread);
    }

    fn choose(&mut self, dialect: &'static Dialect) {
        let chosen = self.client.choose(dialect).is_ok();
        debug_assert!(chosen, "the client is ready");
    }

    /// Begins the task again in the other dialect, where there is one and the
    /// switch refused an edit. Returns whether it did.
    fn tries_other(&mut self, refused_edit: bool, port: Seen) -> bool {
        let ready = self.client.step() == Step::Ready && !self.turned;
        let Some(other) = self.other.take_if(|_| refused_edit && ready) else {
            return false;
        };
        self.choose(other);
        let begun = match (self.phase, self.action) {
            (Phase::Change, SwitchAction::Move { from, to })
            | (Phase::Change, SwitchAction::Undo { from: to, to: from }) => self.change(from, to),
            (Phase::Cancel, SwitchAction::Undo { from, to }) => self.take_back(from, to),
            _ => return false,
        };
        self.begun(begun, port);
        true
    }

    fn begun(&mut self, begun: Result<(), Refusal>, port: Seen) {
        if let Err(refusal) = begun {
            let error = match refusal {
                Refusal::Busy => OperationError::Busy,
                Refusal::NoDialect
                | Refusal::Interface
                | Refusal::NoVlan
                | Refusal::Unsupported
                | Refusal::NotWritable
                | Refusal::NoPersistId
                | Refusal::Timeout => OperationError::Unsupported,
            };
            self.finish(Some(error), port);
        }
    }

    fn look(&mut self, phase: Phase) -> Result<(), Refusal> {
        self.phase = phase;
        self.client.read_port(&self.port)
    }

    fn change(&mut self, from: u16, to: u16) -> Result<(), Refusal> {
        self.phase = Phase::Change;
        let flip = flip(&self.port, self.token, (Some(from), to))?;
        self.client.flip(&flip)
    }

    fn confirm(&mut self, to: u16) -> Result<(), Refusal> {
        self.phase = Phase::Confirm;
        // What it was on is left out: where the switch refuses, because the move
        // is permanent already, the port is not to be moved back.
        let flip = flip(&self.port, self.token, (None, to))?;
        self.client.confirm_earlier(&flip)
    }

    fn take_back(&mut self, from: u16, to: u16) -> Result<(), Refusal> {
        self.phase = Phase::Cancel;
        let flip = flip(&self.port, self.token, (Some(from), to))?;
        self.client.cancel_earlier(&flip)
    }

    /// Changes the port from `to` to `to`, which writes nothing: the lock is
    /// granted only where no commit waits.
    fn settle(&mut self, to: u16) -> Result<(), Refusal> {
        self.phase = Phase::Settle;
        let flip = flip(&self.port, self.token, (Some(to), to))?;
        self.client.flip(&flip)
    }

    /// The change is applied and was read back.
    fn applied(&mut self) {
        match (self.client.pending(), self.action) {
            // The end of the session releases the lock and leaves the commit.
            (Pending::Persistent, SwitchAction::Move { to, .. }) => {
                self.finish(None, Seen::Vlan(to));
            }
            // A commit that would not outlive the session is confirmed at once.
            (pending, _) => {
                self.confirmed = pending != Pending::None;
                let waiting = self.client.confirm();
                debug_assert!(waiting, "the client waits for this");
            }
        }
    }

    /// A task of the client has ended.
    fn ended(&mut self) {
        if self.phase == Phase::LookForLink {
            // A switch that does not say it has said the rest.
            return self.finish(None, self.looked);
        }
        let Some(report) = self.client.report() else {
            return self.finish(Some(OperationError::Unreachable), Seen::Unread);
        };
        let port = seen(report.port);
        let refused_edit = match report.outcome {
            Outcome::Failed(Failure::Refused) => report.step == Step::Edit,
            Outcome::Failed(failure) => failure == Failure::NotRestored,
            _ => false,
        };
        let error = match report.outcome {
            Outcome::Failed(failure) => {
                Some(failed(failure, &report, self.client.step() == Step::Over))
            }
            Outcome::Confirmed
            | Outcome::Unchanged
            | Outcome::Cancelled
            | Outcome::Read
            | Outcome::Closed => None,
        };
        if self.tries_other(refused_edit, port) {
            return;
        }
        // A switch that refuses may have made the move permanent already.
        if let (Phase::Confirm, SwitchAction::Keep { to, .. }) = (self.phase, self.action)
            && port.is(to)
            && self.client.step() == Step::Ready
        {
            return self.go_on(port, |driver| driver.settle(to));
        }
        // Nor is it said that a confirmation was not forgotten.
        if let (Phase::Change, SwitchAction::Move { to, .. } | SwitchAction::Undo { from: to, .. }) =
            (self.phase, self.action)
            && self.confirmed
            && error.is_none()
        {
            return self.go_on(port, |driver| driver.settle(to));
        }
        // A session that the appliance has left may hold its commit still.
        if let (Phase::Look, SwitchAction::Keep { to, .. }) = (self.phase, self.action)
            && port.is(to)
            && error.is_none()
        {
            return self.go_on(port, |driver| driver.settle(to));
        }
        if self.phase == Phase::Look && self.action == SwitchAction::Read && error.is_none() {
            self.phase = Phase::LookForLink;
            self.looked = port;
            if self.turned || self.client.read_link(&self.port).is_err() {
                self.finish(None, port);
            }
            return;
        }
        let port = match error {
            Some(OperationError::Uncertain) => Seen::Unread,
            _ => port,
        };
        match (self.phase, self.action) {
            (Phase::LookBefore, SwitchAction::Undo { from, to }) if error.is_none() => {
                match port.is(from) || port.is(to) {
                    true => self.go_on(port, |driver| match driver.take_back(from, to) {
                        // Without confirmed commits it is another change.
                        Err(Refusal::NoPersistId) => driver.change(to, from),
                        begun => begun,
                    }),
                    false => self.finish(Some(OperationError::Unexpected), port),
                }
            }
            (Phase::Look, SwitchAction::Keep { to, .. }) if error.is_none() && !port.is(to) => {
                self.finish(Some(OperationError::Unexpected), port);
            }
            (Phase::Cancel, SwitchAction::Undo { from, .. })
                if error.is_none() && !port.is(from) =>
            {
                self.finish(Some(OperationError::NotApplied), port);
            }
            // An earlier move still waits, or somebody else has the lock.
            (Phase::Settle, SwitchAction::Keep { .. }) if error == Some(OperationError::Busy) => {
                self.finish(error, port);
            }
            // The switch said that the change is permanent, but that was not proven.
            (Phase::Settle, _) if error.is_some() => {
                self.finish(Some(OperationError::Uncertain), Seen::Unread);
            }
            _ => self.finish(error, port),
        }
    }

    /// Begins the next task, unless the operation turns back.
    fn go_on(&mut self, port: Seen, begin: impl FnOnce(&mut Self) -> Result<(), Refusal>) {
        match self.turned {
            true => self.finish(Some(OperationError::Uncertain), Seen::Unread),
            false => {
                let begun = begin(self);
                self.begun(begun, port);
            }
        }
    }
}

fn flip(
    port: &PortName,
    token: u64,
    (expected, to): (Option<u16>, u16),
) -> Result<Flip<'_>, Refusal> {
    let expected = match expected {
        Some(vlan) => Some(vlans(vlan).ok_or(Refusal::NoVlan)?),
        None => None,
    };
    Ok(Flip {
        interface: port,
        desired: vlans(to).ok_or(Refusal::NoVlan)?,
        expected,
        vlan: VlanChange::None,
        confirm_timeout_s: CONFIRM_S,
        persist_id: token,
    })
}

fn failed(failure: Failure, report: &farrier_netconf::Report<'_>, over: bool) -> OperationError {
    let (at, pending, port) = (report.step, report.pending, seen(report.port));
    let untouched = matches!(
        at,
        Step::Hello | Step::Ready | Step::Lock | Step::ReadBefore | Step::ReadPort
    );
    // The port as it was read last may be the one before the commit.
    let lost = over && !matches!(at, Step::Edit | Step::Validate);
    let unknown = !untouched && (lost || port == Seen::Unread);
    // A session without the lock has done nothing, whatever an earlier one did.
    let locked = failure == Failure::Locked;
    if !locked && (pending != Pending::None || unknown) {
        return OperationError::Uncertain;
    }
    match failure {
        Failure::Refused | Failure::NoAnswer => OperationError::Refused,
        Failure::Locked => OperationError::Busy,
        Failure::Unexpected => OperationError::Unexpected,
        Failure::NotApplied if at == Step::ReadBefore => OperationError::Unexpected,
        Failure::NotApplied | Failure::NotRestored => OperationError::NotApplied,
        Failure::Aborted | Failure::SessionLost => OperationError::Unreachable,
        Failure::Protocol(_) => OperationError::Unsupported,
    }
}
