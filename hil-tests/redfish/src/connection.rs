//! One connection: bytes of requests in, bytes of answers out, and what can go
//! wrong between.

use farrier_http::{Body, Framing, Head, Method, Piece, ResponseHead, Status, Version, chunked};
use serde_json::{Value, json};

use crate::changes::huge;
use crate::fault::{Fault, Stall};
use crate::reply::Reply;
use crate::service::{Request, Service};

/// Longest body of a request.
const MAX_BODY: usize = 65_536;

/// Bytes of data in a chunk.
const CHUNK: usize = 100;

/// A client's connection to a service.
#[derive(Debug, Default)]
pub struct Connection {
    input: Vec<u8>,
    output: Vec<u8>,
    /// It is closed behind what is left of the output.
    closes: bool,
    /// Nothing is sent any more.
    stalled: bool,
}

impl Connection {
    /// Creates a new connection.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes of the client.
    pub fn receive(&mut self, service: &mut Service, bytes: &[u8], now: u64) {
        self.input.extend_from_slice(bytes);
        while !self.closes && !self.stalled {
            let input = std::mem::take(&mut self.input);
            let taken = self.request(service, &input, now);
            self.input = input.get(taken..).unwrap_or_default().to_vec();
            if taken == 0 {
                return;
            }
        }
    }

    /// Returns what is to be sent, at most so many bytes of it.
    pub fn transmit(&mut self, most: usize) -> Vec<u8> {
        let length = most.min(self.output.len());
        self.output.drain(..length).collect()
    }

