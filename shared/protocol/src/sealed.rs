//! Config drives on the wire: sealed pieces of a fixed size.
//!
//! A config drive has secrets, and the agent fetches it by plain HTTP. The
//! appliance therefore seals it with a key of its own, which the agent gets in the
//! session ([`crate::message::ConfigDrive::key`]). The config drive is cut into
//! pieces of [`PLAIN_PIECE`] bytes, each sealed with ChaCha20-Poly1305 (RFC 8439)
//! to [`SEALED_PIECE`] bytes. The nonce is the index of the piece and a flag of
//! the last piece, as in the STREAM construction (Hoang, Reyhanitabar, Rogaway,
//! Vizár: "Online Authenticated-Encryption and its Nonce-Reuse
//! Misuse-Resistance"). A missing, swapped or truncated piece fails to open. Each
//! piece can be sealed and opened on its own: the appliance serves ranges, and
//! the agent needs memory for one piece.
//!
//! A key must not seal two different texts. Create a new key for every config
//! drive.

use crate::crypto::{TAG_LEN, open_in_place, seal_in_place};

/// Bytes of plain text of every piece but the last.
pub const PLAIN_PIECE: usize = 1008;
/// Bytes of every sealed piece but the last.
pub const SEALED_PIECE: usize = PLAIN_PIECE + TAG_LEN;
/// Longest config drive in bytes of plain text: 64 MiB, as in OpenStack.
pub const MAX_PLAIN: u32 = 64 * 1024 * 1024;

/// Why a piece can't be sealed or opened. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SealedError {
    /// The text is longer than [`MAX_PLAIN`].
    TooLong = 0,
    /// There is no piece of that index.
    NoSuchPiece = 1,
    /// The piece has the wrong length for its index, or the buffer is too short.
    Length = 2,
    /// The tag is invalid.
    Forged = 3,
}

/// The pieces of a text of a known length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    plain: u32,
}

impl Layout {
    /// Creates the layout of a text of `plain` bytes. An empty text has one piece.
    ///
    /// # Errors
    /// The text is longer than [`MAX_PLAIN`].
    pub const fn new(plain: u32) -> Result<Self, SealedError> {
        if plain > MAX_PLAIN {
            return Err(SealedError::TooLong);
        }
        Ok(Self { plain })
    }

    /// Returns the number of pieces, at least 1.
    pub const fn pieces(self) -> u32 {
        let whole = self.plain.div_ceil(PLAIN_PIECE as u32);
        if whole == 0 { 1 } else { whole }
    }

    /// Returns the length of all sealed pieces in bytes.
    pub const fn sealed_len(self) -> u32 {
        self.plain + self.pieces() * TAG_LEN as u32
    }

    /// Returns offset and length of piece `index` in the plain text, in bytes.
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

    /// Returns offset and length of the sealed piece `index`, in bytes.
    pub const fn sealed_range(self, index: u32) -> Result<(u32, usize), SealedError> {
        match self.plain_range(index) {
            Ok((_, len)) => Ok((index * SEALED_PIECE as u32, len + TAG_LEN)),
            Err(error) => Err(error),
        }
    }

    /// Returns the index of the piece that has byte `at` of the sealed form.
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

    /// Seals piece `index` in place: `buffer` has its plain text and room for 16
    /// more bytes. Returns the sealed piece.
    ///
    /// # Errors
    /// See [`SealedError`].
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

    /// Opens piece `index` in place. `piece` is exactly the sealed piece. Returns
    /// the plain text.
    ///
    /// # Errors
    /// See [`SealedError`].
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
