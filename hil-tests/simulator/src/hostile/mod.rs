//! A hostile machine on the provisioning network. It hears every frame that
//! reaches the appliance or a machine, forges any address and any field, changes,
//! cuts and repeats what it heard, sends ahead of others, and floods as very many
//! machines.
//!
//! It asks the proxyDHCP service too, answers as a DHCP server and claims addresses.
//! It has no key and no ticket. No frame of it may change a session, a boot, a
//! ticket, a state, an interface or a deadline of any node: that is an accepted
//! frame, and a violation. The invariants of every step hold as well, for they
//! do not know who sends.
//!
//! What is left to it, as `docs/security.md` says:
//!
//! - What it heard before the appliance started last may count once more. These
//!   copies are counted apart.
//! - DHCP has no proof of who speaks. In every second rack it sends DHCP in the
//!   names of machines, which ends their leases and takes their shares of the
//!   pool. There no machine can rely on an address.
//!
//! A machine that reads a ticket off the wire and uses it is the fault
//! `ticket-thief`.

mod frames;

use core::net::Ipv4Addr;

use farrier_core::interface::NetworkId;
use farrier_core::node::Node;
use farrier_core::{Endpoint, Input};
use farrier_dhcp::wire::Request;
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::Mac;
use farrier_testkit::Random;
use farrier_testkit::outcome::Outcome;

use crate::faults::Fault;
use crate::network::Packet;
use crate::simulation::{Event, HOUR, Options, Simulation};

/// Frames that it remembers.
const MEMORY: usize = 128;
/// Where no number of frames is asked for it hears one in so many: what it does
/// is to cost a run little.
const HEARS: u64 = 4;
/// It strikes that often, on average, in milliseconds: where no number of frames
/// is asked for, and where one is.
const PAUSE: u64 = 120_000;
const BUSY_PAUSE: u64 = 5_000;
/// Frames that it sends each time where no number is asked for.
const FRAMES: u64 = 6;
/// Of so many frames that a machine sends it comes ahead of one.
const RACES: u64 = 512;
const BUSY_RACES: u64 = 4;
/// Most frames that are sent to one rack where a number is asked for.
pub const RACK_FRAMES: u64 = 2_000_000;
/// How the violation begins that an accepted frame is.
pub const ACCEPTED: &str = "a hostile frame was accepted";
/// Its own address, and the start of those that it makes up.
const OWN: Mac = Mac([0x66, 0, 0, 0, 0, 201]);
const OWN_IP: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 241);

/// What a hostile frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// DHCP of a machine that was never seen.
    Stranger,
    /// DHCP in a machine's name.
    Impersonated,
    /// Random bytes.
    Nonsense,
    /// A handshake with the identifier of a fresh ticket.
    Handshake,
    /// A frame that was heard, with something changed.
    Changed,
    /// A frame that was heard, cut short.
    Truncated,
    /// A datagram that was heard, as it was.
    Copied,
    /// A datagram that was heard, from another place.
    Moved,
    /// A changed frame ahead of the one that it is made of.
    Raced,
    /// A datagram to an agent.
    Reply,
    /// A request for a file.
    File,
    /// A request to the proxyDHCP service.
    Pxe,
    /// A frame that the glue reports: an answer of another DHCP server, or a claim of
    /// an address by ARP.
    Sighting,
}

/// How many kinds there are.
pub const KINDS: usize = 13;

impl Kind {
    /// Every kind, with its name in reports.
    pub const ALL: [(Kind, &'static str); KINDS] = [
        (Kind::Stranger, "stranger"),
        (Kind::Impersonated, "impersonated"),
        (Kind::Nonsense, "nonsense"),
        (Kind::Handshake, "handshake"),
        (Kind::Changed, "changed"),
        (Kind::Truncated, "truncated"),
        (Kind::Copied, "copied"),
        (Kind::Moved, "moved"),
        (Kind::Raced, "raced"),
        (Kind::Reply, "reply"),
        (Kind::File, "file"),
        (Kind::Pxe, "pxe"),
        (Kind::Sighting, "sighting"),
    ];
}

/// A frame that was heard.
#[derive(Debug)]
struct Heard {
    packet: Packet,
    /// The start of the appliance in which it was heard, or counted last.
    run: u32,
    /// The appliance had no room for it: its sender would repeat it, and a copy is
    /// as good.
    put_off: bool,
}

/// A frame to send.
#[derive(Debug)]
struct Frame {
    kind: Kind,
    from: Mac,
    packet: Packet,
    /// The place among the heard frames of the one that it copies exactly.
    copy: Option<usize>,
}

/// What it knows and what it did.
#[derive(Debug)]
pub struct Hostile {
    /// Its own source: without it, everything else stays as it is.
    random: Random,
    heard: Vec<Heard>,
    /// The place of the last one.
    last: usize,
    /// Paths of boot scripts.
    paths: Vec<String>,
    /// Datagrams that went to agents.
    replies: Vec<Packet>,
    /// Frames that went by, and of how many it hears one.
    passed: u64,
    hears: u64,
    /// Frames each time.
    burst: u64,
    pause: u64,
    races: u64,
    impersonates: bool,
    marks: Vec<Mark>,
    after: Vec<Mark>,
    /// Frames that it sent, by kind.
    pub frames: [u64; KINDS],
    /// Copies that counted: of what was sent before the appliance's last start, or
    /// put off.
    pub late_copies: u64,
}

impl Hostile {
    /// The hostile machine of a rack.
    pub fn new(options: &Options) -> Self {
        let many = options.hostile_frames;
        let pause = if many.is_some() { BUSY_PAUSE } else { PAUSE };
        let times = (options.hours * HOUR / pause).max(1);
        Hostile {
            random: Random::new(options.seed, 2),
            heard: Vec::new(),
            last: 0,
            paths: Vec::new(),
            replies: Vec::new(),
            passed: 0,
            hears: if many.is_some() { 1 } else { HEARS },
            burst: many.map_or(FRAMES, |frames| frames.div_ceil(times)),
            pause,
            races: if many.is_some() { BUSY_RACES } else { RACES },
            impersonates: options.seed % 2 == 1,
            marks: Vec::new(),
            after: Vec::new(),
            frames: [0; KINDS],
            late_copies: 0,
        }
    }

