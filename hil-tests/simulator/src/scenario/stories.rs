//! Stories of one server and its operator.

use super::*;
use crate::disk::Disk;
use crate::drive::Drive;

pub(super) fn a_life() -> LeaseView {
    let mut world = manageable(1)?;
    ask(&mut world, 0, Verb::Inspect)?;
    until(&mut world, 0, State::Manageable)?;
    ask(&mut world, 0, Verb::Provide)?;
    until(&mut world, 0, State::Available)?;
    deploy(&mut world)?;
    pass(&mut world, HOUR)?;
    must(world.machines[0].is_bootable(), "there is nothing to boot")?;
    ask(&mut world, 0, Verb::Deleted)?;
    until(&mut world, 0, State::Available)?;
    must(world.ramdisks == 2, "two boots are enough for a life")
}

pub(super) fn config_drive() -> LeaseView {
    let asked = |world: &mut World, verb| {
        let drive = Drive::new(&mut world.random);
        let text = drive.text.clone();
        must(world.choose_image(0), "the image is not taken")?;
        let granted = world.verb_with(0, verb, Steps::NONE, Some(drive));
        must(granted, "the config drive is not taken")?;
        Ok::<_, String>(text)
    };
    let texts = |world: &World| -> Vec<Vec<u8>> {
        let disks = world.machines[0].disks.iter();
        disks.flat_map(Disk::texts).collect()
    };
    let mut world = available(12)?;
    let text = asked(&mut world, Verb::Active)?;
    until(&mut world, 0, State::Active)?;
    must(texts(&world) == [text], "the tenant has another text")?;
    // The next tenant has none.
    ask(&mut world, 0, Verb::Deleted)?;
    until(&mut world, 0, State::Available)?;
    deploy(&mut world)?;
    must(texts(&world).is_empty(), "a tenant has another one's text")?;

    // Bytes that come over the wire wrong: of an image they come once more, of
    // a config drive they are refused.
    let mut refused = 0;
    for spare in 0..8 {
        let mut world = available(12)?;
        (world.spare, world.spoil) = (spare, 1);
        let mut text = asked(&mut world, Verb::Active)?;
        if until(&mut world, 0, State::Active).is_err() {
            is(&world, 0, State::DeployFailed)?;
            must(
                error_of(&world).contains("config drive can't be used"),
                "the failure does not name the config drive",
            )?;
            refused += 1;
            text = asked(&mut world, Verb::Rebuild)?;
            until(&mut world, 0, State::Active)?;
        }
        must(texts(&world) == [text], "the tenant has another text")?;
    }
    must(refused == 1, "a config drive comes over in one piece")
}

pub(super) fn failed_clean() -> LeaseView {
    // Agents that say less, or more, than what is so; then a broken disk.
    let lies = [
        Mood::ClaimsDone,
        Mood::WithholdsCertificate,
        Mood::CertifiesPart,
        Mood::CertifiesStranger,
        Mood::CriesWolf,
    ];
    for lie in lies {
        let mut world = manageable(2)?;
        let disk = world.machines[0].disks[0].clone();
        disk.tenant_writes(1 << 20, 1 << 20, 99);
        mood(&mut world, lie);
        ask(&mut world, 0, Verb::Provide)?;
        until(&mut world, 0, State::CleanFailed)?;
        must(!error_of(&world).is_empty(), "the failure has no reason")?;
        // Only a cleaning that holds brings it back.
        must(
            !world.verb(0, Verb::Active),
            "a node that failed cleaning is deployed",
        )?;
        mood(&mut world, Mood::Honest);
        ask(&mut world, 0, Verb::Manage)?;
        ask(&mut world, 0, Verb::Provide)?;
        until(&mut world, 0, State::Available)?;
    }
    let mut world = manageable(2)?;
    let disk = world.machines[0].disks[0].clone();
    disk.tenant_writes(1 << 20, 1 << 20, 99);
    disk.damage(|damage| damage.unwritable = Some(5 << 20));
    ask(&mut world, 0, Verb::Provide)?;
    until(&mut world, 0, State::CleanFailed)?;
    must(
        error_of(&world).contains("can't be erased"),
        "the broken disk is not named",
    )
}

