//! Request bodies with a length or chunks, behind one interface.

use crate::{BodyLength, Error, chunked};

/// The result of [`Body::next`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'b> {
    /// The next bytes of the body, at least one.
    Data(&'b [u8]),
    /// The input is used up, and the body continues.
    More,
    /// The body is complete. The rest of the input is the next request.
    End,
}

/// The body of a request.
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
    /// Creates the body that a head describes.
    pub const fn new(length: BodyLength) -> Self {
        Self {
            kind: match length {
                BodyLength::Known(length) => Kind::Left(length),
                BodyLength::Chunked => Kind::Chunked(chunked::Decoder::new()),
            },
        }
    }

    /// Returns the next piece of `input` and advances `input` past it.
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
