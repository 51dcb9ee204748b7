//! The L2 multiplexer: a network driver that wraps the board's driver. The
//! stack runs on top of it.
//!
//! It takes the datagrams of some UDP ports (DHCP, the agent protocol) out of
//! the stream before the stack sees them, sends replies to a hardware address
//! without ARP, answers IPv6 router solicitations with an empty advertisement
//! (iPXE waits sixteen seconds for one before it goes on over IPv4), and
//! counts. Each of the ports has a bounded queue. When it is full the frame is
//! dropped and counted, and the peer retransmits. The first segment of a
//! connection to the HTTP server goes through the gate.
//!
//! 802.1Q tags, LLDP (EtherType 0x88CC) and capture are not implemented.
//! [`RxToken::consume`] and [`TxToken::consume`] see every frame and are the
//! places for them.

use core::cell::Cell;
use core::net::SocketAddrV4;
use core::task::{Context, Poll};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, TxToken as _};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::zerocopy_channel::{Channel, Receiver, Sender};
use embassy_time::Instant;
use farrier_ethernet::ndp::{ANSWER_LEN, answer_solicitation};
use farrier_ethernet::tcp::{Edge, edge};

use super::gate::{Classes, Gate, Verdict};
use super::lane::{LaneSender, Queued, Window};
use crate::refusals::Refusal;

/// Bytes of a queued frame: Ethernet's longest.
pub(super) const FRAME: usize = 1514;

/// The TFTP listener's port.
const TFTP: u16 = 69;

/// Bytes of the Ethernet header.
const ETHERNET: usize = 14;

/// A frame in a queue.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) length: usize,
    pub(super) bytes: [u8; FRAME],
}

impl Frame {
    pub(super) const EMPTY: Self = Self {
        length: 0,
        bytes: [0; FRAME],
    };
}

pub(super) type Queue = Channel<'static, NoopRawMutex, Frame>;
pub(super) type FrameSender = Sender<'static, NoopRawMutex, Frame>;
pub(super) type FrameReceiver = Receiver<'static, NoopRawMutex, Frame>;

/// What has passed since start. All wrap.
#[derive(Debug, Default)]
pub struct MuxCounters {
    /// Frames from the wire.
    pub rx: Cell<u32>,
    /// Frames to the wire.
    pub tx: Cell<u32>,
    /// Router solicitations that were answered.
    pub solicitations: Cell<u32>,
    /// TFTP requests of a source that had sent its share within the last moment.
    pub tftp_over_share: Cell<u32>,
}

impl MuxCounters {
    pub(super) const fn new() -> Self {
        Self {
            rx: Cell::new(0),
            tx: Cell::new(0),
            solicitations: Cell::new(0),
            tftp_over_share: Cell::new(0),
        }
    }
}

fn bump(counter: &Cell<u32>) {
    counter.set(counter.get().wrapping_add(1));
}

/// The raw UDP ports and their queues.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) ports: [u16; 2],
    pub(super) queues: [LaneSender; 2],
    /// What went to the TFTP listener.
    pub(super) tftp: Window,
}

impl Lanes {
    /// What a full queue refuses, in the order of the ports.
    const REFUSALS: [Refusal; 2] = [Refusal::DhcpMessage, Refusal::AgentDatagram];

    /// Queues a frame, if it is for one of the ports.
    fn take(&mut self, frame: &[u8], gate: &Gate, counters: &MuxCounters) -> bool {
        let Some(port) = udp_port(frame) else {
            return false;
        };
        let source = frame.get(6..12).and_then(|mac| mac.try_into().ok());
        let source: [u8; 6] = source.unwrap_or_default();
        if port == TFTP {
            let admitted = self.tftp.admits(Instant::now().as_millis(), source);
            if !admitted {
                bump(&counters.tftp_over_share);
                gate.refusals().note_mac(Refusal::TftpTransfer, source);
            }
            return !admitted;
        }
        let lanes = self.ports.iter().zip(&mut self.queues);
        let lane = lanes.zip(Self::REFUSALS).find(|((of, _), _)| **of == port);
        let Some(((_, queue), refusal)) = lane else {
            return false;
        };
        if queue.send(source, frame) == Queued::No {
            gate.refusals().note_mac(refusal, source);
        }
        true
    }
}

/// See the module's documentation.
pub(super) struct L2Mux<D> {
    pub(super) driver: D,
    pub(super) lanes: Lanes,
    pub(super) gate: &'static Gate,
    /// What the peers are.
    pub(super) classes: &'static dyn Classes,
    /// Where the HTTP server listens.
    pub(super) server: SocketAddrV4,
    pub(super) replies: FrameReceiver,
    /// The answer to a router solicitation, until the driver takes it.
    pub(super) advertisement: Option<[u8; ANSWER_LEN]>,
    pub(super) mac: [u8; 6],
    pub(super) counters: &'static MuxCounters,
}

impl<D: Driver> L2Mux<D> {
    /// Sends queued replies until the driver has no room. Registers the caller
    /// to be woken for the rest.
    fn send_replies(&mut self, cx: &mut Context<'_>) {
        if let Some(frame) = &self.advertisement {
            let Some(token) = self.driver.transmit(cx) else {
                return;
            };
            token.consume(frame.len(), |to| to.copy_from_slice(frame));
            bump(&self.counters.tx);
            bump(&self.counters.solicitations);
            self.advertisement = None;
        }
        while let Poll::Ready(frame) = self.replies.poll_receive(cx) {
            let Some(token) = self.driver.transmit(cx) else {
                return;
            };
            if let Some(bytes) = frame.bytes.get(..frame.length) {
                token.consume(bytes.len(), |to| to.copy_from_slice(bytes));
                bump(&self.counters.tx);
            }
            self.replies.receive_done();
        }
    }
}

