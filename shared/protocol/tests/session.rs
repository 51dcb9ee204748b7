//! Tests the handshake and the session with valid and invalid datagrams.

mod common;

use common::*;
use farrier_protocol::{
    client::{Handshake, HandshakeEntropy},
    message::*,
    server::{self, Freshness, HandshakeError, SessionError},
    ticket::Ticket,
    wire::{Datagram, HandshakeRefusal, SessionId, emit_refused, emit_unknown_session},
};

#[test]
fn requests_and_replies_open() {
    let (mut agent, mut appliance) = session();
    assert!(appliance.is_unused());
    let (mut datagram, mut buffer) = ([0; 1200], [0; 1200]);
    for round in 1..=3 {
        let len = agent
            .seal_request(&Request::Progress(progress()), &mut datagram)
            .unwrap();
        let opened = appliance.open(&datagram[..len], &mut buffer).unwrap();
        assert_eq!(opened.freshness, Freshness::New);
        assert_eq!(opened.counter, round);
        assert_eq!(opened.request, Request::Progress(progress()));
        let len = appliance.seal_reply(&Reply::Ack, &mut datagram).unwrap();
        assert_eq!(
            agent.open_reply(&datagram[..len], &mut buffer),
            Ok(Reply::Ack)
        );
    }
    assert!(!appliance.is_unused());
    assert_eq!(appliance.dropped(), 0);
}

#[test]
fn lost_response_is_repeated_byte_for_byte() {
    let handshake = handshake();
    let (mut first, mut second) = ([0; 1200], [0; 1200]);
    let a = accept(handshake.datagram(), &mut first).unwrap();
    let mut b = accept(handshake.datagram(), &mut second).unwrap();
    assert_eq!(first[..a.len], second[..b.len]);
    // The agent can use either response with either session.
    let (mut agent, _) = handshake.process(&first[..a.len]).unwrap();
    let len = agent.seal_request(&Request::Ask, &mut first).unwrap();
    assert!(b.session.open(&first[..len], &mut second).is_ok());
}

#[test]
fn second_init_with_the_ticket_has_another_digest() {
    let mut other = entropy();
    other.ephemeral = [0x27; 32];
    let other = Handshake::new(keys().public(), &ticket(), &agent_handshake(), &other).unwrap();
    let digest = |handshake: &Handshake| match Datagram::parse(handshake.datagram()) {
        Ok(Datagram::Init(init)) => server::init_digest(&init),
        _ => panic!("no init"),
    };
    assert_eq!(digest(&handshake()), digest(&handshake()));
    assert_ne!(digest(&handshake()), digest(&other));
    // Its response has another ephemeral key.
    let (mut a, mut b) = ([0; 1200], [0; 1200]);
    accept(handshake().datagram(), &mut a).unwrap();
    accept(other.datagram(), &mut b).unwrap();
    assert_ne!(a[5..37], b[5..37]);
}

#[test]
fn flipped_bit_fails_at_the_gate() {
    let datagram = handshake().datagram().to_vec();
    let mut out = [0; 1200];
    for at in 0..datagram.len() * 8 {
        let mut forged = datagram.clone();
        forged[at / 8] ^= 1 << (at % 8);
        let Ok(Datagram::Init(init)) = Datagram::parse(&forged) else {
            assert!(at < 8, "only the kind changes the datagram");
            continue;
        };
        assert_eq!(
            server::accept(
                &keys(),
                &init,
                &ticket(),
                SESSION,
                |_| unreachable!(),
                &mut out
            )
            .unwrap_err(),
            HandshakeError::Gate,
            "bit {at}"
        );
    }
}

#[test]
fn agent_with_another_ticket_is_refused() {
    let mut other = ticket();
    other.secret[23] ^= 1;
    let handshake =
        Handshake::new(keys().public(), &other, &agent_handshake(), &entropy()).unwrap();
    let mut out = [0; 1200];
    assert_eq!(
        accept(handshake.datagram(), &mut out).unwrap_err(),
        HandshakeError::Gate
    );
}

#[test]
fn agent_with_another_appliance_key_is_refused() {
    let other = server::Keys::new([0x77; 32], [0; 32]);
    let handshake =
        Handshake::new(other.public(), &ticket(), &agent_handshake(), &entropy()).unwrap();
    let mut out = [0; 1200];
    assert_eq!(
        accept(handshake.datagram(), &mut out).unwrap_err(),
        HandshakeError::Forged
    );
}

