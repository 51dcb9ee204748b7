//! What agents state: put together from its parts, verified, kept as
//! evidence, and what follows from it.

use crate::identity::{agent_contradicts, is_real_uuid};
use crate::interface::Instant;
use crate::interface::{Effects, StatementRef};
use crate::node::agent_phase;
use crate::node::flags::Flags;
use crate::node::hardware::Found;
use crate::node::{Job, Written};
use crate::node::{Node, Reason};
use crate::provisioning::steps::Step;
use crate::rack::{DiskSlot, PartSlot, REASSEMBLIES, Rack, count, edit};
use core::num::NonZeroU64;
use farrier_asset_store::SlotPart;
use farrier_lifecycle::{ProvisionEvent, ProvisionState};
use farrier_protocol::borrowed::{Inspection, Report, Statement};
use farrier_protocol::message::{self, BootId, Failure, MAX_DISKS, Part, Refusal};
use farrier_protocol::parts::{Arrived, PartError};
use farrier_protocol::signing::{self, PublicKey};

use super::Answer;

/// A statement that does not grow for so long loses its place, in
/// milliseconds.
const STALE_MILLIS: u64 = 5_000;
/// A statement that is not whole after so long loses its place where another
/// agent wants it, in milliseconds.
const WHOLE_MILLIS: u64 = 60_000;
/// So many statements of agents that have no order are put together at once,
/// and one more in so many milliseconds.
const SPARE: u32 = 8;
const SPARE_MILLIS: u64 = 5_000;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    pub(super) fn part(
        &mut self,
        now: Instant,
        index: usize,
        part: &Part<'_>,
        fresh: bool,
        out: &mut Effects,
    ) -> Answer {
        let Some(node) = self.nodes.get(index) else {
            return Answer::Busy;
        };
        if part.statement <= node.boot.last_statement {
            return Answer::Stored(part.statement);
        }
        let boot_key = PublicKey(node.boot.boot_key);
        let (id, boot) = (node.id, node.boot.id);
        let ordered = node.boot.order.is_some();
        let Some(place) = claim(&self.parts, now, index, ordered) else {
            return Answer::Busy;
        };
        let Some(slot) = self.parts.get_mut(place) else {
            return Answer::Busy;
        };
        if slot.owner != Some(index) {
            // Anybody can send the last request of an agent again: that takes
            // no place from others. And what comes without an order is kept
            // as evidence now and then only.
            let may = fresh && (ordered || self.spare_statements.take(now, SPARE, SPARE_MILLIS));
            if !may {
                return Answer::Busy;
            }
            slot.reassembly.clear();
            slot.owner = Some(index);
            (slot.begun, slot.grown, slot.have) = (now, now, 0);
            slot.ordered = ordered;
        }
        let signed = match slot.reassembly.push(part) {
            Ok(Arrived::Some(have)) => {
                if slot.have != have {
                    (slot.have, slot.grown) = (have, now);
                }
                return Answer::Partial(have);
            }
            Ok(Arrived::All(signed)) => signed,
            Err(error) => {
                count(&mut self.counters.statements_refused);
                return Answer::Refused(match error {
                    PartError::TooLong => Refusal::TooLong,
                    _ => Refusal::Malformed,
                });
            }
        };
        let verified = signing::verify_statement_borrowed(&boot_key, id, boot, signed);
        let refusal = match &verified {
            Ok(statement) if statement.counter == part.statement => None,
            Ok(_) | Err(signing::SigningError::Misaddressed) => Some(Refusal::Misaddressed),
            Err(signing::SigningError::Malformed) => Some(Refusal::Malformed),
            Err(_) => Some(Refusal::BadSignature),
        };
        let (Ok(statement), None) = (verified, refusal) else {
            count(&mut self.counters.statements_refused);
            slot.owner = None;
            return Answer::Refused(refusal.unwrap_or(Refusal::Malformed));
        };
        count(&mut self.counters.statements);
        let (counter, order) = (statement.counter, statement.order);
        let len = u16::try_from(signed.len()).unwrap_or(0);
        let inspection = matches!(statement.report, Report::Inspection(_));
        let kept = if inspection {
            SlotPart::Inspection
        } else {
            SlotPart::Statement
        };
        let statement_place = StatementRef {
            place,
            len: signed.len(),
        };
        out.store_statement(index, kept, statement_place);
        slot.owner = None;
        if let Some(node) = edit!(self, index) {
            node.boot.last_statement = counter;
            if inspection {
                node.hardware.statement_len = len;
            }
        }
        self.learn(now, index, order, statement_place, out);
        Answer::Stored(part.statement)
    }

    /// What follows from a statement that holds. It is read again where it is
    /// kept: by value it would be the largest thing on the stack.
    fn learn(
        &mut self,
        now: Instant,
        index: usize,
        order: u32,
        place: StatementRef,
        out: &mut Effects,
    ) {
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        // A statement about an order that is over (a state was aborted or
        // ran into its deadline) is kept as evidence and moves nothing.
        let Some(order) = node.boot.order.filter(|given| given.counter == order) else {
            return;
        };
        let Some(statement) = Statement::read(self.statement(place)) else {
            return;
        };
        match statement.report {
            Report::Inspection(inspection) => {
                let found = Found::new(&inspection);
                self.inspected(now, index, &found, place, out);
            }
            Report::Erased(certificate) if order.job == Job::Erase => {
                self.certified(now, index, &certificate, out);
            }
            Report::Done if matches!(order.job, Job::Erase | Job::Reread) => {
                self.batch_done(now, index, order.job, order.batch, out);
            }
            Report::ImageWritten(proof) if order.job == Job::Deploy => {
                let image = self.image_of(index);
                let expected = image.map(|image| image.root);
                let ordered = image.and_then(|image| self.target_disk(index, image.raw_size));
                if expected != Some(proof.manifest_root) {
                    self.warn(index, "the agent proved another image than the one ordered");
                    self.fail(now, index, Reason::WrongImage, out);
                } else if ordered.as_ref() != Some(&proof.disk) {
                    self.warn(
                        index,
                        "the agent proved an image on another disk than the one ordered",
                    );
                    self.fail(now, index, Reason::WrongDisk, out);
                } else if let Some(node) = edit!(self, index) {
                    node.written = Some(Written {
                        image_bytes: NonZeroU64::new(proof.image_bytes).unwrap_or(NonZeroU64::MIN),
                        fetched_bytes: proof.fetched_bytes,
                        refetched_chunks: proof.refetched_chunks,
                        peak_rss_kib: proof.peak_rss_kib,
                    });
                    node.boot.order = None;
                    node.config_drive = None;
                    self.step_done(now, index, out);
                }
            }
            Report::Failure(failure) => self.failed(now, index, &failure, out),
            _ => {}
        }
    }

    fn failed(&mut self, now: Instant, index: usize, failure: &Failure, out: &mut Effects) {
        if let Some(node) = edit!(self, index) {
            node.set_error(format_args!(
                "{:?} failed, reason {} ({:?}): {}",
                failure.step, failure.reason as u8, failure.reason, failure.text
            ));
        }
        if failure.reason == message::Reason::DevicesChanged
            && let Some(node) = edit!(self, index)
        {
            // The next work looks at the machine again.
            node.boot.inspected = false;
        }
        self.fail(now, index, Reason::AgentFailed, out);
    }

    fn inspected(
        &mut self,
        now: Instant,
        index: usize,
        found: &Found,
        place: StatementRef,
        out: &mut Effects,
    ) {
        let Ok(owner) = u16::try_from(index) else {
            return;
        };
        let (uuid, serial) = (found.system_uuid, found.serial);
        let known = self.nodes.get(index);
        // The agent says in its handshake which machine it is, if the machine
        // knows: an inventory makes it no other one.
        let silent = |node: &Node| !node.flags.contains(Flags::IDENTIFIED) && is_real_uuid(&uuid);
        if known.is_none_or(|node| agent_contradicts(node, &uuid, Some(serial)) || silent(node)) {
            self.other_machine(now, index, &uuid, out);
            return;
        }
        if !self.identify(index, found) {
            // What spoke is a part of another node: its machine has to boot
            // as that one.
            return;
        }
        if self.belongs_to_other(index, found) && !cfg!(farrier_bug = "port-moved") {
            // Both are in use, and the other one's tenant may be on these
            // disks: nothing is done to them under this name.
            self.fail(now, index, Reason::OtherNode, out);
            return;
        }
        if self.touch(index).is_none() {
            return;
        }
        let unproven = self.unproven(index, place);
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        let state = node.state;
        let due = agent_phase(state).and_then(|_| node.step());
        if due == Some(Step::Erase) && self.misses_disk(index, place) {
            self.fail(now, index, Reason::Unproven, out);
            return;
        }
        let room = self.has_room_for_disks(index, found.disks);
        let Some((same_disks, kept)) = self.keep_disks(owner, place, room) else {
            return;
        };
        let full = !kept;
        let Some(node) = edit!(self, index) else {
            return;
        };
        node.boot.inspected = !full;
        node.boot.order = None;
        node.boot.erased = 0;
        node.hardware.unproven = unproven.count;
        if !same_disks {
            // What was erased were others.
            node.erased_in = BootId(0);
        }
        node.hardware.cpus = found.cpus;
        node.hardware.memory_mib = found.memory_mib;
        node.hardware.architecture = found.architecture;
        node.hardware.local_gib = found.local_gib;
        node.hardware.link = found.link;
        node.hardware.parts = found.parts;
        if unproven.count > 0 {
            node.set_error(format_args!("not proven empty: {}", unproven.text));
        }
        if full {
            count(&mut self.counters.disks_full);
            self.warn(index, "the appliance's table of disks is full");
            self.fail(now, index, Reason::DisksFull, out);
        } else if unproven.count > 0 && due == Some(Step::Erase) {
            self.fail(now, index, Reason::Unproven, out);
        } else if found.disks == 0 && matches!(due, Some(Step::Erase | Step::Write)) {
            self.warn(index, "the machine has no disk that can be written");
            self.fail(now, index, Reason::NoDisks, out);
        } else if due == Some(Step::Inspect) && matches!(state, ProvisionState::Inspecting) {
            self.event(now, index, ProvisionEvent::Done, Reason::Inspected, out);
        } else if due == Some(Step::Inspect) {
            self.step_done(now, index, out);
        }
    }

    /// Puts the disks of an inspection in place of those that a node had, or none
    /// where there is no room for them. Returns whether they are the same in the
    /// same order, and whether all are kept; nothing where the inspection can not
    /// be read.
    fn keep_disks(&mut self, owner: u16, place: StatementRef, room: bool) -> Option<(bool, bool)> {
        // Not with `statement`: the table of disks changes beside it.
        let slot = self.parts.get(place.place)?;
        let inspection = Inspection::read(slot.reassembly.whole(place.len))?;
        let mut had = self.disks.iter().filter(|slot| slot.node == owner);
        let same = inspection.disks.iter().all(|disk| {
            let slot = had.next();
            slot.is_some_and(|slot| slot.names(&disk.id.serial, disk.id.size))
        });
        let same = same && had.next().is_none();
        self.disks.retain(|slot| slot.node != owner);
        let mut kept = room;
        for (place, disk) in inspection.disks.iter().enumerate().filter(|_| room) {
            let place = u8::try_from(place).unwrap_or(u8::MAX);
            let slot = DiskSlot::new(owner, place, &disk.id.serial, disk.id.size);
            kept &= self.disks.push(slot).is_ok();
        }
        Some((same, kept))
    }

    /// Whether a disk is missing that the node had at its last inspection. Nobody
    /// has erased it, and it may be there again after the next power cycle.
    fn misses_disk(&mut self, index: usize, place: StatementRef) -> bool {
        let Some(inspection) = Inspection::read(self.statement(place)) else {
            return true;
        };
        // Disk n of the node is there: bit n. Each disk of the inspection is
        // decoded once; a search for each of the node's would decode all.
        let bit = |n: usize| u32::try_from(n).ok().and_then(|n| 1u64.checked_shl(n));
        let mut there = 0;
        for disk in inspection.disks.iter() {
            for (n, slot) in self.disk_slots(index).enumerate() {
                if slot.names(&disk.id.serial, disk.id.size) {
                    there |= bit(n).unwrap_or(0);
                }
            }
        }
        let missing = self
            .disk_slots(index)
            .enumerate()
            .find(|(n, _)| there & bit(*n).unwrap_or(0) == 0)
            .map(|(_, slot)| slot.id());
        if let Some(disk) = &missing
            && let Some(node) = edit!(self, index)
        {
            node.boot.order = None;
            node.hardware.unproven = node.hardware.unproven.max(1);
            node.set_error(format_args!(
                "not proven empty: the disk {} is missing that was there at the last \
                 inspection. Put it back, or manage and inspect the node without it",
                disk.serial
            ));
        }
        missing.is_some()
    }
}

const _: () = assert!(MAX_DISKS <= 64, "a word has a bit for each disk of a node");

/// The place where a node's statement is put together: its own, else a free
/// one, else one that was given up, else that of an agent which has no order,
/// where this one has.
fn claim(
    parts: &[PartSlot; REASSEMBLIES],
    now: Instant,
    node: usize,
    ordered: bool,
) -> Option<usize> {
    let find = |wanted: &dyn Fn(&PartSlot) -> bool| parts.iter().position(wanted);
    find(&|slot| slot.owner == Some(node))
        .or_else(|| find(&|slot| slot.owner.is_none()))
        .or_else(|| {
            find(&|slot| {
                now.since(slot.grown) >= STALE_MILLIS || now.since(slot.begun) >= WHOLE_MILLIS
            })
        })
        .or_else(|| find(&|slot| ordered && !slot.ordered))
}
