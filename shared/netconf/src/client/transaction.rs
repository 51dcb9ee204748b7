//! The steps of a change: which one follows which.
//!
//! The way on is lock, read, edit, validate, commit, read back, evidence, confirm,
//! read. From each step of it a way back leads to the port as it was: cancel the
//! commit, discard the candidate's changes, read, and, where the port is not as
//! before, edit and commit once; then unlock.

use super::tasks::{Committed, Task};
use super::{Client, Collector, Failure, Outcome, Pending, Step};
use crate::hello::Capabilities;
use crate::port::{Carried, TrunkSeen, VlansSeen};
use crate::reply::{Answer, ErrorTag, Wanted};
use crate::text::clip;
use crate::vlan::{Observed, VlanChange};

/// What an answer says beside the port's VLANs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    vlans: VlansSeen,
    trunk: TrunkSeen,
}

impl Client {
    /// Notes why the task fails. The first reason stays.
    pub(super) fn fail(&mut self, failure: Failure) {
        if matches!(self.work.outcome, None | Some(Outcome::Cancelled)) {
            self.work.outcome = Some(Outcome::Failed(failure));
            self.work.failed_at = self.step;
        }
    }

    /// Notes that the switch did not do what the step asked for.
    fn refused(&mut self, answer: Answer) {
        let error = &self.session.reply.error;
        let locked = matches!(error.tag, ErrorTag::LockDenied | ErrorTag::InUse);
        let failure = match answer {
            Answer::Error if self.step == Step::Lock && locked => Failure::Locked,
            Answer::Error => Failure::Refused,
            Answer::Ok | Answer::Empty => Failure::NoAnswer,
        };
        if answer == Answer::Error && self.work.outcome.is_none() {
            self.work.has_error = true;
            self.session.reply.keep_error(true);
        }
        self.fail(failure);
    }

    /// Returns the step that follows the answer to `step`.
    pub(super) fn after(&mut self, step: Step, answer: Answer) -> Step {
        let ok = answer == Answer::Ok;
        let seen = self.take_port(ok);
        match step {
            Step::Lock if ok || self.is_locked_by_change() => {
                self.work.locked = ok;
                match self.work.task {
                    Task::Cancel => {
                        self.work.outcome = Some(Outcome::Cancelled);
                        Step::Cancel
                    }
                    _ => Step::ReadBefore,
                }
            }
            Step::ReadBefore if ok => self.after_read_before(seen),
            Step::Edit if ok && !self.has_candidate() => {
                self.work.committed = Committed::Done;
                Step::ReadBack
            }
            Step::Edit if ok && self.validates() => Step::Validate,
            Step::Edit | Step::Validate if ok => Step::Commit,
            Step::Commit if ok => {
                self.work.committed = match self.confirms() {
                    true => Committed::Waits,
                    false => Committed::Done,
                };
                Step::ReadBack
            }
            Step::ReadBack if ok && self.is_applied(seen) => Step::Evidence,
            Step::Confirm if ok => {
                self.work.committed = Committed::Done;
                Step::ReadConfirmed
            }
            Step::ReadConfirmed if ok && self.is_applied(seen) => {
                self.work.outcome = Some(Outcome::Confirmed);
                self.unlock()
            }
            Step::ReadBack | Step::ReadConfirmed if ok => {
                self.fail(Failure::NotApplied);
                self.restore()
            }
            Step::ReadConfirmed => {
                self.refused(answer);
                self.unlock()
            }
            Step::Lock => {
                self.refused(answer);
                match self.work.outcome {
                    Some(Outcome::Failed(Failure::Locked)) => Step::Ready,
                    // Whatever the answer means, the lock is not kept.
                    _ => Step::Unlock,
                }
            }
            Step::ReadBefore => {
                self.refused(answer);
                self.unlock()
            }
            Step::Edit | Step::Validate | Step::Commit | Step::ReadBack | Step::Confirm => {
                self.refused(answer);
                self.restore()
            }
            Step::ReadPort | Step::ReadTable => {
                match ok {
                    true => self.work.outcome = Some(Outcome::Read),
                    false => self.refused(answer),
                }
                Step::Ready
            }
            Step::Close => {
                match ok {
                    true => self.work.outcome = Some(Outcome::Closed),
                    false => self.refused(answer),
                }
                Step::Over
            }
            Step::Cancel
            | Step::Discard
            | Step::ReadRestored
            | Step::UndoEdit
            | Step::UndoCommit
            | Step::Unlock => self.after_way_back(step, ok, seen),
            Step::Hello | Step::Ready | Step::Evidence | Step::Over => step,
        }
    }

