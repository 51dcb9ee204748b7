//! The agent's side of the protocol over time, without I/O: what to send,
//! when to send it again, what came of it.
//!
//! ```text
//! handshake -> ask -> order -> (progress, statements in parts)… -> ask -> …
//!                 \-> wait  -> ask                        bye -> gone
//! ```
//! One request is under way at a time. It is repeated, byte for byte, with
//! growing pauses until it is answered; there is no other retry anywhere. A
//! conversation that hears nothing for [`SILENCE_MS`] is lost: the ticket is
//! used up, so the way on is a new boot. Hints that anybody can forge only
//! shorten that wait to [`HINTED_SILENCE_MS`].
//!
//! Times are milliseconds of one monotonic clock, passed in.

use core::fmt;

use heapless::Vec;

use crate::{
    MAX_DATAGRAM, MAX_STATEMENT,
    client::{Handshake, HandshakeEntropy, Session},
    message::{
        AgentHandshake, AgentStep, Failure, FinalReport, HandshakeReply, Order, Progress, Reason,
        Refusal, Reply, Report, Request, Statement,
    },
    parts,
    server::HandshakeError,
    signing::{PublicKey, SecretKey, SigningError, sign_statement, verify_order},
    ticket::Ticket,
    version,
    wire::{Datagram, HandshakeRefusal},
};

/// First pause before a datagram is repeated; doubles up to [`RETRY_MAX_MS`].
pub const RETRY_MS: u64 = 400;
/// Longest pause before a datagram is repeated.
pub const RETRY_MAX_MS: u64 = 6_400;
/// Silence after which the conversation is lost.
pub const SILENCE_MS: u64 = 300_000;
/// The same after a hint that the appliance does not know the ticket or the
/// session. Long enough that forging hints gains nothing over dropping.
pub const HINTED_SILENCE_MS: u64 = 60_000;
/// Least time between two progress messages.
pub const PROGRESS_MS: u64 = 1_000;
/// While an order is under way and nothing new is known, the last progress
/// is told again after this time: a sign of life.
pub const HEARTBEAT_MS: u64 = 10_000;
/// How long the appliance is tried to be told of a farewell.
pub const FAREWELL_MS: u64 = 5_000;
/// Pause after an answer that leads nowhere.
const PAUSE_MS: u64 = 5_000;

/// Everything that a conversation starts from.
#[derive(Debug, Clone)]
pub struct Config {
    /// The appliance's X25519 public key.
    pub appliance: [u8; 32],
    /// The appliance's ed25519 public key, which signs orders.
    pub orders: PublicKey,
    /// The ticket of the kernel command line.
    pub ticket: Ticket,
    /// First words. `boot_key` and the versions are filled in.
    pub handshake: AgentHandshake,
    /// The boot's ed25519 key, which signs statements.
    pub boot_key: SecretKey,
    /// Random bytes of the handshake.
    pub entropy: HandshakeEntropy,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap to box it on, and one event lives at a time"
)]
pub enum Event {
    /// The session stands.
    Established(HandshakeReply),
    /// A new order. Call [`AgentClient::finish`] when it is carried out.
    Order(Order),
    /// The appliance has stored this statement.
    Stored(u32),
    /// The appliance does not take the statement; the order counts as
    /// finished.
    Refused(Refusal),
    /// The appliance knows that the agent leaves, or could not be told in
    /// [`FAREWELL_MS`]. The conversation is over.
    Gone(FinalReport),
    /// The conversation is over.
    Lost(Lost),
}

/// Why a conversation is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Nobody answered the handshake. The hint, where one came, is not
    /// authenticated.
    NoHandshake(Option<HandshakeRefusal>),
    /// Requests are not answered any more.
    Silence,
    /// The handshake_reply names a version that was not offered.
    Version,
}

/// What the caller does next.
#[derive(Debug, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap to box it on, and one lives at a time"
)]
pub enum Poll {
    /// Send [`AgentClient::datagram`], then poll again.
    Transmit,
    /// Nothing to send before this time.
    Until(u64),
    /// Something happened; then poll again.
    Event(Event),
    /// The conversation is over.
    Over,
}

/// A statement can't be reported now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ReportError {
    /// There is no session.
    NoSession = 0,
    /// The statement before it is not stored yet.
    Busy = 1,
    /// It does not fit.
    TooLong = 2,
}

#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap to box it on, and there is one state"
)]
enum State {
    Handshake(Handshake),
    Session {
        session: Session,
        handshake_reply: HandshakeReply,
    },
    Over,
}

/// What the datagram under way asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    Ask,
    Part,
    Progress,
    Bye,
}

