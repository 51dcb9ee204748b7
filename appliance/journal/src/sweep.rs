//! The sweep supersedes old records: it writes the current state of the
//! application again, piece by piece. Everything before the start of a complete
//! sweep is dead.

use embedded_storage_async::nor_flash::NorFlash;

use crate::format::{KIND_SWEEP, SWEEP_PREFIX};
use crate::{AppendError, Journal, MAX_RECORD};

/// Bytes that a sweep writes for each byte that is appended meanwhile.
const PACE: u32 = 2;
/// A sweep starts when the journal uses this part of the flash.
const SHARE: u32 = 6;

/// Largest size of the records in one piece of a sweep, in bytes.
const PIECE: usize = 2 * (1 + MAX_RECORD);

/// The progress of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// The sweep started in this sector and continues at this index of the state.
    Running {
        start: u32,
        next: u16,
    },
    /// The sweep that started in this sector is complete.
    Through {
        start: u32,
    },
}

/// The journal's sweep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sweep {
    layout: u16,
    state: State,
    /// Bytes that the sweep must write for those that were appended.
    owed: u32,
    /// Number of sectors that the last sweep and the appends meanwhile filled; 0
    /// before the first sweep.
    filled: u32,
}

impl Sweep {
    pub(crate) fn new(layout: u16) -> Self {
        Sweep {
            layout,
            state: State::Idle,
            owed: 0,
            filled: 0,
        }
    }

    /// Records that bytes were appended.
    pub(crate) fn owe(&mut self, bytes: u32) {
        if matches!(self.state, State::Running { .. }) {
            self.owed = self.owed.saturating_add(bytes.saturating_mul(PACE));
        }
    }

    /// Returns the first live sector of a complete sweep.
    pub(crate) fn finished(&self) -> Option<u32> {
        match self.state {
            State::Through { start } => Some(start),
            _ => None,
        }
    }

    /// Records that a header has this base.
    pub(crate) fn forget(&mut self, base: u32) {
        if self.finished().is_some_and(|start| start <= base) {
            self.state = State::Idle;
        }
    }

    /// Records that a mount read a piece: the sweep continues behind it.
    /// The sweep that set the journal's base is complete.
    pub(crate) fn seen(&mut self, sector: u32, base: u32, prefix: [u8; SWEEP_PREFIX]) {
        let [l0, l1, f0, f1, t0, t1] = prefix;
        let layout = u16::from_le_bytes([l0, l1]);
        let first = u16::from_le_bytes([f0, f1]);
        let next = u16::from_le_bytes([t0, t1]).saturating_add(1);
        self.state = match self.state {
            _ if layout != self.layout => State::Idle,
            _ if first == 0 && sector == base => State::Idle,
            _ if first == 0 => State::Running {
                start: sector,
                next,
            },
            // The last piece again, or the next one.
            State::Running { start, next: known } if first <= known => State::Running {
                start,
                next: next.max(known),
            },
            // Flipped bits have cost it a piece. It is written again, and all behind
            // it, since those may be of objects of which the piece was the first
            // record. A sweep that began anew would need the most room.
            State::Running { start, next } => State::Running { start, next },
            _ => State::Idle,
        };
    }
}

impl<F: NorFlash> Journal<F> {
    /// Continues the sweep and erases the next sector as needed. The caller calls it
    /// after every [`append`](Self::append), after it has carried out the effects.
    ///
    /// `state` gets an index of the state and a buffer of [`MAX_RECORD`] bytes. It
    /// writes the first record at or behind the index and returns its index and
    /// length, or `None` if there is none. The records must describe exactly the
    /// appended state.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub async fn maintain(
        &mut self,
        mut state: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> Result<(), AppendError> {
        if self.broken {
            return Err(AppendError::Broken);
        }
        let free = self.free();
        // A mount reads all live sectors, so a sweep starts early. The factor
        // bounds the share of sweeps in all writes.
        let used = self.head - self.base + 1;
        let long = used > (self.sectors / SHARE).max(3 * self.sweep.filled);
        // A sweep may lose its first piece, and begin anew once it is nearly complete:
        // there must be room for the state twice.
        let room = self.sectors * 5 / 8;
        if self.sweep.state == State::Idle && (long || free <= room) {
            // A sweep starts in the middle of a sector, which saves a sector.
            self.sweep.state = State::Running {
                start: self.head,
                next: 0,
            };
            self.sweep.owed = 0;
        }
        // While sectors are free, the sweep follows the appended bytes.
        let scarce = free <= (self.sectors / 4).max(2);
        while let State::Running { start, next } = self.sweep.state
            && (scarce || self.sweep.owed > 0)
        {
            self.piece(start, next, &mut state).await?;
        }
        // An erase is slow, so it happens before a record needs the sector.
        let half = Self::SECTOR / 2;
        if !self.ready && self.offset > half && self.free() > 0 {
            // Opening the sector reports a failure.
            let next = self.head + 1;
            let _later = self.prepare(next).await;
        }
        Ok(())
    }

    async fn piece(
        &mut self,
        start: u32,
        next: u16,
        state: &mut impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> Result<(), AppendError> {
        let mut room = [0; PIECE];
        let mut used = 0;
        let mut records: [(usize, usize); 16] = [(0, 0); 16];
        let mut count = 0;
        let mut last = None;
        let mut from = Some(next);
        while let Some(place) = from
            && used + MAX_RECORD < PIECE
            && let Some(span) = records.get_mut(count)
        {
            let Some((place, length)) = room
                .get_mut(used..used + MAX_RECORD)
                .and_then(|room| state(place, room))
            else {
                from = None;
                break;
            };
            *span = (used, used + length.min(MAX_RECORD));
            used = span.1;
            count += 1;
            last = Some(place);
            from = place.checked_add(1);
        }
        if let Some(last) = last {
            let mut prefix = [0; SWEEP_PREFIX];
            prefix[..2].copy_from_slice(&self.sweep.layout.to_le_bytes());
            prefix[2..4].copy_from_slice(&next.to_le_bytes());
            prefix[4..].copy_from_slice(&last.to_le_bytes());
            let spans = records.get(..count).unwrap_or_default();
            let written = self
                .frame(
                    KIND_SWEEP,
                    &prefix,
                    spans
                        .iter()
                        .map(|(from, to)| room.get(*from..*to).unwrap_or_default()),
                    used + count,
                    true,
                )
                .await?;
            self.sweep.owed = self.sweep.owed.saturating_sub(written);
        }
        self.sweep.state = match from {
            Some(next) => State::Running { start, next },
            None => {
                self.sweep.filled = self.head - start + 1;
                State::Through { start }
            }
        };
        Ok(())
    }
}