    /// Returns whether the lock was denied because the change of the earlier session
    /// still waits, and not because a session holds it. Some servers grant no lock
    /// meanwhile, and the way to end the change is to go on without.
    fn is_locked_by_change(&self) -> bool {
        let error = &self.session.reply.error;
        self.work.task.is_earlier()
            && self.session.reply.answer(Wanted::Ok) == Answer::Error
            && matches!(error.tag, ErrorTag::LockDenied | ErrorTag::InUse)
            && error.holder.unwrap_or(0) == 0
    }

    fn after_way_back(&mut self, step: Step, ok: bool, seen: Seen) -> Step {
        match step {
            Step::Cancel => {
                if ok {
                    self.work.committed = Committed::Done;
                }
                Step::Discard
            }
            Step::Discard => {
                self.work.tidy &= ok;
                match self.work.committed {
                    Committed::No => self.unlock(),
                    Committed::Asked | Committed::Waits | Committed::Done => Step::ReadRestored,
                }
            }
            Step::ReadRestored => self.after_restored(ok, seen),
            Step::UndoEdit if ok && self.has_candidate() => Step::UndoCommit,
            Step::UndoCommit if ok => {
                self.work.committed = Committed::Done;
                Step::ReadRestored
            }
            Step::UndoCommit if self.has_persist() && !self.work.undo_repeated => {
                // A commit that still waits takes none without its persist-id.
                self.work.undo_repeated = true;
                self.work.undo_by_id = !self.work.undo_by_id;
                Step::UndoCommit
            }
            Step::UndoEdit | Step::UndoCommit if self.has_candidate() => Step::Discard,
            Step::UndoEdit | Step::UndoCommit => Step::ReadRestored,
            _ => {
                self.work.tidy &= ok || !self.work.locked;
                self.work.locked = false;
                Step::Ready
            }
        }
    }

    /// Takes what an answer says of the port.
    fn take_port(&mut self, ok: bool) -> Seen {
        match &self.collector {
            Collector::Port(_) if !ok => {
                self.work.observed = Observed::Unknown;
                Seen::default()
            }
            Collector::Port(reader) => {
                self.work.observed = reader.observed();
                self.work.description = clip(reader.description());
                let seen = self.dialect().map(|dialect| reader.seen(dialect));
                let (vlans, trunk) = seen.unwrap_or_default();
                Seen { vlans, trunk }
            }
            Collector::Table(reader) => {
                self.work.rows = reader.rows();
                Seen::default()
            }
            Collector::Nothing => Seen::default(),
        }
    }

    fn after_read_before(&mut self, seen: Seen) -> Step {
        let work = &mut self.work;
        if work.task == Task::Confirm {
            return match work.observed.is(&work.desired) {
                true => Step::Confirm,
                false => {
                    // It was taken back, or never done.
                    work.committed = Committed::Done;
                    self.fail(Failure::NotApplied);
                    self.unlock()
                }
            };
        }
        work.change = VlanChange {
            make: work.change.make.filter(|_| !seen.vlans.make.exists),
            remove: work.change.remove.filter(|_| seen.vlans.remove.ours),
        };
        let trunk = seen.trunk;
        if !work.trunk.is_empty() {
            let drops = trunk.remove == Carried::ByNumber && trunk.has_others;
            work.trunk_change = VlanChange {
                make: work.trunk_vlans.make.filter(|_| trunk.make == Carried::No),
                remove: work.change.remove.filter(|_| drops),
            };
        }
        let expected = work.expected.as_ref();
        let lacks_trunk = !work.trunk.is_empty() && !trunk.is_trunk;
        let is_elsewhere = expected.is_some_and(|expected| !work.observed.is(expected));
        // A change that was made already, without its removal.
        let nothing = work.change == VlanChange::NONE && work.trunk_change == VlanChange::NONE;
        let needless = nothing || work.change.make.is_none() && is_elsewhere;
        if work.observed.is(&work.desired) && needless {
            work.outcome = Some(Outcome::Unchanged);
            return self.unlock();
        }
        match &work.observed {
            Observed::Port(_) if lacks_trunk => {
                self.fail(Failure::NoTrunk);
                self.unlock()
            }
            Observed::Port(found) if expected.is_none_or(|expected| expected == found) => {
                work.old = Some(found.clone());
                Step::Edit
            }
            Observed::Port(_) | Observed::Other | Observed::Unknown => {
                self.fail(Failure::Unexpected);
                self.unlock()
            }
        }
    }

