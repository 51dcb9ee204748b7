//! A rack without wires: the brain, and machines whose agents speak the
//! real protocol to it. Time is a number that the test moves.

mod durable;
mod machine;

pub use durable::durable;
pub use machine::*;

use farrier_core::interface::Image;
use farrier_core::interface::{Actor, NetworkId};
use farrier_core::node::flags::AdminFlag;
use farrier_core::node::{InstanceInfo, Node};
use farrier_core::persist::record::{MAX_RECORD, Record};
use farrier_core::rack::Entropy;
use farrier_core::{
    Command, Config, Effect, Effects, Endpoint, Identity, Input, Instant, Rack, Serve, Transport,
};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_lifecycle::{State, Verb};
use farrier_protocol::handler::RunnerPoll;
use std::net::Ipv4Addr;

pub type TestRack = Rack<8, 16, 16>;

/// A generator that repeats: tests must be the same every time.
pub struct Xorshift(pub u64);

impl Entropy for Xorshift {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *byte = (self.0 >> 32) as u8;
        }
    }
}

pub const IDENTITY: Identity = Identity {
    noise: [3; 32],
    signing: [4; 32],
};
pub const GIB: u64 = 1 << 30;

/// An owned copy of what the tests look at.
#[derive(Debug, Clone, PartialEq)]
pub enum Did {
    Record,
    Dhcp(Vec<u8>),
    Agent(Endpoint, Vec<u8>),
    Keep(usize, Vec<u8>),
    Text(String),
    Asset(String),
    Slot(usize, u32),
    NotFound,
    Power,
    Answer(Result<(), String>),
}

pub struct Lab {
    pub rack: Box<TestRack>,
    pub out: Box<Effects>,
    pub entropy: Xorshift,
    pub now: u64,
    /// Everything that was written down, in its order.
    pub records: Vec<Vec<u8>>,
}

impl Drop for Lab {
    /// However a test ends: what was written down is what there is.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check_records();
        }
    }
}

/// Who tries thousands of bugs wants to know of each whether a test fails, and
/// not which: with `FARRIER_FIRST_FAILURE` set, the first one ends the program.
fn end_at_first_failure() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("FARRIER_FIRST_FAILURE").is_some() {
            std::panic::set_hook(Box::new(|panic| {
                eprintln!("{panic}");
                std::process::exit(101);
            }));
        }
    });
}

impl Lab {
    pub fn new() -> Self {
        end_at_first_failure();
        let mut lab = Lab {
            rack: Box::new(Rack::new()),
            out: Box::new(Effects::new()),
            entropy: Xorshift(88_172_645_463_325_252),
            now: 1000,
            records: Vec::new(),
        };
        lab.rack
            .configure(Config::default(), &IDENTITY, &mut lab.entropy)
            .unwrap();
        lab.learn_image();
        lab
    }

    /// The rack knows this from before a restart.
    pub fn restore(&mut self, record: &Record<'_>) {
        let mut room = [0; MAX_RECORD];
        let bytes = postcard::to_slice(record, &mut room).unwrap().to_vec();
        let now = Instant::from_millis(self.now);
        assert!(self.rack.restore(now, &bytes));
        self.records.push(bytes);
    }

    /// A step, whose outputs stay in `out`.
    pub fn step_quietly(&mut self, input: Input<'_>) {
        self.rack.step(
            Instant::from_millis(self.now),
            input,
            &mut self.entropy,
            &mut self.out,
        );
        assert_eq!(self.out.lost(), 0, "an output found no room");
        self.records.extend(self.out.records().map(<[u8]>::to_vec));
    }

