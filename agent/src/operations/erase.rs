//! Runs the erase ladder on real devices, with one thread for each disk.
//!
//! Before the ladder, the [marks](farrier_protocol::marks) are written and read back: a
//! disk that does not store what is written can't prove that it erases.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use farrier_protocol::marks::{MARK_LEN, Marks};
use farrier_protocol::message::{
    AgentStep, DiskId, EraseAbilities, EraseCertificate, EraseMethod, Failure, Reason,
};

use super::{Meter, failure};
use crate::device::{AlignedBuffer, BlockDevice};
use crate::engine::erase::{Action, Ladder, Outcome, Range, Verdict, WINDOW};

/// A disk to erase.
#[derive(Debug)]
pub struct EraseJob<D> {
    /// The disk as the order names it.
    pub id: DiskId,
    /// The erase commands that the disk supports.
    pub abilities: EraseAbilities,
    /// The disk, opened for writing.
    pub device: D,
}

/// Returns the size of the read-back window of each disk, in bytes. More disks
/// get smaller windows, so that the agent's memory stays bounded.
pub fn window_for(jobs: usize) -> u64 {
    match jobs {
        0..=2 => WINDOW,
        3..=6 => WINDOW / 4,
        _ => WINDOW / 16,
    }
}

/// Erases all disks in parallel. Calls `certify` with the certificate of each
/// disk that is empty. Returns one failure for each other disk, in the order of
/// `jobs`; a disk whose thread can't start comes first.
pub fn erase_all<D: BlockDevice>(
    jobs: Vec<EraseJob<D>>,
    least: EraseMethod,
    seed: &[u8; 32],
    meter: &Meter,
    certify: &(impl Fn(EraseCertificate) + Sync),
) -> Vec<Failure> {
    let total: u64 = jobs.iter().map(|job| job.device.size()).sum();
    // The ladder passes over each disk twice: to erase and to read back.
    meter.enter(AgentStep::Erase, total.saturating_mul(2));
    let progress: Vec<AtomicU64> = jobs.iter().map(|_| AtomicU64::new(0)).collect();
    let erasing = AtomicU64::new(jobs.len() as u64);
    let window = window_for(jobs.len());
    std::thread::scope(|scope| {
        let mut failures = Vec::new();
        let mut threads = Vec::new();
        for (index, job) in jobs.into_iter().enumerate() {
            let (progress, erasing) = (&progress, &erasing);
            let serial = job.id.serial.clone();
            let thread = std::thread::Builder::new()
                .name(format!("erase {}", job.id.serial))
                .stack_size(crate::STACK);
            let spawned = thread.spawn_scoped(scope, move || {
                let mut was_verifying = false;
                erase(job, least, seed, window, |ladder| {
                    let (done, size) = ladder.progress();
                    let before = if ladder.is_verifying() { size } else { 0 };
                    if ladder.is_verifying() && !was_verifying {
                        was_verifying = true;
                        if erasing.fetch_sub(1, Ordering::Relaxed) == 1 {
                            meter.set_step(AgentStep::VerifyErase);
                        }
                    }
                    if let Some(own) = progress.get(index) {
                        own.store(before + done, Ordering::Relaxed);
                    }
                    meter.set_done(progress.iter().map(|p| p.load(Ordering::Relaxed)).sum());
                })
                .map(certify)
            });
            match spawned {
                Ok(thread) => threads.push((serial, thread)),
                Err(error) => failures.push(failure(
                    AgentStep::Erase,
                    Reason::Resources,
                    format_args!("disk {serial}: no thread: {error}"),
                )),
            }
        }
        for (serial, thread) in threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => failures.push(failure),
                Err(_) => failures.push(failure(
                    AgentStep::Erase,
                    Reason::Other,
                    format_args!("the thread that erased disk {serial} panicked"),
                )),
            }
        }
        failures
    })
}

/// How far the marks of a disk are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marking {
    /// This one is to be written.
    Write(u32),
    /// All are written.
    Flush,
    /// This one is to be read back.
    Read(u32),
    /// All are on the disk.
    Done,
}

/// The erasure of one disk, one command at a time. The agent calls
/// [`Erasure::step`] in a loop on a thread; the simulator calls it when the
/// simulated command is over.
#[derive(Debug)]
pub struct Erasure<D> {
    job: EraseJob<D>,
    marks: Marks,
    marking: Marking,
    ladder: Ladder,
    buffer: AlignedBuffer,
    /// The error of the last command that failed.
    last_error: Option<io::Error>,
}

impl<D: BlockDevice> Erasure<D> {
    /// Prepares the erasure and sends no command. `window` is the size of the
    /// read-back buffer in bytes.
    pub fn new(job: EraseJob<D>, least: EraseMethod, seed: &[u8; 32], window: u64) -> Self {
        let marks = Marks::new(seed, &job.id.serial, job.device.size());
        let ladder = Ladder::new(job.device.size(), job.abilities, least).with_window(window);
        Self {
            job,
            marks,
            marking: if marks.count() > 0 {
                Marking::Write(0)
            } else {
                Marking::Done
            },
            ladder,
            buffer: AlignedBuffer::new(usize::try_from(window).unwrap_or(0).max(2 * MARK_LEN)),
            last_error: None,
        }
    }

