//! The erase ladder: which method a disk is emptied by, what happens when a
//! method fails or lies, and when a disk counts as empty.
//!
//! [`Ladder`] is driven from outside: it names an [`Action`], the driver
//! carries it out and hands the [`Outcome`] back, until a [`Verdict`] comes.
//! It knows neither devices nor clocks. What a device *says* decides only how
//! much work follows; that a disk is empty is decided by reading back every
//! byte of it.

use farrier_protocol::message::{EraseAbilities, EraseMethod};

/// Bytes of one discard or write-zeroes command. Small enough that a slow
/// disk shows progress, large enough that the number of commands is nothing.
pub const COMMAND_LENGTH: u64 = 256 << 20;
/// Bytes of one read of the read-back, and of one write of an overwrite.
pub const WINDOW: u64 = 4 << 20;
/// How often a range that does not read as zero is written with zeroes.
pub const REPAIR_ATTEMPTS: u8 = 3;

/// Runs found one after another before the rest of a window is repaired as a
/// whole: blocks that are dirty in turns would otherwise cost a flush and a
/// read of the window each.
const SINGLE_RUNS: u8 = 4;

/// A stretch of a disk in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Offset of the first byte.
    pub start: u64,
    /// Length, never zero.
    pub length: u64,
}

impl Range {
    fn end(self) -> u64 {
        self.start + self.length
    }
}

/// What the driver is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Discard the range.
    Discard(Range),
    /// Let the device write zeroes over the range.
    WriteZeroes(Range),
    /// Write zeroes over the range; at most [`WINDOW`] bytes.
    Overwrite(Range),
    /// Put everything onto the medium.
    Flush,
    /// Read the range, at most [`WINDOW`] bytes, from the medium and look for
    /// bytes that aren't zero.
    Read(Range),
    /// The ladder has come to its end.
    Finished(Verdict),
}

/// What came of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done; for a read: every byte is zero.
    Done,
    /// A read found bytes that aren't zero: the first run of them, in whole
    /// blocks and within the range that was asked for.
    NotZero(Range),
    /// The device refused or failed.
    Failed,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every byte was read back as zero.
    Empty {
        /// The method that did most of it.
        method: EraseMethod,
        /// Bytes read back: the whole disk.
        verified: u64,
        /// Bytes that were not zero after the first pass.
        repaired: u64,
    },
    /// Bytes stay that are not zero, whatever was written over them.
    NotEmpty {
        /// Where the first of them lies.
        at: u64,
    },
    /// No acceptable method was taken by the device.
    WriteFailed {
        /// Where the last one failed.
        at: u64,
    },
    /// The device can't be read back.
    ReadFailed {
        /// Where.
        at: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// First pass; up to `at` is done.
    Erase {
        method: EraseMethod,
        at: u64,
    },
    /// Flush between the first pass and the read-back.
    Settle,
    /// Read-back; up to `at` is verified.
    Verify {
        at: u64,
    },
    /// Writing zeroes over a run that the read-back found.
    Repair {
        run: Range,
        attempt: u8,
    },
    /// Flush before the run is read again.
    RepairSettle {
        run: Range,
        attempt: u8,
    },
    /// Reading the run again.
    RepairVerify {
        run: Range,
        attempt: u8,
    },
    Finished(Verdict),
}

/// The ladder of one disk.
#[derive(Debug, Clone)]
pub struct Ladder {
    size: u64,
    abilities: EraseAbilities,
    method: EraseMethod,
    repaired: u64,
    window: u64,
    /// Windows in a row that were not empty.
    runs: u8,
    phase: Phase,
}

impl Ladder {
    /// A ladder for a disk of `size` bytes that starts at the lowest rung
    /// that is both acceptable (`least`) and within the disk's abilities:
    /// what the device does by itself is quick, and the read-back finds where
    /// it did not.
    pub fn new(size: u64, abilities: EraseAbilities, least: EraseMethod) -> Self {
        let method = lowest(abilities, least);
        Self {
            size,
            abilities,
            method,
            repaired: 0,
            window: WINDOW,
            runs: 0,
            phase: if size == 0 {
                Phase::Finished(Verdict::Empty {
                    method,
                    verified: 0,
                    repaired: 0,
                })
            } else {
                Phase::Erase { method, at: 0 }
            },
        }
    }

