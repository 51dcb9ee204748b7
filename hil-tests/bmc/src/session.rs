//! Sessions: how they are opened, who may open them, and when they end.

use farrier_ipmi::packet::{self, PayloadType};
use farrier_ipmi::rakp::{
    BY_NAME, Exchange, Head, OpenRequest, OpenResponse, Rakp1, Rakp2, Rakp3, Status, emit_rakp4,
};
use farrier_ipmi::sequence::{Outbound, Window};
use farrier_ipmi::suite::{Algorithms, SessionKeys, Suite};
use std::net::SocketAddr;

use crate::faults::WrongKey;
use crate::{Bmc, Machine};

/// Silence after which an open session ends, in milliseconds (6.12.15).
pub(crate) const TIMEOUT_MS: u64 = 60_000;

/// Silence after which a session ends that is being opened.
const OPENING_TIMEOUT_MS: u64 = 20_000;

/// What RAKP 1 and 2 have said.
#[derive(Debug, Clone)]
struct Rakp {
    tag: u8,
    console_random: [u8; 16],
    bmc_random: [u8; 16],
    role: u8,
    name: Vec<u8>,
    password: Vec<u8>,
}

/// A session.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub id: u32,
    pub console_id: u32,
    pub peer: SocketAddr,
    suite: Suite,
    rakp: Option<Rakp>,
    /// Its keys; `None` before it is open.
    pub keys: Option<SessionKeys>,
    pub outbound: Outbound,
    pub window: Window,
    pub heard_ms: u64,
    /// The privilege now, and the highest.
    pub privilege: u8,
    pub highest: u8,
}

impl<M: Machine> Bmc<M> {
    /// Ends sessions that were silent for too long.
    pub(crate) fn elapse_sessions(&mut self) {
        let now_ms = self.now_ms;
        self.sessions.retain(|session| {
            let limit = match session.keys {
                Some(_) => TIMEOUT_MS,
                None => OPENING_TIMEOUT_MS,
            };
            now_ms < session.heard_ms + limit
        });
        let sessions = &self.sessions;
        let is_open = |id| sessions.iter().any(|session| session.id == id);
        if self
            .console
            .as_ref()
            .is_some_and(|console| !is_open(console.session))
        {
            self.console = None;
        }
    }

    fn guid(&self) -> [u8; 16] {
        self.config.guid.0
    }

    /// Answers one of the messages that open a session.
    pub(crate) fn open_session(&mut self, kind: PayloadType, payload: &[u8], from: SocketAddr) {
        let mut out = [0; 128];
        let (answer, len) = match kind {
            PayloadType::OpenRequest => (
                PayloadType::OpenResponse,
                self.open_request(payload, from, &mut out),
            ),
            PayloadType::Rakp1 => (PayloadType::Rakp2, self.rakp1(payload, &mut out)),
            PayloadType::Rakp3 => (PayloadType::Rakp4, self.rakp3(payload, &mut out)),
            _ => return,
        };
        let Some(len) = len else {
            return;
        };
        if self.faults.other_session.strikes() {
            out[4] ^= 1;
        }
        if self.faults.forged_refusals {
            let mut forged = out;
            forged[1] = Status::NAME.0;
            self.send_plain(answer, &forged[..8], from);
        }
        self.send_plain(answer, &out[..len], from);
    }

    fn send_plain(&mut self, kind: PayloadType, payload: &[u8], to: SocketAddr) {
        let mut out = [0; 160];
        let len = packet::emit_plain(kind, payload, &mut out).unwrap_or(0);
        let bytes = out[..len].to_vec();
        self.outgoing.send(self.now_ms, to, bytes, &mut self.faults);
    }

    fn open_request(&mut self, payload: &[u8], from: SocketAddr, out: &mut [u8]) -> Option<usize> {
        let request = OpenRequest::parse(payload)?;
        let mut head = Head {
            tag: request.tag,
            status: Status::OK,
            console_session: Some(request.console_session),
        };
        let suite = Suite::of(request.algorithms);
        let Some(suite) = suite.filter(|suite| self.config.suites.contains(suite)) else {
            head.status = Status::SUITE;
            return head.emit_refusal(out);
        };
        // The same console asks again: its answer was lost.
        let again = self.sessions.iter().position(|session| {
            session.console_id == request.console_session
                && session.peer == from
                && session.rakp.is_none()
        });
        let at = match again {
            Some(at) => at,
            None if self.sessions.len() >= self.config.sessions => {
                head.status = Status::NO_RESOURCES;
                return head.emit_refusal(out);
            }
            None => {
                let id = u32::from_le_bytes(self.random.bytes());
                self.sessions.push(Session {
                    id: id.max(1),
                    console_id: request.console_session,
                    peer: from,
                    suite,
                    rakp: None,
                    keys: None,
                    outbound: Outbound::new(),
                    window: Window::new(),
                    heard_ms: self.now_ms,
                    privilege: 2,
                    highest: 0,
                });
                self.sessions.len() - 1
            }
        };
        let session = &mut self.sessions[at];
        session.suite = suite;
        let response = OpenResponse {
            privilege: match request.privilege {
                0 => 4,
                privilege => privilege,
            },
            bmc_session: session.id,
            algorithms: match self.faults.suite_0 {
                true => Algorithms {
                    authentication: 0,
                    integrity: 0,
                    confidentiality: 0,
                },
                false => suite.algorithms(),
            },
        };
        response.emit(head, out)
    }

