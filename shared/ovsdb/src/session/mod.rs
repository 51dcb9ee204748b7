//! A session with one switch over one connection.

mod request;
mod types;
mod verdict;

pub use types::{BufferTooSmall, Config, Event, MAX_REQUEST, NotNow, State};

use farrier_json::{Slice, Writer};

use crate::change::{Change, Stage};
use crate::error::{Error, ErrorKind};
use crate::message::{Asked, Message, Method};
use crate::rows::Visitor;
use crate::token::Lexer;
use crate::vlan::{PortName, PortVlan};
use request::Request;

/// What follows the read after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commitment {
    /// The port was not as expected.
    Conflict,
    /// The switch committed something else than it was asked for.
    Odd,
    /// The switch says that it applied the change.
    Applied,
}

impl Commitment {
    /// How far the change has come before its port is read.
    const fn stage(self) -> Stage {
        match self {
            Self::Applied => Stage::Unread,
            Self::Odd => Stage::Committed,
            Self::Conflict => Stage::Uncommitted,
        }
    }
}

/// A client's end of one connection.
///
/// The owner calls [`Session::send`] until it gives 0, then waits for bytes,
/// hands them to [`Session::receive`], and so on. The session has no clock:
/// [`Session::state`] says what is awaited, and [`Session::give_up`] ends it.
///
/// Its initial value is not all zeros: as a static it belongs into a cell that is
/// filled at run time.
#[derive(Debug, Clone)]
pub struct Session {
    config: Config,
    lexer: Lexer,
    message: Message,
    state: State,
    /// Whether the request that belongs to the state was given to the owner.
    sent: bool,
    id: u32,
    /// A request of the switch has to be answered, with its parameters or with
    /// a refusal. It stays in `message` until then.
    answer: Option<Answer>,
    port: Option<PortName>,
    expected: PortVlan,
    desired: PortVlan,
    /// Whether the switch has this change in its database.
    undoable: bool,
    commitment: Commitment,
    /// How far a change had come when the session failed.
    left_at: Option<Stage>,
    cur_cfg: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Echo,
    UnknownMethod,
}

