//! The steps of one server's job, of which jobs and scenarios are made.

use super::{Patience, ServerReport, Tenant, Watch};
use crate::disk;
use crate::qemu::Firmware;
use crate::scenario::Api;
use crate::server::Server;
use crate::switch::Mac;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::thread;
use std::time::{Duration, Instant};

/// How often the API is asked while something is waited for.
const POLL: Duration = Duration::from_millis(250);

/// The node that the appliance made of the machine with this interface.
///
/// # Errors
/// The API does not answer, or the machine is not discovered in time.
pub fn discovered(api: &Api, mac: Mac, wait: Duration) -> Result<String> {
    let end = Instant::now() + wait;
    loop {
        let ports = api.get("/v1/ports")?;
        let port = array(&ports, "ports")
            .iter()
            .find(|port| port["address"] == mac.to_string());
        if let Some(uuid) = port.and_then(|port| port["node_uuid"].as_str()) {
            return Ok(uuid.to_owned());
        }
        ensure!(
            Instant::now() < end,
            "{mac} is not discovered after {wait:?}"
        );
        thread::sleep(POLL);
    }
}

/// When a hop was reached, in seconds since the first one.
fn seconds(hop: &Value) -> f64 {
    hop["ms"].as_f64().unwrap_or(0.0) / 1000.0
}

/// A step of the agent for people. Erasing counts every byte of the disks
/// twice, as erased and as read back.
fn in_words(step: &str) -> &str {
    match step {
        "erase" => "erase (counts erased + read back)",
        "verify erase" => "verify erase (counts erased + read back)",
        step => step,
    }
}

fn array<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// What the agent proved of an image that it wrote.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// Bytes of the image as it lies on the disk.
    pub image_bytes: u64,
    /// Bytes fetched over the network for it.
    pub fetched_bytes: u64,
    /// Chunks that were wrong on the wire and were fetched again.
    pub refetched_chunks: u64,
    /// The agent's resident memory at its highest.
    pub peak_rss_bytes: u64,
}

/// A server with its node, and what was learned on the way.
pub struct ServerJob<'r> {
    /// The machine.
    pub server: &'r Server,
    /// The appliance's API.
    pub api: &'r Api,
    /// The node's UUID.
    pub node: String,
    /// How long each step may take.
    pub patience: Patience,
    /// What was learned.
    pub report: ServerReport,
    watch: &'r dyn Watch,
    hop_started: Instant,
}

