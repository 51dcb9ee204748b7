//! What is durable of a rack, to be compared over a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use farrier_core::Instant;
use farrier_core::ipam::lease::OFFER_MILLIS;
use farrier_core::persist::record::{MAX_RECORD, Record};
use farrier_protocol::message::Mac;

use crate::TestRack;

/// What is durable of a rack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durable {
    /// Its records, sorted; without those that end with the time alone:
    /// quarantined and declined addresses.
    facts: Vec<Vec<u8>>,
    /// The client of each leased address, and for how many seconds more.
    leases: BTreeMap<Ipv4Addr, (Mac, [u8; 8], u32)>,
}

impl Durable {
    /// What is durable of a rack. Left out is what moves and promises
    /// nothing: seconds of a lease that are over, and how many requests a
    /// session has had.
    pub fn of(rack: &TestRack, now: Instant) -> Self {
        let mut durable = Durable::default();
        let mut room = [0; MAX_RECORD];
        let mut from = Some(0);
        while let Some(place) = from
            && let Some((place, length)) = rack.snapshot(now, place, &mut room)
        {
            durable.add(&room[..length]);
            from = place.checked_add(1);
        }
        durable.facts.sort_unstable();
        durable
    }

    fn add(&mut self, bytes: &[u8]) {
        let fact = match postcard::from_bytes::<Record<'_>>(bytes) {
            Ok(Record::Lease {
                mac,
                key,
                address,
                seconds,
            }) => {
                self.leases.insert(address, (mac, key, seconds));
                return;
            }
            Ok(
                Record::Reservation {
                    quarantined: true, ..
                }
                | Record::LeaseEnded { .. },
            ) => return,
            Ok(mut work @ Record::Work { .. }) => {
                if let Record::Work { heard, .. } = &mut work {
                    *heard = (*heard).min(1);
                }
                postcard::to_allocvec(&work).unwrap_or_default()
            }
            _ => bytes.to_vec(),
        };
        self.facts.push(fact);
    }

    /// Whether nothing differs but leases, which end with the time alone.
    pub fn same_facts(&self, other: &Durable) -> bool {
        self.facts == other.facts
    }

    /// Whether an address is leased to this interface for so many
    /// milliseconds or more.
    pub fn leases_to(&self, address: Ipv4Addr, to: Mac, millis: u64) -> bool {
        let lease = self.leases.get(&address);
        lease.is_some_and(|(mac, _, seconds)| *mac == to && u64::from(*seconds) * 1000 >= millis)
    }

    /// What this has and the other has not, for people.
    pub fn without(&self, other: &Durable) -> String {
        let facts = self.facts.iter().filter(|fact| !other.facts.contains(fact));
        let facts: Vec<String> = facts
            .map(|bytes| match postcard::from_bytes::<Record<'_>>(bytes) {
                Ok(record) => format!("{record:?}"),
                Err(_) => format!("{bytes:02x?}"),
            })
            .collect();
        let leases = self.leases.iter();
        let leases: Vec<_> = leases
            .map(|(at, lease)| (at, lease, other.leases.get(at)))
            .filter(|(_, (mac, key, seconds), other)| {
                other.is_none_or(|(m, k, s)| m != mac || k != key || s < seconds)
            })
            .collect();
        format!("{facts:?} {leases:?}")
    }

    /// Whether a fresh rack that has restored this has all of `wanted`, and
    /// nothing else. A lease that is over may still be there: how long the
    /// restart took is not known. A lease in `ended` may not.
    pub fn agrees(&self, wanted: &Durable, ended: &BTreeSet<Ipv4Addr>) -> bool {
        let kept = wanted.leases.iter().all(|(address, (mac, key, seconds))| {
            // An offer prolongs what is about to end, in memory only: what
            // was acknowledged is among the promises.
            u64::from(*seconds) * 1000 <= OFFER_MILLIS
                || self
                    .leases
                    .get(address)
                    .is_some_and(|(m, k, s)| m == mac && k == key && s >= seconds)
        });
        let revived = self
            .leases
            .keys()
            .any(|address| ended.contains(address) && !wanted.leases.contains_key(address));
        self.facts == wanted.facts && kept && !revived
    }
}
