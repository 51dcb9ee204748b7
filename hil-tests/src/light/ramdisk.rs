//! The ramdisk of a light server: what kernel and PID 1 do around the agent,
//! which runs as a process of the host ([`PROGRAM`]).
//!
//! The keys come out of the archive that was loaded with the ramdisk. The
//! agent's datagrams and connections go to ports of localhost, and from there
//! over the server's own card to the appliance.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::event::PollFlags;
use serde_json::{Value, json};
use smoltcp::socket::udp;
use smoltcp::wire::IpEndpoint;

use super::lease::Lease;
use super::script::Start;
use super::{Ending, Machine, assets};
use crate::port_forward::Connections;
use crate::process::Process;
use crate::qemu::{DiskBus, Firmware, Peculiarity};

/// Package and name of the agent's program.
pub const PROGRAM: &str = "farrier-agent-host";
/// Its exit status where the machine is to reboot, and to power off.
const EXIT_REBOOT: i32 = 64;
const EXIT_POWER_OFF: i32 = 65;
/// Longest wait for an address.
const ADDRESS: Duration = Duration::from_secs(600);
/// Pause before a reboot after a failure. The real one waits for a person.
const PAUSE: Duration = Duration::from_secs(2);
/// The process is looked at this often.
const LOOK: Duration = Duration::from_millis(50);
/// Room for datagrams on their way, each at most 1,200 bytes.
const DATAGRAMS: usize = 16;

/// In the machine's directory: the ticket of another machine, which it has heard
/// on the wire and uses in place of its own. Scenarios write it.
pub const STOLEN_TICKET: &str = "stolen-ticket";

/// Runs the agent until the machine reboots, powers off, or is interrupted.
pub(super) fn run(machine: &mut Machine, start: &Start) -> Result<Ending> {
    let stolen = fs::read_to_string(machine.directory.join(STOLEN_TICKET)).ok();
    let start = &match stolen {
        Some(ticket) => Start {
            // The last one counts.
            command_line: format!("{} farrier.ticket={ticket}", start.command_line),
            ..start.clone()
        },
        None => start.clone(),
    };
    assets::check("vmlinuz", &start.kernel)?;
    let [ramdisk, trust] = start.ramdisks.as_slice() else {
        anyhow::bail!("{} ramdisks instead of two", start.ramdisks.len());
    };
    for image in [ramdisk, trust] {
        // UEFI finds a ramdisk by its name on the command line.
        let wanted = format!("initrd={}", image.name);
        ensure!(
            start.command_line.split(' ').any(|word| word == wanted),
            "the command line has no {wanted}"
        );
    }
    assets::check("ramdisk.img", &ramdisk.bytes)?;
    let keys = machine.directory.join("keys");
    unpack_keys(&trust.bytes, &keys)?;
    machine.say("light kernel");
    machine.say(&format!("Command line: {}", start.command_line));

    let names = ["farrier.appliance", "farrier.port", "farrier.dhcp"];
    let [appliance, agent_port, server] = names.map(|name| {
        let words = start.command_line.split(' ');
        words
            .filter_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            .next_back()
            .with_context(|| format!("the command line has no {name}"))
    });
    let appliance: Ipv4Addr = appliance?.parse()?;
    let agent_port: u16 = agent_port?.parse()?;

    machine.network.start_over();
    let asker = machine.asker;
    let mut lease = Lease::new(
        machine.network.mac(),
        Some(asker.uuid),
        Some(b"farrier-agent"),
        Some(server?.parse()?),
    );
    let end = Instant::now() + ADDRESS;
    while lease.address().is_none() {
        ensure!(Instant::now() < end, "no address by DHCP");
        lease.poll(&mut machine.network)?;
        machine.network.turn(end.min(lease.due()), &[])?;
    }
    let address = lease.address().context("the lease that was waited for")?;
    machine.say(&format!("address {address}"));

    let mut connections = Connections::listen(SocketAddrV4::new(appliance, 80))?;
    let mut datagrams = Datagrams::open(machine, SocketAddrV4::new(appliance, agent_port))?;
    let description = describe(
        machine,
        start,
        address,
        datagrams.port()?,
        connections.address()?.port(),
    );
    let file = machine.directory.join("agent.json");
    fs::write(&file, description.to_string())?;
    let mut command = Command::new(&machine.agent);
    command.arg(&file);
    let output = machine.serial.try_clone()?;
    let errors = machine.serial.try_clone()?;
    let mut process = Process::start(&machine.tools.0, &command, |command| {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::from(output))
            .stderr(Stdio::from(errors));
    })?;

    loop {
        if let Some(status) = process.poll_exit()? {
            // What it sent last may still be on its way.
            machine.network.carry(&mut connections);
            datagrams.carry(machine);
            machine.network.poll();
            return match status.code() {
                Some(EXIT_REBOOT) => Ok(Ending::Reboot),
                Some(EXIT_POWER_OFF) => Ok(Ending::PowerOff),
                _ => {
                    machine.say(&format!("the agent ended with {status}"));
                    machine.network.pause(PAUSE)?;
                    Ok(Ending::Reboot)
                }
            };
        }
        lease.poll(&mut machine.network)?;
        datagrams.carry(machine);
        machine.network.carry(&mut connections);
        let mut others = connections.awaited(&machine.network.sockets);
        others.push((datagrams.local.as_fd(), PollFlags::IN));
        let end = (Instant::now() + LOOK).min(lease.due());
        machine.network.turn(end, &others)?;
    }
}

