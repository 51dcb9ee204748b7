//! The power of a light server: what its buttons and its outlet ask of the
//! thread that plays it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use crate::switch::{clear, event_fd, signal};

/// What was asked for and not yet carried out.
#[derive(Debug, Clone, Copy, Default)]
struct Requests {
    off: bool,
    reset: bool,
    button: bool,
}

/// Set from outside, read by the thread that plays the machine.
#[derive(Debug)]
pub(super) struct Control {
    requests: Mutex<Requests>,
    wake: OwnedFd,
}

impl Control {
    pub fn new() -> Result<Self> {
        Ok(Self {
            requests: Mutex::default(),
            wake: event_fd()?,
        })
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, change: impl FnOnce(&mut Requests)) {
        change(&mut self.requests());
        signal(&self.wake);
    }

    /// Takes the power away.
    pub fn cut(&self) {
        self.ask(|requests| requests.off = true);
    }

    /// Presses the reset button.
    pub fn reset(&self) {
        self.ask(|requests| requests.reset = true);
    }

    /// Presses the power button for a moment.
    pub fn press_button(&self) {
        self.ask(|requests| requests.button = true);
    }

    /// Whether the power is gone.
    pub fn is_cut(&self) -> bool {
        self.requests().off
    }

    /// Whether the machine must stop what it does: power gone, or reset.
    pub fn is_interrupted(&self) -> bool {
        let requests = self.requests();
        requests.off || requests.reset
    }

    /// Whether the power button was pressed since the last call.
    pub fn take_button(&self) -> bool {
        std::mem::take(&mut self.requests().button)
    }

    /// A new start: a reset that was asked for has happened.
    pub fn start_over(&self) {
        let mut requests = self.requests();
        requests.reset = false;
        requests.button = false;
    }

    /// After a wait: the next request wakes again.
    pub fn clear_wake(&self) {
        clear(&self.wake);
    }
}

impl AsFd for Control {
    /// Readable after a request.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
