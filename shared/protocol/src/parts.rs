//! Long statements in short datagrams: cutting at the agent, putting
//! together at the appliance, in memory that is fixed and known.
//!
//! A part says which statement it belongs to, its place, and how many there
//! are. Parts may come in any order and any number of times. Whether the
//! whole is authentic is for [`crate::signing`] to say; a part comes through
//! a session, so it is at least the right agent's.

use crate::{MAX_PARTS, MAX_STATEMENT, PART_LEN, message::Part};

/// How many parts a signed statement of `len` bytes has; `None` where it is
/// empty or longer than [`MAX_STATEMENT`].
pub const fn count(len: usize) -> Option<u16> {
    if len == 0 || len > MAX_STATEMENT {
        return None;
    }
    Some(len.div_ceil(PART_LEN) as u16)
}

/// Part `index` of a signed statement; `None` where there is no such part.
pub fn cut(statement: u32, signed: &[u8], index: u16) -> Option<Part<'_>> {
    let count = count(signed.len())?;
    let bytes = signed.chunks(PART_LEN).nth(usize::from(index))?;
    Some(Part {
        statement,
        index,
        count,
        bytes,
    })
}

/// What has arrived after a part was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived<'r> {
    /// Some parts: bit *n* set means part *n*. As in
    /// [`crate::message::Reply::Partial`].
    Some(u32),
    /// All parts: the signed statement.
    All(&'r [u8]),
}

/// Why a part is not taken. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PartError {
    /// No parts, a place beyond the last, or a length that its place does
    /// not allow.
    Malformed = 0,
    /// More bytes than this buffer or a statement may have.
    TooLong = 1,
    /// It belongs to a statement before the one that is being put together.
    Old = 2,
    /// Another count, or other bytes at the same place, than a part before:
    /// the agent contradicts itself.
    Contradiction = 3,
}

/// Puts one statement together, in `N` bytes.
///
/// A part of a later statement drops what has arrived of the one before: the
/// agent sends one statement at a time and goes on only when it is stored.
#[derive(Debug, Clone)]
pub struct Reassembly<const N: usize = MAX_STATEMENT> {
    statement: u32,
    count: u16,
    last_len: u16,
    have: u32,
    bytes: [u8; N],
}

impl<const N: usize> Reassembly<N> {
    /// Nothing has arrived.
    pub const fn new() -> Self {
        Self {
            statement: 0,
            count: 0,
            last_len: 0,
            have: 0,
            bytes: [0; N],
        }
    }

    /// The statement that is being put together, if any.
    pub fn statement(&self) -> Option<u32> {
        (self.count != 0).then_some(self.statement)
    }

    /// Forgets everything, for another agent's use.
    pub fn clear(&mut self) {
        self.count = 0;
        self.have = 0;
        self.last_len = 0;
        self.statement = 0;
    }

    /// The first `len` bytes of the buffer: the statement that
    /// [`Reassembly::push`] gave last, until the next push. Empty for a `len`
    /// beyond the buffer.
    pub fn whole(&self, len: usize) -> &[u8] {
        self.bytes.get(..len).unwrap_or_default()
    }

    /// Takes a part in. A repeated part changes nothing and gives the same
    /// answer. Statements that are stored already are the caller's to tell:
    /// compare [`Part::statement`] with the last stored one beforehand.
    pub fn push(&mut self, part: &Part<'_>) -> Result<Arrived<'_>, PartError> {
        let index = usize::from(part.index);
        let count = usize::from(part.count);
        if index >= count {
            return Err(PartError::Malformed);
        }
        let last = index + 1 == count;
        let fits = if last {
            (1..=PART_LEN).contains(&part.bytes.len())
        } else {
            part.bytes.len() == PART_LEN
        };
        if !fits {
            return Err(PartError::Malformed);
        }
        if count > MAX_PARTS {
            return Err(PartError::TooLong);
        }
        let at = index * PART_LEN;
        let end = at + part.bytes.len();
        // Of a middle part the ones behind it have to fit as well.
        let least = (count - 1) * PART_LEN + 1;
        if end.max(least) > N {
            return Err(PartError::TooLong);
        }

        if self.count != 0 {
            if part.statement < self.statement {
                return Err(PartError::Old);
            }
            if part.statement > self.statement {
                self.clear();
            } else if part.count != self.count {
                return Err(PartError::Contradiction);
            }
        }
        let place = self.bytes.get_mut(at..end).ok_or(PartError::TooLong)?;
        let bit = 1u32 << index;
        if self.have & bit != 0 {
            let same_len = !last || usize::from(self.last_len) == part.bytes.len();
            if !same_len || place != part.bytes {
                return Err(PartError::Contradiction);
            }
        }
        place.copy_from_slice(part.bytes);
        if last {
            self.last_len = part.bytes.len() as u16;
        }
        self.statement = part.statement;
        self.count = part.count;
        self.have |= bit;

        if self.have != (1u32 << count) - 1 {
            return Ok(Arrived::Some(self.have));
        }
        let len = (count - 1) * PART_LEN + usize::from(self.last_len);
        self.bytes
            .get(..len)
            .map(Arrived::All)
            .ok_or(PartError::TooLong)
    }
}

impl<const N: usize> Default for Reassembly<N> {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(MAX_PARTS < 32, "the bitmap has one bit a part");
