//! The raw door: UDP datagrams that are handled outside the stack, as the
//! multiplexer has taken them off the wire, and frames that are sent as they
//! are. DHCP goes through here because a server answers machines that have
//! no address, hence no ARP entry; the agent protocol does because one
//! silent peer must not hold up the others behind an ARP query. What the
//! datagrams say is not known here.

use core::net::{Ipv4Addr, SocketAddrV4};

use farrier_ethernet::frame::{self, HEADER_LEN, Header, UdpFrame};

use super::mux::{FrameReceiver, FrameSender};

/// Datagrams from the wire.
#[derive(Debug)]
pub struct DoorReceiver {
    queue: FrameReceiver,
    damaged: u32,
}

impl DoorReceiver {
    pub(super) fn new(queue: FrameReceiver) -> Self {
        Self { queue, damaged: 0 }
    }

    /// Datagrams so far whose lengths or checksums did not hold.
    #[must_use]
    pub fn damaged(&self) -> u32 {
        self.damaged
    }

    /// Waits for a datagram, then lets `take` handle it. Its place in the
    /// queue is free again when `take` has ended.
    pub async fn receive(&mut self, take: impl AsyncFnOnce(&UdpFrame<'_>)) {
        let queued = self.queue.receive().await;
        match frame::parse(queued.bytes.get(..queued.length).unwrap_or_default()) {
            Ok(datagram) => take(&datagram).await,
            Err(_) => self.damaged = self.damaged.wrapping_add(1),
        }
        self.queue.receive_done();
    }
}

/// Datagrams to the wire, from our address.
#[derive(Debug)]
pub struct DoorSender {
    queue: FrameSender,
    mac: [u8; 6],
    address: Ipv4Addr,
}

impl DoorSender {
    pub(super) fn new(queue: FrameSender, mac: [u8; 6], address: Ipv4Addr) -> Self {
        Self {
            queue,
            mac,
            address,
        }
    }

    /// Queues a datagram from our port `port` to the machine with the
    /// hardware address `to_mac`, waiting for room. One that does not fit a
    /// frame is refused.
    ///
    /// # Errors
    /// [`farrier_ethernet::frame::Error::NoRoom`].
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
