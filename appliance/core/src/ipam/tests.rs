use super::*;
use crate::persist::record::Record;
use proptest::prelude::*;
use std::collections::HashMap;
use std::vec::Vec;

fn at(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1000)
}

fn mac(n: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, n])
}

fn network(place: u8, third: u8, len: u16) -> Network {
    Network {
        place,
        prefix: 24,
        vlan: 100 + u16::from(place),
        pool_len: len,
        pool_first: Ipv4Addr::new(10, 0, third, 10),
        ..Network::EMPTY
    }
}

/// One of more hardware addresses than [`mac`] has.
fn wide(n: u16) -> Mac {
    let [high, low] = n.to_be_bytes();
    Mac([2, 0, 0, 0, high, low])
}

/// What older firmware wrote of addresses.
fn held(ipam: &mut Ipam, network: u8, mac: Mac, address: Ipv4Addr, named: bool) {
    ipam.put(at(0), network, (mac, address), (named, false), None, 60);
}

fn rests(ipam: &mut Ipam, network: u8, mac: Mac, address: Ipv4Addr) {
    ipam.put(at(0), network, (mac, address), (false, true), None, 60);
}

#[test]
fn an_address_without_a_slot_finds_one() {
    let mut ipam = Ipam::new();
    let address = |n: u16| Ipv4Addr::from_bits(0x0a00_0000 + u32::from(n));
    held(&mut ipam, 1, wide(0), address(0), true);
    let more = MAX_ADDRESSES as u16 + 5;
    for n in 1..=more {
        rests(&mut ipam, 1, wide(n), address(n));
        // Once more is not one more.
        rests(&mut ipam, 1, wide(n), address(n));
    }
    // Those that were told last are there, and the one that is held.
    let has = |ipam: &Ipam, n: u16| ipam.entries().iter().any(|e| e.address == address(n));
    assert_eq!(ipam.entries().len(), MAX_ADDRESSES);
    assert!((7..=more).all(|n| has(&ipam, n)) && !(1..7).any(|n| has(&ipam, n)));
    assert_eq!(ipam.find(1, wide(0)), Some(address(0)));
    held(&mut ipam, 1, wide(5000), address(5000), true);
    assert_eq!(ipam.find(1, wide(5000)), Some(address(5000)));
    assert_eq!(ipam.find(1, wide(0)), Some(address(0)));
    let mut slots: Vec<u16> = ipam
        .entries()
        .iter()
        .map(|entry| entry.slot.number())
        .collect();
    slots.sort_unstable();
    assert!(slots.into_iter().eq(0..MAX_ADDRESSES as u16));
}

#[test]
fn a_slot_has_one_address_and_an_address_one_slot() {
    let mut ipam = Ipam::new();
    let address = |n: u8| Ipv4Addr::new(10, 0, 1, n);
    let put = |ipam: &mut Ipam, n: u8, slot: u16, rests: bool| {
        ipam.put(
            at(0),
            1,
            (mac(n), address(n)),
            (true, rests),
            Some(slot),
            60,
        );
    };
    put(&mut ipam, 1, 5, false);
    put(&mut ipam, 2, 5, false);
    assert_eq!(ipam.in_slot(5).map(|e| e.address), Some(address(2)));
    assert_eq!(ipam.entries().len(), 1);
    put(&mut ipam, 2, 7, true);
    assert_eq!(ipam.in_slot(5), None);
    assert_eq!(
        ipam.in_slot(7).map(|e| (e.address, e.is_held())),
        Some((address(2), false))
    );
    assert_eq!(ipam.entries().len(), 1);
    // Another address of the same interface ends the first one, unless
    // it only rests.
    put(&mut ipam, 3, 1, false);
    ipam.put(at(0), 1, (mac(3), address(4)), (true, true), Some(2), 60);
    assert_eq!(ipam.find(1, mac(3)), Some(address(3)));
    ipam.put(at(0), 1, (mac(3), address(5)), (true, false), Some(3), 60);
    assert_eq!(ipam.find(1, mac(3)), Some(address(5)));
    assert!(ipam.in_slot(1).is_some_and(|e| !e.is_held()));
    // A new one takes the first slot that is free.
    ipam.give(at(0), 1, mac(9), Some(address(9)), 60).unwrap();
    assert_eq!(ipam.in_slot(0).map(|e| e.address), Some(address(9)));
    assert_eq!(
        ipam.in_slot(0).map(Record::of_reservation),
        Some(Record::Reservation {
            slot: 0,
            network: 1,
            mac: mac(9),
            address: address(9),
            named: true,
            quarantined: false,
        })
    );
}

