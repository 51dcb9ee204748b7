//! The erase ladder: it chooses the erase method, falls back to the next method
//! after a failure, and verifies that the disk is empty.
//!
//! [`Ladder`] is sans-IO: it returns an [`Action`], the caller carries it out and
//! passes the [`Outcome`] back, until the ladder returns a [`Verdict`]. The
//! success of an erase command is not evidence. A disk counts as empty only
//! after the read-back of every byte. Where a discard is acceptable, the ladder
//! overwrites the bytes that it left. Otherwise a disk with a byte left is overwritten
//! as a whole.

use farrier_protocol::message::{EraseAbilities, EraseMethod};

/// Bytes of one discard or write-zeroes command. Small enough that a slow disk
/// shows progress; large enough that commands cost little.
pub const COMMAND_LENGTH: u64 = 256 << 20;
/// Bytes of one read of the read-back and of one write of an overwrite.
pub const WINDOW: u64 = 4 << 20;
/// Number of attempts to overwrite a range that does not read as zero.
pub const REPAIR_ATTEMPTS: u8 = 3;

/// Number of consecutive runs after which the ladder overwrites the rest of the
/// window. Otherwise alternating dirty blocks would cost a flush and a read of
/// the window each.
const SINGLE_RUNS: u8 = 4;

/// A range of a disk in bytes.
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

/// The next command for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Discard the range.
    Discard(Range),
    /// Send the command by which the device writes zeroes.
    WriteZeroes(Range),
    /// Write zeroes over the range; at most [`WINDOW`] bytes.
    Overwrite(Range),
    /// Flush the write cache.
    Flush,
    /// Read the range, at most [`WINDOW`] bytes, from the medium and search for
    /// bytes that are not zero.
    Read(Range),
    /// The ladder is over.
    Finished(Verdict),
}

/// The result of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded; for a read: every byte is zero.
    Done,
    /// A read found bytes that are not zero: the first run of them, in whole
    /// blocks and within the range of the action.
    NotZero(Range),
    /// The device refused or failed.
    Failed,
}

/// The result of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The read-back found only zeroes.
    Empty {
        /// The method that erased most of the disk.
        method: EraseMethod,
        /// Bytes read back: the whole disk.
        verified: u64,
        /// Bytes that were not zero after the first pass.
        repaired: u64,
    },
    /// Bytes are not zero after every overwrite.
    NotEmpty {
        /// Offset of the first of them.
        at: u64,
    },
    /// Every acceptable method failed.
    WriteFailed {
        /// Offset at which the last method failed.
        at: u64,
    },
    /// A read failed.
    ReadFailed {
        /// Offset of the read.
        at: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// First pass, done up to `at`.
    Erase {
        method: EraseMethod,
        at: u64,
    },
    /// Flush between the first pass and the read-back.
    Settle,
    /// Read-back, verified up to `at`.
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
    /// The weakest acceptable method.
    least: EraseMethod,
    method: EraseMethod,
    repaired: u64,
    window: u64,
    /// Number of consecutive windows that were not empty.
    runs: u8,
    phase: Phase,
}

impl Ladder {
    /// Creates a ladder for a disk of `size` bytes. It starts with the weakest
    /// method that is acceptable (`least`) and that the disk supports: the
    /// device's own commands are fast, and the read-back finds what they left.
    pub fn new(size: u64, abilities: EraseAbilities, least: EraseMethod) -> Self {
        let method = lowest(abilities, least);
        Self {
            size,
            abilities,
            least,
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

    /// Limits reads and writes to `window` bytes, a multiple of 4 KiB up to
    /// [`WINDOW`]. Many disks share little memory.
    #[must_use]
    pub fn with_window(mut self, window: u64) -> Self {
        self.window = (window / 4096 * 4096).clamp(4096, WINDOW);
        self
    }

    /// Returns the next action. It stays the same until [`Ladder::advance`].
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

    /// Accepts the result of [`Ladder::action`].
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
            // The next method continues at the byte of the failure. The
            // read-back covers the whole disk.
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
                    // The disk acknowledged a command and did not carry it out.
                    // Only a discard may be a hint.
                    Some(run)
                        if self.least > EraseMethod::Discard
                            && self.method != EraseMethod::Overwrite =>
                    {
                        self.repaired += run.length;
                        self.method = EraseMethod::Overwrite;
                        Phase::Erase {
                            method: self.method,
                            at: 0,
                        }
                    }
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
            // Only reads return `NotZero`. An outcome of another action
            // changes nothing.
            (phase @ Phase::Repair { .. }, Outcome::NotZero(_)) => phase,
            (phase @ Phase::Finished(_), _) => phase,
        };
    }

    /// Returns whether the ladder is in the read-back, not in the first pass.
    pub fn is_verifying(&self) -> bool {
        !matches!(self.phase, Phase::Erase { .. } | Phase::Settle)
    }

    /// Returns the bytes done in the current pass and the bytes of the disk.
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
        // If the read-back overwrote most bytes, the method is an overwrite.
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

/// Returns the run if it lies within the range of the action.
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
    fn ladder_starts_with_the_weakest_acceptable_method_of_the_disk() {
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
    fn working_disk_is_erased_by_the_first_method() {
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
    fn failed_method_is_followed_by_the_next_at_the_same_byte() {
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
    fn remains_are_overwritten_and_counted() {
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
    fn disk_that_ignores_a_command_is_overwritten_as_a_whole() {
        let mut ladder = Ladder::new(8192, ALL, EraseMethod::WriteZeroes);
        assert_eq!(ladder.action(), Action::WriteZeroes(range(0, 8192)));
        ladder.advance(Outcome::Done);
        ladder.advance(Outcome::Done);
        ladder.advance(Outcome::NotZero(range(512, 1024)));
        for action in [
            Action::Overwrite(range(0, 8192)),
            Action::Flush,
            Action::Read(range(0, 8192)),
        ] {
            assert_eq!(ladder.action(), action);
            ladder.advance(Outcome::Done);
        }
        assert_eq!(
            ladder.action(),
            Action::Finished(Verdict::Empty {
                method: EraseMethod::Overwrite,
                verified: 8192,
                repaired: 1024
            })
        );
    }

    #[test]
    fn permanent_remains_end_as_not_empty() {
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
        /// For all outcomes: the ladder ends, stays on the disk, and returns
        /// `Empty` only after reads covered the whole disk.
        #[test]
        fn ends_and_never_believes(
            blocks in 1_u64..40_000,
            discard in any::<bool>(),
            write_zeroes in any::<bool>(),
            outcomes in proptest::collection::vec(outcome(), 0..200),
            strict in any::<bool>(),
        ) {
            let size = blocks * 512;
            let abilities = EraseAbilities { discard, write_zeroes };
            let least = if strict { EraseMethod::WriteZeroes } else { EraseMethod::Discard };
            let mut ladder = Ladder::new(size, abilities, least);
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
            prop_assert!(false, "the ladder did not end");
        }
    }
}
