//! A rack without wires: the brain, and machines whose agents speak the
//! real protocol to it. Time is a number that the test moves.

use farrier_core::flags::Mark;
use farrier_core::input::Image;
use farrier_core::node::{InstanceInfo, Node};
use farrier_core::rack::Entropy;
use farrier_core::record::{ERROR_KEPT, MAX_RECORD, Record};
use farrier_core::texts::Kind;
use farrier_core::{
    Config, Door, Endpoint, Identity, Input, Instant, Operator, Output, Outputs, Rack, Serve,
};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_lifecycle::{State, Verb};
use farrier_protocol::client::Randoms;
use farrier_protocol::conversation::{Config as Talk, Conversation, Lost};
use farrier_protocol::handler::{AgentHandler, Driver, Turn, Work};
use farrier_protocol::message::*;
use farrier_protocol::server::Keys;
use farrier_protocol::signing::SecretKey;
use farrier_protocol::ticket::Ticket;
use std::collections::VecDeque;
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

/// A snapshot from this place on: the places, and what is told of them.
fn told_from(rack: &TestRack, now: Instant, mut from: u16) -> Vec<(u16, Vec<u8>)> {
    let mut records = Vec::new();
    let mut room = [0; MAX_RECORD];
    while let Some((place, length)) = rack.snapshot(now, from, &mut room) {
        records.push((place, room[..length].to_vec()));
        from = place + 1;
    }
    records
}

fn snapshot_of(rack: &TestRack, now: Instant) -> Vec<Vec<u8>> {
    let told = told_from(rack, now, 0).into_iter();
    told.map(|(_, record)| record).collect()
}

/// How closely sweeps are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sweeps {
    None,
    Some,
    All,
}

/// Who has which address, by records.
fn bound_in(records: &[Vec<u8>]) -> Vec<(Mac, [u8; 8], Ipv4Addr)> {
    let bound = |record: &Vec<u8>| match postcard::from_bytes(record) {
        Ok(Record::Bound {
            mac, key, address, ..
        }) => Some((mac, key, address)),
        _ => None,
    };
    records.iter().filter_map(bound).collect()
}

/// What has to outlive a restart, in words, one line a fact. Read from the
/// rack's own tables, and not from the records that it makes of them.
pub fn durable(rack: &TestRack) -> Vec<String> {
    let mut facts = Vec::new();
    for (index, node) in rack.nodes().iter().enumerate() {
        if node.is_vacant() {
            continue;
        }
        let mut fact = |text: String| facts.push(format!("{index}: {text}"));
        let boot = &node.boot;
        fact(format!("{:?} {} {:?}", node.id, node.name, node.macs));
        fact(format!("{:?} {}", node.system_uuid, node.serial));
        fact(format!("{} {}", node.state, node.reason));
        let kept = node.last_error.len().min(ERROR_KEPT);
        fact(node.last_error.get(..kept).unwrap_or_default().to_owned());
        let ticket = boot.ticket.as_ref().map(|t| (t.id.0, t.secret));
        fact(format!("{:?} {ticket:?}", boot.id));
        fact(format!(
            "{:?} {:?} {:?}",
            boot.order, boot.last_order, boot.last_statement
        ));
        fact(format!("{} {} {}", boot.erased, boot.left, node.attempts));
        fact(format!("{} {}", boot.inspected, boot.imaged));
        if let Some(session) = &boot.session {
            let heard = session.heard().min(1);
            fact(format!("{:?} {:?} {heard}", session.id(), session.keys()));
            fact(format!(
                "{:?} {:?} {:?}",
                boot.boot_key, boot.init_digest, boot.mode
            ));
        }
        fact(format!("{:?}", node.hardware));
        fact(format!(
            "{:?} {:?} {:?}",
            node.instance, node.written, node.config_drive
        ));
        fact(format!("{:?} {:?} {}", node.flags, node.steps, node.class));
        fact(format!("{:b} {:b}", node.traits, node.wanted));
        // Their order is told by their places, which count from `restored` on.
        let mut disks: Vec<_> = rack.disks(index).map(|d| format!("{d:?}")).collect();
        disks.sort_unstable();
        fact(format!("{disks:?}"));
        for kind in [
            Kind::MaintenanceReason,
            Kind::ProtectedReason,
            Kind::RetiredReason,
            Kind::AllocationName,
            Kind::AllocationClass,
        ] {
            fact(rack.texts().get(index, kind).to_owned());
        }
        let mut pairs: Vec<_> = rack.texts().pairs(index, Kind::DriverInfo).collect();
        pairs.sort_unstable();
        fact(format!("{pairs:?}"));
    }
    let mut networks = rack.book().networks().to_vec();
    networks.sort_unstable_by_key(|network| network.place);
    facts.push(format!("{networks:?}"));
    for flavor in rack.flavors() {
        facts.push(format!("{} {:?}", flavor.name(rack.texts()), flavor.need));
    }
    facts.push(format!(
        "{:?}",
        rack.texts().words(u32::MAX).collect::<Vec<_>>()
    ));
    let mut entries: Vec<_> = rack
        .book()
        .entries()
        .iter()
        .filter(|entry| entry.is_held())
        .map(|e| format!("{e:?}"))
        .collect();
    entries.sort_unstable();
    facts.extend(entries);
    facts
}