/// The files below `etc/farrier` of a cpio archive in the "newc" format.
fn unpack_keys(archive: &[u8], folder: &std::path::Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut rest = archive;
    let mut keys = 0;
    loop {
        let header = rest.get(..110).context("an archive that ends early")?;
        ensure!(header.starts_with(b"070701"), "no cpio archive");
        let field = |number: usize| -> Result<usize> {
            let digits = std::str::from_utf8(&header[6 + number * 8..][..8])?;
            Ok(usize::from_str_radix(digits, 16)?)
        };
        let (size, name_size) = (field(6)?, field(11)?);
        let content_at = (110 + name_size).next_multiple_of(4);
        let name = rest.get(110..110 + name_size.saturating_sub(1));
        let name = std::str::from_utf8(name.context("a name that ends early")?)?;
        let content = rest
            .get(content_at..content_at + size)
            .context("a file that ends early")?;
        if name == "TRAILER!!!" {
            ensure!(keys > 0, "no keys in the archive");
            return Ok(());
        }
        if let Some(key) = name.strip_prefix("etc/farrier/") {
            ensure!(!key.contains('/'), "a key in a folder of its own");
            fs::write(folder.join(key), content)?;
            keys += 1;
        }
        rest = rest
            .get((content_at + size).next_multiple_of(4)..)
            .unwrap_or_default();
    }
}

/// The machine as the agent's process is told of it.
fn describe(
    machine: &Machine,
    start: &Start,
    address: Ipv4Addr,
    agent_port: u16,
    http_port: u16,
) -> Value {
    let spec = &machine.spec;
    let disks: Vec<Value> = spec
        .disks
        .iter()
        .zip(&machine.disks)
        .map(|(disk, path)| {
            let bus = match disk.bus {
                DiskBus::Sata => "sata",
                DiskBus::Nvme => "nvme",
                DiskBus::Virtio => "virtio",
            };
            json!({
                "path": path,
                "bus": bus,
                "serial": disk.serial,
                "rate": disk.rate,
                "read_only": disk.peculiarity == Peculiarity::ReadOnly,
                "removable": disk.peculiarity == Peculiarity::Removable,
                "forgets": disk.peculiarity == Peculiarity::Forgets,
            })
        })
        .collect();
    let cards = spec.nics.iter().enumerate().map(|(place, nic)| {
        json!({
            "mac": nic.mac.to_string(),
            "lldp": super::lldp_path(&machine.directory, place),
        })
    });
    json!({
        "nics": cards.collect::<Vec<Value>>(),
        "cmdline": start.command_line,
        "keys": machine.directory.join("keys"),
        "agent_port": agent_port,
        "http_port": http_port,
        "uefi": spec.firmware == Firmware::Uefi,
        "address": address.to_string(),
        "vendor": spec.identity.vendor,
        "product": spec.identity.product,
        "serial": spec.identity.serial,
        "uuid": spec.identity.uuid,
        "memory_mib": spec.memory_mib,
        "strange_controller": spec.strange_controller,
        "disks": disks,
    })
}

/// Datagrams of the agent, carried between localhost and the card.
struct Datagrams {
    local: UdpSocket,
    /// The agent's socket, once it has sent something.
    agent: Option<SocketAddr>,
    socket: smoltcp::iface::SocketHandle,
    target: SocketAddrV4,
}

impl Datagrams {
    fn open(machine: &mut Machine, target: SocketAddrV4) -> Result<Self> {
        let local = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        local.set_nonblocking(true)?;
        let buffer = || {
            udp::PacketBuffer::new(
                vec![udp::PacketMetadata::EMPTY; DATAGRAMS],
                vec![0; DATAGRAMS * 1500],
            )
        };
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(machine.network.local_port())?;
        Ok(Self {
            local,
            agent: None,
            socket: machine.network.sockets.add(socket),
            target,
        })
    }

    fn port(&self) -> Result<u16> {
        Ok(self.local.local_addr()?.port())
    }

    /// Moves what can be moved. What does not fit is lost, as on any network.
    fn carry(&mut self, machine: &mut Machine) {
        let socket = machine
            .network
            .sockets
            .get_mut::<udp::Socket<'_>>(self.socket);
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = self.local.recv_from(&mut buffer) {
            self.agent = Some(from);
            let to = IpEndpoint::new((*self.target.ip()).into(), self.target.port());
            socket.send_slice(&buffer[..length], to).ok();
        }
        while let Ok((bytes, from)) = socket.recv() {
            let expected = from.endpoint.addr == (*self.target.ip()).into()
                && from.endpoint.port == self.target.port();
            if let (true, Some(agent)) = (expected, self.agent) {
                self.local.send_to(bytes, agent).ok();
            }
        }
    }
}
