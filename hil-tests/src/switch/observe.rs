//! What tests may know of the traffic: who sent what, and the frames
//! themselves.
//!
//! [`Traffic`] counts by sender and is always on. An [`Observer`] receives
//! the frames that its filter wants. Both see a frame once, as it enters the
//! switch's fabric: after the sender's faults and the hooks, before flooding
//! and the receivers' faults.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Frame, PortId, VlanId};

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    pub(crate) fn at(frame: &[u8], offset: usize) -> Option<Self> {
        frame.get(offset..offset + 6)?.try_into().ok().map(Self)
    }

    /// Broadcast or multicast.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a frame carries, as far as a boot is concerned. One 802.1Q tag is
/// looked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Address resolution.
    Arp,
    /// UDP from or to port 67, 68 or 4011.
    Dhcp,
    /// UDP to port 69: a TFTP request. The transfer itself uses ports of its
    /// own choice and is [`Kind::Udp`].
    TftpRequest,
    /// TCP from or to port 80.
    Http,
    /// Any other UDP.
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// Any other TCP.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// IPv4 that is neither UDP nor TCP, or a fragment without ports.
    OtherIpv4,
    /// Any IPv6.
    Ipv6,
    /// Anything else (LLDP, …) by its EtherType.
    Other(u16),
}

impl Kind {
    /// Classifies an Ethernet frame. Truncated headers make it `OtherIpv4`
    /// or `Other(0)`.
    pub fn of(frame: &[u8]) -> Self {
        let word = |at: usize| Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
        let tagged = word(12) == Some(0x8100);
        let l3 = if tagged { 18 } else { 14 };
        match word(l3 - 2).unwrap_or(0) {
            0x0806 => Self::Arp,
            0x86DD => Self::Ipv6,
            0x0800 => Self::of_ipv4(frame.get(l3..).unwrap_or(&[])).unwrap_or(Self::OtherIpv4),
            other => Self::Other(other),
        }
    }

    fn of_ipv4(packet: &[u8]) -> Option<Self> {
        let later_fragment = u16::from_be_bytes(packet.get(6..8)?.try_into().ok()?) & 0x1FFF != 0;
        if later_fragment {
            return None;
        }
        let header = usize::from(packet[0] & 0x0F) * 4;
        let ports = packet.get(header..header + 4)?;
        let source = u16::from_be_bytes([ports[0], ports[1]]);
        let destination = u16::from_be_bytes([ports[2], ports[3]]);
        let either = |port| source == port || destination == port;
        match packet[9] {
            17 if either(67) || either(68) || either(4011) => Some(Self::Dhcp),
            17 if destination == 69 => Some(Self::TftpRequest),
            17 => Some(Self::Udp {
                source,
                destination,
            }),
            6 if either(80) => Some(Self::Http),
            6 => Some(Self::Tcp {
                source,
                destination,
            }),
            _ => None,
        }
    }
}

/// One frame inside the switch.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The port that it came in by.
    pub port: PortId,
    /// The VLAN that it was in; none between plain ports.
    pub vlan: Option<VlanId>,
    /// Its sender.
    pub source: Mac,
    /// Its receiver, perhaps a group.
    pub destination: Mac,
    /// When it came in.
    pub at: Instant,
    /// What it carries.
    pub kind: Kind,
    /// The whole frame, without FCS and without the tag of `vlan`.
    pub frame: Frame,
}

impl Seen {
    pub(crate) fn new(
        port: PortId,
        vlan: Option<VlanId>,
        source: Mac,
        destination: Mac,
        at: Instant,
        frame: Frame,
    ) -> Self {
        Self {
            port,
            vlan,
            source,
            destination,
            at,
            kind: Kind::of(&frame),
            frame,
        }
    }
}

/// Frames that one address has sent, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Address resolution.
    pub arp: u64,
    /// DHCP and proxyDHCP, either direction.
    pub dhcp: u64,
    /// TFTP requests.
    pub tftp_requests: u64,
    /// Other UDP: TFTP transfers, the agent's protocol, …
    pub udp: u64,
    /// TCP from or to port 80.
    pub http: u64,
    /// All else.
    pub other: u64,
    /// All frames.
    pub frames: u64,
    /// Their bytes, Ethernet header included.
    pub bytes: u64,
}

impl Traffic {
    pub(crate) fn count(&mut self, seen: &Seen) {
        *match seen.kind {
            Kind::Arp => &mut self.arp,
            Kind::Dhcp => &mut self.dhcp,
            Kind::TftpRequest => &mut self.tftp_requests,
            Kind::Http => &mut self.http,
            Kind::Udp { .. } => &mut self.udp,
            Kind::Tcp { .. } | Kind::OtherIpv4 | Kind::Ipv6 | Kind::Other(_) => &mut self.other,
        } += 1;
        self.frames += 1;
        self.bytes += seen.frame.len() as u64;
    }
}

/// A live stream of the frames that a filter wants. Dropping it ends the
/// observation.
#[derive(Debug)]
pub struct Observer {
    receiver: Receiver<Seen>,
    missed: Arc<AtomicU64>,
}

impl Observer {
    /// The next frame, or none once `wait` is over.
    ///
    /// # Errors
    /// The switch is gone, or the observer fell behind and frames are
    /// missing: what follows could not be trusted.
    pub fn next(&self, wait: Duration) -> Result<Option<Seen>> {
        let missed = self.missed.load(Ordering::Relaxed);
        if missed != 0 {
            bail!("the observer fell behind and missed {missed} frames");
        }
        match self.receiver.recv_timeout(wait) {
            Ok(seen) => Ok(Some(seen)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the switch is gone"),
        }
    }

    /// All frames that wait now.
    pub fn drain(&self) -> Vec<Seen> {
        self.receiver.try_iter().collect()
    }
}

/// The switch's end of an [`Observer`].
pub(crate) struct ObserverSink {
    filter: Box<dyn FnMut(&Seen) -> bool + Send>,
    sender: SyncSender<Seen>,
    missed: Arc<AtomicU64>,
}

/// Frames that may wait for a test that does not look.
const BACKLOG: usize = 65_536;

pub(crate) fn observer(filter: Box<dyn FnMut(&Seen) -> bool + Send>) -> (ObserverSink, Observer) {
    let (sender, receiver) = std::sync::mpsc::sync_channel(BACKLOG);
    let missed = Arc::new(AtomicU64::new(0));
    (
        ObserverSink {
            filter,
            sender,
            missed: missed.clone(),
        },
        Observer { receiver, missed },
    )
}

impl ObserverSink {
    /// Passes the frame on if it is wanted; false once the observer is gone.
    pub fn offer(&mut self, seen: &Seen) -> bool {
        if !(self.filter)(seen) {
            return true;
        }
        match self.sender.try_send(seen.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}
