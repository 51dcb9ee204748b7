//! The chunked transfer coding (RFC 9112, section 7.1): decodes requests, encodes
//! responses.

use crate::{Error, Piece};

/// Largest number of bytes in the extensions of a chunk, and in all trailers.
pub const MAX_LINE: u16 = 512;

/// Bytes that [`frame`] writes before a chunk's data.
pub const PREFIX: usize = 6;
/// Bytes that [`frame`] writes behind a chunk's data.
pub const SUFFIX: usize = 2;
/// Largest number of data bytes in a chunk of [`frame`].
pub const MAX_CHUNK: usize = 0xffff;
/// The end of a chunked body without trailers.
pub const END: &[u8] = b"0\r\n\r\n";

/// Writes one chunk to `buffer`: `fill` writes data into its argument and returns
/// the number of bytes. Returns the length of the chunk, 0 if `fill` wrote nothing
/// (a chunk without data would end the body) or if the buffer has no room for a
/// byte of data.
///
/// The size has four digits with leading zeros, so that the data does not move
/// when its length is known.
pub fn frame(buffer: &mut [u8], fill: impl FnOnce(&mut [u8]) -> usize) -> usize {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let room = buffer.len().saturating_sub(PREFIX + SUFFIX).min(MAX_CHUNK);
    let (Some((prefix, rest)), true) = (buffer.split_first_chunk_mut::<PREFIX>(), room > 0) else {
        return 0;
    };
    let Some(data) = rest.get_mut(..room) else {
        return 0;
    };
    let length = fill(data).min(room);
    if length == 0 {
        return 0;
    }
    let digit = |shift: u32| DIGITS[(length >> shift) & 0xf];
    *prefix = [digit(12), digit(8), digit(4), digit(0), b'\r', b'\n'];
    if let Some(suffix) = rest.get_mut(length..length + SUFFIX) {
        suffix.copy_from_slice(b"\r\n");
    }
    PREFIX + length + SUFFIX
}

/// Decodes a chunked body from slices of any length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoder {
    state: State,
    /// Remaining data of the chunk; in a size line: the size so far.
    left: u64,
    /// Number of digits, or of bytes of extensions or trailers, so far.
    count: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLineFeed,
    Data,
    DataReturn,
    DataLineFeed,
    /// At the start of a trailer line or of the last, blank line.
    TrailerStart,
    Trailer,
    TrailerLineFeed,
    EndLineFeed,
    End,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Creates a decoder at the first chunk.
    pub const fn new() -> Self {
        Self {
            state: State::Size,
            left: 0,
            count: 0,
        }
    }

    /// Returns the next piece of the body in `input` and advances `input` past it.
    /// [`Piece::More`] means that `input` is used up. After [`Piece::End`], `input`
    /// is at the next request.
    ///
    /// # Errors
    ///
    /// [`Error::Chunk`], [`Error::ChunkLine`].
    pub fn next<'b>(&mut self, input: &mut &'b [u8]) -> Result<Piece<'b>, Error> {
        loop {
            if self.state == State::End {
                return Ok(Piece::End);
            }
            if self.state == State::Data {
                return Ok(self.data(input));
            }
            let Some((&byte, rest)) = input.split_first() else {
                return Ok(Piece::More);
            };
            *input = rest;
            self.step(byte)?;
        }
    }

    fn data<'b>(&mut self, input: &mut &'b [u8]) -> Piece<'b> {
        let length = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
        let (data, rest) = input.split_at_checked(length).unwrap_or((input, &[]));
        *input = rest;
        if data.is_empty() {
            return Piece::More;
        }
        self.left = self.left.saturating_sub(data.len() as u64);
        if self.left == 0 {
            self.state = State::DataReturn;
        }
        Piece::Data(data)
    }

    fn step(&mut self, byte: u8) -> Result<(), Error> {
        self.state = match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).ok_or(Error::Chunk)?;
                let size = self.left.checked_mul(16).ok_or(Error::Chunk)?;
                self.left = size | u64::from(digit);
                self.bump(32).map_err(|_| Error::Chunk)?;
                State::Size
            }
            (State::Size, _) if self.count == 0 => return Err(Error::Chunk),
            (State::Size | State::Extension, b'\r') => State::SizeLineFeed,
            (State::Size, b';' | b' ' | b'\t') => {
                self.count = 0;
                State::Extension
            }
            (State::Extension | State::Trailer, b' '..=b'~' | b'\t' | 0x80..) => {
                self.bump(MAX_LINE)?;
                self.state
            }
            (State::SizeLineFeed, b'\n') => {
                self.count = 0;
                match self.left {
                    0 => State::TrailerStart,
                    _ => State::Data,
                }
            }
            (State::DataReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::Size,
            (State::TrailerStart, b'\r') => State::EndLineFeed,
            (State::TrailerStart, b'!'..=b'~') => {
                self.bump(MAX_LINE)?;
                State::Trailer
            }
            (State::Trailer, b'\r') => State::TrailerLineFeed,
            (State::TrailerLineFeed, b'\n') => State::TrailerStart,
            (State::EndLineFeed, b'\n') => State::End,
            _ => return Err(Error::Chunk),
        };
        Ok(())
    }

    fn bump(&mut self, most: u16) -> Result<(), Error> {
        if self.count >= most {
            return Err(Error::ChunkLine);
        }
        self.count += 1;
        Ok(())
    }
}
