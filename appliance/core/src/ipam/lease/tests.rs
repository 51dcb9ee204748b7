//! Tests of the address ipam: what clients may have, and that the indices
//! of its slots agree with them.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;
use std::vec::Vec;

fn client(n: u8) -> Client {
    let mac = [2, 0, 0, 0, 0, n];
    Client::new(Mac(mac), &ClientIdentity::Hardware(mac))
}

fn ipam(len: usize) -> Leases<8> {
    let mut leases = Leases::new();
    leases.configure(Ipv4Addr::new(10, 0, 0, 10), len, [3, 5]);
    leases
}

fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1000)
}

#[test]
fn a_client_gets_the_same_address_again() {
    let mut leases = ipam(8);
    let a = leases.offer(at(0), client(1), None).unwrap();
    leases.bind(at(0), client(1), a, 60).unwrap();
    let b = leases.offer(at(1), client(2), None).unwrap();
    assert_ne!(a, b);
    assert_eq!(leases.offer(at(500), client(1), None), Ok(a));
}

#[test]
fn leases_run_out_when_the_clock_is_old_too() {
    // Beyond 32 bits of milliseconds, and at the end of what a slot can name.
    for now in [(1 << 32) - 30_000, 5 << 32 | 7, (1 << 46) - 30_000] {
        let now = Instant::from_millis(now);
        let mut leases = ipam(1);
        let address = leases.offer(now, client(1), None).unwrap();
        leases.bind(now, client(1), address, 60).unwrap();
        let later = |seconds: u64| now.plus_millis(seconds * 1000);
        assert!(
            leases
                .left(later(1), address)
                .is_some_and(|left| left >= 28)
        );
        for (seconds, free) in [(0, false), (29, false), (61, true)] {
            let taken = leases.offer(later(seconds), client(2), None);
            assert_eq!(taken.is_ok(), free, "after {seconds} s");
        }
    }
}

#[test]
fn a_fingerprint_is_one_of_its_own_machine_only() {
    for other in 2..=255 {
        let known = |last, key| Client::known(Mac([2, 0, 0, 0, 0, last]), [key; 8]);
        let mut leases = ipam(3);
        let address = leases.offer(at(0), known(1, 1), None).unwrap();
        for stranger in [known(other, 1), known(1, other)] {
            let offered = leases.offer(at(0), stranger, None);
            assert_ne!(offered, Ok(address), "{other}");
        }
    }
}

#[test]
fn one_machine_may_have_two_identities() {
    let mut leases = ipam(8);
    let mac = [2, 0, 0, 0, 0, 1];
    let rom = Client::new(Mac(mac), &ClientIdentity::ClientId(&[0, 9, 9]));
    let a = leases.offer(at(0), rom, None).unwrap();
    leases.bind(at(0), rom, a, 60).unwrap();
    let b = leases.offer(at(0), client(1), None).unwrap();
    assert_ne!(a, b);
    assert_eq!(leases.owner(a), Some(Mac(mac)));
}

#[test]
fn what_is_told_of_an_address_brings_it_back() {
    let mut leases = ipam(4);
    let address = |n: u8| Ipv4Addr::new(10, 0, 0, 10 + n);
    for n in 0..3 {
        assert_eq!(leases.offer(at(0), client(n), None), Ok(address(n)));
    }
    leases.bind(at(0), client(0), address(0), 100).unwrap();
    leases.bind(at(0), client(1), address(1), 100).unwrap();
    assert!(leases.decline(at(0), client(1), address(1)));
    // An offer is a promise of a moment.
    assert_eq!(leases.lease_view(at(1), 2), None);
    assert_eq!(leases.lease_view(at(1), 3), None);
    assert_eq!(
        leases.lease_view(at(1), 0),
        Some(LeaseView::Bound {
            client: client(0),
            address: address(0),
            seconds: 99
        })
    );
    let declined = Some(LeaseView::Declined {
        address: address(1),
    });
    assert_eq!(leases.lease_view(at(1), 1), declined);
    let last = Instant::from_millis(DECLINED_MILLIS - 1);
    assert_eq!(leases.lease_view(last, 1), declined);
    assert_eq!(
        leases.lease_view(Instant::from_millis(DECLINED_MILLIS), 1),
        None
    );
    assert_eq!(leases.left(at(1), address(0)), Some(99));
    for other in [address(1), address(3), address(9)] {
        assert_eq!(leases.left(at(1), other), None);
    }

    let mut again = ipam(4);
    let known = Client::known(client(0).mac, client(0).key());
    assert_eq!(known, client(0));
    assert_ne!(client(0).key(), client(1).key());
    again.restore(at(0), known, address(0), 99);
    again.restore(at(0), client(1), address(1), 99);
    again.restore_end(at(0), address(1), true);
    assert_eq!(again.lease_view(at(0), 0), leases.lease_view(at(1), 0));
    assert_eq!(again.lease_view(at(0), 1), declined);
    assert_eq!(again.owner(address(0)), Some(client(0).mac));
    // The end of a lease: somebody else may have it at once.
    again.restore_end(at(0), address(0), false);
    assert_eq!(again.lease_view(at(0), 0), None);
    let other = again.offer(at(0), client(7), Some(address(0)));
    assert_eq!(other, Ok(address(0)));
}

