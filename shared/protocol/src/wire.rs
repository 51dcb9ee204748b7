//! The cleartext fields of a datagram.
//!
//! The first byte is the kind. Integers are little-endian. A datagram has at most
//! [`MAX_DATAGRAM`] bytes. The parser authenticates nothing.
//!
//! ```text
//! 1 init       kind 1 | ticket id 8 | gate MAC 16 | Noise message 1 …
//! 2 response   kind 1 | session 4 | Noise message 2 …
//! 3 request    kind 1 | session 4 | counter 8 | sealed Request …
//! 4 reply      kind 1 | session 4 | counter 8 | number 8 | sealed Reply …
//! 5 refused    kind 1 | ticket id 8 | reason 1
//! 6 unknown    kind 1 | session 4 | counter 8
//! ```
//! The Noise message or sealed part authenticates the cleartext before it: as the
//! prologue, inside the payload, or as associated data.

use crate::{
    MAX_DATAGRAM,
    crypto::TAG_LEN,
    noise::{INIT_OVERHEAD, RESPONSE_OVERHEAD},
    ticket::TicketId,
};

/// Identifier of a session on the wire. The appliance chooses it. It is public
/// and is not a credential. An identifier of a table index and random bits lets
/// the appliance find the node without a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u32);

/// Why the appliance refuses a handshake. The datagram is unauthenticated.
/// Numbered, never reordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum HandshakeRefusal {
    /// The appliance does not know the ticket, or it expired.
    TicketUnknown = 0,
    /// Another handshake used the ticket.
    TicketUsed = 1,
    /// The version ranges do not overlap.
    Version = 2,
    /// The appliance has no room for another session.
    Busy = 3,
    /// The appliance knows the node as another machine.
    OtherMachine = 4,
}

impl HandshakeRefusal {
    /// Returns the reason of a number, `None` if this version does not know it.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::TicketUnknown,
            1 => Self::TicketUsed,
            2 => Self::Version,
            3 => Self::Busy,
            4 => Self::OtherMachine,
            _ => return None,
        })
    }
}

/// Why bytes are not a datagram of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// It is too short for its kind.
    TooShort,
    /// It is longer than [`MAX_DATAGRAM`].
    TooLong,
    /// The kind is unknown.
    Kind,
}

/// A parsed datagram; see the module for the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// Agent to appliance: starts a handshake.
    Init(Init<'a>),
    /// Appliance to agent: ends a handshake.
    Response {
        /// The new session.
        session: SessionId,
        /// Noise message 2.
        noise: &'a [u8],
    },
    /// Agent to appliance, inside a session.
    Request {
        /// The session.
        session: SessionId,
        /// The request's counter, also its nonce.
        counter: u64,
        /// Cipher text and tag.
        sealed: &'a [u8],
    },
    /// Appliance to agent, inside a session.
    Reply {
        /// The session.
        session: SessionId,
        /// Counter of the answered request.
        counter: u64,
        /// The reply's number, also its nonce.
        number: u64,
        /// Cipher text and tag.
        sealed: &'a [u8],
    },
    /// Appliance to agent, unauthenticated: the handshake is refused.
    Refused {
        /// The ticket of the handshake.
        ticket: TicketId,
        /// The reason, `None` if this version does not know its number.
        reason: Option<HandshakeRefusal>,
    },
    /// Appliance to agent, unauthenticated: the appliance does not know the
    /// session, for instance after a restart.
    UnknownSession {
        /// The session of the request.
        session: SessionId,
        /// The request's counter.
        counter: u64,
    },
}

/// An init datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Init<'a> {
    /// The ticket.
    pub ticket: TicketId,
    /// The gate's MAC over everything else.
    pub(crate) mac: [u8; GATE_MAC_LEN],
    /// The bytes of kind and ticket id.
    pub(crate) head: &'a [u8],
    /// Noise message 1.
    pub(crate) noise: &'a [u8],
}

pub(crate) const KIND_INIT: u8 = 1;
pub(crate) const KIND_RESPONSE: u8 = 2;
pub(crate) const KIND_REQUEST: u8 = 3;
pub(crate) const KIND_REPLY: u8 = 4;
pub(crate) const KIND_REFUSED: u8 = 5;
pub(crate) const KIND_UNKNOWN: u8 = 6;

