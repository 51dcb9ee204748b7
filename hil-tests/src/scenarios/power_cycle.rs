//! A server loses power in every step of its job. Each time it boots again
//! and goes on to the state that it should reach; the server beside it works
//! undisturbed.

use crate::job::{self, Patience, ServerJob, Tenant, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Rack};
use crate::server::Server;
use anyhow::{Result, bail, ensure};
use std::thread;
use std::time::Duration;

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let specs = vec![
        bench.slow_disks(ServerSpec::bios("cycled", 1)),
        bench.slow_disks(ServerSpec::bios("beside", 2)),
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
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    job.inspect()?;
    job.provide()?;
    let failed = job
        .report
        .states
        .iter()
        .find(|state| state.ends_with("failed"));
    ensure!(failed.is_none(), "the neighbour was disturbed: {failed:?}");
    Ok(())
}

fn cycle(bench: &Bench, rack: &Rack, server: &Server, watch: &dyn Watch) -> Result<()> {
    let patience = Patience::of(bench.form);
    // In the middle of the network boot.
    server.power_on()?;
    job::discovered(rack.api(), server.mac(), patience.boot)?;
    cut(server, watch, "network boot")?;
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;

    // While the agent inspects, or waits for the order.
    job.verb("manage")?;
    job.wait_for("manageable", Duration::from_secs(30))?;
    job.verb("inspect")?;
    cut(server, watch, "inspection")?;
    job.wait_for("manageable", patience.boot + patience.inspect)?;

    // While disks are erased.
    job.verb("provide")?;
    job.wait_busy("cleaning", patience.boot)?;
    cut(server, watch, "cleaning")?;
    job.wait_for("available", patience.boot + patience.clean)?;

    // While the image is written.
    let tenant = Tenant::new("cycled", 1, server.mac());
    job.start_deploy(&bench.image, &tenant)?;
    job.wait_busy("deploying", patience.boot)?;
    let mark = server.console().mark();
    cut(server, watch, "deployment")?;
    job.wait_for("active", patience.boot + patience.deploy)?;
    server
        .console()
        .wait_for(mark, &tenant.proof(), patience.instance)?;

    // As the tenant's system.
    let mark = server.console().mark();
    cut(server, watch, "tenant's system")?;
    server
        .console()
        .wait_for(mark, "login:", patience.instance)?;
    job.look()?;
    ensure!(
        job.report
            .states
            .last()
            .is_some_and(|state| state == "active"),
        "a tenant's power cut must not change the state: {:?}",
        job.report.states
    );

    // While it is cleaned after its release.
    job.verb("deleted")?;
    server.power_cycle()?;
    job.wait_busy("cleaning", patience.boot)?;
    cut(server, watch, "cleaning after release")?;
    job.wait_for("available", patience.boot + patience.clean)?;
    job.read_disks(&tenant)?;
    ensure!(
        job.report.residue_bytes == 0,
        "{} bytes of the tenant are left",
        job.report.residue_bytes
    );
    let failed = job
        .report
        .states
        .iter()
        .find(|state| state.ends_with("failed"));
    ensure!(
        failed.is_none(),
        "a power cut led to a failure: {:?}",
        job.report.states
    );
    Ok(())
}

fn cut(server: &Server, watch: &dyn Watch, step: &str) -> Result<()> {
    watch.say(server.name(), &format!("power cut: {step}"));
    server.power_cycle()
}