    /// The same with reads and writes of at most `window` bytes, a multiple of
    /// 4 KiB up to [`WINDOW`]: for many disks that share little memory.
    #[must_use]
    pub fn with_window(mut self, window: u64) -> Self {
        self.window = (window / 4096 * 4096).clamp(4096, WINDOW);
        self
    }

    /// What to do next. The same until [`Ladder::advance`] is called.
    pub fn action(&self) -> Action {
        match self.phase {
            Phase::Erase { method, at } => match method {
                EraseMethod::Discard => Action::Discard(self.range(at, COMMAND_LENGTH)),
                EraseMethod::WriteZeroes => Action::WriteZeroes(self.range(at, COMMAND_LENGTH)),
                EraseMethod::Overwrite => Action::Overwrite(self.range(at, self.window)),
            },
            Phase::Settle | Phase::RepairSettle { .. } => Action::Flush,
            Phase::Verify { at } => Action::Read(self.range(at, self.window)),
            Phase::Repair { run, .. } => Action::Overwrite(run),
            Phase::RepairVerify { run, .. } => Action::Read(run),
            Phase::Finished(verdict) => Action::Finished(verdict),
        }
    }

    /// Takes in what came of [`Ladder::action`].
    pub fn advance(&mut self, outcome: Outcome) {
        self.phase = match (self.phase, outcome) {
            (Phase::Erase { method, at }, Outcome::Done) => {
                let done = self.erase_range(method, at).end();
                if done >= self.size {
                    Phase::Settle
                } else {
                    Phase::Erase { method, at: done }
                }
            }
            // The next rung starts over where this one failed: what lies
            // before was taken, and the read-back looks at all of it.
            (Phase::Erase { method, at }, _) => match next_rung(self.abilities, method) {
                Some(method) => {
                    self.method = method;
                    Phase::Erase { method, at }
                }
                None => Phase::Finished(Verdict::WriteFailed { at }),
            },
            (Phase::Settle, Outcome::Done) => Phase::Verify { at: 0 },
            (Phase::Settle, _) => Phase::Finished(Verdict::WriteFailed { at: 0 }),
            (Phase::Verify { at }, Outcome::Done) => {
                self.runs = 0;
                self.verified(self.range(at, self.window).end())
            }
            (Phase::Verify { at }, Outcome::NotZero(run)) => {
                let window = self.range(at, self.window);
                match within(run, window) {
                    Some(mut run) => {
                        self.runs = self.runs.saturating_add(1);
                        if self.runs > SINGLE_RUNS {
                            run.length = window.end() - run.start;
                        }
                        self.repaired += run.length;
                        Phase::Repair { run, attempt: 1 }
                    }
                    None => Phase::Finished(Verdict::ReadFailed { at }),
                }
            }
            (Phase::Verify { at }, Outcome::Failed) => Phase::Finished(Verdict::ReadFailed { at }),
            (Phase::Repair { run, attempt }, Outcome::Done) => Phase::RepairSettle { run, attempt },
            (Phase::Repair { run, .. } | Phase::RepairSettle { run, .. }, Outcome::Failed) => {
                Phase::Finished(Verdict::WriteFailed { at: run.start })
            }
            (Phase::RepairSettle { run, attempt }, _) => Phase::RepairVerify { run, attempt },
            (Phase::RepairVerify { run, .. }, Outcome::Done) => self.verified(run.end()),
            (Phase::RepairVerify { run, attempt }, Outcome::NotZero(_))
                if attempt < REPAIR_ATTEMPTS =>
            {
                Phase::Repair {
                    run,
                    attempt: attempt + 1,
                }
            }
            (Phase::RepairVerify { .. }, Outcome::NotZero(at)) => {
                Phase::Finished(Verdict::NotEmpty { at: at.start })
            }
            (Phase::RepairVerify { run, .. }, Outcome::Failed) => {
                Phase::Finished(Verdict::ReadFailed { at: run.start })
            }
            // Only reads find something; an outcome that does not belong to
            // its action changes nothing.
            (phase @ Phase::Repair { .. }, Outcome::NotZero(_)) => phase,
            (phase @ Phase::Finished(_), _) => phase,
        };
    }

