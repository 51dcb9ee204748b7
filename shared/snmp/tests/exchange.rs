//! Requests, answers, repetitions and deadlines, without sockets.

use farrier_snmp::outlet::{Action, FAMILIES, Family, Outlet, OutletState};
use farrier_snmp::{
    Answer, Config, ErrorStatus, Exchange, FailureKind, MAX_DATAGRAM, Oid, Request, Value, fuzz,
};
use proptest::prelude::*;

const CONFIG: Config<'static> = Config {
    community: "public",
    answer_ms: 1_000,
    attempts: 3,
};

fn oid(text: &str) -> Oid {
    Oid::parse(text).unwrap()
}

/// An exchange that has sent its request at 0, and the request.
fn asked(request: Request) -> (Exchange<'static>, Vec<u8>) {
    let mut exchange = Exchange::new(&CONFIG, request, 0x0102_0304, 0);
    let mut buffer = [0; MAX_DATAGRAM];
    let length = exchange.output(0, &mut buffer);
    (exchange, buffer[..length].to_vec())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let mut all = match length {
        0..=0x7f => vec![tag, low],
        _ => vec![tag, 0x82, high, low],
    };
    all.extend_from_slice(content);
    all
}

/// A response with these parts.
fn response(
    version: u8,
    community: &str,
    id: &[u8],
    status: u8,
    name: &[u8],
    value: &[u8],
) -> Vec<u8> {
    let variable = element(0x30, &[element(6, name), value.to_vec()].concat());
    let list = element(0x30, &variable);
    let numbers = [element(2, id), element(2, &[status]), element(2, &[0])].concat();
    let pdu = element(0xa2, &[numbers, list].concat());
    let head = [element(2, &[version]), element(4, community.as_bytes())].concat();
    element(0x30, &[head, pdu].concat())
}

const ID: [u8; 4] = [1, 2, 3, 4];
/// 1.3.6.1.2.1.1.3.0
const UPTIME: [u8; 8] = [0x2b, 6, 1, 2, 1, 1, 3, 0];

fn answered(request: Request, value: &[u8]) -> Option<Result<Value, FailureKind>> {
    let (mut exchange, _) = asked(request);
    exchange.input(&response(1, "public", &ID, 0, &UPTIME, value));
    let end = exchange.end()?;
    Some(
        end.map(|answer| answer.value)
            .map_err(|failure| failure.kind),
    )
}

#[test]
fn exchange_is_small() {
    let bytes = size_of::<Exchange<'_>>();
    println!("an exchange takes {bytes} bytes");
    assert!(bytes < 512);
}

#[test]
fn requests_have_these_bytes() {
    let (_, bytes) = asked(Request::Get(oid("1.3.6.1.2.1.1.3.0")));
    let golden = [
        0x30, 0x29, 2, 1, 1, 4, 6, b'p', b'u', b'b', b'l', b'i', b'c', 0xa0, 0x1c, 2, 4, 1, 2, 3,
        4, 2, 1, 0, 2, 1, 0, 0x30, 0x0e, 0x30, 0x0c, 6, 8, 0x2b, 6, 1, 2, 1, 1, 3, 0, 5, 0,
    ];
    assert_eq!(bytes, golden);
    let (_, bytes) = asked(Request::GetNext(oid("1.3.6.1.2.1.1.3.0")));
    assert_eq!((bytes[13], bytes.len()), (0xa1, golden.len()));
    for (value, encoded) in [
        (0, &[2, 1, 0][..]),
        (127, &[2, 1, 0x7f]),
        (128, &[2, 2, 0, 0x80]),
        (-128, &[2, 1, 0x80]),
        (-129, &[2, 2, 0xff, 0x7f]),
        (i32::MAX, &[2, 4, 0x7f, 0xff, 0xff, 0xff]),
        (i32::MIN, &[2, 4, 0x80, 0, 0, 0]),
    ] {
        let name = oid("1.3.6.1.4.1.13742.6.4.1.2.1.2.1.4");
        let (_, bytes) = asked(Request::Set {
            name,
            value,
            repeat: true,
        });
        assert_eq!(bytes[13], 0xa3);
        assert!(bytes.ends_with(encoded), "{value}: {bytes:x?}");
        // 13742 takes three bytes.
        let arcs = [0x2b, 6, 1, 4, 1, 0xeb, 0x2e, 6, 4, 1, 2, 1, 2, 1, 4];
        assert!(
            bytes.windows(arcs.len()).any(|part| part == arcs),
            "{bytes:x?}"
        );
    }
}

