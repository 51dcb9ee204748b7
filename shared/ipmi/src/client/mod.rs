//! The client: a session with one BMC, one command and one console at a time.
//! This file has the owner's side of it; what is sent is in `send` and `opening`, what
//! comes is in `receive`.

mod event;
mod opening;
mod receive;
mod send;
mod session;
mod settings;
mod step;

pub use event::{Counters, Event, Failure, Output, Refusal};
pub use settings::{Credentials, Privilege, Settings, Suites, Timing};
pub use step::Step;

use crate::command::{Command, Progress};
use crate::console::Link;
use crate::suite::Suite;
use session::{Phase, Session, State};

/// Length of the longest datagram that a client sends, in bytes.
pub const MAX_SENT: usize = crate::packet::OVERHEAD + crate::console::CHUNK + 4;

/// Length of a buffer that takes what BMCs send, in bytes: a console's payload of
/// 255 characters and what is around it.
pub const RECEIVE_BUFFER: usize = 384;

/// The exchange of one message and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exchange {
    /// How often the message was sent.
    tries: u8,
    /// When it is sent next, or given up.
    due_ms: u64,
    /// Number or tag of the message.
    number: u8,
    /// What an answer has said that anybody could have sent. If no better one
    /// comes, this is why the exchange fails.
    doubtful: Option<Failure>,
    /// How many of the tries had such an answer, and the last of them.
    doubts: u8,
    doubted: u8,
}

/// Tries with a doubtful answer after which an exchange fails.
const DOUBTS: u8 = 2;

/// Tries after which one refusal is enough: a BMC that has refused a session may not
/// know it any more, and be silent.
const DOUBTFUL_TRIES: u8 = 3;

impl Exchange {
    const fn new(now_ms: u64, number: u8) -> Self {
        Self {
            tries: 0,
            due_ms: now_ms,
            number,
            doubtful: None,
            doubts: 0,
            doubted: 0,
        }
    }

    /// Takes an answer that anybody could have sent.
    fn doubt(&mut self, failure: Failure) {
        if self.doubted != self.tries {
            self.doubted = self.tries;
            self.doubts = self.doubts.saturating_add(1);
        }
        // A BMC that has refused a session does not know it any more.
        if failure.is_final() || self.doubtful.is_none() {
            self.doubtful = Some(failure);
        }
    }

    /// Whether the next try is one too many.
    fn is_given_up(&self, tries: u8) -> bool {
        let is_refused = match self.doubtful {
            // A broken datagram looks like these.
            None | Some(Failure::Password | Failure::Key) => false,
            Some(_) => self.tries >= DOUBTFUL_TRIES,
        };
        self.doubts >= DOUBTS || is_refused || self.tries >= tries.max(1)
    }
}

/// A command of the owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Request {
    command: Command,
    progress: Progress,
    /// It was sent, so it may be carried out.
    sent: bool,
    /// How often the BMC was busy.
    busy: u8,
}

/// What the owner is still to be told, in the order of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Notices {
    request: Option<Failure>,
    console_ended: bool,
    down: Option<Failure>,
    up: bool,
    absent: bool,
}

/// A client of one BMC. See the crate's documentation.
///
/// Its size is 512 bytes at the most, credentials and the characters for the
/// console among them.
#[derive(Debug, Clone)]
pub struct Client {
    credentials: Credentials,
    settings: Settings,
    state: State,
    /// The suite that the BMC is known to have, or that is tried.
    suite: Suite,
    /// The session stays open, and is opened again.
    held: bool,
    /// The owner wants the session closed.
    closing: bool,
    /// Openings that have failed since the last one that did not.
    failures: u8,
    /// The session is not opened before this time.
    reopen_ms: u64,
    /// Number of the next message.
    number: u8,
    request: Option<Request>,
    /// A presence ping.
    ping: Option<Exchange>,
    notices: Notices,
    console: Link,
    counters: Counters,
}

const _: () = assert!(
    size_of::<Client>() <= 512,
    "a rack has a hundred BMCs, and their clients are always in memory"
);

impl Client {
    /// Creates a client that does nothing yet.
    #[must_use]
    pub const fn new(credentials: Credentials, settings: Settings) -> Self {
        Self {
            credentials,
            suite: settings.suites.first(),
            settings,
            state: State::Closed,
            held: false,
            closing: false,
            failures: 0,
            reopen_ms: 0,
            number: 0,
            request: None,
            ping: None,
            notices: Notices {
                request: None,
                console_ended: false,
                down: None,
                up: false,
                absent: false,
            },
            console: Link::new(),
            counters: Counters {
                sent: 0,
                repeated: 0,
                received: 0,
                truncated: 0,
                unknown: 0,
                other_session: 0,
                other_request: 0,
                replayed: 0,
                forged: 0,
                sessions: 0,
                lost: 0,
                oversized: 0,
            },
        }
    }