    /// From now on it hears every frame.
    pub(crate) fn hears_all(&mut self) {
        self.hears = 1;
    }

    /// A frame has reached the appliance, in its start of that number.
    pub(crate) fn hears(&mut self, packet: &Packet, run: u32) {
        self.passed += 1;
        if !self.passed.is_multiple_of(self.hears) {
            return;
        }
        let place = (self.passed / self.hears) as usize % MEMORY;
        self.last = place.min(self.heard.len());
        match self.heard.get_mut(place) {
            Some(heard) => {
                heard.packet.copy_from(packet);
                heard.run = run;
                heard.put_off = false;
            }
            None => self.heard.push(Heard {
                packet: packet.clone(),
                run,
                put_off: false,
            }),
        }
    }

    /// The appliance has put off what was heard last.
    pub(crate) fn put_off(&mut self) {
        if self.passed.is_multiple_of(self.hears)
            && let Some(heard) = self.heard.get_mut(self.last)
        {
            heard.put_off = true;
        }
    }

    /// A machine has asked for a boot script.
    pub(crate) fn sees(&mut self, path: &str) {
        if self.paths.len() == MEMORY {
            self.paths.remove(0);
        }
        self.paths.push(path.to_owned());
    }

    /// A datagram goes to an agent.
    pub(crate) fn hears_reply(&mut self, packet: &Packet) {
        let place = (self.passed / self.hears) as usize % MEMORY;
        match self.replies.get_mut(place) {
            Some(reply) => reply.copy_from(packet),
            None => self.replies.push(packet.clone()),
        }
    }

    /// Whether it sends DHCP in the names of machines.
    pub(crate) fn impersonates(&self) -> bool {
        self.impersonates
    }

    fn count(&mut self, kind: Kind) {
        self.frames[kind as usize] += 1;
    }
}

/// What a hostile frame must leave as it is, of every node.
#[derive(Debug, Clone, PartialEq)]
struct Mark {
    state: ProvisionState,
    boot: u64,
    session: Option<(u32, u64)>,
    ticket: Option<[u8; 8]>,
    macs: usize,
    deadline: Option<u64>,
}

impl Mark {
    fn of(node: &Node) -> Self {
        let boot = &node.boot;
        let session = boot.session.as_ref();
        Mark {
            state: node.state,
            boot: boot.id.0,
            session: session.map(|session| (session.id().0, session.last_counter())),
            ticket: boot.ticket.map(|ticket| ticket.id.0),
            macs: node.macs.len(),
            deadline: node.deadline.map(|at| at.millis()),
        }
    }
}

impl Simulation {
    /// It strikes, and again after a while.
    pub(crate) fn hostile(&mut self) {
        if !self.faults.may(Fault::Hostile) {
            return;
        }
        let pause = self.hostile.pause;
        let pause = self.hostile.random.between(pause / 2, pause * 3 / 2);
        self.at(pause, Event::Hostile);
        self.strike_hostile(self.hostile.burst);
    }

    /// It sends so many frames now.
    pub(crate) fn strike_hostile(&mut self, frames: u64) {
        self.before_hostile();
        for _ in 0..frames {
            if self.appliance.is_down() || self.invariants.violation.is_some() {
                return;
            }
            let frame = match self.hostile.random.below(18) {
                0 => {
                    self.forge_reply();
                    continue;
                }
                1 => {
                    self.ask_for_file();
                    continue;
                }
                16 => {
                    self.ask_pxe();
                    continue;
                }
                17 => {
                    self.is_sighted();
                    continue;
                }
                2..=4 => self.stranger(),
                5 => self.nonsense(),
                6 | 7 => self.made_up_init(),
                8 if self.hostile.impersonates => self.impersonated(),
                _ => self.repeated(),
            };
            self.hostile_frame(&frame);
        }
    }

