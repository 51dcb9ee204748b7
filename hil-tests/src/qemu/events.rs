//! What has happened to a machine, over all of its power cycles.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Something that happened to a machine as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The rig switched it on.
    On,
    /// It was reset: a reboot.
    Reset {
        /// The guest did it, not the rig.
        by_guest: bool,
    },
    /// It was switched off.
    Off {
        /// The guest did it, not the rig.
        by_guest: bool,
    },
    /// The rig pressed the power button; the guest may obey.
    PowerButton,
    /// The guest has crashed and said so.
    Panicked,
}

/// An append-only log of events. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct EventLog {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    entries: Mutex<Vec<(Instant, Event)>>,
    changed: Condvar,
}

impl EventLog {
    pub(crate) fn push(&self, event: Event) {
        self.entries().push((Instant::now(), event));
        self.shared.changed.notify_all();
    }

    /// Everything that happened from the `from`-th event on.
    pub fn since(&self, from: usize) -> Vec<(Instant, Event)> {
        self.entries().get(from..).unwrap_or_default().to_vec()
    }

    /// How many events there are; as `from`, only what comes later counts.
    pub fn count(&self) -> usize {
        self.entries().len()
    }

    /// Waits for an event, at or behind the `from`-th, that `wanted` accepts.
    /// Returns when it happened, and the position behind it.
    ///
    /// # Errors
    /// None came within `wait`; `what` names it in the message.
    pub fn wait_for(
        &self,
        from: usize,
        what: &str,
        wait: Duration,
        mut wanted: impl FnMut(Event) -> bool,
    ) -> Result<(Instant, usize)> {
        let deadline = Instant::now() + wait;
        let mut entries = self.entries();
        let mut next = from;
        loop {
            while let Some((at, event)) = entries.get(next) {
                next += 1;
                if wanted(*event) {
                    return Ok((*at, next));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let had: Vec<_> = entries.iter().skip(from).map(|(_, event)| *event).collect();
                bail!("{what} did not happen within {wait:?}; what did: {had:?}");
            }
            entries = self
                .shared
                .changed
                .wait_timeout(entries, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<(Instant, Event)>> {
        self.shared
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