    /// Returns whether the service has closed it.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closes && self.output.is_empty()
    }

    /// Answers the first request; returns its length, 0 if it is not complete.
    fn request(&mut self, service: &mut Service, input: &[u8], now: u64) -> usize {
        let (head, length) = match Head::parse(input) {
            Ok(Some(found)) => found,
            Ok(None) => return 0,
            Err(error) => {
                let reply = Reply::error(error.status().0, "MalformedRequest", error.text());
                self.emit(&reply, false, "");
                self.closes = true;
                return input.len();
            }
        };
        let mut rest = input.get(length..).unwrap_or_default();
        let before = rest.len();
        let mut decoder = Body::new(head.body);
        let mut body = Vec::new();
        loop {
            match decoder.next(&mut rest) {
                Ok(Piece::Data(piece)) if body.len() + piece.len() <= MAX_BODY => {
                    body.extend_from_slice(piece);
                }
                Ok(Piece::More) => return 0,
                Ok(Piece::End) => break,
                Ok(Piece::Data(_)) | Err(_) => {
                    self.closes = true;
                    return input.len();
                }
            }
        }
        let taken = length + before - rest.len();
        let request = Request {
            method: head.method.as_str(),
            path: head.path,
            query: head.query,
            authorization: head.header("Authorization"),
            token: head.header("X-Auth-Token"),
            if_match: head.header("If-Match"),
            body: &body,
        };
        self.answer(service, &request, &head, now);
        taken
    }

    fn answer(&mut self, service: &mut Service, request: &Request<'_>, head: &Head<'_>, now: u64) {
        let start = self.output.len();
        let close = service.has_fault(request, &Fault::ClosesEach);
        let keep = head.keep_alive && head.version == Version::Http11 && !close;
        let host = format!("http://{}", head.host.unwrap_or("localhost"));
        let interim = service.fault(request, |fault| match fault {
            Fault::Interim(times) => Some(*times),
            _ => None,
        });
        for _ in 0..interim.unwrap_or(0) {
            self.output
                .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let redirect = service.fault(request, |fault| match fault {
            Fault::Redirect(to) => Some(to.clone()),
            _ => None,
        });
        let reply = match redirect {
            Some(to) => Reply::empty(308).header("Location", to),
            None => {
                let reply = service.answer(request, now);
                distort(service, request, reply)
            }
        };
        self.closes = !keep;
        if !self.raw(service, request, &reply) {
            self.frame(
                service,
                request,
                &reply,
                keep,
                &host,
                head.method == Method::Head,
            );
        }
        if service.has_fault(request, &Fault::Surplus) {
            self.output.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        }
        self.cut(service, request, start);
    }

    /// Bodies that are no document of the service.
    fn raw(&mut self, service: &mut Service, request: &Request<'_>, reply: &Reply) -> bool {
        let length = reply.body.as_ref().map_or(0, |body| body.to_string().len());
        if service.has_fault(request, &Fault::Html) {
            let page = "<!DOCTYPE html><html><body>Please log in.</body></html>";
            let length = page.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n"
            );
            self.output.extend_from_slice(head.as_bytes());
            self.output.extend_from_slice(page.as_bytes());
            return true;
        }
        let off = service.fault(request, |fault| match fault {
            Fault::WrongLength(off) => Some(*off),
            _ => None,
        });
        let head = if let Some(off) = off {
            let length = (length as i64 + off).max(0);
            format!(
                "HTTP/1.1 {} X\r\nContent-Length: {length}\r\n\r\n",
                reply.status
            )
        } else if service.has_fault(request, &Fault::TwoFramings) {
            let length = length.max(1);
            format!(
                "HTTP/1.1 200 X\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
        } else if service.has_fault(request, &Fault::Gzip) {
            format!("HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n")
        } else {
            return false;
        };
        self.output.extend_from_slice(head.as_bytes());
        if let Some(body) = &reply.body {
            self.output.extend_from_slice(body.to_string().as_bytes());
        }
        true
    }

    fn frame(
        &mut self,
        service: &mut Service,
        request: &Request<'_>,
        reply: &Reply,
        keep: bool,
        host: &str,
        headless: bool,
    ) {
        let until_close = service.has_fault(request, &Fault::UntilClose);
        let chunked = service.model.chunked && reply.body.is_some() && !until_close;
        self.closes |= until_close;
        let framing = match (until_close, chunked, &reply.body) {
            (true, _, _) => Framing::UntilClose,
            (false, true, _) => Framing::Chunked,
            (false, false, Some(body)) => Framing::Length(body.to_string().len() as u64),
            (false, false, None) if reply.status == 204 => Framing::Nothing,
            (false, false, None) => Framing::Length(0),
        };
        self.head(reply, framing, keep, host);
        let Some(body) = reply.body.as_ref().filter(|_| !headless) else {
            return;
        };
        let body = body.to_string();
        if !chunked {
            self.output.extend_from_slice(body.as_bytes());
            return;
        }
        for piece in body.as_bytes().chunks(CHUNK) {
            let mut buffer = [0; CHUNK + chunked::PREFIX + chunked::SUFFIX];
            let length = chunked::frame(&mut buffer, |room| {
                let length = piece.len().min(room.len());
                for (place, byte) in room.iter_mut().zip(piece) {
                    *place = *byte;
                }
                length
            });
            self.output
                .extend_from_slice(buffer.get(..length).unwrap_or_default());
        }
        self.output.extend_from_slice(chunked::END);
    }

    fn emit(&mut self, reply: &Reply, keep: bool, host: &str) {
        let body = reply
            .body
            .as_ref()
            .map(Value::to_string)
            .unwrap_or_default();
        self.head(reply, Framing::Length(body.len() as u64), keep, host);
        self.output.extend_from_slice(body.as_bytes());
    }

    fn head(&mut self, reply: &Reply, framing: Framing, keep: bool, host: &str) {
        let headers: Vec<(&str, String)> = reply
            .headers
            .iter()
            .map(|(name, value)| (*name, value.replace("HOST", host)))
            .collect();
        let mut extra: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        extra.push(("OData-Version", "4.0"));
        extra.push(("Cache-Control", "no-cache"));
        let mut head = ResponseHead::new(Status(reply.status))
            .framing(framing)
            .keep_alive(keep);
        if reply.body.is_some() {
            head = head.content_type("application/json; charset=utf-8");
        }
        let mut buffer = [0; 4096];
        let length = head.extra(&extra).emit(&mut buffer).unwrap_or(0);
        self.output
            .extend_from_slice(buffer.get(..length).unwrap_or_default());
    }

    /// Answers that do not arrive as a whole.
    fn cut(&mut self, service: &mut Service, request: &Request<'_>, start: usize) {
        let answer = self.output.get(start..).unwrap_or_default();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, all) = (end.unwrap_or(0) + 4, answer.len());
        let closes = service.fault(request, |fault| match fault {
            Fault::Closes(behind) => Some(*behind),
            _ => None,
        });
        if let Some(behind) = closes {
            self.output.truncate(start + behind);
            self.closes = true;
        }
        let stalls = service.fault(request, |fault| match fault {
            Fault::Stalls(stall) => Some(*stall),
            _ => None,
        });
        if let Some(stall) = stalls {
            self.output.truncate(
                start
                    + match stall {
                        Stall::Silent => 0,
                        Stall::Head => head / 2,
                        Stall::Body => head + (all - head) / 2,
                    },
            );
            self.stalled = true;
            self.closes = false;
        }
    }
}

/// Documents that are not as they should be.
fn distort(service: &mut Service, request: &Request<'_>, mut reply: Reply) -> Reply {
    if service.has_fault(request, &Fault::Empty) && reply.body.is_some() {
        reply.body = Some(json!({}));
    }
    if service.has_fault(request, &Fault::NoBody) {
        reply.body = None;
    }
    let bytes = service.fault(request, |fault| match fault {
        Fault::Huge(bytes) => Some(*bytes),
        _ => None,
    });
    if let (Some(bytes), Some(document)) = (bytes, reply.body.take_if(|_| bytes.is_some())) {
        reply.body = Some(huge(document, bytes));
    }
    let depth = service.fault(request, |fault| match fault {
        Fault::Deep(depth) => Some(*depth),
        _ => None,
    });
    if let (Some(depth), Some(document)) = (depth, &mut reply.body) {
        document["@odata.first"] = (0..depth).fold(json!({}), |inner, _| json!({"Inner": inner}));
    }
    reply
}
