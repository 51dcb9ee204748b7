//! The operations run the engines on real devices and connections.
//!
//! They block and run on their own threads. Their interfaces are
//! [`crate::device::BlockDevice`], the HTTP [client](fetch::HttpClient) and the
//! [`Meter`]. They do not use the session with the appliance.

pub mod deploy;
pub mod drive;
pub mod erase;
pub mod fetch;
pub mod reread;
pub mod stream;
pub mod verified;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use farrier_protocol::message::{AgentStep, Failure, Reason};

use crate::engine::inventory::text;

/// Progress of the current order. The threads of the operation write it; the
/// thread of the session reads it.
#[derive(Debug)]
pub struct Meter {
    /// `None` if the caller sets the time, see [`Meter::set_millis`].
    began: Option<Instant>,
    manual_millis: AtomicU64,
    step: AtomicU8,
    done: AtomicU64,
    total: AtomicU64,
    /// Time of the last progress in milliseconds since `began`.
    moved: AtomicU64,
}

/// The steps by their number.
const STEPS: [AgentStep; 8] = [
    AgentStep::Startup,
    AgentStep::Inspect,
    AgentStep::Erase,
    AgentStep::VerifyErase,
    AgentStep::Write,
    AgentStep::VerifyImage,
    AgentStep::Finish,
    AgentStep::Reread,
];

impl Meter {
    /// Creates a meter at the start of `step`.
    pub fn new(step: AgentStep) -> Self {
        Self {
            began: Some(Instant::now()),
            ..Self::with_manual_clock(step)
        }
    }

    /// Creates a meter without a clock; [`Meter::set_millis`] sets the time.
    pub fn with_manual_clock(step: AgentStep) -> Self {
        Self {
            began: None,
            manual_millis: AtomicU64::new(0),
            step: AtomicU8::new(step as u8),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            moved: AtomicU64::new(0),
        }
    }

    /// Starts a step of `total` bytes.
    pub fn enter(&self, step: AgentStep, total: u64) {
        self.step.store(step as u8, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        self.touch();
    }

    /// Changes the step and keeps the byte counts.
    pub fn set_step(&self, step: AgentStep) {
        self.step.store(step as u8, Ordering::Relaxed);
    }

    /// Sets the number of bytes done.
    pub fn set_done(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.touch();
    }

    /// Adds to the number of bytes done.
    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.touch();
    }

    /// Records progress without bytes.
    pub fn touch(&self) {
        self.moved.store(self.millis(), Ordering::Relaxed);
    }

    /// Returns the current step.
    pub fn step(&self) -> AgentStep {
        let step = usize::from(self.step.load(Ordering::Relaxed));
        STEPS.get(step).copied().unwrap_or(AgentStep::Startup)
    }

    /// Returns the bytes done and the bytes in total.
    pub fn progress(&self) -> (u64, u64) {
        (
            self.done.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
        )
    }

    /// Returns the time since the last progress.
    pub fn idle(&self) -> Duration {
        Duration::from_millis(
            self.millis()
                .saturating_sub(self.moved.load(Ordering::Relaxed)),
        )
    }

    /// Returns the milliseconds since the meter was created.
    pub fn millis(&self) -> u64 {
        match self.began {
            Some(began) => u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            None => self.manual_millis.load(Ordering::Relaxed),
        }
    }

    /// Sets the milliseconds since a meter without a clock was created.
    pub fn set_millis(&self, millis: u64) {
        self.manual_millis.store(millis, Ordering::Relaxed);
    }
}

/// Creates a failure report. The text is cut to 160 bytes.
pub fn failure(step: AgentStep, reason: Reason, why: impl std::fmt::Display) -> Failure {
    Failure {
        step,
        reason,
        text: text(&why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_their_wire_numbers() {
        for (number, step) in STEPS.into_iter().enumerate() {
            assert_eq!(step as usize, number);
        }
    }

    #[test]
    fn long_failure_text_is_cut() {
        let failure = failure(AgentStep::Write, Reason::Other, "é".repeat(200));
        assert_eq!(failure.text.chars().count(), 80);
    }
}
