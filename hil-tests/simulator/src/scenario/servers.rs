//! Scenarios of one server and its operator.

use super::*;
use crate::disk::Disk;
use crate::drive::Drive;

pub(super) fn life_cycle() -> Verdict {
    let mut sim = manageable(1)?;
    ask(&mut sim, 0, Verb::Inspect)?;
    until(&mut sim, 0, ProvisionState::Manageable)?;
    ask(&mut sim, 0, Verb::Provide)?;
    until(&mut sim, 0, ProvisionState::Available)?;
    deploy(&mut sim)?;
    pass(&mut sim, HOUR)?;
    must(sim.machines[0].is_bootable(), "there is nothing to boot")?;
    ask(&mut sim, 0, Verb::Deleted)?;
    until(&mut sim, 0, ProvisionState::Available)?;
    // The first one, that of the release, and behind each cleaning the one that
    // reads a sample again.
    must(
        sim.ramdisks == 4,
        &format!("{} boots instead of four for a life", sim.ramdisks),
    )
}

pub(super) fn config_drive() -> Verdict {
    let asked = |sim: &mut Simulation, verb| {
        let drive = Drive::new(&mut sim.random, sim.appliance.free_place(0));
        let text = drive.text.clone();
        must(sim.choose_image(0), "the image is not taken")?;
        let granted = sim.verb_with(0, verb, Steps::NONE, Some(drive));
        must(granted, "the config drive is not taken")?;
        Ok::<_, String>(text)
    };
    let texts = |sim: &Simulation| -> Vec<Vec<u8>> {
        let disks = sim.machines[0].disks.iter();
        disks.flat_map(Disk::texts).collect()
    };
    let mut sim = available(12)?;
    let text = asked(&mut sim, Verb::Active)?;
    until(&mut sim, 0, ProvisionState::Active)?;
    must(texts(&sim) == [text], "the tenant has another text")?;
    // The next tenant has none.
    ask(&mut sim, 0, Verb::Deleted)?;
    until(&mut sim, 0, ProvisionState::Available)?;
    deploy(&mut sim)?;
    must(texts(&sim).is_empty(), "a tenant has another one's text")?;

    // Bytes that come over the wire wrong: of an image they come once more, of
    // a config drive they are refused.
    let mut refused = 0;
    for spare in 0..8 {
        let mut sim = available(12)?;
        (sim.spare, sim.spoil) = (spare, 1);
        let mut text = asked(&mut sim, Verb::Active)?;
        if until(&mut sim, 0, ProvisionState::Active).is_err() {
            is(&sim, 0, ProvisionState::DeployFailed)?;
            must(
                error_of(&sim).contains("config drive is unusable"),
                "the failure does not name the config drive",
            )?;
            refused += 1;
            text = asked(&mut sim, Verb::Rebuild)?;
            until(&mut sim, 0, ProvisionState::Active)?;
        }
        must(texts(&sim) == [text], "the tenant has another text")?;
    }
    must(refused == 1, "a config drive comes over in one piece")
}

pub(super) fn failed_clean() -> Verdict {
    // Agents that say less, or more, than what is so; then a broken disk.
    let lies = [
        Behaviour::ClaimsDone,
        Behaviour::WithholdsCertificate,
        Behaviour::CertifiesPart,
        Behaviour::CertifiesOtherDisk,
        Behaviour::Fails(Reason::Other),
    ];
    for lie in lies {
        let mut sim = manageable(2)?;
        let disk = sim.machines[0].disks[0].clone();
        disk.tenant_writes(1 << 20, 1 << 20, 99);
        behaviour(&mut sim, lie);
        ask(&mut sim, 0, Verb::Provide)?;
        until(&mut sim, 0, ProvisionState::CleanFailed)?;
        must(!error_of(&sim).is_empty(), "the failure has no reason")?;
        // Only a cleaning that holds brings it back.
        must(
            !sim.verb(0, Verb::Active),
            "a node that failed cleaning is deployed",
        )?;
        behaviour(&mut sim, Behaviour::Honest);
        ask(&mut sim, 0, Verb::Manage)?;
        ask(&mut sim, 0, Verb::Provide)?;
        until(&mut sim, 0, ProvisionState::Available)?;
    }
    let mut sim = manageable(2)?;
    let disk = sim.machines[0].disks[0].clone();
    disk.tenant_writes(1 << 20, 1 << 20, 99);
    disk.damage(|damage| damage.unwritable = Some(5 << 20));
    ask(&mut sim, 0, Verb::Provide)?;
    until(&mut sim, 0, ProvisionState::CleanFailed)?;
    must(
        error_of(&sim).contains("can't be erased"),
        "the broken disk is not named",
    )
}

