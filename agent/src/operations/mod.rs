//! Orders carried out: the engines, driven on real devices and connections.
//!
//! Everything here blocks and runs on threads of its own. What it takes from
//! outside comes through [`crate::device::BlockDevice`], the HTTP
//! [`client`](fetch::HttpClient) and the [`Meter`]; it talks to nobody by itself.

pub mod deploy;
pub mod drive;
pub mod erase;
pub mod fetch;
pub mod stream;
pub mod verified;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use farrier_protocol::message::{AgentStep, Failure, Reason};

use crate::engine::inventory::text;

/// How far the order at hand has come, written by the threads that work and
/// read by the one that talks.
#[derive(Debug)]
pub struct Meter {
    /// `None` where time is told, see [`Meter::tell`].
    began: Option<Instant>,
    told: AtomicU64,
    step: AtomicU8,
    done: AtomicU64,
    total: AtomicU64,
    /// When something moved last, in milliseconds since `began`.
    moved: AtomicU64,
}

/// The steps as [`Meter`] keeps them.
const STEPS: [AgentStep; 7] = [
    AgentStep::Startup,
    AgentStep::Inspect,
    AgentStep::Erase,
    AgentStep::VerifyErase,
    AgentStep::Write,
    AgentStep::VerifyImage,
    AgentStep::Finish,
];

impl Meter {
    /// A meter at the beginning of `step`.
    pub fn new(step: AgentStep) -> Self {
        Self {
            began: Some(Instant::now()),
            ..Self::told(step)
        }
    }

    /// The same without a clock: time passes when [`Meter::tell`] says so.
    pub fn told(step: AgentStep) -> Self {
        Self {
            began: None,
            told: AtomicU64::new(0),
            step: AtomicU8::new(step as u8),
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            moved: AtomicU64::new(0),
        }
    }

    /// A new step with `total` bytes to do.
    pub fn enter(&self, step: AgentStep, total: u64) {
        self.step.store(step as u8, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        self.touch();
    }

    /// Another step within the same bytes.
    pub fn set_step(&self, step: AgentStep) {
        self.step.store(step as u8, Ordering::Relaxed);
    }

    /// Bytes done so far, in all.
    pub fn set_done(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
        self.touch();
    }

    /// So many bytes more are done.
    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.touch();
    }

    /// A sign of life without bytes.
    pub fn touch(&self) {
        self.moved.store(self.millis(), Ordering::Relaxed);
    }

    /// The step at hand.
    pub fn step(&self) -> AgentStep {
        let step = usize::from(self.step.load(Ordering::Relaxed));
        STEPS.get(step).copied().unwrap_or(AgentStep::Startup)
    }

    /// Bytes done and bytes in all.
    pub fn progress(&self) -> (u64, u64) {
        (
            self.done.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
        )
    }

    /// For how long nothing has moved.
    pub fn idle(&self) -> Duration {
        Duration::from_millis(
            self.millis()
                .saturating_sub(self.moved.load(Ordering::Relaxed)),
        )
    }

    /// Milliseconds since the meter was made.
    pub fn millis(&self) -> u64 {
        match self.began {
            Some(began) => u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            None => self.told.load(Ordering::Relaxed),
        }
    }

    /// Tells a meter without a clock how many milliseconds have passed since
    /// it was made.
    pub fn tell(&self, millis: u64) {
        self.told.store(millis, Ordering::Relaxed);
    }
}

/// A failure as it is reported; the text is cut to what a statement holds.
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
    fn steps_are_numbered_as_on_the_wire() {
        for (number, step) in STEPS.into_iter().enumerate() {
            assert_eq!(step as usize, number);
        }
    }

    #[test]
    fn a_long_reason_is_cut() {
        let failure = failure(AgentStep::Write, Reason::Other, "é".repeat(200));
        assert_eq!(failure.text.chars().count(), 80);
    }
}
