//! An operation over NETCONF. A move is a confirmed commit with a persist-id
//! where the switch has it: the session ends, the commit waits, and `Keep` or
//! `Undo` ends it in a session of its own. A move that is to be permanent at once is a
//! plain commit.

mod tables;
mod words;

use farrier_core::interface::{Learned, OperationError, PortName, SwitchAction};
use farrier_netconf::dialect::{JUNOS, JUNOS_ELS};
use farrier_netconf::hello::Models;
use farrier_netconf::{
    Abort, Client, Dialect, Failure, Flip, Outcome, Pending, Refusal, Settings, Step, VlanChange,
};

use self::tables::{Found, Rows};
use self::words::{failed, flip, seen, trunk_of};
use crate::driver::Wait;
use crate::limits::{ANSWER_MILLIS, COMMIT_MILLIS, PAUSE_MILLIS};
use crate::report::{Order, Report, Seen};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The hellos are exchanged.
    Hello,
    /// A pause before the first request.
    Pause,
    /// The port is read.
    Look,
    /// It is asked whether the port has a link.
    LookForLink,
    /// The table of hardware addresses is read.
    LookForMac,
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
    /// The trunk that follows; empty for none.
    trunk: PortName,
    make_vlan: bool,
    remove_vlan: bool,
    /// The switch refused the change with the removal of a VLAN.
    keeps_vlan: bool,
    /// The address that is looked for.
    mac: Option<[u8; 6]>,
    /// The dialect that is tried where the switch refuses the first one's edit.
    other: Option<&'static Dialect>,
    /// A commit of this session was confirmed.
    confirmed: bool,
    turned: bool,
    /// The port, as it was read before its link was asked for.
    looked: Seen,
    found: Found,
    end: Option<Report>,
}

impl Netconf {
    pub(crate) fn new(order: &Order<'_>) -> Result<Self, OperationError> {
        let port = PortName::try_from(order.port).map_err(|_| OperationError::Unsupported)?;
        let settings = Settings {
            // Some servers apply nothing behind it. The edit is tested by its own
            // option, and everything is read back.
            validate: false,
            confirmed_commit: !order.details.at_once,
            ..Settings::default()
        };
        Ok(Self {
            client: Client::new(settings),
            port,
            action: order.action,
            token: order.token,
            phase: Phase::Hello,
            trunk: PortName::try_from(order.details.trunk)
                .map_err(|_| OperationError::Unsupported)?,
            make_vlan: order.details.make_vlan,
            remove_vlan: order.details.remove_vlan,
            keeps_vlan: false,
            mac: order.details.mac.map(|mac| mac.0),
            other: None,
            confirmed: false,
            turned: false,
            looked: Seen::Unread,
            found: Found::default(),
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
        let mut rows = Rows {
            port: &self.port,
            vlan: self.looked,
            mac: self.mac,
            found: &mut self.found,
        };
        self.client.receive(input, &mut rows);
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
            let Found { link, learned } = self.found;
            self.end = Some(Report {
                link,
                learned,
                ..report
            });
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
        self.keeps_vlan = false;
        self.begin_again(port)
    }

    /// Begins the task again without the removal of a VLAN, where the switch refused
    /// the change with it, and the port is where it was. Returns whether it did.
    fn tries_without_removal(&mut self, report: (Outcome, Pending), port: Seen) -> bool {
        let (left, failure) = match (self.phase, self.action) {
            (Phase::Change, SwitchAction::Move { from, .. }) => (from, Failure::Refused),
            (Phase::Change, SwitchAction::Undo { to, .. }) => (to, Failure::Refused),
            // The move was permanent already, and so is the port's way back.
            (Phase::Cancel, SwitchAction::Undo { to, .. }) => (to, Failure::NotRestored),
            _ => return false,
        };
        let refused = report == (Outcome::Failed(failure), Pending::None);
        let ready = self.client.step() == Step::Ready && !self.turned;
        if !refused || !ready || !port.is(left) || !self.remove_vlan || self.keeps_vlan {
            return false;
        }
        self.keeps_vlan = true;
        self.begin_again(port)
    }

    fn begin_again(&mut self, port: Seen) -> bool {
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
        let vlan = self.vlan_change(from, to);
        let flip = flip(&self.port, self.token, (Some(from), to))?;
        self.client.flip(&Flip {
            vlan,
            trunk: trunk_of(&self.client, self.make_vlan, &self.trunk),
            ..flip
        })
    }

    /// What a change from one VLAN to another does with the VLANs themselves.
    fn vlan_change(&self, from: u16, to: u16) -> VlanChange {
        let dialect = self.client.dialect();
        if dialect.is_none_or(|dialect| dialect.vlan_edit.is_none()) {
            return VlanChange::NONE;
        }
        let some = |vlan: u16, wanted: bool| (wanted && vlan != 0).then_some(vlan);
        VlanChange {
            make: some(to, self.make_vlan),
            remove: some(from, self.remove_vlan && !self.keeps_vlan),
        }
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
        // Where the move can't be cancelled any more, the port goes back by another
        // change.
        let vlan = self.vlan_change(to, from).inverse();
        let flip = flip(&self.port, self.token, (Some(from), to))?;
        self.client.cancel_earlier(&Flip {
            vlan,
            trunk: trunk_of(&self.client, self.make_vlan, &self.trunk),
            ..flip
        })
    }

    /// Reads the table of hardware addresses, where that is wanted, and ends.
    fn look_for_mac(&mut self) {
        self.phase = Phase::LookForMac;
        if self.mac.is_none() || self.turned || self.client.read_macs("").is_err() {
            self.finish(None, self.looked);
        }
    }

    /// The table was read, or the switch does not give it.
    fn looked_for_mac(&mut self) {
        let report = self.client.report();
        let rows = match report {
            Some(report) if report.outcome == Outcome::Read => Some(report.rows),
            _ => None,
        };
        // The table of a switch that carries frames is not empty: it has another form.
        if rows == Some(0)
            && let Some(other) = self.other.take()
        {
            self.choose(other);
            return self.look_for_mac();
        }
        let learned = &mut self.found.learned;
        *learned = match (*learned, rows) {
            (Learned::Here(vlan), _) => Learned::Here(vlan),
            (_, None | Some(0)) => Learned::Unknown,
            (Learned::Unknown, Some(_)) => Learned::Nowhere,
            (learned, Some(_)) => learned,
        };
        self.finish(None, self.looked);
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
        match self.phase {
            // A switch that does not say it has said the rest.
            Phase::LookForLink => return self.look_for_mac(),
            Phase::LookForMac => return self.looked_for_mac(),
            _ => {}
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
        let refused = (report.outcome, report.pending);
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
        if self.tries_without_removal(refused, port) || self.tries_other(refused_edit, port) {
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
                self.look_for_mac();
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
