//! What a complete message means for the session.

use super::{Answer, Commitment, Event, Method, Session, State};
use crate::change::{Outcome, Refusal};
use crate::error::ErrorKind;
use crate::message::Id;
use crate::rows::Column;
use crate::vlan::PortVlan;

impl Session {
    /// Judges the message that is complete.
    pub(super) fn judge(&mut self) -> Result<Option<Event>, ErrorKind> {
        let monitored = !matches!(
            self.state,
            State::Databases | State::Schema | State::Monitor
        );
        match self.message.method {
            Method::None if !self.message.shown || self.state == State::Monitor => {
                return self.reply();
            }
            Method::Update if monitored && self.message.named && self.message.shown => {
                return Ok(Some(self.update()));
            }
            // Rows were shown that belong to no update.
            _ if self.message.shown => return Err(ErrorKind::Shape),
            Method::Update => return Err(ErrorKind::Shape),
            Method::Echo | Method::Other | Method::None => {}
        }
        if matches!(self.message.id, Id::None | Id::Null) {
            // A notification.
            return Ok(None);
        }
        let (id, params) = (&self.message.id_json, &self.message.params_json);
        let known = self.message.method == Method::Echo;
        if id.is_cut() || known && (params.is_cut() || params.is_empty()) {
            return Err(ErrorKind::EchoTooLong);
        }
        self.answer = Some(match known {
            true => Answer::Echo,
            false => Answer::UnknownMethod,
        });
        Ok(Some(Event::Send))
    }

    fn update(&mut self) -> Event {
        self.note_cfg();
        let reached = match self.state {
            State::Apply { next_cfg } => self.cur_cfg.is_some_and(|cur| cur >= next_cfg),
            _ => false,
        };
        if reached {
            self.read_back(Commitment::Applied);
        }
        Event::Updated
    }

    fn note_cfg(&mut self) {
        if self.message.shown && self.message.cur_cfg.is_some() {
            self.cur_cfg = self.message.cur_cfg;
        }
    }

    fn reply(&mut self) -> Result<Option<Event>, ErrorKind> {
        if !self.sent || self.message.id != Id::Number(i64::from(self.id)) {
            return Err(ErrorKind::Id);
        }
        // What a refusal of a whole request has beside its error is not asked
        // for, and a reply has one of the two.
        let whole = self.message.refused && self.message.refused_at.is_none();
        if whole == self.message.result {
            return Err(ErrorKind::Shape);
        }
        match self.state {
            State::Databases | State::Schema | State::Monitor if whole => Err(ErrorKind::Refused),
            State::Databases if !self.message.named => Err(ErrorKind::NoDatabase),
            State::Databases => {
                self.ask(State::Schema);
                Ok(Some(Event::Send))
            }
            State::Schema => {
                let all = (1 << Column::NEEDED.len()) - 1;
                if self.message.columns & all != all {
                    return Err(ErrorKind::Schema);
                }
                self.ask(State::Monitor);
                Ok(Some(Event::Send))
            }
            State::Monitor => {
                self.note_cfg();
                self.state = State::Ready;
                Ok(Some(Event::Ready))
            }
            State::Commit => Ok(Some(self.committed())),
            State::ReadBack => Ok(Some(self.end())),
            State::Read => {
                self.state = State::Ready;
                Ok(Some(match self.refused() {
                    true => Event::Unreadable,
                    false => Event::Port(self.found()),
                }))
            }
            State::Probe => {
                self.state = State::Ready;
                Ok(Some(Event::Alive))
            }
            State::Ready | State::Apply { .. } | State::Failed(_) => Err(ErrorKind::Id),
        }
    }

    /// The switch answered the change.
    fn committed(&mut self) -> Event {
        let message = &self.message;
        if message.refused {
            // The first operation compares; it is the only one that waits.
            if message.refused_at == Some(0) && &message.error == "timed out" {
                self.read_back(Commitment::Conflict);
                return Event::Send;
            }
            let refusal = self.refusal();
            self.state = State::Ready;
            return Event::Done(Outcome::Refused(refusal));
        }
        self.undoable = true;
        match (message.updated, message.next_cfg) {
            (Some(1), Some(next_cfg)) if self.cur_cfg.is_none_or(|cur| cur < next_cfg) => {
                self.state = State::Apply { next_cfg };
                // Nothing is to be sent, but the state is another one.
                Event::Committed
            }
            (Some(1), Some(_)) => {
                self.read_back(Commitment::Applied);
                Event::Send
            }
            _ => {
                self.read_back(Commitment::Odd);
                Event::Send
            }
        }
    }

    fn refusal(&self) -> Refusal {
        Refusal {
            error: self.message.error,
            details: self.message.details,
        }
    }

    fn refused(&self) -> bool {
        self.message.refused || self.message.selected > 1
    }

    /// What a select of the port gave.
    fn found(&self) -> Option<PortVlan> {
        (self.message.selected == 1).then_some(self.message.row.vlan)
    }

    fn read_back(&mut self, commitment: Commitment) {
        self.commitment = commitment;
        self.ask(State::ReadBack);
    }

    /// The port was read after a change.
    fn end(&mut self) -> Event {
        let stage = self.commitment.stage();
        self.state = State::Ready;
        if self.refused() {
            return Event::Done(Outcome::Unproven(stage));
        }
        let found = self.found();
        Event::Done(match self.commitment {
            Commitment::Conflict => Outcome::Conflict { found },
            Commitment::Applied if found == Some(self.desired) => Outcome::Applied,
            Commitment::Applied | Commitment::Odd => Outcome::NotApplied { found },
        })
    }
}
