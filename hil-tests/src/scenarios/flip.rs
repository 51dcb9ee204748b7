//! A server's port goes through the networks of its life: idle, inspection,
//! cleaning, provisioning, its tenant's, cleaning, idle. The switch is managed over
//! the network by the shipping appliance, and the captures of all wires are read
//! afterwards: no frame of one network may have been on another.

use super::reset_before_power::{carry_out, wait_until_asked};
use crate::job::{Patience, ServerJob, Tenant, Watch};
use crate::managed::{ManagementSpec, Protocol};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Networks, Operator, Rack};
use crate::switch::{PortMode, VlanId};
use anyhow::{Context, Result, ensure};
use farrier_ovsdb::model::Startup;
use farrier_ovsdb::{PortName, PortVlan};
use serde_json::json;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

/// The appliance's own network on its trunk: untagged. The operator and the
/// switch's management are there.
const NATIVE: u16 = 5;
const IDLE: u16 = 10;
const INSPECTION: u16 = 11;
const CLEANING: u16 = 12;
const PROVISIONING: u16 = 13;
const TENANT: u16 = 100;
/// What the appliance calls the switch.
pub(super) const SWITCH: &str = "tor";

pub(super) fn vlan(number: u16) -> Result<VlanId> {
    VlanId::new(number).with_context(|| format!("{number} is no VLAN"))
}

/// A rack with one server, whose port begins in a VLAN, and a switch that speaks a
/// protocol.
fn rack(bench: &Bench, name: &str, protocol: Protocol, initial: u16) -> Result<Rack> {
    let offset = |by: u32| Ipv4Addr::from_bits(bench.address.to_bits() + by);
    let tagged = [IDLE, INSPECTION, CLEANING, PROVISIONING, TENANT];
    let networks = Networks {
        initial: vlan(initial)?,
        trunk: tagged.into_iter().map(vlan).collect::<Result<_>>()?,
        native: Some(vlan(NATIVE)?),
        operator: Operator {
            vlan: vlan(NATIVE)?,
            address: offset(1),
            prefix: bench.prefix,
            appliance: bench.address,
        },
        management: ManagementSpec {
            protocol,
            vlan: vlan(NATIVE)?,
            address: offset(2),
            prefix: bench.prefix,
        },
        lldp: None,
    };
    let spec = bench.small_disks(ServerSpec::bios(name, 1));
    let rack = bench.managed_rack(name, vec![spec], &networks)?;
    let api = rack.api();
    for (name, number, uses) in [
        ("idle", IDLE, "idle"),
        ("inspection", INSPECTION, "inspection"),
        ("cleaning", CLEANING, "cleaning"),
        ("deployment", PROVISIONING, "provisioning"),
    ] {
        let path = format!("/farrier/v1/networks/{name}");
        api.put(&path, &json!({ "vlan": number, "uses": [uses] }))?;
    }
    api.put(
        "/farrier/v1/networks/blue",
        &json!({
            "vlan": TENANT, "prefix": 24, "address": "10.80.0.1", "router": "10.80.0.254",
            "dns": "10.80.0.53", "pool_first": "10.80.0.20", "pool_len": 50,
        }),
    )?;
    let kind = match protocol {
        Protocol::Ovsdb => "ovsdb",
        Protocol::Netconf(_) => "netconf",
    };
    let address = offset(2).to_string();
    api.put(
        &format!("/farrier/v1/switches/{SWITCH}"),
        &json!({ "kind": kind, "address": address }),
    )?;
    Ok(rack)
}

/// Says which port of the switch the server is in.
pub(super) fn link(rack: &Rack, job: &ServerJob<'_>) -> Result<()> {
    link_to(rack, job, job.server.name())
}

/// Says that the server is in this port of the switch.
pub(super) fn link_to(rack: &Rack, job: &ServerJob<'_>, port_id: &str) -> Result<()> {
    let ports = rack.api().get("/v1/ports")?;
    let mac = job.server.mac().to_string();
    let mut ports = ports["ports"].as_array().into_iter().flatten();
    let port = ports.find(|port| port["address"] == mac.as_str());
    let id = port.and_then(|port| port["uuid"].as_str());
    let id = id.context("the server's port is not listed")?;
    let value = json!({ "switch_info": SWITCH, "port_id": port_id });
    rack.api().patch(
        &format!("/v1/ports/{id}"),
        &json!([{ "op": "add", "path": "/local_link_connection", "value": value }]),
    )?;
    Ok(())
}

/// The VLAN of a server's port, from outside.
pub(super) fn port_vlan(rack: &Rack, name: &str) -> Result<u16> {
    let control = rack.switch().control();
    let mut ports = control.ports().into_iter();
    let port = ports.find(|port| control.name(*port) == name);
    let mode = control.mode(port.with_context(|| format!("no port {name}"))?);
    match mode {
        PortMode::Vlans {
            untagged: Some(vlan),
            ..
        } => Ok(vlan.get()),
        other => anyhow::bail!("port {name} is {other:?}"),
    }
}

