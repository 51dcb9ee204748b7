//! The appliance's side: the gate, the handshake, the sealed session.
//!
//! The cost of a datagram until it is authenticated:
//! ```text
//! parse                         no cryptography
//! init:    look-up by ticket    the caller's table
//!          gate MAC             one Poly1305; drops forgeries
//!          handshake            X25519 and AEAD, for holders of a ticket
//! request: look-up by session   the caller's table
//!          counter              drops older requests
//!          AEAD                 one MAC; drops forgeries
//! ```
//!
//! # Tickets and lost responses
//! The caller keeps the ticket of every node and, after [`accept`] succeeded, the
//! [`init_digest`] and the [`Session`]. If another init has a used ticket:
//! - The digest differs: it is a second agent. Answer
//!   [`HandshakeRefusal::TicketUsed`].
//! - The digest is equal and the session [is unused](Session::is_unused): the
//!   response was lost. Call [`accept`] again with the same arguments. It is a
//!   pure function and returns the same bytes and the same session: it derives
//!   the ephemeral key from the appliance's seed and the init datagram.
//! - The digest is equal and the session was used: it is a replay. Drop it.

use core::fmt;

use crate::{
    crypto::{equal, hmac_sha256, noise_nonce, open_in_place, seal_in_place, sha256},
    message::{AgentHandshake, HandshakeReply, Reply, Request},
    noise::{INIT_OVERHEAD, Responder, known_pair, public_key},
    ticket::Ticket,
    wire::{
        Datagram, GATE_MAC_LEN, HandshakeRefusal, INIT_NOISE_AT, Init, KIND_REPLY, KIND_RESPONSE,
        REPLY_HEAD_LEN, REQUEST_HEAD_LEN, RESPONSE_HEAD_LEN, SessionId, emit,
    },
};

/// Domain separation of this handshake from other uses of the same keys.
pub(crate) const PROLOGUE: &[u8] = b"farrier session v1\0";
/// Longest payload of Noise message 1: the ticket's secret and an
/// [`AgentHandshake`].
pub(crate) const MAX_INIT_PAYLOAD: usize = 24 + 64;
/// Longest payload of Noise message 2: the session id and a [`HandshakeReply`].
pub(crate) const MAX_RESPONSE_PAYLOAD: usize = 4 + 32;
/// Longest init datagram, in bytes.
pub const MAX_INIT: usize = INIT_NOISE_AT + INIT_OVERHEAD + MAX_INIT_PAYLOAD;
/// Longest response datagram, in bytes. It is shorter than any init, so that the
/// appliance does not amplify traffic.
pub const MAX_RESPONSE: usize =
    RESPONSE_HEAD_LEN + crate::noise::RESPONSE_OVERHEAD + MAX_RESPONSE_PAYLOAD;

/// The appliance's handshake keys.
#[derive(Clone)]
pub struct Keys {
    secret: [u8; 32],
    public: [u8; 32],
    seed: [u8; 32],
}

impl Keys {
    /// Creates the keys. `identity` is the appliance's permanent X25519 secret.
    /// `seed` is 32 random bytes of this start of the appliance. It must not be
    /// stored: all ephemeral keys derive from it, so that a later leak of
    /// `identity` does not open past sessions.
    pub fn new(identity: [u8; 32], seed: [u8; 32]) -> Self {
        Self {
            public: public_key(&identity),
            secret: identity,
            seed,
        }
    }

