//! Making old records superfluous: the owner's present state is written
//! again, piece by piece. What lies before the beginning of a sweep that is
//! through is dead.

use embedded_storage_async::nor_flash::NorFlash;

use crate::format::{KIND_SWEEP, SWEEP_PREFIX};
use crate::{AppendError, Journal, MAX_RECORD};

/// Bytes that a sweep writes for each that is appended meanwhile.
const PACE: u32 = 2;
/// A sweep begins when the journal takes this part of the flash.
const SHARE: u32 = 6;

/// Records that one piece of a sweep may hold, in bytes.
const PIECE: usize = 2 * (1 + MAX_RECORD);

/// How far a sweep has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// Since the sector of that number; the place is the next to be written.
    Running {
        start: u32,
        next: u16,
    },
    /// All was written since that sector.
    Through {
        start: u32,
    },
}

/// The journal's sweep.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sweep {
    layout: u16,
    state: State,
    /// Bytes that the sweep has to write for those that were appended.
    owed: u32,
    /// Sectors that the last sweep has filled, with what was appended
    /// meanwhile; 0 before the first.
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

    /// So many bytes were appended.
    pub(crate) fn owe(&mut self, bytes: u32) {
        if matches!(self.state, State::Running { .. }) {
            self.owed = self.owed.saturating_add(bytes.saturating_mul(PACE));
        }
    }

    /// The first sector that matters once the sweep's end is durable.
    pub(crate) fn finished(&self) -> Option<u32> {
        match self.state {
            State::Through { start } => Some(start),
            _ => None,
        }
    }

    /// A header says now that nothing before this sector matters.
    pub(crate) fn forget(&mut self, base: u32) {
        if self.finished().is_some_and(|start| start <= base) {
            self.state = State::Idle;
        }
    }

    /// A mount has read a piece: goes on behind it.
    /// The one that made the journal's first sector its first is through.
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
            // The last piece once more, or the next one.
            State::Running { start, next: known } if first <= known => State::Running {
                start,
                next: next.max(known),
            },
            _ => State::Idle,
        };
    }
}

impl<F: NorFlash> Journal<F> {
    /// Does what is due for the journal to stay bounded. To be called after
    /// every [`append`](Self::append), when its effects have left.
    ///
    /// `state` writes the record of the first place from the given one on
    /// that has anything to be told into the buffer ([`MAX_RECORD`] bytes),
    /// and returns that place and the record's length; `None` where there is
    /// none. It must describe what was appended, and nothing else.
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
        // A restart reads all that there is: it is kept short. Not so short
        // that most of what is written is sweeps.
        let used = self.head - self.base + 1;
        let long = used > (self.sectors / SHARE).max(3 * self.sweep.filled);
        if self.sweep.state == State::Idle && (long || free <= self.sectors / 2) {
            // A sector of its own would be cleaner and cost a sector.
            self.sweep.state = State::Running {
                start: self.head,
                next: 0,
            };
            self.sweep.owed = 0;
        }
        // While there is room the sweep keeps step with what is appended.
        let scarce = free <= (self.sectors / 4).max(2);
        while let State::Running { start, next } = self.sweep.state
            && (scarce || self.sweep.owed > 0)
        {
            self.piece(start, next, &mut state).await?;
        }
        // An erase takes long: better now than when a record waits for it.
        let half = Self::SECTOR / 2;
        if !self.ready && self.offset > half && self.free() > 0 {
            // Where this fails, opening the sector will show it.
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
