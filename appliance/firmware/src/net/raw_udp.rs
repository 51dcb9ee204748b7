//! Raw UDP: datagrams that the L2 multiplexer takes out of the stream before
//! the stack sees them, and frames that bypass the stack on their way out.
//! DHCP uses it because a server answers clients that have no address, hence
//! no ARP entry. The agent protocol uses it because one peer that does not
//! answer ARP would block the queue of a socket. What the datagrams say is
//! not known here.

use core::net::{Ipv4Addr, SocketAddrV4};

use farrier_ethernet::frame::{self, HEADER_LEN, Header, UdpFrame};

use super::mux::{FrameReceiver, FrameSender};

/// Receives the datagrams of the raw UDP ports.
#[derive(Debug)]
pub struct RawUdpReceiver {
    queue: FrameReceiver,
    damaged: u32,
}

impl RawUdpReceiver {
    pub(super) fn new(queue: FrameReceiver) -> Self {
        Self { queue, damaged: 0 }
    }

    /// Datagrams so far whose lengths or checksums were wrong.
    #[must_use]
    pub fn damaged(&self) -> u32 {
        self.damaged
    }

    /// Waits for a datagram, then calls `take` with it. The datagram's slot
    /// in the queue is free again when `take` returns.
    pub async fn receive(&mut self, take: impl AsyncFnOnce(&UdpFrame<'_>)) {
        let queued = self.queue.receive().await;
        match frame::parse(queued.bytes.get(..queued.length).unwrap_or_default()) {
            Ok(datagram) => take(&datagram).await,
            Err(_) => self.damaged = self.damaged.wrapping_add(1),
        }
        self.queue.receive_done();
    }
}

/// Sends datagrams from the appliance's address to a hardware address.
#[derive(Debug)]
pub struct RawUdpSender {
    queue: FrameSender,
    mac: [u8; 6],
    address: Ipv4Addr,
}

impl RawUdpSender {
    pub(super) fn new(queue: FrameSender, mac: [u8; 6], address: Ipv4Addr) -> Self {
        Self {
            queue,
            mac,
            address,
        }
    }

    /// Queues a datagram from local port `port` to the interface with the
    /// hardware address `to_mac`, and waits for room in the queue.
    ///
    /// # Errors
    /// [`farrier_ethernet::frame::Error::NoRoom`]: the payload does not fit a
    /// frame.
    pub async fn send(
        &mut self,
        port: u16,
        to_mac: [u8; 6],
        to: SocketAddrV4,
        payload: &[u8],
    ) -> Result<(), frame::Error> {
        let slot = self.queue.send().await;
        slot.bytes
            .get_mut(HEADER_LEN..HEADER_LEN + payload.len())
            .ok_or(frame::Error::NoRoom)?
            .copy_from_slice(payload);
        let header = Header {
            src_mac: self.mac,
            dst_mac: to_mac,
            src: self.address,
            dst: *to.ip(),
            src_port: port,
            dst_port: to.port(),
        };
        slot.length = frame::emit(&mut slot.bytes, &header, payload.len())?;
        self.queue.send_done();
        Ok(())
    }
}
