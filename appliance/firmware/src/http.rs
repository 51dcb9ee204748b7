//! HTTP: a set of workers with one connection each. `farrier-http` reads
//! heads and ranges and frames bodies, and decides who gets a connection; the
//! rack says what a path is. Every wait has an end: heads have a deadline from
//! their first byte, bodies a least rate. As soon as somebody else waits, a
//! connection without a request ends, and so does a file that is sent too slowly
//! or for minutes.

mod stream;

use core::cell::Cell;
use core::net::Ipv4Addr;

use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, with_deadline, with_timeout};
use farrier_api::{REPLY_BUFFER, is_ours};
use farrier_core::Transport;
use farrier_core::interface::Services;
use farrier_http::{
    BodyLength, Error, Framing, Head, Method, ResponseHead, Selection, Status, percent,
};
use farrier_sizes::{HTTP_HEAD, HTTP_RECEIVE, HTTP_SEND};
use heapless::String;

use crate::fmt::{Show, debug, error};
use crate::net::{Classes as _, Connection};
use crate::queues::{PATH, Served, bump};
use crate::refusals::Refusal;
pub(crate) use stream::{Broken, Stream};

use crate::{Board, Context};

/// The well-known port.
pub(crate) const PORT: u16 = 80;
/// How long a peer may acknowledge nothing while there is something to
/// acknowledge.
const STALL_LIMIT: Duration = Duration::from_secs(20);
/// How long a peer may take to close its end.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// The same while somebody waits for the connection.
const CLOSE_LIMIT_CROWDED: Duration = Duration::from_millis(200);
/// Bytes of the request buffer: the longest head, and the longest text that
/// core makes.
pub(crate) const HEAD: usize = HTTP_HEAD;
const _: () = assert!(
    HEAD >= REPLY_BUFFER,
    "buffers.http_head in board.toml is too small for the API's replies"
);

/// Memory of one connection.
#[derive(Debug)]
pub struct ConnectionBuffers {
    rx: [u8; HTTP_RECEIVE],
    tx: [u8; HTTP_SEND],
    head: [u8; HEAD],
}

impl ConnectionBuffers {
    /// Empty, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            rx: [0; HTTP_RECEIVE],
            tx: [0; HTTP_SEND],
            head: [0; HEAD],
        }
    }
}

impl Default for ConnectionBuffers {
    fn default() -> Self {
        Self::new()
    }
}

/// What has happened since start. All wrap.
#[derive(Debug, Default)]
pub struct HttpCounters {
    /// Connections that were accepted.
    pub connections: Cell<u32>,
    /// Requests with a readable head.
    pub requests: Cell<u32>,
    /// Requests that were refused for their form.
    pub malformed: Cell<u32>,
    /// Replies that the peer did not take to their end.
    pub broken: Cell<u32>,
    /// Heads that did not end in time.
    pub slow_heads: Cell<u32>,
    /// Bodies that came, or were taken, below the least rate.
    pub slow_bodies: Cell<u32>,
}

/// Whether the connection stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Keep,
    Close,
}

/// What a wait for a head has brought.
enum Arrived {
    Bytes(usize),
    /// The peer has closed its side.
    End,
    /// The connection is given up, for somebody else or after its time.
    GiveUp,
}

/// Asked on another network.
const NOT_HERE: &str = "This is not served on your network. The API is on the management network, \
                        files are on those on which servers boot.\n";

