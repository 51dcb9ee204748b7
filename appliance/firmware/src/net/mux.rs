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
//! It also makes one stack serve many networks. It takes 802.1Q tags off and puts
//! them on, lets pass what [`super::fence`] lets pass, and answers ARP where the
//! stack has no service. What the switch says by LLDP it shows to [`super::watch`].
//! Capture is not implemented; [`RxToken::consume`] and [`TxToken::consume`] are the
//! places for it.

use core::cell::RefCell;
use core::task::{Context, Poll};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::zerocopy_channel::{Channel, Receiver, Sender};
use embassy_time::Instant;
use farrier_ethernet::arp::{Arp, FRAME_LEN};
use farrier_ethernet::lldp::ETHERTYPE;
use farrier_ethernet::ndp::{ANSWER_LEN, answer_solicitation};
use farrier_ethernet::tcp::{Edge, edge};
use farrier_ethernet::vlan::{Carrier, TAG_LEN, VlanId, carrier, copy_tagged, untag};

use super::counters::{MuxCounters, bump};
use super::fence::{Dropped, Inward, Local};
use super::gate::{Classes, Gate, Verdict};
use super::hop::Hop;
use super::lane::{LaneSender, Queued, Source, Window};
use super::links::{Links, Segment};
use super::watch::Watch;
use crate::refusals::Refusal;

/// The EtherType of ARP: what a system with a fixed address sends first.
const ARP: [u8; 2] = [0x08, 0x06];
/// Bytes of a queued frame: Ethernet's longest without a tag.
pub(super) const FRAME: usize = 1514;

/// A frame in a queue, without its tag.
#[derive(Debug)]
pub(super) struct Frame {
    /// Where it came from, or goes to.
    pub(super) segment: Segment,
    pub(super) length: usize,
    pub(super) bytes: [u8; FRAME],
}

impl Frame {
    pub(super) const EMPTY: Self = Self {
        segment: Segment::NATIVE,
        length: 0,
        bytes: [0; FRAME],
    };
}

pub(super) type Queue = Channel<'static, NoopRawMutex, Frame>;
pub(super) type FrameSender = Sender<'static, NoopRawMutex, Frame>;
pub(super) type FrameReceiver = Receiver<'static, NoopRawMutex, Frame>;

/// The queues of raw UDP datagrams.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) dhcp: LaneSender,
    pub(super) agents: LaneSender,
    /// What went to the TFTP listener.
    pub(super) tftp: Window,
}

/// A frame that the multiplexer sends by itself, until the driver takes it.
#[derive(Debug)]
pub(super) struct Answer {
    segment: Segment,
    length: usize,
    bytes: [u8; ANSWER_LEN],
}

/// What tells frames apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) links: &'static RefCell<Links>,
    pub(super) local: Local,
    /// Bytes of the driver's longest frame.
    pub(super) room: usize,
    pub(super) counters: &'static MuxCounters,
    pub(super) watch: &'static Watch,
    pub(super) hop: &'static Hop,
}

impl Rules {
    /// Sends a frame, with the tag of its segment. Returns whether it went.
    fn send<T: embassy_net_driver::TxToken>(&self, token: T, to: Segment, frame: &[u8]) -> bool {
        let vlan = VlanId::new(to.vlan);
        if vlan.is_none() && to.vlan != 0 {
            // Without a tag it would be another network's.
            self.counters.drop(Dropped::OutNoLink);
            return false;
        }
        let length = frame.len() + vlan.map_or(0, |_| TAG_LEN);
        if length > self.room {
            self.counters.drop(Dropped::OutTooLong);
            return false;
        }
        token.consume(length, |room| match vlan {
            Some(vlan) => {
                // The driver gives as much room as it is asked for.
                let _length = copy_tagged(frame, vlan, room);
            }
            None => room.copy_from_slice(frame),
        });
        bump(&self.counters.tx);
        true
    }

    /// Whether a segment is still there.
    fn carries(&self, segment: Segment) -> bool {
        let carries = self.links.borrow().at(segment).is_some();
        if !carries {
            self.counters.drop(Dropped::OutNoLink);
        }
        carries
    }
}

/// Bytes of the longest frame without a tag, where a driver's longest one has
/// `room`.
pub(super) fn longest(room: usize, tagged: bool) -> usize {
    room.saturating_sub(if tagged { TAG_LEN } else { 0 })
        .min(FRAME)
}