#[test]
fn networks_are_sound_and_do_not_meet() {
    let good = network(1, 1, 10);
    assert!(good.is_sound());
    for bad in [
        Network { prefix: 31, ..good },
        Network {
            pool_len: 0,
            ..good
        },
        Network {
            pool_len: 246,
            ..good
        },
        Network { vlan: 4095, ..good },
        Network {
            pool_first: Ipv4Addr::new(10, 0, 1, 0),
            ..good
        },
    ] {
        assert!(!bad.is_sound(), "{bad:?}");
    }
    let to_the_end = Network {
        pool_len: 245,
        ..good
    };
    assert!(to_the_end.is_sound());
    // The longer prefix does not hide that they share addresses.
    let inside = Network {
        prefix: 28,
        vlan: 0,
        ..good
    };
    let beside = Network {
        pool_first: Ipv4Addr::new(10, 0, 1, 130),
        ..inside
    };
    assert!(inside.meets(&good) && good.meets(&beside) && beside.meets(&good));
    assert!(!inside.meets(&beside));
    let untagged = Network {
        vlan: 0,
        ..network(3, 3, 4)
    };
    assert!(!inside.meets(&untagged), "no VLAN is not the same VLAN");
    let of_pool = |last| good.has(Ipv4Addr::new(10, 0, 1, last));
    assert_eq!([9, 10, 19, 20].map(of_pool), [false, true, true, false]);

    let mut ipam = Ipam::new();
    ipam.set_network(at(0), good).unwrap();
    let same = Network {
        vlan: 7,
        place: 2,
        ..good
    };
    assert_eq!(ipam.set_network(at(0), same), Err(IpamError::Overlaps));
    let vlan = Network {
        vlan: 101,
        ..network(2, 2, 4)
    };
    assert_eq!(ipam.set_network(at(0), vlan), Err(IpamError::Overlaps));
    ipam.set_network(at(0), network(2, 2, 4)).unwrap();
    ipam.give(at(0), 2, mac(1), None, 60).unwrap();
    assert_eq!(ipam.remove_network(at(0), 2), Err(IpamError::InUse));
    ipam.take(at(0), 2, mac(1), 60);
    assert_eq!(ipam.remove_network(at(59), 2), Err(IpamError::InUse));
    assert_eq!(ipam.remove_network(at(60), 2), Ok(()));
    assert_eq!(ipam.networks(), [good]);
    ipam.drop_network(7);
    assert_eq!(ipam.networks(), [good]);
    let other = Network {
        pool_len: 3,
        ..good
    };
    ipam.put_network(other);
    assert_eq!(ipam.networks(), [other]);
    ipam.drop_network(1);
    assert!(ipam.networks().is_empty());
}

#[test]
fn addresses_of_before_a_restart_take_their_place() {
    let mut ipam = Ipam::new();
    let address = |last| Ipv4Addr::new(10, 0, 1, last);
    held(&mut ipam, 1, mac(1), address(10), true);
    held(&mut ipam, 2, mac(1), address(10), false);
    // Once more, in other words: the last ones count.
    held(&mut ipam, 1, mac(1), address(11), false);
    assert_eq!(ipam.find(1, mac(1)), Some(address(11)));
    assert_eq!(ipam.find(2, mac(1)), Some(address(10)));
    assert_eq!(ipam.owner(1, address(10)), None, "it rests");
    assert_eq!(ipam.owner(2, address(10)), Some(mac(1)));
    // What rested is somebody's again.
    held(&mut ipam, 1, mac(2), address(10), true);
    assert_eq!(ipam.owner(1, address(10)), Some(mac(2)));
    assert_eq!(ipam.owner(2, address(10)), Some(mac(1)));
    assert_eq!(ipam.entries().len(), 3);
    rests(&mut ipam, 1, mac(2), address(10));
    assert_eq!(ipam.find(1, mac(2)), None);
    assert_eq!(ipam.entries().len(), 3);
}

