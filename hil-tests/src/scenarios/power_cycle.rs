//! A server loses power in every step of its life. Each time it boots again,
//! goes on, and ends where it should; the server beside it does its own work
//! undisturbed.

use crate::job::{self, Patience, Tenant, Walk, Watch};
use crate::qemu::{Server, ServerSpec};
use crate::scenario::{Bench, Rack};
use anyhow::{Result, bail, ensure};
use std::thread;
use std::time::Duration;

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let specs = vec![
        job::small_disk(ServerSpec::bios("cycled", 1)),
        job::small_disk(ServerSpec::bios("beside", 2)),
    ];
    let rack = bench.rack("power-cycle", specs)?;
    let (cycled, beside) = (rack.server(0)?, rack.server(1)?);
    thread::scope(|scope| {
        let neighbour = scope.spawn(|| undisturbed(&rack, beside, watch));
        let outcome = cycle(bench, &rack, cycled, watch);
        let Ok(neighbour) = neighbour.join() else {
            bail!("the neighbour's job panicked");
        };
        outcome?;
        neighbour
    })
}

/// The neighbour is inspected, cleaned, and must not see a failure state.
fn undisturbed(rack: &Rack, server: &Server, watch: &dyn Watch) -> Result<()> {
    let mut walk = Walk::power_on(server, rack.api(), Patience::default(), watch)?;
    walk.inspect()?;
    walk.provide()?;
    let failed = walk
        .report
        .states
        .iter()
        .find(|state| state.ends_with("failed"));
    ensure!(failed.is_none(), "the neighbour was disturbed: {failed:?}");
    Ok(())
}

fn cycle(bench: &Bench, rack: &Rack, server: &Server, watch: &dyn Watch) -> Result<()> {
    let patience = Patience::default();
    // In the middle of the network boot.
    server.power_on()?;
    job::discovered(rack.api(), server.mac(), patience.boot)?;
    cut(server, watch, "network boot")?;
    let mut walk = Walk::power_on(server, rack.api(), patience, watch)?;

    // While the agent inspects, or waits to be told to.
    walk.verb("manage")?;
    walk.wait_for("manageable", Duration::from_secs(30))?;
    walk.verb("inspect")?;
    cut(server, watch, "inspection")?;
    walk.wait_for("manageable", patience.boot + patience.inspect)?;

    // While disks are erased.
    walk.verb("provide")?;
    walk.wait_busy("cleaning", patience.boot)?;
    cut(server, watch, "cleaning")?;
    walk.wait_for("available", patience.boot + patience.clean)?;

    // While the image is written.
    let tenant = Tenant::new("cycled", 1, server.mac());
    walk.start_deploy(&bench.image, &tenant)?;
    walk.wait_busy("deploying", patience.boot)?;
    let mark = server.console().mark();
    cut(server, watch, "deployment")?;
    walk.wait_for("active", patience.boot + patience.deploy)?;
    server
        .console()
        .wait_for(mark, &tenant.proof(), patience.instance)?;

    // As the tenant's system.
    let mark = server.console().mark();
    cut(server, watch, "tenant's system")?;
    server
        .console()
        .wait_for(mark, "login:", patience.instance)?;
    walk.look()?;
    ensure!(
        walk.report
            .states
            .last()
            .is_some_and(|state| state == "active"),
        "a tenant's power cut must not change the state: {:?}",
        walk.report.states
    );

    // While it is cleaned after its release.
    walk.verb("deleted")?;
    server.power_cycle()?;
    walk.wait_busy("cleaning", patience.boot)?;
    cut(server, watch, "cleaning after release")?;
    walk.wait_for("available", patience.boot + patience.clean)?;
    walk.read_disks(&tenant)?;
    ensure!(
        walk.report.residue_bytes == 0,
        "{} bytes of the tenant are left",
        walk.report.residue_bytes
    );
    let failed = walk
        .report
        .states
        .iter()
        .find(|state| state.ends_with("failed"));
    ensure!(
        failed.is_none(),
        "a power cut led to a failure: {:?}",
        walk.report.states
    );
    Ok(())
}

fn cut(server: &Server, watch: &dyn Watch, step: &str) -> Result<()> {
    watch.say(server.name(), &format!("power cut: {step}"));
    server.power_cycle()
}
