//! What the BMC of the tests does not do, and others do.

extern crate std;

use super::*;
use std::vec::Vec;

const LIMIT: u16 = 68;

fn link() -> Link {
    let mut link = Link::new();
    link.activate(LIMIT, 100);
    link
}

fn of_bmc(number: u8, data: &[u8]) -> Payload<'_> {
    Payload {
        number,
        acknowledged: 0,
        accepted: 0,
        flags: 0,
        data,
    }
}

fn acknowledgement(number: u8, accepted: u8, flags: u8) -> Payload<'static> {
    Payload {
        number: 0,
        acknowledged: number,
        accepted,
        flags,
        data: &[],
    }
}

/// The characters of what the link says.
fn characters(event: (Option<ConsoleEvent<'_>>, bool)) -> Vec<u8> {
    match event.0 {
        Some(ConsoleEvent::Data { bytes, .. }) => bytes.to_vec(),
        _ => Vec::new(),
    }
}

/// What the link sends now, if anything: number, acknowledged, accepted, flags and
/// characters.
fn sent(link: &mut Link, now_ms: u64) -> Option<(u8, u8, u8, u8, Vec<u8>)> {
    let mut out = [0; CHUNK + HEADER_LEN];
    let Due::Send(len) = link.poll(now_ms, &mut out) else {
        return None;
    };
    let [number, acknowledged, accepted, flags, data @ ..] = &out[..len] else {
        panic!("a header");
    };
    Some((*number, *acknowledged, *accepted, *flags, data.to_vec()))
}

#[test]
fn a_repetition_may_have_more_characters() {
    let mut link = link();
    assert_eq!(characters(link.receive(of_bmc(3, b"abc"), 0)), b"abc");
    assert_eq!(sent(&mut link, 0), Some((0, 3, 3, 0, Vec::new())));
    assert_eq!(characters(link.receive(of_bmc(3, b"abcde"), 0)), b"de");
    assert_eq!(sent(&mut link, 0), Some((0, 3, 5, 0, Vec::new())));
    // All of it again: acknowledged, and told nobody.
    assert_eq!(characters(link.receive(of_bmc(3, b"abcde"), 0)), b"");
    assert_eq!(sent(&mut link, 0), Some((0, 3, 5, 0, Vec::new())));
    assert_eq!(sent(&mut link, 0), None);
}

#[test]
fn an_acknowledgement_goes_with_characters() {
    let mut link = link();
    assert_eq!(link.write(b"xy"), 2);
    link.receive(of_bmc(15, b"login: "), 0);
    assert_eq!(sent(&mut link, 0), Some((1, 15, 7, 0, b"xy".to_vec())));
    assert_eq!(sent(&mut link, 0), None);
    // It is not repeated with them: the BMC has it, or repeats its own.
    assert_eq!(sent(&mut link, 300), Some((1, 0, 0, 0, b"xy".to_vec())));
}

#[test]
fn numbers_pass_from_15_to_1() {
    let mut link = link();
    for round in 0..40 {
        assert_eq!(link.write(b"x"), 1);
        let number = round % 15 + 1;
        assert_eq!(sent(&mut link, 0), Some((number, 0, 0, 0, b"x".to_vec())));
        // Not its own.
        link.receive(acknowledgement(number_after(number), 1, 0), 0);
        assert!(!link.is_idle());
        link.receive(acknowledgement(number, 1, 0), 0);
        assert!(link.is_idle());
    }
}

#[test]
fn what_is_not_taken_goes_again_with_a_new_number() {
    let mut link = link();
    link.write(b"abcdef");
    assert_eq!(sent(&mut link, 0), Some((1, 0, 0, 0, b"abcdef".to_vec())));
    // A part of it, and the rest at once.
    link.receive(acknowledgement(1, 2, 0), 0);
    assert_eq!(sent(&mut link, 0), Some((2, 0, 0, 0, b"cdef".to_vec())));
    // A part of it, and the rest later.
    link.receive(acknowledgement(2, 1, status::NACK), 0);
    assert_eq!(sent(&mut link, 400), None);
    assert_eq!(sent(&mut link, 500), Some((3, 0, 0, 0, b"def".to_vec())));
    // Nothing of it, whether it says so or not.
    for (number, flags) in [(3, 0), (4, status::NACK)] {
        link.receive(acknowledgement(number, 0, flags), 1000);
        assert_eq!(sent(&mut link, 1400), None);
        let again = Some((number + 1, 0, 0, 0, b"def".to_vec()));
        assert_eq!(sent(&mut link, 1500), again);
    }
    // More than there was.
    link.receive(acknowledgement(5, 200, 0), 2000);
    assert!(link.is_idle() && link.dropped == 0);
}

#[test]
fn pauses_grow_until_the_link_is_lost() {
    let mut link = link();
    link.write(b"x");
    let mut times = Vec::new();
    let lost = (0..).find(|now_ms| {
        let mut out = [0; CHUNK + HEADER_LEN];
        match link.poll(*now_ms, &mut out) {
            Due::Send(_) => times.push(*now_ms),
            Due::Nothing => assert!(link.due() > Some(*now_ms)),
            Due::Lost => return true,
        }
        false
    });
    let expected = [
        0, 300, 900, 2100, 4500, 8500, 12_500, 16_500, 20_500, 24_500,
    ];
    assert_eq!(times, expected);
    assert_eq!(lost, Some(28_500));
}

#[test]
fn a_link_that_has_ended_says_nothing() {
    let mut link = link();
    link.write(b"xyz");
    link.deactivate();
    assert_eq!((link.dropped, link.due(), link.write(b"x")), (3, None, 0));
    assert_eq!(sent(&mut link, 10_000), None);
    assert!(!link.send_break());
}

#[test]
fn breaks_and_losses_of_the_machine_are_told() {
    let mut link = link();
    let told = |link: &mut Link, flags| {
        let payload = Payload {
            flags,
            ..of_bmc(0, &[])
        };
        match link.receive(payload, 0) {
            (Some(ConsoleEvent::Data { overrun, brk, .. }), false) => Some((overrun, brk)),
            (None, false) => None,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told(&mut link, status::OVERRUN), Some((true, false)));
    assert_eq!(told(&mut link, status::BREAK), Some((false, true)));
    assert_eq!(told(&mut link, 0), None);
    let ends = Payload {
        flags: status::DEACTIVATED,
        ..of_bmc(1, b"bye")
    };
    assert!(link.receive(ends, 0).1);
}
