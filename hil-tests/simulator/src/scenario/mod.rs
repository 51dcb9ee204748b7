//! Field faults, each told as a story whose end is known. A story fails when
//! its end is another one, or when the watch sees what must never be.
//!
//! That a story can fail is shown by the patches in `faults/`: each brings
//! the bug of its field fault into the code.

mod stories;
mod strangers;

use farrier_core::provisioning::steps::Steps;
use farrier_lifecycle::{State, Verb};

use crate::faults::Kinds;
use crate::hands::Mood;
use crate::machine::Stage;
use crate::world::{Act, HOUR, Options, World};

/// How a story ends.
pub type LeaseView = Result<(), String>;

/// A story with an end that is known.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Tells it; an error says what was other than it should be.
    pub tell: fn() -> LeaseView,
}

const fn story(name: &'static str, about: &'static str, tell: fn() -> LeaseView) -> Scenario {
    Scenario { name, about, tell }
}

/// All of them.
pub const ALL: [Scenario; 15] = [
    story(
        "a-life",
        "one server boots, is inspected, cleaned, deployed and released",
        stories::a_life,
    ),
    story(
        "failed-clean",
        "a cleaning that failed is never shown as available",
        stories::failed_clean,
    ),
    story(
        "old-disk-boots",
        "a BMC ignores the boot order and the old disk boots",
        stories::old_disk_boots,
    ),
    story(
        "boots-again",
        "a provisioned node boots from the network again",
        stories::boots_again,
    ),
    story(
        "wait-without-end",
        "an agent hangs and goes on talking; a machine never comes",
        stories::wait_without_end,
    ),
    story(
        "addresses",
        "first packets are lost, the pool is exhausted, nobody loses an address",
        strangers::addresses,
    ),
    story(
        "ticket-twice",
        "a ticket is used by two machines, a session's answers are lost",
        strangers::ticket_twice,
    ),
    story(
        "wrong-clock",
        "the clock jumps by weeks, in peace and in the middle of work",
        stories::wrong_clock,
    ),
    story(
        "wrong-server",
        "a wrong server address is announced, by a stranger or by us",
        strangers::wrong_server,
    ),
    story(
        "wrong-image",
        "the bytes of an image are other than its manifest says",
        stories::wrong_image,
    ),
    story(
        "config-drive",
        "a tenant finds its own config drive or none, whatever becomes of its bytes",
        stories::config_drive,
    ),
    story(
        "port-moved",
        "a switch port was not moved, an address is seen at two, a machine comes by another one",
        strangers::port_moved,
    ),
    story(
        "restarts",
        "the appliance loses power in the middle of everything",
        stories::restarts,
    ),
    story(
        "power-forced",
        "a machine that its tenant switched off stays off",
        stories::power_forced,
    ),
    story(
        "quick-server",
        "a server is there before anybody wants something of it",
        stories::quick_server,
    ),
];

/// A rack in which nothing happens but what a story makes happen.
fn quiet(nodes: usize, seed: u64) -> World {
    World::new(Options {
        nodes,
        kinds: Kinds::NONE,
        operators: false,
        trace: std::env::var_os("FARRIER_TRACE").is_some(),
        ..Options::new(seed)
    })
}

/// Lets so many milliseconds pass.
fn pass(world: &mut World, millis: u64) -> LeaseView {
    world.run_until(world.now + millis);
    match &world.watch.violation {
        Some((_, what)) => Err(what.clone()),
        None => Ok(()),
    }
}

/// Lets time pass until a node is in a state.
fn until(world: &mut World, slot: usize, state: State) -> LeaseView {
    let end = world.now + 2 * HOUR;
    while world.state(slot) != Some(state) && world.now < end {
        pass(world, 500)?;
    }
    is(world, slot, state)
}

fn is(world: &World, slot: usize, state: State) -> LeaseView {
    if world.state(slot) == Some(state) {
        return Ok(());
    }
    let node = world.appliance.rack.nodes().get(slot);
    Err(format!(
        "node {slot} should be {state} and is {:?}: {:?}",
        world.state(slot),
        node.map(|node| node.last_error.as_str())
    ))
}

/// The system on the first machine's own disk runs.
fn tenant_runs(world: &World) -> LeaseView {
    must(
        matches!(world.machines[0].stage, Stage::Tenant(_)),
        "the tenant's system does not run",
    )
}

fn must(holds: bool, what: &str) -> LeaseView {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn ask(world: &mut World, slot: usize, verb: Verb) -> LeaseView {
    if world.verb(slot, verb) {
        return Ok(());
    }
    Err(format!("{verb} was refused in {:?}", world.state(slot)))
}

fn manageable(seed: u64) -> Result<World, String> {
    let mut world = quiet(1, seed);
    until(&mut world, 0, State::Enroll)?;
    ask(&mut world, 0, Verb::Manage)?;
    Ok(world)
}

fn available(seed: u64) -> Result<World, String> {
    let mut world = manageable(seed)?;
    ask(&mut world, 0, Verb::Provide)?;
    until(&mut world, 0, State::Available)?;
    Ok(world)
}

fn active(seed: u64) -> Result<World, String> {
    let mut world = available(seed)?;
    deploy(&mut world)?;
    // The tenant's system comes up.
    pass(&mut world, 10 * 60_000)?;
    tenant_runs(&world)?;
    Ok(world)
}

fn deploy(world: &mut World) -> LeaseView {
    must(world.choose_image(0), "the image is not taken")?;
    ask(world, 0, Verb::Active)?;
    until(world, 0, State::Active)
}

/// What the machine's agents do from now on, the present one included.
fn mood(world: &mut World, mood: Mood) {
    let machine = &mut world.machines[0];
    machine.mood = mood;
    if let Stage::Ramdisk(ramdisk) = &mut machine.stage
        && let Some(driver) = &mut ramdisk.driver
    {
        driver.handler_mut().mood = mood;
    }
}

fn restart(world: &mut World) {
    world.switch(0, Act::Cycle, false);
}

fn error_of(world: &World) -> &str {
    world.appliance.rack.nodes()[0].last_error.as_str()
}
