//! The appliance's program crashes: once it runs into memory that there is not,
//! once it hangs. It restarts by itself each time, shows the crash, and goes on
//! with its rack.

use crate::job::{ServerJob, Watch};
use crate::qemu::{Debugger, ServerSpec};
use crate::scenario::{Bench, Rack};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where no board has memory.
const NOWHERE: u32 = 0x9000_0000;
/// A jump to itself, in Thumb code.
const HANG: u16 = 0xE7FE;
/// How long a restart may take: the watchdog waits 15 s.
const RESTART: Duration = Duration::from_secs(60);

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let folder = tempfile::tempdir().context("a folder for the debugger's socket")?;
    let socket = folder.path().join("gdb");
    let mut bench = bench.clone();
    let (plain, stub) = (bench.appliance.clone(), socket.clone());
    let is_emulated = plain(Path::new("store")).is_emulated();
    ensure!(
        is_emulated,
        "a process of the host has no debugger stub: use an emulated board"
    );
    bench.appliance = Arc::new(move |store| {
        let stub = format!("unix:{},server=on,wait=off", stub.display());
        plain(store).with_arguments(["-gdb".to_owned(), stub])
    });
    let spec = bench.small_disks(ServerSpec::bios("witness", 1));
    let rack = bench.rack("crash-restart", vec![spec])?;
    let mut job = ServerJob::power_on(rack.server(0)?, rack.api(), watch)?;
    let first = rack.api().get("/farrier/v1/status")?;
    ensure!(
        first["last_crash"].is_null(),
        "a crash before the first one: {}",
        first["last_crash"]
    );
    let start = first["start"].as_u64().context("no start number")?;

    let mut debugger = Debugger::attach(&socket)?;
    debugger.jump(NOWHERE)?;
    debugger.detach()?;
    restarted(&rack, start, "fault", 1, watch)?;

    let mut debugger = Debugger::attach(&socket)?;
    let at = debugger.program_counter()?;
    debugger.poke(at, HANG)?;
    debugger.detach()?;
    restarted(&rack, start + 1, "watchdog", 2, watch)?;

    job.inspect()
}

/// Waits for the run behind a crash of start `crashed`, and looks at what it says.
fn restarted(rack: &Rack, crashed: u64, cause: &str, count: u64, watch: &dyn Watch) -> Result<()> {
    let begin = Instant::now();
    let status = loop {
        let status = rack.api().get("/farrier/v1/status").unwrap_or(Value::Null);
        if status["start"]
            .as_u64()
            .is_some_and(|start| start > crashed)
        {
            break status;
        }
        ensure!(
            begin.elapsed() < RESTART,
            "no restart after a {cause}:\n{}",
            rack.appliance().console().tail()
        );
        std::thread::sleep(Duration::from_millis(200));
    };
    let crash = &status["last_crash"];
    watch.say(
        "appliance",
        &format!("restarted after {:.1?}: {crash}", begin.elapsed()),
    );
    ensure!(
        crash["cause"] == cause && crash["count"] == count && crash["start"] == crashed,
        "the record of a {cause} of start {crashed}: {crash}"
    );
    Ok(())
}
