//! The agent's side of the handshake and of the sealed session.
//!
//! This module seals and opens datagrams. [`crate::agent_client`] has time and
//! retransmission.

use core::fmt;

use heapless::Vec;

use crate::{
    message::{AgentHandshake, HandshakeReply, Reply, Request},
    noise::{Initiator, SessionKeys},
    server::{
        HandshakeError, MAX_INIT, MAX_INIT_PAYLOAD, MAX_RESPONSE_PAYLOAD, PROLOGUE, SessionError,
        gate_mac, open_copy, seal_message,
    },
    ticket::{Ticket, TicketId},
    wire::{
        Datagram, INIT_HEAD_LEN, INIT_NOISE_AT, KIND_INIT, KIND_REQUEST, REPLY_HEAD_LEN,
        REQUEST_HEAD_LEN, SessionId, emit,
    },
};

/// Random bytes of one handshake.
#[derive(Clone)]
pub struct HandshakeEntropy {
    /// The agent's X25519 secret, made fresh at each boot.
    pub static_secret: [u8; 32],
    /// The ephemeral secret of this handshake.
    pub ephemeral: [u8; 32],
}

impl fmt::Debug for HandshakeEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandshakeEntropy(..)")
    }
}

/// A handshake in progress. Its datagram is repeated until it is answered.
pub struct Handshake {
    noise: Initiator,
    ticket: TicketId,
    datagram: Vec<u8, MAX_INIT>,
}

impl Handshake {
    /// Creates the init datagram. `appliance` is the appliance's X25519 public
    /// key.
    ///
    /// # Errors
    /// [`HandshakeError::Forged`] if that key is a point of low order;
    /// [`HandshakeError::NoRoom`] if the message exceeds its bound.
    pub fn new(
        appliance: &[u8; 32],
        ticket: &Ticket,
        agent_handshake: &AgentHandshake,
        entropy: &HandshakeEntropy,
    ) -> Result<Self, HandshakeError> {
        let mut datagram = Vec::new();
        datagram
            .resize_default(MAX_INIT)
            .map_err(|_| HandshakeError::NoRoom)?;
        let (head, rest) = datagram.split_at_mut(INIT_HEAD_LEN);
        let (mac, message) = rest.split_at_mut(INIT_NOISE_AT - INIT_HEAD_LEN);
        emit(head, &[&[KIND_INIT], &ticket.id.0]).ok_or(HandshakeError::NoRoom)?;

        let mut prologue = [0; PROLOGUE.len() + INIT_HEAD_LEN];
        emit(&mut prologue, &[PROLOGUE, head]).ok_or(HandshakeError::NoRoom)?;
        let mut noise = Initiator::new(
            &prologue,
            &entropy.static_secret,
            &entropy.ephemeral,
            appliance,
        )
        .map_err(|_| HandshakeError::Forged)?;

        let mut payload = [0; MAX_INIT_PAYLOAD];
        let (secret, rest) = payload.split_at_mut(ticket.secret.len());
        secret.copy_from_slice(&ticket.secret);
        let agent_handshake =
            postcard::to_slice(agent_handshake, rest).map_err(|_| HandshakeError::NoRoom)?;
        let payload_len = ticket.secret.len() + agent_handshake.len();
        let payload = payload.get(..payload_len).ok_or(HandshakeError::NoRoom)?;
        let len = noise
            .write(payload, message)
            .map_err(|_| HandshakeError::Forged)?;
        let message = message.get(..len).ok_or(HandshakeError::NoRoom)?;
        mac.copy_from_slice(&gate_mac(ticket, message).ok_or(HandshakeError::NoRoom)?);
        datagram.truncate(INIT_NOISE_AT + len);
        Ok(Self {
            noise,
            ticket: ticket.id,
            datagram,
        })
    }

    /// Returns the init datagram. A retransmission sends exactly these bytes.
    pub fn datagram(&self) -> &[u8] {
        &self.datagram
    }

