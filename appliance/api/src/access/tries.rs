//! Wrong passwords: how many a source and an account have had lately.
//!
//! A source has [`SOURCE`] tries, and gets one back every [`SOURCE_MILLIS`]. All
//! sources together have [`ACCOUNT`] tries for one account, and as many for all
//! names that nobody has. A source that logged in to an account before is not
//! held up by the tries of others for this account: who has an account of its own
//! has no more tries for another one than anybody.

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
    fn take(&mut self, most: u8, every: u64, now: Instant) -> Result<(), Refusal> {
        self.look(most, every, now)?;
        self.count += 1;
        Ok(())
    }

    /// Says after how many seconds there is a try, where there is none.
    fn look(&mut self, most: u8, every: u64, now: Instant) -> Result<(), Refusal> {
        self.age(every, now);
        if self.count < most {
            return Ok(());
        }
        let passed = now.millis().saturating_sub(self.since.millis());
        let left = every.saturating_sub(passed).div_ceil(1000);
        let seconds = u32::try_from(left.max(1)).unwrap_or(u32::MAX);
        Err(Refusal::TooMany { seconds })
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
    /// The accounts whose right passwords it had, a bit for each.
    known: u32,
    seen: Instant,
}

const _: () = assert!(MAX_ACCOUNTS <= 32, "a source has a bit for each account");

/// The bit of an account.
fn bit(account: usize) -> u32 {
    u32::try_from(account)
        .ok()
        .and_then(|place| 1_u32.checked_shl(place))
        .unwrap_or(0)
}

/// The tries of sources and accounts.
#[derive(Debug)]
pub(super) struct Tries {
    sources: [Source; LOGIN_SOURCES],
    accounts: [Used; MAX_ACCOUNTS],
    /// For names that nobody has.
    nobody: Used,
}

impl Tries {
    pub(super) const fn new() -> Self {
        let nobody = Source {
            address: Ipv4Addr::UNSPECIFIED,
            used: Used::NONE,
            known: 0,
            seen: Instant::START,
        };
        Self {
            sources: [nobody; LOGIN_SOURCES],
            accounts: [Used::NONE; MAX_ACCOUNTS],
            nobody: Used::NONE,
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
        self.begin_code(address, now)?;
        match self.budget(address, account) {
            Some(budget) => budget.take(ACCOUNT, ACCOUNT_MILLIS, now),
            None => Ok(()),
        }
    }

    /// Takes a try of a source for the code of the first contact, which no slow
    /// check has.
    pub(super) fn begin_code(&mut self, address: Ipv4Addr, now: Instant) -> Result<(), Refusal> {
        let place = self.source(address, now);
        let Some(source) = self.sources.get_mut(place) else {
            return Ok(());
        };
        source.seen = now;
        source.used.take(SOURCE, SOURCE_MILLIS, now)
    }

    /// Whether [`begin`](Self::begin) would succeed. Takes nothing: who has no
    /// try need not wait for a turn.
    pub(super) fn may(
        &mut self,
        address: Ipv4Addr,
        account: Option<usize>,
        now: Instant,
    ) -> Result<(), Refusal> {
        let mut sources = self.sources.iter_mut();
        if let Some(source) = sources.find(|of| of.address == address) {
            source.used.look(SOURCE, SOURCE_MILLIS, now)?;
        }
        match self.budget(address, account) {
            Some(budget) => budget.look(ACCOUNT, ACCOUNT_MILLIS, now),
            None => Ok(()),
        }
    }

    /// Whether a source had the right password of this account before.
    pub(super) fn is_known(&self, address: Ipv4Addr, account: usize) -> bool {
        let known = self.sources.iter().find(|of| of.address == address);
        known.is_some_and(|source| source.known & bit(account) != 0)
    }

    /// The tries of all sources that a try of this one counts among; none for one
    /// that is known.
    fn budget(&mut self, address: Ipv4Addr, account: Option<usize>) -> Option<&mut Used> {
        match account {
            Some(place) if self.is_known(address, place) => None,
            Some(place) => self.accounts.get_mut(place),
            None => Some(&mut self.nobody),
        }
    }

    /// The password was right: the try does not count, and the source is known
    /// for this account from now on. Its tries for other accounts stay used.
    pub(super) fn end(&mut self, address: Ipv4Addr, account: usize) {
        let was_known = self.is_known(address, account);
        if let Some(source) = self.sources.iter_mut().find(|of| of.address == address) {
            source.known |= bit(account);
            source.used.give_back();
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
            let worth = |(_, of): &(usize, &Source)| (of.known != 0, of.used.count, of.seen);
            let least = self.sources.iter().enumerate().min_by_key(worth);
            let place = least.map_or(0, |(place, _)| place);
            if let Some(room) = self.sources.get_mut(place) {
                *room = Source {
                    address,
                    used: Used::NONE,
                    known: 0,
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
    fn the_right_password_costs_no_try() {
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

    /// Whoever has an account of its own logs in anew (each change of its own
    /// password ends its session) between guesses at the admin's.
    #[test]
    fn own_logins_buy_no_guesses_at_another_account() {
        let mut tries = Tries::new();
        let (admin, own) = (0, 1);
        let mut guesses = 0;
        for _ in 0..100 {
            for _ in 0..9 {
                guesses += u8::from(tries.begin(address(1), Some(admin), at(5)).is_ok());
            }
            if tries.begin(address(1), Some(own), at(5)).is_ok() {
                tries.end(address(1), own);
            }
        }
        assert_eq!(guesses, SOURCE);
    }

    #[test]
    fn a_source_is_known_for_the_account_that_it_logged_in_to() {
        let mut tries = Tries::new();
        let (admin, own) = (0, 1);
        assert_eq!(tries.begin(address(1), Some(own), at(0)), Ok(()));
        tries.end(address(1), own);
        assert!(tries.is_known(address(1), own) && !tries.is_known(address(1), admin));
        for number in 2..200 {
            for _ in 0..SOURCE {
                let _limited = tries.begin(address(number), Some(admin), at(1));
                let _limited = tries.begin(address(number), Some(own), at(1));
            }
        }
        assert!(tries.begin(address(1), Some(admin), at(2)).is_err());
        assert_eq!(tries.begin(address(1), Some(own), at(2)), Ok(()));
    }

    #[test]
    fn names_that_nobody_has_have_the_tries_of_one_account() {
        let mut tries = Tries::new();
        let mut checks = 0;
        for number in 0..=255 {
            for _ in 0..SOURCE {
                checks += u32::from(tries.begin(address(number), None, at(5)).is_ok());
            }
        }
        assert_eq!(checks, u32::from(ACCOUNT));
        // Accounts have their own, and so has the code of the first contact.
        let late = Ipv4Addr::new(10, 0, 1, 1);
        assert_eq!(tries.begin(late, Some(0), at(5)), Ok(()));
        assert_eq!(tries.begin_code(late, at(5)), Ok(()));
    }

    #[test]
    fn a_look_says_what_a_try_would_and_takes_none() {
        let mut tries = Tries::new();
        for number in 0..30 {
            for account in [None, Some(0)] {
                for _ in 0..6 {
                    let may = tries.may(address(number), account, at(5));
                    assert_eq!(tries.may(address(number), account, at(5)), may);
                    let may = tries.may(address(number), account, at(5));
                    assert_eq!(tries.begin(address(number), account, at(5)), may);
                }
            }
        }
        assert!(tries.may(address(200), Some(0), at(5)).is_err());
        assert_eq!(tries.may(address(200), Some(1), at(5)), Ok(()));
    }
}