#[test]
fn identities_differ_by_kind_and_by_every_byte() {
    let mac = [2, 0, 0, 0, 0, 1];
    let key = |identity: ClientIdentity<'_>| Client::new(Mac(mac), &identity).key();
    let mut keys: Vec<[u8; 8]> = (0..=255u8)
        .map(|byte| key(ClientIdentity::ClientId(&[7, byte])))
        .collect();
    keys.push(key(ClientIdentity::Hardware(mac)));
    keys.push(key(ClientIdentity::ClientId(&mac)));
    keys.push(key(ClientIdentity::ClientId(&[])));
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 259);
}

#[test]
fn a_full_pool_refuses_and_takes_nothing_away() {
    let mut leases = ipam(2);
    for n in 1..=2 {
        let a = leases.offer(at(0), client(n), None).unwrap();
        leases.bind(at(0), client(n), a, 60).unwrap();
    }
    assert_eq!(
        leases.offer(at(59), client(3), None),
        Err(LeaseError::Exhausted)
    );
    // The one that ran out first is given away, not before.
    assert_eq!(
        leases.offer(at(60), client(3), None),
        Ok(Ipv4Addr::new(10, 0, 0, 10))
    );
}

#[test]
fn an_offer_does_not_shorten_a_lease() {
    let mut leases = ipam(1);
    let a = leases.offer(at(0), client(1), None).unwrap();
    leases.bind(at(0), client(1), a, 600).unwrap();
    assert_eq!(leases.offer(at(1), client(1), None), Ok(a));
    assert_eq!(
        leases.offer(at(599), client(2), None),
        Err(LeaseError::Exhausted)
    );
}

#[test]
fn only_its_holder_can_decline_an_address() {
    let mut leases = ipam(2);
    let a = leases.offer(at(0), client(1), None).unwrap();
    leases.bind(at(0), client(1), a, 60).unwrap();
    assert!(!leases.decline(at(1), client(2), a));
    assert!(leases.decline(at(1), client(1), a));
    assert_ne!(leases.offer(at(2), client(1), Some(a)), Ok(a));
    assert_eq!(leases.owner(a), None);
}

#[test]
fn addresses_outside_the_pool_are_nobodys() {
    let mut leases = ipam(2);
    for address in [Ipv4Addr::new(10, 0, 0, 9), Ipv4Addr::new(10, 0, 0, 12)] {
        assert_eq!(
            leases.bind(at(0), client(1), address, 60),
            Err(LeaseError::NotYours)
        );
        assert_eq!(leases.owner(address), None);
    }
}

proptest! {
    /// Whatever clients do, no address has two bound owners whose leases
    /// both live. The oracle is a plain map of what was acknowledged.
    #[test]
    fn never_two_owners(steps in proptest::collection::vec((0u8..6, 0u8..4, 0u8..8, 0u64..40), 1..200)) {
        let mut leases = ipam(4);
        let mut now = Instant::START;
        let mut owned: HashMap<Ipv4Addr, (u8, Instant)> = HashMap::new();
        for (who, what, wanted, seconds) in steps {
            now = now.plus_millis(seconds * 1000);
            let wanted = Ipv4Addr::new(10, 0, 0, 8 + wanted);
            match what {
                0 => {
                    if let Ok(a) = leases.offer(now, client(who), Some(wanted))
                        && let Some((owner, until)) = owned.get(&a)
                    {
                        prop_assert!(*owner == who || *until <= now, "{a} offered twice");
                    }
                }
                1 => {
                    if let Ok(lease) = leases.bind(now, client(who), wanted, 60) {
                        if let Some((owner, until)) = owned.get(&wanted) {
                            prop_assert!(*owner == who || *until <= now, "{wanted} bound twice");
                        }
                        let until = now.plus_millis(u64::from(lease.seconds) * 1000);
                        owned.insert(wanted, (who, until));
                    }
                }
                2 => {
                    leases.release(now, client(who), wanted);
                    if owned.get(&wanted).is_some_and(|(owner, _)| *owner == who) {
                        owned.remove(&wanted);
                    }
                }
                _ => {
                    if leases.decline(now, client(who), wanted) {
                        owned.remove(&wanted);
                    }
                }
            }
        }
        let live: Vec<_> = owned.values().filter(|(_, until)| *until > now).collect();
        prop_assert!(leases.usage(now).1 >= live.len());
    }
}

