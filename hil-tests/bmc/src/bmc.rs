//! The BMC: datagrams in, datagrams out.

use farrier_ipmi::console::Payload;
use farrier_ipmi::message::{Request, Response};
use farrier_ipmi::packet::{self, Packet, PayloadType, Pong};
use farrier_ipmi::sequence::{Outbound, Window};
use std::net::SocketAddr;

use crate::console::Console;
use crate::outgoing::{Datagram, Outgoing};
use crate::power::{Boot, Power};
use crate::random::Random;
use crate::session::Session;
use crate::{Config, Faults, Log, Machine};

/// How long it takes to start anew, in milliseconds.
const RESET_MS: u64 = 5000;

/// A BMC.
#[derive(Debug)]
pub struct Bmc<M> {
    /// The machine.
    pub machine: M,
    /// What it is; may change while it runs.
    pub config: Config,
    /// What is wrong with it.
    pub faults: Faults,
    /// Its log.
    pub log: Log,
    pub(crate) sessions: Vec<Session>,
    pub(crate) console: Option<Console>,
    pub(crate) power: Power,
    pub(crate) boot: Boot,
    pub(crate) outgoing: Outgoing,
    pub(crate) random: Random,
    pub(crate) reservation: u16,
    /// A session that ends behind its next answer.
    pub(crate) closing: Option<u32>,
    pub(crate) now_ms: u64,
    /// It starts until this time, and hears nothing.
    starts_until_ms: u64,
    resets: u32,
}

impl<M: Machine> Bmc<M> {
    /// A BMC in front of a machine.
    #[must_use]
    pub fn new(config: Config, machine: M) -> Self {
        Self {
            machine,
            random: Random::new(config.seed),
            config,
            faults: Faults::default(),
            log: Log::default(),
            sessions: Vec::new(),
            console: None,
            power: Power::default(),
            boot: Boot::default(),
            outgoing: Outgoing::default(),
            reservation: 0,
            closing: None,
            now_ms: 0,
            starts_until_ms: 0,
            resets: 0,
        }
    }

