//! Peers that anybody can be leave transfers for the machines that the caller
//! knows: by their number, by requests without an answer, or by slow reading.

use std::net::{Ipv4Addr, SocketAddrV4};

use farrier_tftp::places::{Admission, Class, Places, Policy};

const P: usize = 16;
const W: usize = 48;
type Server = Places<P, W>;

fn peer(source: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, source), port)
}

/// Starts a transfer that is answered; `None` where it has to wait, which it does
/// not.
fn reads(places: &mut Server, now: u64, peer: SocketAddrV4, class: Class) -> Option<usize> {
    let _admission = places.request(now, peer, class);
    let (_, place) = places.next(now)?;
    places.answered(place);
    Some(place)
}

/// As many readers as get a place, each of a source of its own.
fn fill(places: &mut Server, class: Class, sources: std::ops::RangeInclusive<u8>) -> Vec<usize> {
    sources
        .filter_map(|source| reads(places, 0, peer(source, 1), class))
        .collect()
}

/// Two transfers of each of eight leases, at so many bytes a second. When a known
/// machine beside them gets a transfer.
fn served_beside_readers(class: Class, rate: u64) -> Option<u64> {
    let mut places = Server::new(Policy::DEFAULT);
    let mut held = Vec::new();
    for source in 1..=8 {
        for port in [1, 2] {
            held.extend(reads(&mut places, 0, peer(source, port), class));
        }
    }
    for now in (1_000..7_200_000).step_by(250) {
        for place in &held {
            places.answered(*place);
            places.acked(*place, now * rate / 1_000);
        }
        if now % 4_000 == 0 {
            let _admission = places.request(now, peer(99, 7), Class::Known);
        }
        if let Some(victim) = places.tick(now) {
            // An answer does not help any more.
            places.answered(victim);
            assert!(places.is_given_up(victim) && places.is_answered(victim));
            held.retain(|place| *place != victim);
            places.freed(victim);
        }
        if places.next(now).is_some() {
            return Some(now);
        }
    }
    None
}

#[test]
fn readers_at_the_least_rate_keep_no_known_machine_out() {
    let served = served_beside_readers(Class::Stranger, 2_048);
    assert_eq!(served, Some(4_000), "at once");
    let served = served_beside_readers(Class::Known, 2_048).unwrap();
    assert!(served <= 16_000, "{served}");
}

#[test]
fn readers_at_a_fair_rate_have_minutes_while_a_machine_waits() {
    let served = served_beside_readers(Class::Known, 100_000).unwrap();
    assert!((300_000..302_000).contains(&served), "{served}");
}

#[test]
fn strangers_have_half_of_the_places_and_leave_a_quarter_beside_others() {
    let mut places = Server::new(Policy::DEFAULT);
    assert_eq!(fill(&mut places, Class::Stranger, 1..=30).len(), P / 2);
    assert_eq!(fill(&mut places, Class::Other, 41..=70).len(), P / 4);
    assert_eq!(fill(&mut places, Class::Known, 81..=99).len(), P / 4);

    let mut places = Server::new(Policy::DEFAULT);
    assert_eq!(fill(&mut places, Class::Other, 41..=70).len(), P / 2);
    assert_eq!(fill(&mut places, Class::Stranger, 1..=30).len(), P / 4);
    assert_eq!(fill(&mut places, Class::Known, 81..=99).len(), P / 4);
}

#[test]
fn strangers_wait_in_at_most_half_of_the_room() {
    let mut places = Server::new(Policy::DEFAULT);
    fill(&mut places, Class::Stranger, 1..=8);
    let waiting = (10..=99)
        .filter(|source| {
            let admission = places.request(1, peer(*source, 1), Class::Stranger);
            matches!(admission, Admission::Wait(_))
        })
        .count();
    assert_eq!(waiting, W / 2);
    // Others take the rest, and are displaced by known machines first.
    for source in 100..=150 {
        let _admission = places.request(2, peer(source, 1), Class::Other);
    }
    for source in 151..=175 {
        let admission = places.request(3, peer(source, 1), Class::Known);
        assert!(matches!(admission, Admission::Wait(_)), "{source}");
    }
}

#[test]
fn a_known_machine_starts_before_strangers_that_waited_for_longer() {
    let mut places = Server::new(Policy::DEFAULT);
    let going = fill(&mut places, Class::Known, 1..=16);
    let _admission = places.request(1, peer(100, 1), Class::Stranger);
    let known = places.request(2, peer(101, 1), Class::Known);
    places.freed(going[0]);
    let (slot, _) = places.next(3).unwrap();
    assert_eq!(known, Admission::Wait(slot));
}

#[test]
fn a_stranger_that_waits_ends_no_transfer_of_a_known_machine() {
    let mut places = Server::new(Policy::DEFAULT);
    fill(&mut places, Class::Known, 1..=16);
    let _admission = places.request(400_000, peer(100, 1), Class::Stranger);
    assert_eq!(places.tick(400_000), None);
    let _admission = places.request(400_000, peer(101, 1), Class::Known);
    assert!(places.tick(400_000).is_some());
}
