//! Frames of a hostile machine, each of which the appliance drops or refuses:
//! how much it does for each.
//!
//! After every such frame comes a probe, to which there is an answer: so no
//! frame is lost in a queue, and none is counted that the appliance has not
//! looked at. A pause before it lets the appliance fall asleep, so that the
//! frame wakes it by itself. What the probes alone take is counted first.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_ethernet::frame::{self, BROADCAST, HEADER_LEN, Header};

use super::{Meter, PATIENCE};
use crate::switch::HostPort;

/// Long enough for an emulated appliance to drop a frame.
const PAUSE: Duration = Duration::from_millis(4);
/// The hostile machine's interface.
const MAC: [u8; 6] = [0x52, 0x54, 0x00, 0xBE, 0x0E, 0x01];
/// Its transaction.
const XID: u32 = 0xFA46_0001;
/// UDP port that it sends from, and the appliance's.
const OWN_PORT: u16 = 40_000;
const AGENT_PORT: u16 = 8470;
/// Bytes of a real init: kind, ticket, MAC and the first message of Noise.
const INIT: usize = 240;
/// Where the identifier of a ticket ends in it: its last two bytes are the
/// transaction's, and free.
const INIT_XID: usize = 7;

/// A kind of hostile frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No protocol that the appliance has.
    OtherProtocol,
    /// UDP to the agents' port with a wrong checksum.
    Damaged,
    /// A datagram of no kind of the agent protocol.
    Stray,
    /// A request of a session that there is not; the answer is a hint.
    UnknownSession,
    /// A DHCP message that does not parse.
    MalformedDhcp,
    /// A DHCP request for another server, whose client the appliance does not
    /// know.
    OtherServer,
    /// An init with a ticket that is too old.
    OldTicket,
    /// An init with a fresh ticket's identifier, at the place of its lease,
    /// whose MAC is wrong.
    WrongMac,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 8] = [
        Kind::OtherProtocol,
        Kind::Damaged,
        Kind::Stray,
        Kind::UnknownSession,
        Kind::MalformedDhcp,
        Kind::OtherServer,
        Kind::OldTicket,
        Kind::WrongMac,
    ];

    /// What it is, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Kind::OtherProtocol => "no protocol of ours",
            Kind::Damaged => "a wrong UDP checksum",
            Kind::Stray => "no datagram of an agent",
            Kind::UnknownSession => "a session that there is not",
            Kind::MalformedDhcp => "malformed DHCP",
            Kind::OtherServer => "DHCP for another server",
            Kind::OldTicket => "an init with an old ticket",
            Kind::WrongMac => "an init with a fresh ticket and a wrong MAC",
        }
    }

    /// Whether a key of the appliance is needed to see that it is wrong.
    #[must_use]
    pub const fn is_keyed(self) -> bool {
        matches!(self, Kind::WrongMac)
    }
}

/// A machine that has a lease and no good intentions.
#[derive(Debug)]
pub struct Machine<'a> {
    port: &'a HostPort,
    /// The appliance's interface and address.
    appliance: ([u8; 6], Ipv4Addr),
    address: Ipv4Addr,
    /// The identifier of the ticket that its DHCP exchange gave it.
    ticket: [u8; 8],
    sent: u64,
}

impl<'a> Machine<'a> {
    /// Gets a lease, and a ticket with it.
    ///
    /// # Errors
    /// It gets none.
    pub fn new(port: &'a HostPort) -> Result<Self> {
        let mut machine = Machine {
            port,
            appliance: (BROADCAST, Ipv4Addr::BROADCAST),
            address: Ipv4Addr::UNSPECIFIED,
            ticket: [0; 8],
            sent: 0,
        };
        let discover = Request {
            user_class: Some(b"iPXE"),
            class_id: Some(b"PXEClient:Arch:00000:UNDI:002001"),
            ..Request::new(MessageType::Discover, XID, MAC)
        };
        super::dhcp::send(port, &discover)?;
        machine.leased()?;
        let request = Request {
            message_type: MessageType::Request,
            requested_ip: Some(machine.address),
            server_id: Some(machine.appliance.1),
            ..discover
        };
        super::dhcp::send(port, &request)?;
        machine.leased()?;
        Ok(machine)
    }

    fn leased(&mut self) -> Result<()> {
        self.wait(|machine, datagram| {
            let reply = Reply::parse(datagram.payload).ok()?;
            if datagram.dst_port != 68 || reply.xid != XID {
                return None;
            }
            machine.appliance = (datagram.src_mac, datagram.src);
            machine.address = reply.yiaddr;
            // …/boot/TICKET-…
            let file = std::str::from_utf8(reply.boot_file?).ok()?;
            let (_, name) = file.rsplit_once('/')?;
            let number = u64::from_str_radix(name.get(..16)?, 16).ok()?;
            machine.ticket = number.to_be_bytes();
            Some(())
        })
        .context("a lease with a boot script")
    }

