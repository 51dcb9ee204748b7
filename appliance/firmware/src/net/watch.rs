//! A look at frames that are nobody's business here: who answers DHCP clients, who
//! claims which address by ARP, and what the switch says by LLDP. What is wrong about it
//! the rack decides.
//!
//! Few sightings wait for the controller, and few are taken in a second, whatever
//! comes by. What has no room is dropped and counted: what goes on comes again.

use core::cell::{Cell, RefCell};
use core::net::Ipv4Addr;
use core::task::{Context, Poll};

use embassy_sync::waitqueue::WakerRegistration;
use farrier_core::interface::{Services, Sighting, SightingKind, Uplink};
use farrier_dhcp::wire::{MessageType, Op, Packet, code};
use farrier_ethernet::arp::{Arp, Operation};
use farrier_ethernet::frame;
use farrier_ethernet::ipv4::{self, Content};
use farrier_ethernet::lldp::NEAREST;
use farrier_protocol::message::Mac;
use heapless::Deque;

use super::counters::bump;
use super::fence::Local;
use super::links::{Entry, Links};

/// Sightings that wait.
const WAITING: usize = 4;
/// Sightings in a second.
const RATE: u32 = 10;
const SECOND: u64 = 1000;
/// The DHCP client's UDP port.
const DHCP_CLIENT: u16 = 68;

impl Links {
    /// What a frame without its tag shows, if the rack should know of it.
    #[inline]
    pub(super) fn sighting(&self, local: &Local, vlan: u16, frame: &[u8]) -> Option<Sighting> {
        let kind = frame.get(12..14)?;
        let (to, from) = (frame.first_chunk::<6>()?, source(frame)?);
        // Most frames are packets for the appliance.
        if from == local.mac || kind == [0x08, 0x00] && *to == local.mac {
            return None;
        }
        let entry = self.carried_by(vlan)?;
        if !entry.link.services.contains(Services::DHCP) && kind != [0x08, 0x06] {
            return None;
        }
        let (kind, address) = match kind {
            [0x08, 0x06] => self.claim(entry, frame, from)?,
            [0x08, 0x00] => (SightingKind::DhcpServer, server(frame)?),
            _ => return None,
        };
        Some(Sighting {
            kind,
            network: entry.link.network,
            vlan,
            mac: Mac(from),
            address,
        })
    }

    /// The address that an ARP message claims. Of questions only those count that
    /// contradict what is bound: everybody asks all the time.
    fn claim(
        &self,
        entry: &Entry,
        frame: &[u8],
        from: [u8; 6],
    ) -> Option<(SightingKind, Ipv4Addr)> {
        let link = &entry.link;
        let message = Arp::parse(frame)?;
        let claims = message.sender;
        if claims.is_unspecified() {
            return None;
        }
        if claims == link.address {
            return Some((SightingKind::OwnAddress, claims));
        }
        let announces = message.operation == Operation::Reply || message.target == claims;
        let gives = link.services.contains(Services::DHCP) && link.on_link(claims);
        let another = || self.holder(claims).is_some_and(|holder| holder != from);
        (gives && (announces || another())).then_some((SightingKind::Address, claims))
    }
}

/// The server of a DHCP reply to a client.
fn server(frame: &[u8]) -> Option<Ipv4Addr> {
    let Content::Udp(_, DHCP_CLIENT) = ipv4::read(frame)?.content else {
        return None;
    };
    let datagram = frame::parse(frame).ok()?;
    let message = Packet::new_checked(datagram.payload).ok()?;
    if message.op() != Some(Op::Reply) || !message.has_cookie() {
        return None;
    }
    let (mut kind, mut server) = (None, None);
    for option in message.options() {
        match option.code {
            code::MESSAGE_TYPE => kind = option.as_u8().and_then(MessageType::from_u8),
            code::SERVER_ID => server = option.as_addr(),
            _ => {}
        }
    }
    let kind = kind?;
    (!kind.is_from_client()).then(|| server.unwrap_or(datagram.src))
}

fn source(frame: &[u8]) -> Option<[u8; 6]> {
    frame.get(6..12)?.try_into().ok()
}

/// Sightings on their way to the controller.
pub struct Watch {
    state: RefCell<State>,
    dropped: Cell<u32>,
}

struct State {
    waiting: Deque<Sighting, WAITING>,
    /// What was heard by LLDP last.
    uplink: Option<Uplink>,
    /// When a frame of LLDP was looked at last: one a second.
    heard: Option<u64>,
    /// An interface that a port was waited for was seen on this VLAN.
    seen: Option<(Mac, u16)>,
    waker: WakerRegistration,
    /// When the present second began, in milliseconds, and how many were taken in it.
    second: u64,
    taken: u32,
}

impl State {
    /// Begins another second where the present one is over.
    fn begin(&mut self, now: u64) {
        if now.saturating_sub(self.second) >= SECOND {
            (self.second, self.taken) = (now, 0);
        }
    }
}

impl core::fmt::Debug for Watch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch {
    pub(super) const fn new() -> Self {
        Self {
            state: RefCell::new(State {
                waiting: Deque::new(),
                uplink: None,
                heard: None,
                seen: None,
                waker: WakerRegistration::new(),
                second: 0,
                taken: 0,
            }),
            dropped: Cell::new(0),
        }
    }

    /// Sightings that found no room, or were too many in their second. Wraps.
    #[must_use]
    pub fn dropped(&self) -> &Cell<u32> {
        &self.dropped
    }

    /// Takes what the switch says by LLDP, if a frame without a tag has it.
    pub(super) fn hear(&self, now: u64, frame: &[u8]) {
        // What bridges forward may be of any machine.
        if !frame.first_chunk().is_some_and(|to| NEAREST.contains(to)) {
            return;
        }
        let mut state = self.state.borrow_mut();
        if state
            .heard
            .is_some_and(|heard| now.saturating_sub(heard) < SECOND)
        {
            return;
        }
        state.heard = Some(now);
        if let Some(heard) = Uplink::read(frame) {
            state.uplink = Some(heard);
            state.waker.wake();
        }
    }

    /// Takes a sighting at this time in milliseconds.
    pub(super) fn note(&self, now: u64, sighting: Sighting) {
        let mut state = self.state.borrow_mut();
        state.begin(now);
        // One that waits already says it all.
        if state.waiting.iter().any(|waits| *waits == sighting) {
            return;
        }
        if state.taken >= RATE || state.waiting.push_back(sighting).is_err() {
            bump(&self.dropped);
            return;
        }
        state.taken += 1;
        state.waker.wake();
    }

    /// Whether a sighting waits; registers the caller for the next one.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if state.waiting.is_empty() && state.uplink.is_none() && state.seen.is_none() {
            state.waker.register(cx.waker());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// An interface that is awaited on a VLAN was seen there. One is kept: another one
    /// is seen again.
    pub(super) fn saw(&self, mac: [u8; 6], vlan: u16) {
        let mut state = self.state.borrow_mut();
        state.seen = Some((Mac(mac), vlan));
        state.waker.wake();
    }

    /// The interface that was seen last since this was asked, and its VLAN.
    pub fn take_seen(&self) -> Option<(Mac, u16)> {
        self.state.borrow_mut().seen.take()
    }

    /// What was heard by LLDP since this was asked last.
    pub fn take_uplink(&self) -> Option<Uplink> {
        self.state.borrow_mut().uplink.take()
    }

    /// The sighting that waits for longest.
    pub fn take(&self) -> Option<Sighting> {
        self.state.borrow_mut().waiting.pop_front()
    }
}

#[cfg(test)]
mod tests;