pub(super) fn old_disk_boots() -> Verdict {
    let mut sim = active(3)?;
    sim.machines[0].stubborn = true;
    ask(&mut sim, 0, Verb::Deleted)?;
    is(&sim, 0, ProvisionState::CleanWait)?;
    until(&mut sim, 0, ProvisionState::CleanFailed)?;
    must(
        sim.machines[0].disks.iter().any(|d| d.holds_tenant()),
        "the tenant's data should still be there",
    )?;
    // Once the machine obeys, it is cleaned like any other.
    sim.machines[0].stubborn = false;
    ask(&mut sim, 0, Verb::Manage)?;
    ask(&mut sim, 0, Verb::Provide)?;
    until(&mut sim, 0, ProvisionState::Available)
}

pub(super) fn boots_again() -> Verdict {
    let mut sim = active(4)?;
    let ramdisks = sim.ramdisks;
    for _ in 0..5 {
        restart(&mut sim);
        pass(&mut sim, 10 * 60_000)?;
        is(&sim, 0, ProvisionState::Active)?;
        tenant_runs(&sim)?;
    }
    must(
        sim.ramdisks == ramdisks,
        "the installer came to a tenant's machine",
    )
}

pub(super) fn wait_without_end() -> Verdict {
    // The agent takes its order, reports its progress, and gets no further.
    let mut sim = manageable(5)?;
    behaviour(&mut sim, Behaviour::Hangs);
    ask(&mut sim, 0, Verb::Provide)?;
    until(&mut sim, 0, ProvisionState::CleanFailed)?;
    must(
        error_of(&sim).contains("took too long"),
        "the failure does not say what was waited for",
    )?;
    // The machine never comes.
    let mut sim = active(5)?;
    sim.switch(0, Act::Off, false);
    sim.machines[0].cut_until = u64::MAX;
    ask(&mut sim, 0, Verb::Deleted)?;
    let began = sim.now;
    until(&mut sim, 0, ProvisionState::CleanFailed)?;
    must(
        sim.now - began < 35 * 60_000,
        "half an hour is enough to wait for a machine",
    )
}

pub(super) fn wrong_clock() -> Verdict {
    const WEEKS: u64 = 50 * 24 * HOUR;
    // Without work: everything goes on as before.
    let mut sim = available(6)?;
    sim.invariants.clock_jumped(sim.now, WEEKS);
    sim.appliance.jump(sim.now, WEEKS);
    pass(&mut sim, HOUR)?;
    deploy(&mut sim)?;
    // In the middle of work: it may fail, with words, and goes on after.
    ask(&mut sim, 0, Verb::Deleted)?;
    until(&mut sim, 0, ProvisionState::Cleaning)?;
    sim.invariants.clock_jumped(sim.now, WEEKS);
    sim.appliance.jump(sim.now, WEEKS);
    pass(&mut sim, 2 * HOUR)?;
    if sim.state(0) == Some(ProvisionState::CleanFailed) {
        must(!error_of(&sim).is_empty(), "the failure has no reason")?;
        ask(&mut sim, 0, Verb::Manage)?;
        ask(&mut sim, 0, Verb::Provide)?;
    }
    until(&mut sim, 0, ProvisionState::Available)
}

pub(super) fn wrong_image() -> Verdict {
    // Some pieces are wrong, the first ones or one of the later: they are
    // fetched again.
    for (spared, spoilt) in (1..8).map(|n| (0, n)).chain((1..8).map(|n| (n, 1))) {
        let mut sim = available(7)?;
        sim.spare = spared;
        sim.spoil = spoilt;
        must(sim.choose_image(0), "the image is not taken")?;
        ask(&mut sim, 0, Verb::Active)?;
        let end = sim.now + HOUR;
        while sim.now < end
            && !matches!(
                sim.state(0),
                Some(ProvisionState::Active | ProvisionState::DeployFailed)
            )
        {
            pass(&mut sim, 1_000)?;
        }
        let written = sim.appliance.rack().nodes()[0].written;
        match sim.state(0) {
            // There may be fewer pieces than were spared.
            Some(ProvisionState::Active) => must(
                sim.spoil == 1 || written.is_some_and(|written| written.refetched_chunks > 0),
                "wrong pieces were not noticed",
            )?,
            _ => is(&sim, 0, ProvisionState::DeployFailed)?,
        }
    }
    // All are: the deployment fails and says so.
    let mut sim = available(7)?;
    sim.spoil = u32::MAX;
    must(sim.choose_image(0), "the image is not taken")?;
    ask(&mut sim, 0, Verb::Active)?;
    until(&mut sim, 0, ProvisionState::DeployFailed)?;
    must(
        error_of(&sim).contains("manifest"),
        "the failure does not name the manifest",
    )
}