pub(super) fn old_disk_boots() -> LeaseView {
    let mut world = active(3)?;
    world.machines[0].stubborn = true;
    ask(&mut world, 0, Verb::Deleted)?;
    is(&world, 0, State::CleanWait)?;
    until(&mut world, 0, State::CleanFailed)?;
    must(
        world.machines[0].disks.iter().any(|d| d.holds_tenant()),
        "the tenant's data should still be there",
    )?;
    // Once the machine obeys, it is cleaned like any other.
    world.machines[0].stubborn = false;
    ask(&mut world, 0, Verb::Manage)?;
    ask(&mut world, 0, Verb::Provide)?;
    until(&mut world, 0, State::Available)
}

pub(super) fn boots_again() -> LeaseView {
    let mut world = active(4)?;
    let ramdisks = world.ramdisks;
    for _ in 0..5 {
        restart(&mut world);
        pass(&mut world, 10 * 60_000)?;
        is(&world, 0, State::Active)?;
        tenant_runs(&world)?;
    }
    must(
        world.ramdisks == ramdisks,
        "the installer came to a tenant's machine",
    )
}

pub(super) fn wait_without_end() -> LeaseView {
    // The agent takes its order, tells how far it is, and gets no further.
    let mut world = manageable(5)?;
    mood(&mut world, Mood::Hangs);
    ask(&mut world, 0, Verb::Provide)?;
    until(&mut world, 0, State::CleanFailed)?;
    must(
        error_of(&world).contains("took too long"),
        "the failure does not say what was waited for",
    )?;
    // The machine never comes.
    let mut world = active(5)?;
    world.switch(0, Act::Off, false);
    world.machines[0].cut_until = u64::MAX;
    ask(&mut world, 0, Verb::Deleted)?;
    let began = world.now;
    until(&mut world, 0, State::CleanFailed)?;
    must(
        world.now - began < 35 * 60_000,
        "half an hour is enough to wait for a machine",
    )
}

pub(super) fn wrong_clock() -> LeaseView {
    const WEEKS: u64 = 50 * 24 * HOUR;
    // In peace: everything goes on as before.
    let mut world = available(6)?;
    world.watch.clock_jumped(world.now, WEEKS);
    world.appliance.jump(world.now, WEEKS);
    pass(&mut world, HOUR)?;
    deploy(&mut world)?;
    // In the middle of work: it may fail, with words, and goes on after.
    ask(&mut world, 0, Verb::Deleted)?;
    until(&mut world, 0, State::Cleaning)?;
    world.watch.clock_jumped(world.now, WEEKS);
    world.appliance.jump(world.now, WEEKS);
    pass(&mut world, 2 * HOUR)?;
    if world.state(0) == Some(State::CleanFailed) {
        must(!error_of(&world).is_empty(), "the failure has no reason")?;
        ask(&mut world, 0, Verb::Manage)?;
        ask(&mut world, 0, Verb::Provide)?;
    }
    until(&mut world, 0, State::Available)
}