    fn after_restored(&mut self, ok: bool, seen: Seen) -> Step {
        let persist = self.has_persist();
        let work = &mut self.work;
        let Some(old) = &work.old else {
            return self.unlock();
        };
        let way_back = work.change.inverse();
        let way_back = VlanChange {
            make: way_back.make.filter(|_| !seen.vlans.remove.exists),
            remove: way_back.remove.filter(|_| seen.vlans.make.ours),
        };
        // A port that is no trunk was never edited.
        let is_trunk = seen.trunk.is_trunk;
        let trunk_back = work.trunk_change.inverse();
        let trunk_back = VlanChange {
            make: trunk_back
                .make
                .filter(|_| is_trunk && seen.trunk.remove == Carried::No),
            remove: trunk_back.remove.filter(|_| {
                let dropped = seen.trunk.make == Carried::ByNumber && seen.trunk.has_others;
                is_trunk && dropped && seen.vlans.make.ours
            }),
        };
        // Without its VLAN the port would carry nothing. An edit is made whole or not
        // at all: where the port is back, the trunk is as it was.
        let lacks =
            way_back.make.is_some() || trunk_back.make.is_some() && work.task != Task::Cancel;
        let restored = work.observed.is(old) && !lacks;
        if restored {
            work.committed = Committed::Done;
        }
        if ok && !restored && !work.undone {
            work.undone = true;
            work.way_back = way_back;
            work.trunk_back = trunk_back;
            work.undo_by_id = work.committed == Committed::Waits && persist;
            return Step::UndoEdit;
        }
        if !restored && work.outcome == Some(Outcome::Cancelled) {
            self.fail(Failure::NotRestored);
        }
        self.unlock()
    }

    fn is_applied(&self, seen: Seen) -> bool {
        let VlanChange { make, remove } = self.work.change;
        let made = make.is_none() || seen.vlans.make.exists;
        let removed = remove.is_none() || !seen.vlans.remove.ours;
        let trunk = self.work.trunk_change;
        let taken_up = trunk.make.is_none() || seen.trunk.make != Carried::No;
        let dropped = trunk.remove.is_none() || seen.trunk.remove != Carried::ByNumber;
        made && removed && taken_up && dropped && self.work.observed.is(&self.work.desired)
    }

    /// Returns the first step of the way back.
    pub(super) fn restore(&self) -> Step {
        let work = &self.work;
        match work.committed {
            Committed::No if work.edited && self.has_candidate() => Step::Discard,
            Committed::No => self.unlock(),
            // A commit that was refused or lost its answer may wait all the same.
            Committed::Asked | Committed::Waits if self.has_persist() && self.has_candidate() => {
                Step::Cancel
            }
            Committed::Asked | Committed::Waits | Committed::Done if self.has_candidate() => {
                Step::Discard
            }
            Committed::Asked | Committed::Waits | Committed::Done => Step::ReadRestored,
        }
    }

    fn unlock(&self) -> Step {
        match self.work.locked {
            true => Step::Unlock,
            false => Step::Ready,
        }
    }

    /// Turns a task back that the owner aborted.
    pub(super) fn turn_back(&mut self, next: Step) -> Step {
        if !self.work.aborting || !next.leads_on() {
            return next;
        }
        self.fail(Failure::Aborted);
        self.restore()
    }

    fn validates(&self) -> bool {
        let validate = Capabilities::VALIDATE_1_0 | Capabilities::VALIDATE_1_1;
        self.settings.validate
            && self.dialect().is_some_and(|dialect| dialect.validate)
            && self.has(validate)
    }

    fn confirms(&self) -> bool {
        let confirmed = Capabilities::CONFIRMED_COMMIT_1_0 | Capabilities::CONFIRMED_COMMIT_1_1;
        self.settings.confirmed_commit && self.has_candidate() && self.has(confirmed)
    }

    /// Returns what happens to the port if the session ends now.
    #[must_use]
    pub fn pending(&self) -> Pending {
        let under_way = self.session.has_sent();
        match (self.work.committed, self.step) {
            (Committed::No, _) if self.work.task.is_earlier() => Pending::Persistent,
            (Committed::No, _) => Pending::None,
            (_, Step::Commit | Step::Edit) if !under_way => Pending::None,
            (Committed::Asked, _) if self.session.is_over() || self.step != Step::Ready => {
                Pending::Unknown
            }
            (Committed::Asked, _) => Pending::None,
            (_, Step::Confirm | Step::Cancel | Step::UndoCommit) if under_way => Pending::Unknown,
            (Committed::Waits, _) if self.has_persist() => Pending::Persistent,
            (Committed::Waits, _) => Pending::Reverts,
            (Committed::Done, _) => Pending::None,
        }
    }
}