impl<D: Driver> Driver for L2Mux<D> {
    type RxToken<'a>
        = RxToken<'a, D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = TxToken<'a, D::TxToken<'a>>
    where
        Self: 'a;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        // The stack calls this on every poll, so queued replies leave here.
        self.send_replies(cx);
        self.gate.polled(cx);
        // A held segment that may pass comes before what is on the wire. There
        // must be room for the answer first, or it would be lost.
        if self.gate.is_crowded()
            && let Some(slot) = self.gate.next()
        {
            return Some((
                RxToken::Held(self.gate, slot),
                TxToken {
                    inner: self.driver.transmit(cx)?,
                    counters: self.counters,
                },
            ));
        }
        let (inner, tx) = self.driver.receive(cx)?;
        Some((
            RxToken::Wire {
                inner,
                lanes: &mut self.lanes,
                gate: self.gate,
                classes: self.classes,
                server: self.server,
                advertisement: &mut self.advertisement,
                mac: self.mac,
                counters: self.counters,
            },
            TxToken {
                inner: tx,
                counters: self.counters,
            },
        ))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        Some(TxToken {
            inner: self.driver.transmit(cx)?,
            counters: self.counters,
        })
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.driver.link_state(cx)
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.driver.hardware_address()
    }
}

/// A received frame.
pub(super) enum RxToken<'a, T> {
    /// One that is not classified yet.
    Wire {
        inner: T,
        lanes: &'a mut Lanes,
        gate: &'static Gate,
        classes: &'static dyn Classes,
        server: SocketAddrV4,
        advertisement: &'a mut Option<[u8; ANSWER_LEN]>,
        mac: [u8; 6],
        counters: &'a MuxCounters,
    },
    /// A segment that was held in this slot.
    Held(&'static Gate, usize),
}

impl<T: embassy_net_driver::RxToken> embassy_net_driver::RxToken for RxToken<'_, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        match self {
            RxToken::Held(gate, slot) => gate.pass(slot, f),
            RxToken::Wire {
                inner,
                lanes,
                gate,
                classes,
                server,
                advertisement,
                mac,
                counters,
            } => inner.consume(|bytes| {
                bump(&counters.rx);
                let taken = lanes.take(bytes, gate, counters)
                    || match edge(bytes) {
                        Some((Edge::Opening, from, to)) if to == server => {
                            let class = classes.class(*from.ip());
                            gate.segment(from, class, bytes) == Verdict::Taken
                        }
                        Some((Edge::Reset, from, to)) if to == server => {
                            gate.left(from);
                            false
                        }
                        _ => false,
                    };
                if taken {
                    // The stack must get a frame for its token. It ignores
                    // one of no bytes.
                    return f(&mut []);
                }
                let mut answer = [0; ANSWER_LEN];
                if answer_solicitation(bytes, mac, &mut answer).is_some() {
                    *advertisement = Some(answer);
                }
                f(bytes)
            }),
        }
    }
}

/// The right to send a frame.
pub(super) struct TxToken<'a, T> {
    inner: T,
    counters: &'a MuxCounters,
}

impl<T: embassy_net_driver::TxToken> embassy_net_driver::TxToken for TxToken<'_, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        bump(&self.counters.tx);
        self.inner.consume(length, f)
    }
}

/// The port that an unfragmented IPv4/UDP frame is for. Reads five fields,
/// since every frame passes here.
#[inline]
fn udp_port(frame: &[u8]) -> Option<u16> {
    let &[.., hi, lo, v_ihl] = frame.first_chunk::<{ ETHERNET + 1 }>()?;
    if [hi, lo] != [0x08, 0x00]
        || v_ihl >> 4 != 4
        || frame.get(ETHERNET + 9) != Some(&17)
        // More fragments to come, or not the first.
        || frame.get(ETHERNET + 6).is_none_or(|b| b & 0x3F != 0)
        || frame.get(ETHERNET + 7) != Some(&0)
    {
        return None;
    }
    let udp = ETHERNET + usize::from(v_ihl & 0x0F) * 4;
    let port = frame.get(udp + 2..udp + 4)?;
    Some(u16::from_be_bytes(port.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use farrier_ethernet::frame::{HEADER_LEN, Header, emit};

    fn made() -> [u8; 60] {
        let mut frame = [0; 60];
        let header = Header {
            src_mac: [2; 6],
            dst_mac: [4; 6],
            src: Ipv4Addr::new(10, 0, 0, 2),
            dst: Ipv4Addr::BROADCAST,
            src_port: 68,
            dst_port: 67,
        };
        emit(&mut frame, &header, 60 - HEADER_LEN).unwrap();
        frame
    }

    #[test]
    fn raw_udp_ports_are_recognised() {
        assert_eq!(udp_port(&made()), Some(67));
    }

    #[test]
    fn fragments_and_other_protocols_go_to_the_stack() {
        for (at, value) in [(12, 0x86), (14, 0x60), (20, 0x20), (21, 3), (23, 6)] {
            let mut frame = made();
            frame[at] = value;
            assert_eq!(udp_port(&frame), None, "byte {at}");
        }
    }

    #[test]
    fn short_frames_are_not_udp() {
        for length in 0..38 {
            assert_eq!(udp_port(&made()[..length]), None);
        }
    }
}