    fn rakp1(&mut self, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        let request = Rakp1::parse(payload)?;
        let fresh = self.random.bytes();
        let at = self.session_at(request.bmc_session)?;
        let mut head = Head {
            tag: request.tag,
            status: Status::OK,
            console_session: Some(self.sessions[at].console_id),
        };
        if self.sessions[at].keys.is_some() {
            return None;
        }
        if self.faults.strict_opening && self.sessions[at].rakp.is_some() {
            self.sessions.remove(at);
            head.status = Status::INVALID_SESSION;
            return head.emit_refusal(out);
        }
        let users = match self.faults.no_users {
            true => &[][..],
            false => &self.config.users,
        };
        let user = users
            .iter()
            .find(|user| user.name.as_bytes() == request.name);
        let role = request.role & !BY_NAME;
        head.status = match user {
            None => Status::NAME,
            Some(_) if !(1..=4).contains(&role) => Status::INVALID_ROLE,
            Some(user) if user.privilege as u8 >= role => Status::OK,
            Some(_) => Status::ROLE,
        };
        let Some(user) = user.filter(|_| head.status == Status::OK) else {
            self.sessions.remove(at);
            return head.emit_refusal(out);
        };
        let password = user.password.as_bytes().to_vec();
        let guid = self.guid();
        let now_ms = self.now_ms;
        let session = &mut self.sessions[at];
        session.heard_ms = now_ms;
        session.highest = role;
        // A repetition is answered as before; another message makes another number.
        let same = session.rakp.as_ref().filter(|rakp| rakp.tag == request.tag);
        let same = same.filter(|_| !self.faults.fresh_random);
        let bmc_random = same.map_or(fresh, |rakp| rakp.bmc_random);
        let rakp = Rakp {
            tag: request.tag,
            console_random: *request.random,
            bmc_random,
            role: request.role,
            name: request.name.to_vec(),
            password,
        };
        let exchange = exchange(session.suite, session.id, session.console_id, &rakp, &guid);
        let key = match self.faults.wrong_key {
            Some(WrongKey::Rakp2) => b"another",
            _ => &rakp.password[..],
        };
        let code = exchange.rakp2(key);
        let rakp2 = Rakp2 {
            random: &bmc_random,
            guid: &guid,
            code: code.as_bytes(),
        };
        let len = rakp2.emit(head, out);
        session.rakp = Some(rakp);
        len
    }

    fn rakp3(&mut self, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        let request = Rakp3::parse(payload)?;
        let at = self.session_at(request.bmc_session)?;
        let guid = self.guid();
        let session = &mut self.sessions[at];
        let rakp = session.rakp.as_ref()?;
        let mut head = Head {
            tag: request.tag,
            status: Status::OK,
            console_session: Some(session.console_id),
        };
        if request.status != Status::OK {
            self.sessions.remove(at);
            return None;
        }
        if self.faults.strict_opening && session.keys.is_some() {
            head.status = Status::INACTIVE;
            return head.emit_refusal(out);
        }
        let exchange = exchange(session.suite, session.id, session.console_id, rakp, &guid);
        if !exchange.verify_rakp3(&rakp.password, request.code) {
            // An open session does not end by a message that anybody can write.
            if session.keys.is_none() {
                self.sessions.remove(at);
            }
            head.status = Status::CODE;
            return head.emit_refusal(out);
        }
        let sik = match &self.config.kg {
            Some(kg) => exchange.integrity_key(kg),
            None => exchange.integrity_key(&rakp.password),
        };
        let told = match self.faults.wrong_key {
            Some(WrongKey::Rakp4) => exchange.integrity_key(b"another"),
            _ => sik,
        };
        let code = exchange.rakp4(&told);
        let code = code.truncated(session.suite.packet_code_len());
        let len = emit_rakp4(head, code, out);
        if session.keys.is_none() {
            let sik = match self.faults.wrong_key {
                Some(WrongKey::Session) => exchange.integrity_key(b"another"),
                _ => sik,
            };
            session.keys = Some(SessionKeys::derive(session.suite, &sik));
        }
        session.heard_ms = self.now_ms;
        len
    }

    pub(crate) fn session_at(&self, id: u32) -> Option<usize> {
        self.sessions.iter().position(|session| session.id == id)
    }
}

fn exchange<'a>(
    suite: Suite,
    id: u32,
    console_id: u32,
    rakp: &'a Rakp,
    guid: &'a [u8; 16],
) -> Exchange<'a> {
    Exchange {
        suite,
        console_session: console_id,
        bmc_session: id,
        console_random: &rakp.console_random,
        bmc_random: &rakp.bmc_random,
        guid,
        role: rakp.role,
        name: &rakp.name,
    }
}
