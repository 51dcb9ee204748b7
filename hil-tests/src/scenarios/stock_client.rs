//! The stock `baremetal` command line of python-ironicclient does the main
//! job, with a config drive out of a folder, as OpenStack's operators make
//! it: a gzipped ISO 9660 image. It says which port of the switch the server
//! is in, makes a port group of it and attaches a VIF, and the server gets
//! onto its tenant's network.

use crate::job::networks::{self, IDLE, SETTLES, SWITCH, TENANT, port_vlan, wait_for_vlan};
use crate::job::power::{carry_out, wait_until_asked};
use crate::job::{Patience, ServerJob, Tenant, Watch};
use crate::managed::Protocol;
use crate::qemu::ServerSpec;
use crate::scenario::{Api, Bench, FIRST_ACCOUNT};
use crate::switch::Mac;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// What the client is installed from.
const PACKAGES: [&str; 1] = ["python-ironicclient==6.3.0"];

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let client = Client::install(bench, watch)?;
    let name = "stock";
    let spec = bench.small_disks(ServerSpec::bios(name, 1));
    let rack = networks::rack(bench, "stock-client", vec![spec], Protocol::Ovsdb, IDLE)?;
    let server = rack.server(0)?;
    let patience = Patience::of(bench.form);
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    let baremetal = |arguments: &[&str]| client.run(bench, &rack.api_url(), arguments);

    let list = baremetal(&["node", "list", "--format", "json"])?;
    let node = job.node.clone();
    // Older releases of the client's table library print column heads.
    let names_node = |n: &Value| n["uuid"] == node.as_str() || n["UUID"] == node.as_str();
    ensure!(
        list.as_array().is_some_and(|l| l.iter().any(names_node)),
        "the list misses the node: {list}"
    );
    baremetal(&["node", "set", &node, "--name", "stock"])?;
    link(&baremetal, rack.api(), server.mac())?;
    baremetal(&["node", "manage", "stock", "--wait", "60"])?;
    baremetal(&["node", "inspect", "stock", "--wait", "300"])?;
    let inventory = rack.directory().join("inventory.json");
    let file = inventory.to_string_lossy();
    baremetal(&["node", "inventory", "save", "stock", "--file", &file])?;
    let inventory: Value = serde_json::from_slice(&fs::read(&inventory)?)?;
    ensure!(
        inventory["inventory"]["system_vendor"]["serial_number"]
            == server.spec().identity.serial.as_str(),
        "the inventory is another machine's: {inventory}"
    );
    wait_for_vlan(&rack, name, IDLE, SETTLES)?;
    baremetal(&["node", "provide", "stock", "--wait", "600"])?;
    job.look()?;
    wait_for_vlan(&rack, name, IDLE, SETTLES)?;
    attach(&baremetal, rack.api(), &node)?;

    let tenant = Tenant::new("stock", 1, server.mac());
    let folder = config_folder(rack.directory(), &tenant)?;
    baremetal(&[
        "node",
        "set",
        "stock",
        "--instance-uuid",
        &tenant.uuid,
        "--instance-info",
        &format!("image_source={}", bench.image),
    ])?;
    let mark = server.console().mark();
    baremetal(&[
        "node",
        "deploy",
        "stock",
        "--config-drive",
        &folder.to_string_lossy(),
        "--wait",
        "1200",
    ])?;
    server
        .console()
        .wait_for(mark, &tenant.proof(), patience.instance)?;
    let shown = baremetal(&["node", "show", "stock", "--format", "json"])?;
    ensure!(shown["provision_state"] == "active", "not active: {shown}");
    let found = port_vlan(&rack, name)?;
    ensure!(
        found == TENANT,
        "the active machine's port is on VLAN {found}"
    );

    // A verb that the state has not: the client shows the appliance's words.
    let refused = baremetal(&["node", "provide", "stock"]);
    let words = refused
        .err()
        .map(|error| format!("{error:#}"))
        .unwrap_or_default();
    ensure!(
        words.contains("active"),
        "the refusal does not name the state: {words}"
    );

    let mark = rack.appliance().console().mark();
    baremetal(&["node", "undeploy", "stock"])?;
    carry_out(server, wait_until_asked(&rack, mark, server.mac())?)?;
    let mark = rack.appliance().console().mark();
    job.wait_for("clean wait", SETTLES)?;
    carry_out(server, wait_until_asked(&rack, mark, server.mac())?)?;
    job.wait_for("available", patience.boot + patience.clean)?;
    wait_for_vlan(&rack, name, IDLE, SETTLES)?;
    ensure!(!has_vif(rack.api(), &node)?, "a released node has a VIF");
    let mut reports = [job.report.clone()];
    let isolation = networks::prove(&rack, &mut reports)?;
    watch.say(
        name,
        &format!(
            "{} frames proven to be on their own network only",
            isolation.proven
        ),
    );
    job.read_disks(&tenant)?;
    ensure!(
        job.report.residue_bytes == 0,
        "{} bytes are left",
        job.report.residue_bytes
    );
    Ok(())
}

/// Runs the client with arguments.
type Baremetal<'a> = dyn Fn(&[&str]) -> Result<Value> + 'a;

/// A field of a row. Older releases of the client's table library print column heads.
fn field<'v>(row: &'v Value, names: [&str; 2]) -> Option<&'v str> {
    names.iter().find_map(|name| row[*name].as_str())
}