    /// Waits for a frame that `take` wants.
    fn wait<T>(
        &mut self,
        take: impl Fn(&mut Self, &frame::UdpFrame<'_>) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Some(bytes) = self.port.recv(left) else {
                bail!("no answer of the appliance");
            };
            if let Ok(datagram) = frame::parse(&bytes)
                && let Some(taken) = take(self, &datagram)
            {
                return Ok(taken);
            }
        }
    }

    /// Sends a datagram.
    fn send(&self, to_port: u16, dhcp: bool, payload: &[u8], damaged: bool) -> Result<()> {
        let mut bytes = [0; 1514];
        bytes[HEADER_LEN..HEADER_LEN + payload.len()].copy_from_slice(payload);
        let header = Header {
            src_mac: MAC,
            dst_mac: self.appliance.0,
            src: self.address,
            dst: self.appliance.1,
            src_port: if dhcp { 68 } else { OWN_PORT },
            dst_port: to_port,
        };
        let length = frame::emit(&mut bytes, &header, payload.len())?;
        if damaged {
            bytes[HEADER_LEN] ^= 1;
        }
        self.port.send(&bytes[..length]);
        Ok(())
    }

    /// A request of an unknown session, and the hint that answers it.
    fn probe(&mut self) -> Result<()> {
        self.sent += 1;
        let counter = self.sent.to_le_bytes();
        self.send(AGENT_PORT, false, &request(&counter), false)?;
        self.wait(|_, datagram| datagram.payload.ends_with(&counter).then_some(()))
            .context("the hint of an unknown session")
    }

    /// A frame of this kind. No two are alike.
    fn attack(&mut self, kind: Kind) -> Result<()> {
        self.sent += 1;
        let number = self.sent.to_le_bytes();
        match kind {
            Kind::OtherProtocol => {
                let mut bytes = [0x5a; 128];
                bytes[..6].copy_from_slice(&self.appliance.0);
                bytes[6..12].copy_from_slice(&MAC);
                bytes[12..14].copy_from_slice(&[0x88, 0xb5]);
                self.port.send(&bytes);
                Ok(())
            }
            Kind::Damaged => self.send(AGENT_PORT, false, &[0x5a; 128], true),
            Kind::Stray => self.send(AGENT_PORT, false, &[&[9; 120], &number[..]].concat(), false),
            Kind::UnknownSession => self.send(AGENT_PORT, false, &request(&number), false),
            Kind::MalformedDhcp => self.send(67, true, &[&[1; 292], &number[..]].concat(), false),
            Kind::OtherServer => {
                let request = Request {
                    requested_ip: Some(Ipv4Addr::new(192, 0, 2, 9)),
                    server_id: Some(Ipv4Addr::new(192, 0, 2, 1)),
                    ..Request::new(
                        MessageType::Request,
                        self.sent as u32,
                        [0x66, 0, 0, 0, 0, 9],
                    )
                };
                let mut bytes = [0; 600];
                let length = request.emit(&mut bytes)?;
                self.send(67, true, &bytes[..length], false)
            }
            Kind::OldTicket | Kind::WrongMac => {
                let mut init = [0x5a; INIT];
                init[0] = 1;
                init[1..9].copy_from_slice(&self.ticket);
                if kind == Kind::OldTicket {
                    // Of a start that never was.
                    init[1] ^= 0x40;
                }
                init[INIT_XID..9].copy_from_slice(&number[..2]);
                init[INIT - 8..].copy_from_slice(&number);
                self.send(AGENT_PORT, false, &init, false)
            }
        }
    }
}

/// A request of a session that there is not, with this counter.
fn request(counter: &[u8; 8]) -> Vec<u8> {
    let mut bytes = vec![3, 0xde, 0xad, 0xbe, 0xef];
    bytes.extend_from_slice(counter);
    bytes.extend_from_slice(&[0x5a; 32]);
    bytes
}

/// Instructions for a frame of each kind, of so many each.
///
/// # Errors
/// The appliance does not answer the probes.
pub fn cost(meter: &Meter<'_>, machine: &mut Machine<'_>, frames: u32) -> Result<Vec<(Kind, f64)>> {
    let (probes, ()) = meter.count(|| {
        (0..frames).try_for_each(|_| {
            thread::sleep(PAUSE);
            machine.probe()
        })
    })?;
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let (both, ()) = meter.count(|| {
            (0..frames).try_for_each(|_| {
                machine.attack(kind)?;
                thread::sleep(PAUSE);
                machine.probe()
            })
        })?;
        ensure!(both > probes, "{kind:?} cost nothing: no frame came");
        all.push((kind, (both - probes) / f64::from(frames)));
    }
    Ok(all)
}
