//! A machine says the UUID of a node that is to be cleaned, and boots by another
//! network card. It gets nothing, nothing happens to its disk, and the node's
//! error names its card. The node's own machine is cleaned when it comes.

use crate::job::{Patience, ServerJob, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::Bench;
use anyhow::{Result, ensure};
use std::fs;
use std::time::{Duration, Instant};

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let own = bench.small_disks(ServerSpec::bios("own", 1));
    let mut thief = bench.small_disks(ServerSpec::bios("thief", 2));
    thief.identity.uuid.clone_from(&own.identity.uuid);
    let rack = bench.rack("uuid-thief", vec![own, thief])?;
    let patience = Patience::of(bench.form);
    let (own, thief) = (rack.server(0)?, rack.server(1)?);
    let mut job = ServerJob::power_on(own, rack.api(), watch)?;
    job.inspect()?;
    job.provide()?;
    job.soft_power_off()?;

    let disk = thief.disk(0);
    let before = super::fill_disk(thief)?;

    job.verb("manage")?;
    job.wait_for("manageable", patience.boot)?;
    job.verb("provide")?;
    watch.say(thief.name(), "power on, with the first server's UUID");
    thief.power_on()?;
    let mac = thief.mac().to_string();
    let end = Instant::now() + patience.boot;
    loop {
        let shown = rack.api().get(&format!("/v1/nodes/{}", job.node))?;
        let state = shown["provision_state"].as_str().unwrap_or_default();
        ensure!(state == "clean wait", "the node is {state}: {shown}");
        let error = shown["last_error"].as_str().unwrap_or_default();
        if error.contains(&mac) {
            watch.say(thief.name(), error);
            break;
        }
        ensure!(
            Instant::now() < end,
            "the node's error names nobody: {shown}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let ports = rack.api().get(&format!("/v1/nodes/{}/ports", job.node))?;
    ensure!(
        !ports.to_string().contains(&mac),
        "the thief's card is one of the node's: {ports}"
    );
    watch.say(own.name(), "power on");
    own.power_on()?;
    job.wait_for("available", patience.boot + patience.clean)?;
    thief.power_off();
    ensure!(
        fs::read(&disk)? == before,
        "the disk of the thief was changed"
    );
    Ok(())
}