    /// Returns the public key of the identity, which the ramdisk has.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Derives the ephemeral secret from the datagram and the session id, so that
    /// a repeated datagram gives the same response and no second session.
    fn ephemeral(&self, init: &Init<'_>, session: SessionId) -> [u8; 32] {
        hmac_sha256(
            &self.seed,
            &[
                b"farrier ephemeral v1\0",
                &session.0.to_le_bytes(),
                init.head,
                &init.mac,
                init.noise,
            ],
        )
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// Why a handshake failed. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum HandshakeError {
    /// The gate's MAC is invalid: the sender does not know the ticket. It cost
    /// one MAC. Send no answer.
    Gate = 0,
    /// The Noise message is invalid.
    Forged = 1,
    /// The encrypted secret is not the ticket's.
    Secret = 2,
    /// The payload is not an [`AgentHandshake`] or [`HandshakeReply`].
    Malformed = 3,
    /// The caller refused. The reason may be sent back as a hint.
    Refused(HandshakeRefusal) = 4,
    /// `out` is too short.
    NoRoom = 5,
}

/// A successful handshake.
#[derive(Debug)]
pub struct Accepted {
    /// The session, unused.
    pub session: Session,
    /// The agent's handshake message.
    pub handshake: AgentHandshake,
    /// Length of the response in `out`.
    pub len: usize,
}

/// Returns whether the sender of `init` knows the ticket. Costs one MAC, about
/// 5,000 instructions of a Cortex-M7.
pub fn verify_gate(init: &Init<'_>, ticket: &Ticket) -> bool {
    let Some(mac) = gate_mac(ticket, init.noise) else {
        return false;
    };
    init.ticket == ticket.id && equal(&mac, &init.mac)
}

/// Computes the gate's MAC: the tag of ChaCha20-Poly1305 over an empty text with
/// the Noise message as associated data. The key is the whole ticket, so that the
/// tag also authenticates its id. The nonce is the start of the message: the
/// agent's ephemeral public key, which is unique for each handshake. The MAC
/// costs a third of HMAC-SHA-256.
pub(crate) fn gate_mac(ticket: &Ticket, noise: &[u8]) -> Option<[u8; GATE_MAC_LEN]> {
    let mut key = [0; 32];
    emit(&mut key, &[&ticket.id.0, &ticket.secret])?;
    let nonce = noise.first_chunk::<12>()?;
    let mut mac = [0; GATE_MAC_LEN];
    seal_in_place(&key, nonce, noise, &mut mac, 0).ok()?;
    Some(mac)
}

/// Returns the first 16 bytes of SHA-256 over an init datagram. The caller detects
/// a repeated init by it.
pub fn init_digest(init: &Init<'_>) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&sha256(&[init.head, &init.mac, init.noise])[..16]);
    digest
}

/// Verifies the gate, reads the [`AgentHandshake`], and writes the response to
/// `out` ([`MAX_RESPONSE`] bytes are enough).
///
/// `make_reply` gets the verified `AgentHandshake` and accepts or refuses it. It
/// must return the same for the same `AgentHandshake` and ticket. Otherwise the
/// function is pure, see the module on lost responses.
///
/// # Errors
/// See [`HandshakeError`].
pub fn accept(
    keys: &Keys,
    init: &Init<'_>,
    ticket: &Ticket,
    session: SessionId,
    make_reply: impl FnOnce(&AgentHandshake) -> Result<HandshakeReply, HandshakeRefusal>,
    out: &mut [u8],
) -> Result<Accepted, HandshakeError> {
    if !verify_gate(init, ticket) {
        return Err(HandshakeError::Gate);
    }
    let mut prologue = [0; PROLOGUE.len() + crate::wire::INIT_HEAD_LEN];
    emit(&mut prologue, &[PROLOGUE, init.head]).ok_or(HandshakeError::NoRoom)?;
    let mut responder = Responder::new(
        &prologue,
        known_pair(keys.public, keys.secret),
        &keys.ephemeral(init, session),
    )
    .map_err(|_| HandshakeError::Forged)?;

    let mut payload = [0; MAX_INIT_PAYLOAD];
    let len = responder
        .read(init.noise, &mut payload)
        .map_err(|_| HandshakeError::Forged)?;
    let (secret, agent_handshake) = payload
        .get(..len)
        .and_then(|p| p.split_at_checked(ticket.secret.len()))
        .ok_or(HandshakeError::Malformed)?;
    if !equal(secret, &ticket.secret) {
        return Err(HandshakeError::Secret);
    }
    let agent_handshake: AgentHandshake =
        postcard::from_bytes(agent_handshake).map_err(|_| HandshakeError::Malformed)?;
    let handshake_reply = make_reply(&agent_handshake).map_err(HandshakeError::Refused)?;

    let mut payload = [0; MAX_RESPONSE_PAYLOAD];
    let (id, rest) = payload.split_at_mut(4);
    id.copy_from_slice(&session.0.to_le_bytes());
    let handshake_reply =
        postcard::to_slice(&handshake_reply, rest).map_err(|_| HandshakeError::NoRoom)?;
    let payload_len = 4 + handshake_reply.len();
    let head =
        emit(out, &[&[KIND_RESPONSE], &session.0.to_le_bytes()]).ok_or(HandshakeError::NoRoom)?;
    let (keys, len) = responder
        .write(
            payload.get(..payload_len).ok_or(HandshakeError::NoRoom)?,
            out.get_mut(head..).ok_or(HandshakeError::NoRoom)?,
        )
        .map_err(|_| HandshakeError::NoRoom)?;
    Ok(Accepted {
        session: Session {
            requests: keys.requests,
            replies: keys.replies,
            id: session,
            dropped: 0,
            last: 0,
            sent: 0,
        },
        handshake: agent_handshake,
        len: head + len,
    })
}

/// Whether a request is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Its counter is higher than all before.
    New,
    /// It repeats the last request: answer again and change nothing.
    Repeat,
}

