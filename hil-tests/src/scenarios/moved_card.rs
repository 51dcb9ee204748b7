//! The network card of a server moves into another server. The other one boots
//! with the MAC address of a node that is to be cleaned, and has another UUID and
//! another disk. Nothing happens to that disk, and the node's error names both
//! machines. An operator who wants the new machine rebinds the node.

use crate::job::{Patience, ServerJob, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Rack};
use anyhow::{Result, ensure};
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

/// For how long the other server may go on trying after it was found out.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let first = bench.small_disks(ServerSpec::bios("first", 1));
    let mut second = bench.small_disks(ServerSpec::bios("second", 2));
    for (to, from) in second.nics.iter_mut().zip(&first.nics) {
        to.mac = from.mac;
    }
    let uuids = [&first, &second].map(|spec| spec.identity.uuid.clone());
    let rack = bench.rack("moved-card", vec![first, second])?;
    let patience = Patience::of(bench.form);
    let (own, other) = (rack.server(0)?, rack.server(1)?);
    let mut job = ServerJob::power_on(own, rack.api(), watch)?;
    job.inspect()?;
    job.provide()?;
    // Its agent leaves: an agent that is there is not disturbed.
    job.soft_power_off()?;

    let disk = other.disk(0);
    let before = super::fill_disk(other)?;

    job.verb("manage")?;
    job.wait_for("manageable", patience.boot)?;
    job.verb("provide")?;
    watch.say(
        other.name(),
        "power on, with the first server's network card",
    );
    other.power_on()?;
    let error = wait_for_failure(&rack, &job.node, patience.boot)?;
    watch.say(other.name(), &error);
    for uuid in &uuids {
        ensure!(
            error.contains(uuid),
            "the error does not name {uuid}: {error}"
        );
    }
    std::thread::sleep(AFTERWARDS);
    other.power_off();
    ensure!(
        fs::read(&disk)? == before,
        "the disk of the other server was changed"
    );

    let rebind = format!("/farrier/v1/nodes/{}/rebind", job.node);
    rack.api().put(&rebind, &json!({}))?;
    watch.say(other.name(), "rebound: it is the node now");
    job.verb("manage")?;
    job.wait_for("manageable", patience.boot)?;
    job.verb("provide")?;
    other.power_on()?;
    job.wait_for("available", patience.boot + patience.clean)?;
    other.power_off();
    ensure!(
        fs::read(&disk)?.iter().all(|byte| *byte == 0),
        "the node is available, and the disk of its new machine is not erased"
    );
    Ok(())
}

/// Waits until the cleaning has failed. Returns the node's error.
fn wait_for_failure(rack: &Rack, node: &str, wait: Duration) -> Result<String> {
    let end = Instant::now() + wait;
    loop {
        let shown = rack.api().get(&format!("/v1/nodes/{node}"))?;
        let text = |key: &str| shown[key].as_str().unwrap_or_default().to_owned();
        if shown["provision_state"] == "clean failed" {
            return Ok(text("last_error"));
        }
        ensure!(
            Instant::now() < end,
            "the node is {} after {wait:?}, and another machine answers: {}",
            text("provision_state"),
            text("last_error")
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}
