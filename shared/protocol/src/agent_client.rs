//! The agent's protocol client, sans-IO: handshake, session, retransmission.
//!
//! ```text
//! handshake -> ask -> order -> (progress, statements in parts)… -> ask -> …
//!                 \-> wait  -> ask              final report -> closed
//! ```
//! The client has one request in flight. It repeats the identical datagram with
//! growing pauses until the appliance answers; no other layer retransmits. After
//! [`SILENCE_MS`] without an answer the session is lost. The ticket is used up
//! then, so the server must boot again. An unauthenticated hint shortens the wait
//! to [`HINTED_SILENCE_MS`].
//!
//! Times are milliseconds of one monotonic clock and are arguments.

use core::fmt;

use heapless::Vec;

use crate::{
    MAX_DATAGRAM, MAX_STATEMENT,
    client::{Handshake, HandshakeEntropy, Session},
    message::{
        AgentHandshake, AgentStep, Failure, FinalReport, HandshakeReply, HeardNeighbour, MAX_NICS,
        Order, Progress, Reason, Refusal, Reply, Report, Request, Statement,
    },
    parts,
    server::HandshakeError,
    signing::{PublicKey, SecretKey, SigningError, sign_statement, verify_order},
    ticket::Ticket,
    version,
    wire::{Datagram, HandshakeRefusal},
};

/// First pause before a retransmission, in milliseconds. It doubles up to
/// [`RETRY_MAX_MS`].
pub const RETRY_MS: u64 = 400;
/// Longest pause before a retransmission, in milliseconds.
pub const RETRY_MAX_MS: u64 = 6_400;
/// How often the appliance is told again what is on the interfaces' cables, in
/// milliseconds: an operator may have said meanwhile where they should be.
pub const NEIGHBOURS_MS: u64 = 30_000;
/// Time without an answer after which the session is lost, in milliseconds.
pub const SILENCE_MS: u64 = 300_000;
/// The same after a hint that the appliance does not know the ticket or the
/// session. It is so long that forged hints do no more harm than dropped
/// datagrams.
pub const HINTED_SILENCE_MS: u64 = 60_000;
/// Shortest time between two progress messages, in milliseconds.
pub const PROGRESS_MS: u64 = 1_000;
/// Interval at which the client repeats the last progress while it changes
/// nothing, in milliseconds. It shows the appliance that the agent is alive.
pub const HEARTBEAT_MS: u64 = 10_000;
/// Longest time that the client sends the final report, in milliseconds.
pub const FINAL_REPORT_MS: u64 = 5_000;
/// Pause after an answer that the client can't use, in milliseconds.
const PAUSE_MS: u64 = 5_000;

/// Configuration of a client.
#[derive(Debug, Clone)]
pub struct Config {
    /// The appliance's X25519 public key.
    pub appliance: [u8; 32],
    /// The appliance's ed25519 public key, which signs orders.
    pub orders: PublicKey,
    /// The ticket of the kernel command line.
    pub ticket: Ticket,
    /// The agent's handshake message. The client fills in `boot_key` and the
    /// versions.
    pub handshake: AgentHandshake,
    /// The boot's ed25519 key, which signs statements.
    pub boot_key: SecretKey,
    /// Random bytes of the handshake.
    pub entropy: HandshakeEntropy,
}

/// An event for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap to box it on, and one event lives at a time"
)]
pub enum Event {
    /// The session is established.
    Established(HandshakeReply),
    /// A new order. Call [`AgentClient::finish`] when it is done.
    Order(Order),
    /// The appliance has stored this statement.
    Stored(u32),
    /// The appliance refused a statement. The order counts as finished.
    Refused(Refusal),
    /// The appliance has the final report, or did not answer it within
    /// [`FINAL_REPORT_MS`]. The session is closed.
    Closed(FinalReport),
    /// The session is lost.
    Lost(Lost),
}

/// Why a session is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The appliance did not answer the handshake. The hint is unauthenticated.
    NoHandshake(Option<HandshakeRefusal>),
    /// The appliance does not answer requests any more.
    Silence,
    /// The handshake reply has a version that the agent did not offer.
    Version,
}

/// The caller's next action.
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
    /// Handle the event, then poll again.
    Event(Event),
    /// The session is over.
    Over,
}

/// Why a report can't be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ReportError {
    /// There is no session.
    NoSession = 0,
    /// The previous statement is not stored yet.
    Busy = 1,
    /// The statement exceeds [`MAX_STATEMENT`] bytes.
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

/// The kind of the request in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    Ask,
    Part,
    Progress,
    FinalReport,
    /// The neighbour in this place.
    Neighbour(usize),
}