/// Length of the gate's MAC in bytes.
pub(crate) const GATE_MAC_LEN: usize = 16;
/// Length of kind and ticket id in bytes.
pub(crate) const INIT_HEAD_LEN: usize = 1 + 8;
pub(crate) const INIT_NOISE_AT: usize = INIT_HEAD_LEN + GATE_MAC_LEN;
pub(crate) const RESPONSE_HEAD_LEN: usize = 1 + 4;
pub(crate) const REQUEST_HEAD_LEN: usize = 1 + 4 + 8;
pub(crate) const REPLY_HEAD_LEN: usize = 1 + 4 + 8 + 8;

/// Longest encoded [`crate::message::Request`] that fits a datagram.
pub const MAX_REQUEST: usize = MAX_DATAGRAM - REQUEST_HEAD_LEN - TAG_LEN;
/// Longest encoded [`crate::message::Reply`] that fits a datagram.
pub const MAX_REPLY: usize = MAX_DATAGRAM - REPLY_HEAD_LEN - TAG_LEN;
/// Length of a refusal in bytes.
pub const REFUSED_LEN: usize = 1 + 8 + 1;
/// Length of the hint of an unknown session in bytes.
pub const UNKNOWN_SESSION_LEN: usize = 1 + 4 + 8;

impl<'a> Datagram<'a> {
    /// Parses a datagram without cryptography.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn parse(datagram: &'a [u8]) -> Result<Self, WireError> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(WireError::TooLong);
        }
        let mut at = Cursor(datagram);
        let parsed = match at.take::<1>()? {
            [KIND_INIT] => {
                let ticket = TicketId(at.take()?);
                Self::Init(Init {
                    ticket,
                    mac: at.take()?,
                    head: datagram.get(..INIT_HEAD_LEN).ok_or(WireError::TooShort)?,
                    noise: at.rest(INIT_OVERHEAD)?,
                })
            }
            [KIND_RESPONSE] => Self::Response {
                session: at.session()?,
                noise: at.rest(RESPONSE_OVERHEAD)?,
            },
            [KIND_REQUEST] => Self::Request {
                session: at.session()?,
                counter: at.u64()?,
                sealed: at.rest(TAG_LEN)?,
            },
            [KIND_REPLY] => Self::Reply {
                session: at.session()?,
                counter: at.u64()?,
                number: at.u64()?,
                sealed: at.rest(TAG_LEN)?,
            },
            [KIND_REFUSED] => {
                let ticket = TicketId(at.take()?);
                let [reason] = at.take()?;
                Self::Refused {
                    ticket,
                    reason: HandshakeRefusal::from_number(reason),
                }
            }
            [KIND_UNKNOWN] => Self::UnknownSession {
                session: at.session()?,
                counter: at.u64()?,
            },
            _ => return Err(WireError::Kind),
        };
        Ok(parsed)
    }
}

/// Writes the hint of a refused handshake. Returns its length, `None` if `out` is
/// shorter than [`REFUSED_LEN`].
pub fn emit_refused(ticket: TicketId, reason: HandshakeRefusal, out: &mut [u8]) -> Option<usize> {
    emit(out, &[&[KIND_REFUSED], &ticket.0, &[reason as u8]])
}

/// Writes the hint of an unknown session. Returns its length, `None` if `out` is
/// shorter than [`UNKNOWN_SESSION_LEN`].
pub fn emit_unknown_session(session: SessionId, counter: u64, out: &mut [u8]) -> Option<usize> {
    emit(
        out,
        &[
            &[KIND_UNKNOWN],
            &session.0.to_le_bytes(),
            &counter.to_le_bytes(),
        ],
    )
}

/// Copies pieces consecutively to the start of `out`. Returns their length.
pub(crate) fn emit(out: &mut [u8], pieces: &[&[u8]]) -> Option<usize> {
    let mut at = 0;
    for piece in pieces {
        let end = at + piece.len();
        out.get_mut(at..end)?.copy_from_slice(piece);
        at = end;
    }
    Some(at)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(WireError::TooShort)?;
        self.0 = rest;
        Ok(*head)
    }

    fn session(&mut self) -> Result<SessionId, WireError> {
        Ok(SessionId(u32::from_le_bytes(self.take()?)))
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn rest(&self, least: usize) -> Result<&'a [u8], WireError> {
        if self.0.len() < least {
            return Err(WireError::TooShort);
        }
        Ok(self.0)
    }
}
