//! The appliance is reset between the decision that a machine's power has to
//! change and the change itself. What should be true of the machine follows
//! from durable state, so the appliance asks again after its restart.
//!
//! No driver switches a machine of this rack: the appliance asks for it on
//! its console, and the rig carries it out. Two resets come before that: one
//! right behind the decision, one before the restarted appliance has asked.

use crate::job::power::{asked, carry_out, wait_until_asked};
use crate::job::{Patience, ServerJob, Tenant, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Rack};
use crate::server::Server;
use anyhow::{Result, ensure};
use std::time::Duration;

/// For how long the appliance is without power.
const DARK: Duration = Duration::from_millis(500);
/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let spec = bench.small_disks(ServerSpec::bios("switched", 1));
    let rack = bench.rack("reset-before-power", vec![spec])?;
    let server = rack.server(0)?;
    let patience = Patience::of(bench.form);
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    job.inspect()?;
    job.provide()?;
    let tenant = Tenant::new("switched", 1, server.mac());
    job.deploy(&bench.image, &tenant)?;

    // A released machine runs its tenant's system and has to be restarted
    // into the ramdisk.
    decide_and_reset(&rack, server, &mut job, watch, |job| job.verb("deleted"))?;
    job.wait_for("available", patience.boot + patience.clean)?;
    job.read_disks(&tenant)?;
    ensure!(
        job.report.residue_bytes == 0,
        "{} bytes of the tenant are left",
        job.report.residue_bytes
    );
    Ok(())
}

/// Lets the appliance decide on a machine's power, resets it twice before
/// anything has happened to the machine, and does what it asks for then.
fn decide_and_reset<'r>(
    rack: &Rack,
    server: &Server,
    job: &mut ServerJob<'r>,
    watch: &dyn Watch,
    decide: impl FnOnce(&mut ServerJob<'r>) -> Result<()>,
) -> Result<()> {
    let start = rack.appliance().console().mark();
    decide(job)?;
    watch.say("appliance", "reset between decision and effect");
    rack.restart_appliance(DARK)?;
    job.look()?;
    watch.say("appliance", "reset before it asks again");
    let early = asked(rack, start, server.mac()).0;
    // What the runs before this one printed does not count.
    let mark = rack.appliance().console().mark();
    rack.restart_appliance(DARK)?;
    let wanted = wait_until_asked(rack, mark, server.mac())?;
    watch.say(
        "appliance",
        &match early {
            Some(early) => format!("asks to switch {wanted}; before its last reset: {early}"),
            None => format!("asks to switch {wanted}; before its last reset it did not ask"),
        },
    );
    carry_out(server, wanted)
}
