//! A hostile machine on the provisioning network. It hears every frame that
//! reaches the appliance or a machine, forges any address and any field, changes
//! and repeats what it heard, races, and floods as many strangers.
//!
//! It has no key and no ticket. Nothing that it sends may change a session, a
//! boot, a ticket, an interface or a deadline of any node, and no script with a
//! ticket, no handshake's response and no config drive may go to a place that is
//! not the node's. What it repeats exactly may be answered again.
//!
//! Left out, for DHCP has no proof of who speaks: messages under another
//! machine's address. They can end its lease, and where no address is free, a
//! client that says another identity gets the one of its own interface. A machine that reads a ticket off the wire and
//! uses it at its owner's place is the fault `ticket-thief`.

use core::net::Ipv4Addr;

use farrier_core::interface::NetworkId;
use farrier_core::rack::Entropy as _;
use farrier_core::{Endpoint, Input, Transport};
use farrier_dhcp::wire::{MessageType, Request};
use farrier_protocol::message::Mac;
use farrier_protocol::wire::Datagram;
use farrier_testkit::Random;
use farrier_testkit::outcome::{Outcome, Served};

use crate::appliance::Appliance;
use crate::faults::Fault;
use crate::network::Packet;
use crate::simulation::{Event, HOUR, Simulation};

/// Frames that it remembers.
const MEMORY: usize = 128;
/// It strikes that often, on average, in milliseconds.
const PAUSE: u64 = 120_000;
/// Frames that it sends each time where no number is asked for.
const FRAMES: u64 = 6;
/// Its own address, and the start of those that it makes up.
const OWN: Mac = Mac([0x66, 0, 0, 0, 0, 201]);
const OWN_IP: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 241);
const AGENT_PORT: u16 = 40_000;

/// What it knows and what it did.
#[derive(Debug)]
pub struct Hostile {
    /// Its own source: without it, everything else stays as it is.
    random: Random,
    /// Frames that reached the appliance, with their senders.
    heard: Vec<(Mac, Packet)>,
    /// Paths of boot scripts.
    paths: Vec<String>,
    /// Datagrams that went to agents.
    replies: Vec<Packet>,
    next: usize,
    /// Frames each time.
    burst: u64,
    /// Frames that it sent.
    pub frames: u64,
}

impl Hostile {
    /// It sends so many frames in so many hours; `None` for a few.
    pub fn new(seed: u64, frames: Option<u64>, hours: u64) -> Self {
        let times = (hours * HOUR / PAUSE).max(1);
        Hostile {
            random: Random::new(seed, 2),
            heard: Vec::new(),
            paths: Vec::new(),
            replies: Vec::new(),
            next: 0,
            burst: frames.map_or(FRAMES, |frames| frames.div_ceil(times)),
            frames: 0,
        }
    }

    /// A frame has reached the appliance.
    pub(crate) fn hears(&mut self, from: Mac, packet: &Packet) {
        self.next = (self.next + 1) % MEMORY;
        match self.heard.get_mut(self.next) {
            Some(place) => *place = (from, packet.clone()),
            None => self.heard.push((from, packet.clone())),
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
        if self.replies.len() == MEMORY {
            self.replies.swap_remove(self.next);
        }
        self.replies.push(packet.clone());
    }

    /// A change of bytes that leaves none of their meanings sure.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        let random = &mut self.random;
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.push(random.word() as u8),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
}

/// What a hostile frame must leave as it is, of every node.
#[derive(Debug, Clone, PartialEq)]
struct Mark {
    boot: u64,
    session: Option<(u32, u64)>,
    ticket: Option<[u8; 8]>,
    macs: usize,
    deadline: Option<u64>,
}

fn marks(appliance: &Appliance, exact: bool, into: &mut Vec<Mark>) {
    into.clear();
    into.extend(appliance.rack().nodes().iter().map(|node| {
        let boot = &node.boot;
        let counter = |counter| if exact { 0 } else { counter };
        Mark {
            boot: boot.id.0,
            session: boot
                .session
                .as_ref()
                .map(|session| (session.id().0, counter(session.last_counter()))),
            ticket: boot.ticket.map(|ticket| ticket.id.0),
            macs: node.macs.len(),
            deadline: node.deadline.map(|at| at.millis()).filter(|_| !exact),
        }
    }));
}

impl Simulation {
    /// It strikes, and again after a while.
    pub(crate) fn hostile(&mut self) {
        if !self.faults.may(Fault::Hostile) {
            return;
        }
        let pause = self.hostile.random.between(PAUSE / 2, PAUSE * 3 / 2);
        self.at(pause, Event::Hostile);
        // What is due anyway is no work of a hostile frame.
        self.step(Input::Tick);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for _ in 0..self.hostile.burst {
            if self.appliance.is_down() || self.invariants.violation.is_some() {
                return;
            }
            self.faults.count(Fault::Hostile);
            self.hostile.frames += 1;
            self.hostile_frame(&mut before, &mut after);
        }
    }

