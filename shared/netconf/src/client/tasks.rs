//! Tasks: what an owner asks of a session.

use super::{Abort, Client, Failure, MAX_INTERFACE, Outcome, Pending, Refusal, Step};
use crate::dialect::{Dialect, Table};
use crate::hello::Capabilities;
use crate::text::{clip, same_port};
use crate::vlan::{Observed, PortVlans, VlanChange};
use heapless::String;

/// A change of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flip<'a> {
    /// The port, as the switch calls it; without a logical unit.
    pub interface: &'a str,
    /// The VLANs that it is to have; at least one.
    pub desired: PortVlans,
    /// The VLANs that it must have before; `None`: any that can be written back.
    pub expected: Option<PortVlans>,
    /// VLANs that are made and removed with it, in the same edit.
    pub vlan: VlanChange,
    /// A trunk that is to carry the untagged VLAN of the port as well, and no longer
    /// the one that is removed; empty for none. Its other VLANs stay.
    pub trunk: &'a str,
    /// Time after which the switch takes an unconfirmed change back, in seconds;
    /// not 0. Some dialects round it up to minutes.
    pub confirm_timeout_s: u32,
    /// A random number by which another session can confirm or cancel the change.
    /// It is a secret of the owner.
    pub persist_id: u64,
}

/// What a task is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Task {
    #[default]
    Flip,
    /// Confirms the change of an earlier session.
    Confirm,
    /// Cancels the change of an earlier session.
    Cancel,
    Port,
    Macs,
    Neighbours,
    Link,
    Close,
}

impl Task {
    /// The table that the task reads, where the dialect has it.
    pub(super) const fn table(self, dialect: &Dialect) -> Option<&'static Table> {
        match self {
            Self::Neighbours => dialect.neighbours,
            Self::Link => dialect.links,
            _ => dialect.macs,
        }
    }

    /// Returns whether the task ends the change of an earlier session.
    pub(super) const fn is_earlier(self) -> bool {
        matches!(self, Self::Confirm | Self::Cancel)
    }
}

/// How far the change came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Committed {
    #[default]
    No,
    /// It was asked for; the answer is awaited, or was an error.
    Asked,
    /// It waits for its confirmation.
    Waits,
    /// It is permanent.
    Done,
}

/// A task and its progress.
#[derive(Debug, Clone, Default)]
pub(super) struct Work {
    pub(super) interface: String<MAX_INTERFACE, u8>,
    pub(super) description: String<MAX_INTERFACE, u8>,
    pub(super) desired: PortVlans,
    pub(super) expected: Option<PortVlans>,
    /// The port before the change.
    pub(super) old: Option<PortVlans>,
    pub(super) observed: Observed,
    pub(super) change: VlanChange,
    /// What the edit that takes the change back does with VLANs.
    pub(super) way_back: VlanChange,
    pub(super) trunk: String<MAX_INTERFACE, u8>,
    /// The VLANs of the trunk that count.
    pub(super) trunk_vlans: VlanChange,
    /// What the edits do with its list.
    pub(super) trunk_change: VlanChange,
    pub(super) trunk_back: VlanChange,
    pub(super) timeout_s: u32,
    pub(super) persist_id: u64,
    pub(super) rows: u32,
    pub(super) task: Task,
    pub(super) locked: bool,
    pub(super) edited: bool,
    pub(super) committed: Committed,
    /// The change was taken back by an edit, or that was tried.
    pub(super) undone: bool,
    /// Its commit names the persist-id; and is sent the other way for once.
    pub(super) undo_by_id: bool,
    pub(super) undo_repeated: bool,
    pub(super) aborting: bool,
    pub(super) tidy: bool,
    pub(super) has_error: bool,
    pub(super) lost: bool,
    pub(super) outcome: Option<Outcome>,
    pub(super) failed_at: Step,
    pub(super) pending: Pending,
}

impl Client {
    /// Begins to change a port: lock, read, edit, validate, commit, read back.
    /// It waits at [`Step::Evidence`] for [`Self::confirm`] or [`Self::cancel`].
    ///
    /// Without confirmed commits the change is permanent at that step, and a
    /// cancellation writes the port's former VLANs.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was sent.
    pub fn flip(&mut self, flip: &Flip<'_>) -> Result<(), Refusal> {
        self.check_flip(flip)?;
        self.take(Task::Flip, flip);
        self.enter(Step::Lock);
        Ok(())
    }

    /// Confirms the change of an earlier session by its persist-id, if the port is
    /// as wanted. `flip` is the one of that session.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was sent.
    pub fn confirm_earlier(&mut self, flip: &Flip<'_>) -> Result<(), Refusal> {
        self.earlier(Task::Confirm, flip)
    }

    /// Cancels the change of an earlier session by its persist-id. If `flip` says
    /// which VLANs were expected, the port is brought back to them even if that
    /// does not help, and its VLAN changes are taken back with it.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was sent.
    pub fn cancel_earlier(&mut self, flip: &Flip<'_>) -> Result<(), Refusal> {
        self.earlier(Task::Cancel, flip)
    }

    fn earlier(&mut self, task: Task, flip: &Flip<'_>) -> Result<(), Refusal> {
        self.check_flip(flip)?;
        if !self.has_persist() || !self.has_candidate() {
            return Err(Refusal::NoPersistId);
        }
        self.take(task, flip);
        self.work.old.clone_from(&flip.expected);
        self.work.trunk_change = match flip.trunk {
            "" => VlanChange::NONE,
            _ => self.work.change,
        };
        self.enter(Step::Lock);
        Ok(())
    }

    /// Reads the VLANs and the description of a port.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was sent.
    pub fn read_port(&mut self, interface: &str) -> Result<(), Refusal> {
        self.check(interface)?;
        self.reset(Task::Port, interface);
        self.enter(Step::ReadPort);
        Ok(())
    }

