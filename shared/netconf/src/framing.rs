//! Message framing of NETCONF over SSH (RFC 6242): the end-of-message mark of
//! version 1.0 (section 4.3) and the chunks of version 1.1 (section 4.2).

use core::fmt;

/// The mark behind each message of version 1.0.
pub const END_OF_MESSAGE: &[u8; 6] = b"]]>]]>";
/// The mark behind the last chunk of a message of version 1.1.
pub const END_OF_CHUNKS: &[u8; 4] = b"\n##\n";

/// How much of the mark is matched when one more byte of it was wrong
/// (Knuth, Morris, Pratt).
const FALLBACK: [usize; 6] = [0, 0, 1, 0, 1, 2];

/// Which framing a session uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// Messages end with `]]>]]>`. Every session begins with it.
    #[default]
    EndOfMessage,
    /// Messages are chunks with sizes. Both sides use it after their hellos if
    /// both have `base:1.1`.
    Chunked,
}

/// Why the bytes of a peer are no messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FramingError {
    /// A chunk's header is not `LF # SIZE LF`, or the size is 0, has a leading
    /// zero or more than ten digits.
    Chunk = 0,
    /// A message exceeds the session's limit.
    TooLong = 1,
}

impl FramingError {
    /// Returns a short text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Chunk => "malformed chunk header",
            Self::TooLong => "message too long",
        }
    }
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for FramingError {}

/// What [`Deframer::next`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes of the message.
    Data(&'a [u8]),
    /// The message is complete.
    End,
    /// The input is used up.
    More,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// This many bytes of the end-of-message mark are matched.
    Marked(u8),
    ChunkLineFeed,
    ChunkHash,
    /// The first digit of a size, or the second `#` of the last mark.
    ChunkFirst,
    ChunkSize,
    ChunkData,
    ChunkEnd,
}

/// Takes messages out of a stream of bytes that arrives in slices of any length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deframer {
    state: State,
    /// Bytes left in the chunk; in its header: the size so far.
    left: u32,
    /// Bytes of the message so far.
    length: u32,
    limit: u32,
    digits: u8,
    /// The message has a chunk.
    chunks: bool,
}

impl Deframer {
    /// Creates a deframer of version 1.0 that refuses messages of more than
    /// `limit` bytes.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self {
            state: State::Marked(0),
            left: 0,
            length: 0,
            limit,
            digits: 0,
            chunks: false,
        }
    }

    /// Changes the framing between two messages.
    pub fn set_framing(&mut self, framing: Framing) {
        self.length = 0;
        self.chunks = false;
        self.state = match framing {
            Framing::EndOfMessage => State::Marked(0),
            Framing::Chunked => State::ChunkLineFeed,
        };
    }

    /// Returns the next piece in `input` and advances `input` past it.
    ///
    /// # Errors
    /// [`FramingError`]; the place of the next message is unknown then.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, FramingError> {
        loop {
            match self.state {
                State::Marked(matched) => {
                    if let Some(piece) = self.marked(usize::from(matched), input)? {
                        return Ok(piece);
                    }
                }
                State::ChunkData => return self.chunk_data(input),
                _ => {
                    let Some((&byte, rest)) = input.split_first() else {
                        return Ok(Piece::More);
                    };
                    *input = rest;
                    if self.header(byte)? {
                        return Ok(Piece::End);
                    }
                }
            }
        }
    }

    fn marked<'a>(
        &mut self,
        matched: usize,
        input: &mut &'a [u8],
    ) -> Result<Option<Piece<'a>>, FramingError> {
        if matched == 0 {
            let length = input.iter().position(|&byte| byte == b']');
            let (data, rest) = input.split_at(length.unwrap_or(input.len()));
            *input = rest;
            if !data.is_empty() {
                return self.data(data).map(Some);
            }
        }
        let Some((&byte, rest)) = input.split_first() else {
            return Ok(Some(Piece::More));
        };
        if END_OF_MESSAGE.get(matched) == Some(&byte) {
            *input = rest;
            if matched + 1 == END_OF_MESSAGE.len() {
                self.state = State::Marked(0);
                self.length = 0;
                return Ok(Some(Piece::End));
            }
            self.state = State::Marked(matched as u8 + 1);
            return Ok(None);
        }
        // A mark that is none was data. The byte is looked at again.
        let kept = FALLBACK.get(matched).copied().unwrap_or(0);
        self.state = State::Marked(kept as u8);
        let data = END_OF_MESSAGE.get(..matched - kept).unwrap_or(&[]);
        self.data(data).map(Some)
    }

    fn data<'a>(&mut self, data: &'a [u8]) -> Result<Piece<'a>, FramingError> {
        let length = u32::try_from(data.len()).map_err(|_| FramingError::TooLong)?;
        self.length = self.length.saturating_add(length);
        if self.length > self.limit {
            return Err(FramingError::TooLong);
        }
        Ok(Piece::Data(data))
    }

    fn chunk_data<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, FramingError> {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let (data, rest) = input.split_at(left.min(input.len()));
        *input = rest;
        if data.is_empty() {
            return Ok(Piece::More);
        }
        self.left = self.left.saturating_sub(data.len() as u32);
        if self.left == 0 {
            self.state = State::ChunkLineFeed;
        }
        self.data(data)
    }

    /// Reads a byte of a chunk's header; returns whether the message is complete.
    fn header(&mut self, byte: u8) -> Result<bool, FramingError> {
        self.state = match (self.state, byte) {
            (State::ChunkLineFeed, b'\n') => State::ChunkHash,
            (State::ChunkHash, b'#') => State::ChunkFirst,
            (State::ChunkFirst, b'1'..=b'9') => {
                self.left = u32::from(byte - b'0');
                self.digits = 1;
                State::ChunkSize
            }
            (State::ChunkFirst, b'#') if self.chunks => State::ChunkEnd,
            (State::ChunkSize, b'0'..=b'9') if self.digits < 10 => {
                self.digits += 1;
                self.left = self
                    .left
                    .checked_mul(10)
                    .and_then(|size| size.checked_add(u32::from(byte - b'0')))
                    .ok_or(FramingError::Chunk)?;
                State::ChunkSize
            }
            (State::ChunkSize, b'\n') => {
                if self.left > self.limit.saturating_sub(self.length) {
                    return Err(FramingError::TooLong);
                }
                self.chunks = true;
                State::ChunkData
            }
            (State::ChunkEnd, b'\n') => {
                self.chunks = false;
                self.length = 0;
                self.state = State::ChunkLineFeed;
                return Ok(true);
            }
            _ => return Err(FramingError::Chunk),
        };
        Ok(false)
    }
}
