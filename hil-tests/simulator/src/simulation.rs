//! A rack in virtual time. Events come off a queue; time jumps from one to the
//! next, so that idle time costs nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use farrier_core::Input;
use farrier_protocol::message::{Mac, NodeId};
use farrier_testkit::outcome::Outcome;

use crate::appliance::Appliance;
use crate::bmc::Answer;
use crate::digest::Digest;
use crate::events::Events;
use crate::faults::{Faults, Kinds};
use crate::hostile::Hostile;
use crate::invariants::Invariants;
use crate::machine::Machine;
use crate::managed::Managed;
use crate::network::Packet;
use crate::switch::{Port, Switch};
use farrier_testkit::Random;

/// When every simulation begins: far enough from zero for clocks to jump.
pub const BEGIN: u64 = 1 << 40;
/// After faults and operators stop, every node has to come to rest within
/// this time: each chain of deadlines is shorter.
pub const REST: u64 = 4 * HOUR;
/// An hour in milliseconds.
pub const HOUR: u64 = 3_600_000;

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// Servers, 1 to 48.
    pub nodes: usize,
    /// Hours of the rack's time with faults and operators; [`REST`] follows.
    pub hours: u64,
    /// What may go wrong.
    pub kinds: Kinds,
    /// Whether operators act by themselves; scenarios act in their place.
    pub operators: bool,
    /// Frames of the hostile machine in all hours together; `None` for a few in
    /// an hour.
    pub hostile_frames: Option<u64>,
    /// Whether the rack has switches whose ports are moved; by its seed where
    /// nothing is said.
    pub switches: Option<bool>,
    /// Tenants stay for minutes, and operators and faults of switches come as often.
    pub busy: bool,
    /// Print what happens.
    pub trace: bool,
}

impl Options {
    /// A rack of that seed with everything in it.
    pub fn new(seed: u64) -> Self {
        Options {
            seed,
            nodes: 48,
            hours: 24,
            kinds: Kinds::ALL,
            operators: true,
            hostile_frames: None,
            switches: None,
            busy: false,
            trace: false,
        }
    }
}

/// What somebody or something does to a machine's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// On, where it is off.
    On,
    /// Off and on again.
    Cycle,
    /// Off.
    Off,
}

#[derive(Debug)]
pub(crate) enum Event {
    /// A datagram reaches the appliance, sent by this interface.
    Up(Mac, Packet),
    /// A datagram reaches a machine.
    Down(usize, Packet),
    /// A machine goes on.
    Wake(usize, u64),
    /// The rack is due for a tick.
    Tick,
    /// An operator looks at a node.
    Operator(usize),
    /// Networks and flavors are defined.
    Tenancy,
    /// An operator enrols a machine that was not seen yet.
    Enrol(usize),
    /// A machine is switched; with `true` it forgets its boot order.
    Power(usize, Act, bool),
    /// A power driver has ended an operation.
    OperationDone(Answer),
    /// A BMC reports the power state of its machine, for this node.
    ObservePower(usize, NodeId),
    /// A port is put into the network where it should be.
    PutRight(Port),
    /// Somebody else sends under this address, and again until then.
    Impostor(Mac, u64),
    /// A hostile machine sends some frames.
    Hostile,
    /// Something goes wrong.
    Strike,
    /// The task that carries out operations on ports goes on.
    Wire(u64),
    /// A switch looks at what waits.
    SwitchClock(usize),
    /// A switch has power again and does what it is told.
    SwitchWell(usize),
    /// Another machine with this one's address sends a frame on a VLAN, and again
    /// until then.
    Twin(usize, u16, u64),
    /// Something goes wrong with a switch.
    StrikeSwitch,
    /// The trunk carries every tag again.
    TrunkWell,
    /// A machine's cable is put back.
    CableBack(usize),
    /// A person puts a machine's port onto a VLAN.
    Carry(usize, u16),
    /// A person puts a machine's port where the rack says that it is.
    PutPortRight(usize),
    /// A machine without a node is set up anew where it can't be discovered.
    LooksForLost(usize),
    /// The appliance has power again.
    Restart,
}

