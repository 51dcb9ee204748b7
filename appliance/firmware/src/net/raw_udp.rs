//! Raw UDP: datagrams that the L2 multiplexer takes out of the stream before
//! the stack sees them, and frames that bypass the stack on their way out.
//! DHCP uses it because a server answers clients that have no address, hence
//! no ARP entry. The agent protocol uses it because one peer that does not
//! answer ARP would block the queue of a socket. What the datagrams say is
//! not known here.

use core::cell::RefCell;
use core::net::SocketAddrV4;
use core::task::{Context, Poll};

use farrier_ethernet::frame::{self, HEADER_LEN, Header, UdpFrame};

use super::counters::MuxCounters;
use super::fence::Dropped;
use super::lane::LaneReceiver;
use super::links::{Links, Segment};
use super::mux::FrameSender;

/// A datagram, and the segment that it came by.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// Network and tag.
    pub segment: Segment,
    /// Addresses and payload.
    pub udp: UdpFrame<'a>,
}

/// Receives the datagrams of one raw UDP port.
#[derive(Debug)]
pub struct RawUdpReceiver {
    lane: LaneReceiver,
    damaged: u32,
}

impl RawUdpReceiver {
    pub(super) fn new(lane: LaneReceiver) -> Self {
        Self { lane, damaged: 0 }
    }

    /// Datagrams so far whose lengths or checksums were wrong.
    #[must_use]
    pub fn damaged(&self) -> u32 {
        self.damaged
    }

    /// Whether a datagram waits; registers the caller for the next one.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.lane.queue.poll_receive(cx).map(drop)
    }

    /// Whether a datagram waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lane.queue.is_empty()
    }

    /// The datagram that waits for longest, in its place in the queue. It
    /// stays there until [`done`](Self::done). `None` where none waits or
    /// its lengths or checksums are wrong.
    pub fn peek(&mut self) -> Option<Datagram<'_>> {
        let queued = self.lane.queue.try_receive()?;
        match frame::parse(queued.bytes.get(..queued.length).unwrap_or_default()) {
            Ok(udp) => Some(Datagram {
                segment: queued.segment,
                udp,
            }),
            Err(_) => {
                self.damaged = self.damaged.wrapping_add(1);
                None
            }
        }
    }

    /// Frees the place of the datagram that waits for longest.
    pub fn done(&mut self) {
        self.lane.done();
    }
}

/// Why a datagram was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawUdpError {
    /// The queue is full: the driver does not keep up.
    Full,
    /// The payload does not fit a frame.
    TooLong,
    /// The tag carries that network no more, or the appliance has no address
    /// there.
    NoLink,
}

/// Sends datagrams from the appliance's address on a network to a hardware
/// address there.
#[derive(Debug)]
pub struct RawUdpSender {
    queue: FrameSender,
    mac: [u8; 6],
    links: &'static RefCell<Links>,
    counters: &'static MuxCounters,
}

impl RawUdpSender {
    pub(super) fn new(
        queue: FrameSender,
        mac: [u8; 6],
        links: &'static RefCell<Links>,
        counters: &'static MuxCounters,
    ) -> Self {
        Self {
            queue,
            mac,
            links,
            counters,
        }
    }

    /// Whether the queue has room; registers the caller for it.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.queue.poll_send(cx).map(drop)
    }

    /// Whether the queue has no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// Queues a datagram from local port `port` to the interface with the
    /// hardware address `to_mac` on a segment.
    ///
    /// # Errors
    /// [`RawUdpError`]; the datagram is dropped.
    pub fn send(
        &mut self,
        port: u16,
        (segment, to_mac): (Segment, [u8; 6]),
        to: SocketAddrV4,
        payload: &[u8],
    ) -> Result<(), RawUdpError> {
        let address = self.links.borrow().at(segment).map(|link| link.address);
        let Some(src) = address.filter(|address| !address.is_unspecified()) else {
            self.counters.drop(Dropped::OutNoLink);
            return Err(RawUdpError::NoLink);
        };
        let slot = self.queue.try_send().ok_or(RawUdpError::Full)?;
        slot.bytes
            .get_mut(HEADER_LEN..HEADER_LEN + payload.len())
            .ok_or(RawUdpError::TooLong)?
            .copy_from_slice(payload);
        let header = Header {
            src_mac: self.mac,
            dst_mac: to_mac,
            src,
            dst: *to.ip(),
            src_port: port,
            dst_port: to.port(),
        };
        slot.segment = segment;
        slot.length = frame::emit(&mut slot.bytes, &header, payload.len())
            .map_err(|_| RawUdpError::TooLong)?;
        self.queue.send_done();
        Ok(())
    }
}
