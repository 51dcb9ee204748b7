//! Request bodies: one way to pull them, however their length was told.

use crate::{BodyLength, Error, chunked};

/// What [`Body::next`] finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'b> {
    /// The next bytes of the body, never none.
    Data(&'b [u8]),
    /// The input is used up and the body goes on.
    More,
    /// The body is complete; what is left of the input is the next request.
    End,
}

/// A request's body on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Body {
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Left(u64),
    Chunked(chunked::Decoder),
}

impl Body {
    /// The body that a head announces.
    pub const fn new(length: BodyLength) -> Self {
        Self {
            kind: match length {
                BodyLength::Known(length) => Kind::Left(length),
                BodyLength::Chunked => Kind::Chunked(chunked::Decoder::new()),
            },
        }
    }

    /// Takes the next piece out of `input` and advances `input` past it.
    ///
    /// # Errors
    ///
    /// [`Error::Chunk`], [`Error::ChunkLine`].
    pub fn next<'b>(&mut self, input: &mut &'b [u8]) -> Result<Piece<'b>, Error> {
        let left = match &mut self.kind {
            Kind::Chunked(decoder) => return decoder.next(input),
            Kind::Left(0) => return Ok(Piece::End),
            Kind::Left(left) => left,
        };
        let length = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
        let (data, rest) = input.split_at_checked(length).unwrap_or((input, &[]));
        *input = rest;
        *left = left.saturating_sub(data.len() as u64);
        Ok(if data.is_empty() {
            Piece::More
        } else {
            Piece::Data(data)
        })
    }
}
