//! One request and its answer: how far each is.

use farrier_http::{Body, BodyLength, Piece};

use super::{Field, HeadReader, HttpError, MAX_INTERIM};
use crate::text::Text;
use crate::tokens::{MAX_TEXT, Sink, Tokens};

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Bytes of the request are left to send.
    Sending,
    Head,
    Body,
    /// The answer is complete.
    Done,
}

/// The body of an answer.
#[derive(Debug, Clone, Copy)]
enum Rest {
    Framed(Body),
    /// Up to the close of the connection (RFC 9112, section 6.3).
    UntilClose,
}

#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    phase: Phase,
    /// Bytes of the request that were given out.
    pub(crate) sent: u32,
    /// Bytes of the answer.
    received: u32,
    interim: u8,
    /// The answer began before all of the request was given out.
    early: bool,
    head: HeadReader,
    rest: Rest,
    text: Text<MAX_TEXT>,
    tokens: Tokens,
}

/// Takes what is in an answer as it arrives.
pub(crate) trait Answer: Sink {
    fn field(&mut self, field: Field, value: &Text<MAX_TEXT>);
    /// The head is complete.
    fn head(&mut self, status: u16);
}

impl Exchange {
    pub(crate) const fn new() -> Self {
        Self {
            phase: Phase::Sending,
            sent: 0,
            received: 0,
            interim: 0,
            early: false,
            head: HeadReader::new(),
            rest: Rest::UntilClose,
            text: Text::EMPTY,
            tokens: Tokens::new(),
        }
    }

    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether a byte of the answer has come.
    pub(crate) const fn answered(&self) -> bool {
        self.received > 0
    }

    /// All of the request was given out.
    pub(crate) fn sent_all(&mut self) {
        if self.phase == Phase::Sending {
            self.phase = Phase::Head;
        }
    }

    /// Whether there was a document in the body, and whether it is whole.
    pub(crate) fn document(&mut self) -> Result<bool, farrier_json::Error> {
        self.tokens.finish()
    }

    /// Takes bytes up to the end of the answer. The phase says whether it was
    /// reached. A server may answer before it has all of the request.
    pub(crate) fn take(
        &mut self,
        input: &mut &[u8],
        max_body: u32,
        answer: &mut dyn Answer,
    ) -> Result<(), HttpError> {
        while self.phase != Phase::Done && !input.is_empty() {
            let before = input.len();
            match self.phase {
                Phase::Sending | Phase::Head => self.take_head(input, max_body, answer)?,
                Phase::Body => self.take_body(input, max_body, answer)?,
                Phase::Done => {}
            }
            let taken = u32::try_from(before - input.len()).unwrap_or(u32::MAX);
            self.received = self.received.saturating_add(taken);
        }
        Ok(())
    }

    fn take_head(
        &mut self,
        input: &mut &[u8],
        max_body: u32,
        answer: &mut dyn Answer,
    ) -> Result<(), HttpError> {
        self.early |= self.phase == Phase::Sending;
        let mut field = |_, field, text: &_| answer.field(field, text);
        if !self.head.take(input, &mut self.text, &mut field)? {
            return Ok(());
        }
        let headers = *self.head.headers();
        if headers.status < 200 {
            self.interim += 1;
            if self.interim > MAX_INTERIM || headers.status == 101 {
                return Err(HttpError::Interim);
            }
            self.head = HeadReader::new();
            return Ok(());
        }
        answer.head(headers.status);
        let length = match headers.status {
            // No body, whatever the headers say.
            204 | 304 => Some(BodyLength::Known(0)),
            _ if headers.chunked => Some(BodyLength::Chunked),
            _ => headers.length.map(BodyLength::Known),
        };
        if matches!(length, Some(BodyLength::Known(length)) if length > u64::from(max_body)) {
            return Err(HttpError::BodyTooLong);
        }
        self.text.clear();
        self.rest = length.map_or(Rest::UntilClose, |length| Rest::Framed(Body::new(length)));
        self.phase = match length {
            Some(BodyLength::Known(0)) => Phase::Done,
            Some(BodyLength::Known(_) | BodyLength::Chunked) | None => Phase::Body,
        };
        // What was received counts the body from here on.
        self.received = 1;
        Ok(())
    }

    fn take_body(
        &mut self,
        input: &mut &[u8],
        max_body: u32,
        answer: &mut dyn Answer,
    ) -> Result<(), HttpError> {
        if self.received > max_body {
            return Err(HttpError::BodyTooLong);
        }
        let piece = match &mut self.rest {
            Rest::UntilClose => core::mem::take(input),
            Rest::Framed(body) => match body.next(input).map_err(|_| HttpError::Chunk)? {
                Piece::Data(piece) => piece,
                Piece::More => return Ok(()),
                Piece::End => {
                    self.phase = Phase::Done;
                    return Ok(());
                }
            },
        };
        self.tokens.take(&mut self.text, piece, answer);
        if let Rest::Framed(body) = &mut self.rest
            && body.next(&mut &[][..]) == Ok(Piece::End)
        {
            self.phase = Phase::Done;
        }
        Ok(())
    }

    /// The connection was closed. Returns whether that ends the answer.
    pub(crate) fn closed(&mut self) -> bool {
        if self.phase == Phase::Body && matches!(self.rest, Rest::UntilClose) {
            self.phase = Phase::Done;
        }
        self.phase == Phase::Done
    }

    /// Whether the connection can't be used for another request.
    pub(crate) const fn must_close(&self) -> bool {
        self.early || self.head.headers().close || matches!(self.rest, Rest::UntilClose)
    }
}
