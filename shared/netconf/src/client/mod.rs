//! The client: one session and one task at a time.

mod outcome;
mod request;
mod step;
mod tasks;
mod transaction;

pub use outcome::{Failure, Outcome, Pending, Refusal, Report};
pub use step::Step;
pub use tasks::Flip;

use crate::dialect::Dialect;
use crate::hello::{Capabilities, Hello};
use crate::port::{PortReader, Sought};
use crate::reply::Reply;
use crate::session::{Message, ProtocolError, Session};
use crate::table::{TableReader, Visitor};
use tasks::{Committed, Work};

/// Longest name of an interface, in bytes.
pub const MAX_INTERFACE: usize = 48;

/// What an owner decides about a switch.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The dialect; without one the server's models decide.
    pub dialect: Option<&'static Dialect>,
    /// Use `validate` if dialect and switch have it. Some servers say `ok` to the
    /// commit behind it and apply nothing.
    pub validate: bool,
    /// Use confirmed commits if the switch has them.
    pub confirmed_commit: bool,
    /// Offer NETCONF 1.1 and its chunked framing.
    pub chunked: bool,
    /// Longest message of the switch, in bytes.
    pub max_message: u32,
}

impl Default for Settings {
    /// All that the switch has; messages of up to 4 MiB.
    fn default() -> Self {
        Self {
            dialect: None,
            validate: true,
            confirmed_commit: true,
            chunked: true,
            max_message: 4 << 20,
        }
    }
}

impl Settings {
    /// Returns whether confirmed commits have a persist-id, and `cancel-commit`
    /// takes them back. Both belong to sessions of NETCONF 1.1.
    fn persists(&self, capabilities: Capabilities) -> bool {
        let needed = Capabilities::BASE_1_1.union(Capabilities::CONFIRMED_COMMIT_1_1);
        self.confirmed_commit && self.chunked && capabilities.contains(needed)
    }
}

/// The answer to [`Client::abort`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abort {
    /// The client takes the orderly way out; put a deadline around its steps as
    /// before.
    Orderly,
    /// Nothing is left to do on this session: close the channel.
    Close,
}

/// What is read of an answer.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "a client has one of them at a time, and no heap"
)]
enum Collector {
    Nothing,
    Port(PortReader),
    Table(TableReader),
}

/// A NETCONF client on one channel. See the crate's documentation.
#[derive(Debug, Clone)]
pub struct Client {
    settings: Settings,
    session: Session,
    step: Step,
    work: Work,
    collector: Collector,
}