    fn hostile_frame(&mut self, before: &mut Vec<Mark>, after: &mut Vec<Mark>) {
        let choice = self.hostile.random.below(16);
        match choice {
            0 => return self.forge_reply(),
            1 => return self.ask_for_script(),
            _ => {}
        }
        let (from, packet, exact) = match choice {
            2..=4 => self.stranger(),
            5 => self.nonsense(),
            6..=8 => self.made_up_init(),
            _ => self.repeated(choice < 11),
        };
        marks(&self.appliance, exact, before);
        let sent = match &packet {
            Packet::Dhcp(payload) => self.hostile_step(Input::Dhcp {
                network: NetworkId::PROVISIONING,
                from,
                payload,
            }),
            Packet::Agent(from, datagram) => self.hostile_step(Input::Agent {
                from: *from,
                datagram,
            }),
        };
        if !sent {
            return;
        }
        marks(&self.appliance, exact, after);
        if before != after {
            let changed = before.iter().zip(after.iter()).find(|(a, b)| a != b);
            let text = format!("a hostile frame was accepted: {packet:?}: {changed:?}");
            self.invariants.wrong(self.now, || text);
        }
    }

    /// Takes a hostile input. Whether the appliance has done so.
    fn hostile_step(&mut self, input: Input<'_>) -> bool {
        let asker = match &input {
            Input::Agent { from, .. } => Some(*from),
            _ => None,
        };
        let mut effects = Vec::new();
        self.invariants.input(&input);
        self.appliance.step(self.now, input, &mut effects);
        for effect in &effects {
            if let Outcome::Agent(to, datagram) = effect {
                self.check_answer(asker, *to, datagram);
            }
        }
        self.carry_out(effects);
        !self.appliance.is_down()
    }

    /// An answer goes to whoever asked, and a handshake's response to no other
    /// place than its node's.
    fn check_answer(&mut self, asker: Option<Endpoint>, to: Endpoint, datagram: &[u8]) {
        if asker != Some(to) {
            self.invariants
                .wrong(self.now, || format!("{to:?} is answered and did not ask"));
        }
        if let Ok(Datagram::Response { .. }) = Datagram::parse(datagram) {
            let mut nodes = self.appliance.rack().nodes().iter();
            let own = nodes.any(|node| {
                node.boot.ticket.is_some_and(|ticket| {
                    ticket.place.mac == to.mac && ticket.place.address == to.ip.octets()
                })
            });
            if !own {
                self.invariants.wrong(self.now, || {
                    format!("{to:?} gets a session that is another machine's")
                });
            }
        }
    }

    /// One of very many machines that were never seen.
    fn stranger(&mut self) -> (Mac, Packet, bool) {
        let random = &mut self.hostile.random;
        let [a, b, c, ..] = random.bytes::<8>();
        let mac = Mac([0x66, 1, a, b, c, 0]);
        let kind = match random.below(3) {
            0 => MessageType::Request,
            _ => MessageType::Discover,
        };
        let mut request = Request::new(kind, random.word() as u32, mac.0);
        if random.below(2) == 0 {
            request.user_class = Some(b"iPXE");
            request.class_id = Some(b"PXEClient:Arch:00000:UNDI:002001");
        }
        if kind == MessageType::Request {
            request.requested_ip = Some(Ipv4Addr::new(172, 22, 0, random.word() as u8));
        }
        if random.below(16) == 0 {
            // A relay that nobody has configured.
            request.giaddr = Ipv4Addr::new(172, 22, 0, random.word() as u8);
        }
        let mut buffer = [0; 600];
        let length = request.emit(&mut buffer).unwrap_or(0);
        (mac, Packet::Dhcp(buffer[..length].to_vec()), false)
    }

