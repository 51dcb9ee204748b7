//! A flip by NETCONF over SSH: a node's work begins or ends while the move of its
//! server's port before that is not proven, since the server is off. So that move is
//! taken back, and the port is moved to the VLAN of the work: two sessions with the
//! switch, as a move and its confirmation are, each with a key exchange and a login.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Meter;
use crate::job::networks::{CLEANING, IDLE, SWITCH, pin, port_vlan};
use crate::scenario::Rack;

/// Longest wait for a state or a port on a busy host.
const PATIENCE: Duration = Duration::from_secs(240);
/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(20);
/// Requests of the API that a count is divided by.
const REQUESTS: u32 = 20;

/// What was counted, in instructions.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// One flip, the request that begins it included.
    pub flip: f64,
    /// One request of the API, for comparison.
    pub request: f64,
}

/// A node whose server's port is flipped.
#[derive(Debug)]
struct Flipped<'a> {
    rack: &'a Rack,
    /// The path of its node.
    node: String,
    /// Its server's port on the switch.
    port: &'a str,
}

/// Counts flips of the port of the rack's first server, which is off.
///
/// # Errors
/// The appliance does not move the port, or falls silent.
pub fn cost(meter: &Meter<'_>, rack: &Rack, flips: u32) -> Result<Cost> {
    let flipped = Flipped::enrol(rack)?;
    let (requests, ()) = meter.count(|| {
        for _ in 0..REQUESTS {
            rack.api().get(&flipped.node)?;
        }
        Ok(())
    })?;
    let mut sum = 0.0;
    for _ in 0..flips.div_ceil(2) {
        sum += meter.count(|| flipped.flip("provide", CLEANING))?.0;
        flipped.wait_for("clean wait")?;
        flipped.verb("abort")?;
        flipped.wait_for("clean failed")?;
        sum += meter.count(|| flipped.flip("manage", IDLE))?.0;
        flipped.wait_for("manageable")?;
    }
    Ok(Cost {
        flip: sum / f64::from(2 * flips.div_ceil(2)),
        request: requests / f64::from(REQUESTS),
    })
}

impl<'a> Flipped<'a> {
    /// Enrols a node by hand whose port is in the switch, and waits until that is
    /// where idle servers are.
    fn enrol(rack: &'a Rack) -> Result<Self> {
        let (server, api) = (rack.server(0)?, rack.api());
        let node = api.post(
            "/v1/nodes",
            &json!({ "driver": "farrier", "name": "flipped" }),
        )?;
        let id = node["uuid"].as_str().context("the node has no UUID")?;
        let link = json!({ "switch_info": SWITCH, "port_id": server.name() });
        let port = api.post(
            "/v1/ports",
            &json!({
                "node_uuid": id, "address": server.mac().to_string(),
                "local_link_connection": link,
            }),
        )?;
        let port = port["uuid"].as_str().context("the port has no UUID")?;
        pin(rack)?;
        let flipped = Self {
            rack,
            node: format!("/v1/nodes/{id}"),
            port: server.name(),
        };
        // Nobody but the operator says where the server is, so the operator says it
        // again once the appliance has asked.
        let again = json!([{ "op": "add", "path": "/local_link_connection", "value": link }]);
        let doubts = |port: &Value| !port["not_moved_because"].is_null();
        flipped.wait("the appliance has a doubt", || {
            let ports = api.get("/farrier/v1/switch-ports")?;
            Ok(doubts(&ports["switch_ports"][0]))
        })?;
        api.patch(&format!("/v1/ports/{port}"), &again)?;
        flipped.wait("the port is idle", || flipped.is_on(IDLE))?;
        flipped.verb("manage")?;
        flipped.wait_for("manageable")?;
        Ok(flipped)
    }

    /// Begins a state whose work is on a VLAN, and waits until the port is there.
    fn flip(&self, verb: &str, vlan: u16) -> Result<()> {
        self.verb(verb)?;
        self.wait("the port is moved", || self.is_on(vlan))
    }

    fn is_on(&self, vlan: u16) -> Result<bool> {
        Ok(port_vlan(self.rack, self.port)? == vlan)
    }

    fn verb(&self, target: &str) -> Result<()> {
        let path = format!("{}/states/provision", self.node);
        self.rack.api().put(&path, &json!({ "target": target }))?;
        Ok(())
    }

    fn wait_for(&self, state: &str) -> Result<()> {
        self.wait(state, || {
            let node = self.rack.api().get(&self.node)?;
            Ok(node["provision_state"] == state)
        })
    }

    fn wait(&self, what: &str, is: impl Fn() -> Result<bool>) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !is()? {
            ensure!(
                Instant::now() < end,
                "{what} is still awaited; the node is {}, the ports {}",
                self.rack.api().get(&self.node)?,
                self.rack.api().get("/farrier/v1/switch-ports")?
            );
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}
