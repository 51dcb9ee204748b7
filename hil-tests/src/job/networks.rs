//! A rack whose appliance moves the ports of its servers, and a server's way through
//! the networks of its life: idle, inspection, cleaning, provisioning, its tenant's,
//! cleaning, idle. The switch is managed over the network by the shipping appliance,
//! and the captures of all wires are read afterwards: no frame of one network may
//! have been on another.

use super::power::{carry_out, wait_until_asked};
use super::{ServerJob, ServerReport, Tenant, Watch};
use crate::managed::{ManagementSpec, Protocol};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Networks, Operator, Rack};
use crate::server::Server;
use crate::switch::wires::Isolation;
use crate::switch::{PortMode, VlanId};
use anyhow::{Context, Result, ensure};
use farrier_netconf::dialect::JUNOS_ELS;
use serde_json::json;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

/// The appliance's own network on its trunk: untagged. The operator and the
/// switch's management are there.
pub const NATIVE: u16 = 5;
/// Where servers are that have nothing to do.
pub const IDLE: u16 = 10;
/// Where they are inspected.
pub const INSPECTION: u16 = 11;
/// Where they are cleaned.
pub const CLEANING: u16 = 12;
/// Where they are deployed.
pub const PROVISIONING: u16 = 13;
/// The network of the tenant `blue`.
pub const TENANT: u16 = 100;
/// What the appliance calls the switch.
pub const SWITCH: &str = "tor";
const TENANTS_SUBNET: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 0);
/// Longest wait until the appliance has called the switch.
const MEETS: Duration = Duration::from_secs(120);
/// Longest time that a port is closed for a change.
const CHANGES: Duration = Duration::from_secs(10);
/// Longest wait for a move and its proof where the machine is up.
pub const SETTLES: Duration = Duration::from_secs(180);

/// NETCONF as a switch of Juniper's with the Enhanced Layer 2 Software speaks it.
#[must_use]
pub fn netconf() -> Protocol {
    Protocol::Netconf(&JUNOS_ELS)
}

/// The VLAN of this number.
///
/// # Errors
/// There is none.
pub fn vlan(number: u16) -> Result<VlanId> {
    VlanId::new(number).with_context(|| format!("{number} is no VLAN"))
}

/// A rack whose servers' ports begin in a VLAN, and whose switch speaks a protocol.
///
/// # Errors
/// A part of it does not start, or the appliance refuses its networks.
pub fn rack(
    bench: &Bench,
    name: &str,
    servers: Vec<ServerSpec>,
    protocol: Protocol,
    initial: u16,
) -> Result<Rack> {
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
        lldp: Some(Duration::from_secs(2)),
    };
    let rack = bench.managed_rack(name, servers, &networks)?;
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
    let address = offset(2).to_string();
    api.put(&switch_path(), &switch(&rack, protocol, &address)?)?;
    Ok(rack)
}

/// What the appliance is told of a switch that speaks this protocol. Where it has no
/// password, the switch is told the appliance's key before, as an operator does at its
/// console.
///
/// # Errors
/// The rack has no managed switch, or does not take the key.
pub fn switch(rack: &Rack, protocol: Protocol, address: &str) -> Result<serde_json::Value> {
    match protocol {
        Protocol::Ovsdb | Protocol::OpenVswitch => {
            Ok(json!({ "kind": "ovsdb", "address": address }))
        }
        Protocol::Netconf(_) | Protocol::Netconfd(..) => {
            let managed = rack.managed()?;
            let (user, password) = managed.login()?;
            let mut switch = json!({ "kind": "netconf", "address": address, "user": user });
            if let Some(password) = password {
                switch["password"] = password.into();
            } else {
                let key = rack.api().get("/farrier/v1/switch-key")?;
                let line = key["public_key"].as_str();
                managed.authorize(line.context("no public key")?)?;
            }
            Ok(switch)
        }
    }
}

/// The switch's path in the API.
pub fn switch_path() -> String {
    format!("/farrier/v1/switches/{SWITCH}")
}

/// Waits until the appliance has met the switch's host key, and pins it as an
/// operator does who has read it at the switch's console.
///
/// # Errors
/// It has met another one, or none in time.
pub fn pin(rack: &Rack) -> Result<()> {
    let at_console = rack.managed()?.fingerprint()?;
    let end = Instant::now() + MEETS;
    loop {
        let said = rack.api().get("/farrier/v1/switches")?;
        let switch = &said["switches"][0];
        if switch["host_key"] == at_console.as_str() {
            // Another server's job has done it.
            return Ok(());
        }
        let met = &switch["host_key_met"];
        if *met == at_console.as_str() {
            break;
        }
        ensure!(
            Instant::now() < end,
            "the switch has the host key {at_console}; the appliance says {said}"
        );
        thread::sleep(Duration::from_millis(200));
    }
    rack.api()
        .patch(&switch_path(), &json!({ "host_key": at_console }))?;
    Ok(())
}

/// Says which port of the switch the server is in.
///
/// # Errors
/// The appliance refuses, or does not know the server.
pub fn link(rack: &Rack, job: &ServerJob<'_>) -> Result<()> {
    link_to(rack, job, job.server.name())
}

