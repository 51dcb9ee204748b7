//! Reads a sample of erased disks again, in a boot after the one that erased them.
//!
//! A disk that answers from memory what it did not store shows its old content
//! after a restart. The sample has the start and the end of the disk, where every
//! disk in use has data, and the places of the [marks](farrier_protocol::marks),
//! which no disk can foresee.

use std::io;

use farrier_protocol::marks::{MARK_LEN, Marks};
use farrier_protocol::message::{AgentStep, Failure, Reason};

use super::erase::EraseJob;
use super::{Meter, failure};
use crate::device::{AlignedBuffer, BlockDevice};

/// Bytes that are read at the place of a mark.
const WINDOW: u64 = 256 << 10;
/// Bytes that are read at the start and at the end of a disk.
const EDGE: u64 = 1 << 20;

/// Reads the sample of each disk, one disk after the other. Returns one failure for
/// each disk that is not empty or can't be read.
pub fn reread_all<D: BlockDevice>(
    jobs: Vec<EraseJob<D>>,
    seed: &[u8; 32],
    meter: &Meter,
) -> Vec<Failure> {
    let all: Vec<Reread<D>> = jobs.into_iter().map(|job| Reread::new(job, seed)).collect();
    let total = all.iter().map(Reread::total).sum();
    meter.enter(AgentStep::Reread, total);
    let mut failures = Vec::new();
    for mut disk in all {
        loop {
            match disk.step() {
                None => meter.add(1),
                Some(Ok(())) => break,
                Some(Err(failure)) => {
                    failures.push(failure);
                    break;
                }
            }
        }
    }
    failures
}

/// The sample of one disk, one read at a time.
#[derive(Debug)]
pub struct Reread<D> {
    job: EraseJob<D>,
    marks: Marks,
    /// Number of the next read.
    next: u32,
    buffer: AlignedBuffer,
}

impl<D: BlockDevice> Reread<D> {
    /// Prepares the reads.
    pub fn new(job: EraseJob<D>, seed: &[u8; 32]) -> Self {
        let marks = Marks::new(seed, &job.id.serial, job.device.size());
        Self {
            job,
            marks,
            next: 0,
            buffer: AlignedBuffer::new(EDGE as usize),
        }
    }

    /// Returns the number of reads.
    pub fn total(&self) -> u64 {
        u64::from(self.marks.count()) + 2
    }

    /// Reads one piece of the sample. Returns the result once all are read.
    ///
    /// # Errors
    /// The failure to report: a byte is not zero, or the read failed.
    pub fn step(&mut self) -> Option<Result<(), Failure>> {
        let (serial, size) = (&self.job.id.serial, self.job.device.size());
        let (start, length) = match self.next {
            0 => (0, EDGE.min(size)),
            1 => {
                let start = size.saturating_sub(EDGE).next_multiple_of(MARK_LEN as u64);
                (start, size.saturating_sub(start))
            }
            n if u64::from(n) < self.total() => {
                let start = self.marks.offset(n - 2);
                (start, WINDOW.min(size.saturating_sub(start)))
            }
            _ => return Some(Ok(())),
        };
        self.next += 1;
        let buffer = usize::try_from(length)
            .ok()
            .and_then(|length| self.buffer.get_mut(..length));
        let found = match buffer {
            Some([]) => Ok(None),
            Some(buffer) => self.job.device.find_nonzero(start, buffer),
            None => Err(io::ErrorKind::InvalidInput.into()),
        };
        let (reason, why) = match found {
            Ok(None) => return None,
            Ok(Some(run)) => (
                Reason::NotErased,
                format!(
                    "disk {serial} was erased and is not empty at byte {} after a restart",
                    start + run.start as u64
                ),
            ),
            Err(error) => (
                Reason::DiskRead,
                format!("disk {serial} can't be read again at byte {start}: {error}"),
            ),
        };
        Some(Err(failure(AgentStep::Reread, reason, why)))
    }
}
