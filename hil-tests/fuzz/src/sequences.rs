//! Hostile DHCP messages, agent datagrams, requests for files and requests of
//! the API, in any order, against a rack whose machines are at work.
//!
//! The bytes are a script: an operation and its arguments, one after the other. Two
//! honest machines boot, are cleaned and report; a hostile one hears every
//! frame, forges any address and any field, changes and repeats what it heard. The
//! lab restores the rack from its records when it ends.
//!
//! What must hold: what the hostile machine does alone changes no node's state,
//! session, ticket or interface; an answer goes to whoever asked; a lease is
//! not given twice; a config drive goes to its node's address; a machine is
//! available only out of a cleaning in which its disks were certified.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use farrier_core::interface::NetworkId;
use farrier_core::node::flags::Flags;
use farrier_core::persist::record::Record;
use farrier_core::{Config, Endpoint, Input, Transport};
use farrier_dhcp::wire::{MessageType, Reply};
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::handler::RunnerPoll;
use farrier_protocol::message::{Mac, NodeId};
use farrier_testkit::GIB;
use farrier_testkit::agent::{Agent, ScriptedAgent};
use farrier_testkit::lab::Lab;
use farrier_testkit::machine::{Lease, dhcp_message, ipxe, mac_of};
use farrier_testkit::outcome::{Outcome, Served};

use crate::api;

/// Honest machines are 1 and 2; hostile ones have other numbers.
const HONEST: [u8; 2] = [1, 2];
/// Operations of a script at most.
const LONGEST: usize = 200;
/// Requests of an operator; `{}` is a node.
const REQUESTS: [&str; 6] = [
    "GET /v1/nodes/detail HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /farrier/v1/status HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /v1/ports HTTP/1.1\r\nHost: a\r\n\r\n",
    "DELETE /v1/nodes/rack-1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "PUT /v1/nodes/rack-1/states/power HTTP/1.1\r\nHost: a\r\nContent-Length: 19\r\n\r\n\
        {\"target\":\"reboot\"}",
    "POST /v1/nodes HTTP/1.1\r\nHost: a\r\nContent-Length: 36\r\n\r\n\
        {\"name\":\"rack-1\",\"driver\":\"farrier\"}",
];

/// UUIDs that DHCP messages claim: those of the honest machines, and others.
static UUIDS: [[u8; 17]; 4] = [uuid(1), uuid(2), uuid(3), [0; 17]];

const fn uuid(byte: u8) -> [u8; 17] {
    let mut uuid = [byte; 17];
    uuid[0] = 0;
    uuid
}

/// The script's bytes; zeroes behind its end.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }
}

/// What the hostile machine must not change in a node.
#[derive(Debug, PartialEq)]
struct Kept {
    id: NodeId,
    state: ProvisionState,
    macs: Vec<Mac>,
    session: Option<([u8; 32], [u8; 32])>,
    ticket: String,
    uuid: [u8; 16],
}

struct World {
    lab: Lab,
    agents: HashMap<u8, Agent>,
    /// Datagrams of agents that were on the wire, with their senders.
    datagrams: Vec<(Endpoint, Vec<u8>)>,
    /// DHCP messages that were on the wire.
    messages: Vec<Vec<u8>>,
    /// Paths that were asked for.
    paths: Vec<String>,
    /// Who has an address, and until when.
    leases: HashMap<Ipv4Addr, (Mac, u64)>,
    states: HashMap<NodeId, ProvisionState>,
}

/// Runs a script.
pub fn run(bytes: &[u8]) {
    let mut world = World {
        lab: Lab::new(),
        agents: HashMap::new(),
        datagrams: Vec::new(),
        messages: Vec::new(),
        paths: Vec::new(),
        leases: HashMap::new(),
        states: HashMap::new(),
    };
    for machine in HONEST {
        world.boot(machine);
        world.agent(machine, 2);
    }
    let mut script = Script(bytes);
    for _ in 0..LONGEST {
        if script.0.is_empty() {
            break;
        }
        world.happen(&mut script);
    }
    // After the last of it, known machines boot.
    world.lab.pass(1);
    for machine in HONEST {
        let known = world.lab.rack().nodes().iter();
        let known = known.clone().any(|n| n.macs.contains(&mac_of(machine)));
        assert!(
            world.boot(machine) || !known,
            "a known machine gets nothing"
        );
    }
}

impl World {
    /// A step's outcomes, after what must hold of every step.
    fn step(&mut self, input: Input<'_>) -> Vec<Outcome> {
        let outcomes = self.lab.step(input);
        self.look();
        for outcome in &outcomes {
            if let Outcome::Dhcp(_, bytes) = outcome {
                self.leased(bytes);
            }
        }
        outcomes
    }

