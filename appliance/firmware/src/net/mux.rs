//! The L2 multiplexer: a network driver that wraps the board's driver. The
//! stack runs on top of it.
//!
//! It takes the datagrams of some UDP ports (DHCP, the agent protocol) out of
//! the stream before the stack sees them, sends replies to a hardware address
//! without ARP, answers IPv6 router solicitations with an empty advertisement
//! (iPXE waits sixteen seconds for one before it goes on over IPv4), and
//! counts. Requests go to a bounded queue. When it is full the frame is
//! dropped and counted, and the peer retransmits.
//!
//! 802.1Q tags, LLDP (EtherType 0x88CC) and capture are not implemented.
//! [`RxToken::consume`] and [`TxToken::consume`] see every frame and are the
//! places for them.

use core::cell::Cell;
use core::task::{Context, Poll};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, TxToken as _};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::zerocopy_channel::{Channel, Receiver, Sender};
use farrier_ethernet::ndp::{ANSWER_LEN, answer_solicitation};

/// Bytes of a queued frame: Ethernet's longest.
pub(super) const FRAME: usize = 1514;

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
    /// Datagrams to raw UDP ports.
    pub raw_udp: Cell<u32>,
    /// Datagrams to raw UDP ports that were dropped because the queue was
    /// full.
    pub raw_udp_dropped: Cell<u32>,
    /// Router solicitations that were answered.
    pub solicitations: Cell<u32>,
}

impl MuxCounters {
    pub(super) const fn new() -> Self {
        Self {
            rx: Cell::new(0),
            tx: Cell::new(0),
            raw_udp: Cell::new(0),
            raw_udp_dropped: Cell::new(0),
            solicitations: Cell::new(0),
        }
    }
}

fn bump(counter: &Cell<u32>) {
    counter.set(counter.get().wrapping_add(1));
}

/// See the module's documentation.
pub(super) struct L2Mux<D> {
    pub(super) driver: D,
    /// The raw UDP ports.
    pub(super) ports: [u16; 2],
    pub(super) requests: FrameSender,
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
        let (inner, tx) = self.driver.receive(cx)?;
        Some((
            RxToken {
                inner,
                ports: self.ports,
                requests: &mut self.requests,
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

/// A received frame that is not classified yet.
pub(super) struct RxToken<'a, T> {
    inner: T,
    ports: [u16; 2],
    requests: &'a mut FrameSender,
    advertisement: &'a mut Option<[u8; ANSWER_LEN]>,
    mac: [u8; 6],
    counters: &'a MuxCounters,
}

impl<T: embassy_net_driver::RxToken> embassy_net_driver::RxToken for RxToken<'_, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        self.inner.consume(|bytes| {
            bump(&self.counters.rx);
            if !is_udp_to(bytes, self.ports) {
                let mut answer = [0; ANSWER_LEN];
                if answer_solicitation(bytes, self.mac, &mut answer).is_some() {
                    *self.advertisement = Some(answer);
                }
                return f(bytes);
            }
            match self.requests.try_send() {
                Some(slot) => {
                    slot.length = bytes.len().min(FRAME);
                    if let (Some(to), Some(from)) =
                        (slot.bytes.get_mut(..slot.length), bytes.get(..slot.length))
                    {
                        to.copy_from_slice(from);
                    }
                    self.requests.send_done();
                    bump(&self.counters.raw_udp);
                }
                None => bump(&self.counters.raw_udp_dropped),
            }
            // The stack must get a frame for its token. It ignores one of no
            // bytes.
            f(&mut [])
        })
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

/// Whether this is an unfragmented IPv4/UDP frame to one of `ports`. Reads
/// five fields, since every frame passes here.
#[inline]
fn is_udp_to(frame: &[u8], ports: [u16; 2]) -> bool {
    let Some(&[.., hi, lo, v_ihl]) = frame.first_chunk::<{ ETHERNET + 1 }>() else {
        return false;
    };
    if [hi, lo] != [0x08, 0x00]
        || v_ihl >> 4 != 4
        || frame.get(ETHERNET + 9) != Some(&17)
        // More fragments to come, or not the first.
        || frame.get(ETHERNET + 6).is_none_or(|b| b & 0x3F != 0)
        || frame.get(ETHERNET + 7) != Some(&0)
    {
        return false;
    }
    let udp = ETHERNET + usize::from(v_ihl & 0x0F) * 4;
    matches!(frame.get(udp + 2..udp + 4), Some(&[hi, lo])
        if ports.contains(&u16::from_be_bytes([hi, lo])))
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
        assert!(is_udp_to(&made(), [67, 8470]));
        assert!(is_udp_to(&made(), [8470, 67]));
        assert!(!is_udp_to(&made(), [68, 69]));
    }

    #[test]
    fn fragments_and_other_protocols_go_to_the_stack() {
        for (at, value) in [(12, 0x86), (14, 0x60), (20, 0x20), (21, 3), (23, 6)] {
            let mut frame = made();
            frame[at] = value;
            assert!(!is_udp_to(&frame, [67, 67]), "byte {at}");
        }
    }

    #[test]
    fn short_frames_are_not_udp() {
        for length in 0..38 {
            assert!(!is_udp_to(&made()[..length], [67, 67]));
        }
    }
}