/// Why a datagram of a session is dropped. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SessionError {
    /// It is not a request (at the agent: not a reply) of this session.
    OtherSession = 0,
    /// Its counter is lower than the last one: delayed or replayed.
    Old = 1,
    /// Its tag is invalid.
    Forged = 2,
    /// It is authentic but malformed.
    Malformed = 3,
    /// A buffer is too short or the message too long for a datagram.
    NoRoom = 4,
    /// There is no request to answer, or the counters are used up (after 2⁶⁴
    /// messages).
    Order = 5,
}

/// An opened request.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'b> {
    /// Whether the request is new.
    pub freshness: Freshness,
    /// Its counter.
    pub counter: u64,
    /// The request.
    pub request: Request<'b>,
}

/// One node's session: two keys and three counters.
///
/// Nonces never repeat under a key. A request's nonce is its counter, which the
/// agent increments for every new request; a retransmission is the identical
/// datagram. A reply's nonce is a number that the appliance increments for every
/// reply, also for a second reply to the same request.
#[derive(Clone)]
pub struct Session {
    requests: [u8; 32],
    replies: [u8; 32],
    id: SessionId,
    dropped: u32,
    last: u64,
    sent: u64,
}

const _: () = assert!(core::mem::size_of::<Session>() <= 96);

impl Session {
    /// Returns the keys of requests and replies. The caller stores them if the
    /// session must survive a restart of the appliance.
    pub fn keys(&self) -> (&[u8; 32], &[u8; 32]) {
        (&self.requests, &self.replies)
    }

    /// Returns the counter of the last request; 0 before the first.
    pub fn last_counter(&self) -> u64 {
        self.last
    }

    /// Restores a session of an earlier start of the appliance. The caller must
    /// call [`resumed`](Self::resumed) before it seals a reply.
    pub fn resume(id: SessionId, requests: [u8; 32], replies: [u8; 32]) -> Self {
        Session {
            requests,
            replies,
            id,
            dropped: 0,
            last: 0,
            sent: u64::MAX,
        }
    }

    /// Drops requests below this counter from now on. Requests between it and the
    /// last one before a restart can arrive again; they are idempotent.
    pub fn raise_last_counter(&mut self, counter: u64) {
        self.last = self.last.max(counter);
    }

    /// Continues a restored session. `run` counts the appliance's starts from
    /// 1: the reply numbers of a run are above those of all earlier runs, since
    /// the agent drops lower ones. `random` is drawn anew at each start, and
    /// keeps reply numbers apart where a run comes again because the
    /// appliance's memory was replaced by a copy of before: two such runs of
    /// 2ⁿ replies share a nonce with a chance of 2ⁿ⁻³⁹.
    pub fn resumed(&mut self, run: u32, random: u64) {
        self.sent = (u64::from(run) << 40) | (random >> 25);
    }

    /// Returns the session's identifier.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Returns whether no request was accepted yet. The response of the handshake
    /// may be lost then.
    pub fn is_unused(&self) -> bool {
        self.last == 0
    }