/// A statement on its way.
struct Outgoing {
    counter: u32,
    have: u32,
    signed: Vec<u8, MAX_STATEMENT>,
}

/// See the module.
pub struct AgentClient {
    state: State,
    orders: PublicKey,
    boot_key: SecretKey,
    /// The datagram under way, when `asking` says so.
    datagram: Vec<u8, MAX_DATAGRAM>,
    asking: Option<Asking>,
    attempt: u32,
    /// When the datagram under way is sent (again).
    send_at: u64,
    /// When a request may be made again.
    free_at: u64,
    /// When the next `Ask` is due.
    ask_at: u64,
    /// When something authentic was heard last; `None` before the first poll.
    heard_at: Option<u64>,
    hint: Option<HandshakeRefusal>,
    unknown_session: bool,
    /// Counter of the order under way.
    working: Option<u32>,
    /// Highest order counter so far.
    last_order: u32,
    /// Counter of the last statement.
    statements: u32,
    outgoing: Option<Outgoing>,
    progress: Option<Progress>,
    /// Whether `progress` has not been told yet.
    progress_new: bool,
    progress_at: u64,
    farewell: Option<(FinalReport, Option<u64>)>,
    /// Spreads the retries of many agents.
    spread: u8,
}

impl AgentClient {
    /// Prepares the handshake. Nothing is sent before [`poll`](Self::poll).
    pub fn new(config: Config) -> Result<Self, HandshakeError> {
        let mut agent_handshake = config.handshake;
        agent_handshake.boot_key = config.boot_key.public().0;
        agent_handshake.version_min = version::MIN;
        agent_handshake.version_max = version::CURRENT;
        let handshake = Handshake::new(
            &config.appliance,
            &config.ticket,
            &agent_handshake,
            &config.entropy,
        )?;
        let datagram = Vec::from_slice(handshake.datagram()).map_err(|_| HandshakeError::NoRoom)?;
        Ok(Self {
            state: State::Handshake(handshake),
            orders: config.orders,
            boot_key: config.boot_key,
            datagram,
            asking: None,
            attempt: 0,
            send_at: 0,
            free_at: 0,
            ask_at: 0,
            heard_at: None,
            hint: None,
            unknown_session: false,
            working: None,
            last_order: 0,
            statements: 0,
            outgoing: None,
            progress: None,
            progress_new: false,
            progress_at: 0,
            farewell: None,
            spread: config.ticket.id.0[0],
        })
    }

    /// The handshake_reply, once the session stands.
    pub fn handshake_reply(&self) -> Option<&HandshakeReply> {
        match &self.state {
            State::Session {
                handshake_reply, ..
            } => Some(handshake_reply),
            _ => None,
        }
    }

    /// Whether an order is under way.
    pub fn is_working(&self) -> bool {
        self.working.is_some() && !self.is_over()
    }

