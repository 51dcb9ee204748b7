//! The erase ladder on real devices: one thread a disk.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use farrier_protocol::message::{
    AgentStep, DiskId, EraseAbilities, EraseCertificate, EraseMethod, Failure, Reason,
};

use super::{Meter, failure};
use crate::device::{AlignedBuffer, BlockDevice};
use crate::engine::erase::{Action, Ladder, Outcome, Range, Verdict, WINDOW};

/// A disk to erase.
#[derive(Debug)]
pub struct Job<D> {
    /// How the order names it.
    pub id: DiskId,
    /// What it can do by itself.
    pub abilities: EraseAbilities,
    /// The disk.
    pub device: D,
}

/// Bytes per device that are in memory at a time. Many disks share the
/// memory that the agent allows itself.
pub fn window_for(jobs: usize) -> u64 {
    match jobs {
        0..=2 => WINDOW,
        3..=6 => WINDOW / 4,
        _ => WINDOW / 16,
    }
}

/// Erases all disks at once. Certificates are handed out through `certify` as
/// they come; the failures of the others are returned.
pub fn erase_all<D: BlockDevice>(
    jobs: Vec<Job<D>>,
    least: EraseMethod,
    meter: &Meter,
    certify: &(impl Fn(EraseCertificate) + Sync),
) -> Vec<Failure> {
    let total: u64 = jobs.iter().map(|job| job.device.size()).sum();
    // Once over each disk to empty it, once to read it back.
    meter.enter(AgentStep::Erase, total.saturating_mul(2));
    let progress: Vec<AtomicU64> = jobs.iter().map(|_| AtomicU64::new(0)).collect();
    let erasing = AtomicU64::new(jobs.len() as u64);
    let window = window_for(jobs.len());
    std::thread::scope(|scope| {
        let mut failures = Vec::new();
        let mut threads = Vec::new();
        for (index, job) in jobs.into_iter().enumerate() {
            let (progress, erasing) = (&progress, &erasing);
            let thread = std::thread::Builder::new()
                .name(format!("erase {}", job.id.serial))
                .stack_size(crate::STACK);
            let spawned = thread.spawn_scoped(scope, move || {
                let mut was_verifying = false;
                erase(job, least, window, |ladder| {
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
                Ok(thread) => threads.push(thread),
                Err(error) => failures.push(failure(AgentStep::Erase, Reason::Resources, error)),
            }
        }
        for thread in threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => failures.push(failure),
                Err(_) => failures.push(failure(
                    AgentStep::Erase,
                    Reason::Other,
                    "the erasure of a disk was broken off by a fault of the agent",
                )),
            }
        }
        failures
    })
}

/// The erasure of one disk, one command at a time: whoever has a thread to
/// spare calls [`Erasure::step`] until it is over, whoever has none calls it
/// when time has come.
#[derive(Debug)]
pub struct Erasure<D> {
    job: Job<D>,
    ladder: Ladder,
    buffer: AlignedBuffer,
    /// Why the last command failed, for people.
    latest: Option<io::Error>,
}

impl<D: BlockDevice> Erasure<D> {
    /// Nothing is done yet. `window` bytes of the disk are in memory at a
    /// time.
    pub fn new(job: Job<D>, least: EraseMethod, window: u64) -> Self {
        let ladder = Ladder::new(job.device.size(), job.abilities, least).with_window(window);
        Self {
            job,
            ladder,
            buffer: AlignedBuffer::new(usize::try_from(window).unwrap_or(0)),
            latest: None,
        }
    }

    /// How far it has come.
    pub fn ladder(&self) -> &Ladder {
        &self.ladder
    }

    /// Gives the disk one command. How it ended, once it has; the
    /// certificate's `millis` are left to the caller.
    pub fn step(&mut self) -> Option<Result<EraseCertificate, Failure>> {
        let device = &self.job.device;
        let result = match self.ladder.action() {
            Action::Discard(range) => done(device.discard(range.start, range.length)),
            Action::WriteZeroes(range) => done(device.write_zeroes(range.start, range.length)),
            Action::Overwrite(range) => done(overwrite(device, range, &mut self.buffer)),
            Action::Flush => done(device.flush()),
            Action::Read(range) => look(device, range, &mut self.buffer),
            Action::Finished(verdict) => {
                // Partitions that the kernel still knows are gone now; that
                // it can't forget them is no fault of the erasure.
                if let Err(error) = device.reread_partitions() {
                    self.latest.get_or_insert(error);
                }
                return Some(conclude(&self.job, verdict, self.latest.as_ref()));
            }
        };
        self.ladder.advance(result.unwrap_or_else(|error| {
            self.latest = Some(error);
            Outcome::Failed
        }));
        None
    }
}

/// Erases one disk; `watch` is called after every command.
fn erase<D: BlockDevice>(
    job: Job<D>,
    least: EraseMethod,
    window: u64,
    mut watch: impl FnMut(&Ladder),
) -> Result<EraseCertificate, Failure> {
    let began = Instant::now();
    let mut erasure = Erasure::new(job, least, window);
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
    job: &Job<D>,
    verdict: Verdict,
    latest: Option<&io::Error>,
) -> Result<EraseCertificate, Failure> {
    let serial = &job.id.serial;
    let because = || latest.map(|error| format!(": {error}")).unwrap_or_default();
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
            format_args!("disk {serial} is not empty at byte {at}, whatever is written over it"),
        )),
        Verdict::WriteFailed { at } => Err(failure(
            AgentStep::Erase,
            Reason::DiskWrite,
            format_args!("disk {serial} can't be erased at byte {at}{}", because()),
        )),
        Verdict::ReadFailed { at } => Err(failure(
            AgentStep::VerifyErase,
            Reason::DiskRead,
            format_args!("disk {serial} can't be read at byte {at}{}", because()),
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

fn look(
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
