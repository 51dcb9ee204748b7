//! The reply of a request: its head, its framing and its bytes.

use super::{Exchange, Stage};
use crate::reply::{self, Cursor, MIN_BUFFER};
use crate::resource::{Ask, Route};
use crate::{Version, View, version};
use farrier_http::{Framing, ResponseHead, Status, chunked};

/// Least bytes of the buffer for [`Exchange::reply`].
pub const REPLY_BUFFER: usize = MIN_BUFFER + chunked::PREFIX + chunked::SUFFIX;

impl Exchange {
    pub(super) fn keep_alive(&self) -> bool {
        self.keep_alive && self.framing_of_reply() != Framing::UntilClose
    }

    fn status(&self) -> Status {
        match (&self.outcome, self.route) {
            (Err(error), _) => error.status,
            (Ok(()), Some(route)) => route.status,
            (Ok(()), None) => Status::OK,
        }
    }

    fn framing_of_reply(&self) -> Framing {
        match (&self.outcome, self.route) {
            (Err(error), _) => Framing::Length(error.length() as u64),
            (Ok(()), Some(Route { write: Some(_), .. })) => Framing::streamed(self.http),
            (Ok(()), _) => Framing::Length(0),
        }
    }

    /// Writes the next bytes of the reply, head and framing included, into
    /// `buffer` of at least [`REPLY_BUFFER`] bytes. Gives their number.
    /// `statement` is the inspection that [`Need::Statement`] asked for,
    /// otherwise empty.
    pub fn reply(&mut self, view: &View<'_>, statement: &[u8], buffer: &mut [u8]) -> usize {
        let view = &view.seen_by(&self.call.who);
        let mut used = 0;
        if self.stage == Stage::Head {
            used = self.head(buffer);
            // A buffer of the promised length holds every head.
            debug_assert!(used > 0, "a head must fit the buffer");
            let is_all = self.head_only || self.framing_of_reply() == Framing::Length(0);
            self.stage = match is_all || used == 0 {
                true => Stage::Done,
                false => Stage::Reply(Cursor::new()),
            };
        }
        let room = buffer.get_mut(used..).unwrap_or_default();
        if let (Stage::Reply(_), Err(error)) = (self.stage, &self.outcome) {
            if room.len() < error.length() && used > 0 {
                return used;
            }
            used += error.emit(room);
            self.stage = Stage::Done;
        } else if let Stage::Reply(mut cursor) = self.stage {
            if room.len() < REPLY_BUFFER && used > 0 {
                return used;
            }
            used += self.piece(view, statement, &mut cursor, room);
            self.stage = match (cursor.is_at_end(), self.framing_of_reply()) {
                (false, _) => Stage::Reply(cursor),
                (true, Framing::Chunked) => Stage::LastChunk,
                (true, _) => Stage::Done,
            };
        }
        if self.stage == Stage::LastChunk {
            let end = used + chunked::END.len();
            if let Some(room) = buffer.get_mut(used..end) {
                room.copy_from_slice(chunked::END);
                used = end;
                self.stage = Stage::Done;
            }
        }
        used
    }

    fn piece(
        &self,
        view: &View<'_>,
        statement: &[u8],
        cursor: &mut Cursor,
        room: &mut [u8],
    ) -> usize {
        let Some(write) = self.route.and_then(|route| route.write) else {
            cursor.end();
            return 0;
        };
        let ask = Ask {
            view: *view,
            call: &self.call,
            pairs: self.body.pairs(),
            statement,
        };
        match self.framing_of_reply() {
            Framing::Chunked => chunked::frame(room, |room| reply::fill(&ask, write, cursor, room)),
            _ => reply::fill(&ask, write, cursor, room),
        }
    }

    fn head(&self, buffer: &mut [u8]) -> usize {
        let (spoken, least, most) = (
            self.version.text(),
            Version::MIN.text(),
            Version::MAX.text(),
        );
        let extra = [
            (version::HEADER, spoken.as_str()),
            (version::HEADER_MIN, least.as_str()),
            (version::HEADER_MAX, most.as_str()),
            ("Cache-Control", "no-store"),
        ];
        let framing = self.framing_of_reply();
        let head = ResponseHead::new(self.status())
            .framing(framing)
            .keep_alive(self.keep_alive)
            .extra(&extra);
        let head = match framing {
            Framing::Length(0) => head,
            _ => head.content_type("application/json"),
        };
        head.emit(buffer).unwrap_or(0)
    }
}