    /// Whether a statement is on its way.
    pub fn is_reporting(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Whether nothing will be said any more.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// The datagram to send, after [`Poll::Transmit`].
    pub fn datagram(&self) -> &[u8] {
        &self.datagram
    }

    /// Signs a report about the order under way (about none where there is
    /// none) and sends it until it is stored. Returns the statement's
    /// counter; [`Event::Stored`] names it.
    pub fn report(&mut self, report: Report) -> Result<u32, ReportError> {
        let State::Session {
            handshake_reply, ..
        } = &self.state
        else {
            return Err(ReportError::NoSession);
        };
        if self.outgoing.is_some() {
            return Err(ReportError::Busy);
        }
        let counter = self.statements.saturating_add(1);
        let statement = Statement {
            node: handshake_reply.node,
            boot: handshake_reply.boot,
            counter,
            order: self.working.unwrap_or(0),
            report,
        };
        let outgoing = self.outgoing.insert(Outgoing {
            counter,
            have: 0,
            signed: Vec::new(),
        });
        let signed = outgoing
            .signed
            .resize_default(MAX_STATEMENT)
            .ok()
            .and_then(|()| sign_statement(&self.boot_key, &statement, &mut outgoing.signed).ok())
            .map(<[u8]>::len);
        let Some(len) = signed else {
            self.outgoing = None;
            return Err(ReportError::TooLong);
        };
        outgoing.signed.truncate(len);
        self.statements = counter;
        Ok(counter)
    }

    /// Tells how far the order has come; the latest progress counts and is
    /// sent at most once in [`PROGRESS_MS`].
    pub fn progress(&mut self, progress: Progress) {
        self.progress = Some(progress);
        self.progress_new = true;
    }

    /// The order is carried out; the next one is asked for at once.
    pub fn finish(&mut self, now: u64) {
        self.working = None;
        self.progress = None;
        self.progress_new = false;
        self.ask_at = now;
    }

    /// Says good-bye once all statements are stored; [`Event::Gone`] ends
    /// the conversation.
    pub fn leave(&mut self, farewell: FinalReport) {
        if self.farewell.is_none() {
            self.farewell = Some((farewell, None));
        }
    }

    /// What to do next, at this time.
    pub fn poll(&mut self, now: u64) -> Poll {
        if self.is_over() {
            return Poll::Over;
        }
        let heard_at = *self.heard_at.get_or_insert(now);
        if let Some((farewell, Some(until))) = self.farewell
            && now >= until
        {
            self.state = State::Over;
            return Poll::Event(Event::Gone(farewell));
        }
        let hinted = self.hint.is_some() || self.unknown_session;
        let silence = if hinted {
            HINTED_SILENCE_MS
        } else {
            SILENCE_MS
        };
        let lost_at = heard_at.saturating_add(silence);
        let handshaking = matches!(self.state, State::Handshake(_));
        if (handshaking || self.asking.is_some()) && now >= lost_at {
            self.state = State::Over;
            return Poll::Event(Event::Lost(if handshaking {
                Lost::NoHandshake(self.hint)
            } else {
                Lost::Silence
            }));
        }

        if !handshaking && self.asking.is_none() {
            let due = self.due();
            if now < due {
                return Poll::Until(due);
            }
            if !self.make_request(now) {
                // Nothing to ask for that fits: look again in a while.
                self.free_at = now.saturating_add(PAUSE_MS);
                return Poll::Until(self.free_at);
            }
            // Silence counts only while a question is open.
            self.heard_at = Some(now);
        }
        if now < self.send_at {
            let until = match self.farewell {
                Some((_, Some(until))) => until.min(self.send_at),
                _ => self.send_at,
            };
            return Poll::Until(until.min(lost_at));
        }
        self.send_at = now.saturating_add(self.pause());
        self.attempt = self.attempt.saturating_add(1);
        Poll::Transmit
    }

    /// Takes in a datagram that came from the appliance's address. What is
    /// not authentic, not for us or late changes nothing.
    pub fn process(&mut self, now: u64, datagram: &[u8]) -> Option<Event> {
        match &mut self.state {
            State::Handshake(handshake) => {
                match Datagram::parse(datagram) {
                    Ok(Datagram::Response { .. }) => {}
                    Ok(Datagram::Refused { ticket, reason }) => {
                        if ticket == handshake.ticket() {
                            self.hint = reason.or(self.hint);
                        }
                        return None;
                    }
                    _ => return None,
                }
                let (session, handshake_reply) = handshake.process(datagram).ok()?;
                self.heard_at = Some(now);
                self.hint = None;
                self.ask_at = now;
                if !(version::MIN..=version::CURRENT).contains(&handshake_reply.version) {
                    self.state = State::Over;
                    return Some(Event::Lost(Lost::Version));
                }
                self.state = State::Session {
                    session,
                    handshake_reply,
                };
                Some(Event::Established(handshake_reply))
            }
            State::Session { session, .. } => {
                if let Ok(Datagram::UnknownSession {
                    session: id,
                    counter,
                }) = Datagram::parse(datagram)
                {
                    self.unknown_session |= id == session.id() && counter == session.counter();
                    return None;
                }
                let mut buffer = [0; MAX_DATAGRAM];
                let reply = match session.open_reply(datagram, &mut buffer) {
                    Ok(reply) => Some(reply),
                    // Authentic, of a version that we do not know.
                    Err(crate::server::SessionError::Malformed) => None,
                    Err(_) => return None,
                };
                self.heard_at = Some(now);
                self.unknown_session = false;
                let asked = self.asking.take()?;
                self.answered(now, asked, reply)
            }
            State::Over => None,
        }
    }

    fn answered(&mut self, now: u64, asked: Asking, reply: Option<Reply<'_>>) -> Option<Event> {
        if asked == Asking::Bye {
            // Whatever was answered: it was heard.
            let (farewell, _) = self.farewell?;
            self.state = State::Over;
            return Some(Event::Gone(farewell));
        }
        match reply {
            Some(Reply::Ack) => None,
            Some(Reply::Wait { millis }) => {
                self.ask_at = now.saturating_add(u64::from(millis.clamp(100, 60_000)));
                None
            }
            Some(Reply::Busy { millis }) => {
                self.free_at = now.saturating_add(u64::from(millis.clamp(100, 60_000)));
                None
            }
            Some(Reply::Order { body, signature }) => self.ordered(now, body, signature),
            Some(Reply::Partial { have }) => {
                self.outgoing.as_mut()?.have = have;
                None
            }
            Some(Reply::Stored { statement }) => {
                if self.outgoing.as_ref()?.counter != statement {
                    return None;
                }
                self.outgoing = None;
                Some(Event::Stored(statement))
            }
            Some(Reply::Refused(refusal)) if asked == Asking::Part => {
                self.outgoing = None;
                self.finish(now.saturating_add(PAUSE_MS));
                Some(Event::Refused(refusal))
            }
            Some(Reply::Refused(_)) | None => {
                self.free_at = now.saturating_add(PAUSE_MS);
                None
            }
        }
    }

    fn ordered(&mut self, now: u64, body: &[u8], signature: &[u8]) -> Option<Event> {
        // Asked for again at the earliest then, unless `finish` says so.
        self.ask_at = now.saturating_add(PAUSE_MS);
        if self.working.is_some() {
            return None;
        }
        let handshake_reply = *self.handshake_reply()?;
        match verify_order(
            &self.orders,
            handshake_reply.node,
            handshake_reply.boot,
            body,
            signature,
        ) {
            Ok(order) if order.counter > self.last_order => {
                self.last_order = order.counter;
                self.working = Some(order.counter);
                Some(Event::Order(order))
            }
            // An order that was carried out already, or an older one.
            Ok(_) => None,
            Err(error) => {
                // One statement under way at most; the next refused order
                // comes after a pause anyway.
                let _full = self.report(bad_order(error));
                None
            }
        }
    }

    /// When the next request is due.
    fn due(&self) -> u64 {
        let due = if self.outgoing.is_some() || self.farewell.is_some() {
            0
        } else if self.working.is_some() {
            let pause = if self.progress_new {
                PROGRESS_MS
            } else {
                HEARTBEAT_MS
            };
            self.progress_at.saturating_add(pause)
        } else {
            self.ask_at
        };
        due.max(self.free_at)
    }

    /// Seals the next request into `datagram`.
    fn make_request(&mut self, now: u64) -> bool {
        let State::Session { session, .. } = &mut self.state else {
            return false;
        };
        let (asking, request) = if let Some(outgoing) = &self.outgoing {
            // All parts are there and it is not stored: the last one again.
            let missing = (!outgoing.have).trailing_zeros() as u16;
            let last = parts::count(outgoing.signed.len()).map_or(0, |count| count - 1);
            match parts::cut(outgoing.counter, &outgoing.signed, missing.min(last)) {
                Some(part) => (Asking::Part, Request::Part(part)),
                None => return false,
            }
        } else if let Some((farewell, until)) = &mut self.farewell {
            until.get_or_insert(now.saturating_add(FAREWELL_MS));
            (Asking::Bye, Request::FinalReport(*farewell))
        } else if let Some(order) = self.working {
            self.progress_at = now;
            self.progress_new = false;
            let progress = self.progress.unwrap_or(Progress {
                order,
                step: AgentStep::Startup,
                done: 0,
                total: 0,
                rate: 0,
                peak_rss_kib: 0,
            });
            (Asking::Progress, Request::Progress(progress))
        } else {
            (Asking::Ask, Request::Ask)
        };
        let sealed = self
            .datagram
            .resize_default(MAX_DATAGRAM)
            .ok()
            .and_then(|()| session.seal_request(&request, &mut self.datagram).ok());
        let Some(len) = sealed else {
            return false;
        };
        self.datagram.truncate(len);
        self.asking = Some(asking);
        self.attempt = 0;
        self.send_at = now;
        true
    }

    /// The pause after this attempt: doubling, and up to half as long again
    /// where the ticket says so.
    fn pause(&self) -> u64 {
        let pause = RETRY_MS
            .checked_shl(self.attempt.min(16))
            .unwrap_or(RETRY_MAX_MS)
            .min(RETRY_MAX_MS);
        pause + pause * u64::from(self.spread) / 512
    }
}

impl fmt::Debug for AgentClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentClient")
            .field("handshake_reply", &self.handshake_reply())
            .field("asking", &self.asking)
            .field("attempt", &self.attempt)
            .field("working", &self.working)
            .finish_non_exhaustive()
    }
}

fn bad_order(error: SigningError) -> Report {
    let text = match error {
        SigningError::Key => "the appliance's key for orders is no key",
        SigningError::Signature => "the order's signature does not hold",
        SigningError::Malformed => "the order does not parse",
        SigningError::NoRoom => "the order is too long",
        SigningError::Misaddressed => "the order is for another node or boot",
    };
    Report::Failure(Failure {
        step: AgentStep::Startup,
        reason: Reason::BadOrder,
        text: heapless::String::try_from(text).unwrap_or_default(),
    })
}
