//! Fragmentation of long statements: the agent cuts a statement into parts, and
//! the appliance reassembles it in a fixed buffer.
//!
//! A part has the counter of its statement, its index, and the number of parts.
//! Parts can arrive in any order and repeatedly. The session authenticates each
//! part; [`crate::signing`] verifies the whole statement.

use crate::{MAX_PARTS, MAX_STATEMENT, PART_LEN, message::Part};

/// Returns the number of parts of a signed statement of `len` bytes, `None` if it
/// is empty or longer than [`MAX_STATEMENT`].
pub const fn count(len: usize) -> Option<u16> {
    if len == 0 || len > MAX_STATEMENT {
        return None;
    }
    Some(len.div_ceil(PART_LEN) as u16)
}

/// Returns part `index` of a signed statement, `None` if there is no such part.
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

/// The received parts after a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived<'r> {
    /// Some parts: bit *n* is set if part *n* was received, as in
    /// [`crate::message::Reply::Partial`].
    Some(u32),
    /// All parts: the signed statement.
    All(&'r [u8]),
}

/// Why a part is refused. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PartError {
    /// The count is 0, the index is not below the count, or the length is invalid
    /// for the index.
    Malformed = 0,
    /// The statement exceeds the buffer or [`MAX_STATEMENT`].
    TooLong = 1,
    /// It belongs to a statement before the current one.
    Old = 2,
    /// It contradicts an earlier part: another count, or other bytes at the same
    /// index.
    Contradiction = 3,
}

/// Reassembles one statement in a buffer of `N` bytes.
///
/// A part of a later statement discards the current one: the agent sends one
/// statement at a time and continues only after it is stored.
#[derive(Debug, Clone)]
pub struct Reassembly<const N: usize = MAX_STATEMENT> {
    statement: u32,
    count: u16,
    last_len: u16,
    have: u32,
    bytes: [u8; N],
}

impl<const N: usize> Reassembly<N> {
    /// Creates an empty buffer.
    pub const fn new() -> Self {
        Self {
            statement: 0,
            count: 0,
            last_len: 0,
            have: 0,
            bytes: [0; N],
        }
    }

    /// Returns the counter of the current statement.
    pub fn statement(&self) -> Option<u32> {
        (self.count != 0).then_some(self.statement)
    }

    /// Discards everything. The buffer can be used for another agent.
    pub fn clear(&mut self) {
        self.count = 0;
        self.have = 0;
        self.last_len = 0;
        self.statement = 0;
    }

    /// Returns the first `len` bytes of the buffer: the last statement that
    /// [`Reassembly::push`] returned, until the next push. Empty if `len` exceeds
    /// the buffer.
    pub fn whole(&self, len: usize) -> &[u8] {
        self.bytes.get(..len).unwrap_or_default()
    }

    /// Adds a part. A repeated part changes nothing and returns the same. The
    /// caller first compares [`Part::statement`] with the last stored statement.
    ///
    /// # Errors
    /// See [`PartError`].
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
        // The parts behind a middle part must fit as well.
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

const _: () = assert!(MAX_PARTS < 32, "the bitmap has one bit for each part");