/// Says that the server is in this port of the switch.
///
/// # Errors
/// As [`link`].
pub fn link_to(rack: &Rack, job: &ServerJob<'_>, port_id: &str) -> Result<()> {
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

/// The VLAN of a server's port, from outside. A port that is closed for a change, as the
/// rig closes those of a real switch, is waited for.
///
/// # Errors
/// There is no such port, or it is no access port.
pub fn port_vlan(rack: &Rack, name: &str) -> Result<u16> {
    let control = rack.switch().control();
    let port = control.port_named(name)?;
    let end = Instant::now() + CHANGES;
    let mut mode = control.mode(port);
    while mode == PortMode::closed() && Instant::now() < end {
        thread::sleep(Duration::from_millis(50));
        mode = control.mode(port);
    }
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
///
/// # Errors
/// It is not there in time.
pub fn wait_for_vlan(rack: &Rack, name: &str, wanted: u16, wait: Duration) -> Result<()> {
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

/// The main job of one server of such a rack. What was learned comes back also when
/// a step fails, with the failure beside it.
pub fn whole(
    rack: &Rack,
    server: &Server,
    number: u8,
    image: &str,
    watch: &dyn Watch,
) -> (ServerReport, Option<String>) {
    let mut job = match ServerJob::power_on(server, rack.api(), watch) {
        Ok(job) => job,
        Err(error) => {
            let report = ServerReport {
                name: server.name().to_owned(),
                ..ServerReport::default()
            };
            return (report, Some(format!("{error:#}")));
        }
    };
    let error = main_job(rack, &mut job, number, image, watch).err();
    let error = error.map(|error| format!("{error:#}"));
    if let Some(error) = &error {
        watch.say(server.name(), &format!("FAILED: {error}"));
    }
    (job.report, error)
}

/// The main job, with each network looked at from outside when the server's work is
/// there.
///
/// # Errors
/// A step fails, or the port is elsewhere.
pub fn main_job(
    rack: &Rack,
    job: &mut ServerJob<'_>,
    number: u8,
    image: &str,
    watch: &dyn Watch,
) -> Result<()> {
    let server = job.server;
    let (name, patience) = (server.name(), job.patience);
    link(rack, job)?;
    if rack.managed()?.fingerprint().is_ok() {
        pin(rack)?;
    }
    job.inspect()?;
    wait_for_vlan(rack, name, IDLE, SETTLES)?;
    job.provide()?;
    wait_for_vlan(rack, name, IDLE, SETTLES)?;
    let vifs = format!("/v1/nodes/{}/vifs", job.node);
    rack.api().post(&vifs, &json!({ "id": "blue" }))?;
    let tenant = Tenant::new(name, number, server.mac());
    job.deploy(image, &tenant)?;
    let found = port_vlan(rack, name)?;
    ensure!(
        found == TENANT,
        "the active machine's port is on VLAN {found}"
    );
    watch.say(name, "active, and seen on its tenant's network");

    let mark = rack.appliance().console().mark();
    job.verb("deleted")?;
    let wanted = wait_until_asked(rack, mark, server.mac())?;
    let found = port_vlan(rack, name)?;
    ensure!(
        found == TENANT,
        "the port of a tenant's running machine is on VLAN {found}"
    );
    watch.say(name, &format!("the appliance asks to switch it {wanted}"));
    carry_out(server, wanted)?;
    let mark = rack.appliance().console().mark();
    job.wait_for("clean wait", SETTLES)?;
    let found = port_vlan(rack, name)?;
    ensure!(
        found == CLEANING,
        "the port is on VLAN {found} to be cleaned"
    );
    let wanted = wait_until_asked(rack, mark, server.mac())?;
    watch.say(name, &format!("the appliance asks to switch it {wanted}"));
    carry_out(server, wanted)?;
    job.wait_for("available", patience.boot + patience.clean)?;
    job.hop("release");
    wait_for_vlan(rack, name, IDLE, SETTLES)?;
    job.read_disks(&tenant)
}

/// Proves by the captures of all wires that no frame was on another network than its
/// own, and that the port of each of these servers went the way of the main job.
/// Gives the reports their VLANs.
///
/// # Errors
/// It was otherwise.
pub fn prove(rack: &Rack, reports: &mut [ServerReport]) -> Result<Isolation> {
    let isolation = rack.isolation()?;
    ensure!(
        isolation.unproven == 0,
        "{} frames were on a wire of another network: {:?}",
        isolation.unproven,
        isolation.violations
    );
    for report in reports {
        let stays = isolation.stays_of(&report.name);
        report.vlans = stays
            .filter_map(|stay| stay.vlan())
            .map(VlanId::get)
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
        ensure!(
            report.vlans == expected,
            "the port of {} went through the VLANs {:?}",
            report.name,
            report.vlans
        );
        let mut stays = isolation.stays_of(&report.name);
        let with_tenant = stays.find(|stay| stay.vlan().map(VlanId::get) == Some(TENANT));
        let addresses = with_tenant.map(|stay| &stay.sender_ips);
        let pool = |ip: &Ipv4Addr| {
            (20..70).contains(&(ip.to_bits().wrapping_sub(TENANTS_SUBNET.to_bits())))
        };
        ensure!(
            addresses.is_some_and(|all| all.iter().any(pool)),
            "{} had no address of its tenant's pool there: {addresses:?}",
            report.name
        );
    }
    Ok(isolation)
}
