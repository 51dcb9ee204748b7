//! The ports of a server go through the networks of its life, over each protocol that
//! switches are spoken to by, and with switches that fail.

use crate::job::networks::{
    IDLE, INSPECTION, SETTLES, SWITCH, link, pin, port_vlan, switch_path, wait_for_vlan,
};
use crate::job::{ServerJob, Watch, networks};
use crate::managed::netconfd::Login;
use crate::managed::{Protocol, USER, openvswitch};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Rack};
use anyhow::{Context, Result, ensure};
use farrier_netconf::dialect::{JUNOS_ELS, OPENCONFIG};
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
    until("the port is moved", || {
        Ok(port_vlan(&rack, name)? == INSPECTION)
    })
}

/// The main job over NETCONF with netconfd behind OpenSSH, which takes a password, and
/// a configuration of Junos's shape. Then the port of a machine that nobody switches on
/// is moved, and moved back since its work is aborted before the move is proven:
/// netconfd cancels its confirmed commit.
pub fn netconfd(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let name = "flip-netconfd";
    let protocol = Protocol::Netconfd(&JUNOS_ELS, Login::Password);
    let specs = [(name, 1), ("spare", 2)];
    let specs = specs.map(|(name, number)| bench.small_disks(ServerSpec::bios(name, number)));
    let rack = networks::rack(bench, name, specs.into(), protocol, IDLE)?;
    main_job(bench, watch, &rack)?;
    let (user, password) = rack.managed()?.login()?;
    let by = match password {
        Some(_) => "a password",
        None => "the appliance's own key, since no account can be made here",
    };
    watch.say(SWITCH, &format!("let {user} in by {by}"));
    take_back(&rack, watch)
}

/// Has the port of the second server, which has no power, moved and moved back.
fn take_back(rack: &Rack, watch: &dyn Watch) -> Result<()> {
    let (api, server) = (rack.api(), rack.server(1)?);
    let name = server.name();
    let node = api.post("/v1/nodes", &json!({ "driver": "farrier", "name": name }))?;
    let node = node["uuid"].as_str().context("the node's UUID")?;
    let mac = server.mac().to_string();
    let link = json!({ "switch_info": SWITCH, "port_id": name });
    let port = json!({ "node_uuid": node, "address": mac, "local_link_connection": link });
    let port = api.post("/v1/ports", &port)?;
    let port = port["uuid"].as_str().context("the port's UUID")?;
    let states = format!("/v1/nodes/{node}/states/provision");
    let state = |wanted: &str| -> Result<bool> {
        let node = api.get(&format!("/v1/nodes/{node}"))?;
        Ok(node["provision_state"] == wanted)
    };
    api.put(&states, &json!({ "target": "manage" }))?;
    until("the node is manageable", || state("manageable"))?;
    api.put(&states, &json!({ "target": "inspect" }))?;
    until("the node waits for its machine", || state("inspect wait"))?;
    // Nobody was seen in this port, so the operator says it twice.
    until("the appliance says why it moves nothing", || {
        let said = api.get("/farrier/v1/switch-ports")?;
        let mut ports = said["switch_ports"].as_array().into_iter().flatten();
        Ok(ports.any(|port| port["port"] == name && !port["not_moved_because"].is_null()))
    })?;
    let again = json!([{ "op": "add", "path": "/local_link_connection", "value": link }]);
    api.patch(&format!("/v1/ports/{port}"), &again)?;
    until("the port is moved", || {
        Ok(port_vlan(rack, name)? == INSPECTION)
    })?;
    watch.say(SWITCH, "the port is moved, and nothing proves it");
    api.put(&states, &json!({ "target": "abort" }))?;
    // What failed stays where it is until somebody decides.
    until("the work is aborted", || state("inspect failed"))?;
    api.put(&states, &json!({ "target": "manage" }))?;
    until("the port is moved back", || {
        Ok(port_vlan(rack, name)? == IDLE)
    })?;
    wait_for_vlan(rack, name, IDLE, SETTLES)
}

/// Waits until something is so.
fn until(what: &str, so: impl Fn() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + SETTLES;
    while !so()? {
        ensure!(Instant::now() < end, "not in time: {what}");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The same with a configuration of OpenConfig's shape, and a login by the appliance's
/// own key, as the user who runs this.
pub fn netconfd_openconfig(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let protocol = Protocol::Netconfd(&OPENCONFIG, Login::Key);
    let rack = rack_of_one(bench, "flip-netconfd-openconfig", protocol, IDLE)?;
    main_job(bench, watch, &rack)?;
    Ok(())
}

/// The main job with a real Open vSwitch, through which every frame of the rack passes.
/// Skipped, with the reason, where there can't be one.
pub fn openvswitch(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let name = "flip-openvswitch";
    if let Some(reason) = openvswitch::impossible(&bench.tools)? {
        watch.say(name, &format!("SKIPPED: {reason}"));
        return Ok(());
    }
    // The server's name is that of a network device, too.
    let spec = bench.small_disks(ServerSpec::bios("flip-ovs", 1));
    let rack = networks::rack(bench, name, vec![spec], Protocol::OpenVswitch, IDLE)?;
    main_job(bench, watch, &rack)?;
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
