//! The switch by itself, without QEMU.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::time::Duration;

use dhcproto::Encodable;
use farrier_hil_tests::switch::{Faults, HostPort, Kind, Switch, SwitchConfig, Verdict};
use support::{ALL, Peer, SOON, frame, mac, wait_until};

fn switch() -> Switch {
    Switch::start(SwitchConfig::default()).unwrap()
}

/// What waits at a port, once what was sent before has passed. Host ports
/// hand frames over at once, so nothing needs to be waited for.
fn drain(port: &HostPort) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| port.try_recv())
        .map(|frame| frame.to_vec())
        .collect()
}

#[test]
fn learns_addresses_and_floods_what_it_does_not_know() {
    let switch = switch();
    let [a, b, c] = ["a", "b", "c"].map(|name| switch.add_host_port(name).unwrap());
    let unknown = frame(mac(1), mac(2), b"where are you");
    a.send(&unknown);
    assert_eq!(
        (drain(&b), drain(&c)),
        (vec![unknown.clone()], vec![unknown]),
        "unknown: flooded"
    );
    assert!(drain(&a).is_empty(), "never back to its sender");

    let answer = frame(mac(2), mac(1), b"here");
    b.send(&answer);
    assert_eq!(
        (drain(&a), drain(&c)),
        (vec![answer], vec![]),
        "learnt: to one port only"
    );
    assert_eq!(switch.port_of(mac(2)), Some(b.id()));

    // A station behind the same port as its sender.
    b.send(&frame(mac(3), mac(2), b"neighbour"));
    assert!(drain(&a).is_empty() && drain(&c).is_empty());
    assert_eq!(b.counters().drops.same_port, 1);

    // It moves; the next frame finds it.
    c.send(&frame(mac(2), ALL, b"moved"));
    drain(&a);
    a.send(&frame(mac(1), mac(2), b"found"));
    assert_eq!(
        (drain(&b).len(), drain(&c).len()),
        (1, 1),
        "the broadcast at b, the frame at c"
    );
}

#[test]
fn forgets_addresses_that_are_not_heard() {
    let switch = Switch::start(SwitchConfig {
        ageing: Duration::from_millis(30),
        ..SwitchConfig::default()
    })
    .unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| switch.add_host_port(name).unwrap());
    b.send(&frame(mac(2), ALL, b"hello"));
    drain(&a);
    drain(&c);
    wait_until("aged", || switch.port_of(mac(2)).is_none());
    a.send(&frame(mac(1), mac(2), b"again unknown"));
    assert_eq!((drain(&b).len(), drain(&c).len()), (1, 1));
}

#[test]
fn counts_frames_bytes_and_refusals() {
    let switch = switch();
    let [a, b] = ["a", "b"].map(|name| switch.add_host_port(name).unwrap());
    let unplugged = switch.add_port("unplugged").unwrap();
    let good = frame(mac(1), ALL, &[7; 100]);
    a.send(&good);
    a.send(&good[..13]);
    a.send(&vec![0; 9_019]);
    a.send(&frame(ALL, mac(2), b"a group can't send"));
    assert_eq!(drain(&b), std::slice::from_ref(&good));

    let (from, to) = (a.counters(), b.counters());
    assert_eq!(
        (from.frames_in, from.bytes_in),
        (4, (114 + 13 + 9_019 + 32) as u64)
    );
    assert_eq!(
        (
            from.drops.bad_length,
            from.drops.bad_source,
            from.drops.total()
        ),
        (2, 1, 3)
    );
    assert_eq!((to.frames_out, to.bytes_out, to.frames_in), (1, 114, 0));
    assert_eq!(switch.counters(unplugged).drops.no_link, 1);
    assert_eq!(switch.traffic(mac(1)).frames, 1);
}

#[test]
fn speaks_qemus_framing_however_the_bytes_are_cut() {
    use std::io::Write;
    let switch = switch();
    let port = switch.add_port("server").unwrap();
    let host = switch.add_host_port("host").unwrap();
    let mut peer = Peer::connect(&switch, port);
    let frames: Vec<_> = (0..50)
        .map(|n| frame(mac(1), ALL, &vec![n; 20 * usize::from(n)]))
        .collect();
    let bytes: Vec<u8> = frames
        .iter()
        .flat_map(|f| [&(f.len() as u32).to_be_bytes()[..], f].concat())
        .collect();
    for piece in bytes.chunks(11) {
        peer.0.write_all(piece).unwrap();
    }
    for expected in &frames {
        assert_eq!(host.recv(SOON).unwrap().to_vec(), *expected);
    }
    host.send(&frame(mac(9), mac(1), b"back"));
    assert_eq!(peer.receive(), frame(mac(9), mac(1), b"back"));
}