/// A statement in transmission.
struct Outgoing {
    counter: u32,
    have: u32,
    signed: Vec<u8, MAX_STATEMENT>,
}

/// The protocol client of an agent, see the module.
pub struct AgentClient {
    state: State,
    orders: PublicKey,
    boot_key: SecretKey,
    /// The datagram in flight, if `asking` is set.
    datagram: Vec<u8, MAX_DATAGRAM>,
    asking: Option<Asking>,
    attempt: u32,
    /// Time of the next transmission of the datagram in flight.
    send_at: u64,
    /// Earliest time of the next request.
    free_at: u64,
    /// Time of the next `Ask`.
    ask_at: u64,
    /// Time of the last authentic datagram; `None` before the first poll.
    received_at: Option<u64>,
    hint: Option<HandshakeRefusal>,
    unknown_session: bool,
    /// Counter of the current order.
    working: Option<u32>,
    /// Highest order counter.
    last_order: u32,
    /// Counter of the last statement.
    statements: u32,
    outgoing: Option<Outgoing>,
    progress: Option<Progress>,
    /// Whether `progress` has not been sent.
    progress_new: bool,
    progress_at: u64,
    final_report: Option<(FinalReport, Option<u64>)>,
    /// One an interface, and whether the appliance has to be told it.
    neighbours: Vec<(HeardNeighbour, bool), MAX_NICS>,
    /// When it was told all of them.
    neighbours_at: u64,
    /// Jitter: spreads the retransmissions of many agents.
    spread: u8,
}

