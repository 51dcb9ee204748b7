//! A session of the model: framing and buffers.

use super::Profile;
use super::config::Config;
use super::request::Rpc;
use crate::dialect::Dialect;
use crate::framing::{Deframer, Framing, Piece};
use crate::hello::Capabilities;
use crate::out::Window;
use crate::xml::name::Name;
use crate::xml::{Event, Reader};

/// Room for the bytes that wait for the client.
const ROOM: usize = 24 << 10;
/// Longest message of a client.
const MAX_MESSAGE: u32 = 1 << 16;

#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: u32,
    reader: Reader,
    deframer: Deframer,
    rpc: Option<Rpc>,
    greeted: bool,
    /// Both sides have `base:1.1`.
    server_chunked: bool,
    chunked: bool,
    out: [u8; ROOM],
    filled: usize,
    sent: usize,
    /// The session answers nothing any more.
    pub(super) silent: bool,
    /// The session ends once its bytes are sent.
    pub(super) closing: bool,
}

impl Session {
    pub(super) fn new(id: u32) -> Self {
        Self {
            id,
            reader: Reader::new(),
            deframer: Deframer::new(MAX_MESSAGE),
            rpc: None,
            greeted: false,
            server_chunked: false,
            chunked: false,
            out: [0; ROOM],
            filled: 0,
            sent: 0,
            silent: false,
            closing: false,
        }
    }

    pub(super) fn send_hello(&mut self, profile: &Profile) {
        let id = self.id;
        let capabilities = profile.capabilities;
        self.server_chunked = capabilities.contains(Capabilities::BASE_1_1);
        self.send(&|out| {
            out.raw("<hello xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\"><capabilities>");
            for (flag, text) in NAMES {
                if capabilities.contains(flag) {
                    out.raw("<capability>urn:ietf:params:netconf:");
                    out.raw(text);
                    out.raw("</capability>");
                }
            }
            for model in profile.models {
                out.raw("<capability>");
                out.text(model);
                out.raw("</capability>");
            }
            out.raw("</capabilities><session-id>");
            out.value(id);
            out.raw("</session-id></hello>");
        });
    }

    /// Adds a message to the bytes for the client. One that does not fit is lost.
    pub(super) fn send(&mut self, body: &dyn Fn(&mut Window<'_>)) {
        self.out.copy_within(self.sent..self.filled, 0);
        self.filled -= self.sent;
        self.sent = 0;
        let framing = match self.chunked {
            true => Framing::Chunked,
            false => Framing::EndOfMessage,
        };
        let room = self.out.get_mut(self.filled..).unwrap_or(&mut []);
        let mut window = Window::new(0, room);
        crate::session::frame(framing, body, &mut window);
        debug_assert_eq!(window.kept(), window.total(), "the reply has no room");
        self.filled += window.kept();
    }

    pub(super) fn is_drained(&self) -> bool {
        self.sent == self.filled
    }

    pub(super) fn transmit(&mut self, buffer: &mut [u8]) -> usize {
        let rest = self.out.get(self.sent..self.filled).unwrap_or(&[]);
        let length = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), rest.get(..length)) {
            to.copy_from_slice(from);
        }
        self.sent += length;
        length
    }

    /// Reads bytes; returns a request when it is complete.
    pub(super) fn read(
        &mut self,
        input: &mut &[u8],
        dialect: &Dialect,
        config: &Config,
    ) -> Result<Option<Rpc>, ()> {
        loop {
            match self.deframer.next(input).map_err(drop)? {
                Piece::More => return Ok(None),
                Piece::End => {
                    self.reader.finish().map_err(drop)?;
                    if self.greeted {
                        return self.rpc.take().map(Some).ok_or(());
                    }
                    self.greeted = true;
                    if self.chunked {
                        self.deframer.set_framing(Framing::Chunked);
                    }
                }
                Piece::Data(data) => self.tokens(data, dialect, config)?,
            }
        }
    }

    fn tokens(&mut self, data: &[u8], dialect: &Dialect, config: &Config) -> Result<(), ()> {
        for &byte in data {
            let Some(token) = self.reader.push(byte).map_err(drop)? else {
                continue;
            };
            if self.greeted {
                let rpc = self.rpc.get_or_insert_with(|| Rpc::new(config));
                rpc.token(dialect, token);
                continue;
            }
            let in_capability = token.path == [Name::Hello, Name::Capabilities, Name::Capability];
            if let Event::Text { text, .. } = token.event
                && in_capability
                && text == "urn:ietf:params:netconf:base:1.1"
            {
                self.chunked = self.server_chunked;
            }
        }
        Ok(())
    }
}

/// The names of capabilities behind `urn:ietf:params:netconf:`.
const NAMES: [(Capabilities, &str); 10] = [
    (Capabilities::BASE_1_0, "base:1.0"),
    (Capabilities::BASE_1_1, "base:1.1"),
    (Capabilities::CANDIDATE, "capability:candidate:1.0"),
    (
        Capabilities::CONFIRMED_COMMIT_1_0,
        "capability:confirmed-commit:1.0",
    ),
    (
        Capabilities::CONFIRMED_COMMIT_1_1,
        "capability:confirmed-commit:1.1",
    ),
    (Capabilities::VALIDATE_1_0, "capability:validate:1.0"),
    (Capabilities::VALIDATE_1_1, "capability:validate:1.1"),
    (
        Capabilities::WRITABLE_RUNNING,
        "capability:writable-running:1.0",
    ),
    (Capabilities::STARTUP, "capability:startup:1.0"),
    (
        Capabilities::ROLLBACK_ON_ERROR,
        "capability:rollback-on-error:1.0",
    ),
];
