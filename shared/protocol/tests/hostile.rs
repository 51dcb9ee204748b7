//! A hostile network: both ends refuse forged datagrams and do not panic. The
//! bodies are functions over bytes that a fuzzer can run as well.

mod common;

use common::*;
use farrier_protocol::{
    message::*,
    parts::Reassembly,
    server::{self, HandshakeError},
    signing,
    ticket::Ticket,
    wire::Datagram,
};
use proptest::{collection::vec, prelude::*};

/// Sends bytes to the appliance.
fn at_the_appliance(bytes: &[u8]) {
    let (_, mut appliance) = session();
    assert!(appliance.open(bytes, &mut [0; 1200]).is_err());
    assert!(appliance.is_unused());
    if let Ok(Datagram::Init(init)) = Datagram::parse(bytes) {
        // Inserts the correct ticket id, which a random generator misses.
        let mut init = init;
        init.ticket = ticket().id;
        let accepted = server::accept(
            &keys(),
            &init,
            &ticket(),
            SESSION,
            |_| unreachable!("the sender does not know the ticket"),
            &mut [0; 1200],
        );
        assert_eq!(accepted.unwrap_err(), HandshakeError::Gate);
    }
}

/// Sends bytes to the agent.
fn at_the_agent(bytes: &[u8]) {
    assert!(handshake().process(bytes).is_err());
    let (mut agent, _) = session();
    agent.seal_request(&Request::Ask, &mut [0; 1200]).unwrap();
    assert!(agent.open_reply(bytes, &mut [0; 1200]).is_err());
}

/// Sends bytes inside a session, as a compromised agent can.
fn inside_a_session(bytes: &[u8]) {
    if let Ok(Request::Part(part)) = postcard::from_bytes(bytes) {
        let mut assembly: Reassembly = Reassembly::new();
        let _taken_or_not = assembly.push(&part);
    }
    let key = boot_key().public();
    assert!(signing::verify_statement(&key, NODE, BOOT, bytes).is_err());
    let _any: Result<Statement, _> = postcard::from_bytes(bytes);
    let _any: Result<Order, _> = postcard::from_bytes(bytes);
    let _any: Result<Reply<'_>, _> = postcard::from_bytes(bytes);
}

/// Generates random bytes with the head of a datagram.
fn datagrams() -> impl Strategy<Value = Vec<u8>> {
    let session = Just(SESSION.0.to_le_bytes().to_vec());
    let body = vec(any::<u8>(), 0..1300);
    (0..8u8, session, any::<bool>(), body).prop_map(|(kind, session, ours, body)| {
        let mut bytes = vec![kind];
        if ours {
            bytes.extend(session);
        }
        bytes.extend(body);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn made_up_datagrams_are_not_accepted(bytes in datagrams()) {
        at_the_appliance(&bytes);
        at_the_agent(&bytes);
    }

    #[test]
    fn made_up_messages_are_harmless(bytes in vec(any::<u8>(), 0..1300)) {
        inside_a_session(&bytes);
    }

    #[test]
    fn a_real_init_cut_or_changed_is_not_accepted(
        len in 0..300usize,
        at in 0..300usize,
        flip in 1..=255u8,
    ) {
        let mut bytes = handshake().datagram().to_vec();
        // Behind the ticket id, which `at_the_appliance` inserts.
        let at = 9 + at % (bytes.len() - 9);
        bytes[at] ^= flip;
        at_the_appliance(&bytes);
        let good = handshake().datagram().to_vec();
        if len < good.len() {
            at_the_appliance(&good[..len]);
        }
    }

    #[test]
    fn any_text_may_be_given_as_a_ticket(text in "\\PC{0,80}") {
        let _ticket_or_not = Ticket::parse(&text);
        let _ticket_or_not = Ticket::from_command_line(&text);
    }

    #[test]
    fn any_ticket_round_trips(random in any::<[u8; 32]>()) {
        let ticket = Ticket::from_random(random);
        prop_assert_eq!(Ticket::parse(&ticket.reveal().to_string()), Ok(ticket));
    }

    #[test]
    fn any_part_round_trips(
        statement in any::<u32>(),
        index in any::<u16>(),
        count in any::<u16>(),
        bytes in vec(any::<u8>(), 0..=1024),
    ) {
        let request = Request::Part(Part { statement, index, count, bytes: &bytes });
        let (mut agent, mut appliance) = session();
        let (mut datagram, mut buffer) = ([0; 1200], [0; 1200]);
        let len = agent.seal_request(&request, &mut datagram).unwrap();
        let opened = appliance.open(&datagram[..len], &mut buffer).unwrap();
        prop_assert_eq!(opened.request, request);
    }
}