impl Session {
    /// A session whose connection was just opened.
    #[must_use]
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            lexer: Lexer::new(config.max_message),
            message: Message::new(),
            state: State::Databases,
            sent: false,
            id: 1,
            answer: None,
            port: None,
            expected: PortVlan::UNSET,
            desired: PortVlan::UNSET,
            undoable: false,
            commitment: Commitment::Odd,
            left_at: None,
            cur_cfg: None,
        }
    }

    /// What is awaited.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether [`Session::send`] has something to give.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !matches!(self.state, State::Failed(_)) && (self.answer.is_some() || self.unsent())
    }

    /// The number of the configuration that the switch applied last.
    #[must_use]
    pub const fn cur_cfg(&self) -> Option<i64> {
        self.cur_cfg
    }

    /// The change at work, or the last one.
    #[must_use]
    pub fn change(&self) -> Option<Change> {
        Some(Change {
            port: self.port?,
            expected: self.expected,
            desired: self.desired,
        })
    }

    /// Begins a change. Its end is [`Event::Done`].
    ///
    /// # Errors
    /// [`NotNow::Busy`], [`NotNow::Inexact`].
    pub fn begin(&mut self, change: &Change) -> Result<(), NotNow> {
        self.check_ready()?;
        if !change.expected.is_exact() || !change.desired.is_exact() {
            return Err(NotNow::Inexact);
        }
        self.port = Some(change.port);
        self.expected = change.expected;
        self.desired = change.desired;
        self.undoable = false;
        self.ask(State::Commit);
        Ok(())
    }

    /// Begins to undo the last change: sets the port to what was expected of
    /// it, provided that it has what was desired. OVSDB has no confirmed
    /// commit: a session that ends undoes nothing, and a later one undoes by
    /// [`Change::reversed`].
    ///
    /// # Errors
    /// [`NotNow::Busy`]; [`NotNow::NothingToUndo`] where the switch did not
    /// commit the change.
    pub fn rollback(&mut self) -> Result<(), NotNow> {
        self.check_ready()?;
        let change = self.change().filter(|_| self.undoable);
        self.begin(&change.ok_or(NotNow::NothingToUndo)?.reversed())
    }

    /// Begins to read a port's VLANs. Its end is [`Event::Port`] or
    /// [`Event::Unreadable`]. The change before can't be undone by
    /// [`Session::rollback`] any more where it was of another port.
    ///
    /// # Errors
    /// [`NotNow::Busy`].
    pub fn read(&mut self, port: &PortName) -> Result<(), NotNow> {
        self.check_ready()?;
        self.undoable &= self.port == Some(*port);
        self.port = Some(*port);
        self.ask(State::Read);
        Ok(())
    }

    /// Begins to ask whether the switch is there. Its end is [`Event::Alive`].
    ///
    /// # Errors
    /// [`NotNow::Busy`].
    pub fn probe(&mut self) -> Result<(), NotNow> {
        self.check_ready()?;
        self.ask(State::Probe);
        Ok(())
    }

    /// Ends what is awaited, because it took too long or the connection is
    /// lost, and after a fault. Says how far a change had come; `None` where none
    /// was at work.
    ///
    /// The session has failed thereafter where an answer could still come.
    /// While the switch only has to apply a change, it stays ready: the change
    /// can be undone.
    pub fn give_up(&mut self) -> Option<Stage> {
        let stage = self.stage();
        match self.state {
            State::Ready => {}
            State::Failed(_) => self.left_at = None,
            State::Apply { .. } => self.state = State::Ready,
            State::Commit | State::ReadBack | State::Read | State::Probe if !self.sent => {
                self.state = State::Ready;
            }
            _ => self.state = State::Failed(self.lexer.fault(ErrorKind::GivenUp)),
        }
        stage
    }

    /// Writes one message for the switch into `out` and gives its length, 0
    /// for none. The message counts as sent.
    ///
    /// # Errors
    /// [`BufferTooSmall`]: it is still to be sent.
    pub fn send(&mut self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        if let State::Failed(_) = self.state {
            return Ok(0);
        }
        if let Some(answer) = self.answer {
            let mut json = Writer::new(Slice::new(out));
            json.object().key("id");
            json.verbatim(self.message.id_json.as_str()).key("result");
            match answer {
                Answer::Echo => {
                    let params = self.message.params_json.as_str();
                    json.verbatim(params).key("error").null()
                }
                Answer::UnknownMethod => json.null().key("error").string("unknown method"),
            };
            json.end_object();
            let slice = json.finish().ok_or(BufferTooSmall)?;
            self.answer = None;
            self.message = Message::new();
            return Ok(slice.len());
        }
        if !self.unsent() {
            return Ok(0);
        }
        let change = self.change();
        let request = match (self.state, &change) {
            (State::Databases, _) => Request::Databases,
            (State::Schema, _) => Request::Schema,
            (State::Monitor, _) => Request::Monitor {
                statistics: self.config.statistics,
            },
            (State::Commit, Some(change)) => Request::Commit(change),
            (State::ReadBack | State::Read, Some(change)) => Request::Read(&change.port),
            (State::Probe, _) => Request::Probe,
            _ => return Ok(0),
        };
        let len = request::write(&request, self.id, out).ok_or(BufferTooSmall)?;
        self.sent = true;
        Ok(len)
    }

    /// Takes bytes of the switch, up to the end of a message that means
    /// something to the owner, and advances `input` past them. `None` means
    /// that `input` is used up. The visitor is shown the rows on the way.
    ///
    /// While an answer to the switch is to be sent, no new message is begun.
    ///
    /// # Errors
    /// The fault that ends the session, from then on always.
    pub fn receive(
        &mut self,
        input: &mut &[u8],
        visitor: &mut impl Visitor,
    ) -> Result<Option<Event>, Error> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        let event = self.advance(input, visitor);
        if let Err(error) = event {
            self.left_at = self.stage();
            self.state = State::Failed(error);
        }
        event
    }

    fn advance(
        &mut self,
        input: &mut &[u8],
        visitor: &mut impl Visitor,
    ) -> Result<Option<Event>, Error> {
        loop {
            if self.answer.is_some() {
                return Ok((!input.is_empty()).then_some(Event::Send));
            }
            let Some(token) = self.lexer.next(input)? else {
                return Ok(None);
            };
            let (text, asked) = (self.lexer.text(), self.asked());
            let ended = self.message.take(token, text, asked, visitor);
            if ended.map_err(|kind| self.lexer.fault(kind))? {
                let event = self.judge().map_err(|kind| self.lexer.fault(kind))?;
                self.lexer.restart();
                if self.answer.is_none() {
                    self.message = Message::new();
                }
                if event.is_some() {
                    return Ok(event);
                }
            }
        }
    }

    /// What the one open request asked for.
    const fn asked(&self) -> Asked {
        match self.state {
            _ if !self.sent => Asked::Nothing,
            State::Databases => Asked::Databases,
            State::Schema => Asked::Schema,
            State::Monitor => Asked::Monitor,
            State::Commit => Asked::Commit,
            State::ReadBack | State::Read => Asked::Port,
            State::Ready | State::Apply { .. } | State::Probe | State::Failed(_) => Asked::Nothing,
        }
    }

    fn check_ready(&self) -> Result<(), NotNow> {
        match self.state {
            State::Ready => Ok(()),
            _ => Err(NotNow::Busy),
        }
    }

    const fn unsent(&self) -> bool {
        let has_request = !matches!(
            self.state,
            State::Ready | State::Apply { .. } | State::Failed(_)
        );
        has_request && !self.sent
    }

    /// How far the change has come that is at work.
    const fn stage(&self) -> Option<Stage> {
        match self.state {
            State::Commit if self.sent => Some(Stage::Unanswered),
            State::Commit => Some(Stage::Unsent),
            State::Apply { .. } => Some(Stage::Committed),
            State::ReadBack => Some(self.commitment.stage()),
            State::Failed(_) => self.left_at,
            _ => None,
        }
    }

    /// Enters a state whose request is to be sent.
    const fn ask(&mut self, state: State) {
        self.state = state;
        self.sent = false;
        self.id = self.id.wrapping_add(1);
    }
}