impl AgentClient {
    /// Prepares the handshake. Sends nothing before [`poll`](Self::poll).
    ///
    /// # Errors
    /// See [`Handshake::new`].
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
            received_at: None,
            hint: None,
            unknown_session: false,
            working: None,
            last_order: 0,
            statements: 0,
            outgoing: None,
            progress: None,
            progress_new: false,
            progress_at: 0,
            final_report: None,
            neighbours: Vec::new(),
            neighbours_at: 0,
            spread: config.ticket.id.0[0],
        })
    }

    /// Returns the handshake reply once the session is established.
    pub fn handshake_reply(&self) -> Option<&HandshakeReply> {
        match &self.state {
            State::Session {
                handshake_reply, ..
            } => Some(handshake_reply),
            _ => None,
        }
    }

    /// Returns whether an order is in progress.
    pub fn is_working(&self) -> bool {
        self.working.is_some() && !self.is_over()
    }

    /// Returns whether a statement is in transmission.
    pub fn is_reporting(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Returns whether the session is over.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Returns the datagram to send after [`Poll::Transmit`].
    pub fn datagram(&self) -> &[u8] {
        &self.datagram
    }

    /// Signs a report about the current order, or about none, and sends it until
    /// the appliance has stored it. Returns the statement's counter, which
    /// [`Event::Stored`] repeats.
    ///
    /// # Errors
    /// See [`ReportError`].
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

    /// Sets the progress of the order. The client sends the latest progress at
    /// most once in [`PROGRESS_MS`].
    pub fn progress(&mut self, progress: Progress) {
        self.progress = Some(progress);
        self.progress_new = true;
    }

    /// Takes what was heard by LLDP on an interface. The client tells the appliance
    /// where it differs from what it has told; there is room for [`MAX_NICS`]
    /// interfaces.
    pub fn neighbour(&mut self, heard: HeardNeighbour) {
        let known = self.neighbours.iter().position(|(n, _)| n.mac == heard.mac);
        match known.and_then(|place| self.neighbours.get_mut(place)) {
            Some((known, _)) if *known == heard => {}
            Some(known) => *known = (heard, true),
            None => {
                let _room = self.neighbours.push((heard, true));
            }
        }
    }

    /// Ends the order. The client asks for the next one at once.
    pub fn finish(&mut self, now: u64) {
        self.working = None;
        self.progress = None;
        self.progress_new = false;
        self.ask_at = now;
    }

    /// Sends the final report after all statements are stored. [`Event::Closed`]
    /// follows.
    pub fn leave(&mut self, final_report: FinalReport) {
        if self.final_report.is_none() {
            self.final_report = Some((final_report, None));
        }
    }

    /// Returns the next action at the time `now`.
    pub fn poll(&mut self, now: u64) -> Poll {
        if self.is_over() {
            return Poll::Over;
        }
        let received_at = *self.received_at.get_or_insert(now);
        if let Some((final_report, Some(until))) = self.final_report
            && now >= until
        {
            self.state = State::Over;
            return Poll::Event(Event::Closed(final_report));
        }
        let hinted = self.hint.is_some() || self.unknown_session;
        let silence = if hinted {
            HINTED_SILENCE_MS
        } else {
            SILENCE_MS
        };
        let lost_at = received_at.saturating_add(silence);
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
            if now >= self.neighbours_at.saturating_add(NEIGHBOURS_MS) {
                self.neighbours_at = now;
                self.neighbours
                    .iter_mut()
                    .for_each(|(_, is_new)| *is_new = true);
            }
            let due = self.due();
            if now < due {
                return Poll::Until(due);
            }
            if !self.make_request(now) {
                // No request fits a datagram: try again later.
                self.free_at = now.saturating_add(PAUSE_MS);
                return Poll::Until(self.free_at);
            }
            // The timeout runs only while a request is in flight.
            self.received_at = Some(now);
        }
        if now < self.send_at {
            let until = match self.final_report {
                Some((_, Some(until))) => until.min(self.send_at),
                _ => self.send_at,
            };
            return Poll::Until(until.min(lost_at));
        }
        self.send_at = now.saturating_add(self.pause());
        self.attempt = self.attempt.saturating_add(1);
        Poll::Transmit
    }

    /// Processes a datagram from the appliance's address. A datagram that is not
    /// authentic, of another session or late changes nothing.
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
                self.received_at = Some(now);
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
                    // Authentic, but of an unknown version.
                    Err(crate::server::SessionError::Malformed) => None,
                    Err(_) => return None,
                };
                self.received_at = Some(now);
                self.unknown_session = false;
                let asked = self.asking.take()?;
                self.answered(now, asked, reply)
            }
            State::Over => None,
        }
    }

    fn answered(&mut self, now: u64, asked: Asking, reply: Option<Reply<'_>>) -> Option<Event> {
        if asked == Asking::FinalReport {
            // Any answer confirms the final report.
            let (final_report, _) = self.final_report?;
            self.state = State::Over;
            return Some(Event::Closed(final_report));
        }
        if let Asking::Neighbour(place) = asked
            && reply != Some(Reply::Ack)
            && let Some((_, is_new)) = self.neighbours.get_mut(place)
        {
            *is_new = true;
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
        // Earliest next `Ask`, unless `finish` moves it.
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
            // The order was carried out already, or is older.
            Ok(_) => None,
            Err(error) => {
                // Drops the report if a statement is in transmission. The
                // appliance sends the order again after a pause.
                let _full = self.report(bad_order(error));
                None
            }
        }
    }

    /// Returns the time of the next request.
    fn due(&self) -> u64 {
        let tells = self.neighbours.iter().any(|(_, is_new)| *is_new);
        let due = if self.outgoing.is_some() || self.final_report.is_some() || tells {
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

    /// Seals the next request into `datagram`. Returns whether it fits.
    fn make_request(&mut self, now: u64) -> bool {
        let State::Session { session, .. } = &mut self.state else {
            return false;
        };
        let (asking, request) = if let Some(outgoing) = &self.outgoing {
            // The appliance has all parts but did not store the statement:
            // sends the last part again.
            let missing = (!outgoing.have).trailing_zeros() as u16;
            let last = parts::count(outgoing.signed.len()).map_or(0, |count| count - 1);
            match parts::cut(outgoing.counter, &outgoing.signed, missing.min(last)) {
                Some(part) => (Asking::Part, Request::Part(part)),
                None => return false,
            }
        } else if let Some((final_report, until)) = &mut self.final_report {
            until.get_or_insert(now.saturating_add(FINAL_REPORT_MS));
            (Asking::FinalReport, Request::FinalReport(*final_report))
        } else if let Some(place) = self.neighbours.iter().position(|(_, is_new)| *is_new)
            && let Some((heard, is_new)) = self.neighbours.get_mut(place)
        {
            // Set again where it changes before the answer, or is refused.
            *is_new = false;
            (
                Asking::Neighbour(place),
                Request::Neighbour(heard.message()),
            )
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

    /// Returns the pause after this attempt: exponential, plus up to one half as
    /// jitter.
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
        SigningError::Key => "the order key in the ramdisk is not a valid ed25519 key",
        SigningError::Signature => "the order's signature is invalid",
        SigningError::Malformed => "the order is malformed",
        SigningError::NoRoom => "the order is too long",
        SigningError::Misaddressed => "the order is for another node or boot",
    };
    Report::Failure(Failure {
        step: AgentStep::Startup,
        reason: Reason::BadOrder,
        text: heapless::String::try_from(text).unwrap_or_default(),
    })
}