    pub fn step(&mut self, input: Input<'_>) -> Vec<Did> {
        self.step_quietly(input);
        self.out
            .iter()
            .map(|output| match output {
                Effect::Record(_) => Did::Record,
                Effect::Dhcp { payload, .. } => Did::Dhcp(payload.to_vec()),
                Effect::Agent { to, datagram } => Did::Agent(to, datagram.to_vec()),
                Effect::StoreStatement {
                    slot, statement, ..
                } => Did::Keep(slot, self.rack.statement(statement).to_vec()),
                Effect::Serve(Serve::Text(text)) => {
                    Did::Text(String::from_utf8(text.to_vec()).unwrap())
                }
                Effect::Serve(Serve::Asset(name)) => Did::Asset(name.to_owned()),
                Effect::Serve(Serve::Slot { slot, len, .. }) => Did::Slot(slot, len),
                Effect::Serve(_) => Did::NotFound,
                Effect::Power { .. } => Did::Power,
                Effect::Answer(answer) => Did::Answer(answer.map_err(|e| format!("{e:?}"))),
            })
            .collect()
    }

    /// The appliance starts again; so many steps' records were lost.
    pub fn restart(&mut self, lost: u32) {
        self.check_sweeps();
        self.restart_with_what_is_left(lost);
    }

    /// The same with records that may be fewer than were written.
    pub fn restart_with_what_is_left(&mut self, lost: u32) {
        let records = std::mem::take(&mut self.records);
        let mut rack = self.started(records.iter().map(Vec::as_slice));
        rack.restored(Instant::from_millis(self.now), 2, lost);
        self.rack = rack;
        self.records = records;
        self.learn_image();
    }

    fn learn_image(&mut self) {
        self.step(Input::Image(&Image {
            name: "debian12".try_into().unwrap(),
            version: 1,
            raw_size: GIB,
            root: [9; 32],
            manifest_path: "/images/debian12/manifest".try_into().unwrap(),
            data_path: "/images/debian12/data".try_into().unwrap(),
        }));
    }

