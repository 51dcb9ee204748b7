//! An operation over OVSDB. There is no confirmed commit: a move is permanent,
//! and is undone by another change.

use farrier_core::interface::{OperationError, SwitchAction};
use farrier_ovsdb::{
    Change, Config, ErrorKind, Event, InterfaceRow, Outcome, PortName, PortVlan, Session, Stage,
    State, Visitor, VlanMode,
};

use crate::driver::Wait;
use crate::limits::{ANSWER_MILLIS, APPLY_MILLIS};
use crate::report::{Order, Report, Seen};

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// The session begins.
    Open,
    /// The port is read.
    Look,
    /// The port is moved to this VLAN.
    Change(u16),
    /// The port is read after it was not moved.
    LookAgain(OperationError),
}

#[derive(Debug)]
pub(crate) struct Ovsdb {
    session: Session,
    port: PortName,
    action: SwitchAction,
    phase: Phase,
    /// Whether the port has a link.
    link: Option<bool>,
    end: Option<Report>,
}

/// Looks for the link of a port in the rows of interfaces: that of a port of one
/// interface has the port's name.
struct Link<'a> {
    port: &'a PortName,
    up: &'a mut Option<bool>,
}

impl Visitor for Link<'_> {
    fn interface(&mut self, row: &InterfaceRow) {
        if &row.name == self.port.as_str() {
            *self.up = row.link_up;
        }
    }
}

/// What a row says of a port. One without any setting passes the frames of every
/// VLAN; it was given none.
fn seen(found: Option<PortVlan>) -> Seen {
    let Some(found) = found else {
        return Seen::Unread;
    };
    match (found.mode, found.tag) {
        (None | Some(VlanMode::Access), Some(vlan @ 1..)) => Seen::Vlan(vlan),
        _ if found == PortVlan::UNSET => Seen::Vlan(0),
        _ => Seen::Other,
    }
}

impl Ovsdb {
    pub(crate) fn new(order: &Order<'_>) -> Result<Self, OperationError> {
        let port = PortName::new(order.port).ok_or(OperationError::Unsupported)?;
        let target = match order.action {
            SwitchAction::Read => None,
            SwitchAction::Move { to, .. } | SwitchAction::Keep { to, .. } => Some(to),
            // Without any setting the port would pass every VLAN.
            SwitchAction::Undo { from, .. } => Some(from),
        };
        if target.is_some_and(|vlan| PortVlan::access(vlan).is_none()) {
            return Err(OperationError::Unsupported);
        }
        Ok(Self {
            session: Session::new(Config::default()),
            port,
            action: order.action,
            phase: Phase::Open,
            link: None,
            end: None,
        })
    }

    pub(crate) fn report(&self) -> Option<Report> {
        let link = self.link;
        self.end.map(|end| Report { link, ..end })
    }

    pub(crate) fn wait(&self) -> Wait {
        match self.session.state() {
            State::Databases => (0, ANSWER_MILLIS),
            State::Schema => (1, ANSWER_MILLIS),
            State::Monitor => (2, ANSWER_MILLIS),
            State::Ready => (3, ANSWER_MILLIS),
            State::Commit => (4, ANSWER_MILLIS),
            State::Apply { .. } => (5, APPLY_MILLIS),
            State::ReadBack => (6, ANSWER_MILLIS),
            State::Read => (7, ANSWER_MILLIS),
            State::Probe => (8, ANSWER_MILLIS),
            State::Failed(_) => (9, ANSWER_MILLIS),
        }
    }

    pub(crate) fn send(&mut self, out: &mut [u8]) -> usize {
        match self.session.send(out) {
            Ok(length) => length,
            Err(farrier_ovsdb::BufferTooSmall) => {
                debug_assert!(false, "the buffer holds every request");
                self.closed();
                0
            }
        }
    }

    pub(crate) fn receive(&mut self, input: &mut &[u8]) {
        while self.end.is_none() {
            let mut link = Link {
                port: &self.port,
                up: &mut self.link,
            };
            match self.session.receive(input, &mut link) {
                Ok(None) => return,
                // Before anything else is read.
                Ok(Some(Event::Send)) => return,
                Ok(Some(event)) => self.event(event),
                Err(error) => {
                    let stage = self.session.give_up();
                    self.give_up(stage, unusable(error.kind));
                }
            }
        }
    }

    /// Ends the operation: the stream is lost, or a limit has passed.
    pub(crate) fn closed(&mut self) {
        let stage = self.session.give_up();
        self.give_up(stage, OperationError::Unreachable);
    }