    /// What is due anyway is no work of a hostile frame. A step does so for one
    /// node.
    fn before_hostile(&mut self) {
        for _ in 0..=self.appliance.rack().nodes().len() {
            self.step(Input::Tick);
            if self.appliance.wake_at(self.now) > self.now {
                break;
            }
        }
        let nodes = self.appliance.rack().nodes().iter();
        self.hostile.marks.clear();
        self.hostile.marks.extend(nodes.map(Mark::of));
    }

    /// A machine sends a frame: now and then a changed one is there before it.
    pub(crate) fn race(&mut self, packet: &Packet) {
        let races = self.faults.may(Fault::Hostile) && !self.appliance.is_down();
        let hostile = &mut self.hostile;
        if !races || hostile.random.below(hostile.races) > 0 {
            return;
        }
        let frame = self.hostile.changed(packet.clone(), Kind::Raced);
        self.before_hostile();
        if !self.appliance.is_down() {
            self.hostile_frame(&frame);
        }
    }

    fn hostile_frame(&mut self, frame: &Frame) {
        self.faults.count(Fault::Hostile);
        self.hostile.count(frame.kind);
        let Some((network, vlan)) = self.place_of_others() else {
            return;
        };
        self.answers_by(vlan);
        let input = match &frame.packet {
            Packet::Dhcp(payload) => Input::Dhcp {
                network,
                from: frame.from,
                payload,
            },
            Packet::Agent(from, datagram) => Input::Agent {
                from: Endpoint { network, ..*from },
                datagram,
            },
        };
        self.takes(frame, input);
        if vlan != 0 {
            // What it says of where a machine is may move that machine's node on.
            match &frame.packet {
                Packet::Dhcp(_) => self.saw(frame.from, vlan, None),
                Packet::Agent(from, _) => self.saw(from.mac, vlan, Some(from.ip)),
            }
            self.before_hostile();
        }
        self.answers_by(0);
    }

    /// Nothing of a node is other than it was.
    fn compare(&mut self, frame: &Frame) {
        if self.appliance.is_down() {
            return;
        }
        let run = self.appliance.run();
        let hostile = &mut self.hostile;
        let nodes = self.appliance.rack().nodes().iter();
        hostile.after.clear();
        hostile.after.extend(nodes.map(Mark::of));
        if hostile.marks == hostile.after {
            return;
        }
        let copied = frame.copy.and_then(|place| hostile.heard.get_mut(place));
        if let Some(heard) = copied.filter(|heard| heard.run != run || heard.put_off) {
            // Of before a restart, or put off: once more, and no more than that.
            heard.run = run;
            heard.put_off = false;
            hostile.late_copies += 1;
            let changed = |(slot, mark): (usize, &Mark)| {
                (hostile.marks.get(slot) != Some(mark)).then_some(slot)
            };
            for slot in hostile.after.iter().enumerate().filter_map(changed) {
                self.invariants.lateness.heard(slot, self.now);
            }
            std::mem::swap(&mut hostile.marks, &mut hostile.after);
            return;
        }
        let before = hostile.marks.iter();
        let changed = before.zip(&hostile.after).find(|(a, b)| a != b);
        let text = format!("{ACCEPTED}: {frame:?}: {changed:?}");
        self.invariants.wrong(self.now, || text);
    }

    /// A datagram is answered to whoever sent it. A machine that says by DHCP
    /// that it is another than its interface's node gets no script of the node
    /// and no address that is reserved for it.
    fn check_answers(&mut self, frame: &Frame, effects: &[Outcome]) {
        for effect in effects {
            match (effect, &frame.packet) {
                (Outcome::Agent(to, _), Packet::Agent(from, _)) if to == from => {}
                (Outcome::Agent(to, _), _) => self.invariants.wrong(self.now, || {
                    format!("{to:?} is answered and did not ask: {frame:?}")
                }),
                (Outcome::Dhcp(_, reply), Packet::Dhcp(request)) => {
                    let rack = self.appliance.rack();
                    if let Ok(request) = Request::parse(request)
                        && let Some(what) = crate::invariants::gets_anothers(rack, &request, reply)
                    {
                        self.invariants.wrong(self.now, || what);
                    }
                }
                _ => {}
            }
        }
    }

    /// The place of a machine, or its own.
    fn somewhere(&mut self) -> Endpoint {
        let random = &mut self.hostile.random;
        let machine = self.machines.get(random.below(96) as usize);
        let (mac, ip) = machine.map_or((OWN, OWN_IP), |machine| (machine.mac(), machine.ip));
        Endpoint {
            network: NetworkId::PROVISIONING,
            mac,
            ip,
            port: crate::ramdisk::PORT,
        }
    }
}