#[test]
fn a_full_book_makes_room_for_who_held_before() {
    let mut ipam = Ipam::new();
    let address = |n: usize| Ipv4Addr::from_bits(0x0a00_0000 + n as u32);
    for n in 0..MAX_ADDRESSES {
        held(&mut ipam, 1, wide(n as u16), address(n), true);
    }
    rests(&mut ipam, 1, wide(5), address(5));
    held(&mut ipam, 1, wide(5000), address(5000), true);
    assert_eq!(ipam.find(1, wide(5000)), Some(address(5000)));
    assert_eq!(ipam.find(1, wide(0)), Some(address(0)));
    assert!(ipam.entries().iter().all(Entry::is_held));
}

#[test]
fn a_tenant_takes_picked_addresses_along_and_leaves_named_ones() {
    let mut ipam = Ipam::new();
    ipam.set_network(at(0), network(1, 1, 10)).unwrap();
    let named = Ipv4Addr::new(10, 0, 1, 15);
    let picked = ipam.give(at(0), 1, mac(1), None, 60).unwrap();
    ipam.give(at(0), 1, mac(2), Some(named), 60).unwrap();
    assert_eq!(ipam.end_tenant(at(0), &[mac(1), mac(2)], 60), 1);
    assert_eq!(ipam.find(1, mac(1)), None);
    assert_eq!(ipam.find(1, mac(2)), Some(named));
    // It rests; its owner of before may have it again.
    assert_ne!(ipam.give(at(1), 1, mac(3), None, 60), Ok(picked));
    assert_eq!(ipam.give(at(2), 1, mac(1), None, 60), Ok(picked));
}

proptest! {
    /// Whatever is given and taken back: never two owners, and nobody
    /// else before the lease of the last owner has run out. The oracle
    /// is a map of when each address was last anybody's.
    #[test]
    fn never_two_owners(steps in proptest::collection::vec(
        (0u8..5, 1u8..3, 0u8..4, 0u8..8, 0u64..40), 1..200)
    ) {
        let mut ipam = Ipam::new();
        ipam.set_network(at(0), network(1, 1, 3)).unwrap();
        ipam.set_network(at(0), network(2, 2, 3)).unwrap();
        let mut free_at: HashMap<(u8, Ipv4Addr), (Mac, u64)> = HashMap::new();
        let mut now = 0;
        for (what, place, who, which, passes) in steps {
            now += passes;
            let who = mac(who);
            let before = ipam.find(place, who);
            match what {
                0 | 1 => {
                    let wanted = Ipv4Addr::new(10, 0, place, 8 + which);
                    let wanted = (what == 1).then_some(wanted);
                    if let Ok(given) = ipam.give(at(now), place, who, wanted, 60) {
                        if let Some((owner, until)) = free_at.get(&(place, given)) {
                            prop_assert!(*owner == who || *until <= now, "{given} reused");
                        }
                        if let Some(old) = before.filter(|old| *old != given) {
                            free_at.insert((place, old), (who, now + 60));
                        }
                        free_at.insert((place, given), (who, u64::MAX));
                    }
                }
                2 | 3 => {
                    if let Some(old) = ipam.take(at(now), place, who, 60) {
                        free_at.insert((place, old), (who, now + 60));
                    }
                }
                _ => {
                    for network in [1, 2] {
                        let held = ipam.entries().iter()
                            .find(|e| e.is_held() && e.network == network && e.mac == who);
                        if let Some(entry) = held.filter(|e| !e.is_named()) {
                            free_at.insert((network, entry.address), (who, now + 60));
                        }
                    }
                    ipam.end_tenant(at(now), &[who], 60);
                }
            }
            let held: std::vec::Vec<_> =
                ipam.entries().iter().filter(|e| e.is_held()).collect();
            for one in &held {
                prop_assert_eq!(ipam.owner(one.network, one.address), Some(one.mac));
                prop_assert_eq!(ipam.find(one.network, one.mac), Some(one.address));
            }
            for (n, one) in held.iter().enumerate() {
                for other in &held[n + 1..] {
                    prop_assert!((one.network, one.address) != (other.network, other.address));
                    prop_assert!((one.network, one.mac) != (other.network, other.mac));
                }
            }
        }
    }
}
