//! Scenarios of a hostile machine on the network, which has no key.

use super::*;
use crate::faults::{Fault, Faults};
use crate::hostile::Kind;

/// How much later than without strangers a rack's machines may be done, in
/// milliseconds: the time of a lease. One that comes by another interface may
/// have to wait for so long.
const LATE: u64 = 600_000;

/// A hostile machine begins to listen.
fn listens(sim: &mut Simulation) {
    sim.faults = Faults::new(Kinds::NONE.with(Fault::Hostile));
    sim.hostile.hears_all();
}

/// Lets time pass while the hostile machine sends, until all nodes are in a
/// state. Gives how long it took.
fn attacked(
    sim: &mut Simulation,
    frames: u64,
    pause: u64,
    state: ProvisionState,
) -> Result<u64, String> {
    let (begin, end) = (sim.now, sim.now + 2 * HOUR);
    let nodes = sim.machines.len();
    let all = |sim: &Simulation| (0..nodes).all(|slot| sim.state(slot) == Some(state));
    while !all(sim) && sim.now < end {
        sim.strike_hostile(frames);
        pass(sim, pause)?;
    }
    (0..nodes).try_for_each(|slot| is(sim, slot, state))?;
    Ok(sim.now - begin)
}

fn sent(sim: &Simulation, kind: Kind) -> Verdict {
    let frames = sim.hostile.frames[kind as usize];
    must(frames > 0, &format!("no frame is {kind:?}"))
}

/// Copies of a session's datagrams come from other places. No answer goes there.
pub(super) fn other_place() -> Verdict {
    let mut sim = manageable(40)?;
    listens(&mut sim);
    ask(&mut sim, 0, Verb::Provide)?;
    attacked(&mut sim, 40, 500, ProvisionState::Available)?;
    must(sim.choose_image(0), "the image is not taken")?;
    ask(&mut sim, 0, Verb::Active)?;
    attacked(&mut sim, 40, 500, ProvisionState::Active)?;
    sent(&sim, Kind::Moved)
}

/// A machine dies at work, and copies of what its agent said go on.
pub(super) fn dead_agent() -> Verdict {
    let mut sim = manageable(42)?;
    listens(&mut sim);
    ask(&mut sim, 0, Verb::Provide)?;
    until(&mut sim, 0, ProvisionState::Cleaning)?;
    pass(&mut sim, 5_000)?;
    // Nobody switches it on again.
    sim.driver_off_until = u64::MAX;
    sim.switch(0, Act::Off, false);
    let took = attacked(&mut sim, 200, 5_000, ProvisionState::CleanFailed)?;
    sent(&sim, Kind::Copied)?;
    // The agent is missed after 90 s, and its machine is waited for half an hour.
    must(took <= 32 * 60_000, "work goes on that nobody carries on")
}

/// Very many strangers ask for addresses while a rack's machines boot.
pub(super) fn stranger_flood() -> Verdict {
    let alone = cleaned(0)?;
    let flooded = cleaned(200)?;
    must(
        flooded <= alone + LATE,
        &format!("with strangers it took {flooded} ms, and {alone} ms without"),
    )
}

/// How long a rack takes from power-on to clean machines while so many hostile
/// frames come in a second.
fn cleaned(frames: u64) -> Result<u64, String> {
    let mut sim = quiet(24, 44);
    for machine in &mut sim.machines {
        // An interface that no node has yet is one more stranger.
        machine.fixed_nic = Some(0);
    }
    pass(&mut sim, HOUR)?;
    for slot in 0..24 {
        ask(&mut sim, slot, Verb::Manage)?;
    }
    // Until the last lease is over.
    for index in 0..24 {
        sim.switch(index, Act::Off, false);
    }
    pass(&mut sim, 11 * 60_000)?;
    for slot in 0..24 {
        ask(&mut sim, slot, Verb::Provide)?;
        sim.switch(slot, Act::On, false);
    }
    listens(&mut sim);
    let took = attacked(&mut sim, frames, 1_000, ProvisionState::Available)?;
    if frames > 0 {
        sent(&sim, Kind::Stranger)?;
        let withheld = sim.appliance.rack().counters().leases_withheld;
        must(withheld > 0, "strangers should have been refused")?;
    }
    Ok(took)
}