/// Addresses of the book that rest. A restart may know more of them: those
/// whose rest is over, which nobody has to write down.
fn resting(rack: &TestRack) -> Vec<(u8, Ipv4Addr, Mac)> {
    let all = rack.book().entries().iter();
    all.filter(|entry| !entry.is_held())
        .map(|entry| (entry.network, entry.address, entry.mac))
        .collect()
}

pub struct Lab {
    pub rack: Box<TestRack>,
    pub out: Box<Outputs>,
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
            out: Box::new(Outputs::new()),
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
                Output::Record(_) => Did::Record,
                Output::Dhcp { payload, .. } => Did::Dhcp(payload.to_vec()),
                Output::Agent { to, datagram } => Did::Agent(to, datagram.to_vec()),
                Output::Keep {
                    slot, statement, ..
                } => Did::Keep(slot, self.rack.statement(statement).to_vec()),
                Output::Serve(Serve::Text(text)) => {
                    Did::Text(String::from_utf8(text.to_vec()).unwrap())
                }
                Output::Serve(Serve::Asset(name)) => Did::Asset(name.to_owned()),
                Output::Serve(Serve::Slot { slot, len, .. }) => Did::Slot(slot, len),
                Output::Serve(_) => Did::NotFound,
                Output::Power { .. } => Did::Power,
                Output::Answer(answer) => Did::Answer(answer.map_err(|e| format!("{e:?}"))),
            })
            .collect()
    }

    /// A rack that takes these records up.
    fn started<'a>(&mut self, records: impl Iterator<Item = &'a [u8]>) -> Box<TestRack> {
        let mut rack = Box::new(TestRack::new());
        rack.configure(Config::default(), &IDENTITY, &mut self.entropy)
            .unwrap();
        for record in records {
            assert!(rack.restore(Instant::from_millis(self.now), record));
        }
        rack
    }

    /// The records of a snapshot.
    pub fn snapshot(&self) -> Vec<Vec<u8>> {
        snapshot_of(&self.rack, Instant::from_millis(self.now))
    }

    /// Looks whether the records so far, and a snapshot, tell all of the rack
    /// that has to be durable.
    pub fn check_records(&mut self) {
        self.check(Sweeps::None);
    }

    /// The same, and with a sweep that was cut off after any of its records,
    /// and that goes on after some of them.
    pub fn check_sweeps(&mut self) {
        self.check(Sweeps::Some);
    }

    /// The same with a sweep that goes on after any of its records. It takes
    /// long.
    pub fn check_every_sweep(&mut self) {
        self.check(Sweeps::All);
    }

    fn check(&mut self, sweeps: Sweeps) {
        let (records, snapshot) = (std::mem::take(&mut self.records), self.snapshot());
        let known = durable(&self.rack);
        let rest = resting(&self.rack);
        let now = Instant::from_millis(self.now);
        let (_, leases) = self.rack.lease_usage(now);
        let bound = bound_in(&snapshot);
        let check_leases = |rack: &TestRack| {
            let told = bound_in(&snapshot_of(rack, now));
            let forgotten = bound.iter().find(|lease| !told.contains(lease));
            assert_eq!(forgotten, None);
        };
        let check = |rack: &TestRack, name: &str| {
            // Nobody knows how long the power was gone: leases live on.
            assert!(rack.lease_usage(now).1 >= leases, "by {name}");
            let still = resting(rack);
            let awake = rest.iter().find(|entry| !still.contains(entry));
            assert_eq!(awake, None, "by {name}");
            let told = durable(rack);
            let other = |a: &[String], b: &[String]| -> Vec<String> {
                a.iter().filter(|fact| !b.contains(fact)).cloned().collect()
            };
            let (more, less) = (other(&told, &known), other(&known, &told));
            assert!(
                more.is_empty() && less.is_empty(),
                "by {name}, it is {more:#?} and not {less:#?}"
            );
        };
        check(
            &self.started(snapshot.iter().map(Vec::as_slice)),
            "a snapshot",
        );
        let mut rack = self.started(records.iter().map(Vec::as_slice));
        check(&rack, "what is written down");
        check_leases(&rack);
        for record in snapshot.iter().filter(|_| sweeps != Sweeps::None) {
            assert!(rack.restore(now, record));
            check(&rack, "a part of a snapshot behind that");
        }
        check_leases(&rack);
        // A restart in the middle of a sweep, be it the first or a later one,
        // which goes on behind it; then another one that finds nothing but
        // that sweep.
        let befores: &[&Vec<Vec<u8>>] = match sweeps {
            Sweeps::None => &[],
            Sweeps::Some => &[&snapshot],
            Sweeps::All => &[&records, &snapshot],
        };
        // Of some, each check has others.
        let one_in = match sweeps {
            Sweeps::All => 1,
            _ => snapshot.len() / 4 + 1,
        };
        for before in befores {
            let mut rack = self.started(before.iter().map(Vec::as_slice));
            let mut told: Vec<Vec<u8>> = Vec::new();
            for (place, record) in told_from(&self.rack, now, 0) {
                assert!(rack.restore(now, &record));
                told.push(record);
                if !(told.len() + records.len()).is_multiple_of(one_in) {
                    continue;
                }
                let rest = told_from(&rack, now, place + 1);
                let rest = rest.iter().map(|(_, record)| record);
                let all = told.iter().chain(rest).map(Vec::as_slice);
                check(&self.started(all), "a sweep over a restart");
            }
        }
        self.records = records;
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
        self.operator(Operator::Verb {
            node,
            verb,
            config_drive: None,
        })
    }

    /// An operator sets a mark on the first node, or takes it away.
    pub fn mark(&mut self, mark: Mark, on: bool, reason: &str) -> Result<(), String> {
        let node = self.node(0).id;
        self.operator(Operator::Mark {
            node,
            mark,
            on,
            reason,
        })
    }

    pub fn set_image(&mut self, index: usize, image: &str) -> Result<(), String> {
        let node = self.node(index).id;
        self.operator(Operator::InstanceInfo {
            node,
            info: InstanceInfo {
                image_source: image.try_into().unwrap(),
                ..InstanceInfo::default()
            },
        })
    }

    pub fn operator(&mut self, operator: Operator<'_>) -> Result<(), String> {
        self.step(Input::Operator(operator))
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
            door: Door::Http,
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
                Turn::Transmit(datagram) => {
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
                Turn::Until(_) => {
                    self.now += 100;
                    self.step(Input::Tick);
                }
                Turn::Over => agent.over = true,
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

pub fn mac_of(n: u8) -> Mac {
    Mac([0x52, 0x54, 0, 0, 0, n])
}

pub fn ipxe(request: &mut Request<'_>) {
    request.user_class = Some(b"iPXE");
    request.class_id = Some(b"PXEClient:Arch:00000:UNDI:002001");
}

pub struct Agent {
    pub endpoint: Endpoint,
    pub driver: Driver<Hands>,
    pub over: bool,
}

impl Agent {
    pub fn new(mac: u8, address: Ipv4Addr, script: &str, hands: Hands) -> Self {
        let ticket = Ticket::from_command_line(script)
            .expect("a ticket in the script")
            .unwrap();
        let secret = [mac.wrapping_add(100); 32];
        let conversation = Conversation::new(Talk {
            appliance: *Keys::new(IDENTITY.noise, [0; 32]).public(),
            orders: SecretKey::from_bytes(&IDENTITY.signing).public(),
            ticket,
            hello: Hello {
                version_min: 0,
                version_max: 0,
                boot_key: [0; 32],
                boot_mac: mac_of(mac),
                system_uuid: hands.uuid.unwrap_or([mac; 16]),
                boot_mode: match hands.uefi {
                    true => BootMode::Uefi,
                    false => BootMode::Bios,
                },
            },
            boot_key: SecretKey::from_bytes(&secret),
            randoms: Randoms {
                static_secret: secret,
                ephemeral: [mac.wrapping_add(101); 32],
            },
        })
        .unwrap();
        Agent {
            endpoint: Endpoint {
                mac: mac_of(mac),
                ip: address,
                port: 8471,
            },
            driver: Driver::new(conversation, hands),
            over: false,
        }
    }
}

/// The hands of a test agent: they do what they are told at once, or what
/// the test makes of it.
#[derive(Debug, Default)]
pub struct Hands {
    pub disks: Vec<DiskId>,
    pub nics: Vec<Nic>,
    /// The machine's UUID; without one it is made of the interface.
    pub uuid: Option<[u8; 16]>,
    /// Whether UEFI firmware started it, and no BIOS.
    pub uefi: bool,
    pub fail: Option<Reason>,
    pub withhold_certificate: bool,
    pub wrong_root: bool,
    pub hang: bool,
    /// Restart without a farewell.
    pub vanish: bool,
    pub orders: Vec<Order>,
    pub welcome: Option<Welcome>,
    pub left: Option<Farewell>,
    pub lost: Option<Lost>,
    pub refusals: usize,
    pub say: VecDeque<Work>,
}

impl Hands {
    pub fn with_disks(sizes: &[u64]) -> Self {
        Hands {
            disks: sizes
                .iter()
                .enumerate()
                .map(|(n, size)| disk(&format!("DISK{n}"), *size))
                .collect(),
            ..Hands::default()
        }
    }
}

pub fn disk(serial: &str, size: u64) -> DiskId {
    DiskId {
        serial: serial.try_into().unwrap(),
        size,
    }
}

impl AgentHandler for Hands {
    fn established(&mut self, _now: u64, welcome: &Welcome) {
        self.welcome = Some(*welcome);
    }

    fn begin(&mut self, _now: u64, order: &Order) {
        self.orders.push(order.clone());
        if self.hang {
            return;
        }
        if let (Some(reason), false) = (self.fail, order.task == Task::Inspect) {
            self.say.push_back(Work::Failed(Failure {
                step: Step::Write,
                reason,
                text: "as the test wished".try_into().unwrap(),
            }));
            return;
        }
        match &order.task {
            Task::Inspect => {
                let mut found = inspection(&self.disks);
                found.nics = self.nics.iter().cloned().collect();
                self.say.push_back(Work::Fact(Fact::Inspection(found)));
            }
            Task::Erase { disks, least } => {
                let skip = usize::from(self.withhold_certificate);
                for disk in disks.iter().skip(skip) {
                    self.say
                        .push_back(Work::Fact(Fact::Erased(EraseCertificate {
                            disk: disk.clone(),
                            method: *least,
                            verified_bytes: disk.size,
                            repaired_bytes: 0,
                            millis: 1,
                        })));
                }
                self.say.push_back(Work::Fact(Fact::Done));
            }
            Task::Deploy(deploy) => {
                self.say
                    .push_back(Work::Fact(Fact::ImageWritten(ImageProof {
                        disk: deploy.disk.clone(),
                        manifest_root: if self.wrong_root {
                            [0; 32]
                        } else {
                            deploy.manifest_root
                        },
                        image_bytes: GIB,
                        fetched_bytes: GIB / 4,
                        refetched_chunks: 0,
                        config_drive: [0; 32],
                        peak_rss_kib: 1,
                        millis: 1,
                    })))
            }
            Task::Reboot if self.vanish => {
                self.left = Some(Farewell::Reboot);
                return;
            }
            Task::Reboot => {
                self.say.push_back(Work::Leave(Farewell::Reboot));
                return;
            }
            Task::PowerOff => {
                self.say.push_back(Work::Leave(Farewell::PowerOff));
                return;
            }
        }
        self.say.push_back(Work::Finished);
    }

    fn poll(&mut self, _now: u64) -> Option<Work> {
        self.say.pop_front()
    }

    fn refused(&mut self, _now: u64, _refusal: Refusal) {
        self.refusals += 1;
    }

    fn leave(&mut self, _now: u64, farewell: Farewell) {
        self.left = Some(farewell);
    }

    fn lost(&mut self, _now: u64, lost: Lost) {
        self.lost = Some(lost);
    }
}

pub fn inspection(disks: &[DiskId]) -> Inspection {
    Inspection {
        vendor: "QEMU".try_into().unwrap(),
        product: "Standard PC".try_into().unwrap(),
        serial: "S1".try_into().unwrap(),
        system_uuid: [1; 16],
        firmware: "SeaBIOS".try_into().unwrap(),
        boot_mode: BootMode::Bios,
        cpu: Cpu {
            count: 2,
            model: "virtual".try_into().unwrap(),
            architecture: "x86_64".try_into().unwrap(),
            mhz: 2000,
        },
        memory_mib: 970,
        physical_memory_mib: 1024,
        disks: disks
            .iter()
            .map(|id| Disk {
                id: id.clone(),
                name: "sda".try_into().unwrap(),
                model: "HARDDISK".try_into().unwrap(),
                vendor: "ATA".try_into().unwrap(),
                wwn: heapless::String::new(),
                hctl: "0:0:0:0".try_into().unwrap(),
                by_path: "pci-0000:00:1f.2-ata-1".try_into().unwrap(),
                rotational: true,
                block_size: 512,
                erase: EraseAbilities::default(),
            })
            .collect(),
        nics: heapless::Vec::new(),
        tpm2: false,
    }
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
