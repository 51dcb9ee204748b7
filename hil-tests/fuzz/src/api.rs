//! What an operator feeds: JSON, and requests of the API to a rack.

use farrier_api::json::{Event, Reader};
use farrier_api::{Host, Principal, REPLY_BUFFER, View, serve};
use farrier_asset_store::SlotPart;
use farrier_core::accounts::{AccountName, Role};
use farrier_core::interface::{Actor, CommandError};
use farrier_core::{Command, Effect, Input, Instant};
use farrier_http::Head;
use farrier_testkit::lab::Lab;

/// What a document holds, one line an event, pieces of text put together.
fn events(bytes: &[u8], cut: usize) -> Option<Vec<String>> {
    let mut reader = Reader::new();
    let mut all: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut take = |event: Event<'_>| match event {
        Event::Text(piece) => text.push_str(piece),
        Event::Char(char) => text.push(char),
        event => all.push(format!("{}{event:?}", std::mem::take(&mut text))),
    };
    for slice in bytes.chunks(cut) {
        let mut input = slice;
        while let Some(event) = reader.next(&mut input).ok()? {
            take(event);
        }
        assert!(input.is_empty());
    }
    while let Some(event) = reader.finish().ok()? {
        take(event);
    }
    Some(all)
}

/// A document: the events are the same however it is torn, and what this
/// reader takes, another one takes too.
pub fn json(bytes: &[u8]) {
    let whole = events(bytes, bytes.len().max(1));
    for cut in [1, 2, 7] {
        assert_eq!(events(bytes, cut), whole, "torn into pieces of {cut}");
    }
    if whole.is_some() {
        let other: Result<serde_json::Value, _> = serde_json::from_slice(bytes);
        // A number too large for a float is one to the reader only.
        let other = other.map(drop).map_err(|error| error.to_string());
        assert!(
            other.as_ref().is_ok_and(|()| true)
                || other.as_ref().is_err_and(|e| e.contains("out of range")),
            "{other:?}"
        );
    }
}

/// A client around a lab.
struct Client<'l> {
    lab: &'l mut Lab,
    body: &'l [u8],
    sent: Vec<u8>,
}

impl Host for Client<'_> {
    fn who(&mut self) -> Principal {
        let name = AccountName::new("operator").expect("a name");
        Principal::trusted(name, Role::Admin)
    }

    fn random(&mut self) -> [u8; 32] {
        [7; 32]
    }

    fn view(&mut self) -> View<'_> {
        View::of(self.lab.rack(), Instant::from_millis(self.lab.now))
    }

    fn command(&mut self, command: Command<'_>) -> Option<Result<(), CommandError>> {
        let actor = Actor::OPERATOR;
        self.lab.step_quietly(Input::Command { actor, command });
        let mut effects = self.lab.controller.effects();
        effects.find_map(|effect| match effect {
            Effect::Answer(answer) => Some(answer),
            _ => None,
        })
    }

    fn store(&mut self, _: usize, part: SlotPart, offset: u64, bytes: &[u8]) -> bool {
        assert!(matches!(part, SlotPart::ConfigDrive(_)));
        assert!(offset + bytes.len() as u64 <= part.capacity());
        true
    }

    fn inspection(&mut self, _: usize, _: usize, _: &mut [u8]) -> Option<usize> {
        None
    }

    fn receive(&mut self, buffer: &mut [u8]) -> usize {
        let length = self.body.len().min(buffer.len());
        let (taken, rest) = self.body.split_at(length);
        buffer[..length].copy_from_slice(taken);
        self.body = rest;
        length
    }

    fn send(&mut self, bytes: &[u8]) {
        self.sent.extend_from_slice(bytes);
    }
}

/// Gives a request's bytes to a lab's API. Its reply is well-formed, and a
/// refusal says why.
pub(crate) fn give(lab: &mut Lab, bytes: &[u8]) {
    let Ok(Some((head, length))) = Head::parse(bytes) else {
        return;
    };
    if !farrier_api::is_ours(head.path) {
        return;
    }
    let mut client = Client {
        lab,
        body: &bytes[length..],
        sent: Vec::new(),
    };
    let (mut statement, mut buffer) = ([0; 8192], [0; REPLY_BUFFER]);
    let served = serve(&head, &mut client, &mut statement, &mut buffer);
    let (sent, version) = (client.sent, head.version);
    if served.is_err() {
        // The client has gone before its body was complete.
        return;
    }
    let told = String::from_utf8(sent).expect("a reply is a text");
    let told = told.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n");
    let status = told
        .get(9..12)
        .and_then(|status| status.parse::<u16>().ok());
    assert!(
        status.is_some_and(|status| (200..=501).contains(&status)),
        "{version:?}: {told}"
    );
    let refused = status.is_some_and(|status| status >= 400);
    let (_, body) = told.split_once("\r\n\r\n").expect("a head ends");
    if refused && head.method != farrier_http::Method::Head {
        assert!(body.contains("error_message"), "{told}");
    }
}

/// Requests of the API, one behind the other, to a rack with a node.
pub fn request(bytes: &[u8]) {
    let mut lab = Lab::new();
    lab.discover(1);
    // A byte of zero is in no head: it is between requests here.
    for request in bytes.split(|byte| *byte == 0) {
        give(&mut lab, request);
    }
    lab.pass(2);
}