    /// Reads the records of the last step.
    fn look(&mut self) {
        for bytes in self.lab.controller.records() {
            match postcard::from_bytes::<Record<'_>>(bytes).expect("its own record") {
                Record::State { node, state, .. } => {
                    let state = ProvisionState::from_number(state).expect("a state");
                    let before = self.states.insert(node, state);
                    if state == ProvisionState::Available {
                        assert_eq!(before, Some(ProvisionState::Cleaning));
                        let index = self.lab.rack().find(node).expect("a node");
                        assert!(self.lab.node(index).flags.contains(Flags::ERASED));
                    }
                }
                Record::Deleted { node } => {
                    self.states.remove(&node);
                }
                _ => {}
            }
        }
    }

    /// No address is given to one interface while another one has it.
    fn leased(&mut self, bytes: &[u8]) {
        self.messages.push(bytes.to_vec());
        let reply = Reply::parse(bytes).expect("a reply parses");
        if reply.message_type == MessageType::Nak {
            return;
        }
        let (mac, now) = (Mac(reply.chaddr), self.lab.now);
        if let Some((owner, until)) = self.leases.get(&reply.yiaddr) {
            assert!(*owner == mac || *until <= now, "{} twice", reply.yiaddr);
        }
        if reply.message_type == MessageType::Ack {
            let seconds = u64::from(reply.lease_secs.unwrap_or(0));
            self.leases
                .insert(reply.yiaddr, (mac, now + seconds * 1000));
        }
    }

    /// What the hostile machine must leave alone.
    fn kept(&self) -> Vec<Kept> {
        let nodes = self.lab.rack().nodes().iter();
        let known = nodes.filter(|node| !node.is_vacant());
        known
            .map(|node| Kept {
                id: node.id,
                state: node.state,
                macs: node.macs.iter().copied().collect(),
                session: node.boot.session.as_ref().map(|session| {
                    let (requests, replies) = session.keys();
                    (*requests, *replies)
                }),
                ticket: format!("{:?}", node.boot.ticket),
                uuid: node.system_uuid,
            })
            .collect()
    }

    /// A step of the hostile machine.
    fn hostile(&mut self, input: Input<'_>) -> Vec<Outcome> {
        // What is due anyway happens before.
        self.step(Input::Tick);
        let (before, sender) = (self.kept(), input.clone());
        let outcomes = self.step(input);
        assert_eq!(self.kept(), before, "by {sender:?}");
        for outcome in &outcomes {
            match (outcome, &sender) {
                (Outcome::Agent(to, _), Input::Agent { from, .. }) => assert_eq!(to, from),
                (Outcome::Serve(served), Input::Open { peer, .. }) => self.served(served, *peer),
                (Outcome::Dhcp(..), Input::Dhcp { .. }) | (Outcome::Power(..), _) => {}
                (other, sender) => panic!("{other:?} because of {sender:?}"),
            }
        }
        outcomes
    }

    fn served(&self, served: &Served, peer: Ipv4Addr) {
        match served {
            Served::Slot(slot, ..) => assert_eq!(self.lab.node(*slot).address, peer),
            Served::Text(script) => {
                let (owner, _) = self.leases.get(&peer).expect("a script without a lease");
                let [a, b, c, d, e, f] = owner.0;
                let mac = format!("{a:02x}-{b:02x}-{c:02x}-{d:02x}-{e:02x}-{f:02x}");
                assert!(!script.contains("farrier.ticket") || script.contains(&mac));
            }
            Served::Asset(_) | Served::NotFound | Served::Busy => {}
        }
    }

    fn dhcp(&mut self, machine: u8, kind: MessageType, offer: Option<&Lease>) -> Option<Lease> {
        let payload = dhcp_message(kind, mac_of(machine), |request| {
            ipxe(request);
            request.requested_ip = offer.map(|offer| offer.address);
            request.server_id = offer.map(|_| Config::default().address);
        });
        self.messages.push(payload.clone());
        let outcomes = self.step(Input::Dhcp {
            network: NetworkId::PROVISIONING,
            from: mac_of(machine),
            payload: &payload,
        });
        outcomes.into_iter().find_map(|outcome| match outcome {
            Outcome::Dhcp(_, bytes) => Lease::parse(&bytes),
            _ => None,
        })
    }

    /// An honest machine's boot, up to a script. Returns whether it got an address.
    fn boot(&mut self, machine: u8) -> bool {
        self.lab.now += 1;
        let Some(offer) = self.dhcp(machine, MessageType::Discover, None) else {
            return false;
        };
        let lease = self.dhcp(machine, MessageType::Request, Some(&offer));
        let Some(lease) = lease.filter(|lease| lease.kind == MessageType::Ack) else {
            return false;
        };
        if !lease.file.as_deref().unwrap_or_default().contains("http") {
            return true;
        }
        let path = lease.script().to_owned();
        self.paths.push(path.clone());
        if let Served::Text(script) = self.lab.open(lease.address, &path) {
            let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid([machine; 16]);
            let salt = self.datagrams.len() as u8;
            match Agent::new(machine, lease.address, &script, salt, scripted) {
                Some(agent) => self.agents.insert(machine, agent),
                None => self.agents.remove(&machine),
            };
        }
        true
    }

    /// An honest agent goes on for some seconds, heard by the hostile machine.
    fn agent(&mut self, machine: u8, seconds: u64) {
        let Some(mut agent) = self.agents.remove(&machine) else {
            return;
        };
        let end = self.lab.now + seconds * 1000;
        while self.lab.now < end && !agent.over {
            match agent.driver.poll(self.lab.now) {
                RunnerPoll::Transmit(datagram) => {
                    let (from, datagram) = (agent.endpoint, datagram.to_vec());
                    self.datagrams.push((from, datagram.clone()));
                    for outcome in self.step(Input::Agent {
                        from,
                        datagram: &datagram,
                    }) {
                        if let Outcome::Agent(to, reply) = outcome {
                            assert_eq!(to, from);
                            agent.driver.process(self.lab.now, &reply);
                            self.datagrams.push((from, reply));
                        }
                    }
                }
                RunnerPoll::Until(_) => {
                    self.lab.now += 100;
                    self.step(Input::Tick);
                }
                RunnerPoll::Over => agent.over = true,
            }
        }
        if !agent.over {
            self.agents.insert(machine, agent);
        }
    }

    /// An address of the network, often one in use.
    fn address(&self, byte: u8) -> Ipv4Addr {
        let mut used: Vec<_> = self.leases.keys().copied().collect();
        used.sort_unstable();
        match used.get(usize::from(byte)) {
            Some(address) => *address,
            None => Ipv4Addr::new(172, 22, 0, byte),
        }
    }

    fn happen(&mut self, script: &mut Script<'_>) {
        match script.byte() % 13 {
            0..=2 => self.forged_dhcp(script),
            3 => {
                let mut bytes = match self.messages.get(usize::from(script.byte())) {
                    Some(message) => message.clone(),
                    None => script.bytes().to_vec(),
                };
                change(&mut bytes, script);
                self.given_up(&bytes);
                let from = mac_of(script.byte() % 8);
                self.hostile(Input::Dhcp {
                    network: NetworkId::PROVISIONING,
                    from,
                    payload: &bytes,
                });
            }
            4..=6 => {
                let which = usize::from(script.byte()) % self.datagrams.len().max(1);
                let heard = self.datagrams.get(which).cloned();
                let (mut from, mut bytes) = match (script.byte() % 4, heard) {
                    (0, _) | (_, None) => (self.endpoint(script), script.bytes().to_vec()),
                    (1, Some((_, bytes))) => (self.endpoint(script), bytes),
                    (_, Some(heard)) => heard,
                };
                if script.byte() & 1 == 1 {
                    from.port = u16::from(script.byte()) << 4;
                }
                change(&mut bytes, script);
                self.hostile(Input::Agent {
                    from,
                    datagram: &bytes,
                });
            }
            7 => {
                let path = match self.paths.get(usize::from(script.byte())) {
                    Some(path) => path.clone(),
                    None => String::from_utf8_lossy(script.bytes()).into_owned(),
                };
                let peer = self.address(script.byte());
                let transport = match script.byte() & 1 {
                    0 => Transport::Http,
                    _ => Transport::Tftp,
                };
                self.hostile(Input::Open {
                    network: NetworkId::PROVISIONING,
                    transport,
                    peer,
                    path: &path,
                });
            }
            8 => {
                let which = usize::from(script.byte());
                let request = match REQUESTS.get(which) {
                    Some(request) => request.as_bytes(),
                    None => script.bytes(),
                };
                api::give(&mut self.lab, request);
                self.look();
            }
            9 => {
                let seconds = script.byte();
                for _ in 0..seconds % 64 {
                    self.lab.now += if seconds > 128 { 20_000 } else { 500 };
                    self.step(Input::Tick);
                }
            }
            10 => self.agent(1 + script.byte() % 2, 3),
            11 => {
                self.boot(1 + script.byte() % 2);
            }
            _ => {
                let (whom, how) = (script.byte(), script.byte());
                let count = self.lab.rack().nodes().len();
                let whom = usize::from(whom) % count.max(1);
                if how == 255 {
                    self.lab.restart(0);
                } else if count > 0 && !self.lab.node(whom).is_vacant() {
                    let verb = Verb::ALL[usize::from(how) % Verb::ALL.len()];
                    let _taken_or_not = self.lab.verb(whom, verb);
                    self.look();
                }
            }
        }
    }

    fn endpoint(&self, script: &mut Script<'_>) -> Endpoint {
        Endpoint {
            network: NetworkId::PROVISIONING,
            mac: mac_of(script.byte() % 8),
            ip: self.address(script.byte()),
            port: 8471,
        }
    }

    fn forged_dhcp(&mut self, script: &mut Script<'_>) {
        let kinds = [
            MessageType::Discover,
            MessageType::Request,
            MessageType::Decline,
            MessageType::Release,
            MessageType::Inform,
        ];
        let kind = kinds[usize::from(script.byte()) % kinds.len()];
        let (mac, fields) = (mac_of(script.byte() % 32), script.byte());
        let address = self.address(script.byte());
        let uuid: &'static [u8; 17] = &UUIDS[usize::from(script.byte()) % UUIDS.len()];
        let payload = dhcp_message(kind, mac, |request| {
            if fields & 1 == 0 {
                ipxe(request);
            }
            request.requested_ip = (fields & 2 == 0).then_some(address);
            request.server_id = (fields & 4 == 0).then_some(Config::default().address);
            request.machine_id = (fields & 8 != 0).then_some(uuid);
            if fields & 16 != 0 {
                request.ciaddr = address;
            }
            if fields & 32 != 0 {
                request.giaddr = address;
            }
        });
        self.given_up(&payload);
        // The frame's source may be another.
        let from = match fields & 64 {
            0 => mac,
            _ => mac_of(fields % 8),
        };
        self.hostile(Input::Dhcp {
            network: NetworkId::PROVISIONING,
            from,
            payload: &payload,
        });
    }

    /// Whoever forges a machine's DECLINE or RELEASE gives up its lease: DHCP
    /// has no proof of who speaks.
    fn given_up(&mut self, payload: &[u8]) {
        use farrier_dhcp::wire::Request;
        if let Ok(request) = Request::parse(payload)
            && matches!(
                request.message_type,
                MessageType::Decline | MessageType::Release | MessageType::Request
            )
        {
            let mac = Mac(request.chaddr);
            self.leases.retain(|_, (owner, _)| *owner != mac);
        }
    }
}