/// What of a request for a file matters, apart from its path.
#[derive(Debug, Clone, Copy)]
struct FileRequest {
    peer: Ipv4Addr,
    method: Method,
    range: Option<farrier_http::Range>,
    keep_alive: bool,
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Context<B, N, L, D> {
    /// Serves one connection after the other.
    pub async fn run_http_worker(&self, buffers: &'static mut ConnectionBuffers) -> ! {
        let ConnectionBuffers { rx, tx, head } = buffers;
        let mut connection = Connection::new(self.network, rx, tx);
        let gate = self.network.gate();
        let mut first = true;
        let mut place = None;
        loop {
            let accepted = connection
                .accept(PORT, STALL_LIMIT, || gate.listens(first, place))
                .await;
            first = false;
            place = match connection.peer() {
                Some(peer) if accepted.is_ok() => {
                    gate.accepted(peer, self.shared.class(*peer.ip()))
                }
                _ => None,
            };
            let (Some(at), Some(peer)) = (place, connection.peer()) else {
                connection.abort().await;
                continue;
            };
            bump(&self.http.connections);
            let mut stream = Stream::new(&mut connection, *peer.ip(), at);
            match self.serve(&mut stream, head).await {
                Ok(()) => {}
                Err(Broken::Gone) => bump(&self.http.broken),
                Err(why @ (Broken::Slow | Broken::GivenUp)) => {
                    // The gate counts what it gives up.
                    if why == Broken::Slow {
                        bump(&self.http.slow_bodies);
                    }
                    gate.refusals().note(Refusal::HttpBody, *peer.ip());
                    // Nothing is left to say, and it would not be taken.
                    connection.abort().await;
                    continue;
                }
            }
            let wanted = gate.is_wanted(at);
            gate.closing(at);
            close(&mut connection, wanted).await;
        }
    }

    /// Serves requests until either side closes the connection.
    async fn serve(&self, stream: &mut Stream<'_>, buffer: &mut [u8; HEAD]) -> Result<(), Broken> {
        let gate = self.network.gate();
        let mut filled = 0;
        loop {
            let (request, path, length) =
                match Head::parse(buffer.get(..filled).unwrap_or_default()) {
                    Ok(Some((head, length))) => {
                        bump(&self.http.requests);
                        gate.busy(stream.place());
                        if !self.serves_here(stream.peer, head.path) {
                            stream.start_body(true);
                            let status = Status::NOT_FOUND;
                            return say(stream, status, false, NOT_HERE).await;
                        }
                        if is_ours(head.path) {
                            stream.start_body(true);
                            match self.serve_api(stream, buffer, filled).await? {
                                Next::Keep => filled = 0,
                                Next::Close => return Ok(()),
                            }
                            gate.idle(stream.place());
                            continue;
                        }
                        // Bytes behind the head are a body or another request,
                        // and this buffer is about to be used for the reply.
                        let alone = length == filled && head.body == BodyLength::Known(0);
                        let request = FileRequest {
                            peer: stream.peer,
                            method: head.method,
                            range: head.range,
                            keep_alive: head.keep_alive && alone && !stream.is_wanted(gate),
                        };
                        match decoded(head.path) {
                            Ok(path) => (request, path, length),
                            Err(error) => return self.refuse(stream, error).await,
                        }
                    }
                    Ok(None) if filled == HEAD => {
                        return self.refuse(stream, Head::overflow(buffer)).await;
                    }
                    Ok(None) => {
                        let room = buffer.get_mut(filled..).unwrap_or_default();
                        match self.more_of_head(stream, room).await? {
                            Arrived::Bytes(count) => filled += count,
                            Arrived::End => return Ok(()),
                            // A connection without a request is closed
                            // without a reply.
                            Arrived::GiveUp if filled == 0 => return Ok(()),
                            Arrived::GiveUp => {
                                bump(&self.http.slow_heads);
                                gate.refusals().note(Refusal::HttpHead, stream.peer);
                                let head = ResponseHead::new(Status::REQUEST_TIMEOUT);
                                stream.start_body(true);
                                return write_head(stream, &head).await;
                            }
                        }
                        continue;
                    }
                    Err(error) => return self.refuse(stream, error).await,
                };
            debug_assert!(length <= filled);
            stream.start_body(true);
            match self.reply(stream, &request, &path, buffer).await? {
                Next::Keep => filled = 0,
                Next::Close => return Ok(()),
            }
            gate.idle(stream.place());
        }
    }

    /// Whether what is at a path is served on the peer's network: the API where
    /// operators are, files where servers boot.
    fn serves_here(&self, peer: Ipv4Addr, path: &str) -> bool {
        let (_, services) = self.network.network_of(peer);
        services.contains(match is_ours(path) {
            true => Services::API,
            false => Services::BOOT,
        })
    }

    /// Waits for bytes of a head.
    async fn more_of_head(
        &self,
        stream: &mut Stream<'_>,
        room: &mut [u8],
    ) -> Result<Arrived, Broken> {
        let gate = self.network.gate();
        let place = stream.place();
        let read = select(stream.connection.read(room), gate.given_up(place));
        Ok(match with_deadline(gate.until(place), read).await {
            Ok(Either::First(count)) => match count? {
                0 => Arrived::End,
                count => {
                    gate.head(place);
                    Arrived::Bytes(count)
                }
            },
            Ok(Either::Second(())) | Err(_) => Arrived::GiveUp,
        })
    }

    async fn refuse(&self, stream: &mut Stream<'_>, error: Error) -> Result<(), Broken> {
        bump(&self.http.malformed);
        stream.start_body(true);
        say(stream, error.status(), false, error.text()).await
    }

    /// Answers one request. `text` is scratch space.
    async fn reply(
        &self,
        stream: &mut Stream<'_>,
        request: &FileRequest,
        path: &str,
        text: &mut [u8],
    ) -> Result<Next, Broken> {
        let next = if request.keep_alive {
            Next::Keep
        } else {
            Next::Close
        };
        if !matches!(request.method, Method::Get | Method::Head) {
            let status = Status::METHOD_NOT_ALLOWED;
            say(
                stream,
                status,
                request.keep_alive,
                "Files can only be read: use GET or HEAD.\n",
            )
            .await?;
            return Ok(next);
        }
        let body = matches!(request.method, Method::Get);
        let served = self
            .open_file(Transport::Http, request.peer, path, text)
            .await;
        stream.start_body(false);
        let (at, total) = match served {
            Served::Text(length) => {
                let head = ResponseHead::new(Status::OK)
                    .framing(Framing::Length(length as u64))
                    .keep_alive(request.keep_alive)
                    .content_type("text/plain");
                write_head(stream, &head).await?;
                if body {
                    let bytes = text.get(..length).unwrap_or_default();
                    stream.write(bytes).await?;
                    self.sent(request.peer, path, length as u64, true).await;
                }
                return Ok(next);
            }
            Served::Slot(at, length) => (at, length),
            Served::Asset(name) => match self.store.find(&name).await {
                Ok(Some(entry)) if entry.kind.is_served() => (entry.offset, entry.len),
                Ok(_) => return not_found(stream, next).await,
                Err(error) => {
                    error!("HTTP: {}: {}", path, Show(error));
                    let status = Status::INTERNAL_SERVER_ERROR;
                    say(
                        stream,
                        status,
                        false,
                        "The asset store can not be read. Look at the appliance's console.\n",
                    )
                    .await?;
                    return Ok(Next::Close);
                }
            },
            Served::NotFound => return not_found(stream, next).await,
            Served::Busy => {
                let status = Status::SERVICE_UNAVAILABLE;
                say(
                    stream,
                    status,
                    request.keep_alive,
                    "The appliance has too many requests. Try again.\n",
                )
                .await?;
                return Ok(next);
            }
        };
        let selection = Selection::of(request.range, total);
        let length = selection.length();
        let head = ResponseHead::new(selection.status())
            .framing(Framing::Length(length))
            .selection(selection)
            .keep_alive(request.keep_alive)
            .content_type("application/octet-stream");
        write_head(stream, &head).await?;
        if body && length > 0 {
            let mut sent = 0;
            let (gate, place) = (self.network.gate(), stream.place());
            gate.sending(place);
            let sending = self.send_device(stream, at + selection.offset(), length, &mut sent);
            let result = match select(sending, gate.given_up(place)).await {
                Either::First(result) => result,
                Either::Second(()) => Err(Broken::GivenUp),
            };
            self.sent(request.peer, path, sent, result.is_ok()).await;
            result?;
        }
        Ok(next)
    }

    /// Sends bytes of the store, as fast as the peer takes them.
    async fn send_device(
        &self,
        stream: &mut Stream<'_>,
        at: u64,
        length: u64,
        sent: &mut u64,
    ) -> Result<(), Broken> {
        while *sent < length {
            let room = stream.writable().await?;
            let left = usize::try_from(length - *sent).unwrap_or(usize::MAX);
            // The store is locked from here on; there is room, so that the
            // write does not wait.
            let asked = Instant::now();
            let piece = match self.store.read(at + *sent, left.min(room)).await {
                Ok(piece) => piece,
                Err(error) => {
                    error!("HTTP: the asset store can not be read: {}", Show(error));
                    return Err(Broken::Gone);
                }
            };
            stream.rested(asked);
            let written = stream.write_some(&piece).await?;
            self.network.gate().sent(stream.place(), written);
            *sent += written as u64;
        }
        Ok(())
    }
}

/// A path as the rack takes it: decoded, without its leading `/`.
fn decoded(path: &str) -> Result<String<PATH>, Error> {
    let mut room = [0; PATH];
    let path = percent::decode(path.strip_prefix('/').unwrap_or(path), &mut room)?;
    String::try_from(path).map_err(|_| Error::PercentTooLong)
}

async fn not_found(stream: &mut Stream<'_>, next: Next) -> Result<Next, Broken> {
    let keep = next == Next::Keep;
    say(
        stream,
        Status::NOT_FOUND,
        keep,
        "There is no such file for this machine.\n",
    )
    .await?;
    Ok(next)
}

/// A short reply for people.
pub(crate) async fn say(
    stream: &mut Stream<'_>,
    status: Status,
    keep_alive: bool,
    text: &str,
) -> Result<(), Broken> {
    let head = ResponseHead::new(status)
        .framing(Framing::Length(text.len() as u64))
        .keep_alive(keep_alive)
        .content_type("text/plain");
    write_head(stream, &head).await?;
    stream.write(text.as_bytes()).await
}

async fn write_head(stream: &mut Stream<'_>, head: &ResponseHead<'_>) -> Result<(), Broken> {
    let mut room = [0; 320];
    let length = head.emit(&mut room).map_err(|_| Broken::Gone)?;
    stream.write(room.get(..length).unwrap_or_default()).await
}

/// Ends a connection so that the peer gets everything that was written: our
/// end is closed, the peer's is waited for, and only then is the socket
/// taken for somebody else.
async fn close(connection: &mut Connection, wanted: bool) {
    let limit = if wanted {
        CLOSE_LIMIT_CROWDED
    } else {
        CLOSE_LIMIT
    };
    connection.finish();
    let rest = async {
        let mut sink = [0; 64];
        while matches!(connection.read(&mut sink).await, Ok(1..)) {}
        connection.flush().await
    };
    if !matches!(with_timeout(limit, rest).await, Ok(Ok(()))) {
        debug!("HTTP: a peer did not close its connection in time");
    }
    connection.abort().await;
}
