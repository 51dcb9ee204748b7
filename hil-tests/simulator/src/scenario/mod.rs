//! Scenarios: faults of the field, each with an end that is known. A scenario
//! fails when its end is another one, or when an invariant is violated.
//!
//! That a scenario can fail is shown by `cargo xtask sim --prove`: it builds
//! the code with `cfg(farrier_bug = "NAME")` for the bug of that name.

mod hostile;
mod network;
mod ports;
mod servers;

use farrier_core::provisioning::steps::Steps;
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::Reason;
use farrier_testkit::agent::Behaviour;

use crate::faults::Kinds;
use crate::machine::Stage;
use crate::simulation::{Act, HOUR, Options, Simulation};

/// How a scenario ends; an error says what was other than it should be.
pub type Verdict = Result<(), String>;

/// A scenario with an end that is known.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Tells it; an error says what was other than it should be.
    pub run: fn() -> Verdict,
}

const fn scenario(name: &'static str, about: &'static str, run: fn() -> Verdict) -> Scenario {
    Scenario { name, about, run }
}

/// All of them.
pub const ALL: [Scenario; 27] = [
    scenario(
        "life-cycle",
        "one server boots, is inspected, cleaned, deployed and released",
        servers::life_cycle,
    ),
    scenario(
        "failed-clean",
        "a cleaning that failed is never shown as available",
        servers::failed_clean,
    ),
    scenario(
        "old-disk-boots",
        "a BMC ignores the boot order and the old disk boots",
        servers::old_disk_boots,
    ),
    scenario(
        "boots-again",
        "a provisioned node boots from the network again",
        servers::boots_again,
    ),
    scenario(
        "wait-without-end",
        "an agent hangs and goes on polling; a machine never boots",
        servers::wait_without_end,
    ),
    scenario(
        "addresses",
        "first packets are lost, the pool is exhausted, no client loses its address",
        network::addresses,
    ),
    scenario(
        "ticket-twice",
        "a ticket is used by two machines, a session's answers are lost",
        network::ticket_twice,
    ),
    scenario(
        "wrong-clock",
        "the clock jumps by weeks, without and with work under way",
        servers::wrong_clock,
    ),
    scenario(
        "wrong-server",
        "a wrong server address is announced, by a rogue server or by the appliance",
        network::wrong_server,
    ),
    scenario(
        "wrong-image",
        "the bytes of an image are other than its manifest says",
        servers::wrong_image,
    ),
    scenario(
        "config-drive",
        "a tenant finds its own config drive or none, whatever becomes of its bytes",
        servers::config_drive,
    ),
    scenario(
        "port-moved",
        "a switch port was not moved, an address is seen at two, a machine comes by another one",
        network::port_moved,
    ),
    scenario(
        "restarts",
        "the appliance loses power in the middle of everything",
        servers::restarts,
    ),
    scenario(
        "power-forced",
        "a machine that its tenant switched off stays off",
        servers::power_forced,
    ),
    scenario(
        "power-forgotten",
        "a power request outlives a silent driver and restarts of the appliance",
        servers::power_forgotten,
    ),
    scenario(
        "quick-server",
        "a server is there before anybody wants something of it",
        servers::quick_server,
    ),
    scenario(
        "other-place",
        "copies of an agent's datagrams come from other places and get no answer",
        hostile::other_place,
    ),
    scenario(
        "dead-agent",
        "a machine dies at work, and copies of what its agent said go on",
        hostile::dead_agent,
    ),
    scenario(
        "stranger-flood",
        "very many strangers ask for addresses while a rack's machines boot",
        hostile::stranger_flood,
    ),
    scenario(
        "ports-moved",
        "a server's port follows its work, by each driver of switches",
        ports::moved,
    ),
    scenario(
        "flip-without-proof",
        "a VLAN is missing on the trunk: the move is not proven, and the work fails",
        ports::flip_without_proof,
    ),
    scenario(
        "clean-while-running",
        "nobody switches a tenant's machine off: it stays on its tenant's network",
        ports::clean_while_running,
    ),
    scenario(
        "unerased-attached",
        "a machine with data of which nothing is known is attached to a tenants' network",
        ports::unerased_attached,
    ),
    scenario(
        "move-without-end",
        "a move that nothing proves is over within its bound, whatever is said of it",
        ports::move_without_end,
    ),
    scenario(
        "moved-by-others",
        "somebody else moves a port: the node says so and nothing is done with it",
        ports::moved_by_others,
    ),
    scenario(
        "switch-faults",
        "every fault of a switch in a deployment and a release ends in a known port",
        ports::faults_of_switches,
    ),
    scenario(
        "confirm-runs-out",
        "the appliance is away for longer than a switch waits for the confirmation",
        ports::confirm_runs_out,
    ),
];

/// A rack in which nothing happens but what a scenario makes happen.
fn quiet(nodes: usize, seed: u64) -> Simulation {
    Simulation::new(Options {
        nodes,
        kinds: Kinds::NONE,
        operators: false,
        switches: Some(false),
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
fn until(sim: &mut Simulation, slot: usize, state: ProvisionState) -> Verdict {
    let end = sim.now + 2 * HOUR;
    while sim.state(slot) != Some(state) && sim.now < end {
        pass(sim, 500)?;
    }
    is(sim, slot, state)
}

fn is(sim: &Simulation, slot: usize, state: ProvisionState) -> Verdict {
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
    until(&mut sim, 0, ProvisionState::Enroll)?;
    ask(&mut sim, 0, Verb::Manage)?;
    Ok(sim)
}

fn available(seed: u64) -> Result<Simulation, String> {
    let mut sim = manageable(seed)?;
    ask(&mut sim, 0, Verb::Provide)?;
    until(&mut sim, 0, ProvisionState::Available)?;
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
    until(sim, 0, ProvisionState::Active)
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
