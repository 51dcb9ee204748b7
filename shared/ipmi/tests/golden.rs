//! Whole sessions, byte by byte: the client sends exactly what another program has
//! worked out of the specification, and takes what that program answers.

use farrier_ipmi::command::chassis::ChassisControl;
use farrier_ipmi::command::{Answer, Command};
use farrier_ipmi::console::ConsoleEvent;
use farrier_ipmi::{
    Client, Counters, Credentials, Event, Failure, MAX_SENT, Output, Privilege, Settings, Suites,
};

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect()
}

/// Plays a session: a power cycle, a login on the console, and the end.
fn play(script: &str, suites: Suites, credentials: Credentials) -> Vec<String> {
    let settings = Settings {
        suites,
        privilege: Privilege::Administrator,
        ..Settings::default()
    };
    let mut client = Client::new(credentials, settings);
    let mut ivs = 0;
    let mut has_random = false;
    // What the specification calls random is counted here.
    let mut random = |bytes: &mut [u8]| match bytes.len() {
        1 => bytes.fill(0),
        4 => bytes.copy_from_slice(&0xa0a2_a3a4_u32.to_le_bytes()),
        16 if !has_random => {
            has_random = true;
            bytes.copy_from_slice(&core::array::from_fn::<u8, 16, _>(|at| 0x10 + at as u8));
        }
        _ => {
            let first = 0xc0 + ivs;
            ivs += 1;
            bytes.copy_from_slice(&core::array::from_fn::<u8, 16, _>(|at| first + at as u8));
        }
    };
    client
        .request(Command::ChassisControl(ChassisControl::Cycle))
        .unwrap();
    let mut said = Vec::new();
    let mut note = |client: &mut Client, event: Event<'_>| {
        said.push(match event {
            Event::Done(Answer::Done) => {
                client.request(Command::ActivateConsole).unwrap();
                "done".to_owned()
            }
            Event::Done(Answer::ConsoleActive(limits)) => {
                assert_eq!((limits.to_bmc, limits.from_bmc), (104, 104));
                "console".to_owned()
            }
            Event::Console(ConsoleEvent::Data { bytes, .. }) => {
                assert_eq!(client.console_write(b"root\r"), 5);
                String::from_utf8(bytes.to_vec()).unwrap()
            }
            other => format!("{other:?}"),
        });
    };
    for line in script.lines().filter(|line| !line.starts_with('#')) {
        let (direction, hex) = line.split_once(' ').unwrap();
        if direction == "<" {
            let mut datagram = bytes(hex);
            if let Some(event) = client.input(&mut datagram, 1000) {
                note(&mut client, event);
            }
            // Its characters are acknowledged: the owner has enough.
            if client.counters().sent == 8 && client.console_is_flushed() {
                client.close();
            }
            continue;
        }
        let mut out = [0; MAX_SENT];
        loop {
            match client.poll(1000, &mut out, &mut random) {
                Output::Event(event) => note(&mut client, event),
                Output::Datagram(len) => {
                    assert_eq!(out[..len], bytes(hex)[..], "{line}");
                    break;
                }
                Output::Wait(_) => panic!("to be sent: {line}"),
            }
        }
    }
    let mut out = [0; MAX_SENT];
    while let Output::Event(event) = client.poll(1000, &mut out, &mut random) {
        note(&mut client, event);
    }
    let counters = Counters {
        sent: 9,
        received: 10,
        sessions: 1,
        ..Counters::default()
    };
    assert_eq!(*client.counters(), counters, "nothing is dropped");
    said
}

#[test]
fn a_session_of_suite_17_is_as_specified() {
    let credentials = Credentials::new(b"admin", b"superuser password!!").unwrap();
    let said = play(
        include_str!("golden/suite_17.txt"),
        Suites::Strong,
        credentials,
    );
    check(&said);
}

#[test]
fn a_session_of_suite_3_with_a_key_is_as_specified() {
    let credentials = Credentials::new(b"admin", b"superuser password!!").unwrap();
    let said = play(
        include_str!("golden/suite_3.txt"),
        Suites::Sha1,
        credentials.with_kg(b"the key of the BMC").unwrap(),
    );
    check(&said);
}

fn check(said: &[String]) {
    assert_eq!(said[..4], ["Up", "done", "console", "login: "]);
    let closed = Event::Down {
        failure: Failure::Closed,
        reopens_at_ms: None,
    };
    let ended = Event::Console(ConsoleEvent::Deactivated);
    assert_eq!(said[4..], [format!("{ended:?}"), format!("{closed:?}")]);
}