#[test]
fn forged_response_leaves_the_handshake_open() {
    let handshake = handshake();
    let mut out = [0; 1200];
    let accepted = accept(handshake.datagram(), &mut out).unwrap();
    let good = &out[..accepted.len];
    for at in 0..good.len() {
        let mut forged = good.to_vec();
        forged[at] ^= 0x40;
        assert!(handshake.process(&forged).is_err(), "byte {at}");
        assert!(handshake.process(&good[..at]).is_err(), "cut at {at}");
    }
    assert!(handshake.process(good).is_ok());
}

#[test]
fn caller_can_refuse_a_handshake() {
    let handshake = handshake();
    let Ok(Datagram::Init(init)) = Datagram::parse(handshake.datagram()) else {
        panic!("no init");
    };
    let refused = server::accept(
        &keys(),
        &init,
        &ticket(),
        SESSION,
        |agent_handshake| {
            assert_eq!(*agent_handshake, common::agent_handshake());
            Err(HandshakeRefusal::Version)
        },
        &mut [0; 1200],
    );
    assert_eq!(
        refused.unwrap_err(),
        HandshakeError::Refused(HandshakeRefusal::Version)
    );
}

#[test]
fn repeated_request_is_flagged_and_older_one_dropped() {
    let (mut agent, mut appliance) = session();
    let (mut first, mut second, mut buffer) = ([0; 1200], [0; 1200], [0; 1200]);
    let first_len = agent.seal_request(&Request::Ask, &mut first).unwrap();
    let first = &first[..first_len];
    assert!(appliance.open(first, &mut buffer).is_ok());
    let again = appliance.open(first, &mut buffer).unwrap();
    assert_eq!(again.freshness, Freshness::Repeat);

    let second_len = agent
        .seal_request(&Request::FinalReport(FinalReport::Reboot), &mut second)
        .unwrap();
    assert!(appliance.open(&second[..second_len], &mut buffer).is_ok());
    assert_eq!(appliance.open(first, &mut buffer), Err(SessionError::Old));
    assert_eq!(appliance.dropped(), 1);
}

#[test]
fn two_replies_to_a_request_have_two_nonces() {
    let (mut agent, mut appliance) = session();
    let (mut request, mut buffer) = ([0; 1200], [0; 1200]);
    let len = agent.seal_request(&Request::Ask, &mut request).unwrap();
    appliance.open(&request[..len], &mut buffer).unwrap();
    let (mut a, mut b) = ([0; 1200], [0; 1200]);
    let a_len = appliance
        .seal_reply(&Reply::Wait { millis: 100 }, &mut a)
        .unwrap();
    appliance.open(&request[..len], &mut buffer).unwrap();
    let b_len = appliance
        .seal_reply(&Reply::Busy { millis: 100 }, &mut b)
        .unwrap();
    // Same request counter, other reply number.
    assert_eq!(a[..13], b[..13]);
    assert_ne!(a[13..21], b[13..21]);
    // The agent accepts the first and drops the other.
    assert_eq!(
        agent.open_reply(&b[..b_len], &mut buffer),
        Ok(Reply::Busy { millis: 100 })
    );
    assert_eq!(
        agent.open_reply(&a[..a_len], &mut buffer),
        Err(SessionError::Old)
    );
    assert_eq!(
        agent.open_reply(&b[..b_len], &mut buffer),
        Err(SessionError::Old)
    );
}

#[test]
fn reply_before_the_first_request_fails() {
    let (_, mut appliance) = session();
    assert_eq!(
        appliance.seal_reply(&Reply::Ack, &mut [0; 1200]),
        Err(SessionError::Order)
    );
}

#[test]
fn forged_requests_change_nothing() {
    let (mut agent, mut appliance) = session();
    let (mut datagram, mut buffer) = ([0; 1200], [0; 1200]);
    let len = agent
        .seal_request(&Request::Progress(progress()), &mut datagram)
        .unwrap();
    let good = &datagram[..len];
    for at in 0..len {
        let mut forged = good.to_vec();
        forged[at] ^= 0x10;
        assert!(appliance.open(&forged, &mut buffer).is_err(), "byte {at}");
        assert!(appliance.open(&good[..at], &mut buffer).is_err());
    }
    assert!(appliance.is_unused());
    assert_eq!(
        appliance.open(good, &mut buffer).unwrap().freshness,
        Freshness::New
    );
}

