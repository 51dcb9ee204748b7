//! What an erasure has to be, and when a node counts as erased: every disk has a
//! certificate that suffices, nothing of the machine is unproven, and a sample was
//! read again after a restart.

use crate::interface::{CommandError, Effects, Instant, erase_method, erase_method_name};
use crate::node::flags::Flags;
use crate::node::{Happening, Job, Reason};
use crate::rack::{Rack, edit};
use crate::strings::{Kind, StringPool};
use farrier_lifecycle::ProvisionState;
use farrier_protocol::marks;
use farrier_protocol::message::{
    BootId, DiskId, EraseCertificate, EraseMethod, MAX_DISKS, MAX_ORDER_DISKS,
};
use heapless::Vec;

/// The weakest method by which disks of a node may be erased, where the node has one
/// of its own.
pub fn own_least_erase(texts: &StringPool, node: usize) -> Option<EraseMethod> {
    erase_method(texts.get(node, Kind::LeastErase))
}

/// Whether a certificate is what an order of this method asks for. Bytes that a
/// command left show that the disk does not carry it out. Only a discard may be a
/// hint.
fn suffices(certificate: &EraseCertificate, least: EraseMethod) -> bool {
    let carried_out = certificate.repaired_bytes == 0
        || certificate.method == EraseMethod::Overwrite
        || least == EraseMethod::Discard;
    certificate.method >= least && carried_out
}

/// The bits of a batch of disks.
const fn bits_of(batch: u8) -> u64 {
    const LOWEST: u64 = u64::MAX >> (64 - MAX_ORDER_DISKS);
    LOWEST << (batch as usize * MAX_ORDER_DISKS % MAX_DISKS)
}

