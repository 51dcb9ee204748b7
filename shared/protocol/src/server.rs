//! The appliance's side: the gate, the handshake, the sealed session.
//!
//! What a datagram costs before it is believed:
//! ```text
//! parse                         no cryptography
//! init:    look-up by ticket    the caller's table
//!          gate MAC             one Poly1305; forgeries end here
//!          handshake            X25519 and AEAD, for holders of a ticket
//! request: look-up by session   the caller's table
//!          counter              an older one ends here
//!          AEAD                 one MAC; forgeries end here
//! ```
//!
//! # Tickets and lost responses
//! The caller keeps for every node the ticket and, once [`accept`] has
//! succeeded, the [`init_digest`] and the [`Session`]. When another init
//! names a used ticket:
//! - the digest differs: a second machine; answer
//!   [`HandshakeRefusal::TicketUsed`];
//! - the digest is the same and the session [has not been
//!   used](Session::is_unused): the response was lost; call [`accept`] again
//!   with the same arguments. It is a pure function: the same bytes come out
//!   and the same session. Nothing but the 16 bytes of digest has to be kept
//!   for that, since the ephemeral key is derived from the appliance's seed
//!   and the init datagram;
//! - the digest is the same and the session has been used: drop it; it is a
//!   replay.

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

/// Separates this handshake from every other use of the same keys.
pub(crate) const PROLOGUE: &[u8] = b"farrier session v1\0";
/// Longest payload of Noise message 1: the ticket's secret and a [`AgentHandshake`].
pub(crate) const MAX_INIT_PAYLOAD: usize = 24 + 64;
/// Longest payload of Noise message 2: the session id and a [`HandshakeReply`].
pub(crate) const MAX_RESPONSE_PAYLOAD: usize = 4 + 32;
/// Longest init datagram, in bytes.
pub const MAX_INIT: usize = INIT_NOISE_AT + INIT_OVERHEAD + MAX_INIT_PAYLOAD;
/// Longest response datagram, in bytes. Shorter than any init, so that the
/// appliance amplifies nothing.
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
    /// `identity` is the appliance's X25519 secret, the same for ever.
    /// `seed` is 32 random bytes made anew at each start of the appliance
    /// and never stored: every ephemeral key comes from it, so what was said
    /// in past sessions stays closed even to who learns `identity` later.
    pub fn new(identity: [u8; 32], seed: [u8; 32]) -> Self {
        Self {
            public: public_key(&identity),
            secret: identity,
            seed,
        }
    }

    /// The public half of the identity, which agents know beforehand.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// One ephemeral secret a datagram and session id: repeating the
    /// datagram repeats the response instead of making a second session.
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

/// Why a handshake did not come about. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum HandshakeError {
    /// The gate's MAC does not hold: whoever sent it does not know the
    /// ticket. Nothing expensive was done; send nothing back.
    Gate = 0,
    /// The Noise message does not hold.
    Forged = 1,
    /// The secret inside the encryption is not the ticket's.
    Secret = 2,
    /// The payload is no [`AgentHandshake`] or [`HandshakeReply`].
    Malformed = 3,
    /// The caller or the versions refused; may be sent back as a hint.
    Refused(HandshakeRefusal) = 4,
    /// `out` is too short.
    NoRoom = 5,
}

/// A handshake that came about.
#[derive(Debug)]
pub struct Accepted {
    /// The session, with no request yet.
    pub session: Session,
    /// The agent's first words.
    pub handshake: AgentHandshake,
    /// Length of the response in `out`.
    pub len: usize,
}

/// Whether the sender of `init` knows the ticket: one MAC, some 5,000
/// instructions of a Cortex-M7.
pub fn verify_gate(init: &Init<'_>, ticket: &Ticket) -> bool {
    let Some(mac) = gate_mac(ticket, init.noise) else {
        return false;
    };
    init.ticket == ticket.id && equal(&mac, &init.mac)
}