impl Client {
    /// Creates a client on a channel that was just opened.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let reply = Reply::default();
        Self {
            session: Session::new(settings.chunked, settings.max_message, reply),
            settings,
            step: Step::Hello,
            work: Work::default(),
            collector: Collector::Nothing,
        }
    }

    /// Returns what the client waits for.
    #[must_use]
    pub const fn step(&self) -> Step {
        self.step
    }

    /// Returns the server's hello; complete once the step is no longer
    /// [`Step::Hello`].
    #[must_use]
    pub const fn hello(&self) -> &Hello {
        &self.session.hello
    }

    /// Returns the dialect of the session: the configured one, or the one that the
    /// server's models say.
    #[must_use]
    pub fn dialect(&self) -> Option<&'static Dialect> {
        let models = self.session.hello.models;
        self.settings.dialect.or_else(|| Dialect::of(models))
    }

    /// Sets the dialect of the tasks to come, for a server whose models fit several.
    ///
    /// # Errors
    /// [`Refusal::Busy`].
    pub fn choose(&mut self, dialect: &'static Dialect) -> Result<(), Refusal> {
        if self.step != Step::Ready {
            return Err(Refusal::Busy);
        }
        self.settings.dialect = Some(dialect);
        Ok(())
    }

    /// Writes the next bytes to send into `buffer`, and returns their number; 0 if
    /// there is nothing to send. The bytes are the same until [`Self::sent`].
    pub fn peek(&mut self, buffer: &mut [u8]) -> usize {
        let (settings, dialect) = (&self.settings, self.dialect());
        let (work, step) = (&self.work, self.step);
        let capabilities = self.session.hello.capabilities;
        let request = request::Request {
            step,
            work,
            settings,
            dialect,
            capabilities,
        };
        self.session.peek(buffer, &|out| request.write(out))
    }

    /// Takes the first `length` bytes of the last [`Self::peek`] for sent.
    pub fn sent(&mut self, length: usize) {
        self.session.sent(length);
        self.greet();
    }

    /// Takes bytes of the switch, as many as have arrived. Rows of tables go to
    /// `visitor`.
    pub fn receive(&mut self, bytes: &[u8], visitor: &mut dyn Visitor) {
        let mut input = bytes;
        while !self.session.is_over() {
            match self.read(&mut input, visitor) {
                Ok(None) => break,
                Ok(Some(Message::Hello)) => self.greet(),
                Ok(Some(Message::Reply)) => self.replied(),
                Err(error) => self.lose(Failure::Protocol(error)),
            }
        }
    }

    fn read(
        &mut self,
        input: &mut &[u8],
        visitor: &mut dyn Visitor,
    ) -> Result<Option<Message>, ProtocolError> {
        let dialect = self.dialect();
        let Self {
            session,
            work,
            collector,
            ..
        } = self;
        session.read(input, &mut |token| match (&mut *collector, dialect) {
            (Collector::Port(reader), Some(dialect)) => {
                let sought = Sought {
                    interface: &work.interface,
                    change: work.change,
                    trunk: &work.trunk,
                    trunk_vlans: work.trunk_vlans,
                };
                reader.token(dialect, &sought, token);
            }
            (Collector::Table(reader), Some(dialect)) => {
                if let Some(table) = work.task.table(dialect) {
                    reader.token(table, &work.interface, token, visitor);
                }
            }
            _ => {}
        })
    }

    fn greet(&mut self) {
        if self.step == Step::Hello && self.session.is_idle() {
            self.step = Step::Ready;
        }
    }

    fn replied(&mut self) {
        let step = self.step;
        let answer = self.session.reply.answer(step.wanted());
        let next = self.after(step, answer);
        let next = self.turn_back(next);
        self.enter(next);
    }

    /// Goes to a step and begins its request.
    fn enter(&mut self, step: Step) {
        self.step = step;
        self.collector = match step {
            Step::ReadTable => Collector::Table(TableReader::default()),
            _ if step.reads_port() => Collector::Port(PortReader::default()),
            _ => Collector::Nothing,
        };
        match step {
            Step::Edit => {
                self.work.edited = true;
                if !self.has_candidate() {
                    self.work.committed = Committed::Asked;
                }
            }
            Step::Commit => self.work.committed = Committed::Asked,
            Step::Confirm | Step::Cancel if self.work.committed == Committed::No => {
                self.work.committed = Committed::Waits;
            }
            Step::Over => self.session.end(),
            _ => {}
        }
        if step.is_request() {
            self.session.begin();
        }
    }

    /// Takes the channel for closed: by the switch, or by the owner.
    pub fn closed(&mut self) {
        let closing = self.step == Step::Close;
        match closing {
            true => {
                self.work.outcome = Some(Outcome::Closed);
                self.session.end();
                self.step = Step::Over;
            }
            false => self.lose(Failure::SessionLost),
        }
    }

    fn lose(&mut self, failure: Failure) {
        if self.step == Step::Over {
            return;
        }
        let busy = !matches!(self.step, Step::Ready | Step::Over);
        self.work.pending = self.pending();
        if busy {
            self.work.tidy = false;
            self.fail(failure);
        }
        self.work.lost = true;
        self.session.end();
        self.step = Step::Over;
    }

    fn has(&self, capabilities: Capabilities) -> bool {
        self.session.hello.capabilities.intersects(capabilities)
    }

    fn has_candidate(&self) -> bool {
        self.has(Capabilities::CANDIDATE)
    }

    fn has_persist(&self) -> bool {
        self.settings.persists(self.session.hello.capabilities)
    }

    /// Returns the end of the last task, until the next one begins.
    #[must_use]
    pub fn report(&self) -> Option<Report<'_>> {
        if !matches!(self.step, Step::Ready | Step::Over) {
            return None;
        }
        let work = &self.work;
        let pending = match work.lost {
            true => work.pending,
            false => self.pending(),
        };
        Some(Report {
            outcome: work.outcome?,
            step: work.failed_at,
            port: &work.observed,
            description: &work.description,
            error: work.has_error.then_some(&self.session.reply.error),
            pending,
            tidy: work.tidy,
            rows: work.rows,
        })
    }
}