    /// Returns the number of dropped datagrams with this session id.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Opens a request. `buffer` has the plain text afterwards;
    /// [`MAX_DATAGRAM`](crate::MAX_DATAGRAM) bytes are enough.
    ///
    /// # Errors
    /// [`SessionError::Malformed`]: the request is authentic and counts as
    /// accepted; answer [`crate::message::Refusal::Malformed`]. Any other error
    /// changes only the drop counter; send no answer.
    pub fn open<'b>(
        &mut self,
        datagram: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<Opened<'b>, SessionError> {
        let result = self.open_inner(datagram, buffer);
        if result.is_err() {
            self.dropped = self.dropped.saturating_add(1);
        }
        result
    }

    fn open_inner<'b>(
        &mut self,
        datagram: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<Opened<'b>, SessionError> {
        let Ok(Datagram::Request {
            session,
            counter,
            sealed,
        }) = Datagram::parse(datagram)
        else {
            return Err(SessionError::OtherSession);
        };
        if session != self.id || counter == 0 {
            return Err(SessionError::OtherSession);
        }
        if counter < self.last {
            return Err(SessionError::Old);
        }
        let head = datagram
            .get(..REQUEST_HEAD_LEN)
            .ok_or(SessionError::OtherSession)?;
        let plain = open_copy(&self.requests, counter, head, sealed, buffer)?;
        let freshness = if counter == self.last {
            Freshness::Repeat
        } else {
            Freshness::New
        };
        self.last = counter;
        let request = postcard::from_bytes(plain).map_err(|_| SessionError::Malformed)?;
        Ok(Opened {
            freshness,
            counter,
            request,
        })
    }

    /// Seals the reply to the last request into `out`
    /// ([`MAX_DATAGRAM`](crate::MAX_DATAGRAM) bytes are enough) and returns its
    /// length.
    ///
    /// # Errors
    /// [`SessionError::Order`] before the first request;
    /// [`SessionError::NoRoom`] if the reply does not fit.
    pub fn seal_reply(&mut self, reply: &Reply<'_>, out: &mut [u8]) -> Result<usize, SessionError> {
        if self.last == 0 {
            return Err(SessionError::Order);
        }
        let number = self.sent.checked_add(1).ok_or(SessionError::Order)?;
        let room = out.len().min(crate::MAX_DATAGRAM);
        let out = out.get_mut(..room).ok_or(SessionError::NoRoom)?;
        emit(
            out,
            &[
                &[KIND_REPLY],
                &self.id.0.to_le_bytes(),
                &self.last.to_le_bytes(),
                &number.to_le_bytes(),
            ],
        )
        .ok_or(SessionError::NoRoom)?;
        let len = seal_message(&self.replies, number, REPLY_HEAD_LEN, reply, out)?;
        self.sent = number;
        Ok(len)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("last", &self.last)
            .field("sent", &self.sent)
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

/// Copies `sealed` to the start of `buffer` and opens it there.
pub(crate) fn open_copy<'b>(
    key: &[u8; 32],
    nonce: u64,
    head: &[u8],
    sealed: &[u8],
    buffer: &'b mut [u8],
) -> Result<&'b [u8], SessionError> {
    let copy = buffer.get_mut(..sealed.len()).ok_or(SessionError::NoRoom)?;
    copy.copy_from_slice(sealed);
    match open_in_place(key, &noise_nonce(nonce), head, copy) {
        Ok(plain) => Ok(plain),
        Err(_) => Err(SessionError::Forged),
    }
}

/// Encodes `message` behind the head in `out` and seals it.
pub(crate) fn seal_message(
    key: &[u8; 32],
    nonce: u64,
    head_len: usize,
    message: &impl serde::Serialize,
    out: &mut [u8],
) -> Result<usize, SessionError> {
    let (head, body) = out
        .split_at_mut_checked(head_len)
        .ok_or(SessionError::NoRoom)?;
    let len = postcard::to_slice(message, body)
        .map_err(|_| SessionError::NoRoom)?
        .len();
    let sealed = seal_in_place(key, &noise_nonce(nonce), head, body, len)
        .map_err(|_| SessionError::NoRoom)?;
    Ok(head_len + sealed)
}
