//! A walk through the records of a BMC's sensors (33.12): which command comes
//! next, and the record that its answers make. Records are read in parts, since
//! many BMCs answer with some twenty bytes at the most, and begun anew where the
//! BMC ends the reservation.

use super::sensor::MAX_RECORD;
use super::{Answer, Command};
use crate::client::Failure;
use crate::message::Completion;

/// A part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SdrPart<'a> {
    /// Number of the record behind this one; [`LAST`] behind the last.
    pub next: u16,
    /// The bytes.
    pub data: &'a [u8],
}

impl<'a> SdrPart<'a> {
    pub(super) fn parse(data: &'a [u8], count: u8) -> Option<Self> {
        let (next, data) = data.split_first_chunk::<2>()?;
        Some(Self {
            next: u16::from_le_bytes(*next),
            // No more than was asked for.
            data: data.get(..usize::from(count)).unwrap_or(data),
        })
    }
}

/// Number that means: no record follows.
pub const LAST: u16 = 0xffff;

const HEADER: u8 = 5;
/// Reservations that end during one record at the most.
const MAX_RESERVATIONS: u8 = 8;
/// Bytes of a part that every BMC can answer with.
const SMALLEST: u8 = 8;

/// What a walk needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// Ask for this, and give the answer to [`Walk::take`].
    Ask(Command),
    /// A record, its first [`MAX_RECORD`] bytes. Go on with [`Walk::next`].
    Record(&'a [u8]),
    /// All records were there.
    End,
    /// A command failed.
    Failed(Failure),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reserve,
    Read,
    Whole,
    End,
    Failed(Failure),
}

/// A walk through the records.
#[derive(Debug, Clone)]
pub struct Walk {
    state: State,
    reservation: u16,
    reservations: u8,
    record: u16,
    next: u16,
    /// Records so far: a BMC whose records lead in a circle comes to an end.
    records: u16,
    bytes: [u8; MAX_RECORD],
    len: u8,
    /// Length of the record, as far as it is kept; 0 before it is known.
    total: u8,
    /// Bytes of a part.
    part: u8,
}

impl Default for Walk {
    fn default() -> Self {
        Self::new()
    }
}

impl Walk {
    /// A walk from the first record on.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Reserve,
            reservation: 0,
            reservations: 0,
            record: 0,
            next: 0,
            records: 0,
            bytes: [0; MAX_RECORD],
            len: 0,
            total: 0,
            part: 22,
        }
    }

    /// What is needed now.
    #[must_use]
    pub fn step(&self) -> Step<'_> {
        match self.state {
            State::Reserve => Step::Ask(Command::ReserveSdr),
            State::Read => {
                let left = match self.total {
                    0 => HEADER,
                    total => total.saturating_sub(self.len),
                };
                Step::Ask(Command::Sdr {
                    reservation: self.reservation,
                    record: self.record,
                    offset: self.len,
                    count: left.min(self.part),
                })
            }
            State::Whole => {
                let record = self.bytes.get(..usize::from(self.len));
                Step::Record(record.unwrap_or_default())
            }
            State::End => Step::End,
            State::Failed(failure) => Step::Failed(failure),
        }
    }

    /// Goes on to the next record.
    pub const fn next(&mut self) {
        if let State::Whole = self.state {
            self.records = self.records.saturating_add(1);
            self.record = self.next;
            self.reservations = 0;
            self.begin();
            if self.next == LAST || self.records == u16::MAX {
                self.state = State::End;
            }
        }
    }

    const fn begin(&mut self) {
        self.state = State::Read;
        self.len = 0;
        self.total = 0;
    }

    /// Takes the answer to the command of [`Step::Ask`].
    pub fn take(&mut self, answer: Result<Answer<'_>, Failure>) {
        match (self.state, answer) {
            (State::Reserve, Ok(Answer::Reservation(reservation))) => {
                self.reservation = reservation;
                self.begin();
            }
            // Few BMCs do without reservations; the command's answer says so.
            (State::Reserve, Err(Failure::Completion(Completion::UNKNOWN_COMMAND))) => {
                self.begin();
            }
            (State::Read, Ok(Answer::Sdr(part))) => self.read(part),
            (State::Read, Err(Failure::Completion(Completion::RESERVATION)))
                if self.reservations < MAX_RESERVATIONS =>
            {
                self.reservations += 1;
                self.state = State::Reserve;
            }
            (State::Read, Err(Failure::Completion(Completion::TOO_LONG)))
                if self.part > SMALLEST =>
            {
                self.part = (self.part / 2).max(SMALLEST);
            }
            (State::Read, Err(Failure::Completion(Completion::NOT_PRESENT)))
                if self.record == 0 =>
            {
                self.state = State::End;
            }
            (State::Reserve | State::Read, Err(failure)) => self.state = State::Failed(failure),
            (State::Reserve | State::Read, Ok(_)) => {
                self.state = State::Failed(Failure::Malformed);
            }
            (State::Whole | State::End | State::Failed(_), _) => {}
        }
    }

    fn read(&mut self, part: SdrPart<'_>) {
        let at = usize::from(self.len);
        let place = self.bytes.get_mut(at..at + part.data.len());
        let (Some(place), false) = (place, part.data.is_empty()) else {
            self.state = State::Failed(Failure::Malformed);
            return;
        };
        place.copy_from_slice(part.data);
        self.len = u8::try_from(at + part.data.len()).unwrap_or(u8::MAX);
        self.next = part.next;
        if self.total == 0 {
            let [.., rest] = *self.bytes.first_chunk::<5>().unwrap_or(&[0; 5]);
            let most = u8::try_from(MAX_RECORD).unwrap_or(u8::MAX);
            self.total = match self.len {
                HEADER => HEADER.saturating_add(rest).min(most),
                // A header comes in one part.
                _ => 0,
            };
            if self.total == 0 {
                self.state = State::Failed(Failure::Malformed);
                return;
            }
        }
        if self.len >= self.total {
            self.state = State::Whole;
        }
    }
}
