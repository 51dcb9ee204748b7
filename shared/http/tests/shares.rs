//! Peers that anybody can be leave places for the machines that the caller knows:
//! by their number, by forged segments, or by slow reading.

use std::net::{Ipv4Addr, SocketAddrV4};

use farrier_http::places::{Class, Places, Policy, Syn};

const N: usize = 16;
type Server = Places<N, 16>;

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

/// Opens a connection that asks for a file, and gives its place.
fn reads(places: &mut Server, now: u64, peer: SocketAddrV4, class: Class) -> Option<usize> {
    if places.syn(now, peer, class) != Syn::Pass {
        places.left(peer);
        return None;
    }
    let place = places.accepted(now, peer, class)?;
    places.head(now, place);
    places.busy(place);
    places.sending(now, place);
    Some(place)
}

/// As many readers of a class as get a place, each of a source of its own.
fn fill(places: &mut Server, class: Class) -> Vec<usize> {
    let first = 20 * class as u8 + 1;
    (first..first + N as u8)
        .filter_map(|source| reads(places, 0, peer(source, 1), class))
        .collect()
}

/// SYNs with the forged addresses of leases, one every so many milliseconds, and
/// a server whose stack repeats its SYN after 1, 3, 7, 15 and 31 s: when it gets
/// its connection.
fn served_under(forged: u64, every: u64) -> Option<u64> {
    let mut places = server();
    let real = peer(99, 7);
    let (mut port, mut held) = (1_000, None);
    for now in 0..60_000 {
        if now % every == 0 {
            port += 1;
            let source = u8::try_from(now / every % forged).unwrap() + 1;
            let forged = places.syn(now, peer(source, port), Class::Stranger);
            assert_ne!(
                held.map(Syn::Hold),
                Some(forged),
                "the server's was dropped"
            );
        }
        if [5_003, 6_003, 8_003, 12_003, 20_003, 36_003].contains(&now) {
            match places.syn(now, real, Class::Boot) {
                Syn::Pass => return Some(now),
                Syn::Hold(slot) => held = Some(slot),
                Syn::Refused | Syn::Repeated => {}
            }
        }
        if now % 50 == 0 {
            while places.tick(now).is_some() {}
        }
        while let Some(slot) = places.next(now) {
            if held == Some(slot) {
                return Some(now);
            }
            places.passed(now, slot);
        }
    }
    None
}

#[test]
fn forged_segments_of_leases_keep_no_booting_server_out() {
    for (forged, every) in [(4, 20), (8, 20), (12, 20), (12, 5), (40, 5), (40, 2)] {
        let served = served_under(forged, every);
        assert_eq!(served, Some(5_003), "{forged} leases, every {every} ms");
    }
}

#[test]
fn strangers_have_at_most_half_of_the_places() {
    let mut places = server();
    assert_eq!(fill(&mut places, Class::Stranger).len(), N / 2);
    // Whoever else comes finds the other half.
    for class in [Class::Boot, Class::Agent, Class::Operator] {
        let peer = peer(100 + class as u8, 1);
        assert!(reads(&mut places, 0, peer, class).is_some(), "{class:?}");
    }
}

#[test]
fn a_stranger_finds_a_place_beside_operators_without_number() {
    let mut places = server();
    fill(&mut places, Class::Operator);
    assert!(reads(&mut places, 0, peer(100, 1), Class::Stranger).is_some());
}

#[test]
fn small_servers_have_a_place_for_each_class() {
    for sockets in 4..8 {
        for class in Class::ALL {
            let mut places: Server = Places::new(Policy::for_places(sockets));
            for _ in 0..sockets {
                places.socket_added();
            }
            for other in Class::ALL.into_iter().filter(|other| *other != class) {
                fill(&mut places, other);
            }
            let late = places.syn(0, peer(100, 1), class);
            assert_eq!(late, Syn::Pass, "{class:?} of {sockets}");
        }
    }
}