    /// Whether the read-back goes on, as opposed to the first pass.
    pub fn is_verifying(&self) -> bool {
        !matches!(self.phase, Phase::Erase { .. } | Phase::Settle)
    }

    /// Bytes done of the present pass over the disk, and bytes in all.
    pub fn progress(&self) -> (u64, u64) {
        let done = match self.phase {
            Phase::Erase { at, .. } | Phase::Verify { at } => at,
            Phase::Settle | Phase::Finished(_) => self.size,
            Phase::Repair { run, .. }
            | Phase::RepairSettle { run, .. }
            | Phase::RepairVerify { run, .. } => run.start,
        };
        (done, self.size)
    }

    fn verified(&self, end: u64) -> Phase {
        if end < self.size {
            return Phase::Verify { at: end };
        }
        // Where most bytes had to be written one by one, that was the method.
        let method = if self.repaired > self.size / 2 {
            EraseMethod::Overwrite
        } else {
            self.method
        };
        Phase::Finished(Verdict::Empty {
            method,
            verified: self.size,
            repaired: self.repaired,
        })
    }

    fn erase_range(&self, method: EraseMethod, at: u64) -> Range {
        match method {
            EraseMethod::Overwrite => self.range(at, self.window),
            EraseMethod::Discard | EraseMethod::WriteZeroes => self.range(at, COMMAND_LENGTH),
        }
    }

    fn range(&self, start: u64, most: u64) -> Range {
        Range {
            start,
            length: most.min(self.size.saturating_sub(start)),
        }
    }
}

/// A run as the driver reports it, if it lies where it was looked for.
fn within(run: Range, window: Range) -> Option<Range> {
    (run.length > 0
        && run.start >= window.start
        && run.length <= window.length
        && run.end() <= window.end())
    .then_some(run)
}

fn lowest(abilities: EraseAbilities, least: EraseMethod) -> EraseMethod {
    if least <= EraseMethod::Discard && abilities.discard {
        EraseMethod::Discard
    } else if least <= EraseMethod::WriteZeroes && abilities.write_zeroes {
        EraseMethod::WriteZeroes
    } else {
        EraseMethod::Overwrite
    }
}

