//! TCP connections: the accepting side, and the calling one.

use core::future::{Future, poll_fn};
use core::net::SocketAddrV4;
use core::pin::pin;
use core::task::Poll;

use embassy_net::Stack;
use embassy_net::tcp::{State, TcpSocket};
use embassy_time::{Duration, with_timeout};

use super::gate::{Gate, HANDSHAKE_MILLIS};
use super::{Network, from_endpoint, to_endpoint};

/// The connection ended: reset, timed out, or closed by the peer before
/// everything was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpError;

/// One socket. It serves one connection after the other.
pub struct Connection {
    socket: TcpSocket<'static>,
    gate: &'static Gate,
}

impl core::fmt::Debug for Connection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// A closed socket with its buffers. The stack lends them to the socket for
    /// as long as it exists, since a listening socket must be able to answer at
    /// once. The size of `tx` bounds the bytes in flight, hence the rate: size
    /// ÷ round trip.
    pub fn new(network: Network, rx: &'static mut [u8], tx: &'static mut [u8]) -> Self {
        let mut socket = TcpSocket::new(network.stack, rx, tx);
        // Replies are written whole, so waiting to fill a segment would only
        // delay the last one.
        socket.set_nagle_enabled(false);
        Self {
            socket,
            gate: network.gate,
        }
    }

    /// Waits for a peer on `port`, and calls `listening` as soon as one may
    /// come. The connection ends when the peer is silent for `timeout` while
    /// data is unacknowledged. There is no backlog: as many peers can connect at
    /// once as sockets are listening.
    ///
    /// # Errors
    /// [`TcpError`] when the handshake failed.
    pub async fn accept(
        &mut self,
        port: u16,
        timeout: Duration,
        listening: impl FnOnce(),
    ) -> Result<(), TcpError> {
        let handshake = Duration::from_millis(HANDSHAKE_MILLIS);
        self.socket.set_timeout(Some(handshake));
        // The first poll makes the socket listen. The rest of the wait is below,
        // since the gate must know of handshakes that are broken off.
        let listens = {
            let mut accept = pin!(self.socket.accept(port));
            poll_fn(|cx| Poll::Ready(accept.as_mut().poll(cx))).await
        };
        if matches!(listens, Poll::Ready(Err(_))) {
            return Err(TcpError);
        }
        listening();
        let mut opening = None;
        poll_fn(|cx| {
            // Wakes this task when the socket's state changes.
            let changed = pin!(self.socket.wait_read_ready()).poll(cx);
            match self.socket.state() {
                State::Listen if changed.is_pending() => {
                    if let Some(peer) = opening.take() {
                        self.gate.broken_off(peer);
                    }
                    Poll::Pending
                }
                State::SynReceived if changed.is_pending() => {
                    opening = self.peer();
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
        self.socket.set_timeout(Some(timeout));
        Ok(())
    }

    /// The peer's address, while there is a connection.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddrV4> {
        self.socket.remote_endpoint().map(from_endpoint)
    }

    /// Waits for bytes and returns their number: 0 when the peer has closed its
    /// side.
    ///
    /// # Errors
    /// [`TcpError`] when the connection has ended.
    pub async fn read(&mut self, into: &mut [u8]) -> Result<usize, TcpError> {
        self.socket.read(into).await.map_err(|_| TcpError)
    }

    /// Writes as much as fits, at least one byte, and returns how much.
    ///
    /// # Errors
    /// [`TcpError`] when the connection has ended.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<usize, TcpError> {
        self.socket.write(bytes).await.map_err(|_| TcpError)
    }

    /// Writes all of `bytes` into the send buffer, waiting for room.
    ///
    /// # Errors
    /// [`TcpError`] when the connection has ended.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), TcpError> {
        while !bytes.is_empty() {
            let written = self.write(bytes).await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits for room in the send buffer and returns how many bytes fit.
    ///
    /// # Errors
    /// [`TcpError`] when the connection has ended.
    pub async fn writable(&mut self) -> Result<usize, TcpError> {
        self.socket.wait_write_ready().await;
        if !self.socket.may_send() {
            return Err(TcpError);
        }
        Ok(self.socket.send_capacity() - self.socket.send_queue())
    }

    /// Waits until everything that was written is acknowledged.
    ///
    /// # Errors
    /// [`TcpError`] when the connection has ended.
    pub async fn flush(&mut self) -> Result<(), TcpError> {
        self.socket.flush().await.map_err(|_| TcpError)
    }

    /// Closes the sending side.
    pub fn finish(&mut self) {
        self.socket.close();
    }

    /// Ends the connection at once; a connected peer gets a reset.
    pub async fn abort(&mut self) {
        self.socket.abort();
        // The reset leaves before the socket is used again. This is an error
        // when there was no connection any more.
        let _gone = self.socket.flush().await;
    }
}

/// How long the end of a connection may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// One socket that calls peers, one after the other.
pub struct Caller {
    socket: TcpSocket<'static>,
}

impl core::fmt::Debug for Caller {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

impl Caller {
    /// A closed socket with its buffers.
    pub fn new(network: Network, rx: &'static mut [u8], tx: &'static mut [u8]) -> Self {
        Self::on(network.stack, rx, tx)
    }

    fn on(stack: Stack<'static>, rx: &'static mut [u8], tx: &'static mut [u8]) -> Self {
        let mut socket = TcpSocket::new(stack, rx, tx);
        // Requests are written whole.
        socket.set_nagle_enabled(false);
        Self { socket }
    }

    /// Opens a connection. It ends when the peer is silent for `timeout` while
    /// data is unacknowledged.
    ///
    /// # Errors
    /// [`TcpError`] when the peer refuses or does not answer in that time.
    pub async fn connect(&mut self, peer: SocketAddrV4, timeout: Duration) -> Result<(), TcpError> {
        self.socket.set_timeout(Some(timeout));
        let connected = with_timeout(timeout, self.socket.connect(to_endpoint(peer))).await;
        match connected {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(TcpError),
        }
    }

    /// Lets `fill` write into the send buffer, which is empty and whole, and waits
    /// until the peer has acknowledged it. Returns what `fill` did: how many bytes
    /// it wrote. A dropped future loses no bytes that were written.
    ///
    /// # Errors
    /// [`TcpError`] when the connection has ended.
    pub async fn send(&mut self, fill: impl FnOnce(&mut [u8]) -> usize) -> Result<usize, TcpError> {
        self.socket.flush().await.map_err(|_| TcpError)?;
        let fill = |room: &mut [u8]| {
            let length = fill(room);
            (length, length)
        };
        let length = self.socket.write_with(fill).await.map_err(|_| TcpError)?;
        self.socket.flush().await.map_err(|_| TcpError)?;
        Ok(length)
    }

    /// Waits for bytes and lets `take` have them; it returns how many it took.
    ///
    /// # Errors
    /// [`TcpError`] when the connection has ended, or the peer has closed its side.
    pub async fn receive(&mut self, take: impl FnOnce(&[u8]) -> usize) -> Result<(), TcpError> {
        let take = |bytes: &mut [u8]| (take(bytes), ());
        self.socket.read_with(take).await.map_err(|_| TcpError)
    }

    /// Ends the connection, in order where the peer answers.
    pub async fn close(&mut self) {
        self.socket.close();
        // What is left afterwards is dropped.
        let _late = with_timeout(GOODBYE, self.socket.flush()).await;
        self.socket.abort();
        // The reset leaves before the socket is used again, if the peer can be
        // reached at all.
        let _gone = with_timeout(GOODBYE, self.socket.flush()).await;
    }
}

#[cfg(test)]
mod tests;
