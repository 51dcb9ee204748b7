//! Who gets a connection, who waits, and what is given up for whom.

use std::net::{Ipv4Addr, SocketAddrV4};

use farrier_http::places::{Class, Pace, Places, Policy, Syn, Turns};

const N: usize = 16;
type Server = Places<N, 8>;

fn server() -> Server {
    let mut places = Places::new(Policy::for_places(N));
    for _ in 0..N {
        places.socket_added();
    }
    places
}

fn peer(source: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, source), port)
}

/// Opens a connection that is idle after a reply. Whether there was a place.
fn idle(places: &mut Server, now: u64, peer: SocketAddrV4, class: Class) -> Option<usize> {
    if places.syn(now, peer, class) != Syn::Pass {
        return None;
    }
    let place = places.accepted(now, peer, class).unwrap();
    places.head(now, place);
    places.busy(place);
    places.idle(now, place);
    Some(place)
}

/// Lets the next held SYN pass.
fn next(places: &mut Server, now: u64) -> Option<usize> {
    let slot = places.next(now)?;
    places.passed(now, slot);
    Some(slot)
}

/// All places that a class can have: what is kept for it, and what is for all.
fn most(class: Class) -> u8 {
    match class {
        Class::Boot => 10,
        Class::Agent | Class::Operator | Class::Stranger => 8,
    }
}

/// As many connections of a class as get a place, each of a source of its own.
fn fill(places: &mut Server, class: Class) {
    for source in 1..=most(class) {
        assert!(
            idle(places, 0, peer(source, 1), class).is_some(),
            "{source}"
        );
    }
}

#[test]
fn a_source_has_at_most_its_share() {
    let mut places = server();
    let taken = (0..N as u16)
        .filter(|port| idle(&mut places, 0, peer(1, *port), Class::Operator).is_some())
        .count();
    assert_eq!(taken, 4);
    assert!(idle(&mut places, 0, peer(2, 1), Class::Operator).is_some());
    assert!(idle(&mut places, 0, peer(3, 1), Class::Boot).is_some());
}

#[test]
fn no_class_takes_the_places_of_another() {
    for class in Class::ALL {
        let mut places = server();
        fill(&mut places, class);
        assert_eq!(idle(&mut places, 0, peer(99, 1), class), None);
        for other in Class::ALL {
            if other != class {
                let opened = idle(&mut places, 0, peer(100 + other as u8, 1), other);
                assert!(opened.is_some(), "{class:?} {other:?}");
            }
        }
    }
}

#[test]
fn an_idle_connection_is_given_up_for_one_that_waits() {
    let mut places = server();
    fill(&mut places, Class::Operator);
    let late = peer(200, 1);
    assert_eq!(places.syn(50, late, Class::Operator), Syn::Hold(0));
    assert!(places.is_crowded());
    // A reply was sent just now: its peer may be about to ask again.
    assert_eq!(places.tick(50), None);
    let victim = places.tick(100).unwrap();
    assert!(places.is_given_up(victim));
    assert_eq!(places.next(100), None);
    // One for each that waits.
    assert_eq!(places.tick(100), None);
    places.freed(victim);
    assert_eq!(next(&mut places, 110), Some(0));
    assert!(!places.is_crowded());
    assert!(places.accepted(111, late, Class::Operator).is_some());
    assert_eq!(places.counts().idle_given_up, 1);
    assert_eq!(places.counts().held, [0, 0, 1, 0]);
}

#[test]
fn the_longest_idle_of_the_source_with_most_goes_first() {
    let mut places = server();
    let first = idle(&mut places, 0, peer(1, 1), Class::Operator).unwrap();
    let mut greedy = Vec::new();
    for port in 0..4 {
        greedy.push(idle(&mut places, 10, peer(2, port), Class::Operator).unwrap());
    }
    for source in 3..9 {
        idle(&mut places, 20, peer(source, 1), Class::Operator);
    }
    places.syn(500, peer(100, 1), Class::Operator);
    let victim = places.tick(500).unwrap();
    assert!(greedy.contains(&victim) && victim != first);
}

#[test]
fn a_source_at_its_cap_waits_for_its_own_connections() {
    let mut places = server();
    let other = idle(&mut places, 0, peer(1, 1), Class::Operator).unwrap();
    let own: Vec<_> = (0..4)
        .map(|port| idle(&mut places, 10, peer(2, port), Class::Operator).unwrap())
        .collect();
    assert_eq!(places.syn(500, peer(2, 9), Class::Operator), Syn::Hold(0));
    let victim = places.tick(500).unwrap();
    assert!(own.contains(&victim) && victim != other);
}