    /// Number of open sessions.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        let open = self.sessions.iter();
        open.filter(|session| session.keys.is_some()).count()
    }

    /// How often it has started anew.
    #[must_use]
    pub const fn resets(&self) -> u32 {
        self.resets
    }

    /// Whether a session has the serial console.
    #[must_use]
    pub const fn has_console(&self) -> bool {
        self.console.is_some()
    }

    /// Whether somebody has claimed the boot parameters and not released them.
    #[must_use]
    pub const fn has_boot_claim(&self) -> bool {
        self.boot.in_progress == 1
    }

    /// The boot flags, as they are kept.
    #[must_use]
    pub const fn boot_flags(&self) -> &[u8; 5] {
        &self.boot.flags
    }

    /// Starts anew: sessions and the console end without a word. Power, boot flags
    /// and log stay.
    pub fn reset(&mut self) {
        self.sessions.clear();
        self.console = None;
        self.reservation = 0;
        self.starts_until_ms = self.now_ms + RESET_MS;
        self.resets += 1;
    }

    /// Sets the numbers of the next packets of all sessions, for tests of their
    /// wrap.
    pub fn set_sequence(&mut self, sent: u32, received: u32) {
        for session in &mut self.sessions {
            session.outbound = Outbound::starting_at(sent);
            session.window = Window::behind(received);
        }
    }

    /// Takes a datagram.
    pub fn receive(&mut self, now_ms: u64, from: SocketAddr, datagram: &[u8]) {
        self.elapse(now_ms);
        if self.faults.silent || now_ms < self.starts_until_ms || self.faults.lose_in.strikes() {
            return;
        }
        match Packet::parse(datagram) {
            Ok(Packet::Ping(tag)) => {
                let mut out = [0; 32];
                let pong = Pong { tag, ipmi: true };
                let len = packet::emit_pong(pong, &mut out).unwrap_or(0);
                self.send(from, out[..len].to_vec());
            }
            Ok(Packet::Sessionless(message)) => {
                self.take_sessionless(message, from, packet::emit_sessionless);
            }
            Ok(Packet::Plus(header, payload)) => match header.payload {
                PayloadType::Ipmi if header.session == 0 => {
                    let emit = |message: &[u8], out: &mut [u8]| {
                        packet::emit_plain(PayloadType::Ipmi, message, out)
                    };
                    self.take_sessionless(payload, from, emit);
                }
                PayloadType::Ipmi | PayloadType::Sol => {
                    let mut datagram = datagram.to_vec();
                    self.take_of_session(header, &mut datagram, from);
                }
                kind => self.open_session(kind, payload, from),
            },
            Ok(Packet::Pong(_)) | Err(_) => {}
        }
    }

    /// Gives a datagram that is due. Call it until it has none, and again at
    /// [`Self::wake_at`].
    pub fn transmit(&mut self, now_ms: u64) -> Option<Datagram> {
        self.elapse(now_ms);
        self.poll_console();
        self.outgoing.take(now_ms)
    }

    /// When [`Self::transmit`] may have something, if no datagram comes before; `None`
    /// for never. While a session has the console, the serial port is looked at ten
    /// times a second.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        let console = self.console.as_ref().map(|_| self.now_ms + 100);
        let times = [self.outgoing.due_ms(), self.power.on_at_ms, console];
        times.into_iter().flatten().min()
    }

    fn elapse(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        self.elapse_power();
        self.elapse_sessions();
    }

    fn send(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.outgoing.send(self.now_ms, to, bytes, &mut self.faults);
    }

    /// Answers a message outside of a session, in the packet that it came in.
    fn take_sessionless(
        &mut self,
        message: &[u8],
        from: SocketAddr,
        emit: impl FnOnce(&[u8], &mut [u8]) -> Option<usize>,
    ) {
        let Some(request) = Request::parse(message) else {
            return;
        };
        let answer = self.sessionless(&request);
        let Some((completion, data)) = answer else {
            return;
        };
        let mut out = [0; 64];
        let len = respond(&request, completion, &data, &mut out);
        let mut datagram = [0; 96];
        let len = emit(&out[..len], &mut datagram).unwrap_or(0);
        self.send(from, datagram[..len].to_vec());
    }

    fn take_of_session(&mut self, header: packet::Header, datagram: &mut [u8], from: SocketAddr) {
        let Some(at) = self.session_at(header.session) else {
            return;
        };
        let session = &mut self.sessions[at];
        let Some(keys) = &session.keys else {
            return;
        };
        let Ok(payload) = packet::open(keys, datagram) else {
            return;
        };
        if !session.window.take(header.sequence) {
            return;
        }
        session.heard_ms = self.now_ms;
        session.peer = from;
        let id = session.id;
        match header.payload {
            PayloadType::Sol => {
                if let Some(payload) = Payload::parse(payload) {
                    self.take_console(id, payload);
                }
            }
            _ => {
                if let Some(request) = Request::parse(payload) {
                    self.take_request(id, &request);
                }
            }
        }
    }

    fn take_request(&mut self, id: u32, request: &Request<'_>) {
        let changes = self.changes(request);
        if changes && self.faults.reset_before.strikes() {
            self.reset();
            return;
        }
        let (completion, data) = match self.faults.busy.strikes() {
            true => (0xc0, Vec::new()),
            false => self.carry_out(id, request),
        };
        if changes && self.faults.reset_after.strikes() {
            self.reset();
            return;
        }
        let mut answered = *request;
        if self.faults.other_number.strikes() {
            answered.number = request.number.wrapping_add(7) & 0x3f;
        }
        if self.faults.other_command.strikes() {
            answered.command ^= 1;
        }
        let mut out = [0; 300];
        let len = respond(&answered, completion, &data, &mut out);
        self.send_of_session(id, PayloadType::Ipmi, &out[..len]);
        self.end_if_closed(id);
    }

    /// Sends a payload of a session.
    pub(crate) fn send_of_session(&mut self, id: u32, kind: PayloadType, payload: &[u8]) {
        let iv = self.random.bytes();
        let Some(at) = self.session_at(id) else {
            return;
        };
        let session = &mut self.sessions[at];
        let (peer, console_id) = (session.peer, session.console_id);
        let Some(keys) = &session.keys else {
            return;
        };
        let console_id = match self.faults.other_session.strikes() {
            true => console_id ^ 0x0100,
            false => console_id,
        };
        let number = session.outbound.take();
        let mut out = [0; 400];
        let len = packet::seal(keys, kind, (console_id, number), &iv, payload, &mut out);
        let mut bytes = out[..len.unwrap_or(0)].to_vec();
        if self.faults.unprotected.strikes() {
            let len = packet::emit_plain(kind, payload, &mut out).unwrap_or(0);
            bytes = out[..len].to_vec();
            bytes[6..10].copy_from_slice(&console_id.to_le_bytes());
            bytes[10..14].copy_from_slice(&number.to_le_bytes());
        }
        self.send(peer, bytes);
    }
}

fn respond(request: &Request<'_>, completion: u8, data: &[u8], out: &mut [u8]) -> usize {
    let response = Response {
        net_fn: request.net_fn | 1,
        number: request.number,
        command: request.command,
        completion,
        data,
    };
    response.emit(out).unwrap_or(0)
}
