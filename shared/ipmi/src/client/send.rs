//! What a client sends, and when. How it opens a session is in `opening`.

use super::session::{Phase, Session, State};
use super::{Client, Event, Exchange, Failure, Notices, Output, Request, Timing};
use crate::command::{Command, Progress};
use crate::console::{CHUNK, Due, HEADER_LEN};
use crate::message::{self, NetFn};
use crate::packet::{self, PayloadType};

/// Commands of sessions: they are the client's own.
pub(super) mod command {
    /// Get Channel Authentication Capabilities (22.13).
    pub const CAPABILITIES: u8 = 0x38;
    /// Set Session Privilege Level (22.18).
    pub const PRIVILEGE: u8 = 0x3b;
    /// Close Session (22.19).
    pub const CLOSE: u8 = 0x3c;
    /// Get Device ID, which shows that a session is alive.
    pub const DEVICE_ID: u8 = 0x01;
}

/// How often the end of a session is asked for.
const CLOSE_TRIES: u8 = 2;

/// A source of random bytes that can't be predicted: keys and vectors come from it.
pub type Random<'r> = &'r mut dyn FnMut(&mut [u8]);

pub(super) fn byte(random: Random<'_>) -> u8 {
    let mut byte = [0];
    random(&mut byte);
    byte[0]
}

impl Client {
    /// Gives what is due: a datagram in `out`, an event, or the time to wait for.
    /// Call it until it says [`Output::Wait`].
    ///
    /// `now_ms` is a time that never goes back, in milliseconds. `out` has
    /// [`super::MAX_SENT`] bytes or more; what does not fit is counted and takes
    /// the way of a lost datagram. `random` is a source that can't be predicted.
    pub fn poll(&mut self, now_ms: u64, out: &mut [u8], random: Random<'_>) -> Output {
        if let Some(event) = self.notice() {
            return Output::Event(event);
        }
        if let Some(output) = self.poll_ping(now_ms, out, random) {
            return output;
        }
        match self.state {
            State::Closed => self.begin(now_ms, random),
            State::Opening(_) => {}
            State::Open(_) => self.choose(now_ms),
        }
        let output = match &mut self.state {
            State::Closed => None,
            State::Opening(_) => self.poll_opening(now_ms, out, random),
            State::Open(_) => self.poll_open(now_ms, out, random),
        };
        match output {
            Some(output) => output,
            // What failed just now is told at once.
            None => match self.notice() {
                Some(event) => Output::Event(event),
                None => Output::Wait(self.wake_at()),
            },
        }
    }