    /// Returns the ticket of this handshake.
    pub fn ticket(&self) -> TicketId {
        self.ticket
    }

    /// Opens the appliance's response. An error leaves the handshake unchanged,
    /// because an attacker can send a response.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`] or [`HandshakeError::Forged`].
    pub fn process(&self, response: &[u8]) -> Result<(Session, HandshakeReply), HandshakeError> {
        let Ok(Datagram::Response { session, noise }) = Datagram::parse(response) else {
            return Err(HandshakeError::Malformed);
        };
        let mut payload = [0; MAX_RESPONSE_PAYLOAD];
        let (keys, len) = self
            .noise
            .read(noise, &mut payload)
            .map_err(|_| HandshakeError::Forged)?;
        let (id, handshake_reply) = payload
            .get(..len)
            .and_then(|p| p.split_first_chunk::<4>())
            .ok_or(HandshakeError::Malformed)?;
        if *id != session.0.to_le_bytes() {
            return Err(HandshakeError::Forged);
        }
        let handshake_reply =
            postcard::from_bytes(handshake_reply).map_err(|_| HandshakeError::Malformed)?;
        Ok((Session::new(keys, session), handshake_reply))
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

/// The agent's end of a session. It has one request in flight.
pub struct Session {
    keys: SessionKeys,
    id: SessionId,
    counter: u64,
    answered: bool,
    last_reply: u64,
}

impl Session {
    fn new(keys: SessionKeys, id: SessionId) -> Self {
        Self {
            keys,
            id,
            counter: 0,
            answered: true,
            last_reply: 0,
        }
    }

    /// Returns the session's identifier.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Returns the counter of the last request; 0 before the first.
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// Seals a new request under the next counter into `out` and returns its
    /// length. A retransmission sends the same bytes and does not seal again.
    ///
    /// # Errors
    /// [`SessionError::NoRoom`] if the request does not fit;
    /// [`SessionError::Order`] if the counters are used up.
    pub fn seal_request(
        &mut self,
        request: &Request<'_>,
        out: &mut [u8],
    ) -> Result<usize, SessionError> {
        let counter = self.counter.checked_add(1).ok_or(SessionError::Order)?;
        let room = out.len().min(crate::MAX_DATAGRAM);
        let out = out.get_mut(..room).ok_or(SessionError::NoRoom)?;
        emit(
            out,
            &[
                &[KIND_REQUEST],
                &self.id.0.to_le_bytes(),
                &counter.to_le_bytes(),
            ],
        )
        .ok_or(SessionError::NoRoom)?;
        // Counts also if sealing fails: a counter may stay unused, but must
        // not be used twice.
        self.counter = counter;
        self.answered = false;
        seal_message(&self.keys.requests, counter, REQUEST_HEAD_LEN, request, out)
    }

    /// Opens the reply to the last request; `buffer` has the plain text
    /// afterwards.
    ///
    /// # Errors
    /// See [`SessionError`]. A reply to an earlier request, a second reply and a
    /// forged reply change nothing.
    pub fn open_reply<'b>(
        &mut self,
        datagram: &[u8],
        buffer: &'b mut [u8],
    ) -> Result<Reply<'b>, SessionError> {
        let Ok(Datagram::Reply {
            session,
            counter,
            number,
            sealed,
        }) = Datagram::parse(datagram)
        else {
            return Err(SessionError::OtherSession);
        };
        if session != self.id {
            return Err(SessionError::OtherSession);
        }
        if counter != self.counter || self.answered || number <= self.last_reply {
            return Err(SessionError::Old);
        }
        let head = datagram
            .get(..REPLY_HEAD_LEN)
            .ok_or(SessionError::OtherSession)?;
        let plain = open_copy(&self.keys.replies, number, head, sealed, buffer)?;
        self.last_reply = number;
        self.answered = true;
        postcard::from_bytes(plain).map_err(|_| SessionError::Malformed)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("counter", &self.counter)
            .finish_non_exhaustive()
    }
}