impl std::fmt::Debug for ServerJob<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerJob")
            .field("server", &self.server.name())
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl<'r> ServerJob<'r> {
    /// Powers the server on and waits until its agent's handshake is complete
    /// and the appliance shows it in `enroll`.
    ///
    /// # Errors
    /// It does not come; the error names the last hop that was seen.
    pub fn power_on(server: &'r Server, api: &'r Api, watch: &'r dyn Watch) -> Result<Self> {
        let started = Instant::now();
        let patience = Patience::of(server.form());
        watch.say(server.name(), "power on");
        server.power_on()?;
        let mac = server.mac();
        let node = discovered(api, mac, patience.boot)?;
        let mut job = ServerJob {
            server,
            api,
            node,
            patience,
            report: ServerReport {
                name: server.name().to_owned(),
                firmware: match server.spec().firmware {
                    Firmware::Bios => "bios".to_owned(),
                    Firmware::Uefi => "uefi".to_owned(),
                },
                ..ServerReport::default()
            },
            watch,
            hop_started: started,
        };
        job.hop("power on to first packet");
        job.look()?;
        job.wait_for_agent()?;
        Ok(job)
    }

    /// The appliance's view of the node: `provision_state` and the rest of
    /// the API's node. Notes a state that is new.
    ///
    /// # Errors
    /// The API does not answer.
    pub fn look(&mut self) -> Result<Value> {
        let node = self.api.get(&format!("/v1/nodes/{}", self.node))?;
        let state = node["provision_state"].as_str().unwrap_or("?").to_owned();
        if self.report.states.last() != Some(&state) {
            self.watch.say(self.server.name(), &state);
            self.report.states.push(state);
        }
        Ok(node)
    }

    /// The boot timeline and progress of the node, as the appliance's status
    /// page shows them.
    ///
    /// # Errors
    /// The API does not answer, or does not know the node.
    pub fn status(&self) -> Result<Value> {
        let status = self.api.get("/farrier/v1/status")?;
        let node = array(&status, "nodes")
            .iter()
            .find(|node| node["uuid"] == self.node.as_str());
        node.cloned().context("the status page misses the node")
    }

    /// What the agent proved of the image that it wrote last.
    ///
    /// # Errors
    /// The API does not answer, or nothing was written yet.
    pub fn written(&self) -> Result<Written> {
        let status = self.status()?;
        let number = |key: &str| status["written"][key].as_u64();
        let number = |key: &str| number(key).with_context(|| format!("no {key} in {status}"));
        Ok(Written {
            image_bytes: number("image_bytes")?,
            fetched_bytes: number("fetched_bytes")?,
            refetched_chunks: number("refetched_chunks")?,
            peak_rss_bytes: number("peak_rss_kib")? * 1024,
        })
    }

    /// Waits for the agent's handshake and shows each hop of the boot as it is
    /// seen.
    ///
    /// # Errors
    /// It does not come in time; the error names the last hop.
    pub fn wait_for_agent(&mut self) -> Result<()> {
        let end = Instant::now() + self.patience.boot;
        let mut shown = 0;
        loop {
            let status = self.status()?;
            let hops = array(&status, "hops").to_vec();
            for hop in hops.iter().skip(shown) {
                let name = hop["name"].as_str().unwrap_or("?");
                self.watch.say(
                    self.server.name(),
                    &format!("{name} at {:.1} s", seconds(hop)),
                );
            }
            shown = shown.max(hops.len());
            if hops.iter().any(|hop| hop["name"] == "agent handshake") {
                for hop in &hops {
                    let name = hop["name"].as_str().unwrap_or("?");
                    self.report
                        .hops
                        .push((format!("boot: {name}"), seconds(hop)));
                }
                self.hop("first packet to agent");
                return Ok(());
            }
            if Instant::now() > end {
                let last = hops.last().and_then(|hop| hop["name"].as_str());
                bail!(
                    "{}: no agent after {:?}; last hop: {}\n{}",
                    self.server.name(),
                    self.patience.boot,
                    last.unwrap_or("none"),
                    self.server.console().tail()
                );
            }
            thread::sleep(POLL);
        }
    }

    /// Asks for a soft power off, and waits until the machine is off: its agent
    /// has left.
    ///
    /// # Errors
    /// The request is refused, or the machine stays on.
    pub fn soft_power_off(&self) -> Result<()> {
        let power = format!("/v1/nodes/{}/states/power", self.node);
        self.api.put(&power, &json!({"target": "soft power off"}))?;
        self.server.wait_off(self.patience.boot)
    }

    /// Asks for a verb.
    ///
    /// # Errors
    /// The appliance refuses; the error holds its words.
    pub fn verb(&mut self, target: &str) -> Result<()> {
        self.provision(&json!({ "target": target }))
    }

    fn provision(&mut self, body: &Value) -> Result<()> {
        self.look()?;
        self.hop_started = Instant::now();
        self.api
            .put(&format!("/v1/nodes/{}/states/provision", self.node), body)?;
        Ok(())
    }

    /// Waits until the node is in `wanted`. Ends early, with the appliance's
    /// error, when it comes into a failure state instead.
    ///
    /// # Errors
    /// The failure, or that it took too long.
    pub fn wait_for(&mut self, wanted: &str, wait: Duration) -> Result<()> {
        let end = Instant::now() + wait;
        loop {
            let node = self.look()?;
            let state = node["provision_state"].as_str().unwrap_or("?");
            if state == wanted {
                return Ok(());
            }
            if state.ends_with("failed") || state == "error" {
                bail!(
                    "{}: {state} instead of {wanted}: {}",
                    self.server.name(),
                    node["last_error"].as_str().unwrap_or("no reason given")
                );
            }
            let status = self.status()?;
            if let Some(progress) = status["progress"].as_object() {
                let number = |key: &str| progress.get(key).and_then(Value::as_u64).unwrap_or(0);
                self.watch.progress(
                    self.server.name(),
                    in_words(
                        progress
                            .get("step")
                            .and_then(Value::as_str)
                            .unwrap_or("work"),
                    ),
                    number("done"),
                    number("total"),
                    number("rate"),
                );
                let peak = number("peak_rss_kib") * 1024;
                self.report.agent_peak_rss_bytes = self.report.agent_peak_rss_bytes.max(peak);
            }
            if Instant::now() > end {
                bail!(
                    "{}: still {state} after {wait:?}, not {wanted}: {}\n{}",
                    self.server.name(),
                    node["last_error"].as_str().unwrap_or("no error"),
                    self.server.console().tail()
                );
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until the agent's work in `state` moves.
    ///
    /// # Errors
    /// The state is not reached, is left before its work was seen to move,
    /// or nothing moves in time.
    pub fn wait_busy(&mut self, state: &str, wait: Duration) -> Result<()> {
        self.wait_for(state, wait)?;
        let end = Instant::now() + wait;
        loop {
            let status = self.status()?;
            if status["progress"]["done"]
                .as_u64()
                .is_some_and(|done| done > 0)
            {
                return Ok(());
            }
            ensure!(
                status["state"] == state,
                "{state} ended before it could be cut: {status}"
            );
            ensure!(Instant::now() < end, "no progress in {state}: {status}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Takes the node under management, inspects it, and checks that the
    /// inventory is the machine's.
    ///
    /// # Errors
    /// A step fails, or the inventory differs from the machine.
    pub fn inspect(&mut self) -> Result<()> {
        self.verb("manage")?;
        self.wait_for("manageable", Duration::from_secs(30))?;
        self.verb("inspect")?;
        // The first answers may still show the state before.
        self.wait_for_any(&["inspecting", "inspect wait", "manageable"])?;
        self.wait_for("manageable", self.patience.inspect)?;
        self.hop("inspect");
        let inventory = self
            .api
            .get(&format!("/v1/nodes/{}/inventory", self.node))?;
        let inventory = &inventory["inventory"];
        let spec = self.server.spec();
        ensure!(
            inventory["system_vendor"]["serial_number"] == spec.identity.serial.as_str(),
            "the inventory is another machine's: {inventory}"
        );
        let disks = array(inventory, "disks");
        ensure!(
            disks.len() == spec.disks.len(),
            "the inventory has {} disks",
            disks.len()
        );
        for (disk, spec) in disks.iter().zip(&spec.disks) {
            ensure!(
                disk["serial"] == spec.serial.as_str() && disk["size"] == spec.bytes,
                "the inventory has another disk: {disk}"
            );
        }
        let nics = array(inventory, "interfaces");
        ensure!(
            nics.iter()
                .any(|nic| nic["mac_address"] == self.server.mac().to_string()),
            "the inventory misses the machine's interface: {inventory}"
        );
        Ok(())
    }

    fn wait_for_any(&mut self, wanted: &[&str]) -> Result<()> {
        let node = self.look()?;
        let state = node["provision_state"].as_str().unwrap_or("?");
        ensure!(
            wanted.contains(&state),
            "{}: unexpected state {state}",
            self.server.name()
        );
        Ok(())
    }

    /// Cleans the node and makes it available.
    ///
    /// # Errors
    /// Cleaning fails or takes too long.
    pub fn provide(&mut self) -> Result<()> {
        self.verb("provide")?;
        self.wait_for("available", self.patience.clean)?;
        self.hop("clean");
        Ok(())
    }

    /// Asks for the deployment of an image for a tenant.
    ///
    /// # Errors
    /// The appliance refuses.
    pub fn start_deploy(&mut self, image: &str, tenant: &Tenant) -> Result<()> {
        self.api.patch(
            &format!("/v1/nodes/{}", self.node),
            &json!([
                { "op": "add", "path": "/name", "value": self.server.name() },
                { "op": "add", "path": "/instance_info/image_source", "value": image },
                { "op": "add", "path": "/instance_uuid", "value": tenant.uuid },
            ]),
        )?;
        self.provision(&json!({
            "target": "active",
            "configdrive": tenant.config_drive(),
        }))
    }

    /// Deploys an image for a tenant and waits for the line that proves the
    /// instance.
    ///
    /// # Errors
    /// A step fails, or the instance says something else.
    pub fn deploy(&mut self, image: &str, tenant: &Tenant) -> Result<()> {
        let mark = self.server.console().mark();
        self.start_deploy(image, tenant)?;
        self.wait_for("active", self.patience.deploy)?;
        self.hop("deploy");
        let written = self.written()?;
        self.report.image_bytes = written.image_bytes;
        self.report.agent_peak_rss_bytes =
            self.report.agent_peak_rss_bytes.max(written.peak_rss_bytes);
        let (line, _) = self
            .server
            .console()
            .wait_for(mark, &tenant.proof(), self.patience.instance)
            .context("the instance did not prove who it is")?;
        self.report.instance_proof = line.trim().to_owned();
        self.watch.say(self.server.name(), line.trim());
        self.hop("instance boot");
        Ok(())
    }

    /// Restarts an active machine, which boots from the network first, and
    /// checks that it comes back as the tenant's system and was not offered
    /// the installer.
    ///
    /// # Errors
    /// It was given a kernel, or the system does not come back.
    pub fn restart_active(&mut self) -> Result<()> {
        self.hop_started = Instant::now();
        let mark = self.server.console().mark();
        self.watch
            .say(self.server.name(), "restart of the active machine");
        self.server.reset()?;
        let (_, _) = self
            .server
            .console()
            .wait_for(mark, "login:", self.patience.instance)
            .context("the tenant's system did not come back")?;
        let status = self.status()?;
        let hops = array(&status, "hops");
        let has = |name: &str| hops.iter().any(|hop| hop["name"] == name);
        ensure!(has("local boot"), "no local boot in the timeline: {status}");
        ensure!(
            !has("kernel") && !has("ramdisk"),
            "an active machine was given the installer: {status}"
        );
        self.look()?;
        self.hop("local boot of the active machine");
        Ok(())
    }

    /// Releases the node: the tenant's machine is restarted into cleaning.
    ///
    /// # Errors
    /// Cleaning fails or takes too long.
    pub fn release(&mut self) -> Result<()> {
        self.verb("deleted")?;
        self.wait_for("clean wait", Duration::from_secs(30))?;
        self.watch.say(self.server.name(), "power cycle");
        self.server.power_cycle()?;
        self.wait_for("available", self.patience.boot + self.patience.clean)?;
        self.hop("release");
        Ok(())
    }

    /// Powers the machine off and reads its disks from outside: not one byte
    /// of the tenant may be left.
    ///
    /// # Errors
    /// The disk can't be read. What is left is in the report.
    pub fn read_disks(&mut self, tenant: &Tenant) -> Result<()> {
        self.server.power_off();
        for index in 0..self.server.spec().disks.len() {
            let markers = [tenant.secret.as_bytes(), tenant.key.as_bytes()];
            let found = disk::residue(&self.server.disk(index), &[], &markers)?;
            self.report.residue_bytes += found.scan.nonzero_bytes;
        }
        let left = self.report.residue_bytes;
        self.watch.say(
            self.server.name(),
            &format!("disk read from outside: {left} bytes left"),
        );
        self.hop("disk check");
        Ok(())
    }

    /// Ends a step of the way and notes how long it took.
    pub fn hop(&mut self, name: &str) {
        let seconds = self.hop_started.elapsed().as_secs_f64();
        self.report.hops.push((name.to_owned(), seconds));
        self.hop_started = Instant::now();
    }
}