#[test]
fn values_are_read() {
    let get = Request::Get(oid("1.3.6.1.2.1.1.3.0"));
    for (bytes, value) in [
        (&[2, 1, 0xff][..], Value::Integer(-1)),
        (&[2, 4, 0x7f, 0xff, 0xff, 0xff], Value::Integer(i32::MAX)),
        (&[2, 5, 0, 0, 0, 0, 7], Value::Integer(7)),
        (
            &[0x43, 4, 0xff, 0xff, 0xff, 0xff],
            Value::Unsigned(u32::MAX),
        ),
        (
            &[0x41, 5, 0, 0xff, 0xff, 0xff, 0xff],
            Value::Unsigned(u32::MAX),
        ),
        (&[0x42, 1, 0], Value::Unsigned(0)),
        (
            &[0x46, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            Value::Counter(u64::MAX),
        ),
        (&[0x40, 4, 10, 0, 0, 1], Value::Address([10, 0, 0, 1])),
        (&[6, 2, 0x2b, 6], Value::Name(oid("1.3.6"))),
        (&[5, 0], Value::Null),
        (&[2, 0x81, 1, 7], Value::Integer(7)),
        (&[2, 0x84, 0, 0, 0, 1, 7], Value::Integer(7)),
    ] {
        assert_eq!(answered(get, bytes), Some(Ok(value)), "{bytes:x?}");
    }
    let Some(Ok(Value::Octets(text))) = answered(get, &element(4, &[b'x'; 100])) else {
        panic!()
    };
    assert!(text.is_cut() && text.as_bytes() == [b'x'; 64]);
    for (bytes, kind) in [
        (&[0x80, 0][..], FailureKind::NoSuchObject),
        (&[0x81, 0], FailureKind::NoSuchObject),
        (&[0x82, 0], FailureKind::NoSuchObject),
    ] {
        assert_eq!(answered(get, bytes), Some(Err(kind)));
    }
    for bytes in [
        &[2, 0][..],
        &[2, 5, 1, 0, 0, 0, 0],
        &[2, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x41, 5, 1, 0, 0, 0, 0],
        &[0x46, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x40, 3, 1, 2, 3],
        &[6, 0],
        &[6, 1, 0x80],
        &[6, 2, 0x2b, 0x86],
        &[
            6, 12, 0x2b, 0x82, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 5,
        ],
        &[6, 6, 0x2b, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[5, 1, 0],
        &[0x47, 0],
        &[2, 0x80, 1],
        &[2, 0x85, 0, 0, 0, 0, 1, 7],
        &[2, 2, 7],
        &[2, 1, 7, 5, 0],
        &[],
    ] {
        assert_eq!(answered(get, bytes), None, "{bytes:x?}");
    }
}

#[test]
fn what_is_no_answer_is_ignored() {
    let (mut exchange, request) = asked(Request::Get(oid("1.3.6.1.2.1.1.3.0")));
    let value = [2, 1, 7];
    for datagram in [
        response(0, "public", &ID, 0, &UPTIME, &value),
        response(1, "private", &ID, 0, &UPTIME, &value),
        response(1, "public", &[1, 2, 3, 5], 0, &UPTIME, &value),
        response(1, "public", &ID, 0, &[0x2b, 6, 1], &value),
        request,
        vec![],
        vec![0x30],
    ] {
        assert!(!exchange.input(&datagram), "{datagram:x?}");
    }
    assert_eq!((exchange.ignored(), exchange.end()), (7, None));
    assert!(exchange.input(&response(1, "public", &ID, 0, &UPTIME, &value)));
    // A second answer changes nothing.
    assert!(!exchange.input(&response(1, "public", &ID, 5, &UPTIME, &value)));
    assert!(exchange.end().unwrap().is_ok());
}

#[test]
fn answer_has_one_variable_and_comes_behind_its_request() {
    let get = Request::Get(oid("1.3.6.1.2.1.1.3.0"));
    let variable = element(0x30, &[element(6, &UPTIME), vec![2, 1, 7]].concat());
    for (times, good) in [(0, false), (1, true), (2, false)] {
        let list = element(0x30, &variable.repeat(times));
        let numbers = [element(2, &ID), vec![2, 1, 0, 2, 1, 0]].concat();
        let pdu = element(0xa2, &[numbers, list].concat());
        let message = element(0x30, &[vec![2, 1, 1], element(4, b"public"), pdu].concat());
        let (mut exchange, _) = asked(get);
        assert_eq!(exchange.input(&message), good);
    }
    let mut exchange = Exchange::new(&CONFIG, get, 0x0102_0304, 0);
    assert!(!exchange.input(&response(1, "public", &ID, 0, &UPTIME, &[2, 1, 7])));
    // Agents know ids without a sign.
    let mut exchange = Exchange::new(&CONFIG, get, 0x0102_0304 | i32::MIN, 0);
    assert!(exchange.output(0, &mut [0; MAX_DATAGRAM]) > 0);
    assert!(exchange.input(&response(1, "public", &ID, 0, &UPTIME, &[2, 1, 7])));
}

#[test]
fn next_names_increase() {
    let next = Request::GetNext(oid("1.3.6.1.2.1.1.3"));
    assert_eq!(answered(next, &[2, 1, 7]), Some(Ok(Value::Integer(7))));
    for name in ["1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.2", "2.5"] {
        let next = Request::GetNext(oid(name));
        assert_eq!(
            answered(next, &[2, 1, 7]),
            Some(Err(FailureKind::NotIncreasing)),
            "{name}"
        );
    }
    assert_eq!(
        answered(next, &[0x82, 0]),
        Some(Err(FailureKind::EndOfView))
    );
    let last = Request::GetNext(oid("1.3.6.1.2.1.1.3.0"));
    assert_eq!(
        answered(last, &[0x82, 0]),
        Some(Err(FailureKind::EndOfView))
    );
}

#[test]
fn errors_are_told() {
    let name = oid("1.3.6.1.2.1.1.3.0");
    let set = Request::Set {
        name,
        value: 1,
        repeat: true,
    };
    for (status, kind, open) in [
        (1, ErrorStatus::TooBig, false),
        (6, ErrorStatus::NoAccess, false),
        (7, ErrorStatus::WrongType, false),
        (10, ErrorStatus::WrongValue, false),
        (15, ErrorStatus::UndoFailed, true),
        (17, ErrorStatus::NotWritable, false),
        (18, ErrorStatus::InconsistentName, false),
        (19, ErrorStatus::Other(19), false),
    ] {
        let (mut exchange, _) = asked(set);
        exchange.input(&response(1, "public", &ID, status, &UPTIME, &[2, 1, 1]));
        let failure = exchange.end().unwrap().unwrap_err();
        assert_eq!(
            (failure.kind, failure.open),
            (FailureKind::Refused(kind), open)
        );
    }
}

#[test]
fn requests_are_repeated_with_the_same_bytes() {
    let get = Request::Get(oid("1.3.6.1.2.1.1.3.0"));
    let (mut exchange, first) = asked(get);
    let mut buffer = [0; MAX_DATAGRAM];
    for again in 1..3 {
        assert_eq!(exchange.deadline(), again * 1_000);
        exchange.tick(again * 1_000 - 1);
        assert_eq!(exchange.output(again * 1_000 - 1, &mut buffer), 0);
        exchange.tick(again * 1_000);
        let length = exchange.output(again * 1_000, &mut buffer);
        assert_eq!(&buffer[..length], first);
    }
    exchange.tick(2_999);
    assert_eq!(exchange.end(), None);
    exchange.tick(3_000);
    let failure = exchange.end().unwrap().unwrap_err();
    assert_eq!((failure.kind, failure.open), (FailureKind::Timeout, false));
    assert_eq!(exchange.output(4_000, &mut buffer), 0);
    assert!(!exchange.input(&response(1, "public", &ID, 0, &UPTIME, &[2, 1, 7])));
}

#[test]
fn what_must_not_happen_twice_is_sent_once() {
    let outlet = Outlet::parse(&farrier_snmp::outlet::APC, "8").unwrap();
    let (mut exchange, _) = asked(outlet.command(Action::Cycle).unwrap());
    let mut buffer = [0; MAX_DATAGRAM];
    assert_eq!(exchange.output(1_000, &mut buffer), 0);
    exchange.tick(1_000);
    let failure = exchange.end().unwrap().unwrap_err();
    assert_eq!((failure.kind, failure.open), (FailureKind::Timeout, true));
    assert!(failure.to_string().contains("may have been set"));
    let (mut exchange, _) = asked(outlet.command(Action::Off).unwrap());
    assert!(exchange.output(1_000, &mut buffer) > 0);
    exchange.abort();
    assert!(exchange.end().unwrap().unwrap_err().open);
}

#[test]
fn communities_and_buffers_have_bounds() {
    let long = "x".repeat(65);
    let config = Config {
        community: &long,
        ..CONFIG
    };
    let get = Request::Get(oid("1.3.6.1.2.1.1.3.0"));
    let exchange = Exchange::new(&config, get, 1, 0);
    assert_eq!(
        exchange.end().unwrap().unwrap_err().kind,
        FailureKind::Community
    );
    assert!(!format!("{config:?} {exchange:?}").contains("xx"));
    let mut exchange = Exchange::new(&CONFIG, get, 1, 0);
    assert_eq!(exchange.output(0, &mut [0; 30]), 0);
    assert_eq!(
        exchange.end().unwrap().unwrap_err().kind,
        FailureKind::BufferTooSmall
    );
    // The longest request fits.
    let long = "x".repeat(64);
    let config = Config {
        community: &long,
        ..CONFIG
    };
    let name = Oid::joined(&[2, u32::MAX], &[u32::MAX; 30]).unwrap();
    let set = Request::Set {
        name,
        value: i32::MIN,
        repeat: true,
    };
    let mut exchange = Exchange::new(&config, set, -1, 0);
    assert!(exchange.output(0, &mut [0; MAX_DATAGRAM]) > 200);
}

#[test]
fn names_are_parsed() {
    for (text, arcs) in [
        ("1.3.6.1", &[1, 3, 6, 1][..]),
        (".1.3.6.1", &[1, 3, 6, 1]),
        ("0.39.4294967295", &[0, 39, u32::MAX]),
        ("2.4294967295", &[2, u32::MAX]),
    ] {
        let name = oid(text);
        assert_eq!(name.arcs(), arcs);
        assert_eq!(name.to_string(), text.trim_start_matches('.'));
        let (mut exchange, mut bytes) = asked(Request::Get(name));
        bytes[13] = 0xa2;
        let value = bytes.len() - 2;
        bytes.splice(value.., [5, 0]);
        exchange.input(&bytes);
        let answer = Answer {
            name,
            value: Value::Null,
        };
        assert_eq!(exchange.end(), Some(Ok(answer)), "{text}");
    }
    let long = vec!["1"; 33].join(".");
    for text in [
        "",
        "1",
        "1.40",
        "3.1",
        "1..3",
        "1.3.",
        "1.-3",
        "1.+3",
        "1.4294967296",
        "a.b",
        &long,
    ] {
        assert_eq!(Oid::parse(text), None, "{text}");
    }
}

#[test]
fn families_have_the_numbers_of_their_mibs() {
    // On, off, and the cycle; then the states.
    for (name, commands, on, off) in [
        ("apc-masterswitch", [1, 2, 3], 1, 2),
        ("apc", [1, 2, 3], 1, 2),
        ("apc2", [1, 2, 3], 2, 1),
        ("raritan", [1, 0, 2], 7, 8),
        ("sentry3", [1, 2, 3], 1, 0),
        ("cyberpower", [1, 2, 3], 1, 2),
        ("eaton", [0, 0, 0], 1, 0),
        ("poe", [1, 2, 0], 1, 2),
    ] {
        let family = Family::named(name).unwrap();
        let outlet = Outlet::new(family, &vec![1; family.index.len()]).unwrap();
        for (action, number) in [Action::On, Action::Off, Action::Cycle]
            .into_iter()
            .zip(commands)
        {
            if let Some(Request::Set { value, .. }) = outlet.command(action) {
                assert_eq!(value, number, "{name}");
            }
        }
        assert_eq!(outlet.state(&Value::Integer(on)), OutletState::On, "{name}");
        assert_eq!(
            outlet.state(&Value::Integer(off)),
            OutletState::Off,
            "{name}"
        );
    }
}

#[test]
fn families_are_whole() {
    for family in FAMILIES {
        assert!(std::ptr::eq(Family::named(family.name).unwrap(), family));
        let index: Vec<u32> = (1..).take(family.index.len()).collect();
        let outlet = Outlet::new(family, &index).unwrap();
        let text = index
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(".");
        let parsed = Outlet::parse(family, &text).unwrap();
        for action in [Action::On, Action::Off, Action::Cycle] {
            let command = outlet.command(action);
            assert_eq!(command, parsed.command(action));
            let Some(Request::Set { name, repeat, .. }) = command else {
                assert_eq!((family.name, action), ("poe", Action::Cycle));
                continue;
            };
            assert!(name.arcs().ends_with(&index));
            assert_eq!(repeat, action != Action::Cycle);
        }
        assert_ne!(
            outlet.command(Action::On),
            outlet.command(Action::Off),
            "{}",
            family.name
        );
        let Some(Request::Get(name)) = outlet.read() else {
            panic!()
        };
        assert_eq!(name.index_in(family.state), Some(index.as_slice()));
        for state in [OutletState::On, OutletState::Off] {
            assert_eq!(
                family
                    .states
                    .iter()
                    .filter(|(_, known)| *known == state)
                    .count(),
                1
            );
        }
        assert_eq!(outlet.state(&Value::Integer(99)), OutletState::Unknown);
        assert_eq!(outlet.state(&Value::Null), OutletState::Unknown);
        // Another number of arcs is another family's.
        assert!(Outlet::new(family, &[]).is_none() && Outlet::new(family, &[1; 4]).is_none());
        assert!(Outlet::parse(family, "1.2.3.4").is_none() && Outlet::parse(family, "x").is_none());
    }
    assert!(Family::named("none").is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn generated_datagrams_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz::datagram(&bytes);
    }

    #[test]
    fn damaged_answers_are_survived(
        place in 0_usize..60,
        byte in any::<u8>(),
        length in 0_usize..60,
        value in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let mut bytes = response(1, "public", &[1], 0, &UPTIME, &element(2, &value));
        fuzz::datagram(&bytes);
        if let Some(damaged) = bytes.get_mut(place) {
            *damaged = byte;
        }
        fuzz::datagram(&bytes);
        bytes.truncate(length);
        fuzz::datagram(&bytes);
    }

    #[test]
    fn any_request_is_read_back_as_its_answer(
        arcs in prop::collection::vec(any::<u32>(), 0..30),
        value in any::<i32>(),
        id in any::<i32>(),
        community in "[ -~]{0,64}",
    ) {
        let name = Oid::joined(&[1, 3], &arcs).unwrap();
        let config = Config { community: &community, ..CONFIG };
        let mut exchange = Exchange::new(&config, Request::Set { name, value, repeat: true }, id, 0);
        let mut buffer = [0; MAX_DATAGRAM];
        let length = exchange.output(0, &mut buffer);
        let mut answer = buffer[..length].to_vec();
        let tag = community.len() + if length > 257 { 9 } else if length > 130 { 8 } else { 7 };
        prop_assert_eq!(answer[tag], 0xa3);
        answer[tag] = 0xa2;
        prop_assert!(exchange.input(&answer));
        prop_assert_eq!(exchange.end(), Some(Ok(Answer { name, value: Value::Integer(value) })));
    }
}