/// Changes bytes as the script says, or leaves them.
fn change(bytes: &mut Vec<u8>, script: &mut Script<'_>) {
    match script.byte() % 4 {
        1 => {
            let (at, value) = (usize::from(script.byte()), script.byte());
            let length = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at % length) {
                *byte ^= value;
            }
        }
        2 => {
            let length = usize::from(script.byte()) % (bytes.len() + 1);
            bytes.truncate(length);
        }
        3 => bytes.extend_from_slice(script.bytes()),
        _ => {}
    }
}

/// Scripts in which everything happens.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    // Manage and provide are among the verbs; machine 1 boots and is cleaned.
    let mut work = Vec::new();
    for verb in 0..Verb::ALL.len() as u8 {
        work.extend([12, 0, verb, 11, 0, 10, 0, 10, 0, 4, verb, 2, 0, 0]);
    }
    let mut flood = Vec::new();
    for stranger in 3..30 {
        flood.extend([0, 0, stranger, 0, 40 + stranger, 0]);
        flood.extend([0, 1, stranger, 0, 0, 0, 9, 1]);
    }
    let mut replays = Vec::new();
    for which in 0..30 {
        replays.extend([
            4, which, 2, 0, 0, 5, which, 1, 3, 0, 0, 0, 6, which, 2, 0, 1, 9, 1,
        ]);
    }
    let files = vec![
        7, 0, 0, 0, 7, 0, 1, 0, 7, 0, 0, 1, 7, 255, 4, b'b', b'o', b'o', b't', 0, 0,
    ];
    let operator = vec![8, 5, 8, 0, 8, 1, 8, 4, 8, 3, 12, 0, 255, 9, 200, 10, 1];
    vec![
        ("work", work),
        ("flood", flood),
        ("replays", replays),
        ("files", files),
        ("operator", operator),
    ]
}