    /// Returns the ladder, which has the progress.
    pub fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// Sends one command to the disk. Returns the result once the erasure is
    /// over; the certificate's `millis` are 0.
    ///
    /// # Errors
    /// The failure to report: the disk has data left, or a command failed.
    pub fn step(&mut self) -> Option<Result<EraseCertificate, Failure>> {
        if self.marking != Marking::Done {
            return self.mark().err().map(Err);
        }
        let device = &self.job.device;
        let result = match self.ladder.action() {
            Action::Discard(range) => done(device.discard(range.start, range.length)),
            Action::WriteZeroes(range) => done(device.write_zeroes(range.start, range.length)),
            Action::Overwrite(range) => done(overwrite(device, range, &mut self.buffer)),
            Action::Flush => done(device.flush()),
            Action::Read(range) => read_back(device, range, &mut self.buffer),
            Action::Finished(verdict) => {
                // The kernel drops its partitions. An error here does not
                // make the erasure fail.
                if let Err(error) = device.reread_partitions() {
                    self.last_error.get_or_insert(error);
                }
                return Some(conclude(&self.job, verdict, self.last_error.as_ref()));
            }
        };
        self.ladder.advance(result.unwrap_or_else(|error| {
            self.last_error = Some(error);
            Outcome::Failed
        }));
        None
    }
}

impl<D: BlockDevice> Erasure<D> {
    /// Writes or reads one mark.
    fn mark(&mut self) -> Result<(), Failure> {
        let (serial, device) = (&self.job.id.serial, &self.job.device);
        let next = |index: u32| (index + 1 < self.marks.count()).then_some(index + 1);
        let Some((written, read)) = self
            .buffer
            .get_mut(..2 * MARK_LEN)
            .and_then(|room| room.split_at_mut_checked(MARK_LEN))
        else {
            return Ok(());
        };
        self.marking = match self.marking {
            Marking::Write(index) => {
                let at = self.marks.offset(index);
                self.marks.fill(index, written);
                device.write_at(at, written).map_err(|error| {
                    failure(
                        AgentStep::Erase,
                        Reason::DiskWrite,
                        format_args!("disk {serial} can't be written at byte {at}: {error}"),
                    )
                })?;
                next(index).map_or(Marking::Flush, Marking::Write)
            }
            Marking::Flush => {
                device.flush().map_err(|error| {
                    failure(
                        AgentStep::Erase,
                        Reason::DiskWrite,
                        format_args!("disk {serial} can't be flushed: {error}"),
                    )
                })?;
                Marking::Read(0)
            }
            Marking::Read(index) => {
                let at = self.marks.offset(index);
                self.marks.fill(index, written);
                device.read_at(at, read).map_err(|error| {
                    failure(
                        AgentStep::Erase,
                        Reason::DiskRead,
                        format_args!("disk {serial} can't be read at byte {at}: {error}"),
                    )
                })?;
                if written != read {
                    return Err(failure(
                        AgentStep::Erase,
                        Reason::ReadBack,
                        format_args!("disk {serial} does not store what is written at byte {at}"),
                    ));
                }
                next(index).map_or(Marking::Done, Marking::Read)
            }
            Marking::Done => Marking::Done,
        };
        Ok(())
    }
}

/// Erases one disk and calls `watch` after every command.
fn erase<D: BlockDevice>(
    job: EraseJob<D>,
    least: EraseMethod,
    seed: &[u8; 32],
    window: u64,
    mut watch: impl FnMut(&Ladder),
) -> Result<EraseCertificate, Failure> {
    let began = Instant::now();
    let mut erasure = Erasure::new(job, least, seed, window);
    loop {
        if let Some(ended) = erasure.step() {
            return ended.map(|certificate| EraseCertificate {
                millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
                ..certificate
            });
        }
        watch(erasure.ladder());
    }
}

fn conclude<D>(
    job: &EraseJob<D>,
    verdict: Verdict,
    last_error: Option<&io::Error>,
) -> Result<EraseCertificate, Failure> {
    let serial = &job.id.serial;
    let cause = || {
        last_error
            .map(|error| format!(": {error}"))
            .unwrap_or_default()
    };
    match verdict {
        Verdict::Empty {
            method,
            verified,
            repaired,
        } => Ok(EraseCertificate {
            disk: job.id.clone(),
            method,
            verified_bytes: verified,
            repaired_bytes: repaired,
            millis: 0,
        }),
        Verdict::NotEmpty { at } => Err(failure(
            AgentStep::VerifyErase,
            Reason::NotErased,
            format_args!("disk {serial} is not empty at byte {at} after every erase method"),
        )),
        Verdict::WriteFailed { at } => Err(failure(
            AgentStep::Erase,
            Reason::DiskWrite,
            format_args!("disk {serial} can't be erased at byte {at}{}", cause()),
        )),
        Verdict::ReadFailed { at } => Err(failure(
            AgentStep::VerifyErase,
            Reason::DiskRead,
            format_args!("disk {serial} can't be read at byte {at}{}", cause()),
        )),
    }
}

fn done(result: io::Result<()>) -> io::Result<Outcome> {
    result.map(|()| Outcome::Done)
}

fn slice(buffer: &mut AlignedBuffer, range: Range) -> io::Result<&mut [u8]> {
    usize::try_from(range.length)
        .ok()
        .and_then(|length| buffer.get_mut(..length))
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn overwrite(
    device: &impl BlockDevice,
    range: Range,
    buffer: &mut AlignedBuffer,
) -> io::Result<()> {
    device.overwrite(range.start, slice(buffer, range)?)
}

fn read_back(
    device: &impl BlockDevice,
    range: Range,
    buffer: &mut AlignedBuffer,
) -> io::Result<Outcome> {
    let run = device.find_nonzero(range.start, slice(buffer, range)?)?;
    Ok(run.map_or(Outcome::Done, |run| {
        Outcome::NotZero(Range {
            start: range.start + run.start as u64,
            length: run.len() as u64,
        })
    }))
}
