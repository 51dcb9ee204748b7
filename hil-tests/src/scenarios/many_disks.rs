//! A server with 24 disks, of which one is read-only and one is removable, and with a
//! storage controller for which there is no driver. The inspection names all of them.
//! The node does not become available while one is unproven. An operator waives the
//! three by their names; then the other 22 disks are erased, and nothing else.

use crate::job::{Patience, ServerJob, Watch};
use crate::qemu::{DiskBus, DiskSpec, Peculiarity, ServerSpec};
use crate::scenario::{Bench, Rack};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Disks of the server.
const DISKS: usize = 24;
/// Places of those that are peculiar.
const READ_ONLY: usize = 22;
const REMOVABLE: usize = 23;
/// Bytes of each.
const SIZE: u64 = 8 << 20;
/// What lies on each disk before.
const CONTENT: &[u8] = b"a former tenant's data ";

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let mut spec = ServerSpec::bios("many", 1);
    spec.strange_controller = true;
    spec.disks = (0..DISKS)
        .map(|index| DiskSpec {
            bus: DiskBus::Virtio,
            bytes: SIZE,
            serial: serial(index),
            rate: None,
            peculiarity: match index {
                READ_ONLY => Peculiarity::ReadOnly,
                REMOVABLE => Peculiarity::Removable,
                _ => Peculiarity::None,
            },
        })
        .collect();
    let rack = bench.rack("many-disks", vec![spec])?;
    let patience = Patience::of(bench.form);
    let server = rack.server(0)?;
    let before: Vec<u8> = CONTENT
        .iter()
        .copied()
        .cycle()
        .take(SIZE as usize)
        .collect();
    for index in 0..DISKS {
        fs::write(server.disk(index), &before)?;
    }

    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    job.verb("manage")?;
    job.wait_for("manageable", patience.boot)?;
    job.verb("inspect")?;
    let end = Instant::now() + patience.inspect;
    let inventory = loop {
        let path = format!("/v1/nodes/{}/inventory", job.node);
        match rack.api().get(&path) {
            Ok(found) => break found["inventory"].clone(),
            Err(error) if Instant::now() > end => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    };
    job.wait_for("manageable", patience.inspect)?;
    let unproven = check_inventory(&inventory)?;

    job.verb("provide")?;
    let error = wait_for_failure(&rack, &job.node, patience.boot + patience.clean)?;
    watch.say(server.name(), &error);
    ensure!(
        error.contains(&serial(READ_ONLY)) || error.contains("more"),
        "the error names no device: {error}"
    );
    for (device, seen) in &unproven {
        let waiver = format!("/farrier/v1/nodes/{}/waivers/{device}", job.node);
        watch.say(server.name(), &format!("waive {device}"));
        rack.api().put(&waiver, seen)?;
    }
    job.verb("manage")?;
    job.wait_for("manageable", patience.boot)?;
    job.verb("provide")?;
    job.wait_for("available", patience.boot + patience.clean)?;
    server.power_off();
    for index in 0..DISKS {
        check_disk(&server.disk(index), index, &before)?;
    }
    let history = rack
        .api()
        .get(&format!("/v1/nodes/{}/history", job.node))?
        .to_string();
    for (device, _) in &unproven {
        ensure!(
            history.contains(&format!("waive {device}")),
            "the history does not name the waiver of {device}: {history}"
        );
    }
    Ok(())
}

fn serial(index: usize) -> String {
    format!("MANY-{index:02}")
}

/// Checks that the inventory names every device. Returns the devices that are not
/// proven, each with the body of its waiver.
fn check_inventory(inventory: &Value) -> Result<Vec<(String, Value)>> {
    let list = |key: &str| inventory[key].as_array().cloned().unwrap_or_default();
    let disks = list("disks");
    ensure!(
        disks.len() == DISKS - 2,
        "the inventory has {} disks",
        disks.len()
    );
    let skipped = list("skipped_devices");
    let mut unproven = Vec::new();
    for (index, reason) in [(READ_ONLY, "read-only"), (REMOVABLE, "removable")] {
        let found = skipped
            .iter()
            .find(|device| device["device"] == serial(index).as_str());
        ensure!(
            found.is_some_and(|device| device["reason"] == reason && device["unproven"] == true),
            "disk {} is not skipped as {reason}: {skipped:?}",
            serial(index)
        );
        let size = found.map(|device| device["size"].clone());
        unproven.push((serial(index), json!({"reason": reason, "size": size})));
    }
    let controllers = list("controllers_without_driver");
    let [controller] = controllers.as_slice() else {
        anyhow::bail!("the inventory has {controllers:?} without a driver");
    };
    ensure!(
        controller["kind"] == "1022:2020 class 010000",
        "another controller has no driver: {controller}"
    );
    unproven.push((
        controller["device"].as_str().unwrap_or_default().to_owned(),
        json!({"kind": controller["kind"]}),
    ));
    ensure!(
        inventory["devices_settled"] == true && inventory["unlisted_devices"] == 0,
        "the inventory is not complete: {inventory}"
    );
    Ok(unproven)
}

/// A disk is erased, or as it was where it can't be.
fn check_disk(path: &Path, index: usize, before: &[u8]) -> Result<()> {
    let now = fs::read(path)?;
    if matches!(index, READ_ONLY | REMOVABLE) {
        ensure!(now == before, "disk {index} was changed");
    } else {
        ensure!(
            now.iter().all(|byte| *byte == 0),
            "the node is available, and disk {index} is not erased"
        );
    }
    Ok(())
}

/// Waits until the cleaning has failed. Returns the node's error.
pub(super) fn wait_for_failure(rack: &Rack, node: &str, wait: Duration) -> Result<String> {
    let end = Instant::now() + wait;
    loop {
        let shown = rack.api().get(&format!("/v1/nodes/{node}"))?;
        let text = |key: &str| shown[key].as_str().unwrap_or_default().to_owned();
        match text("provision_state").as_str() {
            "clean failed" => return Ok(text("last_error")),
            "available" => anyhow::bail!("the node is available, and not all is erased"),
            state => ensure!(
                Instant::now() < end,
                "the node is {state} after {wait:?}: {}",
                text("last_error")
            ),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
