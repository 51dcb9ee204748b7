//! How a datagram lies on the wire: the parts in the clear.
//!
//! The first byte is the kind. Integers are little-endian. A datagram is at
//! most [`MAX_DATAGRAM`] bytes long. Nothing here is
//! authenticated: a parsed datagram says only where it claims to belong.
//!
//! ```text
//! 1 init       kind 1 | ticket id 8 | gate MAC 16 | Noise message 1 …
//! 2 response   kind 1 | session 4 | Noise message 2 …
//! 3 request    kind 1 | session 4 | counter 8 | sealed Request …
//! 4 reply      kind 1 | session 4 | counter 8 | number 8 | sealed Reply …
//! 5 refused    kind 1 | ticket id 8 | reason 1
//! 6 unknown    kind 1 | session 4 | counter 8
//! ```
//! Everything in the clear before a Noise message or a sealed part is
//! authenticated with it: as the prologue, inside the payload, or as
//! associated data.

use crate::{
    MAX_DATAGRAM,
    crypto::TAG_LEN,
    noise::{INIT_OVERHEAD, RESPONSE_OVERHEAD},
    ticket::TicketId,
};

/// Name of a session on the wire. The appliance chooses it; it is no secret
/// and proves nothing. A good choice lets the appliance find the node at
/// once, for example a table index in the low bits and random bits above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u32);

/// Why a handshake is refused, in a datagram that anybody can forge. Numbered,
/// never reordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum HandshakeRefusal {
    /// No such ticket, or not any more.
    TicketUnknown = 0,
    /// Another handshake has used the ticket up.
    TicketUsed = 1,
    /// The ranges of versions do not meet.
    Version = 2,
    /// No room for one more session now.
    Busy = 3,
}

impl HandshakeRefusal {
    /// The reason of that number; `None` for numbers that came later.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::TicketUnknown,
            1 => Self::TicketUsed,
            2 => Self::Version,
            3 => Self::Busy,
            _ => return None,
        })
    }
}

/// A datagram that can't be one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// Shorter than its kind can be.
    TooShort,
    /// Longer than [`MAX_DATAGRAM`].
    TooLong,
    /// The first byte is no kind of this version.
    Kind,
}

/// A datagram taken apart; see the module for the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// Agent to appliance: begins a handshake.
    Init(Init<'a>),
    /// Appliance to agent: ends a handshake.
    Response {
        /// The session that begins.
        session: SessionId,
        /// Noise message 2.
        noise: &'a [u8],
    },
    /// Agent to appliance, inside a session.
    Request {
        /// The session.
        session: SessionId,
        /// The request's counter, and its nonce.
        counter: u64,
        /// Cipher text and tag.
        sealed: &'a [u8],
    },
    /// Appliance to agent, inside a session.
    Reply {
        /// The session.
        session: SessionId,
        /// Counter of the request that is answered.
        counter: u64,
        /// The reply's own number, and its nonce.
        number: u64,
        /// Cipher text and tag.
        sealed: &'a [u8],
    },
    /// Appliance to agent, unauthenticated: the handshake is refused.
    Refused {
        /// The ticket that the handshake came with.
        ticket: TicketId,
        /// Why; `None` for a number that this version does not know.
        reason: Option<HandshakeRefusal>,
    },
    /// Appliance to agent, unauthenticated: there is no such session (the
    /// appliance may have restarted).
    UnknownSession {
        /// The session that the request came with.
        session: SessionId,
        /// The request's counter.
        counter: u64,
    },
}

/// The beginning of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Init<'a> {
    /// The ticket that it claims to know.
    pub ticket: TicketId,
    /// The gate's MAC over everything else.
    pub(crate) mac: [u8; GATE_MAC_LEN],
    /// Kind and ticket id, as they lie on the wire.
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

/// Bytes of the gate's MAC.
pub(crate) const GATE_MAC_LEN: usize = 16;
/// Kind and ticket id.
pub(crate) const INIT_HEAD_LEN: usize = 1 + 8;
pub(crate) const INIT_NOISE_AT: usize = INIT_HEAD_LEN + GATE_MAC_LEN;
pub(crate) const RESPONSE_HEAD_LEN: usize = 1 + 4;
pub(crate) const REQUEST_HEAD_LEN: usize = 1 + 4 + 8;
pub(crate) const REPLY_HEAD_LEN: usize = 1 + 4 + 8 + 8;

/// Longest encoded [`crate::message::Request`] that fits a datagram.
pub const MAX_REQUEST: usize = MAX_DATAGRAM - REQUEST_HEAD_LEN - TAG_LEN;
/// Longest encoded [`crate::message::Reply`] that fits a datagram.
pub const MAX_REPLY: usize = MAX_DATAGRAM - REPLY_HEAD_LEN - TAG_LEN;
/// Length of a refusal.
pub const REFUSED_LEN: usize = 1 + 8 + 1;
/// Length of the hint that a session is not known.
pub const UNKNOWN_SESSION_LEN: usize = 1 + 4 + 8;

impl<'a> Datagram<'a> {
    /// Takes a datagram apart. Costs no cryptography.
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

/// Writes the hint that a handshake is refused; returns its length, or
/// `None` where `out` is shorter than [`REFUSED_LEN`].
pub fn emit_refused(ticket: TicketId, reason: HandshakeRefusal, out: &mut [u8]) -> Option<usize> {
    emit(out, &[&[KIND_REFUSED], &ticket.0, &[reason as u8]])
}

/// Writes the hint that a session is not known; returns its length, or
/// `None` where `out` is shorter than [`UNKNOWN_SESSION_LEN`].
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

/// Copies pieces one after another to the front of `out`.
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
