//! A rack without a network: the rack, everything that it has recorded, and
//! machines whose agents speak the real protocol to it. Time is a number that
//! the test moves.
//!
//! Whenever a lab ends, its records, a snapshot and (where the test asks for
//! it) interrupted sweeps are restored into fresh racks, which are compared
//! with the lab's own.

mod durable;
mod switch;

pub use durable::durable;
pub use switch::{LabPort, LabSwitch};

use std::collections::HashMap;
use std::net::Ipv4Addr;

use farrier_asset_store::DrivePlace;
use farrier_controller::Controller;
use farrier_controller::testing::{MemoryStore, ready};
use farrier_core::interface::{Actor, Image, NetworkId, NodePatch};
use farrier_core::node::Node;
use farrier_core::node::flags::AdminFlag;
use farrier_core::persist::record::{MAX_RECORD, Record};
use farrier_core::{Command, Config, Input, Instant, Rack, Transport};
use farrier_dhcp::wire::{MessageType, Request};
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::handler::RunnerPoll;

use crate::agent::{Agent, ScriptedAgent};
use crate::machine::{Lease, dhcp_message, ipxe, mac_of, text};
use crate::outcome::{Outcome, Served};
use crate::random::Random;
use crate::{GIB, IDENTITY};

/// The rack of a lab: small, so that tests reach its bounds.
pub type TestRack = Rack<8, 16, 48>;
/// The controller of a lab.
pub type TestController = Controller<Box<TestRack>, MemoryStore, Random>;

/// A controller over a store in memory, and the time.
#[derive(Debug)]
pub struct Lab {
    /// The shipping controller.
    pub controller: TestController,
    /// The time in milliseconds.
    pub now: u64,
    /// Config drives on the block device, by slot and place.
    pub drives: HashMap<(usize, DrivePlace), Vec<u8>>,
    /// What answers the operations on switches' ports; nothing does without one.
    pub switch: Option<LabSwitch>,
}

impl Drop for Lab {
    /// Compares the rack with its records, however a test ends.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check_records();
        }
    }
}