struct Due {
    at: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// See the module.
pub struct Simulation {
    /// What was asked for.
    pub options: Options,
    /// The rack's time in milliseconds.
    pub now: u64,
    /// The appliance.
    pub appliance: Appliance,
    /// The servers.
    pub machines: Vec<Machine>,
    /// What they are plugged into.
    pub switch: Switch,
    /// The switches whose ports are moved, where there are any.
    pub managed: Option<Box<Managed>>,
    /// What goes wrong.
    pub faults: Faults,
    /// The hostile machine.
    pub hostile: Hostile,
    /// What must hold after every step.
    pub invariants: Invariants,
    /// Of everything that happened.
    pub digest: Digest,
    /// What was delivered so far; the rack's inputs are counted by the appliance.
    pub events: Events,
    /// So many of the next pieces of an image are right,
    pub spare: u32,
    /// and so many after them are wrong.
    pub spoil: u32,
    /// No power driver answers or acts before this time.
    pub driver_off_until: u64,
    /// Ramdisks that were started.
    pub ramdisks: u64,
    /// How the last operator was answered.
    pub answer: Option<bool>,
    pub(crate) random: Random,
    /// When each node's tenant leaves.
    pub(crate) leave_at: Vec<u64>,
    queue: BinaryHeap<Reverse<Due>>,
    numbers: u64,
    pub(crate) tick_at: u64,
    pub(crate) restarting: bool,
    scratch: Vec<Outcome>,
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulation")
            .field("now", &self.now)
            .field("events", &self.delivered().total())
            .finish_non_exhaustive()
    }
}

impl Simulation {
    /// A rack whose machines are about to be switched on.
    pub fn new(options: Options) -> Self {
        let mut random = Random::new(options.seed, 0);
        let mut machines: Vec<Machine> = (0..options.nodes.clamp(1, 48))
            .map(|index| Machine::new(index, &mut random))
            .collect();
        let options = Options {
            nodes: machines.len(),
            ..options
        };
        let managed = Managed::new(&options);
        if managed.is_some() {
            // One interface of each machine is in a port.
            machines
                .iter_mut()
                .for_each(|machine| machine.fixed_nic = Some(0));
        }
        let mut sim = Simulation {
            managed,
            now: BEGIN,
            appliance: Appliance::new(BEGIN, options.seed),
            switch: Switch::default(),
            faults: Faults::new(options.kinds),
            hostile: Hostile::new(&options),
            invariants: Invariants::new(machines.len()),
            digest: Digest::default(),
            events: Events::default(),
            answer: None,
            spare: 0,
            spoil: 0,
            driver_off_until: 0,
            ramdisks: 0,
            random,
            leave_at: vec![0; machines.len()],
            queue: BinaryHeap::new(),
            numbers: 0,
            tick_at: u64::MAX,
            restarting: false,
            scratch: Vec::new(),
            machines,
            options,
        };
        for index in 0..sim.machines.len() {
            let delay = sim.random.below(10 * 60_000);
            sim.at(delay, Event::Power(index, Act::On, false));
            if options.operators {
                let delay = sim.random.below(20 * 60_000);
                sim.at(delay, Event::Operator(index));
                if sim.random.below(12) == 0 {
                    // Half of those that are enrolled by hand were in use
                    // before the appliance was.
                    if sim.random.below(2) == 0 {
                        sim.machines[index].was_in_use();
                        sim.was_placed(index);
                    }
                    // Once networks and switches are there, where there are any.
                    let delay = if sim.managed.is_some() { 1_000 } else { 0 };
                    sim.at(delay, Event::Enrol(index));
                }
            }
        }
        if options.operators {
            sim.at(0, Event::Tenancy);
        }
        if sim.managed.is_some() && options.operators {
            sim.at(150_000, Event::StrikeSwitch);
            for index in 0..sim.machines.len() {
                sim.at(HOUR + index as u64 * 10_000, Event::LooksForLost(index));
            }
        }
        sim.at(60_000, Event::Strike);
        sim.at(90_000, Event::Hostile);
        sim.schedule_tick();
        sim
    }

    /// Something happens that much later.
    pub(crate) fn at(&mut self, delay: u64, event: Event) {
        self.numbers += 1;
        self.queue.push(Reverse(Due {
            at: self.now.saturating_add(delay),
            number: self.numbers,
            event,
        }));
    }

