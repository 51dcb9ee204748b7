//! One session: hellos, framing, message ids; bytes in and out.

use crate::framing::{Deframer, END_OF_CHUNKS, END_OF_MESSAGE, Framing, FramingError, Piece};
use crate::hello::{Capabilities, Hello};
use crate::out::Window;
use crate::reply::Reply;
use crate::xml::{Reader, Token, XmlError};

/// What a session does with the message in its hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exchange {
    /// The hellos are exchanged.
    Hello,
    /// No request is under way.
    Idle,
    /// A request is sent.
    Sending,
    /// Its reply is awaited.
    Awaiting,
    /// The session ended.
    Over,
}

/// Why the bytes of a server can't be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// No messages: wrong framing, or a message above the limit.
    Framing(FramingError),
    /// A message is no document, or exceeds the reader's bounds.
    Xml(XmlError),
    /// The first message is no hello with a session-id and a base capability.
    Hello,
    /// A message answers no request, or another one.
    Unasked,
}

impl ProtocolError {
    /// Returns a short text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Framing(error) => error.text(),
            Self::Xml(error) => error.kind.text(),
            Self::Hello => "not a hello of NETCONF 1.0 or 1.1",
            Self::Unasked => "a message that answers no request",
        }
    }
}

/// What a message of the server was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    Hello,
    Reply,
}

#[derive(Debug, Clone)]
pub(crate) struct Session {
    reader: Reader,
    deframer: Deframer,
    pub(crate) hello: Hello,
    pub(crate) reply: Reply,
    exchange: Exchange,
    hello_sent: bool,
    hello_received: bool,
    /// The client offers `base:1.1`.
    offer_chunked: bool,
    /// Bytes of the message that are sent, and all of them as far as known.
    sent: usize,
    total: usize,
    id: u32,
}

impl Session {
    pub(crate) const fn new(offer_chunked: bool, max_message: u32, reply: Reply) -> Self {
        Self {
            reader: Reader::new(),
            deframer: Deframer::new(max_message),
            hello: Hello {
                capabilities: Capabilities::empty(),
                models: crate::hello::Models::empty(),
                session_id: None,
                is_hello: false,
            },
            reply,
            exchange: Exchange::Hello,
            hello_sent: false,
            hello_received: false,
            offer_chunked,
            sent: 0,
            total: usize::MAX,
            id: 0,
        }
    }

