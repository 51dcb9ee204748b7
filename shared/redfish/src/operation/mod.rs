//! One operation on one BMC: a chain of requests, driven by bytes and the time.
//!
//! Here is what moves bytes and watches deadlines. [`advance`] decides what an
//! answer leads to ([`find`] up to the system, [`verify`] behind a change), [`judge`]
//! whether it is one, [`collect`] and [`resources`] take out of it what is needed,
//! and [`write`] writes requests.

mod advance;
mod collect;
mod find;
mod judge;
mod resources;
mod step;
mod verify;
mod write;

pub use step::Step;
pub use write::MAX_CREDENTIALS;

use collect::{Collector, Facts, MAX_ETAG};
use step::Resource;
use write::Window;

use crate::bmc::Bmc;
use crate::http::{Exchange, Phase};
use crate::kinds::Health;
use crate::link::Path;
use crate::outcome::{Failure, FailureKind, Outcome, SystemState, Visitor};
use crate::request::{Request, Settings, Target};
use crate::text::Text;

/// Largest number of requests of one operation, without those that look again after
/// a pause.
pub const MAX_REQUESTS: u16 = 400;

/// What an operation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// A new connection to the BMC. A former one is to be closed, without a word of
    /// it here. Then [`Operation::connected`], or [`Operation::closed`] where it
    /// fails.
    Connect,
    /// [`Operation::output`] has bytes for the connection.
    Send,
    /// Bytes of the connection: [`Operation::input`], or [`Operation::closed`].
    Receive,
    /// Nothing but the time: [`Operation::tick`] at [`Operation::deadline`].
    Wait,
    /// Nothing: it is over. The connection can be closed.
    Nothing,
}

/// One operation. See the crate's documentation.
pub struct Operation<'o> {
    bmc: &'o mut Bmc,
    target: &'o Target<'o>,
    request: &'o Request<'o>,
    settings: &'o Settings,
    step: Step,
    /// The step that waits for a session.
    resume: Step,
    /// The step at which it failed.
    failed_at: Step,
    /// The resource of the step.
    path: Path,
    /// The collection whose members are read, the resource that is changed, or the
    /// action whose values are read.
    base: Path,
    etag: Text<MAX_ETAG>,
    exchange: Exchange,
    facts: Facts,
    system: SystemState,
    /// When the whole operation must be over, and the present answer.
    until: u64,
    answer_until: u64,
    /// The next request is not sent before that.
    not_before: u64,
    /// Since when the change is accepted.
    changed_at: u64,
    /// Requests that were begun.
    requests: u16,
    /// Which member of a collection is read.
    member: u16,
    /// Rows that were shown, and the worst health of them and of the chassis.
    rows: u16,
    health: Option<Health>,
    redirects: u8,
    retries: u8,
    connected: bool,
    /// The connection has carried a request.
    used: bool,
    /// The change is an action, not one of the resource.
    by_action: bool,
    /// The BMC wants to be told the protocol of an image.
    tells_protocol: bool,
    /// How often the change was refused for its ETag.
    refetches: u8,
    /// A session was made in this operation.
    renewed: bool,
    /// The system was looked for in this operation.
    searched: bool,
    /// The root is where its redirection leads.
    root_moved: bool,
    /// The boot override is in a settings object.
    in_settings: bool,
    /// A change was sent whose end is unknown.
    open: bool,
    end: Option<Result<Outcome, FailureKind>>,
}

