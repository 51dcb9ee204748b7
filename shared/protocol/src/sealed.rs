//! Config drives on the wire: sealed pieces of a fixed size.
//!
//! A config drive holds secrets and is fetched by plain HTTP, so it is
//! sealed under a key of its own that the session hands over
//! ([`crate::message::ConfigDrive::key`]). It is cut into pieces of
//! [`PLAIN_PIECE`] bytes, each sealed with ChaCha20-Poly1305 (RFC 8439) to
//! [`SEALED_PIECE`] bytes. The nonce is the piece's place and whether it is
//! the last, as in the STREAM construction (Hoang, Reyhanitabar, Rogaway,
//! Vizár: "Online Authenticated-Encryption and its Nonce-Reuse
//! Misuse-Resistance"), so a missing, swapped or cut-off piece does not
//! open. Any piece can be sealed or opened without the ones before it: the
//! appliance serves ranges, the agent needs one piece of memory.
//!
//! A key must never seal two different texts. Make a new one for every
//! config drive that is taken in.

use crate::crypto::{TAG_LEN, open_in_place, seal_in_place};

/// Bytes of plain text in every piece but the last.
pub const PLAIN_PIECE: usize = 1008;
/// Bytes of every sealed piece but the last.
pub const SEALED_PIECE: usize = PLAIN_PIECE + TAG_LEN;
/// Longest config drive, in bytes of plain text: 64 MiB, as in OpenStack.
pub const MAX_PLAIN: u32 = 64 * 1024 * 1024;

/// A piece can't be sealed or opened. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SealedError {
    /// The text is longer than [`MAX_PLAIN`].
    TooLong = 0,
    /// There is no piece of that number.
    NoSuchPiece = 1,
    /// The piece has not the length that its place demands, or the buffer is
    /// too short.
    Length = 2,
    /// The tag does not hold.
    Forged = 3,
}

/// How a text of a known length is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    plain: u32,
}

impl Layout {
    /// The layout of a text of `plain` bytes. An empty one has one piece.
    pub const fn new(plain: u32) -> Result<Self, SealedError> {
        if plain > MAX_PLAIN {
            return Err(SealedError::TooLong);
        }
        Ok(Self { plain })
    }

    /// Pieces in all, at least one.
    pub const fn pieces(self) -> u32 {
        let whole = self.plain.div_ceil(PLAIN_PIECE as u32);
        if whole == 0 { 1 } else { whole }
    }

    /// Bytes of the whole on the wire.
    pub const fn sealed_len(self) -> u32 {
        self.plain + self.pieces() * TAG_LEN as u32
    }

    /// Where piece `index` begins in the plain text, and how long it is.
    pub const fn plain_range(self, index: u32) -> Result<(u32, usize), SealedError> {
        if index >= self.pieces() {
            return Err(SealedError::NoSuchPiece);
        }
        let at = index * PLAIN_PIECE as u32;
        let rest = (self.plain - at) as usize;
        Ok((
            at,
            if rest < PLAIN_PIECE {
                rest
            } else {
                PLAIN_PIECE
            },
        ))
    }

    /// Where piece `index` begins on the wire, and how long it is there.
    pub const fn sealed_range(self, index: u32) -> Result<(u32, usize), SealedError> {
        match self.plain_range(index) {
            Ok((_, len)) => Ok((index * SEALED_PIECE as u32, len + TAG_LEN)),
            Err(error) => Err(error),
        }
    }

    /// The piece in which byte `at` of the wire lies.
    pub const fn piece_at(self, at: u32) -> Result<u32, SealedError> {
        if at >= self.sealed_len() {
            return Err(SealedError::NoSuchPiece);
        }
        Ok(at / SEALED_PIECE as u32)
    }

    fn nonce(self, index: u32) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[7..11].copy_from_slice(&index.to_be_bytes());
        nonce[11] = u8::from(index + 1 == self.pieces());
        nonce
    }

    /// Seals piece `index` in place: `buffer` holds its plain text in front
    /// and has room for 16 bytes more. Returns the sealed piece.
    pub fn seal<'b>(
        self,
        key: &[u8; 32],
        index: u32,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], SealedError> {
        let (_, len) = self.plain_range(index)?;
        let end = seal_in_place(key, &self.nonce(index), &[], buffer, len)
            .map_err(|_| SealedError::Length)?;
        buffer.get(..end).ok_or(SealedError::Length)
    }

    /// Opens piece `index` in place: `piece` is exactly the sealed piece.
    /// Returns the plain text.
    pub fn open<'b>(
        self,
        key: &[u8; 32],
        index: u32,
        piece: &'b mut [u8],
    ) -> Result<&'b [u8], SealedError> {
        let (_, len) = self.sealed_range(index)?;
        if piece.len() != len {
            return Err(SealedError::Length);
        }
        match open_in_place(key, &self.nonce(index), &[], piece) {
            Ok(plain) => Ok(plain),
            Err(_) => Err(SealedError::Forged),
        }
    }
}
