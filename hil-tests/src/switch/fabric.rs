//! What a frame goes through inside the switch, without sockets or threads.
//!
//! Here live MAC learning, flooding, the bounded queue of each port, the
//! counters, and the order in which faults, hooks, observers and captures see
//! a frame. Bytes on Unix sockets are in `pump`; in-process ports in `host`;
//! tags in `vlan`. Inside, frames of VLANs have no tag.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use farrier_ethernet::lldp::NEAREST_BRIDGE;

use super::faults::{Faults, Lane};
use super::lldp::{self, Schedule};
use super::observe::{Mac, ObserverSink, Seen, Traffic};
use super::pcap::PcapWriter;
use super::vlan::{Domain, Outgoing, PortMode, Tagging};
use super::wires::{Direction, WiresWriter};
use super::{Frame, Hook, PortId, Verdict};

/// Shortest frame accepted: two addresses and an EtherType. Emulated NICs do
/// not pad to 60 bytes, so that is no error here.
const MIN_FRAME: usize = 14;
/// Longest frame accepted, in bytes without FCS: a 9,000-byte jumbo frame
/// with one 802.1Q tag.
pub(crate) const MAX_FRAME: usize = 9_018;

/// Why frames of a port were not delivered, counted by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops {
    /// Shorter than an Ethernet header, or longer than a jumbo frame.
    pub bad_length: u64,
    /// The source address was a group address.
    pub bad_source: u64,
    /// A seeded loss on this port.
    pub fault: u64,
    /// A hook decided so.
    pub hook: u64,
    /// The destination lives on the port that the frame came from.
    pub same_port: u64,
    /// No peer was connected to the port that the frame would leave by.
    pub no_link: u64,
    /// The queue of the port that the frame would leave by was full.
    pub queue_full: u64,
    /// The port does not carry the frame's VLAN, tag or lack of a tag, or did
    /// not any more when the frame was about to leave.
    pub vlan: u64,
    /// The destination is one that bridges keep to themselves
    /// (01:80:c2:00:00:00 to 0f), and the port is not a plain one.
    pub reserved: u64,
    /// The switch had no power.
    pub no_power: u64,
}

impl Drops {
    /// All causes together.
    pub fn total(&self) -> u64 {
        let Self {
            bad_length,
            bad_source,
            fault,
            hook,
            same_port,
            no_link,
            queue_full,
            vlan,
            reserved,
            no_power,
        } = *self;
        let peers = bad_length + bad_source + same_port + no_link + queue_full;
        peers + fault + hook + vlan + reserved + no_power
    }
}

/// What one port has carried. "In" is from the peer into the switch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that the peer sent.
    pub frames_in: u64,
    /// Their bytes, Ethernet header included, FCS not.
    pub bytes_in: u64,
    /// Frames handed to the peer.
    pub frames_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Frames duplicated by a fault, both directions.
    pub duplicated: u64,
    /// Frames held back by a fault so that later ones overtook them.
    pub reordered: u64,
    /// Frames that did not get through.
    pub drops: Drops,
    /// Times that a peer connected.
    pub connects: u64,
}

pub(crate) struct Port {
    pub name: String,
    pub counters: Counters,
    pub queue: VecDeque<Frame>,
    queued_bytes: usize,
    queue_limit: usize,
    pub linked: bool,
    pub mode: PortMode,
    /// The port whose peer gets its frames as they are, and sends it others.
    patch: Option<PortId>,
    /// Its wire leads to another switch and is in no capture of all wires.
    outside: bool,
    /// The last LLDP frame of the peer.
    pub neighbour: Option<Frame>,
    lane_in: Lane,
    lane_out: Lane,
    pcap: Option<PcapWriter>,
    /// Whether the pump carries the frames out; otherwise a host port does.
    socket: bool,
    /// Made readable when the queue goes from empty to not empty.
    wake: Arc<OwnedFd>,
}

impl Port {
    /// Takes the oldest frame that waits for the peer.
    pub fn pop(&mut self) -> Option<Frame> {
        let frame = self.queue.pop_front()?;
        self.queued_bytes -= frame.len();
        self.counters.frames_out += 1;
        self.counters.bytes_out += frame.len() as u64;
        Some(frame)
    }

    /// Frames wake another peer from now on.
    pub fn wake_by(&mut self, wake: Arc<OwnedFd>) {
        self.wake = wake;
    }

