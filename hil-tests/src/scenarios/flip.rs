//! The ports of a server go through the networks of its life, over each protocol that
//! switches are spoken to by, and with switches that fail.

use crate::job::networks::{
    IDLE, INSPECTION, SETTLES, SWITCH, link, pin, port_vlan, switch_path, wait_for_vlan,
};
use crate::job::{ServerJob, Watch, networks};
use crate::managed::{Protocol, USER};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Rack};
use anyhow::{Context, Result, ensure};
use farrier_ovsdb::model::Startup;
use farrier_ovsdb::{PortName, PortVlan};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

/// A rack with one server of the scenario's name.
fn rack_of_one(bench: &Bench, name: &str, protocol: Protocol, initial: u16) -> Result<Rack> {
    let spec = bench.small_disks(ServerSpec::bios(name, 1));
    networks::rack(bench, name, vec![spec], protocol, initial)
}

/// The main job of the rack's server, and its proof.
fn main_job<'r>(bench: &Bench, watch: &'r dyn Watch, rack: &'r Rack) -> Result<ServerJob<'r>> {
    let server = rack.server(0)?;
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    networks::main_job(rack, &mut job, 1, &bench.image, watch)?;
    let mut reports = [job.report.clone()];
    let isolation = networks::prove(rack, &mut reports)?;
    ensure!(
        job.report.residue_bytes == 0,
        "bytes of the tenant are left"
    );
    watch.say(
        server.name(),
        &format!(
            "{} frames proven to be on their own network only",
            isolation.proven
        ),
    );
    Ok(job)
}

/// The main job over OVSDB.
pub fn ovsdb(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let name = "flip-ovsdb";
    let rack = rack_of_one(bench, name, Protocol::Ovsdb, IDLE)?;
    main_job(bench, watch, &rack)?;
    Ok(())
}

/// The main job over NETCONF and SSH. Then the switch has another host key, as one
/// that somebody has put in its place: nothing is moved until an operator says so.
pub fn netconf(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let name = "flip-netconf";
    let rack = rack_of_one(bench, name, networks::netconf(), IDLE)?;
    let mut job = main_job(bench, watch, &rack)?;
    let managed = rack.managed()?;
    let line = rack.api().get("/farrier/v1/switch-key")?;
    let line = line["public_key"].as_str().context("no public key")?;
    managed.authorize(line)?;
    managed.change_host_key()?;
    watch.say(SWITCH, "has another host key");
    job.verb("manage")?;
    job.verb("inspect")?;
    wait_for_error(&mut job, "host key", SETTLES)?;
    let found = port_vlan(&rack, name)?;
    ensure!(found == IDLE, "it moved the port to VLAN {found}");
    // The login by the appliance's own key, in place of the password.
    let address = managed.spec().address.to_string();
    let switch = json!({ "kind": "netconf", "address": address, "user": USER });
    rack.api().put(&switch_path(), &switch)?;
    pin(&rack)?;
    let end = Instant::now() + SETTLES;
    while port_vlan(&rack, name)? != INSPECTION {
        ensure!(Instant::now() < end, "the port was not moved");
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Waits until the node's error has these words.
fn wait_for_error(job: &mut ServerJob<'_>, words: &str, wait: Duration) -> Result<()> {
    let end = Instant::now() + wait;
    loop {
        // The operator may be behind a switch that is off.
        let node = job.look();
        let error = node.as_ref().map(|node| node["last_error"].to_string());
        if error.is_ok_and(|error| error.contains(words)) {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "the node's error has not the words `{words}`: {node:?}"
        );
        thread::sleep(Duration::from_millis(500));
    }
}

/// The switch loses its power and what it was told: every port is where it began.
/// The machine's frames show it, the appliance says so and touches nothing, and goes
/// on once an operator has put the port back.
pub fn switch_restart(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let name = "switch-restart";
    let rack = rack_of_one(bench, name, Protocol::Ovsdb, INSPECTION)?;
    let server = rack.server(0)?;
    let settles = Duration::from_secs(90);
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    link(&rack, &job)?;
    wait_for_vlan(&rack, name, IDLE, settles)?;
    let managed = rack.managed()?;
    watch.say(SWITCH, "loses its power and its configuration");
    managed.power_off();
    thread::sleep(Duration::from_secs(3));
    managed.power_on(Startup::Lost);
    wait_for_error(&mut job, &format!("is on VLAN {INSPECTION}"), settles)?;
    let found = port_vlan(&rack, name)?;
    ensure!(found == INSPECTION, "it moved the port to VLAN {found}");
    watch.say(SWITCH, "the operator puts the port back");
    let port = PortName::new(name).context("the name of the port")?;
    let back = PortVlan::access(IDLE).context("the VLAN")?;
    let put = managed
        .ovsdb()?
        .with(|switch| switch.set_vlan(port.as_str(), back));
    ensure!(put, "the switch has no port {name}");
    job.inspect()?;
    wait_for_vlan(&rack, name, IDLE, settles)?;
    let isolation = rack.isolation()?;
    ensure!(isolation.unproven == 0, "{:?}", isolation.violations);
    Ok(())
}
