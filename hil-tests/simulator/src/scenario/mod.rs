//! Field faults, each told as a story whose end is known. A story fails when
//! its end is another one, or when the watch sees what must never be.
//!
//! That a story can fail is shown by the patches in `faults/`: each brings
//! the bug of its field fault into the code.

mod network;
mod servers;

use farrier_core::provisioning::steps::Steps;
use farrier_lifecycle::{State, Verb};
use farrier_protocol::message::Reason;
use farrier_testkit::agent::Behaviour;

use crate::faults::Kinds;
use crate::machine::Stage;
use crate::simulation::{Act, HOUR, Options, Simulation};

/// How a story ends.
pub type Verdict = Result<(), String>;

/// A story with an end that is known.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Tells it; an error says what was other than it should be.
    pub tell: fn() -> Verdict,
}

const fn story(name: &'static str, about: &'static str, tell: fn() -> Verdict) -> Scenario {
    Scenario { name, about, tell }
}

/// All of them.
pub const ALL: [Scenario; 15] = [
    story(
        "a-life",
        "one server boots, is inspected, cleaned, deployed and released",
        servers::a_life,
    ),
    story(
        "failed-clean",
        "a cleaning that failed is never shown as available",
        servers::failed_clean,
    ),
    story(
        "old-disk-boots",
        "a BMC ignores the boot order and the old disk boots",
        servers::old_disk_boots,
    ),
    story(
        "boots-again",
        "a provisioned node boots from the network again",
        servers::boots_again,
    ),
    story(
        "wait-without-end",
        "an agent hangs and goes on talking; a machine never comes",
        servers::wait_without_end,
    ),
    story(
        "addresses",
        "first packets are lost, the pool is exhausted, nobody loses an address",
        network::addresses,
    ),
    story(
        "ticket-twice",
        "a ticket is used by two machines, a session's answers are lost",
        network::ticket_twice,
    ),
    story(
        "wrong-clock",
        "the clock jumps by weeks, in peace and in the middle of work",
        servers::wrong_clock,
    ),
    story(
        "wrong-server",
        "a wrong server address is announced, by a stranger or by us",
        network::wrong_server,
    ),
    story(
        "wrong-image",
        "the bytes of an image are other than its manifest says",
        servers::wrong_image,
    ),
    story(
        "config-drive",
        "a tenant finds its own config drive or none, whatever becomes of its bytes",
        servers::config_drive,
    ),
    story(
        "port-moved",
        "a switch port was not moved, an address is seen at two, a machine comes by another one",
        network::port_moved,
    ),
    story(
        "restarts",
        "the appliance loses power in the middle of everything",
        servers::restarts,
    ),
    story(
        "power-forced",
        "a machine that its tenant switched off stays off",
        servers::power_forced,
    ),
    story(
        "quick-server",
        "a server is there before anybody wants something of it",
        servers::quick_server,
    ),
];

/// A rack in which nothing happens but what a story makes happen.
fn quiet(nodes: usize, seed: u64) -> Simulation {
    Simulation::new(Options {
        nodes,
        kinds: Kinds::NONE,
        operators: false,
        trace: std::env::var_os("FARRIER_TRACE").is_some(),
        ..Options::new(seed)
    })
}

/// Lets so many milliseconds pass.
fn pass(sim: &mut Simulation, millis: u64) -> Verdict {
    sim.run_until(sim.now + millis);
    match &sim.invariants.violation {
        Some((_, what)) => Err(what.clone()),
        None => Ok(()),
    }
}

/// Lets time pass until a node is in a state.
fn until(sim: &mut Simulation, slot: usize, state: State) -> Verdict {
    let end = sim.now + 2 * HOUR;
    while sim.state(slot) != Some(state) && sim.now < end {
        pass(sim, 500)?;
    }
    is(sim, slot, state)
}

fn is(sim: &Simulation, slot: usize, state: State) -> Verdict {
    if sim.state(slot) == Some(state) {
        return Ok(());
    }
    let node = sim.appliance.rack().nodes().get(slot);
    Err(format!(
        "node {slot} should be {state} and is {:?}: {:?}",
        sim.state(slot),
        node.map(|node| node.last_error.as_str())
    ))
}

/// The system on the first machine's own disk runs.
fn tenant_runs(sim: &Simulation) -> Verdict {
    must(
        matches!(sim.machines[0].stage, Stage::Tenant(_)),
        "the tenant's system does not run",
    )
}

fn must(holds: bool, what: &str) -> Verdict {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn ask(sim: &mut Simulation, slot: usize, verb: Verb) -> Verdict {
    if sim.verb(slot, verb) {
        return Ok(());
    }
    Err(format!("{verb} was refused in {:?}", sim.state(slot)))
}

fn manageable(seed: u64) -> Result<Simulation, String> {
    let mut sim = quiet(1, seed);
    until(&mut sim, 0, State::Enroll)?;
    ask(&mut sim, 0, Verb::Manage)?;
    Ok(sim)
}

fn available(seed: u64) -> Result<Simulation, String> {
    let mut sim = manageable(seed)?;
    ask(&mut sim, 0, Verb::Provide)?;
    until(&mut sim, 0, State::Available)?;
    Ok(sim)
}

fn active(seed: u64) -> Result<Simulation, String> {
    let mut sim = available(seed)?;
    deploy(&mut sim)?;
    // The tenant's system comes up.
    pass(&mut sim, 10 * 60_000)?;
    tenant_runs(&sim)?;
    Ok(sim)
}

fn deploy(sim: &mut Simulation) -> Verdict {
    must(sim.choose_image(0), "the image is not taken")?;
    ask(sim, 0, Verb::Active)?;
    until(sim, 0, State::Active)
}

/// What the machine's agents do from now on, the present one included.
fn behaviour(sim: &mut Simulation, behaviour: Behaviour) {
    let machine = &mut sim.machines[0];
    machine.behaviour = behaviour;
    if let Stage::Ramdisk(ramdisk) = &mut machine.stage
        && let Some(driver) = &mut ramdisk.driver
    {
        driver.handler_mut().behaviour = behaviour;
    }
}

fn restart(sim: &mut Simulation) {
    sim.switch(0, Act::Cycle, false);
}

fn error_of(sim: &Simulation) -> &str {
    sim.appliance.rack().nodes()[0].last_error.as_str()
}