const _: () = assert!(MAX_DISKS <= 64 && MAX_DISKS.is_multiple_of(MAX_ORDER_DISKS));

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// The weakest method by which the disks of a node may be erased.
    pub(crate) fn least_erase(&self, index: usize) -> EraseMethod {
        own_least_erase(&self.texts, index).unwrap_or(self.config.least_erase)
    }

    /// Sets the weakest method of a node; `None` for that of the rack.
    pub(crate) fn set_least_erase(
        &mut self,
        now: Instant,
        index: usize,
        least: Option<EraseMethod>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        if own_least_erase(&self.texts, index) == least {
            return Ok(());
        }
        self.set_text(index, Kind::LeastErase, least.map_or("", erase_method_name))?;
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        let why = (node.state, Reason::Requested);
        self.remember(now, index, Happening::LeastErase(least), why, out);
        Ok(())
    }

    /// The bits of a node's disks, by their places.
    fn all_disks(&self, index: usize) -> u64 {
        self.disk_slots(index).fold(0, |all, slot| {
            all | 1_u64.checked_shl(slot.place.into()).unwrap_or(0)
        })
    }

    /// The disks of a batch of a node.
    pub(crate) fn batch(&self, index: usize, batch: u8) -> Option<Vec<DiskId, MAX_ORDER_DISKS>> {
        let mut disks = Vec::new();
        let own = self.disk_slots(index);
        for slot in own.filter(|slot| usize::from(slot.place) / MAX_ORDER_DISKS == batch.into()) {
            disks.push(slot.id()).ok()?;
        }
        Some(disks)
    }

    /// Begins the next batch of an order about all disks: the first with a disk that
    /// is not done, or all of them anew.
    pub(crate) fn begin_batch(&mut self, index: usize) -> u8 {
        let all = self.all_disks(index);
        let Some(node) = edit!(self, index) else {
            return 0;
        };
        let batches = 0..(MAX_DISKS / MAX_ORDER_DISKS) as u8;
        let left = |batch: &u8| all & !node.boot.erased & bits_of(*batch) != 0;
        let batch = batches.into_iter().find(left);
        if batch.is_none() {
            node.boot.erased = 0;
        }
        let batch = batch.unwrap_or(0);
        node.boot.erased &= !bits_of(batch);
        batch
    }

    /// The seed of the marks on a node's disks: of the erasure that is to be read again,
    /// else of one in the present boot.
    pub(crate) fn erase_seed(&self, index: usize, job: Job) -> Option<[u8; 32]> {
        let node = self.nodes.get(index)?;
        let boot = match job {
            Job::Reread => node.erased_in,
            _ => node.boot.id,
        };
        let secret = &self.secrets.as_ref()?.marks;
        Some(marks::seed(secret, &node.id.0, boot.0))
    }

    /// A disk was erased.
    pub(crate) fn certified(
        &mut self,
        now: Instant,
        index: usize,
        certificate: &EraseCertificate,
        out: &mut Effects,
    ) {
        let least = self.least_erase(index);
        let place = self
            .disk_slots(index)
            .find(|slot| slot.is(&certificate.disk))
            .map(|slot| slot.place);
        let Some(place) = place.filter(|_| certificate.verified_bytes == certificate.disk.size)
        else {
            return;
        };
        let Some(node) = edit!(self, index) else {
            return;
        };
        if suffices(certificate, least) {
            node.boot.erased |= 1_u64.checked_shl(place.into()).unwrap_or(0);
            return;
        }
        node.set_error(format_args!(
            "disk {}: erased by {} with {} bytes left, ordered was at least {}",
            certificate.disk.serial,
            erase_method_name(certificate.method),
            certificate.repaired_bytes,
            erase_method_name(least),
        ));
        self.fail(now, index, Reason::WeakErasure, out);
    }

    /// The agent says that an order about several disks is done.
    pub(crate) fn batch_done(
        &mut self,
        now: Instant,
        index: usize,
        job: Job,
        batch: u8,
        out: &mut Effects,
    ) {
        let all = self.all_disks(index);
        let Some(node) = edit!(self, index) else {
            return;
        };
        node.boot.order = None;
        let cleaning = node.state == ProvisionState::Cleaning;
        if job == Job::Reread {
            node.boot.erased |= all & bits_of(batch);
        }
        let missing = all & !node.boot.erased;
        if cfg!(farrier_bug = "failed-clean") && cleaning {
            self.erased(now, index, out);
        } else if all == 0 || missing & bits_of(batch) != 0 || !cleaning {
            self.warn(
                index,
                "the agent is done, but not every disk has a certificate",
            );
            self.fail(now, index, Reason::CertificatesMissing, out);
        } else if missing != 0 {
            // The agent asks for the next batch.
        } else if node.hardware.unproven > 0 {
            self.fail(now, index, Reason::Unproven, out);
        } else if job == Job::Erase
            && self.config.reread
            && !node.flags.contains(Flags::MANUAL_CLEAN)
        {
            // The agent asks, and restarts the machine.
            node.erased_in = node.boot.id;
        } else {
            self.erased(now, index, out);
        }
    }

    fn erased(&mut self, now: Instant, index: usize, out: &mut Effects) {
        if let Some(node) = edit!(self, index) {
            node.erased_in = BootId(0);
            node.flags.insert(Flags::ERASED);
        }
        self.step_done(now, index, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificate_has_to_be_what_was_ordered() {
        use EraseMethod::{Discard, Overwrite, WriteZeroes};
        let all = [
            (Discard, 0, Discard, true),
            (Discard, 512, Discard, true),
            (Discard, 0, WriteZeroes, false),
            (WriteZeroes, 0, WriteZeroes, true),
            (WriteZeroes, 512, WriteZeroes, false),
            (Overwrite, 512, WriteZeroes, true),
            (WriteZeroes, 0, Overwrite, false),
            (Overwrite, 0, Overwrite, true),
        ];
        for (method, repaired_bytes, least, expected) in all {
            let certificate = EraseCertificate {
                disk: DiskId {
                    serial: heapless::String::new(),
                    size: 1024,
                },
                method,
                verified_bytes: 1024,
                repaired_bytes,
                millis: 0,
            };
            assert_eq!(suffices(&certificate, least), expected, "{certificate:?}");
        }
    }

    #[test]
    fn batches_cover_all_disks_once() {
        let batches = [0, 1, 2, 3].map(bits_of);
        assert_eq!(batches.iter().fold(0, |all, bits| all | bits), u64::MAX);
        assert_eq!(
            batches.iter().map(|bits| bits.count_ones()).sum::<u32>(),
            64
        );
    }
}