#[test]
fn a_peer_that_dies_finds_its_port_again() {
    let switch = switch();
    let port = switch.add_port("server").unwrap();
    let host = switch.add_host_port("host").unwrap();
    for life in 1..=3 {
        let mut peer = Peer::connect(&switch, port);
        peer.send(&frame(mac(1), ALL, b"alive"));
        assert!(host.recv(SOON).is_some());
        assert_eq!(switch.counters(port).connects, life);
        drop(peer);
        wait_until("the link is down", || !switch.is_linked(port));
    }
    // A length that no frame has ends the connection, not the switch.
    let mut peer = Peer::connect(&switch, port);
    std::io::Write::write_all(&mut peer.0, &[0xFF; 4]).unwrap();
    wait_until("the link is down", || !switch.is_linked(port));
    Peer::connect(&switch, port).send(&frame(mac(1), ALL, b"alive"));
    assert!(host.recv(SOON).is_some());
}

#[test]
fn a_stalled_peer_loses_only_its_own_frames() {
    let switch = switch();
    let stalled = switch.add_port("stalled").unwrap();
    let reader = switch.add_port("reader").unwrap();
    let host = switch.add_host_port("host").unwrap();
    let _stalled_peer = Peer::connect(&switch, stalled);
    let mut peer = Peer::connect(&switch, reader);
    let total = 8_000_u32;
    let received = std::thread::spawn(move || {
        (0..total)
            .map(|_| peer.receive()[14..18].to_vec())
            .collect::<Vec<_>>()
    });
    for number in 0..total {
        let mut payload = vec![0; 1_000];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        host.send(&frame(mac(1), ALL, &payload));
        // The reader's queue is bounded too: give it a frame when it has room.
        wait_until("the reader reads", || {
            let counters = switch.counters(reader);
            u64::from(number) < counters.frames_out + 500
        });
    }
    let expected: Vec<_> = (0..total)
        .map(|number| number.to_be_bytes().to_vec())
        .collect();
    assert!(received.join().unwrap() == expected, "all, and in order");
    let counters = switch.counters(stalled);
    assert!(counters.drops.queue_full > 4_000, "{counters:?}");
    assert_eq!(switch.counters(reader).drops.total(), 0);
}

/// Sends 2,000 numbered frames over faulty ports; returns the numbers that
/// arrive.
fn faulty(seed: u64, inward: Faults, outward: Faults) -> Vec<u32> {
    let switch = Switch::start(SwitchConfig {
        seed,
        ..SwitchConfig::default()
    })
    .unwrap();
    let [a, b] = ["a", "b"].map(|name| switch.add_host_port(name).unwrap());
    switch.set_faults(a.id(), inward, Faults::NONE);
    switch.set_faults(b.id(), Faults::NONE, outward);
    for number in 0..2_000_u32 {
        a.send(&frame(mac(1), ALL, &number.to_be_bytes()));
    }
    // The last frame may be held for a moment.
    let arrived = std::iter::from_fn(|| b.recv(Duration::from_millis(200)));
    arrived
        .map(|frame| u32::from_be_bytes(frame[14..18].try_into().unwrap()))
        .collect()
}

#[test]
fn losses_and_doubles_come_from_the_seed_alone() {
    let faults = Faults {
        duplicate: 0.05,
        ..Faults::loss(0.1)
    };
    let run = |seed| faulty(seed, faults, Faults::loss(0.02));
    let first = run(7);
    assert_eq!(first, run(7));
    assert_ne!(first, run(8));
    let distinct = first
        .iter()
        .collect::<std::collections::BTreeSet<_>>()
        .len();
    let lost = 2_000 - distinct;
    assert!((150..330).contains(&lost), "about 12 % of 2,000: {lost}");
    let doubled = first.len() - distinct;
    assert!(
        (40..150).contains(&doubled),
        "about 4.5 % of 2,000: {doubled}"
    );
}

