//! Bodies of replies: written in fragments, each whole or not at all, into
//! whatever buffer there is.
//!
//! A fragment is a field of a node, a port, a disk, a short document. The
//! cursor between two calls remembers which comes next, so the longest list
//! needs no more memory than its longest fragment, and a reply that began
//! stays well-formed though the rack changes meanwhile: nodes never leave
//! their place, and each field is read when it is written.

use crate::ident;
use crate::json::{Slice, Writer};
use crate::resource::{Ask, Out, Write};
use farrier_protocol::message::NodeId;

/// Least bytes of a buffer to write into: holds the longest fragment.
pub const MIN_BUFFER: usize = 1280;

/// How far a reply has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) stage: Stage,
    /// The item at hand.
    pub(crate) item: usize,
    /// The part of it that comes next.
    pub(crate) part: usize,
    /// Items shown so far.
    pub(crate) shown: u16,
    /// The last byte written: tells whether a comma is due.
    last: u8,
}

/// The stages of a document. Short ones have only the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// What comes ahead of the items.
    Head,
    /// Looking for the next item.
    Seek,
    /// Within an item.
    Item,
    /// What comes behind the items.
    Tail,
    /// Nothing is left.
    End,
}

impl Cursor {
    /// The start of a reply.
    pub(crate) const fn new() -> Self {
        Self {
            stage: Stage::Head,
            item: 0,
            part: 0,
            shown: 0,
            last: b':',
        }
    }

    /// Whether the reply is complete.
    pub(crate) fn is_at_end(&self) -> bool {
        self.stage == Stage::End
    }

    /// The document is complete.
    pub(crate) const fn end(&mut self) {
        self.stage = Stage::End;
    }
}

/// Writes the next fragments of a reply's body into `buffer`, as many as fit,
/// and moves the cursor. Gives how many bytes were written; 0 at the end.
/// `buffer` has at least [`MIN_BUFFER`] bytes.
pub(crate) fn fill(ask: &Ask<'_>, write: Write, cursor: &mut Cursor, buffer: &mut [u8]) -> usize {
    let mut used = 0;
    while !cursor.is_at_end() {
        let room = buffer.get_mut(used..).unwrap_or_default();
        let mut next = *cursor;
        let mut writer = Writer::resume(Slice::new(room), cursor.last);
        write(ask, &mut next, &mut writer);
        next.last = writer.last();
        if let Some(written) = writer.finish() {
            used += written.len();
            *cursor = next;
        } else if used > 0 {
            break;
        } else {
            // The one way not to stand here for ever, should a fragment be
            // longer than was thought: leave it out.
            debug_assert!(false, "a fragment must fit the buffer");
            next.last = cursor.last;
            *cursor = next;
        }
    }
    used
}

/// Writes an object with a list of all items, one a fragment.
pub(crate) fn list<T>(
    at: &mut Cursor,
    w: &mut Out<'_>,
    key: &str,
    nth: impl Fn(usize) -> Option<T>,
    write: impl Fn(T, &mut Out<'_>),
) {
    if at.stage == Stage::Head {
        w.object().key(key).array();
        at.stage = Stage::Item;
    } else if let Some(item) = nth(at.item) {
        write(item, w);
        at.item += 1;
    } else {
        w.end_array().end_object();
        at.end();
    }
}

/// A list that can be paged through: its items by number, the identity of
/// each, and the link to the next page up to its marker.
pub(crate) struct Page<'p, N, I> {
    pub(crate) key: &'p str,
    pub(crate) nth: N,
    pub(crate) id: I,
    pub(crate) link: core::fmt::Arguments<'p>,
}

impl<N, I> Page<'_, N, I> {
    /// Writes the next fragment.
    pub(crate) fn write<T>(
        &self,
        ask: &Ask<'_>,
        at: &mut Cursor,
        w: &mut Out<'_>,
        write: impl FnOnce(T, &mut Out<'_>),
    ) where
        N: Fn(usize) -> Option<T>,
        I: Fn(&T) -> NodeId,
    {
        let list = &ask.call.list;
        if at.stage == Stage::Head {
            w.object().key(self.key).array();
            at.item = match list.marker {
                Some(marker) => self.behind(marker),
                None => 0,
            };
            at.stage = Stage::Item;
            return;
        }
        let next = (self.nth)(at.item);
        let more = next.is_some();
        if let Some(item) = next
            && at.shown < list.limit
        {
            write(item, w);
            at.item += 1;
            at.shown += 1;
            return;
        }
        w.end_array();
        let last = at.item.checked_sub(1).filter(|_| more);
        if let Some(last) = last.and_then(&self.nth) {
            w.key("next").text(format_args!(
                "{}limit={}&marker={}",
                self.link,
                list.limit,
                ident::text((self.id)(&last))
            ));
        }
        w.end_object();
        at.end();
    }

    fn behind<T>(&self, marker: NodeId) -> usize
    where
        N: Fn(usize) -> Option<T>,
        I: Fn(&T) -> NodeId,
    {
        let mut all = (0..).map_while(&self.nth);
        all.position(|item| (self.id)(&item) == marker)
            .map_or(0, |place| place + 1)
    }
}

/// The list of one link that points at the thing itself.
pub(crate) fn links<'w, 'b>(w: &'w mut Out<'b>, kind: &str, id: NodeId) -> &'w mut Out<'b> {
    w.array().object().key("href");
    w.text(format_args!("/v1/{kind}/{}", ident::text(id)));
    w.key("rel").string("self").end_object().end_array()
}
