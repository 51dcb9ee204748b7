//! HTTP: a set of workers with one connection each. `farrier-http` reads
//! heads and ranges and frames bodies; the rack says what a path is.
//! Every wait has an end: for a head, for each piece of a reply, for the
//! close of the connection.

use core::cell::Cell;
use core::net::Ipv4Addr;

use embassy_time::{Duration, with_timeout};
use farrier_api::{REPLY_BUFFER, is_ours};
use farrier_core::Transport;
use farrier_http::{
    BodyLength, Error, Framing, Head, Method, ResponseHead, Selection, Status, percent,
};
use farrier_sizes::{HTTP_HEAD, HTTP_RECEIVE, HTTP_SEND};
use heapless::String;

use crate::fmt::{Show, debug, error};
use crate::net::{Connection, TcpError};
use crate::queues::{PATH, Served, bump};
use crate::{Board, Context};

/// The well-known port.
const PORT: u16 = 80;
/// How long a request head may take to arrive, and an idle connection may
/// stay: connections are few.
pub(crate) const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// How long a peer may take no byte of a reply, or acknowledge none.
const STALL_LIMIT: Duration = Duration::from_secs(20);
/// How long a peer may take to close its end.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

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
}

/// Whether the connection stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Keep,
    Close,
}

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
        loop {
            if connection.accept(PORT, STALL_LIMIT).await.is_err() {
                connection.abort().await;
                continue;
            }
            bump(&self.http.connections);
            if self.serve(&mut connection, head).await.is_err() {
                bump(&self.http.broken);
            }
            close(&mut connection).await;
        }
    }

    /// Serves requests until either side closes the connection.
    async fn serve(
        &self,
        connection: &mut Connection,
        buffer: &mut [u8; HEAD],
    ) -> Result<(), TcpError> {
        let mut filled = 0;
        loop {
            let peer = *connection.peer().ok_or(TcpError)?.ip();
            let (request, path, length) =
                match Head::parse(buffer.get(..filled).unwrap_or_default()) {
                    Ok(Some((head, length))) => {
                        bump(&self.http.requests);
                        if is_ours(head.path) {
                            match self.serve_api(connection, buffer, filled).await? {
                                Next::Keep => filled = 0,
                                Next::Close => return Ok(()),
                            }
                            continue;
                        }
                        // Bytes behind the head are a body or another request,
                        // and this buffer is about to be used for the reply.
                        let alone = length == filled && head.body == BodyLength::Known(0);
                        let request = FileRequest {
                            peer,
                            method: head.method,
                            range: head.range,
                            keep_alive: head.keep_alive && alone,
                        };
                        match decoded(head.path) {
                            Ok(path) => (request, path, length),
                            Err(error) => return self.refuse(connection, error).await,
                        }
                    }
                    Ok(None) if filled == HEAD => {
                        return self.refuse(connection, Head::overflow(buffer)).await;
                    }
                    Ok(None) => {
                        let room = buffer.get_mut(filled..).unwrap_or_default();
                        match with_timeout(HEAD_LIMIT, connection.read(room)).await {
                            Ok(Ok(0)) => return Ok(()),
                            Ok(Ok(count)) => filled += count,
                            Ok(Err(TcpError)) => return Err(TcpError),
                            // An idle connection is closed without a reply.
                            Err(_) if filled == 0 => return Ok(()),
                            Err(_) => {
                                let head = ResponseHead::new(Status::REQUEST_TIMEOUT);
                                return write_head(connection, &head).await;
                            }
                        }
                        continue;
                    }
                    Err(error) => return self.refuse(connection, error).await,
                };
            debug_assert!(length <= filled);
            match self.reply(connection, &request, &path, buffer).await? {
                Next::Keep => filled = 0,
                Next::Close => return Ok(()),
            }
        }
    }

    async fn refuse(&self, connection: &mut Connection, error: Error) -> Result<(), TcpError> {
        bump(&self.http.malformed);
        say(connection, error.status(), false, error.text()).await
    }

    /// Answers one request. `text` is scratch space.
    async fn reply(
        &self,
        connection: &mut Connection,
        request: &FileRequest,
        path: &str,
        text: &mut [u8],
    ) -> Result<Next, TcpError> {
        let next = if request.keep_alive {
            Next::Keep
        } else {
            Next::Close
        };
        if !matches!(request.method, Method::Get | Method::Head) {
            let status = Status::METHOD_NOT_ALLOWED;
            say(
                connection,
                status,
                request.keep_alive,
                "Files can only be read: use GET or HEAD.\n",
            )
            .await?;
            return Ok(next);
        }
        let body = matches!(request.method, Method::Get);
        let (at, total) = match self
            .open_file(Transport::Http, request.peer, path, text)
            .await
        {
            Served::Text(length) => {
                let head = ResponseHead::new(Status::OK)
                    .framing(Framing::Length(length as u64))
                    .keep_alive(request.keep_alive)
                    .content_type("text/plain");
                write_head(connection, &head).await?;
                if body {
                    let bytes = text.get(..length).unwrap_or_default();
                    write(connection, bytes).await?;
                    self.sent(request.peer, path, length as u64, true).await;
                }
                return Ok(next);
            }
            Served::Slot(at, length) => (at, length),
            Served::Asset(name) => match self.store.find(&name).await {
                Ok(Some(entry)) if entry.kind.is_served() => (entry.offset, entry.len),
                Ok(_) => return not_found(connection, next).await,
                Err(error) => {
                    error!("HTTP: {}: {}", path, Show(error));
                    let status = Status::INTERNAL_SERVER_ERROR;
                    say(
                        connection,
                        status,
                        false,
                        "The asset store can not be read. Look at the appliance's console.\n",
                    )
                    .await?;
                    return Ok(Next::Close);
                }
            },
            Served::NotFound => return not_found(connection, next).await,
            Served::Busy => {
                let status = Status::SERVICE_UNAVAILABLE;
                say(
                    connection,
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
        write_head(connection, &head).await?;
        if body && length > 0 {
            let mut sent = 0;
            let result = self
                .send_device(connection, at + selection.offset(), length, &mut sent)
                .await;
            self.sent(request.peer, path, sent, result.is_ok()).await;
            result?;
        }
        Ok(next)
    }

    /// Sends bytes of the store, as fast as the peer takes them.
    async fn send_device(
        &self,
        connection: &mut Connection,
        at: u64,
        length: u64,
        sent: &mut u64,
    ) -> Result<(), TcpError> {
        while *sent < length {
            let room = with_timeout(STALL_LIMIT, connection.writable())
                .await
                .map_err(|_| TcpError)??;
            let left = usize::try_from(length - *sent).unwrap_or(usize::MAX);
            // The store is locked from here on; there is room, so that the
            // write does not wait.
            let piece = match self.store.read(at + *sent, left.min(room)).await {
                Ok(piece) => piece,
                Err(error) => {
                    error!("HTTP: the asset store can not be read: {}", Show(error));
                    return Err(TcpError);
                }
            };
            *sent += connection.write(&piece).await? as u64;
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

async fn not_found(connection: &mut Connection, next: Next) -> Result<Next, TcpError> {
    let keep = next == Next::Keep;
    say(
        connection,
        Status::NOT_FOUND,
        keep,
        "There is no such file for this machine.\n",
    )
    .await?;
    Ok(next)
}

/// A short reply for people.
pub(crate) async fn say(
    connection: &mut Connection,
    status: Status,
    keep_alive: bool,
    text: &str,
) -> Result<(), TcpError> {
    let head = ResponseHead::new(status)
        .framing(Framing::Length(text.len() as u64))
        .keep_alive(keep_alive)
        .content_type("text/plain");
    write_head(connection, &head).await?;
    write(connection, text.as_bytes()).await
}

async fn write_head(connection: &mut Connection, head: &ResponseHead<'_>) -> Result<(), TcpError> {
    let mut room = [0; 320];
    let length = head.emit(&mut room).map_err(|_| TcpError)?;
    write(connection, room.get(..length).unwrap_or_default()).await
}

pub(crate) async fn write(connection: &mut Connection, bytes: &[u8]) -> Result<(), TcpError> {
    with_timeout(STALL_LIMIT, connection.write_all(bytes))
        .await
        .map_err(|_| TcpError)?
}

/// Ends a connection so that the peer gets everything that was written: our
/// end is closed, the peer's is waited for, and only then is the socket
/// taken for somebody else.
async fn close(connection: &mut Connection) {
    connection.finish();
    let rest = async {
        let mut sink = [0; 64];
        while matches!(connection.read(&mut sink).await, Ok(1..)) {}
        connection.flush().await
    };
    if !matches!(with_timeout(CLOSE_LIMIT, rest).await, Ok(Ok(()))) {
        debug!("HTTP: a peer did not close its connection in time");
    }
    connection.abort().await;
}