    /// Returns whether the hellos are exchanged and no request is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.exchange == Exchange::Idle
    }

    pub(crate) fn is_over(&self) -> bool {
        self.exchange == Exchange::Over
    }

    /// Returns whether a byte of the request under way was handed out.
    pub(crate) const fn has_sent(&self) -> bool {
        self.sent > 0
    }

    pub(crate) fn end(&mut self) {
        self.exchange = Exchange::Over;
    }

    /// Begins a request; [`Self::peek`] writes it.
    pub(crate) fn begin(&mut self) {
        debug_assert!(self.is_idle(), "one request at a time");
        self.exchange = Exchange::Sending;
        self.id = self.id.wrapping_add(1).max(1);
        self.sent = 0;
        self.total = usize::MAX;
        self.reply.clear();
    }

    fn framing(&self) -> Framing {
        let chunked = self.offer_chunked
            && self.hello_received
            && self.hello.capabilities.contains(Capabilities::BASE_1_1);
        match chunked && self.exchange != Exchange::Hello {
            true => Framing::Chunked,
            false => Framing::EndOfMessage,
        }
    }

    /// Writes the next bytes to send into `buffer`; returns their number.
    pub(crate) fn peek(&mut self, buffer: &mut [u8], request: &dyn Fn(&mut Window<'_>)) -> usize {
        let hello = |out: &mut Window<'_>| {
            out.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
            out.raw("<hello xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\"><capabilities>");
            out.raw("<capability>urn:ietf:params:netconf:base:1.0</capability>");
            if self.offer_chunked {
                out.raw("<capability>urn:ietf:params:netconf:base:1.1</capability>");
            }
            out.raw("</capabilities></hello>");
        };
        let id = self.id;
        let rpc = |out: &mut Window<'_>| {
            out.raw("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
            out.raw("<rpc xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\"");
            out.raw(" xmlns:nc=\"urn:ietf:params:xml:ns:netconf:base:1.0\" message-id=\"");
            out.value(id);
            out.raw("\">");
            request(out);
            out.raw("</rpc>");
        };
        let body: &dyn Fn(&mut Window<'_>) = match self.exchange {
            Exchange::Hello if !self.hello_sent => &hello,
            Exchange::Sending => &rpc,
            _ => return 0,
        };
        let mut out = Window::new(self.sent, buffer);
        frame(self.framing(), body, &mut out);
        let (kept, total) = (out.kept(), out.total());
        self.total = total;
        kept
    }

    /// Takes `length` bytes of the last [`Self::peek`] for sent.
    pub(crate) fn sent(&mut self, length: usize) {
        self.sent = self.sent.saturating_add(length);
        if self.sent < self.total {
            return;
        }
        match self.exchange {
            Exchange::Hello => {
                self.hello_sent = true;
                self.greet();
            }
            Exchange::Sending => self.exchange = Exchange::Awaiting,
            Exchange::Idle | Exchange::Awaiting | Exchange::Over => {}
        }
    }

    fn greet(&mut self) {
        if self.hello_sent && self.hello_received {
            self.exchange = Exchange::Idle;
        }
    }

    /// Reads bytes of the server. `token` takes the tokens of replies; a message
    /// that ends is returned, and `input` is advanced past it.
    ///
    /// # Errors
    /// [`ProtocolError`]; the session is of no use any more.
    pub(crate) fn read(
        &mut self,
        input: &mut &[u8],
        token: &mut dyn FnMut(Token<'_>),
    ) -> Result<Option<Message>, ProtocolError> {
        loop {
            let piece = self.deframer.next(input).map_err(ProtocolError::Framing)?;
            let data = match piece {
                Piece::More => return Ok(None),
                Piece::End => return self.end_of_message().map(Some),
                Piece::Data(data) => data,
            };
            for &byte in data {
                let Some(found) = self.reader.push(byte).map_err(ProtocolError::Xml)? else {
                    continue;
                };
                if !self.hello_received {
                    self.hello.token(found);
                    continue;
                }
                self.reply.token(self.id, found);
                if self.reply.is_matched() && self.exchange == Exchange::Awaiting {
                    token(found);
                }
            }
        }
    }

    fn end_of_message(&mut self) -> Result<Message, ProtocolError> {
        self.reader.finish().map_err(ProtocolError::Xml)?;
        if !self.hello_received {
            if !self.hello.is_valid() {
                return Err(ProtocolError::Hello);
            }
            self.hello_received = true;
            let both = self.offer_chunked;
            if both && self.hello.capabilities.contains(Capabilities::BASE_1_1) {
                self.deframer.set_framing(Framing::Chunked);
            }
            self.greet();
            return Ok(Message::Hello);
        }
        if self.exchange != Exchange::Awaiting || !self.reply.is_matched() {
            return Err(ProtocolError::Unasked);
        }
        self.exchange = Exchange::Idle;
        Ok(Message::Reply)
    }
}

/// Writes a message in its frame.
pub(crate) fn frame(framing: Framing, body: &dyn Fn(&mut Window<'_>), out: &mut Window<'_>) {
    if framing == Framing::EndOfMessage {
        body(out);
        out.bytes(END_OF_MESSAGE);
        return;
    }
    let mut measure = Window::new(0, &mut []);
    body(&mut measure);
    out.raw("\n#");
    out.value(measure.total());
    out.raw("\n");
    body(out);
    out.bytes(END_OF_CHUNKS);
}