/// See the module's documentation.
pub(super) struct L2Mux<D> {
    pub(super) driver: D,
    pub(super) lanes: Lanes,
    pub(super) gate: &'static Gate,
    /// What the peers are.
    pub(super) classes: &'static dyn Classes,
    pub(super) replies: FrameReceiver,
    pub(super) answer: Option<Answer>,
    pub(super) rules: Rules,
}

impl<D: Driver> L2Mux<D> {
    /// Sends queued replies until the driver has no room. Registers the caller
    /// to be woken for the rest.
    fn send_replies(&mut self, cx: &mut Context<'_>) {
        let rules = &self.rules;
        if let Some(answer) = &self.answer {
            let Some(token) = self.driver.transmit(cx) else {
                return;
            };
            let bytes = answer.bytes.get(..answer.length).unwrap_or_default();
            rules.send(token, answer.segment, bytes);
            self.answer = None;
        }
        while let Poll::Ready(frame) = self.replies.poll_receive(cx) {
            let Some(token) = self.driver.transmit(cx) else {
                return;
            };
            if let Some(bytes) = frame.bytes.get(..frame.length)
                && rules.carries(frame.segment)
            {
                rules.send(token, frame.segment, bytes);
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
        = TxToken<D::TxToken<'a>>
    where
        Self: 'a;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        // The stack calls this on every poll, so queued replies leave here.
        self.send_replies(cx);
        self.gate.polled(cx);
        let rules = self.rules;
        if let Some(answer) = rules.hop.take(cx) {
            let inner = self.driver.transmit(cx)?;
            return Some((
                RxToken::Made(answer, rules.local.mac),
                TxToken { inner, rules },
            ));
        }
        // A held segment that may pass comes before what is on the wire. There
        // must be room for the answer first, or it would be lost.
        if self.gate.is_crowded()
            && let Some(slot) = self.gate.next()
        {
            let inner = self.driver.transmit(cx)?;
            return Some((RxToken::Held(self.gate, slot), TxToken { inner, rules }));
        }
        let (inner, tx) = self.driver.receive(cx)?;
        Some((
            RxToken::Wire(
                inner,
                Desk {
                    lanes: &mut self.lanes,
                    gate: self.gate,
                    classes: self.classes,
                    answer: &mut self.answer,
                    rules,
                },
            ),
            TxToken { inner: tx, rules },
        ))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        let inner = self.driver.transmit(cx)?;
        let rules = self.rules;
        Some(TxToken { inner, rules })
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.driver.link_state(cx)
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.driver.capabilities();
        let tagged = self.rules.links.borrow().is_tagged();
        capabilities.max_transmission_unit = longest(self.rules.room, tagged);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.driver.hardware_address()
    }
}

/// What a frame of the wire meets on its way.
pub(super) struct Desk<'a> {
    lanes: &'a mut Lanes,
    gate: &'static Gate,
    classes: &'static dyn Classes,
    answer: &'a mut Option<Answer>,
    rules: Rules,
}

impl Desk<'_> {
    /// The frame for the stack, if it is for it.
    fn take<'f>(&mut self, bytes: &'f mut [u8]) -> Option<&'f mut [u8]> {
        let counters = self.rules.counters;
        bump(&counters.rx);
        let (vlan, is_tagged) = match carrier(bytes) {
            (Carrier::Native, is_tagged) => (0, is_tagged),
            (Carrier::Tagged(vlan), is_tagged) => (vlan.get(), is_tagged),
            (Carrier::Invalid, _) => {
                counters.drop(Dropped::UnknownTag);
                return None;
            }
        };
        let frame = if is_tagged { untag(bytes) } else { bytes };
        if vlan != 0 && frame.get(12..14) == Some(&ARP) {
            let from = source(frame);
            if self.classes.is_awaited(from, vlan) {
                self.rules.watch.saw(from, vlan);
            }
        }
        let links = self.rules.links.borrow();
        let sighting = links.sighting(&self.rules.local, vlan, frame);
        let inward = links.inward(&self.rules.local, vlan, frame);
        drop(links);
        if let Some(sighting) = sighting {
            let now = Instant::now().as_millis();
            self.rules.watch.note(now, sighting);
        }
        let goes_on = match inward {
            Inward::Stack => true,
            Inward::Http => self.segment(frame),
            Inward::Tftp => self.tftp(frame),
            Inward::Dhcp { from, boots } => {
                let mac = source(frame);
                let sent = self.lanes.dhcp.send(Source { mac, boots }, from, frame);
                self.queued(sent, Refusal::DhcpMessage, mac)
            }
            Inward::Agent(from) => {
                let mac = source(frame);
                let boots = true;
                let sent = self.lanes.agents.send(Source { mac, boots }, from, frame);
                self.queued(sent, Refusal::AgentDatagram, mac)
            }
            Inward::Answer(segment, message) => {
                let mut bytes = [0; ANSWER_LEN];
                if let Some(length) = message.emit(message.target_mac, &mut bytes) {
                    bump(&counters.arp_answers);
                    *self.answer = Some(Answer {
                        segment,
                        length,
                        bytes,
                    });
                }
                false
            }
            Inward::Ipv6(segment) => {
                let mut bytes = [0; ANSWER_LEN];
                match answer_solicitation(frame, self.rules.local.mac, &mut bytes) {
                    Some(length) => {
                        bump(&counters.solicitations);
                        *self.answer = Some(Answer {
                            segment,
                            length,
                            bytes,
                        });
                    }
                    None => counters.drop(Dropped::NotOurs),
                }
                false
            }
            Inward::Drop(why) => {
                if vlan == 0 && frame.get(12..14) == Some(&ETHERTYPE) {
                    self.rules.watch.hear(Instant::now().as_millis(), frame);
                }
                counters.drop(why);
                false
            }
        };
        goes_on.then_some(frame)
    }

    /// Nothing of a datagram is the stack's, queued or not.
    fn queued(&self, sent: Queued, refusal: Refusal, mac: [u8; 6]) -> bool {
        if sent == Queued::No {
            self.gate.refusals().note_mac(refusal, mac);
        }
        false
    }

    /// Whether the TFTP listener may have a request.
    fn tftp(&mut self, frame: &[u8]) -> bool {
        let source = source(frame);
        let admitted = self.lanes.tftp.admits(Instant::now().as_millis(), source);
        if !admitted {
            bump(&self.rules.counters.tftp_over_share);
            self.gate.refusals().note_mac(Refusal::TftpTransfer, source);
        }
        admitted
    }

    /// Whether the stack may have a segment for the HTTP server now.
    fn segment(&self, frame: &[u8]) -> bool {
        match edge(frame) {
            Some((Edge::Opening, from, _)) => {
                let class = self.classes.class(*from.ip());
                self.gate.segment(from, class, frame) == Verdict::Pass
            }
            Some((Edge::Reset, from, _)) => {
                self.gate.left(from);
                true
            }
            None => true,
        }
    }
}