    /// A new peer begins with an empty queue; the old one's frames are gone.
    pub fn set_linked(&mut self, linked: bool) {
        self.linked = linked;
        self.neighbour = None;
        self.counters.drops.no_link += self.queue.len() as u64;
        self.queue.clear();
        self.queued_bytes = 0;
        if linked {
            self.counters.connects += 1;
        }
    }
}

pub(crate) struct Fabric {
    pub ports: Vec<Port>,
    seed: u64,
    ageing: Duration,
    macs: HashMap<(Domain, Mac), (PortId, Instant)>,
    powered: bool,
    /// The switch's own address and name.
    chassis: (Mac, String),
    lldp: Option<Schedule>,
    pub hooks: Vec<(u64, Hook)>,
    pub observers: Vec<ObserverSink>,
    pub traffic: HashMap<Mac, Traffic>,
    pcap: Option<PcapWriter>,
    wires: Option<WiresWriter>,
    /// The pump flushes every queue before it sleeps, so frames that it moves
    /// itself need not wake it.
    pub in_pump: bool,
}

impl Fabric {
    pub fn new(config: &super::SwitchConfig) -> Self {
        Self {
            ports: Vec::new(),
            seed: config.seed,
            ageing: config.ageing,
            macs: HashMap::new(),
            powered: true,
            chassis: (config.mac, config.name.clone()),
            lldp: None,
            hooks: Vec::new(),
            observers: Vec::new(),
            traffic: HashMap::new(),
            pcap: None,
            wires: None,
            in_pump: false,
        }
    }