    /// Opens the session and keeps it open until [`Self::close`]: shows that it is
    /// alive, and opens it again where it is lost. Ends the pause before that.
    pub const fn open(&mut self) {
        self.held = true;
        self.closing = false;
        self.reopen_ms = 0;
    }

    /// Begins a command. Its end is [`Event::Done`] or [`Event::Failed`]. Where no
    /// session is open, one is opened for it at once, and stays open.
    ///
    /// # Errors
    /// [`Refusal::Busy`].
    pub const fn request(&mut self, command: Command) -> Result<(), Refusal> {
        if self.request.is_some() || self.notices.request.is_some() || self.closing {
            return Err(Refusal::Busy);
        }
        self.request = Some(Request {
            command,
            progress: Progress::START,
            sent: false,
            busy: 0,
        });
        if matches!(self.state, State::Closed) {
            self.reopen_ms = 0;
        }
        Ok(())
    }

    /// Closes the session. A command at work fails. The end is [`Event::Down`] with
    /// [`Failure::Closed`]; there is none where no session was open.
    pub fn close(&mut self) {
        self.held = false;
        if self.request.take().is_some() {
            self.notices.request = Some(Failure::Closed);
        }
        self.end_console();
        match &mut self.state {
            State::Closed => {}
            State::Opening(_) => {
                self.state = State::Closed;
                self.notices.down = Some(Failure::Closed);
            }
            State::Open(session) => {
                self.closing = true;
                if matches!(session.phase, Phase::Request | Phase::KeepAlive) {
                    session.phase = Phase::Idle;
                }
            }
        }
    }

    /// Asks whether anything answers at the BMC's address, without a session. Its
    /// end is [`Event::Present`] or [`Event::Absent`]. Many BMCs do not answer and
    /// are there all the same.
    ///
    /// # Errors
    /// [`Refusal::Busy`].
    pub const fn ping(&mut self) -> Result<(), Refusal> {
        if self.ping.is_some() {
            return Err(Refusal::Busy);
        }
        self.ping = Some(Exchange::new(0, self.number));
        self.number = self.number.wrapping_add(1);
        Ok(())
    }

    /// Whether the session is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(&self.state, State::Open(session) if !matches!(session.phase, Phase::Privilege))
    }

    /// Whether a command is at work, or its failure is still to be told.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.request.is_some() || self.notices.request.is_some()
    }

    /// The suite of the session, or the one that is tried next.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// What was sent and dropped.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether the serial console is this session's.
    #[must_use]
    pub const fn has_console(&self) -> bool {
        self.console.is_active()
    }

    /// Takes characters for the serial console, and returns how many; the others
    /// are to be given later. 0 without a console.
    pub fn console_write(&mut self, bytes: &[u8]) -> usize {
        self.console.write(bytes)
    }

    /// Sends a break on the serial console. Returns whether there is one.
    pub fn console_break(&mut self) -> bool {
        self.console.send_break()
    }

    /// Whether the BMC has acknowledged all characters.
    #[must_use]
    pub const fn console_is_flushed(&self) -> bool {
        self.console.is_idle()
    }

    /// Characters for the machine that the BMC did not take.
    #[must_use]
    pub const fn console_dropped(&self) -> u32 {
        self.console.dropped
    }

    /// Replaces the credentials. An open session stays as it is.
    pub const fn set_credentials(&mut self, credentials: Credentials) {
        self.credentials = credentials;
    }

    /// Sets the numbers of the session's packets, for tests of their wrap.
    #[doc(hidden)]
    pub const fn set_sequence(&mut self, sent: u32, received: u32) {
        if let State::Open(Session {
            outbound, window, ..
        }) = &mut self.state
        {
            *outbound = crate::sequence::Outbound::starting_at(sent);
            *window = crate::sequence::Window::behind(received);
        }
    }

    fn end_console(&mut self) {
        if self.console.is_active() {
            self.console.deactivate();
            self.notices.console_ended = true;
        }
    }

    /// Ends an opening or a session that failed.
    fn fail(&mut self, failure: Failure, now_ms: u64, chance: u8) {
        self.end_console();
        let was_open = self.is_open();
        if was_open {
            self.counters.lost = self.counters.lost.saturating_add(1);
        }
        self.state = State::Closed;
        let timing = self.settings.timing;
        let pause = Timing::pause(
            timing.first_reopen_ms,
            timing.longest_reopen_ms,
            self.failures,
            chance,
        );
        self.failures = self.failures.saturating_add(1);
        self.reopen_ms = now_ms.saturating_add(pause);
        if failure.is_final() {
            self.held = false;
        }
        self.closing = false;
        self.notices.down = Some(failure);
        // A request that was not sent yet may go with the next session.
        let sent = self.request.is_some_and(|request| request.sent);
        if self.request.is_some() && (sent || !was_open) {
            self.request = None;
            self.notices.request = Some(failure);
        } else if self.request.is_some() {
            self.reopen_ms = now_ms;
        }
    }
}