#[test]
fn a_booting_server_gets_a_place_of_its_class_only() {
    // Boots hold what is kept for them and no more, operators all the rest:
    // a boot that waits gives up an operator's, an agent's place stays.
    let mut places = server();
    let agents: Vec<_> = (1..=2)
        .map(|source| idle(&mut places, 0, peer(source, 1), Class::Agent).unwrap())
        .collect();
    for source in 3..=N as u8 {
        idle(&mut places, 0, peer(source, 1), Class::Operator);
    }
    for source in 20..24 {
        assert!(idle(&mut places, 0, peer(source, 1), Class::Boot).is_some());
    }
    assert!(matches!(
        places.syn(500, peer(50, 1), Class::Boot),
        Syn::Hold(_)
    ));
    let victim = places.tick(500).unwrap();
    assert!(!agents.contains(&victim));
}

#[test]
fn a_slow_head_is_given_up_after_half_a_second() {
    let mut places = server();
    for source in 1..=most(Class::Operator) {
        let peer = peer(source, 1);
        assert_eq!(places.syn(0, peer, Class::Operator), Syn::Pass);
        let place = places.accepted(0, peer, Class::Operator).unwrap();
        places.head(5, place);
        // Another byte moves no deadline.
        places.head(4_000, place);
        assert_eq!(places.until(place), 5_000);
    }
    places.syn(10, peer(100, 1), Class::Operator);
    assert_eq!(places.tick(499), None);
    assert!(places.tick(500).is_some());
    assert_eq!(places.counts().heads_given_up, 1);
}

#[test]
fn a_request_at_work_is_never_given_up() {
    let mut places = server();
    for source in 1..=most(Class::Operator) {
        let place = idle(&mut places, 0, peer(source, 1), Class::Operator).unwrap();
        places.head(1, place);
        places.busy(place);
    }
    places.syn(10, peer(100, 1), Class::Operator);
    assert_eq!(places.tick(2_000), None);
    // The wait ends; the peer's stack asks again.
    assert_eq!(places.tick(3_010), None);
    assert!(!places.is_crowded());
    assert_eq!(places.counts().refused, [0, 0, 1, 0]);
}

#[test]
fn a_later_head_has_its_time_from_its_first_byte() {
    let mut places = server();
    let place = idle(&mut places, 0, peer(1, 1), Class::Operator).unwrap();
    assert_eq!(places.until(place), 10_000);
    places.head(9_000, place);
    places.head(9_500, place);
    assert_eq!(places.until(place), 14_000);
}

#[test]
fn repeated_segments_take_nothing() {
    let mut places = server();
    let first = peer(50, 1);
    assert_eq!(places.syn(0, first, Class::Boot), Syn::Pass);
    assert_eq!(places.syn(1, first, Class::Boot), Syn::Repeated);
    fill(&mut places, Class::Operator);
    let late = peer(200, 1);
    assert!(matches!(places.syn(1, late, Class::Operator), Syn::Hold(_)));
    assert_eq!(places.syn(2, late, Class::Operator), Syn::Repeated);
}

#[test]
fn one_source_does_not_fill_the_queue() {
    let mut places = server();
    fill(&mut places, Class::Operator);
    for port in 1..20 {
        places.syn(1, peer(200, port), Class::Operator);
    }
    assert_eq!(places.counts().refused, [0, 0, 17, 0]);
    assert!(matches!(
        places.syn(1, peer(201, 1), Class::Operator),
        Syn::Hold(_)
    ));
}

#[test]
fn a_handshake_that_does_not_end_frees_its_place() {
    let mut places = server();
    for source in 1..=most(Class::Operator) {
        places.syn(0, peer(source, 1), Class::Operator);
    }
    assert!(matches!(
        places.syn(3_000, peer(200, 1), Class::Operator),
        Syn::Hold(_)
    ));
    assert_eq!(places.next(3_000), None);
    assert_eq!(places.next(3_501), Some(0));
}

#[test]
fn a_machine_that_restarted_may_repeat_its_port() {
    let mut places = server();
    let peer = peer(1, 1);
    let place = idle(&mut places, 0, peer, Class::Boot).unwrap();
    assert!(matches!(places.syn(5_000, peer, Class::Boot), Syn::Hold(_)));
    assert_eq!(places.tick(5_000), Some(place));
    assert_eq!(places.next(5_000), None);
    places.freed(place);
    assert!(places.next(5_000).is_some());
}

#[test]
fn twenty_connections_in_a_row_that_stay_open_all_work() {
    // Whatever a stock client leaves open is given up for its next one.
    let mut places = server();
    let mut now = 0;
    for port in 1..=20 {
        let peer = peer(9, port);
        let mut passed = places.syn(now, peer, Class::Operator) == Syn::Pass;
        while !passed {
            now += 50;
            if let Some(victim) = places.tick(now) {
                places.freed(victim);
            }
            passed = next(&mut places, now).is_some();
        }
        let place = places.accepted(now, peer, Class::Operator).unwrap();
        places.busy(place);
        places.idle(now, place);
    }
    assert!(now <= 16 * 150, "{now}");
}