#[test]
fn reply_is_not_accepted_as_request_or_in_another_session() {
    let (mut agent, mut appliance) = session();
    let (mut datagram, mut buffer) = ([0; 1200], [0; 1200]);
    let len = agent.seal_request(&Request::Ask, &mut datagram).unwrap();
    assert_eq!(
        agent.open_reply(&datagram[..len], &mut buffer),
        Err(SessionError::OtherSession)
    );
    // The same session id under other keys.
    let mut other = entropy();
    other.static_secret = [9; 32];
    let other = Handshake::new(keys().public(), &ticket(), &agent_handshake(), &other).unwrap();
    let mut out = [0; 1200];
    let mut wrong_session = accept(other.datagram(), &mut out).unwrap().session;
    assert_eq!(
        wrong_session.open(&datagram[..len], &mut buffer),
        Err(SessionError::Forged)
    );
    assert!(appliance.open(&datagram[..len], &mut buffer).is_ok());
}

#[test]
fn longest_messages_fit() {
    let (mut agent, mut appliance) = session();
    let (mut datagram, mut buffer) = ([0; 1200], [0; 1200]);
    let bytes = [0xff; farrier_protocol::PART_LEN];
    let part = Request::Part(Part {
        statement: u32::MAX,
        index: u16::MAX,
        count: u16::MAX,
        bytes: &bytes,
    });
    let len = agent.seal_request(&part, &mut datagram).unwrap();
    assert_eq!(
        appliance
            .open(&datagram[..len], &mut buffer)
            .unwrap()
            .request,
        part
    );
    let body = [0xff; farrier_protocol::size::ORDER];
    let order = Reply::Order {
        body: &body,
        signature: &[0xff; 64],
    };
    let len = appliance.seal_reply(&order, &mut datagram).unwrap();
    assert_eq!(agent.open_reply(&datagram[..len], &mut buffer), Ok(order));
    // A longer request fails, and its counter is used up.
    let long = [0; 1200];
    let counter = agent.counter();
    let too_long = Request::Part(Part {
        statement: 1,
        index: 0,
        count: 1,
        bytes: &long,
    });
    assert_eq!(
        agent.seal_request(&too_long, &mut datagram),
        Err(SessionError::NoRoom)
    );
    assert_eq!(agent.counter(), counter + 1);
}

#[test]
fn response_is_not_longer_than_its_init() {
    let mut out = [0; 1200];
    let handshake = handshake();
    let accepted = accept(handshake.datagram(), &mut out).unwrap();
    assert!(accepted.len <= server::MAX_RESPONSE);
    assert!(handshake.datagram().len() <= server::MAX_INIT);
    const { assert!(server::MAX_RESPONSE < server::MAX_INIT - 24) };
    assert!(accepted.len < handshake.datagram().len());
}

#[test]
fn hints_parse_equal() {
    let mut out = [0; 32];
    let ticket = Ticket::from_random([7; 32]);
    let len = emit_refused(ticket.id, HandshakeRefusal::Busy, &mut out).unwrap();
    assert_eq!(
        Datagram::parse(&out[..len]),
        Ok(Datagram::Refused {
            ticket: ticket.id,
            reason: Some(HandshakeRefusal::Busy),
        })
    );
    let len = emit_unknown_session(SessionId(5), 6, &mut out).unwrap();
    assert_eq!(
        Datagram::parse(&out[..len]),
        Ok(Datagram::UnknownSession {
            session: SessionId(5),
            counter: 6,
        })
    );
    assert_eq!(
        emit_refused(ticket.id, HandshakeRefusal::Busy, &mut [0; 9]),
        None
    );
}

#[test]
fn debug_does_not_print_secrets() {
    let (agent, appliance) = session();
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?}",
        agent,
        appliance,
        keys(),
        order_key(),
        HandshakeEntropy {
            static_secret: [0x21; 32],
            ephemeral: [0x21; 32],
        }
    );
    // The secrets consist of the bytes 0x21, 0x22 and 0x23.
    for secret in ["33, 33", "34, 34", "35, 35"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