/// The gate's MAC: the tag of ChaCha20-Poly1305 over nothing, with the Noise
/// message as associated data. The key is the whole ticket, so that its id
/// is authenticated as well; the nonce is the front of the message, which is
/// the agent's ephemeral public key and different in every handshake. It
/// costs a third of HMAC-SHA-256 here.
pub(crate) fn gate_mac(ticket: &Ticket, noise: &[u8]) -> Option<[u8; GATE_MAC_LEN]> {
    let mut key = [0; 32];
    emit(&mut key, &[&ticket.id.0, &ticket.secret])?;
    let nonce = noise.first_chunk::<12>()?;
    let mut mac = [0; GATE_MAC_LEN];
    seal_in_place(&key, nonce, noise, &mut mac, 0).ok()?;
    Some(mac)
}

/// What tells a repeated init datagram from another one: the first 16 bytes
/// of SHA-256 over it.
pub fn init_digest(init: &Init<'_>) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&sha256(&[init.head, &init.mac, init.noise])[..16]);
    digest
}

/// Checks the gate, reads the [`AgentHandshake`], and writes the response to `out`
/// ([`MAX_RESPONSE`] bytes are enough).
///
/// `make_reply` sees the verified `AgentHandshake` and decides; for the same
/// `AgentHandshake` and ticket it must decide the same again. A pure function
/// otherwise: see the module on lost responses.
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

/// Whether a request came for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Its counter is higher than any before.
    New,
    /// It is the last request once more: answer again, change nothing.
    Repeat,
}

/// Why a datagram of a session is not taken. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SessionError {
    /// It is no request (or, at the agent, no reply) of this session.
    OtherSession = 0,
    /// Its counter is lower than the last one: delayed or replayed.
    Old = 1,
    /// Its tag does not hold.
    Forged = 2,
    /// It is authentic and does not parse.
    Malformed = 3,
    /// A buffer is too short or the message too long for a datagram.
    NoRoom = 4,
    /// Nothing has been asked that could be answered, or (after 2⁶⁴
    /// messages) the numbers are used up.
    Order = 5,
}

/// A request that was opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'b> {
    /// Whether it came for the first time.
    pub freshness: Freshness,
    /// Its counter.
    pub counter: u64,
    /// What the agent asks.
    pub request: Request<'b>,
}

/// One node's session: two keys and three counters.
///
/// Nonces never repeat under a key: a request's nonce is its counter, which
/// the agent raises for every new request (a repeat is the identical
/// datagram); a reply's nonce is a number of its own that rises with every
/// reply, also where the same request is answered twice and differently.
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
    /// The keys that open requests and seal replies, to be kept where a
    /// session shall outlive a restart of the appliance.
    pub fn keys(&self) -> (&[u8; 32], &[u8; 32]) {
        (&self.requests, &self.replies)
    }

    /// Counter of the last request; 0 before the first.
    pub fn last_counter(&self) -> u64 {
        self.last
    }

    /// Takes up a session of an earlier run of the appliance. No reply may
    /// be sealed before [`resumed`](Self::resumed).
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

    /// Refuses requests below this counter from now on. Requests between it
    /// and the last one before a restart may come once more: they are
    /// idempotent.
    pub fn raise_last_counter(&mut self, counter: u64) {
        self.last = self.last.max(counter);
    }

    /// Goes on in a new run. `run` counts the appliance's starts, from 1,
    /// and was never used before: no reply's number may come again under
    /// the same key, and those of this run lie above those of all others.
    pub fn resumed(&mut self, run: u32) {
        self.sent = u64::from(run) << 40;
    }

    /// The session's name.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whether no request has been accepted yet, so that the handshake's
    /// response may have been lost.
    pub fn is_unused(&self) -> bool {
        self.last == 0
    }

    /// Datagrams that named this session and were not taken.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Opens a request. `buffer` holds the plain text afterwards;
    /// [`MAX_DATAGRAM`](crate::MAX_DATAGRAM) bytes are always enough.
    ///
    /// On [`SessionError::Malformed`] the request is authentic and counts as
    /// accepted: answer it, with [`crate::message::Refusal::Malformed`].
    /// After any other error nothing has changed but the drop count; send
    /// nothing back.
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

    /// Seals the answer to the last request into `out`
    /// ([`MAX_DATAGRAM`](crate::MAX_DATAGRAM) bytes are enough) and returns
    /// its length.
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

/// Opens `sealed` in a copy at the front of `buffer`.
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

/// Encodes `message` behind the head that is already in `out`, and seals it.
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
