//! Somebody puts a server's cable into another port of the switch. The switch says
//! so by LLDP, its agent tells it, and nothing of the server is moved or erased until
//! an operator has said where the cable is.

use super::switched::Switched;
use crate::job::networks::{SWITCH, link_to, port_vlan, vlan, wait_for_vlan};
use crate::job::{Patience, ServerJob, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Rack};
use crate::switch::PortMode;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

const IDLE: u16 = 10;
const INSPECTION: u16 = 11;
const CLEANING: u16 = 12;
/// How often the switch sends LLDP.
const LLDP: Duration = Duration::from_secs(1);

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let networks = [
        ("idle", json!({ "vlan": IDLE, "uses": ["idle"] })),
        (
            "inspection",
            json!({ "vlan": INSPECTION, "uses": ["inspection"] }),
        ),
        (
            "cleaning",
            json!({ "vlan": CLEANING, "uses": ["cleaning"] }),
        ),
    ];
    let own = bench.small_disks(ServerSpec::bios("own", 1));
    // Its port is the other one: it stays off.
    let free = bench.small_disks(ServerSpec::bios("free", 2));
    let rack = Switched {
        name: "moved-cable",
        servers: vec![own, free],
        initial: IDLE,
        trunk: vec![IDLE, INSPECTION, CLEANING],
        networks: &networks,
        lldp: Some(LLDP),
    }
    .build(bench)?;
    let patience = Patience::of(bench.form);
    let settles = Duration::from_secs(60);
    let server = rack.server(0)?;
    let before = super::fill_disk(server)?;
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    link_to(&rack, &job, "own")?;
    wait_for(&rack, "own", settles, |port| has(port, "lldp"))?;
    job.inspect()?;
    wait_for_vlan(&rack, "own", IDLE, settles)?;
    let port = wait_for(&rack, "own", settles, |port| has(port, "moved"))?;
    ensure!(port["not_moved_because"].is_null(), "{port}");

    watch.say("own", "its cable is put into another port");
    let free = rack.switch().control().port_named("free")?;
    server.cable(0)?.plug(free);
    let port = wait_for(&rack, "own", settles, |port| {
        !port["not_moved_because"].is_null()
    })?;
    ensure!(
        port["not_moved_because"] == "lldp says another port",
        "{port}"
    );
    let error = job.look()?["last_error"].to_string();
    ensure!(
        error.contains("own") && error.contains("free"),
        "the error does not name both ports: {error}"
    );
    watch.say("own", &error);
    job.verb("provide")?;
    let end = Instant::now() + patience.clean;
    loop {
        let node = job.look()?;
        let state = node["provision_state"].as_str().unwrap_or_default();
        if state == "clean failed" {
            break;
        }
        ensure!(
            Instant::now() < end && state != "available",
            "the node is {state} while its cable is elsewhere: {node}"
        );
        thread::sleep(Duration::from_millis(200));
    }
    for name in ["own", "free"] {
        let found = port_vlan(&rack, name)?;
        ensure!(found == IDLE, "the port {name} was moved to VLAN {found}");
    }
    ensure!(
        fs::read(server.disk(0))? == before,
        "the disk was changed while the cable was elsewhere"
    );

    watch.say("own", "an operator says where the cable is");
    job.verb("manage")?;
    job.wait_for("manageable", settles)?;
    link_to(&rack, &job, "free")?;
    wait_for(&rack, "free", settles, |port| has(port, "lldp"))?;
    job.provide()?;
    wait_for_vlan(&rack, "free", IDLE, settles)?;
    let stayed = rack.switch().control();
    let own = stayed.port_named("own")?;
    ensure!(
        stayed.mode(own) == PortMode::access(vlan(IDLE)?),
        "the port that the cable left is {}",
        stayed.mode(own)
    );
    rack.isolation()?.ensure()
}

/// Whether the appliance knows by this source that a port is the right one.
pub(super) fn has(port: &Value, source: &str) -> bool {
    let sources = port["sources"].as_array();
    sources.is_some_and(|all| all.iter().any(|known| known == source))
}

/// Waits until the appliance says something of a port.
pub(super) fn wait_for(
    rack: &Rack,
    name: &str,
    wait: Duration,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let end = Instant::now() + wait;
    loop {
        let said = rack.api().get("/farrier/v1/switch-ports")?;
        let mut ports = said["switch_ports"].as_array().into_iter().flatten();
        let found = ports.find(|port| port["port"] == name && port["switch"] == SWITCH);
        if let Some(port) = found
            && wanted(port)
        {
            return Ok(port.clone());
        }
        ensure!(Instant::now() < end, "the appliance says of {name}: {said}");
        thread::sleep(Duration::from_millis(200));
    }
}
