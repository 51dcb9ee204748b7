//! Field faults, each told as a story.

use crate::faults::Kinds;
use crate::world::{HOUR, Options, World};
use farrier_lifecycle::{State, Verb};

/// A story with an end that is known.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Tells it; an error says what was other than it should be.
    pub tell: fn() -> Result<(), String>,
}

/// All of them.
pub const ALL: [Scenario; 1] = [Scenario {
    name: "a-life",
    about: "one server boots, is inspected, cleaned, deployed and released",
    tell: a_life,
}];

/// A rack in which nothing happens but what a story makes happen.
fn quiet(nodes: usize) -> World {
    World::new(Options {
        nodes,
        kinds: Kinds::NONE,
        operators: false,
        trace: std::env::var_os("FARRIER_TRACE").is_some(),
        ..Options::new(1)
    })
}

/// Lets time pass until a node is in a state.
fn until(world: &mut World, slot: usize, state: State) -> Result<(), String> {
    let end = world.now + 2 * HOUR;
    while world.state(slot) != Some(state) && world.now < end {
        let next = world.now + 1_000;
        world.run_until(next);
        if let Some((_, what)) = &world.watch.violation {
            return Err(what.clone());
        }
    }
    if world.state(slot) == Some(state) {
        return Ok(());
    }
    let node = &world.appliance.rack.nodes().get(slot);
    Err(format!(
        "node {slot} should be {state} and is {:?}: {:?}",
        world.state(slot),
        node.map(|node| node.last_error.as_str())
    ))
}

fn ask(world: &mut World, slot: usize, verb: Verb) -> Result<(), String> {
    if world.verb(slot, verb) {
        return Ok(());
    }
    Err(format!("{verb} was refused in {:?}", world.state(slot)))
}

fn a_life() -> Result<(), String> {
    let mut world = quiet(1);
    until(&mut world, 0, State::Enroll)?;
    ask(&mut world, 0, Verb::Manage)?;
    ask(&mut world, 0, Verb::Inspect)?;
    until(&mut world, 0, State::Manageable)?;
    ask(&mut world, 0, Verb::Provide)?;
    until(&mut world, 0, State::Available)?;
    world.choose_image(0);
    ask(&mut world, 0, Verb::Active)?;
    until(&mut world, 0, State::Active)?;
    world.run_until(world.now + HOUR);
    ask(&mut world, 0, Verb::Deleted)?;
    until(&mut world, 0, State::Available)
}