pub(super) fn power_forced() -> Verdict {
    let mut sim = active(8)?;
    sim.switch(0, Act::Off, false);
    // Power that is switched on would show as a packet, or violate an invariant.
    pass(&mut sim, 24 * HOUR)?;
    is(&sim, 0, ProvisionState::Active)?;
    must(
        matches!(sim.machines[0].stage, Stage::Off),
        "the machine was switched on",
    )
}

/// The driver is dead and the appliance loses power right behind its decision:
/// the request is made again, until the driver works and the machine boots.
pub(super) fn power_forgotten() -> Verdict {
    use farrier_journal::sim::Cut;
    for moment in 0..12 {
        let mut sim = active(40 + moment % 4)?;
        sim.switch(0, Act::Off, false);
        sim.driver_off_until = sim.now + 8 * 60_000;
        if moment % 2 == 0 {
            let cut = [Cut::Clean, Cut::Torn(moment)][moment as usize / 2 % 2];
            sim.appliance.plan_cut(sim.now, moment * 3, cut);
        }
        let granted = sim.verb(0, Verb::Deleted);
        pass(&mut sim, 5 * 60_000)?;
        if !granted {
            // The power went before the verb was durable.
            let state = sim.state(0);
            if state == Some(ProvisionState::Active) {
                ask(&mut sim, 0, Verb::Deleted)?;
            }
        }
        until(&mut sim, 0, ProvisionState::Available)?;
        must(sim.ramdisks > 0, "nothing booted")?;
    }
    Ok(())
}

pub(super) fn quick_server() -> Verdict {
    // The verb comes at every moment of a boot, and before it.
    for moment in 0..40 {
        let mut sim = active(9)?;
        sim.machines[0].post = 0;
        ask(&mut sim, 0, Verb::Deleted)?;
        until(&mut sim, 0, ProvisionState::Available)?;
        ask(&mut sim, 0, Verb::Manage)?;
        restart(&mut sim);
        pass(&mut sim, moment * 700)?;
        let ramdisks = sim.ramdisks;
        ask(&mut sim, 0, Verb::Provide)?;
        until(&mut sim, 0, ProvisionState::Available)?;
        must(
            sim.ramdisks <= ramdisks + 2,
            "the machine was restarted more than once",
        )?;
    }
    Ok(())
}

/// Lets time pass until a node's work has ended, and whether it ended well.
fn ended(sim: &mut Simulation, well: ProvisionState) -> Result<bool, String> {
    let end = sim.now + 3 * HOUR;
    loop {
        pass(sim, 1_000)?;
        match sim.state(0) {
            Some(state) if state == well => return Ok(true),
            Some(state) if state.is_failure() => {
                must(!error_of(sim).is_empty(), "the failure has no reason")?;
                return Ok(false);
            }
            state if sim.now > end => {
                return Err(format!("the node stays in {state:?}"));
            }
            _ => {}
        }
    }
}

pub(super) fn restarts() -> Verdict {
    use farrier_journal::sim::Cut;
    let mut on = 0;
    for moment in 0..48 {
        let mut sim = manageable(30 + moment % 4)?;
        let cuts = [Cut::Clean, Cut::Torn(moment), Cut::Weak(moment)];
        let cut = cuts[moment as usize % 3];
        let (verb, work, well) = match moment % 3 {
            0 => (
                Verb::Inspect,
                ProvisionState::Inspecting,
                ProvisionState::Manageable,
            ),
            1 => (
                Verb::Provide,
                ProvisionState::Cleaning,
                ProvisionState::Available,
            ),
            _ => (
                Verb::Active,
                ProvisionState::Deploying,
                ProvisionState::Active,
            ),
        };
        if verb == Verb::Active {
            ask(&mut sim, 0, Verb::Provide)?;
            until(&mut sim, 0, ProvisionState::Available)?;
            must(sim.choose_image(0), "the image is not taken")?;
        }
        ask(&mut sim, 0, verb)?;
        until(&mut sim, 0, work)?;
        sim.appliance.plan_cut(sim.now, moment / 3 * 9, cut);
        on += u64::from(ended(&mut sim, well)?);
        // It answers again, and whoever failed can be brought back.
        pass(&mut sim, HOUR)?;
        if verb == Verb::Provide && sim.state(0) == Some(ProvisionState::CleanFailed) {
            ask(&mut sim, 0, Verb::Manage)?;
            ask(&mut sim, 0, Verb::Provide)?;
            until(&mut sim, 0, ProvisionState::Available)?;
        }
    }
    must(on >= 32, "too much work does not survive a restart")
}