/// Says which port of the switch the server's only card is in, and makes a port group
/// of it. Each run of the client takes seconds, so the API itself says what came of it.
fn link(baremetal: &Baremetal<'_>, api: &Api, mac: Mac) -> Result<()> {
    let ports = baremetal(&["port", "list", "--node", "stock", "--format", "json"])?;
    let id = field(&ports[0], ["uuid", "UUID"]).with_context(|| format!("no port: {ports}"))?;
    let (switch, place) = (format!("switch_info={SWITCH}"), "port_id=stock");
    let option = "--local-link-connection";
    baremetal(&["port", "set", id, option, &switch, option, place])?;
    let mac = mac.to_string();
    let node = api.get(&format!("/v1/ports/{id}"))?["node_uuid"].clone();
    let node = node.as_str().context("a port has a node")?;
    let made = baremetal(&[
        "port",
        "group",
        "create",
        "--node",
        node,
        "--address",
        &mac,
        "--name",
        "bond0",
        "--mode",
        "802.3ad",
        "--format",
        "json",
    ])?;
    let group = field(&made, ["uuid", "UUID"]).with_context(|| format!("no group: {made}"))?;
    baremetal(&["port", "set", id, "--port-group", group])?;
    let port = api.get(&format!("/v1/ports/{id}"))?;
    let said = &port["local_link_connection"];
    ensure!(
        said["switch_info"] == SWITCH
            && said["port_id"] == "stock"
            && port["portgroup_uuid"] == group,
        "the port is {port}"
    );
    Ok(())
}

/// Whether the node has the VIF, as the API says.
fn has_vif(api: &Api, node: &str) -> Result<bool> {
    let said = api.get(&format!("/v1/nodes/{node}/vifs"))?;
    let vifs = said["vifs"].as_array().context("a list of VIFs")?;
    Ok(vifs.iter().any(|vif| vif["id"] == "blue"))
}

/// Attaches a VIF, detaches it, and attaches it for good.
fn attach(baremetal: &Baremetal<'_>, api: &Api, node: &str) -> Result<()> {
    let unknown = baremetal(&["node", "vif", "attach", "stock", "green"]);
    let words = unknown.err().map(|error| format!("{error:#}"));
    ensure!(
        words.as_ref().is_some_and(|words| words.contains("green")),
        "a network that does not exist: {words:?}"
    );
    for (verb, has) in [("attach", true), ("detach", false), ("attach", true)] {
        baremetal(&["node", "vif", verb, "stock", "blue"])?;
        ensure!(has_vif(api, node)? == has, "wrong after {verb}");
    }
    let list = baremetal(&["node", "vif", "list", "stock", "--format", "json"])?;
    ensure!(
        field(&list[0], ["id", "ID"]) == Some("blue"),
        "the VIFs are {list}"
    );
    Ok(())
}

/// A folder as `--config-drive` takes it.
fn config_folder(directory: &Path, tenant: &Tenant) -> Result<PathBuf> {
    let folder = directory.join("config-drive");
    let latest = folder.join("openstack/latest");
    fs::create_dir_all(&latest)?;
    let drive = tenant.config_drive();
    fs::write(
        latest.join("meta_data.json"),
        drive["meta_data"].to_string(),
    )?;
    fs::write(
        latest.join("network_data.json"),
        drive["network_data"].to_string(),
    )?;
    let user_data = drive["user_data"].as_str().context("user data is a text")?;
    fs::write(latest.join("user_data"), user_data)?;
    Ok(folder)
}

/// The client in a Python environment of its own.
struct Client {
    program: PathBuf,
}

impl Client {
    fn install(bench: &Bench, watch: &dyn Watch) -> Result<Self> {
        let environment = bench.work.join("../stock-client");
        let program = environment.join("bin/baremetal");
        let done = environment.join("installed");
        if fs::read_to_string(&done).is_ok_and(|text| text == PACKAGES.join(" ")) {
            return Ok(Client { program });
        }
        watch.say(
            "client",
            &format!(
                "downloading {} and what it depends on from the Python Package Index, once",
                PACKAGES.join(" ")
            ),
        );
        // The program that makes the ISO image, found by the client itself.
        (bench.tools)("mkisofs")?;
        (bench.tools)("/usr/lib/python3.11/ensurepip/__init__.py")?;
        let mut venv = (bench.tools)("python3")?;
        output_of(venv.args(["-m", "venv", "--clear"]).arg(&environment))?;
        // The folder's own pip: the system need not have one.
        let mut pip = (bench.tools)("env")?;
        pip.arg(environment.join("bin/python"));
        output_of(pip.args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
        fs::write(done, PACKAGES.join(" "))?;
        Ok(Client { program })
    }

    /// Runs the client against the appliance; what it printed as JSON, or
    /// null.
    fn run(&self, bench: &Bench, url: &str, arguments: &[&str]) -> Result<Value> {
        let mut command = (bench.tools)("env")?;
        command
            .args([
                "OS_AUTH_TYPE=http_basic",
                &format!("OS_USERNAME={FIRST_ACCOUNT}"),
                &format!("OS_PASSWORD={}", bench.password),
                &format!("OS_ENDPOINT={url}"),
            ])
            .arg(&self.program)
            .args(arguments);
        let printed = output_of(&mut command)
            .with_context(|| format!("baremetal {}", arguments.join(" ")))?;
        Ok(serde_json::from_str(&printed).unwrap_or(Value::Null))
    }
}

fn output_of(command: &mut std::process::Command) -> Result<String> {
    let output = command.stdin(std::process::Stdio::null()).output()?;
    if !output.status.success() {
        bail!(
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout).trim(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