    /// Prints what happens, where that was asked for.
    pub(crate) fn trace(&self, text: impl FnOnce() -> String) {
        if self.options.trace {
            let millis = self.now - BEGIN;
            println!("{:>6}.{:03} {}", millis / 1000, millis % 1000, text());
        }
    }

    /// Runs until then, or until an invariant is violated.
    pub fn run_until(&mut self, end: u64) {
        while self.invariants.violation.is_none() {
            let Some(due) = self.queue.peek().map(|due| due.0.at) else {
                break;
            };
            if due > end {
                break;
            }
            let Some(Reverse(due)) = self.queue.pop() else {
                break;
            };
            self.now = due.at;
            self.happens(due.event);
        }
        self.now = self.now.max(end);
    }

    /// A whole run: hours with faults, then hours without, then the last check.
    pub fn live(&mut self) {
        self.run_until(BEGIN + self.options.hours * HOUR);
        self.stop_faults();
        self.options.operators = false;
        self.run_until(self.now + REST);
        if self.invariants.violation.is_none() {
            self.invariants
                .at_rest(self.now, &self.appliance, &self.machines);
            if let Some(managed) = &self.managed {
                self.invariants
                    .ports_at_rest(self.now, managed, &self.appliance, &self.machines);
            }
        }
    }

    /// From now on no fault is injected.
    pub fn stop_faults(&mut self) {
        self.faults.stop();
        self.switch.put_right();
        self.switches_well();
        for machine in &mut self.machines {
            machine.cut_until = 0;
            machine.disk_first = false;
        }
    }

    /// One step of the rack, with everything that follows.
    pub(crate) fn step(&mut self, input: Input<'_>) {
        if self.appliance.is_down() {
            return;
        }
        let mut effects = std::mem::take(&mut self.scratch);
        self.invariants.input(&input);
        self.appliance.step(self.now, input, &mut effects);
        self.carry_out(effects);
    }

    /// Checks the invariants after a step and carries out its effects.
    pub(crate) fn carry_out(&mut self, mut effects: Vec<Outcome>) {
        self.invariants
            .step(self.now, &self.appliance, &self.machines, &effects);
        self.check_ports();
        for effect in effects.drain(..) {
            match effect {
                Outcome::Dhcp(to, payload) => {
                    self.digest.add_bytes(&payload);
                    self.dhcp_down(to, &payload);
                }
                Outcome::Agent(to, datagram) => {
                    self.digest.add_bytes(&datagram);
                    self.transmit_down(to.mac, Some(to.mac), &Packet::Agent(to, datagram));
                }
                Outcome::Power(id, node, action) => self.operate(id, node, action),
                Outcome::Switch(id, switch, port, action, token, details) => {
                    self.ask_switch(id, switch, port, (action, token, details));
                }
                // The invariants have complained.
                Outcome::Beside(..) => {}
                Outcome::Serve(_) | Outcome::Keep(..) => {}
                Outcome::Answer(answer) => {
                    let granted = answer.is_ok();
                    self.digest.add(u64::from(granted));
                    self.answer = Some(granted);
                }
            }
        }
        self.scratch = effects;
        if self.appliance.is_down() {
            self.power_lost();
        }
        self.schedule_tick();
    }

    /// What was delivered so far.
    pub fn delivered(&self) -> Events {
        Events {
            rack: self.appliance.steps,
            ..self.events
        }
    }

    /// Something has happened to a machine: checks it, and where it is.
    pub(crate) fn check_machine(&mut self, index: usize) {
        self.events.machines += 1;
        if let Some(managed) = &self.managed
            && let Some(machine) = self.machines.get(index)
        {
            self.invariants.ports.look_again(index);
            self.invariants
                .port(self.now, managed, &self.appliance, machine);
        }
    }

    /// Checks where machines are.
    pub(crate) fn check_ports(&mut self) {
        if let Some(managed) = &self.managed {
            self.invariants
                .ports(self.now, managed, &self.appliance, &self.machines);
        }
    }

    pub(crate) fn schedule_tick(&mut self) {
        let at = self
            .appliance
            .wake_at(self.now)
            .max(self.now.saturating_add(1));
        if at < self.tick_at {
            self.tick_at = at;
            self.at(at - self.now, Event::Tick);
        }
    }
}
