//! UDP sockets.

use core::net::SocketAddrV4;

use embassy_net::udp::{PacketMetadata, RecvError, SendError, UdpSocket};
use heapless::Vec;

use super::{Network, from_endpoint, to_endpoint};

/// Why a datagram was not sent or received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum UdpError {
    /// The socket is bound already, or not yet.
    Port = 0,
    /// There is no route to the receiver.
    NoRoute = 1,
    /// Longer than the buffer.
    TooLong = 2,
}

/// Memory of one socket: `RX`/`TX` bytes for up to `RXN`/`TXN` datagrams.
pub struct UdpBuffers<const RX: usize, const TX: usize, const RXN: usize, const TXN: usize> {
    rx: [u8; RX],
    tx: [u8; TX],
    // Filled on use: empty entries are not all zeros and would take flash.
    rx_meta: Vec<PacketMetadata, RXN>,
    tx_meta: Vec<PacketMetadata, TXN>,
}

impl<const RX: usize, const TX: usize, const RXN: usize, const TXN: usize>
    UdpBuffers<RX, TX, RXN, TXN>
{
    /// Empty, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            rx: [0; RX],
            tx: [0; TX],
            rx_meta: Vec::new(),
            tx_meta: Vec::new(),
        }
    }
}

impl<const RX: usize, const TX: usize, const RXN: usize, const TXN: usize> Default
    for UdpBuffers<RX, TX, RXN, TXN>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const RX: usize, const TX: usize, const RXN: usize, const TXN: usize> core::fmt::Debug
    for UdpBuffers<RX, TX, RXN, TXN>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("UdpBuffers").finish_non_exhaustive()
    }
}

/// A UDP socket. Use it with one peer at a time: a datagram to a peer that
/// does not answer ARP blocks those queued behind it.
pub struct Udp {
    socket: UdpSocket<'static>,
}

impl core::fmt::Debug for Udp {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Udp").finish_non_exhaustive()
    }
}

impl Udp {
    /// An unbound socket.
    pub fn new<const RX: usize, const TX: usize, const RXN: usize, const TXN: usize>(
        network: Network,
        buffers: &'static mut UdpBuffers<RX, TX, RXN, TXN>,
    ) -> Self {
        // Pushes until full.
        while buffers.rx_meta.push(PacketMetadata::EMPTY).is_ok() {}
        while buffers.tx_meta.push(PacketMetadata::EMPTY).is_ok() {}
        Self {
            socket: UdpSocket::new(
                network.stack,
                &mut buffers.rx_meta,
                &mut buffers.rx,
                &mut buffers.tx_meta,
                &mut buffers.tx,
            ),
        }
    }

    /// Binds to a port of the appliance's address; 0 takes the next ephemeral
    /// one.
    ///
    /// # Errors
    /// [`UdpError::Port`] when the socket is bound already.
    pub fn bind(&mut self, port: u16) -> Result<(), UdpError> {
        self.socket.bind(port).map_err(|_| UdpError::Port)
    }

    /// Unbinds the port and drops everything that is queued.
    pub fn close(&mut self) {
        self.socket.close();
    }

    /// Waits for a datagram and returns its length and sender.
    ///
    /// # Errors
    /// [`UdpError::TooLong`] when it did not fit `into`; it is dropped.
    pub async fn receive(&self, into: &mut [u8]) -> Result<(usize, SocketAddrV4), UdpError> {
        match self.socket.recv_from(into).await {
            Ok((length, meta)) => Ok((length, from_endpoint(meta.endpoint))),
            Err(RecvError::Truncated) => Err(UdpError::TooLong),
        }
    }

    /// Queues a datagram.
    ///
    /// # Errors
    /// [`UdpError::NoRoute`], [`UdpError::TooLong`], [`UdpError::Port`] when
    /// the socket is not bound.
    pub async fn send(&self, bytes: &[u8], to: SocketAddrV4) -> Result<(), UdpError> {
        self.socket
            .send_to(bytes, to_endpoint(to))
            .await
            .map_err(from_send_error)
    }
}

impl Udp {
    /// Waits for a datagram and calls `take` with it, in place, and its
    /// sender.
    pub async fn receive_with<R>(&mut self, take: impl FnOnce(&[u8], SocketAddrV4) -> R) -> R {
        self.socket
            .recv_from_with(|bytes, meta| take(bytes, from_endpoint(meta.endpoint)))
            .await
    }

    /// Waits until everything that is queued was sent.
    pub async fn flush(&mut self) {
        self.socket.flush().await;
    }

    /// Waits until a datagram can be queued without waiting.
    pub async fn writable(&self) {
        self.socket.wait_send_ready().await;
    }
}

fn from_send_error(error: SendError) -> UdpError {
    match error {
        SendError::NoRoute => UdpError::NoRoute,
        SendError::SocketNotBound => UdpError::Port,
        SendError::PacketTooLarge => UdpError::TooLong,
    }
}