#[test]
fn strangers_wait_in_at_most_half_of_the_room() {
    let mut places = server();
    fill(&mut places, Class::Stranger);
    fill(&mut places, Class::Boot);
    let held = (100..=200)
        .filter(|source| {
            let syn = places.syn(1, peer(*source, 2), Class::Stranger);
            matches!(syn, Syn::Hold(_))
        })
        .count();
    assert_eq!(held, 8);
    for source in 201..=208 {
        let syn = places.syn(2, peer(source, 2), Class::Boot);
        assert!(matches!(syn, Syn::Hold(_)), "{source}");
    }
}

#[test]
fn a_booting_server_takes_the_room_of_operators_beyond_their_share() {
    let mut places = server();
    fill(&mut places, Class::Boot);
    fill(&mut places, Class::Operator);
    for source in 1..=16 {
        let syn = places.syn(1, peer(100 + source, 2), Class::Operator);
        assert!(matches!(syn, Syn::Hold(_)), "{source}");
    }
    for source in 1..=4 {
        let syn = places.syn(2, peer(200 + source, 2), Class::Boot);
        assert!(matches!(syn, Syn::Hold(_)), "{source}");
    }
    // Its share, and no more.
    assert_eq!(places.syn(2, peer(205, 2), Class::Boot), Syn::Refused);
}

/// Five leases of one machine, each with as many readers as a source may have,
/// at the least rate that a body may have (4 KiB/s: two hours for 30 MB). A
/// server beside them waits.
fn waits_beside_readers(class: Class, rate: Option<usize>) -> Option<u64> {
    let mut places = server();
    let mut held = Vec::new();
    for source in 1..=5 {
        for port in 0..4 {
            held.extend(reads(&mut places, 1, peer(source, port), class));
        }
    }
    for now in (50..7_200_000).step_by(50) {
        if let Some(rate) = rate.filter(|_| now % 1_000 == 0) {
            held.iter().for_each(|place| places.sent(*place, rate));
        }
        if now % 4_000 == 0 && places.syn(now, peer(99, 7), Class::Boot) == Syn::Pass {
            return Some(now);
        }
        if let Some(victim) = places.tick(now) {
            assert!(places.is_given_up(victim));
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
fn readers_at_the_least_rate_keep_no_booting_server_out() {
    // The first SYN finds a place.
    assert_eq!(
        waits_beside_readers(Class::Stranger, Some(4_096)),
        Some(4_000)
    );
    // Machines that are known as well as the server itself.
    let waited = waits_beside_readers(Class::Boot, Some(4_096)).unwrap();
    assert!(waited <= 20_000, "{waited}");
}

#[test]
fn readers_at_a_fair_rate_have_minutes_while_a_server_waits() {
    let waited = waits_beside_readers(Class::Boot, Some(100_000)).unwrap();
    assert!((300_000..310_000).contains(&waited), "{waited}");
    // So has a request of which nothing is known.
    let mut places = server();
    for source in 1..=10 {
        let place = reads(&mut places, 0, peer(source, 1), Class::Boot).unwrap();
        places.head(0, place);
        places.busy(place);
    }
    places.syn(299_000, peer(99, 1), Class::Boot);
    assert_eq!(places.tick(299_999), None);
    assert!(places.tick(300_000).is_some());
    assert_eq!(places.counts().transfers_given_up, 1);
}

#[test]
fn no_transfer_is_given_up_while_nobody_waits() {
    let mut places = server();
    fill(&mut places, Class::Stranger);
    assert_eq!(places.tick(1_000_000), None);
}

#[test]
fn a_slow_stranger_goes_before_a_known_server() {
    let mut places = server();
    let strangers = fill(&mut places, Class::Stranger);
    for source in 20..26 {
        reads(&mut places, 0, peer(source, 1), Class::Boot);
    }
    places.syn(20_000, peer(99, 1), Class::Boot);
    let victim = places.tick(20_000).unwrap();
    assert!(strangers.contains(&victim));
}

#[test]
fn a_stranger_that_waits_ends_no_transfer_of_a_known_server() {
    let mut places = server();
    let known = fill(&mut places, Class::Boot);
    assert_eq!(known.len(), 10);
    for source in 101..=102 {
        let place = reads(&mut places, 0, peer(source, 1), Class::Stranger).unwrap();
        places.sent(place, 1_000_000_000);
    }
    places.syn(20_000, peer(200, 1), Class::Stranger);
    assert_eq!(places.tick(20_000), None);
}
