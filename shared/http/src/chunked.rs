//! The chunked transfer coding (RFC 9112, section 7.1): taken apart for
//! requests, put together for replies.

use crate::{Error, Piece};

/// Most bytes in all size lines' extensions of one chunk, and in all
/// trailers together.
pub const MAX_LINE: u16 = 512;

/// Bytes that [`frame`] puts ahead of a chunk's data.
pub const PREFIX: usize = 6;
/// Bytes that [`frame`] puts behind a chunk's data.
pub const SUFFIX: usize = 2;
/// Most data in one chunk made by [`frame`].
pub const MAX_CHUNK: usize = 0xffff;
/// What ends a chunked body that has no trailers.
pub const END: &[u8] = b"0\r\n\r\n";

/// Makes one chunk in `buffer`: `fill` writes data into the slice that it is
/// given and tells how much. Gives the length of the chunk to send, 0 where
/// `fill` wrote nothing (a chunk without data would end the body) or where
/// the buffer has no room for a single byte of data.
///
/// The size is written with four digits, leading zeros included, so that the
/// data need not be moved once its length is known.
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

/// Takes a chunked body apart. Bytes go in as they come, in slices of any
/// length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoder {
    state: State,
    /// Data of this chunk that is still to come; in a size line: its size
    /// so far.
    left: u64,
    /// Digits, or bytes of extensions or trailers, so far.
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
    /// A decoder that stands before the first chunk.
    pub const fn new() -> Self {
        Self {
            state: State::Size,
            left: 0,
            count: 0,
        }
    }

    /// Takes the next piece of the body out of `input` and advances `input`
    /// past all that was used. [`Piece::More`] means that `input` is used up.
    /// After [`Piece::End`], `input` stands at the next request.
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