/// Ends the program at the first failed test where `FARRIER_FIRST_FAILURE` is
/// set: for a mutant it matters whether a test fails, and not which ones do.
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

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    /// A rack that has seen nothing, and knows one image.
    #[must_use]
    pub fn new() -> Self {
        Self::with_config(config())
    }

    /// The same with another configuration.
    #[must_use]
    pub fn with_config(config: Config) -> Self {
        end_at_first_failure();
        let now = 1000;
        let store = MemoryStore::new();
        let mut lab = Lab {
            controller: started(store, Random::new(1, 0), Instant::from_millis(now), config),
            now,
            drives: HashMap::new(),
            switch: None,
        };
        lab.learn_image();
        lab
    }

    /// The rack.
    #[must_use]
    pub fn rack(&self) -> &TestRack {
        self.controller.rack()
    }

    /// Every record so far, in order.
    #[must_use]
    pub fn records(&self) -> &[Vec<u8>] {
        &self.controller.store().records
    }

    /// The records, for a test that loses some of them before a restart.
    pub fn records_mut(&mut self) -> &mut Vec<Vec<u8>> {
        &mut self.controller.store_mut().records
    }

    /// Gives the rack a record as if it were one of an earlier start.
    ///
    /// # Panics
    /// Where the rack does not take it.
    pub fn restore(&mut self, record: &Record<'_>) {
        let mut room = [0; MAX_RECORD];
        let bytes = postcard::to_slice(record, &mut room).expect("a record fits");
        let spare = Controller::new(Box::new(Rack::new()), MemoryStore::new(), Random::new(0, 0));
        let controller = std::mem::replace(&mut self.controller, spare);
        let (mut rack, mut store, entropy) = controller.into_parts();
        assert!(rack.restore(self.clock(), bytes));
        store.records.push(bytes.to_vec());
        self.controller = Controller::new(rack, store, entropy);
    }

    /// The rack's clock.
    #[must_use]
    pub fn clock(&self) -> Instant {
        Instant::from_millis(self.now)
    }

    /// A step, whose effects and records stay in [`Lab::controller`].
    ///
    /// # Panics
    /// Where an effect finds no room, or a node is due that the rack would
    /// sleep past.
    pub fn step_quietly(&mut self, input: Input<'_>) {
        let now = self.clock();
        let overslept = self.controller.rack().overslept(now);
        assert_eq!(ready(self.controller.step(now, input)), Ok(()));
        assert_eq!(overslept, None, "it is due, and nobody would look");
        assert_eq!(self.controller.lost_effects(), 0, "an effect found no room");
    }

    /// A step, with its effects as owned values.
    pub fn step(&mut self, input: Input<'_>) -> Vec<Outcome> {
        self.step_quietly(input);
        let (effects, rack) = (self.controller.effects(), self.controller.rack());
        let mut outcomes: Vec<_> = effects
            .filter_map(|effect| Outcome::of(effect, rack))
            .collect();
        let asked = outcomes
            .iter()
            .position(|outcome| matches!(outcome, Outcome::Switch(..)) && self.switch.is_some());
        if let Some(place) = asked
            && let Outcome::Switch(id, _, port, action, _, details) = outcomes.remove(place)
        {
            outcomes.extend(self.answer_switch(id, &port, (action, details)));
        }
        outcomes
    }

    /// Restarts the appliance from all of its records; so many frames of the
    /// journal were lost.
    pub fn restart(&mut self, lost: u32) {
        self.check_sweeps();
        self.restart_with_what_is_left(lost);
    }

    /// Restarts the appliance from [`Lab::records`], which the test may have
    /// changed.
    pub fn restart_with_what_is_left(&mut self, lost: u32) {
        let mut store = std::mem::take(self.controller.store_mut());
        store.lost = lost;
        let entropy = self.controller.entropy_mut().clone();
        let config = self.rack().config().clone();
        self.controller = started(store, entropy, self.clock(), config);
        self.learn_image();
    }

    fn learn_image(&mut self) {
        self.step(Input::Image(&Image {
            name: text("debian12"),
            version: 1,
            raw_size: GIB,
            root: [9; 32],
            manifest_path: text("/images/debian12/manifest"),
            data_path: text("/images/debian12/data"),
        }));
    }

    /// Lets the board replace its key, where the rack wants so.
    ///
    /// # Panics
    /// Where the board does not do it.
    pub fn maintain_keys(&mut self) {
        let now = self.clock();
        assert_eq!(ready(self.controller.maintain_keys(now)), Ok(()));
    }

    /// Lets so many seconds pass, with a tick each.
    pub fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1000;
            self.step(Input::Tick);
        }
    }

    /// The node at a place.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn node(&self, index: usize) -> &Node {
        &self.rack().nodes()[index]
    }

    /// The provision state of the node at a place.
    ///
    /// # Panics
    /// Where there is none.
    #[must_use]
    pub fn state(&self, index: usize) -> ProvisionState {
        self.node(index).state
    }

    /// Gives a node a verb.
    ///
    /// # Errors
    /// The refusal.
    pub fn verb(&mut self, index: usize, verb: Verb) -> Result<(), String> {
        let node = self.node(index).id;
        self.operator(Command::Provision {
            node,
            verb,
            config_drive: None,
        })
    }

    /// Sets an admin flag of the first node, or clears it.
    ///
    /// # Errors
    /// The refusal.
    pub fn mark(&mut self, mark: AdminFlag, on: bool, reason: &str) -> Result<(), String> {
        let node = self.node(0).id;
        let patch = NodePatch::flag(mark, on, reason);
        self.operator(Command::PatchNode { node, patch })
    }

    /// Chooses the image of a node's next deployment.
    ///
    /// # Errors
    /// The refusal.
    pub fn set_image(&mut self, index: usize, image: &str) -> Result<(), String> {
        let node = self.node(index).id;
        let patch = NodePatch::image_source(image);
        self.operator(Command::PatchNode { node, patch })
    }

    /// Gives a command.
    ///
    /// # Errors
    /// The refusal.
    ///
    /// # Panics
    /// Where the command is not answered.
    pub fn operator(&mut self, command: Command<'_>) -> Result<(), String> {
        let outcomes = self.step(Input::Command {
            actor: Actor::OPERATOR,
            command,
        });
        let answer = outcomes.into_iter().find_map(|outcome| match outcome {
            Outcome::Answer(answer) => Some(answer.map_err(|error| format!("{error:?}"))),
            _ => None,
        });
        answer.expect("every command is answered")
    }

    /// A machine's DHCP exchange of four messages; the acknowledgement.
    pub fn dhcp(&mut self, mac: u8, shape: impl Fn(&mut Request<'_>)) -> Option<Lease> {
        let offer = self.dhcp_message(MessageType::Discover, mac, |r| shape(r))?;
        self.dhcp_message(MessageType::Request, mac, |r| {
            shape(r);
            r.requested_ip = Some(offer.address);
            r.server_id = Some(Config::default().address);
        })
    }

    /// One DHCP message of a machine, and the reply.
    ///
    /// # Panics
    /// Where the reply does not parse.
    pub fn dhcp_message(
        &mut self,
        kind: MessageType,
        machine: u8,
        shape: impl FnOnce(&mut Request<'_>),
    ) -> Option<Lease> {
        let from = mac_of(machine);
        let payload = dhcp_message(kind, from, shape);
        let outcomes = self.step(Input::Dhcp {
            network: NetworkId::PROVISIONING,
            from,
            payload: &payload,
        });
        outcomes.into_iter().find_map(|outcome| match outcome {
            Outcome::Dhcp(_, bytes) => Some(Lease::parse(&bytes).expect("a reply parses")),
            _ => None,
        })
    }

    /// What is served by HTTP to this address for a path.
    ///
    /// # Panics
    /// Where the question is not answered.
    pub fn open(&mut self, peer: Ipv4Addr, path: &str) -> Served {
        self.open_by(Transport::Http, peer, path)
    }

    /// The same by a transport.
    ///
    /// # Panics
    /// Where the question is not answered.
    pub fn open_by(&mut self, transport: Transport, peer: Ipv4Addr, path: &str) -> Served {
        let outcomes = self.step(Input::Open {
            network: NetworkId::PROVISIONING,
            transport,
            peer,
            path,
        });
        let served = outcomes.into_iter().find_map(|outcome| match outcome {
            Outcome::Serve(served) => Some(served),
            _ => None,
        });
        served.expect("every question for a file is answered")
    }

    /// A network boot by iPXE up to the script: address and script.
    ///
    /// # Panics
    /// Where the machine gets no script.
    pub fn boot(&mut self, machine: u8) -> (Ipv4Addr, String) {
        let lease = self.dhcp(machine, ipxe).expect("a lease");
        match self.open(lease.address, lease.script()) {
            Served::Text(script) => (lease.address, script),
            other => panic!("no script but {other:?}"),
        }
    }

    /// A machine that is not known boots, its agent shakes hands and says no more:
    /// there is a node of it.
    pub fn discover(&mut self, machine: u8) {
        self.discover_as(machine, [0; 16]);
    }

    /// The same with a UUID.
    ///
    /// # Panics
    /// Where the script has no ticket.
    pub fn discover_as(&mut self, machine: u8, uuid: [u8; 16]) {
        let scripted = ScriptedAgent::with_disks(&[]).with_uuid(uuid);
        let (address, script) = self.boot(machine);
        let agent = Agent::new(machine, address, &script, 0, scripted);
        let mut agent = agent.expect("a ticket in the script");
        self.shake_hands(&mut agent);
        self.pass(100);
    }

    /// A machine starts anew: its agent shakes hands and says no more.
    ///
    /// # Panics
    /// Where the script has no ticket.
    pub fn starts(&mut self, machine: u8) {
        let (address, script) = self.boot(machine);
        let scripted = ScriptedAgent::with_disks(&[8 * GIB]);
        let agent = Agent::new(machine, address, &script, 0, scripted);
        self.shake_hands(&mut agent.expect("a ticket in the script"));
        self.now += 1;
    }

    /// An agent's handshake, and nothing more; its bytes.
    ///
    /// # Panics
    /// Where the agent wants to send none.
    pub fn shake_hands(&mut self, agent: &mut Agent) -> Vec<u8> {
        let datagram = self.ask_only(agent);
        let from = agent.endpoint;
        for outcome in self.step(Input::Agent {
            from,
            datagram: &datagram,
        }) {
            if let Outcome::Agent(_, reply) = outcome {
                agent.driver.process(self.now, &reply);
            }
        }
        datagram
    }

    /// An agent's handshake, which does not reach the appliance. The agent repeats
    /// it after a moment.
    ///
    /// # Panics
    /// Where the agent sends none.
    pub fn ask_only(&mut self, agent: &mut Agent) -> Vec<u8> {
        match agent.driver.poll(self.now) {
            RunnerPoll::Transmit(datagram) => datagram.to_vec(),
            _ => panic!("no handshake"),
        }
    }

    /// A network boot up to an agent with a session.
    ///
    /// # Panics
    /// Where there is no session.
    pub fn start_agent(&mut self, machine: u8, scripted: ScriptedAgent) -> Agent {
        let (address, script) = self.boot(machine);
        let agent = Agent::new(machine, address, &script, 0, scripted);
        let mut agent = agent.expect("a ticket in the script");
        self.run(&mut agent, 1);
        assert!(agent.driver.handler().welcome.is_some(), "no session");
        agent
    }

    /// Runs an agent for some seconds.
    ///
    /// # Panics
    /// Where the appliance answers somebody else.
    pub fn run(&mut self, agent: &mut Agent, seconds: u64) {
        let end = self.now + seconds * 1000;
        while self.now < end && !agent.over {
            match agent.driver.poll(self.now) {
                RunnerPoll::Transmit(datagram) => {
                    let datagram = datagram.to_vec();
                    let from = agent.endpoint;
                    for outcome in self.step(Input::Agent {
                        from,
                        datagram: &datagram,
                    }) {
                        if let Outcome::Agent(to, reply) = outcome {
                            assert_eq!(to, from);
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
            // The tick that is due by then: its effects happen now, and not
            // with whatever comes next.
            self.step(Input::Tick);
        }
    }
}

/// The configuration of a lab: the default one, but that a cleaned machine does not
/// restart. Most tests are about something else.
#[must_use]
pub fn config() -> Config {
    Config {
        reread: false,
        ..Config::default()
    }
}

/// A controller that has restored its rack from a store.
fn started(store: MemoryStore, entropy: Random, now: Instant, config: Config) -> TestController {
    let mut controller = Controller::new(Box::new(Rack::new()), store, entropy);
    let configured = controller.configure(config, Some(&IDENTITY));
    assert_eq!(configured, Ok(()), "the default configuration is sound");
    let opened = ready(controller.restore(now));
    assert!(opened.is_ok());
    assert_eq!(controller.counters().unknown_records, 0);
    controller
}

/// A lab with one node that is `available`, and its idle agent.
///
/// # Panics
/// Where the cleaning fails.
#[must_use]
pub fn available_with(disks: &[u64]) -> (Lab, Agent) {
    let mut lab = Lab::new();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(disks));
    assert_eq!(lab.verb(0, Verb::Manage), Ok(()));
    assert_eq!(lab.verb(0, Verb::Provide), Ok(()));
    lab.run(&mut agent, 10);
    assert_eq!(
        lab.state(0),
        ProvisionState::Available,
        "{}",
        lab.node(0).last_error
    );
    (lab, agent)
}

/// The same once it is `active`.
///
/// # Panics
/// Where the deployment fails.
#[must_use]
pub fn active_lab() -> Lab {
    let (mut lab, mut agent) = available_with(&[8 * GIB]);
    assert_eq!(lab.set_image(0, "debian12"), Ok(()));
    assert_eq!(lab.verb(0, Verb::Active), Ok(()));
    lab.run(&mut agent, 30);
    assert_eq!(
        lab.state(0),
        ProvisionState::Active,
        "{}",
        lab.node(0).last_error
    );
    lab
}

/// Checks that the nodes' identities are those of RFC 9562, version 4 and
/// variant 10, and random in all other bits.
///
/// # Panics
/// Where they are not.
pub fn check_identities(lab: &Lab) {
    let all: Vec<[u8; 16]> = lab.rack().nodes().iter().map(|node| node.id.0).collect();
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