    /// When [`Self::poll`] has something to do, if nothing comes before.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        if self.notices != Notices::default() {
            return Some(0);
        }
        let session = match &self.state {
            State::Closed if self.held || self.request.is_some() => Some(self.reopen_ms),
            State::Closed => None,
            State::Opening(opening) => Some(opening.exchange.due_ms),
            State::Open(session) => {
                let keep_alive = session
                    .active_ms
                    .saturating_add(self.settings.timing.keep_alive_ms.into());
                Some(match session.phase {
                    Phase::Idle if self.closing || self.request.is_some() => 0,
                    Phase::Idle => keep_alive,
                    Phase::Privilege | Phase::Request | Phase::KeepAlive | Phase::Closing => {
                        session.exchange.due_ms
                    }
                })
            }
        };
        let ping = self.ping.map(|ping| ping.due_ms);
        let times = [session, ping, self.console.due()];
        times.into_iter().flatten().min()
    }

    fn notice(&mut self) -> Option<Event<'static>> {
        let notices = &mut self.notices;
        if let Some(failure) = notices.request.take() {
            return Some(Event::Failed(failure));
        }
        if core::mem::take(&mut notices.console_ended) {
            return Some(Event::Console(crate::console::ConsoleEvent::Deactivated));
        }
        if let Some(failure) = notices.down.take() {
            let reopens = self.held || self.request.is_some();
            return Some(Event::Down {
                failure,
                reopens_at_ms: reopens.then_some(self.reopen_ms),
            });
        }
        if core::mem::take(&mut notices.up) {
            return Some(Event::Up);
        }
        core::mem::take(&mut notices.absent).then_some(Event::Absent)
    }

    pub(super) fn sent(&mut self, tries: u8, len: Option<usize>) -> Option<Output> {
        let counters = &mut self.counters;
        let Some(len) = len else {
            counters.oversized = counters.oversized.saturating_add(1);
            return None;
        };
        counters.sent = counters.sent.saturating_add(1);
        if tries > 1 {
            counters.repeated = counters.repeated.saturating_add(1);
        }
        Some(Output::Datagram(len))
    }

    /// Counts a try and sets the next one's time.
    pub(super) fn next_try(&self, exchange: &mut Exchange, now_ms: u64, random: Random<'_>) {
        let first = self.settings.timing.first_pause_ms;
        self.next_try_after(first, exchange, now_ms, random);
    }

    fn next_try_after(
        &self,
        first_pause_ms: u32,
        exchange: &mut Exchange,
        now_ms: u64,
        random: Random<'_>,
    ) {
        exchange.due_ms = now_ms.saturating_add(Timing::pause(
            first_pause_ms,
            self.settings.timing.longest_pause_ms,
            exchange.tries,
            byte(random),
        ));
        exchange.tries = exchange.tries.saturating_add(1);
    }

    pub(super) const fn next_number(&mut self) -> u8 {
        self.number = self.number.wrapping_add(1);
        self.number
    }

    fn poll_ping(&mut self, now_ms: u64, out: &mut [u8], random: Random<'_>) -> Option<Output> {
        let mut ping = self.ping?;
        if now_ms < ping.due_ms {
            return None;
        }
        if ping.is_given_up(self.settings.timing.tries) {
            self.ping = None;
            self.notices.absent = true;
            return self.notice().map(Output::Event);
        }
        self.next_try(&mut ping, now_ms, random);
        self.ping = Some(ping);
        self.sent(ping.tries, packet::emit_ping(ping.number, out))
    }

    /// Chooses what an idle session does.
    fn choose(&mut self, now_ms: u64) {
        let keep_alive = u64::from(self.settings.timing.keep_alive_ms);
        let number = self.number.wrapping_add(1);
        let State::Open(session) = &mut self.state else {
            return;
        };
        if session.phase != Phase::Idle {
            return;
        }
        session.phase = if self.closing {
            Phase::Closing
        } else if self.request.is_some() {
            Phase::Request
        } else if now_ms >= session.active_ms.saturating_add(keep_alive) {
            Phase::KeepAlive
        } else {
            return;
        };
        self.number = number;
        session.exchange = Exchange::new(now_ms, number);
    }

    fn poll_open(&mut self, now_ms: u64, out: &mut [u8], random: Random<'_>) -> Option<Output> {
        let State::Open(session) = &self.state else {
            return None;
        };
        let (mut exchange, phase) = (session.exchange, session.phase);
        if phase == Phase::Idle || now_ms < exchange.due_ms {
            return self.poll_console(now_ms, out, random);
        }
        if phase == Phase::Closing && exchange.tries >= CLOSE_TRIES {
            self.closed();
            return None;
        }
        let timing = self.settings.timing;
        // A repetition may do harm: it comes late and seldom.
        let is_safe = match (phase, self.request) {
            (Phase::Request, Some(request)) => request.command.repeats_safely(),
            _ => true,
        };
        let (tries, first_pause_ms) = match is_safe {
            true => (timing.tries, timing.first_pause_ms),
            false => (
                timing.tries.min(timing.unsafe_tries),
                timing.longest_pause_ms,
            ),
        };
        if exchange.is_given_up(tries) {
            let failure = match phase {
                Phase::Privilege => exchange.doubtful.unwrap_or(Failure::Silent),
                Phase::Idle | Phase::Request | Phase::KeepAlive | Phase::Closing => Failure::Lost,
            };
            self.fail(failure, now_ms, byte(random));
            return None;
        }
        self.next_try_after(first_pause_ms, &mut exchange, now_ms, random);
        if let State::Open(session) = &mut self.state {
            session.exchange = exchange;
        }
        let mut message = [0; 32];
        let len = self.emit_message(phase, &mut message)?;
        let len = self.seal(PayloadType::Ipmi, message.get(..len)?, out, random);
        if let (Phase::Request, Some(request)) = (phase, &mut self.request) {
            request.sent = true;
        }
        self.sent(exchange.tries, len)
    }

    fn emit_message(&self, phase: Phase, out: &mut [u8]) -> Option<usize> {
        let State::Open(session) = &self.state else {
            return None;
        };
        let app = NetFn::App as u8;
        let id = session.bmc_session.to_le_bytes();
        let privilege = [self.settings.privilege as u8];
        let frame = self
            .request
            .map(
                |Request {
                     command, progress, ..
                 }| command.frame(progress),
            )
            .unwrap_or(Command::DeviceId.frame(Progress::START));
        let (net_fn, lun, command, data): (u8, u8, u8, &[u8]) = match phase {
            Phase::Privilege => (app, 0, command::PRIVILEGE, &privilege),
            Phase::Closing => (app, 0, command::CLOSE, &id),
            Phase::Idle | Phase::KeepAlive => (app, 0, command::DEVICE_ID, &[]),
            Phase::Request => (frame.net_fn as u8, frame.lun, frame.command, frame.data()),
        };
        let request = message::Request {
            net_fn,
            lun,
            number: session.exchange.number & 0x3f,
            command,
            data,
        };
        request.emit(out)
    }

    fn seal(
        &mut self,
        kind: PayloadType,
        payload: &[u8],
        out: &mut [u8],
        random: Random<'_>,
    ) -> Option<usize> {
        let State::Open(session) = &mut self.state else {
            return None;
        };
        let mut iv = [0; packet::IV_LEN];
        random(&mut iv);
        let Session {
            keys,
            bmc_session,
            outbound,
            ..
        } = session;
        packet::seal(
            keys,
            kind,
            (*bmc_session, outbound.take()),
            &iv,
            payload,
            out,
        )
    }

    fn poll_console(&mut self, now_ms: u64, out: &mut [u8], random: Random<'_>) -> Option<Output> {
        let mut payload = [0; CHUNK + HEADER_LEN];
        match self.console.poll(now_ms, &mut payload) {
            Due::Send(len) => {
                let len = self.seal(PayloadType::Sol, payload.get(..len)?, out, random);
                self.sent(1, len)
            }
            Due::Nothing => None,
            Due::Lost => {
                self.fail(Failure::Lost, now_ms, byte(random));
                None
            }
        }
    }

    /// Ends a session as its owner wanted it.
    pub(super) fn closed(&mut self) {
        self.state = State::Closed;
        self.closing = false;
        self.end_console();
        self.notices.down = Some(Failure::Closed);
    }
}
