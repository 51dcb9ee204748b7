//! A switch that has neither the VLANs of nodes at work nor their tags on its trunk,
//! and whose operator lets the appliance see to both. Each move makes the VLAN that
//! it leads to, the trunk follows, and what the appliance made is gone once the
//! server has left it. The switch's own table agrees to the first move.

use super::moved_cable::{has, wait_for};
use super::switched::Switched;
use crate::job::networks::{link, netconf, pin, port_vlan, switch_path, wait_for_vlan};
use crate::job::{ServerJob, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Rack};
use anyhow::{Result, ensure};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const IDLE: u16 = 10;
/// The VLANs of nodes at work: one each.
const WORK: u16 = 200;
const WORK_LEN: u16 = 48;
const SERVER: &str = "switch-vlans";
/// The port of the switch that leads to the appliance.
const TRUNK: &str = "appliance";

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let networks = [
        ("idle", json!({ "vlan": IDLE, "uses": ["idle"] })),
        (
            "work",
            json!({ "vlan": WORK, "vlans": WORK_LEN, "uses": ["inspection", "cleaning"] }),
        ),
    ];
    let rack = Switched {
        name: SERVER,
        servers: vec![bench.small_disks(ServerSpec::bios(SERVER, 1))],
        initial: IDLE,
        trunk: vec![IDLE],
        networks: &networks,
        lldp: None,
    }
    .build_with(bench, netconf())?;
    rack.api().patch(
        &switch_path(),
        &json!({ "makes_vlans": true, "trunk_port": TRUNK }),
    )?;
    let settles = Duration::from_secs(120);
    let server = rack.server(0)?;
    let before = vlans(&rack)?;
    ensure!(
        before.0.iter().all(|vlan| *vlan < WORK),
        "the switch begins with {before:?}"
    );
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    link(&rack, &job)?;
    pin(&rack)?;
    wait_for(&rack, SERVER, settles, |port| has(port, "switch-table"))?;
    // The state is `manageable` when the inventory is in, and the port goes back.
    job.verb("manage")?;
    job.wait_for("manageable", settles)?;
    for (verb, end) in [("inspect", "manageable"), ("provide", "available")] {
        job.verb(verb)?;
        let made = wait_for_work(&rack, settles)?;
        let at_work = vlans(&rack)?;
        watch.say(SERVER, &format!("is at work on VLAN {made}"));
        ensure!(
            at_work.0.contains(&made) && at_work.1.contains(&made),
            "VLAN {made} is not on the switch and its trunk: {at_work:?}"
        );
        job.wait_for(end, Duration::from_secs(600))?;
        wait_for_vlan(&rack, SERVER, IDLE, settles)?;
        let after = vlans(&rack)?;
        ensure!(after == before, "{after:?} is left of {before:?}");
    }
    let port = wait_for(&rack, SERVER, settles, |port| has(port, "moved"))?;
    ensure!(port["not_moved_because"].is_null(), "{port}");
    rack.isolation()?.ensure()
}

/// Waits until the server's port is on the VLAN of a node at work, and returns it.
fn wait_for_work(rack: &Rack, wait: Duration) -> Result<u16> {
    let end = Instant::now() + wait;
    loop {
        let found = port_vlan(rack, SERVER)?;
        if (WORK..WORK + WORK_LEN).contains(&found) {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "the port is on VLAN {found}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The VLANs that the switch has, and those of its trunk.
fn vlans(rack: &Rack) -> Result<(BTreeSet<u16>, BTreeSet<u16>)> {
    let switch = rack.managed()?.netconf()?;
    Ok(switch.with(|model| {
        let trunk = model.port(TRUNK).unwrap_or_default();
        let known = (1..=4094).filter(|vlan| model.running().has_vlan(*vlan));
        (known.collect(), trunk.tagged().iter().copied().collect())
    }))
}
