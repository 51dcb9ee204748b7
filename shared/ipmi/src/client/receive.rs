//! What comes from the BMC, or from somebody who says so.

use super::send::command;
use super::session::{Opening, Phase, Session, Stage, State};
use super::{Client, Event, Exchange, Failure};
use crate::command::{Answer, Command};
use crate::console::Payload;
use crate::message::{Completion, NetFn, Response};
use crate::packet::{self, Error, Header, Packet, PayloadType, Pong};
use crate::rakp::{self, Head, OpenResponse, Rakp2};
use crate::sequence::{Outbound, Window};
use crate::suite::{SessionKeys, Suite};

/// Why a datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drop {
    Truncated,
    Unknown,
    OtherSession,
    OtherRequest,
    Replayed,
    Forged,
}

impl From<Error> for Drop {
    fn from(error: Error) -> Self {
        match error {
            Error::Truncated => Self::Truncated,
            Error::Unknown => Self::Unknown,
            Error::Plain | Error::Forged => Self::Forged,
        }
    }
}

type Taken<'a> = Result<Option<Event<'a>>, Drop>;

impl Client {
    /// Takes a datagram from the BMC's address and port. It is decrypted in its
    /// place. Whatever it is, nothing ends by it that the BMC has not said with its
    /// authentication code. Call [`Self::poll`] behind it.
    pub fn input<'d>(&mut self, datagram: &'d mut [u8], now_ms: u64) -> Option<Event<'d>> {
        let taken = self.take(datagram, now_ms);
        let counters = &mut self.counters;
        let counter = match taken {
            Ok(_) => &mut counters.received,
            Err(Drop::Truncated) => &mut counters.truncated,
            Err(Drop::Unknown) => &mut counters.unknown,
            Err(Drop::OtherSession) => &mut counters.other_session,
            Err(Drop::OtherRequest) => &mut counters.other_request,
            Err(Drop::Replayed) => &mut counters.replayed,
            Err(Drop::Forged) => &mut counters.forged,
        };
        *counter = counter.saturating_add(1);
        taken.ok().flatten()
    }

    fn take<'d>(&mut self, datagram: &'d mut [u8], now_ms: u64) -> Taken<'d> {
        match Packet::parse(datagram)? {
            Packet::Ping(_) => Err(Drop::Unknown),
            Packet::Pong(pong) => self.take_pong(pong),
            Packet::Sessionless(message) => self.take_capabilities(message, now_ms).map(|()| None),
            Packet::Plus(header, payload) => match header.payload {
                PayloadType::OpenResponse | PayloadType::Rakp2 | PayloadType::Rakp4 => {
                    self.take_opening(&header, payload, now_ms).map(|()| None)
                }
                PayloadType::Ipmi | PayloadType::Sol => self.take_session(header, datagram, now_ms),
                PayloadType::OpenRequest | PayloadType::Rakp1 | PayloadType::Rakp3 => {
                    Err(Drop::Unknown)
                }
            },
        }
    }

    fn take_pong<'d>(&mut self, pong: Pong) -> Taken<'d> {
        match self.ping {
            Some(ping) if ping.number == pong.tag => {
                self.ping = None;
                Ok(Some(Event::Present { ipmi: pong.ipmi }))
            }
            _ => Err(Drop::OtherRequest),
        }
    }

    /// Goes to the next stage of the opening.
    fn proceed(&mut self, stage: Stage, now_ms: u64) {
        let number = self.next_number();
        if let State::Opening(opening) = &mut self.state {
            opening.stage = stage;
            opening.exchange = Exchange::new(now_ms, number);
        }
    }

    /// Keeps in mind what anybody could have said. The opening fails by it only if
    /// it comes again, and nothing better does.
    fn doubt(&mut self, failure: Failure) {
        if let State::Opening(opening) = &mut self.state {
            opening.exchange.doubt(failure);
        }
    }

    fn take_capabilities(&mut self, message: &[u8], now_ms: u64) -> Result<(), Drop> {
        let response = Response::parse(message).ok_or(Drop::Forged)?;
        let State::Opening(opening) = &self.state else {
            return Err(Drop::OtherRequest);
        };
        if opening.stage != Stage::Capabilities
            || response.number != opening.exchange.number & 0x3f
            || response.command != command::CAPABILITIES
            || response.net_fn != NetFn::App as u8 + 1
        {
            return Err(Drop::OtherRequest);
        }
        // Bit 7 of the types: a byte of what IPMI 2.0 adds, whose bit 1 is RMCP+.
        match (response.completion, response.data) {
            (0, [_, types, _, extended, ..]) if types & 0x80 != 0 && extended & 2 != 0 => {
                self.proceed(Stage::Open, now_ms);
            }
            (0, [_, _, _, _, ..]) => self.doubt(Failure::NoRmcpPlus),
            (0, _) => return Err(Drop::Truncated),
            (code, _) => self.doubt(Failure::Completion(Completion(code))),
        }
        Ok(())
    }

    fn take_opening(&mut self, header: &Header, payload: &[u8], now_ms: u64) -> Result<(), Drop> {
        if header.session != 0 || header.encrypted || header.authenticated {
            return Err(Drop::OtherSession);
        }
        let State::Opening(opening) = &self.state else {
            return Err(Drop::OtherRequest);
        };
        let head = Head::parse(payload).ok_or(Drop::Truncated)?;
        let expected = match opening.stage {
            Stage::Capabilities => None,
            Stage::Open => Some(PayloadType::OpenResponse),
            Stage::Rakp1 => Some(PayloadType::Rakp2),
            Stage::Rakp3 => Some(PayloadType::Rakp4),
        };
        if expected != Some(header.payload) || head.tag != opening.exchange.number {
            return Err(Drop::OtherRequest);
        }
        let refused = head.status != rakp::Status::OK;
        match head.console_session {
            Some(session) if session == opening.console_session => {}
            // Some refusals end before it.
            None if refused => {}
            Some(0) if refused => {}
            None => return Err(Drop::Truncated),
            Some(_) => return Err(Drop::OtherSession),
        }
        if refused {
            self.doubt(match head.status.refuses_suite() {
                true => Failure::NoSuite,
                false => Failure::Refused(head.status),
            });
            return Ok(());
        }
        match opening.stage {
            Stage::Capabilities => Err(Drop::OtherRequest),
            Stage::Open => self.take_open_response(payload, now_ms),
            Stage::Rakp1 => self.take_rakp2(payload, now_ms),
            Stage::Rakp3 => self.take_rakp4(payload, now_ms),
        }
    }

    fn take_open_response(&mut self, payload: &[u8], now_ms: u64) -> Result<(), Drop> {
        let response = OpenResponse::parse(payload).ok_or(Drop::Truncated)?;
        // 0 means no session.
        if response.bmc_session == 0 {
            return Err(Drop::OtherSession);
        }
        if Suite::of(response.algorithms) != Some(self.suite) {
            self.doubt(Failure::NoSuite);
            return Ok(());
        }
        if let State::Opening(opening) = &mut self.state {
            opening.bmc_session = response.bmc_session;
        }
        self.proceed(Stage::Rakp1, now_ms);
        Ok(())
    }

    fn take_rakp2(&mut self, payload: &[u8], now_ms: u64) -> Result<(), Drop> {
        let rakp2 = Rakp2::parse(payload).ok_or(Drop::Truncated)?;
        let State::Opening(opening) = &self.state else {
            return Err(Drop::OtherRequest);
        };
        let opening = Opening {
            bmc_random: *rakp2.random,
            guid: *rakp2.guid,
            ..opening.clone()
        };
        let exchange = self.rakp(&opening);
        if !exchange.verify_rakp2(self.credentials.password(), rakp2.code) {
            self.doubt(Failure::Password);
            return Err(Drop::Forged);
        }
        let sik = exchange.integrity_key(self.credentials.session_key());
        self.state = State::Opening(Opening {
            sik: Some(sik),
            ..opening
        });
        self.proceed(Stage::Rakp3, now_ms);
        Ok(())
    }

    fn take_rakp4(&mut self, payload: &[u8], now_ms: u64) -> Result<(), Drop> {
        let State::Opening(opening) = &self.state else {
            return Err(Drop::OtherRequest);
        };
        let Some(sik) = opening.sik else {
            return Err(Drop::OtherRequest);
        };
        let code = rakp::rakp4_code(payload);
        if !self.rakp(opening).verify_rakp4(&sik, code) {
            self.doubt(Failure::Key);
            return Err(Drop::Forged);
        }
        let (console_session, bmc_session) = (opening.console_session, opening.bmc_session);
        let number = self.next_number();
        self.state = State::Open(Session {
            phase: Phase::Privilege,
            exchange: Exchange::new(now_ms, number),
            keys: SessionKeys::derive(self.suite, &sik),
            console_session,
            bmc_session,
            outbound: Outbound::new(),
            window: Window::new(),
            active_ms: now_ms,
        });
        Ok(())
    }

    fn take_session<'d>(
        &mut self,
        header: Header,
        datagram: &'d mut [u8],
        now_ms: u64,
    ) -> Taken<'d> {
        let State::Open(session) = &mut self.state else {
            return Err(Drop::OtherSession);
        };
        if header.session != session.console_session {
            return Err(Drop::OtherSession);
        }
        let payload = packet::open(&session.keys, datagram)?;
        if !session.window.take(header.sequence) {
            return Err(Drop::Replayed);
        }
        session.active_ms = now_ms;
        match header.payload {
            PayloadType::Sol => self.take_console(payload, header.sequence, now_ms),
            _ => self.take_response(payload, header.sequence, now_ms),
        }
    }

    fn take_console<'d>(&mut self, payload: &'d [u8], sequence: u32, now_ms: u64) -> Taken<'d> {
        if !self.console.is_active() {
            return Err(Drop::OtherRequest);
        }
        let payload = Payload::parse(payload).ok_or(Drop::Truncated)?;
        if !self.console.is_newest(sequence) {
            return Err(Drop::Replayed);
        }
        let (event, ended) = self.console.receive(payload, now_ms);
        if ended {
            self.end_console();
        }
        Ok(event.map(Event::Console))
    }

    fn take_response<'d>(&mut self, message: &'d [u8], sequence: u32, now_ms: u64) -> Taken<'d> {
        let response = Response::parse(message).ok_or(Drop::Forged)?;
        let State::Open(session) = &mut self.state else {
            return Err(Drop::OtherSession);
        };
        let phase = session.phase;
        let app = NetFn::App as u8;
        let asked = match phase {
            Phase::Idle => None,
            Phase::Privilege => Some((app, command::PRIVILEGE)),
            Phase::KeepAlive => Some((app, command::DEVICE_ID)),
            Phase::Closing => Some((app, command::CLOSE)),
            Phase::Request => self.request.map(|request| {
                let frame = request.command.frame(request.progress);
                (frame.net_fn as u8, frame.command)
            }),
        };
        let is_asked = asked.is_some_and(|(net_fn, command)| {
            (response.net_fn, response.command) == (net_fn | 1, command)
        });
        let exchange = &mut session.exchange;
        // A message that was not sent yet has no answer.
        if !is_asked || response.number != exchange.number & 0x3f || exchange.tries == 0 {
            return Err(Drop::OtherRequest);
        }
        match phase {
            Phase::Idle => {}
            Phase::Privilege => self.take_privilege(response.completion, now_ms),
            // Whatever it answers: it is there.
            Phase::KeepAlive => session.phase = Phase::Idle,
            Phase::Closing => self.closed(),
            Phase::Request => return Ok(self.take_answer(&response, sequence, now_ms)),
        }
        Ok(None)
    }

    fn take_privilege(&mut self, completion: u8, now_ms: u64) {
        let State::Open(session) = &mut self.state else {
            return;
        };
        if completion == 0 {
            session.phase = Phase::Idle;
            self.failures = 0;
            self.notices.up = true;
            self.counters.sessions = self.counters.sessions.saturating_add(1);
            return;
        }
        let code = Completion(completion);
        // The BMC itself has said so.
        session.exchange.doubtful = Some(Failure::Completion(code));
        if !code.is_transient() {
            session.exchange.doubts = super::DOUBTS;
            session.exchange.due_ms = now_ms;
        }
    }

    fn take_answer<'d>(
        &mut self,
        response: &Response<'d>,
        sequence: u32,
        now_ms: u64,
    ) -> Option<Event<'d>> {
        let number = self.number.wrapping_add(1);
        let tries = self.settings.timing.tries.max(1);
        let pause = u64::from(self.settings.timing.first_pause_ms);
        let State::Open(session) = &mut self.state else {
            return None;
        };
        let request = self.request.as_mut()?;
        let completion = Completion(response.completion);
        if completion.is_transient() && request.busy < tries {
            // Asked again as a new message: a BMC may repeat its answer to an old
            // one.
            request.busy += 1;
            self.number = number;
            session.exchange = Exchange::new(now_ms.saturating_add(pause), number);
            return None;
        }
        let command = request.command;
        match command.advance(&mut request.progress, response.completion) {
            Ok(true) => {
                request.busy = 0;
                self.number = number;
                session.exchange = Exchange::new(now_ms, number);
                return None;
            }
            Ok(false) => {}
            Err(code) => {
                session.phase = Phase::Idle;
                self.request = None;
                return Some(Event::Failed(Failure::Completion(Completion(code))));
            }
        }
        session.phase = Phase::Idle;
        self.request = None;
        let Some(answer) = command.answer(response.data) else {
            return Some(Event::Failed(Failure::Malformed));
        };
        match (command, answer) {
            (_, Answer::ConsoleActive(limits)) => self.console.activate(limits.to_bmc, sequence),
            (Command::DeactivateConsole, _) => self.console.deactivate(),
            _ => {}
        }
        Some(Event::Done(answer))
    }
}
