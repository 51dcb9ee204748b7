//! A machine has heard the boot ticket of a node on the wire and uses it: whoever
//! came first, the node's orders stop, and its error says so. The node's own
//! machine is cleaned at its next boot, with a ticket of its own.

use crate::job::{Patience, ServerJob, Watch};
use crate::light::STOLEN_TICKET;
use crate::qemu::ServerSpec;
use crate::scenario::Bench;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::time::{Duration, Instant};

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let own = bench.slow_disks(ServerSpec::bios("own", 1));
    let thief = bench.small_disks(ServerSpec::bios("thief", 2));
    let rack = bench.rack("ticket-thief", vec![own, thief])?;
    let patience = Patience::of(bench.form);
    let (own, thief) = (rack.server(0)?, rack.server(1)?);
    let mut job = ServerJob::power_on(own, rack.api(), watch)?;
    job.inspect()?;
    job.verb("provide")?;
    job.wait_busy("cleaning", patience.boot)?;
    let console = own.console().text();
    let lines = console.split_ascii_whitespace();
    let ticket = lines
        .filter_map(|word| word.strip_prefix("farrier.ticket="))
        .next_back()
        .context("no ticket on the server's console")?;
    let disk = thief.disk(0);
    let directory = disk.parent().context("the thief's directory")?;
    fs::write(directory.join(STOLEN_TICKET), ticket)?;
    let before = fs::read(&disk)?;

    watch.say(thief.name(), "power on, with the first server's ticket");
    thief.power_on()?;
    let end = Instant::now() + patience.boot + patience.clean;
    loop {
        let shown = rack.api().get(&format!("/v1/nodes/{}", job.node))?;
        let state = shown["provision_state"].as_str().unwrap_or_default();
        let error = shown["last_error"].as_str().unwrap_or_default();
        if state == "clean failed" {
            ensure!(error.contains("second machine"), "another error: {error}");
            watch.say(thief.name(), error);
            break;
        }
        ensure!(
            state == "cleaning" && Instant::now() < end,
            "two machines have its ticket, and the node is {state}: {error}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    thief.power_off();
    ensure!(fs::read(&disk)? == before, "the thief's disk was changed");

    // The failure set maintenance, which the next cleaning ends.
    watch.say(own.name(), "the machine starts again");
    own.power_off();
    job.verb("manage")?;
    job.wait_for("manageable", patience.boot)?;
    job.verb("provide")?;
    own.power_on()?;
    job.wait_for("available", patience.boot + patience.clean)?;
    Ok(())
}
