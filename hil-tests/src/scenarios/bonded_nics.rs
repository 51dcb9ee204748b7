//! A server with two cards in two ports of the switch, in one port group. Its ports
//! move together, it boots by the second card where the first cable is out, and its
//! tenant's system gets one address, by the bond.

use super::moved_cable::{has, wait_for};
use super::switched::Switched;
use crate::job::networks::{SWITCH, port_vlan, wait_for_vlan};
use crate::job::power::{carry_out, wait_until_asked};
use crate::job::{Patience, ServerJob, Tenant, Watch};
use crate::qemu::{NicModel, NicSpec, ServerSpec};
use crate::scenario::{Bench, Rack};
use crate::switch::Mac;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;

const IDLE: u16 = 10;
const INSPECTION: u16 = 11;
const CLEANING: u16 = 12;
const PROVISIONING: u16 = 13;
const TENANT: u16 = 100;
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
        (
            "deployment",
            json!({ "vlan": PROVISIONING, "uses": ["provisioning"] }),
        ),
        (
            "blue",
            json!({
                "vlan": TENANT, "prefix": 24, "address": "10.80.0.1",
                "pool_first": "10.80.0.20", "pool_len": 50,
            }),
        ),
    ];
    let name = "bonded";
    let mut spec = bench.small_disks(ServerSpec::bios(name, 1));
    let second = Mac([0x52, 0x54, 0x00, 0xFA, 0x01, 1]);
    spec.nics.push(NicSpec {
        model: NicModel::Virtio,
        mac: second,
    });
    let rack = Switched {
        name: "bonded-nics",
        servers: vec![spec],
        initial: IDLE,
        trunk: vec![IDLE, INSPECTION, CLEANING, PROVISIONING, TENANT],
        networks: &networks,
        lldp: Some(LLDP),
    }
    .build(bench)?;
    let patience = Patience::of(bench.form);
    let settles = Duration::from_secs(60);
    let server = rack.server(0)?;
    let cards = [(server.mac(), "bonded"), (second, "bonded-2")];
    let both = |vlan: u16| -> Result<()> {
        for (_, port) in cards {
            wait_for_vlan(&rack, port, vlan, settles)?;
        }
        Ok(())
    };
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    // The inspection finds the second card.
    job.inspect()?;
    let group = json!({
        "node_uuid": job.node, "address": server.mac().to_string(), "name": "bond0",
        "mode": "802.3ad",
    });
    let group = rack.api().post("/v1/portgroups", &group)?;
    ensure!(group["mode"] == "802.3ad", "the port group is {group}");
    for (mac, port) in cards {
        let link = json!({ "switch_info": SWITCH, "port_id": port });
        patch(&rack, mac, "/local_link_connection", &link)?;
        patch(&rack, mac, "/portgroup_uuid", &group["uuid"])?;
    }
    both(IDLE)?;
    for (_, port) in cards {
        wait_for(&rack, port, settles, |port| has(port, "lldp"))?;
    }
    job.soft_power_off()?;
    watch.say(name, "the first cable is pulled");
    server.cable(0)?.pull();
    job.verb("provide")?;
    server.power_on()?;
    job.wait_for("cleaning", patience.boot)?;
    both(CLEANING)?;
    job.wait_for("available", patience.boot + patience.clean)?;
    both(IDLE)?;

    watch.say(name, "the first cable is back");
    let port = rack.switch().control().port_named(name)?;
    server.cable(0)?.plug(port);
    let vifs = format!("/v1/nodes/{}/vifs", job.node);
    rack.api().post(&vifs, &json!({ "id": "blue" }))?;
    let tenant = Tenant::new(name, 1, server.mac());
    job.deploy(&bench.image, &tenant)?;
    for (_, port) in cards {
        let found = port_vlan(&rack, port)?;
        ensure!(found == TENANT, "the port {port} is on VLAN {found}");
    }
    let addresses = rack.api().get("/farrier/v1/addresses")?;
    let all = addresses["addresses"].as_array().context("addresses")?;
    let of_tenant: Vec<&Value> = all.iter().filter(|a| a["network"] == "blue").collect();
    let [one] = of_tenant[..] else {
        anyhow::bail!("the bond has {} addresses: {addresses}", of_tenant.len());
    };
    ensure!(
        one.to_string().contains(&server.mac().to_string()),
        "the address is not the bond's: {one}"
    );
    watch.say(name, &format!("active, with the address {one}"));

    let mark = rack.appliance().console().mark();
    job.verb("deleted")?;
    let wanted = wait_until_asked(&rack, mark, server.mac())?;
    carry_out(server, wanted)?;
    let mark = rack.appliance().console().mark();
    job.wait_for("clean wait", settles)?;
    both(CLEANING)?;
    let wanted = wait_until_asked(&rack, mark, server.mac())?;
    carry_out(server, wanted)?;
    job.wait_for("available", patience.boot + patience.clean)?;
    both(IDLE)?;
    rack.isolation()?.ensure()
}

/// Changes a field of the port with this address.
fn patch(rack: &Rack, mac: Mac, path: &str, value: &Value) -> Result<()> {
    let ports = rack.api().get("/v1/ports")?;
    let mac = mac.to_string();
    let mut ports = ports["ports"].as_array().into_iter().flatten();
    let port = ports.find(|port| port["address"] == mac.as_str());
    let id = port.and_then(|port| port["uuid"].as_str());
    let id = id.with_context(|| format!("the port {mac} is not listed"))?;
    let change = json!([{ "op": "add", "path": path, "value": value }]);
    rack.api().patch(&format!("/v1/ports/{id}"), &change)?;
    Ok(())
}
