//! The deploy agent as a process of a host, for servers that the rig only
//! imitates.
//!
//! Client, operations and engines are the shipping ones. What PID 1 does for
//! them on a real machine is the rig's: the address by DHCP, the reboot, and
//! the way to the appliance, which leads over two ports of localhost. Disks
//! are files ([`disk`]); the hardware is what the description says
//! ([`machine`]).
//!
//! The exit status is the last word: 64 for a reboot, 65 for power off, 1
//! where this boot can't go on.
#![forbid(unsafe_code)]

mod disk;
mod machine;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use farrier_agent::agent::{Agent, Settings};
use farrier_agent::client;
use farrier_agent::engine::cmdline::BootParameters;
use farrier_agent::sys::console::log;
use farrier_agent::sys::random;
use farrier_image::manifest::PublicKey as ImageKey;
use farrier_protocol::agent_client::{AgentClient, Config};
use farrier_protocol::client::HandshakeEntropy;
use farrier_protocol::message::{AgentHandshake, BootMode, Mac};
use farrier_protocol::signing::{PublicKey, SecretKey};

use machine::{Description, HostMachine};

fn main() -> ExitCode {
    match run() {
        Ok(()) => log("the session ended"),
        Err(error) => log(&format!("{error:#}")),
    }
    ExitCode::FAILURE
}

/// Returns only if this boot ended without a reboot or power-off, which end
/// the process.
fn run() -> Result<()> {
    let path = std::env::args_os()
        .nth(1)
        .context("usage: farrier-agent-host DESCRIPTION.json")?;
    let text = std::fs::read(&path).with_context(|| format!("{}", Path::new(&path).display()))?;
    let description: Description = serde_json::from_slice(&text)?;
    log(concat!(
        "version ",
        env!("CARGO_PKG_VERSION"),
        ", on a host"
    ));
    let parameters = BootParameters::parse(&description.cmdline)?;
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let socket = UdpSocket::bind(local(0))?;
    socket.connect(local(description.agent_port))?;
    let machine = HostMachine::new(description, parameters.boot_mac)?;
    let settings = Settings {
        image_key: ImageKey(machine.key("operator.ed25519")?),
        http_server: local(machine.description.http_port),
    };
    let protocol = AgentClient::new(Config {
        appliance: machine.key("appliance.x25519")?,
        orders: PublicKey(machine.key("appliance.ed25519")?),
        ticket: parameters.ticket,
        handshake: AgentHandshake {
            version_min: 0,
            version_max: 0,
            boot_key: [0; 32],
            boot_mac: Mac(parameters.boot_mac),
            system_uuid: machine.smbios.uuid,
            boot_mode: if machine.description.uefi {
                BootMode::Uefi
            } else {
                BootMode::Bios
            },
        },
        boot_key: SecretKey::from_bytes(&random()),
        entropy: HandshakeEntropy {
            static_secret: random(),
            ephemeral: random(),
        },
    })
    .map_err(|error| anyhow!("the appliance's key can't be used: {error:?}"))?;
    log(&format!(
        "appliance {} port {}",
        parameters.appliance, parameters.port
    ));
    let runner = client::run(
        &socket,
        protocol,
        Agent::new(Arc::new(machine), settings),
        || {},
    );
    match runner.handler().lost() {
        Some(lost) => Err(anyhow!("session lost: {lost:?}")),
        None => Ok(()),
    }
}