    /// Reads the table of hardware addresses; of one port, or of all where
    /// `interface` is empty. The rows go to the visitor of [`Self::receive`].
    ///
    /// # Errors
    /// [`Refusal`]; nothing was sent.
    pub fn read_macs(&mut self, interface: &str) -> Result<(), Refusal> {
        self.read_table(Task::Macs, interface)
    }

    /// Reads the table of LLDP neighbours, like [`Self::read_macs`].
    ///
    /// # Errors
    /// [`Refusal`]; nothing was sent.
    pub fn read_neighbours(&mut self, interface: &str) -> Result<(), Refusal> {
        self.read_table(Task::Neighbours, interface)
    }

    /// Reads whether a port has a link, like [`Self::read_macs`].
    ///
    /// # Errors
    /// [`Refusal`]; nothing was sent.
    pub fn read_link(&mut self, interface: &str) -> Result<(), Refusal> {
        self.check(interface)?;
        self.read_table(Task::Link, interface)
    }

    fn read_table(&mut self, task: Task, interface: &str) -> Result<(), Refusal> {
        let name = match interface {
            "" => "any",
            name => name,
        };
        let dialect = self.check(name)?;
        task.table(dialect).ok_or(Refusal::Unsupported)?;
        self.reset(task, interface);
        self.enter(Step::ReadTable);
        Ok(())
    }

    /// Closes the session in order; the channel is closed at [`Step::Over`].
    ///
    /// # Errors
    /// [`Refusal::Busy`].
    pub fn close(&mut self) -> Result<(), Refusal> {
        if self.step != Step::Ready {
            return Err(Refusal::Busy);
        }
        self.reset(Task::Close, "");
        self.enter(Step::Close);
        Ok(())
    }

    /// Confirms the change that waits at [`Step::Evidence`]. Returns whether one
    /// was waiting.
    pub fn confirm(&mut self) -> bool {
        let waiting = self.step == Step::Evidence;
        if waiting {
            self.enter(match self.work.committed {
                Committed::Waits => Step::Confirm,
                _ => Step::ReadConfirmed,
            });
        }
        waiting
    }

    /// Takes the change back that waits at [`Step::Evidence`]. Returns whether one
    /// was waiting.
    pub fn cancel(&mut self) -> bool {
        let waiting = self.step == Step::Evidence;
        if waiting {
            self.work.outcome = Some(Outcome::Cancelled);
            let next = self.restore();
            self.enter(next);
        }
        waiting
    }

    /// Gives a task up in an orderly way: what was changed is taken back as soon as
    /// the switch answers the request under way. A confirmed change stays. If the
    /// switch does not answer in time either, abort again.
    pub fn abort(&mut self) -> Abort {
        if self.step == Step::Evidence {
            self.work.aborting = true;
            self.fail(Failure::Aborted);
            let next = self.restore();
            self.enter(next);
            return Abort::Orderly;
        }
        let idle = matches!(self.step, Step::Ready | Step::Over);
        if idle || self.step == Step::Hello || self.work.aborting {
            self.lose(Failure::Aborted);
            return Abort::Close;
        }
        self.work.aborting = true;
        Abort::Orderly
    }

    fn check(&self, interface: &str) -> Result<&'static crate::dialect::Dialect, Refusal> {
        if self.step != Step::Ready {
            return Err(Refusal::Busy);
        }
        let valid = (1..=MAX_INTERFACE).contains(&interface.len());
        if !valid || interface.contains(char::is_control) {
            return Err(Refusal::Interface);
        }
        self.dialect().ok_or(Refusal::NoDialect)
    }

    fn check_flip(&self, flip: &Flip<'_>) -> Result<(), Refusal> {
        let dialect = self.check(flip.interface)?;
        if flip.desired.is_none() {
            return Err(Refusal::NoVlan);
        }
        if !flip.trunk.is_empty() {
            self.check(flip.trunk)?;
            if same_port(flip.trunk, flip.interface) {
                return Err(Refusal::Interface);
            }
            dialect.trunk_edit.ok_or(Refusal::Unsupported)?;
        }
        let tagged = |vlans: &PortVlans| !vlans.tagged().is_empty();
        let trunk = tagged(&flip.desired) || flip.expected.as_ref().is_some_and(tagged);
        if (trunk && dialect.trunk.is_none())
            || (flip.vlan != VlanChange::NONE && dialect.vlan_edit.is_none())
        {
            return Err(Refusal::Unsupported);
        }
        if !self.has(Capabilities::CANDIDATE | Capabilities::WRITABLE_RUNNING) {
            return Err(Refusal::NotWritable);
        }
        if flip.confirm_timeout_s == 0 {
            return Err(Refusal::Timeout);
        }
        Ok(())
    }

    fn reset(&mut self, task: Task, interface: &str) {
        self.session.reply.keep_error(false);
        self.work = Work {
            task,
            interface: clip(interface),
            tidy: true,
            ..Work::default()
        };
    }

    fn take(&mut self, task: Task, flip: &Flip<'_>) {
        self.reset(task, flip.interface);
        let work = &mut self.work;
        work.desired = flip.desired.clone();
        work.expected.clone_from(&flip.expected);
        work.change = VlanChange {
            remove: flip
                .vlan
                .remove
                .filter(|_| flip.vlan.make != flip.vlan.remove),
            ..flip.vlan
        };
        work.trunk = clip(flip.trunk);
        work.trunk_vlans = VlanChange {
            make: work.desired.untagged(),
            ..work.change
        };
        work.timeout_s = flip.confirm_timeout_s;
        work.persist_id = flip.persist_id;
    }
}