    fn nonsense(&mut self) -> (Mac, Packet, bool) {
        let random = &mut self.hostile.random;
        let length = random.below(400) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| random.word() as u8).collect();
        if let Some(kind) = bytes.first_mut() {
            *kind %= 8;
        }
        match random.below(2) {
            0 => (OWN, Packet::Dhcp(bytes), false),
            _ => (OWN, Packet::Agent(self.somewhere(), bytes), false),
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
            port: AGENT_PORT,
        }
    }

    /// A handshake at a machine's place, with the identifier of a fresh ticket and
    /// a guessed MAC.
    fn made_up_init(&mut self) -> (Mac, Packet, bool) {
        let from = self.somewhere();
        let clock = self.appliance.clock(self.now).millis() as u32;
        let run = self.appliance.run();
        let random = &mut self.hostile.random;
        let mut bytes = vec![0x5a; 240];
        random.fill(&mut bytes);
        let at = clock.wrapping_sub(random.below(600_000) as u32);
        bytes[0] = 1;
        bytes[1..3].copy_from_slice(&((run & 0xffff) as u16).to_be_bytes());
        bytes[3..7].copy_from_slice(&at.to_be_bytes());
        (from.mac, Packet::Agent(from, bytes), false)
    }

    /// What was heard, as it was or changed, from its sender or another place.
    fn repeated(&mut self, exact: bool) -> (Mac, Packet, bool) {
        let which = self.hostile.random.below(MEMORY as u64) as usize;
        let Some((_, packet)) = self.hostile.heard.get(which).cloned() else {
            return self.nonsense();
        };
        match packet {
            Packet::Dhcp(mut bytes) => {
                // Under its own address: see the module.
                self.hostile.change(&mut bytes);
                (OWN, Packet::Dhcp(bytes), false)
            }
            Packet::Agent(from, datagram) if exact => {
                let from = match self.hostile.random.below(2) {
                    0 => from,
                    _ => self.somewhere(),
                };
                (from.mac, Packet::Agent(from, datagram), true)
            }
            Packet::Agent(from, mut datagram) => {
                self.hostile.change(&mut datagram);
                (from.mac, Packet::Agent(from, datagram), false)
            }
        }
    }

    /// A datagram to an agent that is not the appliance's, or not for now.
    fn forge_reply(&mut self) {
        let hostile = &mut self.hostile;
        let which = hostile.random.below(hostile.replies.len() as u64) as usize;
        let Some(Packet::Agent(to, mut datagram)) = hostile.replies.get(which).cloned() else {
            return;
        };
        if hostile.random.below(4) > 0 {
            hostile.change(&mut datagram);
        }
        if let Some(index) = self.owner(to.mac) {
            self.at(1, Event::Down(index, Packet::Agent(to, datagram)));
        }
    }

    /// Asks for the script of another machine.
    fn ask_for_script(&mut self) {
        let hostile = &mut self.hostile;
        let Some(path) = hostile.random.choose(&hostile.paths).cloned() else {
            return;
        };
        let transport = match hostile.random.below(2) {
            0 => Transport::Http,
            _ => Transport::Tftp,
        };
        let mut effects = Vec::new();
        let served = self
            .appliance
            .open(self.now, transport, OWN_IP, &path, &mut effects);
        self.carry_out(effects);
        if !matches!(served, Served::NotFound | Served::Busy) {
            let text = format!("a stranger is served {path}: {served:?}");
            self.invariants.wrong(self.now, || text);
        }
    }

    /// A known machine that asks for an address is offered one, however many
    /// strangers ask. To be called before the step that takes the message.
    pub(crate) fn expects_offer(&mut self, from: Mac, payload: &[u8]) {
        let Ok(request) = Request::parse(payload) else {
            return;
        };
        let whole = request.message_type == MessageType::Discover
            && request.giaddr.is_unspecified()
            && request.chaddr == from.0;
        let mut nodes = self.appliance.rack().nodes().iter();
        if whole && nodes.any(|node| node.macs.contains(&from)) {
            self.invariants.expects_offer(from);
        }
    }
}