    /// Lets time pass in seconds, with the ticks that the glue owes.
    pub fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1000;
            self.step(Input::Tick);
        }
    }

    pub fn node(&self, index: usize) -> &Node {
        &self.rack.nodes()[index]
    }

    pub fn state(&self, index: usize) -> State {
        self.node(index).state
    }

    pub fn verb(&mut self, index: usize, verb: Verb) -> Result<(), String> {
        let node = self.node(index).id;
        self.operator(Command::Provision {
            node,
            verb,
            config_drive: None,
        })
    }

    /// An operator sets a mark on the first node, or takes it away.
    pub fn mark(&mut self, mark: AdminFlag, on: bool, reason: &str) -> Result<(), String> {
        let node = self.node(0).id;
        self.operator(Command::SetAdminFlag {
            node,
            mark,
            on,
            reason,
        })
    }

    pub fn set_image(&mut self, index: usize, image: &str) -> Result<(), String> {
        let node = self.node(index).id;
        self.operator(Command::SetInstanceInfo {
            node,
            info: InstanceInfo {
                image_source: image.try_into().unwrap(),
                ..InstanceInfo::default()
            },
        })
    }

    pub fn operator(&mut self, operator: Command<'_>) -> Result<(), String> {
        self.step(Input::Command {
            actor: Actor::OPERATOR,
            command: operator,
        })
        .into_iter()
        .find_map(|did| match did {
            Did::Answer(answer) => Some(answer),
            _ => None,
        })
        .expect("every wish is answered")
    }

    /// A whole DHCP exchange; what the machine was told.
    pub fn dhcp(&mut self, mac: u8, shape: impl Fn(&mut Request<'_>)) -> Option<Lease> {
        let offer = self.dhcp_message(MessageType::Discover, mac, |r| shape(r))?;
        self.dhcp_message(MessageType::Request, mac, |r| {
            shape(r);
            r.requested_ip = Some(offer.address);
            r.server_id = Some(Config::default().address);
        })
    }

    pub fn dhcp_message(
        &mut self,
        kind: MessageType,
        mac: u8,
        shape: impl FnOnce(&mut Request<'_>),
    ) -> Option<Lease> {
        let mac = mac_of(mac);
        let mut request = Request::new(kind, 7, mac.0);
        shape(&mut request);
        let mut buf = [0; 600];
        let len = request.emit(&mut buf).unwrap();
        let did = self.step(Input::Dhcp {
            network: NetworkId::PROVISIONING,
            from: mac,
            payload: &buf[..len],
        });
        did.into_iter().find_map(|did| match did {
            Did::Dhcp(bytes) => {
                let reply = Reply::parse(&bytes).unwrap();
                Some(Lease {
                    kind: reply.message_type,
                    address: reply.yiaddr,
                    file: reply
                        .boot_file
                        .map(|f| String::from_utf8(f.to_vec()).unwrap()),
                    class: reply.class_id.map(<[u8]>::to_vec),
                })
            }
            _ => None,
        })
    }

    pub fn open(&mut self, peer: Ipv4Addr, path: &str) -> Did {
        self.step(Input::Open {
            network: NetworkId::PROVISIONING,
            transport: Transport::Http,
            peer,
            path,
        })
        .into_iter()
        .find(|did| !matches!(did, Did::Record | Did::Power))
        .expect("every question for a file is answered")
    }

    /// A network boot by iPXE up to the script.
    pub fn boot(&mut self, mac: u8) -> (Ipv4Addr, String) {
        let lease = self.dhcp(mac, ipxe).expect("a lease");
        assert_eq!(lease.file.as_deref(), Some("http://172.22.0.1/boot.ipxe"));
        match self.open(lease.address, "boot.ipxe") {
            Did::Text(script) => (lease.address, script),
            other => panic!("no script but {other:?}"),
        }
    }

    /// A network boot up to an agent with a session.
    pub fn start_agent(&mut self, mac: u8, hands: Hands) -> Agent {
        let (address, script) = self.boot(mac);
        let mut agent = Agent::new(mac, address, &script, hands);
        self.run(&mut agent, 1);
        assert!(agent.driver.handler().welcome.is_some(), "no session");
        agent
    }

    /// Lets an agent and the appliance talk for some seconds.
    pub fn run(&mut self, agent: &mut Agent, seconds: u64) {
        let end = self.now + seconds * 1000;
        while self.now < end && !agent.over {
            match agent.driver.poll(self.now) {
                RunnerPoll::Transmit(datagram) => {
                    let datagram = datagram.to_vec();
                    for did in self.step(Input::Agent {
                        from: agent.endpoint,
                        datagram: &datagram,
                    }) {
                        if let Did::Agent(to, reply) = did {
                            assert_eq!(to, agent.endpoint);
                            agent.driver.process(self.now, &reply);
                        }
                    }
                }
                RunnerPoll::Until(_) => {
                    self.now += 100;
                    self.step(Input::Tick);
                }
                RunnerPoll::Over => agent.over = true,
            }
            agent.over |= agent.driver.handler().left.is_some();
        }
        if self.now < end {
            self.now = end;
            // The tick that the glue owes by then: what is due happens now,
            // and not with whatever comes next.
            self.step(Input::Tick);
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    pub kind: MessageType,
    pub address: Ipv4Addr,
    pub file: Option<String>,
    pub class: Option<Vec<u8>>,
}

/// A lab with one node that is `available`, and its idle agent.
pub fn available_with(disks: &[u64]) -> (Lab, Agent) {
    let mut lab = Lab::new();
    let mut agent = lab.start_agent(1, Hands::with_disks(disks));
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), State::Available, "{}", lab.node(0).last_error);
    (lab, agent)
}

/// The same once it is `active`.
pub fn active_lab() -> Lab {
    let (mut lab, mut agent) = available_with(&[8 * GIB]);
    lab.set_image(0, "debian12").unwrap();
    lab.verb(0, Verb::Active).unwrap();
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), State::Active, "{}", lab.node(0).last_error);
    lab
}

/// Looks whether the nodes' identities are those of RFC 9562, version 4 and
/// variant 10, and random in what is not said by that.
pub fn check_identities(lab: &Lab) {
    let all: Vec<[u8; 16]> = lab.rack.nodes().iter().map(|node| node.id.0).collect();
    assert!(all.len() >= 8);
    for id in &all {
        assert_eq!((id[6] >> 4, id[8] >> 6), (4, 2), "{id:?}");
    }
    for (place, fixed) in [(6, 0x40), (8, 0x80)] {
        let first = all[0][place];
        assert!(all.iter().any(|id| id[place] != first));
        assert!(all.iter().any(|id| id[place] != fixed));
    }
}
