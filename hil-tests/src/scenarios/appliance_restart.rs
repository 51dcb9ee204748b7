//! The appliance loses power in the middle of inspection, cleaning and
//! deployment, and while a tenant's system runs. Each time it comes back with
//! what it knew, and the work goes on where the agent was; nothing is lost
//! and nothing is done twice to a tenant's disk.

use crate::job::{self, Patience, Tenant, Walk, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Rack};
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::Duration;

/// For how long the appliance is without power: the agent notices.
const DARK: Duration = Duration::from_secs(3);

/// What an operator or an agent has told of a node, and a restart must not
/// change.
const FACTS: [&str; 9] = [
    "uuid",
    "name",
    "driver_info",
    "instance_uuid",
    "instance_info",
    "properties",
    "resource_class",
    "extra",
    "protected",
];

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let spec = job::small_disk(ServerSpec::bios("carried", 1));
    let rack = bench.rack("appliance-restart", vec![spec])?;
    let server = rack.server(0)?;
    let patience = Patience::default();
    let mut walk = Walk::power_on(server, rack.api(), patience, watch)?;
    rack.api().patch(
        &format!("/v1/nodes/{}", walk.node),
        &json!([
            { "op": "add", "path": "/name", "value": "carried" },
            { "op": "add", "path": "/driver_info/rack_unit", "value": "17" },
        ]),
    )?;

    walk.verb("manage")?;
    walk.wait_for("manageable", Duration::from_secs(30))?;
    walk.verb("inspect")?;
    cut(&rack, &mut walk, watch, "inspection")?;
    walk.wait_for("manageable", patience.boot + patience.inspect)?;

    walk.verb("provide")?;
    walk.wait_busy("cleaning", patience.boot)?;
    cut(&rack, &mut walk, watch, "cleaning")?;
    walk.wait_for("available", patience.boot + patience.clean)?;

    let tenant = Tenant::new("carried", 1, server.mac());
    let mark = server.console().mark();
    walk.start_deploy(&bench.image, &tenant)?;
    walk.wait_busy("deploying", patience.boot)?;
    cut(&rack, &mut walk, watch, "deployment")?;
    walk.wait_for("active", patience.boot + patience.deploy)?;
    server
        .console()
        .wait_for(mark, &tenant.proof(), patience.instance)?;

    cut(&rack, &mut walk, watch, "tenant's system")?;
    ensure!(
        walk.look()?["provision_state"] == "active",
        "the tenant's node is no longer active: {:?}",
        walk.report.states
    );

    walk.verb("deleted")?;
    server.power_cycle()?;
    walk.wait_busy("cleaning", patience.boot)?;
    cut(&rack, &mut walk, watch, "cleaning after release")?;
    walk.wait_for("available", patience.boot + patience.clean)?;
    walk.read_disks(&tenant)?;
    ensure!(
        walk.report.residue_bytes == 0,
        "{} bytes of the tenant are left",
        walk.report.residue_bytes
    );
    Ok(())
}

/// Cuts the appliance's power and compares what it knows afterwards. What
/// was not known before may have been learned meanwhile.
fn cut(rack: &Rack, walk: &mut Walk<'_>, watch: &dyn Watch, step: &str) -> Result<()> {
    let before = walk.look()?;
    watch.say("appliance", &format!("power cut: {step}"));
    rack.restart_appliance(DARK)?;
    let after = walk.look()?;
    for key in FACTS {
        let (before, after) = (&before[key], &after[key]);
        let known = !before.is_null() && *before != json!({});
        ensure!(
            !known || before == after,
            "a power cut during {step} changed the node's {key} from {before} to {after}"
        );
    }
    Ok(())
}