pub(super) fn wrong_image() -> LeaseView {
    // Some pieces are wrong, the first ones or one of the later: they are
    // fetched again.
    for (spared, spoilt) in (1..8).map(|n| (0, n)).chain((1..8).map(|n| (n, 1))) {
        let mut world = available(7)?;
        world.spare = spared;
        world.spoil = spoilt;
        must(world.choose_image(0), "the image is not taken")?;
        ask(&mut world, 0, Verb::Active)?;
        let end = world.now + HOUR;
        while world.now < end
            && !matches!(world.state(0), Some(State::Active | State::DeployFailed))
        {
            pass(&mut world, 1_000)?;
        }
        let written = world.appliance.rack.nodes()[0].written;
        match world.state(0) {
            // There may be fewer pieces than were spared.
            Some(State::Active) => must(
                world.spoil == 1 || written.is_some_and(|written| written.refetched_chunks > 0),
                "wrong pieces were not noticed",
            )?,
            _ => is(&world, 0, State::DeployFailed)?,
        }
    }
    // All are: the deployment fails and says so.
    let mut world = available(7)?;
    world.spoil = u32::MAX;
    must(world.choose_image(0), "the image is not taken")?;
    ask(&mut world, 0, Verb::Active)?;
    until(&mut world, 0, State::DeployFailed)?;
    must(
        error_of(&world).contains("manifest"),
        "the failure does not name the manifest",
    )
}

pub(super) fn power_forced() -> LeaseView {
    let mut world = active(8)?;
    world.switch(0, Act::Off, false);
    // Power that is switched on would show as a packet, or to the watch.
    pass(&mut world, 24 * HOUR)?;
    is(&world, 0, State::Active)?;
    must(
        matches!(world.machines[0].stage, Stage::Off),
        "the machine was switched on",
    )
}

pub(super) fn quick_server() -> LeaseView {
    // The wish comes at every moment of a boot, and just as well before it.
    for moment in 0..40 {
        let mut world = active(9)?;
        world.machines[0].post = 0;
        ask(&mut world, 0, Verb::Deleted)?;
        until(&mut world, 0, State::Available)?;
        ask(&mut world, 0, Verb::Manage)?;
        restart(&mut world);
        pass(&mut world, moment * 700)?;
        let ramdisks = world.ramdisks;
        ask(&mut world, 0, Verb::Provide)?;
        until(&mut world, 0, State::Available)?;
        must(
            world.ramdisks <= ramdisks + 2,
            "the machine was restarted more than once",
        )?;
    }
    Ok(())
}

/// Lets time pass until a node's work has ended, and whether it ended well.
fn ended(world: &mut World, well: State) -> Result<bool, String> {
    let end = world.now + 3 * HOUR;
    loop {
        pass(world, 1_000)?;
        match world.state(0) {
            Some(state) if state == well => return Ok(true),
            Some(state) if state.is_failure() => {
                must(!error_of(world).is_empty(), "the failure has no reason")?;
                return Ok(false);
            }
            state if world.now > end => {
                return Err(format!("the node stays in {state:?}"));
            }
            _ => {}
        }
    }
}

pub(super) fn restarts() -> LeaseView {
    use farrier_journal::sim::Cut;
    let mut on = 0;
    for moment in 0..48 {
        let mut world = manageable(30 + moment % 4)?;
        let cuts = [Cut::Clean, Cut::Torn(moment), Cut::Weak(moment)];
        let cut = cuts[moment as usize % 3];
        let (verb, work, well) = match moment % 3 {
            0 => (Verb::Inspect, State::Inspecting, State::Manageable),
            1 => (Verb::Provide, State::Cleaning, State::Available),
            _ => (Verb::Active, State::Deploying, State::Active),
        };
        if verb == Verb::Active {
            ask(&mut world, 0, Verb::Provide)?;
            until(&mut world, 0, State::Available)?;
            must(world.choose_image(0), "the image is not taken")?;
        }
        ask(&mut world, 0, verb)?;
        until(&mut world, 0, work)?;
        world.appliance.plan_cut(world.now, moment / 3 * 9, cut);
        on += u64::from(ended(&mut world, well)?);
        // It answers again, and whoever failed can be brought back.
        pass(&mut world, HOUR)?;
        if verb == Verb::Provide && world.state(0) == Some(State::CleanFailed) {
            ask(&mut world, 0, Verb::Manage)?;
            ask(&mut world, 0, Verb::Provide)?;
            until(&mut world, 0, State::Available)?;
        }
    }
    must(on >= 32, "too much work does not survive a restart")
}
