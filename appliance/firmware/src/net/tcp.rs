//! TCP connections, the accepting side.

use core::net::SocketAddrV4;

use embassy_net::tcp::TcpSocket;
use embassy_time::Duration;

use super::{Network, from_endpoint};

/// The connection is gone: reset, timed out, or closed by the peer while we
/// still wanted to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpError;

/// One socket that serves one connection after the other.
pub struct Connection {
    socket: TcpSocket<'static>,
}

impl core::fmt::Debug for Connection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    /// A closed socket. The size of `tx` bounds what is on its way to the
    /// peer, hence the rate: size ÷ round trip.
    pub fn new(network: Network, rx: &'static mut [u8], tx: &'static mut [u8]) -> Self {
        let mut socket = TcpSocket::new(network.stack, rx, tx);
        // Replies are written whole; waiting to fill segments only delays
        // the last one.
        socket.set_nagle_enabled(false);
        Self { socket }
    }

    /// Waits for a peer on `port`. A peer that is silent for `timeout` while
    /// something is unacknowledged is given up. There is no backlog: as many
    /// peers can connect at once as sockets are waiting here.
    ///
    /// # Errors
    /// [`TcpError`] when the handshake did not end well.
    pub async fn accept(&mut self, port: u16, timeout: Duration) -> Result<(), TcpError> {
        self.socket.set_timeout(Some(timeout));
        self.socket.accept(port).await.map_err(|_| TcpError)
    }

    /// The peer, while there is one.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddrV4> {
        self.socket.remote_endpoint().map(from_endpoint)
    }

    /// Waits for bytes; 0 when the peer has finished.
    ///
    /// # Errors
    /// [`TcpError`] when the connection is gone.
    pub async fn read(&mut self, into: &mut [u8]) -> Result<usize, TcpError> {
        self.socket.read(into).await.map_err(|_| TcpError)
    }

    /// Writes as much as fits, at least one byte; how much.
    ///
    /// # Errors
    /// [`TcpError`] when the connection is gone.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<usize, TcpError> {
        self.socket.write(bytes).await.map_err(|_| TcpError)
    }

    /// Writes all of `bytes` into the send buffer, waiting for room.
    ///
    /// # Errors
    /// [`TcpError`] when the connection is gone.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), TcpError> {
        while !bytes.is_empty() {
            let written = self.write(bytes).await?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits for room in the send buffer; how many bytes fit without waiting.
    ///
    /// # Errors
    /// [`TcpError`] when the connection is gone.
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
    /// [`TcpError`] when the connection is gone.
    pub async fn flush(&mut self) -> Result<(), TcpError> {
        self.socket.flush().await.map_err(|_| TcpError)
    }

    /// Says that no more will be written.
    pub fn finish(&mut self) {
        self.socket.close();
    }

    /// Forgets the connection; a peer that is still there is reset.
    pub async fn abort(&mut self) {
        self.socket.abort();
        // Let the reset leave before the socket is used again. A peer that
        // is gone already makes this an error, which is of no interest.
        let _gone = self.socket.flush().await;
    }
}
