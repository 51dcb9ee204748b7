//! The watchdog is fed only while the controller's task and the network's task
//! make progress. Both are asked to show a sign of life, so that an idle rack does
//! not look like a dead one.

use embassy_time::{Duration, Instant, Timer};

use crate::crash::{self, Stalled};
use crate::fmt::error;
use crate::queues::Job;
use crate::{Board, Context};

/// A board's watchdog. It restarts the appliance when it is not fed for
/// [`PATIENCE`].
pub trait Watchdog: 'static {
    /// Starts it, or starts its time anew.
    fn feed(&mut self);
}

/// A board without a watchdog.
#[derive(Debug, Clone, Copy)]
pub struct NoWatchdog;

impl Watchdog for NoWatchdog {
    fn feed(&mut self) {}
}

/// How long a watchdog waits.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// How often the tasks are asked.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long a task may show no sign of life: it may wait for the flash.
const LIMIT: Duration = Duration::from_secs(20);

/// Signs of life of the tasks that everything depends on.
#[derive(Debug)]
struct Vitals {
    seen: [(u32, u64); 2],
}

impl Vitals {
    const fn new(now: u64) -> Self {
        Vitals {
            seen: [(0, now); 2],
        }
    }

    /// Looks at the signs of controller and network, which differ from the last
    /// ones where the task has made progress. Returns what has made none for too
    /// long. Milliseconds.
    fn look(&mut self, now: u64, signs: [u32; 2]) -> Option<Stalled> {
        let tasks = [Stalled::Controller, Stalled::Network];
        let mut stalled = None;
        for ((seen, sign), task) in self.seen.iter_mut().zip(signs).zip(tasks) {
            if seen.0 != sign {
                *seen = (sign, now);
            } else if now.saturating_sub(seen.1) >= LIMIT.as_millis() {
                stalled = stalled.or(Some(task));
            }
        }
        stalled
    }
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Context<B, N, L, D> {
    /// Feeds the watchdog as long as there is reason to.
    pub async fn run_watchdog(&self, mut watchdog: B::Watchdog) -> ! {
        let mut vitals = Vitals::new(Instant::now().as_millis());
        let mut reported = false;
        loop {
            watchdog.feed();
            loop {
                self.network.gate().probe();
                if !self.queues.probed.replace(true) {
                    // There is a place for it.
                    let _queued = self.queues.jobs.try_send(Job::Probe);
                }
                Timer::after(INTERVAL).await;
                let signs = [self.queues.signs.get(), self.network.gate().signs()];
                let Some(stalled) = vitals.look(Instant::now().as_millis(), signs) else {
                    reported = false;
                    break;
                };
                crash::set_stalled(stalled);
                if !reported {
                    reported = true;
                    error!("watchdog: {}", stalled.as_str());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_without_a_sign_of_life_is_named() {
        let mut vitals = Vitals::new(0);
        assert_eq!(vitals.look(2_000, [1, 1]), None);
        assert_eq!(vitals.look(4_000, [2, 2]), None);
        // The network goes on, the controller does not.
        for (now, sign) in [(6_000, 3), (14_000, 4), (23_999, 5)] {
            assert_eq!(vitals.look(now, [2, sign]), None, "{now}");
        }
        assert_eq!(vitals.look(24_000, [2, 6]), Some(Stalled::Controller));
        assert_eq!(vitals.look(26_000, [3, 7]), None);
        for now in [30_000, 40_000, 46_000] {
            assert_eq!(
                vitals.look(now, [now as u32, 7]),
                (now >= 46_000).then_some(Stalled::Network)
            );
        }
    }
}
