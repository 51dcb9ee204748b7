//! Wrong passwords: how many a source and an account have had lately.
//!
//! A source that never logged in has [`SOURCE`] tries, and gets one back every
//! [`SOURCE_MILLIS`]. All sources together have [`ACCOUNT`] tries for one
//! account; sources that logged in before are not held up by those of others.

use super::Refusal;
use core::net::Ipv4Addr;
use farrier_core::Instant;
use farrier_core::accounts::MAX_ACCOUNTS;
use farrier_sizes::LOGIN_SOURCES;

/// Tries of one source.
const SOURCE: u8 = 10;
/// A source gets one back after so many milliseconds.
const SOURCE_MILLIS: u64 = 30_000;
/// Tries for one account of all sources.
const ACCOUNT: u8 = 100;
/// An account gets one back after so many milliseconds.
const ACCOUNT_MILLIS: u64 = 10_000;

/// Tries that are used up, from this time on.
#[derive(Debug, Clone, Copy)]
struct Used {
    count: u8,
    since: Instant,
}

impl Used {
    const NONE: Self = Self {
        count: 0,
        since: Instant::START,
    };

    /// Takes a try, or says after how many seconds there is one.
    fn take(&mut self, most: u8, every: u64, now: Instant) -> Result<(), u32> {
        self.age(every, now);
        if self.count >= most {
            let passed = now.millis().saturating_sub(self.since.millis());
            let left = every.saturating_sub(passed).div_ceil(1000);
            return Err(u32::try_from(left.max(1)).unwrap_or(u32::MAX));
        }
        self.count += 1;
        Ok(())
    }

    /// Gives tries back for the time that has passed.
    fn age(&mut self, every: u64, now: Instant) {
        let passed = now.millis().saturating_sub(self.since.millis());
        let back = passed / every;
        match u8::try_from(back) {
            Ok(back) if back < self.count => {
                self.count -= back;
                self.since = self.since.plus_millis(u64::from(back) * every);
            }
            _ => {
                *self = Self {
                    count: 0,
                    since: now,
                }
            }
        }
    }

    fn give_back(&mut self) {
        self.count = self.count.saturating_sub(1);
    }
}

#[derive(Debug, Clone, Copy)]
struct Source {
    address: Ipv4Addr,
    used: Used,
    /// It had the right password once.
    known: bool,
    seen: Instant,
}

/// The tries of sources and accounts.
#[derive(Debug)]
pub(super) struct Tries {
    sources: [Source; LOGIN_SOURCES],
    accounts: [Used; MAX_ACCOUNTS],
}

impl Tries {
    pub(super) const fn new() -> Self {
        let nobody = Source {
            address: Ipv4Addr::UNSPECIFIED,
            used: Used::NONE,
            known: false,
            seen: Instant::START,
        };
        Self {
            sources: [nobody; LOGIN_SOURCES],
            accounts: [Used::NONE; MAX_ACCOUNTS],
        }
    }

    /// Takes a try of a source for an account, if there is such an account.
    /// It counts as a wrong password until [`end`](Self::end).
    pub(super) fn begin(
        &mut self,
        address: Ipv4Addr,
        account: Option<usize>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let limited = |seconds| Refusal::TooMany { seconds };
        let place = self.source(address, now);
        let mut known = false;
        if let Some(source) = self.sources.get_mut(place) {
            source.seen = now;
            known = source.known;
            let used = &mut source.used;
            used.take(SOURCE, SOURCE_MILLIS, now).map_err(limited)?;
        }
        let account = account.and_then(|place| self.accounts.get_mut(place));
        if let (Some(account), false) = (account, known) {
            account
                .take(ACCOUNT, ACCOUNT_MILLIS, now)
                .map_err(limited)?;
        }
        Ok(())
    }

    /// The password was right: the source has all its tries again, and is
    /// known from now on.
    pub(super) fn end(&mut self, address: Ipv4Addr, account: usize) {
        let mut was_known = false;
        if let Some(source) = self.sources.iter_mut().find(|of| of.address == address) {
            was_known = core::mem::replace(&mut source.known, true);
            source.used = Used::NONE;
        }
        if let (Some(account), false) = (self.accounts.get_mut(account), was_known) {
            account.give_back();
        }
    }

    /// The code was right.
    pub(super) fn forgive(&mut self, address: Ipv4Addr) {
        if let Some(source) = self.sources.iter_mut().find(|of| of.address == address) {
            source.used.give_back();
        }
    }

    /// The place of a source. Where all are taken, the one that tells least
    /// goes: unknown before known, few tries before many, old before new.
    fn source(&mut self, address: Ipv4Addr, now: Instant) -> usize {
        let own = self.sources.iter().position(|of| of.address == address);
        own.unwrap_or_else(|| {
            let worth = |(_, of): &(usize, &Source)| (of.known, of.used.count, of.seen);
            let least = self.sources.iter().enumerate().min_by_key(worth);
            let place = least.map_or(0, |(place, _)| place);
            if let Some(room) = self.sources.get_mut(place) {
                *room = Source {
                    address,
                    used: Used::NONE,
                    known: false,
                    seen: now,
                };
            }
            place
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn address(number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, number)
    }

    #[test]
    fn a_source_has_few_tries_and_gets_them_back() {
        let mut tries = Tries::new();
        for _ in 0..SOURCE {
            assert_eq!(tries.begin(address(1), Some(0), at(1000)), Ok(()));
        }
        let refused = tries.begin(address(1), Some(0), at(2000));
        assert_eq!(refused, Err(Refusal::TooMany { seconds: 29 }));
        assert_eq!(tries.begin(address(2), Some(0), at(2000)), Ok(()));
        assert_eq!(tries.begin(address(1), Some(0), at(31_000)), Ok(()));
        assert!(tries.begin(address(1), Some(0), at(31_000)).is_err());
        assert_eq!(tries.begin(address(1), Some(0), at(400_000)), Ok(()));
    }

    #[test]
    fn the_right_password_gives_all_tries_back() {
        let mut tries = Tries::new();
        for _ in 0..200 {
            assert_eq!(tries.begin(address(1), Some(3), at(0)), Ok(()));
            tries.end(address(1), 3);
        }
    }

    #[test]
    fn many_sources_do_not_lock_a_known_one_out() {
        let mut tries = Tries::new();
        assert_eq!(tries.begin(address(1), Some(0), at(0)), Ok(()));
        tries.end(address(1), 0);
        let mut taken = 0;
        for number in 2..200 {
            for _ in 0..SOURCE {
                taken += u32::from(tries.begin(address(number), Some(0), at(1)).is_ok());
            }
        }
        assert_eq!(taken, u32::from(ACCOUNT), "for all unknown sources");
        assert_eq!(tries.begin(address(1), Some(0), at(2)), Ok(()));
        assert_eq!(
            tries.begin(address(201), Some(1), at(2)),
            Ok(()),
            "another account"
        );
    }
}
