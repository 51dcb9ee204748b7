//! Budgets: how often something may happen, in a burst and for ever.

use crate::Instant;
use farrier_protocol::message::Mac;

/// What may happen `burst` times at once, and once in so many milliseconds for
/// ever. A new one is all zeros and has its whole burst.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Budget {
    /// How often it has happened, less what time has given back.
    spent: u32,
    /// Until when time has given back.
    counted: Instant,
}

impl Budget {
    pub(crate) const fn new() -> Self {
        Budget {
            spent: 0,
            counted: Instant::START,
        }
    }

    /// Takes one; `false` where there is none left.
    pub(crate) fn take(&mut self, now: Instant, burst: u32, millis: u64) -> bool {
        let back = now.since(self.counted) / millis.max(1);
        if back >= u64::from(self.spent) {
            (self.spent, self.counted) = (0, now);
        } else {
            self.spent -= u32::try_from(back).unwrap_or(self.spent);
            self.counted = self.counted.plus_millis(back * millis);
        }
        let has = self.spent < burst;
        self.spent += u32::from(has);
        has
    }
}

/// Sources that are remembered at once.
const SOURCES: usize = 16;
/// One source ends so many leases in [`PERIOD_MILLIS`]. A machine's firmware,
/// iPXE, installer and system have an identity each.
const PER_SOURCE: u8 = 4;
const PERIOD_MILLIS: u64 = 60_000;
/// All sources together: a burst, and one more in so many milliseconds.
const BURST: u32 = 64;
const REFILL_MILLIS: u64 = 2_000;

/// Declines and releases: each costs a record and the pool an address, and a
/// source can be forged.
#[derive(Debug)]
pub(crate) struct Endings {
    all: Budget,
    sources: [(Mac, u8, Instant); SOURCES],
}

impl Endings {
    pub(crate) const fn new() -> Self {
        Endings {
            all: Budget::new(),
            sources: [(Mac([0; 6]), 0, Instant::START); SOURCES],
        }
    }

    /// Whether this source may end a lease now.
    pub(crate) fn take(&mut self, now: Instant, mac: Mac) -> bool {
        let known = self.sources.iter().position(|(of, ..)| *of == mac);
        let oldest = || {
            let ages = self.sources.iter().enumerate();
            ages.min_by_key(|(_, (.., since))| *since).map(|(at, _)| at)
        };
        let Some(source) = known
            .or_else(oldest)
            .and_then(|at| self.sources.get_mut(at))
        else {
            return false;
        };
        if source.0 != mac || now.since(source.2) >= PERIOD_MILLIS {
            *source = (mac, 0, now);
        }
        if source.1 >= PER_SOURCE {
            return false;
        }
        source.1 += 1;
        self.all.take(now, BURST, REFILL_MILLIS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_budget_is_a_burst_and_a_rate() {
        let mut budget = Budget::new();
        let taken = |budget: &mut Budget, now| (0..100).filter(|_| budget.take(now, 5, 10)).count();
        assert_eq!(taken(&mut budget, at(0)), 5);
        assert_eq!(taken(&mut budget, at(9)), 0);
        assert_eq!(taken(&mut budget, at(10)), 1);
        assert_eq!(taken(&mut budget, at(39)), 2);
        assert_eq!(taken(&mut budget, at(40)), 1);
        assert_eq!(taken(&mut budget, at(10_000)), 5);
    }

    #[test]
    fn a_source_has_its_share_and_all_together_have_theirs() {
        let mac = |number: u8| Mac([2, 0, 0, 0, 0, number]);
        let mut endings = Endings::new();
        let taken =
            |endings: &mut Endings, now, mac| (0..100).filter(|_| endings.take(now, mac)).count();
        assert_eq!(taken(&mut endings, at(0), mac(1)), 4);
        assert_eq!(taken(&mut endings, at(59_999), mac(1)), 0);
        assert_eq!(taken(&mut endings, at(60_000), mac(1)), 4);
        let all: usize = (2..200)
            .map(|n| taken(&mut endings, at(60_000), mac(n)))
            .sum();
        assert_eq!(all, 60);
    }
}