/// What a slot is, for the model of the test below.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Model {
    Never,
    Has(u8, u64),
    Out(u64),
}

proptest! {
    /// Every answer is the one that a search through all slots would give,
    /// and the indices agree with the slots after every step. Chains of one
    /// slot and of many: the secrets are part of what is drawn.
    #[test]
    fn the_indices_answer_as_a_search_would(
        secrets in prop_oneof![Just([0, 0]), any::<[u64; 2]>()],
        steps in proptest::collection::vec((0u8..12, 0u8..6, 0u8..10, 0u64..40), 1..200),
    ) {
        const LEN: usize = 7;
        let mut leases = Leases::<8>::new();
        leases.configure(Ipv4Addr::new(10, 0, 0, 10), LEN, secrets);
        let mut model = [Model::Never; LEN];
        let mut now = 0;
        for (who, what, wanted, seconds) in steps {
            now += seconds * 1000;
            let address = Ipv4Addr::new(10, 0, 0, 9 + wanted);
            let index = usize::from(wanted).checked_sub(1).filter(|index| *index < LEN);
            let own = model.iter().position(|m| matches!(m, Model::Has(w, _) if *w == who));
            let mine = index.is_some() && own == index;
            let instant = Instant::from_millis(now);
            match what {
                0 | 1 => {
                    let given = leases.offer(instant, client(who), Some(address)).ok();
                    let given = given.map(|a| usize::from(a.octets()[3]) - 10);
                    let until = |m: &Model| match *m {
                        Model::Never => 0,
                        Model::Has(_, until) | Model::Out(until) => until,
                    };
                    let wanted = index.filter(|index| until(&model[*index]) <= now);
                    let oldest = (0..LEN)
                        .filter(|index| until(&model[*index]) <= now)
                        .min_by_key(|index| (until(&model[*index]), *index));
                    if own.is_some() || wanted.is_some() {
                        prop_assert_eq!(given, own.or(wanted));
                    } else if model.contains(&Model::Never) {
                        prop_assert!(given.is_some_and(|g| model[g] == Model::Never));
                    } else {
                        prop_assert_eq!(given, oldest);
                    }
                    if let Some(given) = given {
                        let held = now + OFFER_MILLIS;
                        model[given] = match model[given] {
                            Model::Has(w, until) if w == who => Model::Has(who, until.max(held)),
                            _ => Model::Has(who, held),
                        };
                    }
                }
                2 | 3 => {
                    let free = own.is_none() && index.is_some_and(|i| model[i] == Model::Never);
                    let bound = leases.bind(instant, client(who), address, 60);
                    prop_assert_eq!(bound.is_ok(), mine || free);
                    // A lease with more than half of its time stays as it is.
                    if let Some(index) = index.filter(|_| bound.is_ok_and(|lease| lease.is_new)) {
                        model[index] = Model::Has(who, now + 60_000);
                    }
                }
                4 => {
                    prop_assert_eq!(leases.release(instant, client(who), address), mine);
                    if let Some(index) = index.filter(|_| mine) {
                        model[index] = Model::Has(who, now);
                    }
                }
                _ => {
                    prop_assert_eq!(leases.decline(instant, client(who), address), mine);
                    if let Some(index) = index.filter(|_| mine) {
                        model[index] = Model::Out(now + DECLINED_MILLIS);
                    }
                }
            }
            prop_assert!(leases.slots.is_sound());
        }
    }
}

#[test]
fn an_address_costs_28_bytes() {
    // 24 of its own, and 2 in each of the indices.
    let fixed = size_of::<Leases<0>>();
    assert!(size_of::<Leases<96>>() <= fixed + 96 * 28);
}