/// Waits until a server's port is on a VLAN, from outside, and the appliance has its
/// proof.
pub(super) fn wait_for_vlan(rack: &Rack, name: &str, wanted: u16, wait: Duration) -> Result<()> {
    let end = Instant::now() + wait;
    loop {
        let found = port_vlan(rack, name)?;
        let said = rack.api().get("/farrier/v1/switch-ports")?;
        let mut ports = said["switch_ports"].as_array().into_iter().flatten();
        let proven = ports.any(|port| {
            port["port"] == name && port["vlan"] == wanted && port["moving_to"].is_null()
        });
        if found == wanted && proven {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "the port of {name} is on VLAN {found}, and should be on {wanted}; the appliance \
             says {said}"
        );
        thread::sleep(Duration::from_millis(200));
    }
}

/// The main job over OVSDB.
pub fn ovsdb(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    main_job(bench, watch, "flip-ovsdb", Protocol::Ovsdb)
}

fn main_job(bench: &Bench, watch: &dyn Watch, name: &str, protocol: Protocol) -> Result<()> {
    let rack = rack(bench, name, protocol, IDLE)?;
    let patience = Patience::of(bench.form);
    let server = rack.server(0)?;
    let settles = Duration::from_secs(60);
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    link(&rack, &job)?;
    job.inspect()?;
    wait_for_vlan(&rack, name, IDLE, settles)?;
    job.provide()?;
    wait_for_vlan(&rack, name, IDLE, settles)?;
    let vifs = format!("/v1/nodes/{}/vifs", job.node);
    rack.api().post(&vifs, &json!({ "id": "blue" }))?;
    let tenant = Tenant::new(name, 1, server.mac());
    job.deploy(&bench.image, &tenant)?;
    let found = port_vlan(&rack, name)?;
    ensure!(
        found == TENANT,
        "the active machine's port is on VLAN {found}"
    );
    watch.say(name, "active, and seen on its tenant's network");

    let mark = rack.appliance().console().mark();
    job.verb("deleted")?;
    let wanted = wait_until_asked(&rack, mark, server.mac())?;
    let found = port_vlan(&rack, name)?;
    ensure!(
        found == TENANT,
        "the port of a tenant's running machine is on VLAN {found}"
    );
    carry_out(server, wanted)?;
    let mark = rack.appliance().console().mark();
    job.wait_for("clean wait", settles)?;
    let found = port_vlan(&rack, name)?;
    ensure!(
        found == CLEANING,
        "the port is on VLAN {found} to be cleaned"
    );
    let wanted = wait_until_asked(&rack, mark, server.mac())?;
    carry_out(server, wanted)?;
    job.wait_for("available", patience.boot + patience.clean)?;
    wait_for_vlan(&rack, name, IDLE, settles)?;
    job.read_disks(&tenant)?;
    ensure!(
        job.report.residue_bytes == 0,
        "bytes of the tenant are left"
    );

    let isolation = rack.isolation()?;
    ensure!(
        isolation.unproven == 0,
        "{} frames were on a wire of another network: {:?}",
        isolation.unproven,
        isolation.violations
    );
    let been: Vec<u16> = isolation
        .stays
        .iter()
        .filter(|stay| stay.port == name)
        .filter_map(|stay| match &stay.mode {
            PortMode::Vlans { untagged, .. } => untagged.map(VlanId::get),
            PortMode::Plain => None,
        })
        .collect();
    let expected = [
        IDLE,
        INSPECTION,
        IDLE,
        CLEANING,
        IDLE,
        PROVISIONING,
        TENANT,
        CLEANING,
        IDLE,
    ];
    ensure!(been == expected, "the port went through {been:?}");
    watch.say(
        name,
        &format!(
            "{} frames proven to be on their own network only",
            isolation.proven
        ),
    );
    Ok(())
}

/// The switch loses its power and what it was told: every port is where it began.
/// The machine's frames show it, the appliance says so and touches nothing, and goes
/// on once an operator has put the port back.
pub fn switch_restart(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let name = "switch-restart";
    let rack = rack(bench, name, Protocol::Ovsdb, INSPECTION)?;
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
    let end = Instant::now() + settles;
    let expected = format!("is on VLAN {INSPECTION}");
    loop {
        // The operator is behind the same switch.
        let node = job.look();
        let error = node.as_ref().map(|node| node["last_error"].to_string());
        if error.is_ok_and(|error| error.contains(&expected)) {
            break;
        }
        ensure!(
            Instant::now() < end,
            "the appliance does not say where the port is: {node:?}"
        );
        thread::sleep(Duration::from_millis(500));
    }
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
