//! The appliance loses power in the middle of inspection, cleaning and
//! deployment, and while a tenant's system runs. Each time it restores
//! what it knew, and the work goes on where the agent was; nothing is lost
//! and nothing is done twice to a tenant's disk.

use crate::job::{Patience, ServerJob, Tenant, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Rack};
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::Duration;

/// For how long the appliance is without power: the agent notices.
const DARK: Duration = Duration::from_secs(3);

/// What an operator or an agent has set on a node, and a restart must not
/// change, as JSON pointers. The config drive is not among them: it is
/// forgotten once it is on the disk, and the tenant's proof shows that it got
/// there.
const FACTS: [&str; 9] = [
    "/uuid",
    "/name",
    "/driver_info",
    "/instance_uuid",
    "/instance_info/image_source",
    "/properties",
    "/resource_class",
    "/extra",
    "/protected",
];

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let spec = bench.slow_disks(ServerSpec::bios("carried", 1));
    let rack = bench.rack("appliance-restart", vec![spec])?;
    let server = rack.server(0)?;
    let patience = Patience::of(bench.form);
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    rack.api().patch(
        &format!("/v1/nodes/{}", job.node),
        &json!([
            { "op": "add", "path": "/name", "value": "carried" },
            { "op": "add", "path": "/driver_info/rack_unit", "value": "17" },
        ]),
    )?;

    job.verb("manage")?;
    job.wait_for("manageable", Duration::from_secs(30))?;
    job.verb("inspect")?;
    cut(&rack, &mut job, watch, "inspection")?;
    job.wait_for("manageable", patience.boot + patience.inspect)?;

    job.verb("provide")?;
    job.wait_busy("cleaning", patience.boot)?;
    cut(&rack, &mut job, watch, "cleaning")?;
    job.wait_for("available", patience.boot + patience.clean)?;

    let tenant = Tenant::new("carried", 1, server.mac());
    let mark = server.console().mark();
    job.start_deploy(&bench.image, &tenant)?;
    job.wait_busy("deploying", patience.boot)?;
    cut(&rack, &mut job, watch, "deployment")?;
    job.wait_for("active", patience.boot + patience.deploy)?;
    server
        .console()
        .wait_for(mark, &tenant.proof(), patience.instance)?;

    cut(&rack, &mut job, watch, "tenant's system")?;
    ensure!(
        job.look()?["provision_state"] == "active",
        "the tenant's node is no longer active: {:?}",
        job.report.states
    );

    job.verb("deleted")?;
    server.power_cycle()?;
    job.wait_busy("cleaning", patience.boot)?;
    cut(&rack, &mut job, watch, "cleaning after release")?;
    job.wait_for("available", patience.boot + patience.clean)?;
    job.read_disks(&tenant)?;
    ensure!(
        job.report.residue_bytes == 0,
        "{} bytes of the tenant are left",
        job.report.residue_bytes
    );
    Ok(())
}

/// Cuts the appliance's power and compares what it knows afterwards. What
/// was not known before may have been learned meanwhile.
fn cut(rack: &Rack, job: &mut ServerJob<'_>, watch: &dyn Watch, step: &str) -> Result<()> {
    let before = job.look()?;
    watch.say("appliance", &format!("power cut: {step}"));
    rack.restart_appliance(DARK)?;
    let after = job.look()?;
    for key in FACTS {
        let (before, after) = (before.pointer(key), after.pointer(key));
        let known = before.is_some_and(|value| !value.is_null() && *value != json!({}));
        ensure!(
            !known || before == after,
            "a power cut during {step} changed the node's {key} from {before:?} to {after:?}"
        );
    }
    Ok(())
}