    /// Ends the operation where its change, if there is one, has come so far.
    fn give_up(&mut self, stage: Option<Stage>, error: OperationError) {
        if self.end.is_some() {
            return;
        }
        let error = match (stage, self.phase) {
            (Some(Stage::Unanswered | Stage::Committed | Stage::Unread), _) => {
                OperationError::Uncertain
            }
            (Some(Stage::Uncommitted), _) => OperationError::Unexpected,
            // It was refused before.
            (_, Phase::LookAgain(refused)) => refused,
            (Some(Stage::Unsent) | None, _) => error,
        };
        self.fail(error, Seen::Unread);
    }

    fn fail(&mut self, error: OperationError, port: Seen) {
        self.end = Some(Report::failed(error, port));
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Ready => self.look(Phase::Look),
            Event::Port(found) => self.found(found),
            Event::Unreadable => match self.phase {
                Phase::LookAgain(refused) => self.fail(refused, Seen::Unread),
                _ => self.fail(OperationError::Refused, Seen::Unread),
            },
            Event::Done(outcome) => self.changed(outcome),
            Event::Send | Event::Updated | Event::Committed | Event::Alive => {}
        }
    }

    fn look(&mut self, phase: Phase) {
        self.phase = phase;
        if self.session.read(&self.port).is_err() {
            debug_assert!(false, "the session is ready");
            self.closed();
        }
    }

    /// The port was read.
    fn found(&mut self, found: Option<PortVlan>) {
        let port = seen(found);
        if let Phase::LookAgain(refused) = self.phase {
            return self.fail(refused, port);
        }
        let Some(found) = found else {
            return self.fail(OperationError::Unexpected, port);
        };
        match self.action {
            SwitchAction::Read => self.end = Some(Report::done(port)),
            SwitchAction::Keep { to, .. } if port.is(to) => self.end = Some(Report::done(port)),
            SwitchAction::Keep { .. } => self.fail(OperationError::Unexpected, port),
            // A port that is there already is changed as well: the answer shows
            // that the switch has applied what its row says.
            SwitchAction::Move { from, to } if port.is(from) || port.is(to) => {
                self.change(found, to);
            }
            SwitchAction::Undo { from, to } if port.is(from) || port.is(to) => {
                self.change(found, from);
            }
            SwitchAction::Move { .. } | SwitchAction::Undo { .. } => {
                self.fail(OperationError::Unexpected, port);
            }
        }
    }

    fn change(&mut self, expected: PortVlan, target: u16) {
        let change = PortVlan::access(target).map(|desired| Change {
            port: self.port,
            expected,
            desired,
        });
        let begun = change.is_some_and(|change| self.session.begin(&change).is_ok());
        match begun {
            true => self.phase = Phase::Change(target),
            // Its row can't be compared.
            false => self.fail(OperationError::Unsupported, seen(Some(expected))),
        }
    }

    fn changed(&mut self, outcome: Outcome) {
        let target = match self.phase {
            Phase::Change(target) => Seen::Vlan(target),
            Phase::Open | Phase::Look | Phase::LookAgain(_) => Seen::Unread,
        };
        match outcome {
            Outcome::Applied => self.end = Some(Report::done(target)),
            Outcome::Conflict { found } => self.fail(OperationError::Unexpected, seen(found)),
            Outcome::Refused(_) => self.look(Phase::LookAgain(OperationError::Refused)),
            Outcome::NotApplied { found } => self.fail(OperationError::NotApplied, seen(found)),
            Outcome::Unproven(Stage::Unsent | Stage::Uncommitted) => {
                self.fail(OperationError::Unexpected, Seen::Unread);
            }
            Outcome::Unproven(Stage::Unanswered | Stage::Committed | Stage::Unread) => {
                self.fail(OperationError::Uncertain, Seen::Unread);
            }
        }
    }
}

/// What a server is that does not speak as the driver does.
const fn unusable(kind: ErrorKind) -> OperationError {
    match kind {
        ErrorKind::Refused => OperationError::Refused,
        ErrorKind::GivenUp => OperationError::Unreachable,
        ErrorKind::Json(_)
        | ErrorKind::Shape
        | ErrorKind::TooLong
        | ErrorKind::Id
        | ErrorKind::EchoTooLong
        | ErrorKind::NoDatabase
        | ErrorKind::Schema
        | ErrorKind::Column => OperationError::Unsupported,
    }
}
