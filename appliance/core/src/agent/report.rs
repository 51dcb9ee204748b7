//! What agents state: put together from its parts, verified, kept as
//! evidence, and what follows from it.

use crate::identity::{agent_contradicts, is_real_uuid};
use crate::interface::Instant;
use crate::interface::{Effects, StatementRef};
use crate::node::agent_phase;
use crate::node::flags::Flags;
use crate::node::{Architecture, Job, Written};
use crate::node::{Node, Reason};
use crate::provisioning::steps::Step;
use crate::rack::{DiskSlot, PartSlot, REASSEMBLIES, Rack, count, edit};
use farrier_asset_store::SlotPart;
use farrier_lifecycle::{ProvisionEvent, ProvisionState};
use farrier_protocol::digest::{Inspection, Report, Statement};
use farrier_protocol::message::{self, BootId, DiskId, Failure, Part, Refusal};
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
        let verified = signing::verify_statement_digest(&boot_key, id, boot, signed);
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
            node.boot.last_statement = statement.counter;
            if inspection {
                node.hardware.statement_len = len;
            }
        }
        self.learn(now, index, &statement, statement_place, out);
        Answer::Stored(part.statement)
    }

    /// What follows from a statement that holds.
    fn learn(
        &mut self,
        now: Instant,
        index: usize,
        statement: &Statement,
        place: StatementRef,
        out: &mut Effects,
    ) {
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        // A statement about an order that is over (a state was aborted or
        // ran into its deadline) is kept as evidence and moves nothing.
        let Some(order) = node.boot.order.filter(|o| o.counter == statement.order) else {
            return;
        };
        match &statement.report {
            Report::Inspection(inspection) => {
                self.inspected(now, index, inspection, place, out);
            }
            Report::Erased(certificate) if order.job == Job::Erase => {
                self.certified(now, index, certificate, out);
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
                        image_bytes: proof.image_bytes,
                        fetched_bytes: proof.fetched_bytes,
                        refetched_chunks: proof.refetched_chunks,
                        peak_rss_kib: proof.peak_rss_kib,
                    });
                    node.boot.order = None;
                    node.config_drive = None;
                    self.step_done(now, index, out);
                }
            }
            Report::Failure(failure) => self.failed(now, index, failure, out),
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
        inspection: &Inspection,
        place: StatementRef,
        out: &mut Effects,
    ) {
        let Ok(owner) = u16::try_from(index) else {
            return;
        };
        let (uuid, serial) = (inspection.system_uuid, inspection.serial.0);
        let known = self.nodes.get(index);
        // The agent says in its handshake which machine it is, if the machine
        // knows: an inventory makes it no other one.
        let silent = |node: &Node| !node.flags.contains(Flags::IDENTIFIED) && is_real_uuid(&uuid);
        if known.is_none_or(|node| agent_contradicts(node, &uuid, Some(serial)) || silent(node)) {
            self.other_machine(now, index, &uuid, out);
            return;
        }
        if !self.identify(index, inspection) {
            // What spoke is a part of another node: its machine has to boot
            // as that one.
            return;
        }
        if self.belongs_to_other(index, inspection) && !cfg!(farrier_bug = "port-moved") {
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
        if due == Some(Step::Erase) && self.misses_disk(index, inspection) {
            self.fail(now, index, Reason::Unproven, out);
            return;
        }
        let disks = inspection.disks.iter().map(|disk| disk.id.clone());
        let same_disks = self.disks(index).eq(disks);
        let mut full = !self.has_room_for_disks(index, inspection.disks.len());
        self.disks.retain(|slot| slot.node != owner);
        let listed = if full { &[][..] } else { &inspection.disks };
        for (place, disk) in listed.iter().enumerate() {
            let place = u8::try_from(place).unwrap_or(u8::MAX);
            let slot = DiskSlot::new(owner, place, &disk.id.serial, disk.id.size);
            full |= self.disks.push(slot).is_err();
        }
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
        node.hardware.cpus = inspection.cpu.count;
        node.hardware.memory_mib = inspection.memory_mib;
        node.hardware.architecture = Architecture::new(&inspection.cpu.architecture);
        let largest = inspection.disks.iter().map(|d| d.id.size).max();
        node.hardware.local_gib = u32::try_from(largest.unwrap_or(0) >> 30).unwrap_or(u32::MAX);
        let (link, parts) = crate::node::hardware::parts(inspection);
        node.hardware.link = link;
        node.hardware.parts = parts;
        if unproven.count > 0 {
            node.set_error(format_args!("not proven empty: {}", unproven.text));
        }
        if full {
            count(&mut self.counters.disks_full);
            self.warn(index, "the appliance's table of disks is full");
            self.fail(now, index, Reason::DisksFull, out);
        } else if unproven.count > 0 && due == Some(Step::Erase) {
            self.fail(now, index, Reason::Unproven, out);
        } else if inspection.disks.is_empty() && matches!(due, Some(Step::Erase | Step::Write)) {
            self.warn(index, "the machine has no disk that can be written");
            self.fail(now, index, Reason::NoDisks, out);
        } else if due == Some(Step::Inspect) && matches!(state, ProvisionState::Inspecting) {
            self.event(now, index, ProvisionEvent::Done, Reason::Inspected, out);
        } else if due == Some(Step::Inspect) {
            self.step_done(now, index, out);
        }
    }

    /// Whether a disk is missing that the node had at its last inspection. Nobody
    /// has erased it, and it may be there again after the next power cycle.
    fn misses_disk(&mut self, index: usize, inspection: &Inspection) -> bool {
        let there = |id: &DiskId| inspection.disks.iter().any(|disk| disk.id == *id);
        let missing = self.disks(index).find(|id| !there(id));
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
