//! A disk holds what is written in a memory that the next start finds empty. Until
//! then it answers whatever was written, zeroes included, so every check of the boot
//! that erases it succeeds. After the restart its old content is there again, and the
//! node is not offered.

use super::many_disks::wait_for_failure;
use crate::job::{Patience, ServerJob, Watch};
use crate::qemu::{Peculiarity, ServerSpec};
use crate::scenario::Bench;
use anyhow::{Result, ensure};
use std::fs;

/// What lies on the disk.
const CONTENT: &[u8] = b"a former tenant's data ";
/// How much of it, at the start of the disk as a partition table is.
const LENGTH: usize = 64 << 10;

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let mut spec = bench.small_disks(ServerSpec::uefi("liar", 1));
    for disk in &mut spec.disks {
        disk.peculiarity = Peculiarity::Forgets;
    }
    let serials: Vec<String> = spec.disks.iter().map(|disk| disk.serial.clone()).collect();
    let rack = bench.rack("lying-disk", vec![spec])?;
    let patience = Patience::of(bench.form);
    let server = rack.server(0)?;
    let disk = server.disk(0);
    let mut before = fs::read(&disk)?;
    let content = CONTENT.iter().copied().cycle();
    for (to, from) in before.iter_mut().zip(content).take(LENGTH) {
        *to = from;
    }
    fs::write(&disk, &before)?;

    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    job.verb("manage")?;
    job.wait_for("manageable", patience.boot)?;
    job.verb("provide")?;
    let error = wait_for_failure(&rack, &job.node, patience.boot + patience.clean)?;
    watch.say(server.name(), &error);
    ensure!(
        serials.iter().all(|serial| error.contains(serial)) && error.contains("after a restart"),
        "the error does not say what came back: {error}"
    );
    ensure!(fs::read(&disk)? == before, "the disk does not lie");
    Ok(())
}