#[test]
fn a_pace_buys_time_by_bytes_and_never_more_than_its_allowance() {
    let mut pace = Pace::new(0, 5_000, 1_000);
    assert_eq!(pace.until(), 5_000);
    // A byte a second is not enough.
    for second in 1..5 {
        pace.moved(second * 1_000, 1);
    }
    assert_eq!(pace.until(), 5_004);
    // A megabyte in a moment does not pay for an hour.
    pace.moved(5_000, 1 << 20);
    assert_eq!(pace.until(), 10_000);
    let mut pace = Pace::new(0, 5_000, 8_192);
    for now in 0..100 {
        pace.moved(now * 1_000, 8_192);
    }
    assert_eq!(pace.until(), 99_000 + 5_000);
}

#[test]
fn turns_go_to_who_has_least_and_a_source_does_not_take_all() {
    let source = |n| Ipv4Addr::new(10, 0, 0, n);
    let mut turns: Turns<3, 8> = Turns::new(2);
    let slow: Vec<_> = (0..4).map(|_| turns.enter(source(1)).unwrap()).collect();
    let had: Vec<_> = slow.iter().map(|ticket| turns.poll(*ticket)).collect();
    assert_eq!(had, [Some(0), Some(1), None, None]);
    // The source behind them is not held up.
    let other = turns.enter(source(2)).unwrap();
    assert_eq!(turns.poll(other), Some(2));
    let third = turns.enter(source(3)).unwrap();
    assert_eq!(turns.poll(third), None);
    turns.leave(slow[0]);
    // The source that has one waited for longer than the third, which has none.
    assert_eq!(turns.poll(slow[2]), None);
    assert_eq!(turns.poll(third), Some(0));
    turns.leave(other);
    assert_eq!(turns.poll(slow[3]), None);
    assert_eq!(turns.poll(slow[2]), Some(2));
    assert_eq!(turns.poll(third), Some(0));
    for n in 10..13 {
        assert!(turns.enter(source(n)).is_some());
    }
    turns.enter(source(20));
    assert_eq!(turns.enter(source(21)), None);
}

#[test]
fn who_has_least_waits_shortest() {
    let mut places = server();
    // Three greedy sources have all that operators can get, and wait for more.
    let mut greedy = Vec::new();
    for port in 0..4 {
        for source in 1..=3 {
            greedy.extend(idle(&mut places, 0, peer(source, port), Class::Operator));
        }
    }
    assert_eq!(greedy.len(), 8);
    for source in 1..=3 {
        for port in 10..20 {
            places.syn(10, peer(source, port), Class::Operator);
        }
    }
    // Whoever has nothing comes later and is served first.
    let late = peer(100, 1);
    assert!(matches!(
        places.syn(20, late, Class::Operator),
        Syn::Hold(_)
    ));
    let victim = places.tick(150).unwrap();
    places.freed(victim);
    next(&mut places, 150).unwrap();
    assert!(places.accepted(151, late, Class::Operator).is_some());
}

#[test]
fn a_full_queue_makes_room_for_who_has_least() {
    let mut places = server();
    for source in 1..=8 {
        idle(&mut places, 0, peer(source, 1), Class::Operator);
    }
    for source in 1..=4 {
        for port in 2..4 {
            let held = places.syn(1, peer(source, port), Class::Operator);
            assert!(matches!(held, Syn::Hold(_)));
        }
    }
    // Equal ones do not displace one another.
    assert_eq!(places.syn(2, peer(5, 2), Class::Operator), Syn::Refused);
    let held = places.syn(2, peer(100, 1), Class::Operator);
    assert!(matches!(held, Syn::Hold(_)));
    assert_eq!(places.counts().refused, [0, 0, 2, 0]);
}

#[test]
fn nobody_waits_for_anothers_question() {
    // Whoever has to wait is asked again when a turn ends, in any order.
    let source = |n| Ipv4Addr::new(10, 0, 0, n);
    let mut turns: Turns<4, 16> = Turns::new(2);
    let slow: Vec<_> = (0..6).map(|_| turns.enter(source(1)).unwrap()).collect();
    assert!(turns.poll(slow[0]).is_some() && turns.poll(slow[1]).is_some());
    assert_eq!(turns.poll(slow[2]), None);
    turns.leave(slow[0]);
    let other = turns.enter(source(2)).unwrap();
    assert!(turns.poll(other).is_some());
    assert!(turns.poll(slow[2]).is_some());
}

#[test]
fn a_peer_that_breaks_off_takes_nothing() {
    let mut places = server();
    for port in 0..100 {
        let peer = peer(1, port);
        assert_eq!(places.syn(0, peer, Class::Operator), Syn::Pass, "{port}");
        places.broken_off(peer);
    }
    fill(&mut places, Class::Operator);
    for port in 0..100 {
        let peer = peer(200, port);
        let held = places.syn(1, peer, Class::Operator);
        assert!(matches!(held, Syn::Hold(_)), "{port}");
        places.left(peer);
    }
    // A connection is not broken off by whoever can send a segment.
    let place = idle(&mut places, 1, peer(150, 1), Class::Boot).unwrap();
    places.broken_off(peer(150, 1));
    places.left(peer(150, 1));
    assert_eq!(places.until(place), 10_001);
}