impl core::fmt::Debug for Operation<'_> {
    /// Without what was received: a session's token may be in it.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Operation")
            .field("request", self.request)
            .field("step", &self.step)
            .field("path", &self.path)
            .field("wants", &self.wants())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl<'o> Operation<'o> {
    /// Begins an operation at `now`, in milliseconds of any clock that does not go
    /// back.
    #[must_use]
    pub fn new(
        bmc: &'o mut Bmc,
        target: &'o Target<'o>,
        request: &'o Request<'o>,
        settings: &'o Settings,
        now: u64,
    ) -> Self {
        let mut new = Self {
            bmc,
            target,
            request,
            settings,
            step: Step::Root,
            resume: Step::Root,
            failed_at: Step::Root,
            path: Text::EMPTY,
            base: Text::EMPTY,
            etag: Text::EMPTY,
            exchange: Exchange::new(),
            facts: Facts::NONE,
            system: SystemState::default(),
            until: now.saturating_add(settings.total_ms.into()),
            answer_until: now,
            not_before: 0,
            changed_at: now,
            requests: 0,
            member: 0,
            rows: 0,
            health: None,
            redirects: 0,
            retries: 0,
            connected: false,
            used: false,
            by_action: false,
            tells_protocol: false,
            refetches: 0,
            renewed: false,
            searched: false,
            root_moved: false,
            in_settings: false,
            open: false,
            end: None,
        };
        let go = new.start();
        new.follow(go, now);
        new
    }

    /// Returns what it waits for.
    #[must_use]
    pub fn wants(&self) -> Wants {
        if self.end.is_some() {
            return Wants::Nothing;
        }
        if self.not_before > 0 {
            return Wants::Wait;
        }
        match self.exchange.phase() {
            _ if !self.connected => Wants::Connect,
            Phase::Sending => Wants::Send,
            Phase::Head | Phase::Body | Phase::Done => Wants::Receive,
        }
    }

    /// Returns when [`Self::tick`] is due, in milliseconds of the owner's clock.
    #[must_use]
    pub fn deadline(&self) -> u64 {
        let next = match self.not_before {
            0 => self.answer_until,
            wait => wait,
        };
        next.min(self.until)
    }

    /// Returns the present step.
    #[must_use]
    pub const fn step(&self) -> Step {
        self.step
    }

    /// Returns the system as it was read last.
    #[must_use]
    pub const fn system(&self) -> &SystemState {
        &self.system
    }

    /// Returns the end, once [`Self::wants`] is [`Wants::Nothing`].
    #[must_use]
    pub fn end(&self) -> Option<Result<Outcome, Failure<'_>>> {
        let end = self.end.as_ref()?;
        Some(end.map_err(|kind| Failure {
            kind,
            step: self.failed_at,
            open: self.open,
            status: self.facts.status,
            message_id: self.facts.message_id.as_str(),
            message: self.facts.message.as_str(),
        }))
    }

    /// The owner has a new connection for it.
    pub fn connected(&mut self) {
        self.connected = true;
        self.used = false;
    }

    /// Writes the next bytes to send into `buffer`, and returns their number; 0 if
    /// there is nothing to send now. The owner sends them all, or closes the
    /// connection.
    pub fn output(&mut self, buffer: &mut [u8]) -> usize {
        if self.wants() != Wants::Send {
            return 0;
        }
        let skip = usize::try_from(self.exchange.sent).unwrap_or(usize::MAX);
        let mut window = Window::new(skip, buffer);
        // A window takes everything.
        let written = self.write(&mut window);
        debug_assert!(written.is_ok(), "a window refuses nothing");
        let (kept, total) = (window.kept(), window.total());
        self.exchange.sent += u32::try_from(kept).unwrap_or(u32::MAX);
        if skip + kept >= total {
            self.exchange.sent_all();
        }
        self.open |= self.step == Step::Change && kept > 0;
        kept
    }

    /// Takes bytes of the connection, as many as have come. Rows go to `visitor`.
    pub fn input(&mut self, bytes: &[u8], now: u64, visitor: &mut dyn Visitor) {
        if bytes.is_empty() || self.end.is_some() {
            return;
        }
        // Bytes that answer nothing: the connection is of no more use.
        if self.not_before > 0 || !self.connected || self.exchange.sent == 0 {
            self.connected = false;
            return;
        }
        let mut input = bytes;
        // The head may have come in an earlier slice.
        let resource = match self.facts.status {
            0 | 200..=299 => self.step.resource(self.request, self.in_settings),
            _ => Resource::Nothing,
        };
        let mut collector = Collector {
            resource,
            request: self.request,
            member: self.member,
            facts: &mut self.facts,
            etag: &mut self.etag,
            system: &mut self.system,
            bmc: self.bmc,
            visitor,
        };
        let taken = self
            .exchange
            .take(&mut input, self.settings.max_body, &mut collector);
        match taken {
            Err(error) => self.fail(FailureKind::Http(error)),
            Ok(()) if self.exchange.phase() == Phase::Done => {
                self.used = true;
                let keeps = self.settings.keep_alive && !self.exchange.must_close();
                self.connected = keeps && input.is_empty();
                self.answered(now);
            }
            Ok(()) => {}
        }
    }

    /// The connection was closed by the BMC, or could not be opened.
    pub fn closed(&mut self, now: u64) {
        let was = core::mem::replace(&mut self.connected, false);
        if self.end.is_some() || self.not_before > 0 {
            return;
        }
        if was && self.exchange.closed() {
            self.answered(now);
        } else if was && self.used && !self.exchange.answered() && self.method() == "GET" {
            // A connection that was kept too long: the request goes over another.
            self.exchange = Exchange::new();
        } else if was && self.exchange.sent == 0 {
            // Nothing was asked yet.
        } else {
            self.fail(FailureKind::Closed);
        }
    }

    /// The time is `now`: ends pauses and watches the deadlines.
    pub fn tick(&mut self, now: u64) {
        if self.end.is_some() {
            return;
        }
        if now >= self.until {
            self.fail(FailureKind::TooSlow);
        } else if self.not_before == 0 && now >= self.answer_until {
            self.fail(FailureKind::Timeout);
        } else if self.not_before > 0 && now >= self.not_before {
            self.begin(now);
        }
    }

    /// Gives up. The connection can be closed.
    pub fn abort(&mut self) {
        if self.end.is_none() {
            self.fail(FailureKind::GivenUp);
        }
    }

    /// Gives back what is kept of the BMC, for the next operation. One that is not over
    /// is forgotten: [`Self::abort`] says first how it ends.
    #[must_use]
    pub fn into_bmc(self) -> &'o mut Bmc {
        self.bmc
    }

    fn fail(&mut self, kind: FailureKind) {
        self.failed_at = self.step;
        self.end_with(Err(kind));
    }

    fn end_with(&mut self, end: Result<Outcome, FailureKind>) {
        self.end = Some(end);
        self.step = Step::Over;
    }

    /// Begins the request of the present step.
    fn begin(&mut self, now: u64) {
        // A connection that idled while the operation paused may be closed already,
        // and what changes something is never sent twice.
        if self.not_before > 0 && self.method() != "GET" {
            self.connected = false;
        }
        self.not_before = 0;
        self.answer_until = now.saturating_add(self.settings.answer_ms.into());
        self.exchange = Exchange::new();
        if self
            .step
            .resource(self.request, self.in_settings)
            .has_etag()
        {
            self.etag = Text::EMPTY;
        }
        let (link, other) = (self.facts.link, self.facts.other);
        self.facts = Facts::NONE;
        // The paths of these two are what was read before.
        match self.step {
            Step::Root if self.root_moved => self.facts.link = link,
            Step::Session => self.facts.other = other,
            _ => {}
        }
    }
}