    pub fn add_port(
        &mut self,
        name: &str,
        queue_limit: usize,
        socket: bool,
        wake: Arc<OwnedFd>,
    ) -> PortId {
        let id = PortId(self.ports.len());
        // Each lane has a generator of its own, so faults on one port do not
        // depend on what passes through another.
        let lane = |direction: u64| {
            Lane::new(
                self.seed ^ ((id.0 as u64) << 1 | direction).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            )
        };
        self.ports.push(Port {
            name: name.to_owned(),
            counters: Counters::default(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            queue_limit,
            linked: false,
            mode: PortMode::Plain,
            patch: None,
            outside: false,
            neighbour: None,
            lane_in: lane(0),
            lane_out: lane(1),
            pcap: None,
            socket,
            wake,
        });
        if let (Some(wires), Some(port)) = (&mut self.wires, self.ports.last()) {
            wires.port(&port.name, &port.mode);
        }
        id
    }

    /// Changes what a port carries from now on. What was learnt there is
    /// forgotten, and frames that wait for the peer and may not be carried
    /// any more are dropped.
    pub fn set_mode(&mut self, port: PortId, mode: PortMode) {
        let state = &mut self.ports[port.0];
        if state.mode == mode {
            return;
        }
        if let Some(wires) = &mut self.wires {
            wires.mode(port, &mode);
        }
        if !state.mode.is_within(&mode) {
            let held = [state.lane_in.discard(), state.lane_out.discard()];
            let held = held.iter().filter(|held| **held).count();
            state.counters.drops.vlan += (state.queue.len() + held) as u64;
            state.queue.clear();
            state.queued_bytes = 0;
        }
        state.mode = mode;
        self.macs.retain(|_, (behind, _)| *behind != port);
    }

    /// Takes or gives power.
    pub fn set_power(&mut self, on: bool) {
        self.powered = on;
        if on {
            return;
        }
        self.macs.clear();
        for state in &mut self.ports {
            let held = [state.lane_in.discard(), state.lane_out.discard()];
            let held = held.iter().filter(|held| **held).count();
            state.counters.drops.no_power += (state.queue.len() + held) as u64;
            state.queue.clear();
            state.queued_bytes = 0;
        }
    }

    /// Begins or ends LLDP.
    pub fn set_lldp(&mut self, every: Option<Duration>, now: Instant) {
        self.lldp = every.map(|every| Schedule { every, next: now });
    }

    /// Sends the LLDP frames that are due. Returns when to come again.
    pub fn send_lldp(&mut self, now: Instant) -> Option<Instant> {
        let schedule = self.lldp.as_mut()?;
        if schedule.next > now {
            return Some(schedule.next);
        }
        schedule.next = now + schedule.every;
        let next = schedule.next;
        for port in (0..self.ports.len()).map(PortId) {
            let state = &self.ports[port.0];
            if state.linked && self.powered && !state.outside {
                let (mac, system) = &self.chassis;
                let frame = lldp::frame(*mac, system, &state.name, &state.mode);
                self.emit(port, frame.into(), now);
            }
        }
        Some(next)
    }

    pub fn set_faults(&mut self, port: PortId, inward: Faults, outward: Faults) {
        self.ports[port.0].lane_in.faults = inward;
        self.ports[port.0].lane_out.faults = outward;
    }

    pub fn set_pcap(&mut self, port: Option<PortId>, writer: Option<PcapWriter>) {
        match port {
            Some(port) => self.ports[port.0].pcap = writer,
            None => self.pcap = writer,
        }
    }

    pub fn set_wires(&mut self, mut writer: WiresWriter) {
        for port in &self.ports {
            writer.port(&port.name, &port.mode);
        }
        self.wires = Some(writer);
    }

    /// The port behind which an address was last heard in a domain, unless
    /// that was too long ago.
    pub fn port_of(&self, domain: Domain, mac: Mac, now: Instant) -> Option<PortId> {
        let (port, heard) = self.macs.get(&(domain, mac))?;
        (now.duration_since(*heard) < self.ageing).then_some(*port)
    }

    /// Every address that is learnt: its domain, its port, and when it was
    /// heard last.
    pub fn learnt(&self, now: Instant) -> impl Iterator<Item = (Domain, Mac, PortId, Instant)> {
        self.macs
            .iter()
            .filter(move |(_, (_, heard))| now.duration_since(*heard) < self.ageing)
            .map(|((domain, mac), (port, heard))| (*domain, *mac, *port, *heard))
    }

    /// One frame from the peer of `port`.
    pub fn ingress(&mut self, port: PortId, frame: Vec<u8>, now: Instant) {
        let state = &mut self.ports[port.0];
        state.counters.frames_in += 1;
        state.counters.bytes_in += frame.len() as u64;
        if !(MIN_FRAME..=MAX_FRAME).contains(&frame.len()) {
            state.counters.drops.bad_length += 1;
            return;
        }
        if let Some(pcap) = &mut state.pcap {
            pcap.write(&frame);
        }
        if let Some(wires) = self.wires.as_mut().filter(|_| !state.outside) {
            wires.frame(port, Direction::In, &frame);
        }
        if !self.powered {
            state.counters.drops.no_power += 1;
            return;
        }
        if state.lane_in.is_clean() {
            self.switch(port, frame, now);
            return;
        }
        let out = state.lane_in.pass(frame.into(), now);
        count_lane(&mut state.counters, &out);
        for frame in out.frames {
            self.switch(port, frame.to_vec(), now);
        }
    }

    fn switch(&mut self, port: PortId, mut frame: Vec<u8>, now: Instant) {
        if let Some(far) = self.ports[port.0].patch {
            return self.through(port, far, frame, now);
        }
        let state = &mut self.ports[port.0];
        let Some(domain) = state.mode.take(&mut frame) else {
            state.counters.drops.vlan += 1;
            return;
        };
        for (_, hook) in &mut self.hooks {
            if hook(port, &mut frame) == Verdict::Drop {
                self.ports[port.0].counters.drops.hook += 1;
                return;
            }
        }
        // A hook may have shortened it, or it was its tag that made it long
        // enough.
        let addresses = Mac::at(&frame, 0).zip(Mac::at(&frame, 6));
        let Some((destination, source)) = addresses.filter(|_| frame.len() >= MIN_FRAME) else {
            self.ports[port.0].counters.drops.bad_length += 1;
            return;
        };
        if source.is_group() {
            self.ports[port.0].counters.drops.bad_source += 1;
            return;
        }
        self.macs.insert((domain, source), (port, now));
        if destination.0 == NEAREST_BRIDGE {
            self.ports[port.0].neighbour = Some(frame.clone().into());
        }
        let mut out = Outgoing::new(domain, frame.into());
        let seen = Seen::new(port, domain, source, destination, now, out.untagged.clone());
        self.traffic.entry(source).or_default().count(&seen);
        self.observers.retain_mut(|observer| observer.offer(&seen));
        if let Some(pcap) = &mut self.pcap {
            pcap.write(&out.tagged());
        }
        if domain.is_some() && lldp::is_reserved(destination) {
            self.ports[port.0].counters.drops.reserved += 1;
            return;
        }

        match self
            .port_of(domain, destination, now)
            .filter(|_| !destination.is_group())
        {
            Some(to) if to == port => self.ports[port.0].counters.drops.same_port += 1,
            Some(to) => self.egress(to, &mut out, now),
            None => {
                for to in (0..self.ports.len()).map(PortId).filter(|to| *to != port) {
                    self.egress(to, &mut out, now);
                }
            }
        }
    }

    /// Leads each of two ports to the other's peer. The wire of `outside` is in no
    /// capture of all wires from now on.
    pub fn patch(&mut self, port: PortId, outside: PortId) {
        self.ports[port.0].patch = Some(outside);
        self.ports[outside.0].patch = Some(port);
        self.ports[outside.0].outside = true;
    }

    /// Carries a frame between two ports that lead to each other, as it is, whatever
    /// they are said to carry, unless one is closed.
    fn through(&mut self, from: PortId, to: PortId, frame: Vec<u8>, now: Instant) {
        let closed = PortMode::closed();
        if self.ports[from.0].mode == closed || self.ports[to.0].mode == closed {
            self.ports[from.0].counters.drops.vlan += 1;
            return;
        }
        self.emit(to, frame.into(), now);
    }

    /// Sends a frame of a domain out of a port that carries it.
    fn egress(&mut self, port: PortId, out: &mut Outgoing, now: Instant) {
        let frame = match self.ports[port.0].mode.give(out.domain) {
            // The port is no member: nothing is lost.
            None => return,
            Some(Tagging::Untagged) => out.untagged.clone(),
            Some(Tagging::Tagged) => out.tagged(),
        };
        self.emit(port, frame, now);
    }

    /// Sends a frame out of a port as it is.
    fn emit(&mut self, port: PortId, frame: Frame, now: Instant) {
        let state = &mut self.ports[port.0];
        if state.lane_out.is_clean() {
            self.enqueue(port, frame);
            return;
        }
        let out = state.lane_out.pass(frame, now);
        count_lane(&mut state.counters, &out);
        for frame in out.frames {
            self.enqueue(port, frame);
        }
    }

    fn enqueue(&mut self, port: PortId, frame: Frame) {
        let in_pump = self.in_pump;
        let state = &mut self.ports[port.0];
        if !state.linked {
            state.counters.drops.no_link += 1;
            return;
        }
        if state.queued_bytes + frame.len() > state.queue_limit {
            state.counters.drops.queue_full += 1;
            return;
        }
        if let Some(pcap) = &mut state.pcap {
            pcap.write(&frame);
        }
        if let Some(wires) = self.wires.as_mut().filter(|_| !state.outside) {
            wires.frame(port, Direction::Out, &frame);
        }
        state.queued_bytes += frame.len();
        state.queue.push_back(frame);
        if state.queue.len() == 1 && !(in_pump && state.socket) {
            super::signal(&state.wake);
        }
    }

    /// Lets go of frames that a reordering fault held back for long enough.
    /// Returns when to come again.
    pub fn release_held(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for port in (0..self.ports.len()).map(PortId) {
            if let Some(frame) = self.ports[port.0].lane_in.release(now) {
                self.switch(port, frame.to_vec(), now);
            }
            if let Some(frame) = self.ports[port.0].lane_out.release(now) {
                self.enqueue(port, frame);
            }
            let state = &self.ports[port.0];
            let held = state
                .lane_in
                .held_until()
                .into_iter()
                .chain(state.lane_out.held_until());
            next = held.chain(next).min();
        }
        next
    }

    pub fn flush_captures(&mut self) {
        for pcap in self
            .ports
            .iter_mut()
            .filter_map(|port| port.pcap.as_mut())
            .chain(self.pcap.as_mut())
        {
            pcap.flush();
        }
        if let Some(wires) = &mut self.wires {
            wires.flush();
        }
    }
}

fn count_lane(counters: &mut Counters, passed: &super::faults::Passed) {
    counters.drops.fault += u64::from(passed.lost);
    counters.duplicated += u64::from(passed.duplicated);
    counters.reordered += u64::from(passed.held);
}
