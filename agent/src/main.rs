//! PID 1 of the deploy ramdisk.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use farrier_agent::agent::{Agent, Settings};
use farrier_agent::client;
use farrier_agent::engine::cmdline::BootParameters;
use farrier_agent::sys::lldp::Listener;
use farrier_agent::sys::network::BootInterface;
use farrier_agent::sys::server::Server;
use farrier_agent::sys::{console::log, hardware, modules, power, random, setup};
use farrier_image::manifest::PublicKey as ImageKey;
use farrier_protocol::agent_client::{AgentClient, Config};
use farrier_protocol::client::HandshakeEntropy;
use farrier_protocol::message::{AgentHandshake, BootMode, Mac};
use farrier_protocol::signing::{PublicKey, SecretKey};

/// Folder of the public keys in the ramdisk.
const KEYS: &str = "/etc/farrier";
/// Longest wait for the boot interface. Drivers load firmware and links train.
const INTERFACE: Duration = Duration::from_secs(120);
/// Longest wait for an address. A switch port can drop frames for a minute.
const ADDRESS: Duration = Duration::from_secs(600);
/// Pause before a reboot after a failure. It limits the rate of boot loops and
/// lets the operator read the console.
const PAUSE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!("farrier-agent runs only as PID 1 of the deploy ramdisk");
        return ExitCode::from(2);
    }
    setup::mount_all();
    setup::install_panic_hook();
    log(concat!("version ", env!("CARGO_PKG_VERSION")));
    let why = match run() {
        Ok(end) | Err(end) => end,
    };
    power::reboot_after(&why, PAUSE)
}

/// Runs the agent. Returns why the boot ended without a reboot.
fn run() -> Result<String, String> {
    // Drivers initialise in parallel with the steps below.
    let settling = modules::spawn().map_err(|error| format!("no thread: {error}"))?;
    // The kernel seeds its generator while the links come up.
    let secrets = std::thread::spawn(|| [random(), random(), random()]);
    let cmdline = fs::read_to_string("/proc/cmdline").map_err(|error| error.to_string())?;
    let parameters = BootParameters::parse(&cmdline).map_err(|error| error.to_string())?;
    let appliance = key("appliance.x25519")?;
    let orders = PublicKey(key("appliance.ed25519")?);
    let image_key = ImageKey(key("operator.ed25519")?);
    let smbios = hardware::smbios();

    let boot = BootInterface::find(parameters.boot_mac, Instant::now() + INTERFACE).ok_or(
        "the boot interface of the kernel command line did not appear. Check its driver and cable.",
    )?;
    log(&format!("boot interface {}", boot.name));
    boot.spawn_dhcp(smbios.uuid, parameters.dhcp_server)
        .map_err(|error| format!("no thread: {error}"))?;
    boot.wait_address(Instant::now() + ADDRESS)
        .ok_or("the DHCP server did not answer on the boot interface")?;

    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(|error| error.to_string())?;
    socket
        .connect((parameters.appliance, parameters.port))
        .map_err(|error| format!("no route to the appliance: {error}"))?;
    let [boot_key, static_secret, ephemeral] = secrets
        .join()
        .map_err(|_| "the thread that makes the keys panicked")?;
    let client = AgentClient::new(Config {
        appliance,
        orders,
        ticket: parameters.ticket,
        handshake: AgentHandshake {
            version_min: 0,
            version_max: 0,
            boot_key: [0; 32],
            boot_mac: Mac(parameters.boot_mac),
            system_uuid: smbios.uuid,
            boot_mode: if hardware::is_uefi() {
                BootMode::Uefi
            } else {
                BootMode::Bios
            },
        },
        boot_key: SecretKey::from_bytes(&boot_key),
        entropy: HandshakeEntropy {
            static_secret,
            ephemeral,
        },
    })
    .map_err(|error| format!("the appliance's key in the ramdisk is invalid: {error:?}"))?;
    let settings = Settings {
        image_key,
        http_server: SocketAddr::from((parameters.appliance, parameters.http_port)),
    };
    let lldp = Listener::spawn().map_err(|error| format!("no thread: {error}"))?;
    let agent = Agent::new(Arc::new(Server::new(boot, settling, lldp)), settings);
    log(&format!(
        "appliance {} port {}",
        parameters.appliance, parameters.port
    ));
    let runner = client::run(&socket, client, agent, setup::reap);
    Ok(match (runner.handler().left(), runner.handler().lost()) {
        (Some(_), _) => "the kernel refused to reboot or power off".into(),
        (None, Some(lost)) => format!("session lost: {lost:?}"),
        (None, None) => "the session ended".into(),
    })
}

/// Reads a key of 32 bytes from the ramdisk.
fn key(name: &str) -> Result<[u8; 32], String> {
    let path = format!("{KEYS}/{name}");
    let bytes = fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    bytes
        .try_into()
        .map_err(|_| format!("{path} is not 32 bytes long"))
}