#[test]
fn reordering_loses_nothing_and_overtakes_by_little() {
    let arrived = faulty(
        3,
        Faults {
            reorder: 0.1,
            ..Faults::NONE
        },
        Faults::NONE,
    );
    let mut sorted = arrived.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..2_000).collect::<Vec<_>>());
    let late = arrived.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!(late > 50, "only {late} frames were overtaken");
    for (place, number) in arrived.iter().enumerate() {
        assert!(
            place.abs_diff(*number as usize) <= 3,
            "frame {number} arrived as number {place}"
        );
    }
}

#[test]
fn hooks_change_and_drop_until_they_are_removed() {
    let switch = switch();
    let [a, b] = ["a", "b"].map(|name| switch.add_host_port(name).unwrap());
    let from = a.id();
    let hook = switch.add_hook(Box::new(move |port, frame| {
        assert_eq!(port, from);
        frame.push(b'!');
        if frame.len() > 20 {
            Verdict::Drop
        } else {
            Verdict::Pass
        }
    }));
    a.send(&frame(mac(1), ALL, b"short"));
    a.send(&frame(mac(1), ALL, b"a long one"));
    switch.remove_hook(hook);
    a.send(&frame(mac(1), ALL, b"a long one"));
    assert_eq!(
        drain(&b),
        [
            frame(mac(1), ALL, b"short!"),
            frame(mac(1), ALL, b"a long one")
        ]
    );
    assert_eq!(a.counters().drops.hook, 1);
}

/// A UDP datagram over IPv4, without checksums: no test checks them.
fn udp(source: u16, destination: u16, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![
        0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255,
    ];
    let length = (20 + 8 + body.len()) as u16;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet.extend(source.to_be_bytes());
    packet.extend(destination.to_be_bytes());
    packet.extend((length - 20).to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(body);
    [&ALL.0[..], &mac(1).0, &[0x08, 0x00], &packet].concat()
}

#[test]
fn observers_and_traffic_tell_a_boot_apart() {
    let switch = switch();
    let a = switch.add_host_port("a").unwrap();
    let dhcp = switch.observe(|seen| seen.kind == Kind::Dhcp);
    let mut discover = dhcproto::v4::Message::default();
    discover
        .opts_mut()
        .insert(dhcproto::v4::DhcpOption::MessageType(
            dhcproto::v4::MessageType::Discover,
        ));
    a.send(&udp(68, 67, &discover.to_vec().unwrap()));
    a.send(&udp(2_000, 69, b"\0\x01snponly.efi\0octet\0"));
    a.send(&udp(2_000, 3_000, b"data"));
    a.send(&frame(mac(1), ALL, b"unknown"));

    let traffic = switch.traffic(mac(1));
    assert_eq!(
        (
            traffic.dhcp,
            traffic.tftp_requests,
            traffic.udp,
            traffic.other,
            traffic.frames
        ),
        (1, 1, 1, 1, 4)
    );
    let seen = dhcp.next(SOON).unwrap().unwrap();
    assert_eq!(
        (seen.port, seen.source, seen.destination),
        (a.id(), mac(1), ALL)
    );
    assert!(dhcp.drain().is_empty());
    assert_eq!(
        Kind::of(&udp(1, 2, b"")[..30]),
        Kind::OtherIpv4,
        "cut inside its header"
    );
    assert_eq!(Kind::of(&[]), Kind::Other(0));
}

#[test]
fn captures_are_pcap_files() {
    let directory = tempfile::tempdir().unwrap();
    let (whole, one) = (
        directory.path().join("all.pcap"),
        directory.path().join("b.pcap"),
    );
    let switch = switch();
    let [a, b] = ["a", "b"].map(|name| switch.add_host_port(name).unwrap());
    switch.capture(&whole).unwrap();
    switch.capture_port(b.id(), &one).unwrap();
    let sent = frame(mac(1), ALL, b"captured");
    a.send(&sent);
    b.send(&sent[..5]);
    switch.flush_captures();
    for path in [whole, one] {
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(bytes[..8], [0xD4, 0xC3, 0xB2, 0xA1, 2, 0, 4, 0]);
        assert_eq!(bytes[20..24], [1, 0, 0, 0], "Ethernet");
        assert_eq!(bytes[32..36], (sent.len() as u32).to_le_bytes());
        assert_eq!(bytes[40..], sent, "one frame, once");
    }
}
