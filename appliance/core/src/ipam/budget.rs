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

/// How often each source may do something, and all of them together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    /// So often each source may in `period`.
    pub(crate) per_source: u8,
    /// In milliseconds.
    pub(crate) period: u64,
    /// All sources together may so often at once,
    pub(crate) burst: u32,
    /// and once more in so many milliseconds.
    pub(crate) refill: u64,
}

/// Declines and releases: each costs a record and the pool an address, and a
/// source can be forged. A machine's firmware, iPXE, installer and system have
/// an identity each.
pub(crate) const ENDINGS: Rule = Rule {
    per_source: 4,
    period: 60_000,
    burst: 64,
    refill: 2_000,
};

/// Handshakes of machines of the rack: each costs some millions of instructions
/// and some records. A machine that restarts without end has one a minute.
pub(crate) const HANDSHAKES: Rule = Rule {
    per_source: 8,
    period: 60_000,
    burst: 96,
    refill: 500,
};

/// Handshakes of strangers.
pub(crate) const STRANGERS_HANDSHAKES: Rule = Rule {
    per_source: 8,
    period: 60_000,
    burst: 48,
    refill: 1_000,
};

/// What many sources may do, each its share of it.
#[derive(Debug)]
pub(crate) struct Shares {
    all: Budget,
    sources: [(Mac, u8, Instant); SOURCES],
}

impl Shares {
    pub(crate) const fn new() -> Self {
        Shares {
            all: Budget::new(),
            sources: [(Mac([0; 6]), 0, Instant::START); SOURCES],
        }
    }

    /// Whether this source may do it now.
    pub(crate) fn take(&mut self, now: Instant, mac: Mac, rule: &Rule) -> bool {
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
        if source.0 != mac || now.since(source.2) >= rule.period {
            *source = (mac, 0, now);
        }
        if source.1 >= rule.per_source {
            return false;
        }
        source.1 += 1;
        self.all.take(now, rule.burst, rule.refill)
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
        let mut endings = Shares::new();
        let taken = |endings: &mut Shares, now, mac| {
            (0..100)
                .filter(|_| endings.take(now, mac, &ENDINGS))
                .count()
        };
        assert_eq!(taken(&mut endings, at(0), mac(1)), 4);
        assert_eq!(taken(&mut endings, at(59_999), mac(1)), 0);
        assert_eq!(taken(&mut endings, at(60_000), mac(1)), 4);
        let all: usize = (2..200)
            .map(|n| taken(&mut endings, at(60_000), mac(n)))
            .sum();
        assert_eq!(all, 60);
    }
}
