//! Who gets a transfer, who waits, and what is given up for whom.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use farrier_tftp::places::{Admission, Class, Places, Policy};

const P: usize = 16;
type Server = Places<P, 48>;

fn server() -> Server {
    Places::new(Policy::DEFAULT)
}

fn peer(source: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, source), port)
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
enum Became {
    Started(usize),
    Waits,
    Repeated,
    Ignored,
}

fn request(places: &mut Server, now: u64, peer: SocketAddrV4, class: Class) -> Became {
    match places.request(now, peer, class) {
        Admission::Wait(slot) => match places.next(now) {
            Some((started, place)) => {
                assert_eq!(started, slot);
                Became::Started(place)
            }
            None => Became::Waits,
        },
        Admission::Repeated => Became::Repeated,
        Admission::Ignored => Became::Ignored,
    }
}

#[test]
fn forty_eight_machines_at_once_all_get_a_place() {
    let mut places = server();
    let mut at = BTreeMap::new();
    for source in 1..=48 {
        match request(&mut places, 0, peer(source, 2_000), Class::Known) {
            Became::Started(place) => _ = at.insert(place, source),
            Became::Waits => {}
            other => panic!("{source}: {other:?}"),
        }
    }
    assert_eq!(at.len(), P);
    let mut served = 0;
    let mut now = 0;
    // Each transfer takes 100 ms, one after the other ends.
    while let Some((place, _)) = at.pop_first() {
        served += 1;
        now += 100;
        places.answered(place);
        places.freed(place);
        while let Some((_, place)) = places.next(now) {
            assert!(at.insert(place, 0).is_none());
        }
    }
    assert_eq!(served, 48);
    assert!(!places.is_crowded());
}

#[test]
fn a_repeated_request_starts_nothing() {
    let mut places = server();
    assert!(matches!(
        request(&mut places, 0, peer(1, 1), Class::Known),
        Became::Started(_)
    ));
    assert_eq!(
        request(&mut places, 1, peer(1, 1), Class::Known),
        Became::Repeated
    );
    for source in 2..=P as u8 {
        request(&mut places, 0, peer(source, 1), Class::Known);
    }
    assert!(matches!(
        request(&mut places, 0, peer(100, 1), Class::Known),
        Became::Waits
    ));
    assert_eq!(
        request(&mut places, 1, peer(100, 1), Class::Known),
        Became::Repeated
    );
}

#[test]
fn a_source_has_two_transfers_and_two_that_wait() {
    let mut places = server();
    let admitted: Vec<_> = (1..=6)
        .map(|port| request(&mut places, 0, peer(1, port), Class::Known))
        .collect();
    assert!(matches!(admitted[0], Became::Started(_)));
    assert!(matches!(admitted[1], Became::Started(_)));
    assert!(matches!(admitted[2], Became::Waits));
    assert!(matches!(admitted[3], Became::Waits));
    assert_eq!(admitted[4], Became::Ignored);
    // What waits for its own source's share holds nobody else up.
    assert!(matches!(
        request(&mut places, 0, peer(2, 1), Class::Known),
        Became::Started(_)
    ));
}

#[test]
fn unknown_sources_leave_half_of_the_places() {
    let mut places = server();
    let started = (1..=100)
        .filter(|source| {
            matches!(
                request(&mut places, 0, peer(*source, 1), Class::Other),
                Became::Started(_)
            )
        })
        .count();
    assert_eq!(started, P / 2);
    for source in 101..=108 {
        let admitted = request(&mut places, 0, peer(source, 1), Class::Known);
        assert!(matches!(admitted, Became::Started(_)), "{source}");
    }
    // The queue is full of unknown ones: a known one takes a slot of theirs.
    let admitted = request(&mut places, 0, peer(109, 1), Class::Known);
    assert!(matches!(admitted, Became::Waits));
    places.freed(0);
    let (_, place) = places.next(1).unwrap();
    assert_eq!(place, 0);
    assert_eq!(
        request(&mut places, 1, peer(109, 1), Class::Known),
        Became::Repeated
    );
}

#[test]
fn a_transfer_without_an_answer_is_given_up_when_somebody_waits() {
    let mut places = server();
    for source in 1..=P as u8 {
        request(&mut places, 0, peer(source, 1), Class::Known);
    }
    places.answered(0);
    // Nobody waits.
    assert_eq!(places.tick(5_000), None);
    request(&mut places, 5_000, peer(100, 1), Class::Known);
    let victim = places.tick(5_000).unwrap();
    assert_ne!(victim, 0);
    // One for each that waits.
    assert_eq!(places.tick(5_000), None);
    places.freed(victim);
    assert_eq!(places.next(5_000), Some((0, victim)));
}

#[test]
fn an_answer_may_take_two_seconds() {
    let mut places = server();
    for source in 1..=P as u8 {
        request(&mut places, 0, peer(source, 1), Class::Known);
    }
    request(&mut places, 0, peer(100, 1), Class::Known);
    assert_eq!(places.tick(1_999), None);
    assert!(places.tick(2_000).is_some());
}

#[test]
fn a_request_that_is_not_repeated_stops_waiting() {
    let mut places = server();
    for source in 1..=P as u8 {
        request(&mut places, 0, peer(source, 1), Class::Known);
    }
    request(&mut places, 0, peer(100, 1), Class::Known);
    request(&mut places, 0, peer(101, 1), Class::Known);
    request(&mut places, 6_000, peer(101, 1), Class::Known);
    places.freed(3);
    let (_, place) = places.next(11_000).unwrap();
    assert_eq!(place, 3);
    assert_eq!(
        request(&mut places, 11_000, peer(101, 1), Class::Known),
        Became::Repeated
    );
    assert!(!places.is_crowded());
}

#[test]
fn requests_go_by_arrival() {
    let mut places = server();
    for source in 1..=P as u8 {
        request(&mut places, 0, peer(source, 1), Class::Known);
    }
    for (now, source) in [(1, 50), (2, 51), (3, 52)] {
        request(&mut places, now, peer(source, 1), Class::Known);
    }
    for slot in 0..3 {
        places.freed(slot);
        assert_eq!(places.next(10).unwrap().0, slot);
    }
}