/// The hardware address that a frame came from.
fn source(frame: &[u8]) -> [u8; 6] {
    let source = frame.get(6..12).and_then(|mac| mac.try_into().ok());
    source.unwrap_or_default()
}

/// A received frame.
pub(super) enum RxToken<'a, T> {
    /// One that is not classified yet.
    Wire(T, Desk<'a>),
    /// A segment that was held in this slot.
    Held(&'static Gate, usize),
    /// An answer of the multiplexer itself to the stack, which has this address.
    Made(Arp, [u8; 6]),
}

impl<T: embassy_net_driver::RxToken> embassy_net_driver::RxToken for RxToken<'_, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        match self {
            RxToken::Held(gate, slot) => gate.pass(slot, f),
            RxToken::Made(message, to) => {
                let mut frame = [0; FRAME_LEN];
                let length = message.emit(to, &mut frame).unwrap_or(0);
                f(frame.get_mut(..length).unwrap_or_default())
            }
            // The stack must get a frame for its token. It ignores one of no
            // bytes.
            RxToken::Wire(inner, mut desk) => {
                inner.consume(|bytes| f(desk.take(bytes).unwrap_or_default()))
            }
        }
    }
}

/// The right to send a frame.
pub(super) struct TxToken<T> {
    inner: T,
    rules: Rules,
}

impl<T: embassy_net_driver::TxToken> embassy_net_driver::TxToken for TxToken<T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let rules = &self.rules;
        if rules.links.borrow().is_plain() {
            bump(&rules.counters.tx);
            return self.inner.consume(length, f);
        }
        // Where the frame goes, and so how long it becomes, is known when the
        // stack has written it. It asks for no more than `longest`.
        let mut buffer = [0; FRAME];
        let frame = buffer.get_mut(..length.min(FRAME)).unwrap_or_default();
        let result = f(frame);
        let links = rules.links.borrow();
        if let Some(answer) = links.answer_stack(&rules.local, frame) {
            rules.hop.give(answer);
            return result;
        }
        let way = links.outward(&rules.local, frame);
        drop(links);
        match way {
            Ok(segment) => {
                rules.send(self.inner, segment, frame);
            }
            Err(why) => rules.counters.drop(why),
        }
        result
    }
}

#[cfg(test)]
mod tests;