fn next_rung(abilities: EraseAbilities, failed: EraseMethod) -> Option<EraseMethod> {
    match failed {
        EraseMethod::Discard if abilities.write_zeroes => Some(EraseMethod::WriteZeroes),
        EraseMethod::Discard | EraseMethod::WriteZeroes => Some(EraseMethod::Overwrite),
        EraseMethod::Overwrite => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: EraseAbilities = EraseAbilities {
        discard: true,
        write_zeroes: true,
    };
    const NONE: EraseAbilities = EraseAbilities {
        discard: false,
        write_zeroes: false,
    };

    fn range(start: u64, length: u64) -> Range {
        Range { start, length }
    }

    #[test]
    fn the_lowest_acceptable_rung_that_the_disk_has() {
        use EraseMethod::{Discard, Overwrite, WriteZeroes};
        for (abilities, least, expected) in [
            (ALL, Discard, Discard),
            (ALL, WriteZeroes, WriteZeroes),
            (ALL, Overwrite, Overwrite),
            (NONE, Discard, Overwrite),
        ] {
            assert_eq!(Ladder::new(1, abilities, least).method, expected);
        }
    }

    #[test]
    fn a_disk_that_does_as_told() {
        let mut ladder = Ladder::new(WINDOW + 512, ALL, EraseMethod::Discard);
        for action in [
            Action::Discard(range(0, WINDOW + 512)),
            Action::Flush,
            Action::Read(range(0, WINDOW)),
            Action::Read(range(WINDOW, 512)),
        ] {
            assert_eq!(ladder.action(), action);
            ladder.advance(Outcome::Done);
        }
        assert_eq!(
            ladder.action(),
            Action::Finished(Verdict::Empty {
                method: EraseMethod::Discard,
                verified: WINDOW + 512,
                repaired: 0
            })
        );
    }

    #[test]
    fn a_failing_method_goes_one_rung_up_from_where_it_failed() {
        let mut ladder = Ladder::new(COMMAND_LENGTH * 2, ALL, EraseMethod::Discard);
        ladder.advance(Outcome::Done);
        ladder.advance(Outcome::Failed);
        let second = range(COMMAND_LENGTH, COMMAND_LENGTH);
        assert_eq!(ladder.action(), Action::WriteZeroes(second));
        ladder.advance(Outcome::Failed);
        assert_eq!(
            ladder.action(),
            Action::Overwrite(range(COMMAND_LENGTH, WINDOW))
        );
        ladder.advance(Outcome::Failed);
        assert_eq!(
            ladder.action(),
            Action::Finished(Verdict::WriteFailed { at: COMMAND_LENGTH })
        );
    }

    #[test]
    fn what_stays_is_written_over_and_counted() {
        let mut ladder = Ladder::new(8192, ALL, EraseMethod::Discard);
        ladder.advance(Outcome::Done);
        ladder.advance(Outcome::Done);
        let run = range(512, 1024);
        ladder.advance(Outcome::NotZero(run));
        for action in [Action::Overwrite(run), Action::Flush, Action::Read(run)] {
            assert_eq!(ladder.action(), action);
            ladder.advance(Outcome::Done);
        }
        assert_eq!(ladder.action(), Action::Read(range(1536, 8192 - 1536)));
        ladder.advance(Outcome::Done);
        assert_eq!(
            ladder.action(),
            Action::Finished(Verdict::Empty {
                method: EraseMethod::Discard,
                verified: 8192,
                repaired: 1024
            })
        );
    }

    #[test]
    fn what_never_goes_away_is_reported() {
        let mut ladder = Ladder::new(4096, NONE, EraseMethod::Discard);
        ladder.advance(Outcome::Done);
        ladder.advance(Outcome::Done);
        ladder.advance(Outcome::NotZero(range(512, 512)));
        for _ in 0..REPAIR_ATTEMPTS {
            assert_eq!(ladder.action(), Action::Overwrite(range(512, 512)));
            ladder.advance(Outcome::Done);
            ladder.advance(Outcome::Done);
            ladder.advance(Outcome::NotZero(range(512, 512)));
        }
        assert_eq!(
            ladder.action(),
            Action::Finished(Verdict::NotEmpty { at: 512 })
        );
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            8 => Just(Outcome::Done),
            1 => Just(Outcome::Failed),
            1 => (0_u64..64, 1_u64..8)
                .prop_map(|(start, length)| Outcome::NotZero(range(start * 512, length * 512))),
        ]
    }

    proptest! {
        /// Whatever the device answers: the ladder ends, stays on the disk,
        /// and calls it empty only after reads covered all of it.
        #[test]
        fn ends_and_never_believes(
            blocks in 1_u64..40_000,
            discard in any::<bool>(),
            write_zeroes in any::<bool>(),
            outcomes in proptest::collection::vec(outcome(), 0..200),
        ) {
            let size = blocks * 512;
            let abilities = EraseAbilities { discard, write_zeroes };
            let mut ladder = Ladder::new(size, abilities, EraseMethod::Discard);
            let mut outcomes = outcomes.into_iter();
            let mut clean_to = 0;
            for _ in 0..10_000 {
                let action = ladder.action();
                let outcome = outcomes.next().unwrap_or(Outcome::Done);
                match action {
                    Action::Finished(Verdict::Empty { verified, .. }) => {
                        prop_assert_eq!(verified, size);
                        prop_assert_eq!(clean_to, size);
                        return Ok(());
                    }
                    Action::Finished(_) => return Ok(()),
                    Action::Flush => {}
                    Action::Discard(r) | Action::WriteZeroes(r) | Action::Overwrite(r) => {
                        prop_assert!(r.length > 0 && r.end() <= size);
                    }
                    Action::Read(r) => {
                        prop_assert!(r.length > 0 && r.end() <= size && r.length <= WINDOW);
                        if outcome == Outcome::Done {
                            prop_assert!(r.start <= clean_to || r.start % 512 == 0);
                            clean_to = r.end();
                        }
                    }
                }
                ladder.advance(outcome);
            }
            prop_assert!(false, "the ladder does not end");
        }
    }
}
