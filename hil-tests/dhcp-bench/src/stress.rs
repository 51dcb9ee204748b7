//! Stress: random requests to the shipping lease table, against a list of
//! promises that is kept by address and knows nothing of the table.
//!
//! A promise is an offer for its time, or a lease for its time. Nobody may be
//! promised an address while a promise of it to somebody else lives, and an
//! address may be refused only while all others are promised.

use std::net::Ipv4Addr;

use farrier_core::Instant;
use farrier_core::ipam::lease::{Client, DECLINED_MILLIS, LeaseError, Leases, OFFER_MILLIS};
use farrier_dhcp::wire::ClientIdentity;
use farrier_protocol::message::Mac;

use farrier_testkit::Random;

/// Addresses of the pool: few, so that clients compete for them.
const POOL: usize = 24;
/// Clients of the pool.
const CLIENTS: u64 = 40;
/// Requests of a round.
const REQUESTS: u64 = 12;
/// How long a lease lasts, in seconds.
const SECONDS: u32 = 60;
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 10);

/// What the rounds have shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Rounds.
    pub rounds: u64,
    /// Offers that were made.
    pub offers: u64,
    /// Leases that were given.
    pub leases: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Promises that were broken: an address promised twice, or refused
    /// without need. The bug that is looked for.
    pub broken: u64,
}

/// To whom an address is promised, and until when.
#[derive(Debug, Clone, Copy)]
struct Promise {
    /// `None`: to nobody, since it was declined.
    to: Option<u64>,
    until: u64,
}

/// Runs so many rounds of requests. The table goes on from one to the next,
/// with a pause of random length between them.
#[must_use]
pub fn run(seed: u64, rounds: u64) -> Seen {
    let mut random = Random::new(seed, 0);
    let mut table = Leases::<POOL>::new();
    table.configure(FIRST, POOL, [random.word(), random.word()]);
    let mut promises = [Promise { to: None, until: 0 }; POOL];
    let mut now = 0;
    let mut seen = Seen::default();
    for _ in 0..rounds {
        seen.rounds += 1;
        now += pause(&mut random);
        for _ in 0..REQUESTS {
            now += random.word() % 3_000;
            request(&mut table, &mut promises, &mut random, now, &mut seen);
        }
    }
    seen
}

/// Mostly short, at times long enough for all leases to run out.
fn pause(random: &mut Random) -> u64 {
    match random.word() % 16 {
        0 => random.word() % 700_000,
        1..4 => random.word() % 70_000,
        _ => random.word() % 2_000,
    }
}

fn request(
    table: &mut Leases<POOL>,
    promises: &mut [Promise; POOL],
    random: &mut Random,
    now: u64,
    seen: &mut Seen,
) {
    let at = Instant::from_millis(now);
    let who = random.word() % CLIENTS;
    let client = client(who);
    // Somewhere in the pool, or right beside it.
    let other =
        Ipv4Addr::from_bits(FIRST.to_bits() - 1 + (random.word() % (POOL as u64 + 2)) as u32);
    let own = || {
        promises
            .iter()
            .position(|p| p.to == Some(who) && p.until > now)
    };
    // Clients ask for their own address more often than for another's.
    let asked = match own() {
        Some(own) if !random.word().is_multiple_of(4) => at_place(own),
        _ => other,
    };
    match random.word() % 16 {
        0..8 => match table.offer(at, client, Some(asked)) {
            Ok(address) => {
                seen.offers += 1;
                let until = now + OFFER_MILLIS;
                promise(promises, address, who, now, until, seen);
            }
            Err(LeaseError::Exhausted | LeaseError::NotYours) => {
                seen.refused += 1;
                let free = promises.iter().any(|p| p.until <= now || p.to == Some(who));
                seen.broken += u64::from(free);
            }
        },
        8..14 => match table.bind(at, client, asked, SECONDS) {
            Ok(lease) => {
                seen.leases += 1;
                let until = now + u64::from(lease.seconds) * 1000;
                promise(promises, asked, who, now, until, seen);
            }
            Err(_) => {
                seen.refused += 1;
                // Whoever has a promise of an address gets it.
                let owed = place(asked).and_then(|place| promises.get(place));
                seen.broken += u64::from(owed.is_some_and(|p| p.to == Some(who) && p.until > now));
            }
        },
        14 => {
            if table.release(at, client, asked)
                && let Some(known) = place(asked).and_then(|place| promises.get_mut(place))
            {
                let others = known.to != Some(who) && known.until > now;
                seen.broken += u64::from(others);
                *known = Promise { to: None, until: 0 };
            }
        }
        _ => {
            if table.decline(at, client, asked)
                && let Some(known) = place(asked).and_then(|place| promises.get_mut(place))
            {
                let others = known.to != Some(who) && known.until > now;
                seen.broken += u64::from(others);
                *known = Promise {
                    to: None,
                    until: now + DECLINED_MILLIS,
                };
            }
        }
    }
}

/// Notes a promise, and whether it breaks another one.
fn promise(
    promises: &mut [Promise; POOL],
    address: Ipv4Addr,
    who: u64,
    now: u64,
    until: u64,
    seen: &mut Seen,
) {
    let Some(known) = place(address).and_then(|place| promises.get_mut(place)) else {
        // An address that is not of the pool.
        seen.broken += 1;
        return;
    };
    let same = known.to == Some(who);
    seen.broken += u64::from(!same && known.until > now);
    // An offer does not shorten the lease that there is.
    let until = if same { until.max(known.until) } else { until };
    *known = Promise {
        to: Some(who),
        until,
    };
}

fn client(who: u64) -> Client {
    // Two identities to every two machines: neither decides alone.
    let mac = [2, 0, 0, 0, 0, (who / 2) as u8];
    let id = [who as u8 % 2, 7];
    Client::new(Mac(mac), &ClientIdentity::ClientId(&id))
}

fn at_place(place: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(FIRST.to_bits() + place as u32)
}

fn place(address: Ipv4Addr) -> Option<usize> {
    let offset = address.to_bits().checked_sub(FIRST.to_bits())? as usize;
    (offset < POOL).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_promised_once() {
        let seen = run(1, 100_000);
        assert_eq!(seen.broken, 0, "{seen:?}");
        // All that can happen did.
        assert!(
            seen.offers > 10_000 && seen.leases > 10_000 && seen.refused > 10_000,
            "{seen:?}"
        );
    }

    #[test]
    fn second_promise_is_noticed() {
        let mut promises = [Promise { to: None, until: 0 }; POOL];
        let mut seen = Seen::default();
        promise(&mut promises, FIRST, 1, 0, 100, &mut seen);
        promise(&mut promises, FIRST, 2, 100, 200, &mut seen);
        assert_eq!(seen.broken, 0);
        promise(&mut promises, FIRST, 1, 199, 300, &mut seen);
        assert_eq!(seen.broken, 1);
    }
}
