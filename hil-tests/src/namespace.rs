//! A host of the rack that runs real network programs: a network namespace whose
//! cards are ports of the virtual switch. A QEMU without a machine carries the frames
//! between a TAP device and the switch's socket, so what the program and the rack see
//! of each other are frames, and nobody needs root where user namespaces are allowed.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::Tools;
use crate::console::Console;
use crate::process::Process;
use crate::switch::{Mac, PortId, Switch};

/// How long it may take until all cards are connected.
const START: Duration = Duration::from_secs(20);

/// A network card.
#[derive(Debug, Clone, Copy)]
pub struct Card {
    /// Its hardware address.
    pub mac: Mac,
    /// Its address.
    pub address: Ipv4Addr,
    /// Length of the prefix.
    pub prefix: u8,
}

/// A host that runs one program. Dropping it ends the program and takes the links
/// down.
#[derive(Debug)]
pub struct Namespace {
    console: Console,
    ports: Vec<PortId>,
    // Ends before the rest goes.
    _process: Process,
}

impl Namespace {
    /// Starts a host with these cards, which are `card0`, `card1` and so on, and this
    /// program on it. With several cards it is a router between them. Its log and its
    /// files are below `directory`.
    ///
    /// # Errors
    /// A program is missing, or the cards are not connected in time.
    pub fn start(
        tools: &Tools,
        switch: &Switch,
        directory: &Path,
        name: &str,
        cards: &[Card],
        program: &[String],
    ) -> Result<Self> {
        use std::fmt::Write as _;

        let tool = |name: &str| -> Result<String> {
            let command = tools(name)?;
            Ok(quoted(&command.get_program().to_string_lossy()))
        };
        let (ip, qemu) = (tool("ip")?, tool("qemu-system-x86_64")?);
        let mut script = format!("set -e\n{ip} link set lo up\n");
        let mut ports = Vec::new();
        for (number, card) in cards.iter().enumerate() {
            let port = switch.add_port(&match number {
                0 => name.to_owned(),
                _ => format!("{name}-{}", number + 1),
            })?;
            let socket = switch.socket_path(port);
            ports.push(port);
            let Card {
                mac,
                address,
                prefix,
            } = card;
            writeln!(
                script,
                "{ip} tuntap add dev card{number} mode tap\n\
                 {ip} link set card{number} address {mac}\n\
                 {ip} address add {address}/{prefix} broadcast + dev card{number}\n\
                 {ip} link set card{number} up\n\
                 {qemu} -M none -nodefaults -display none \
                 -netdev tap,id=host,ifname=card{number},script=no,downscript=no \
                 -netdev stream,id=rack,server=off,addr.type=unix,addr.path={socket} \
                 -netdev hubport,id=one,hubid=0,netdev=host \
                 -netdev hubport,id=two,hubid=0,netdev=rack &",
                socket = quoted(&socket.to_string_lossy()),
            )?;
        }
        if cards.len() > 1 {
            script.push_str("echo 1 > /proc/sys/net/ipv4/ip_forward\n");
        }
        script.push_str("exec");
        for word in program {
            write!(script, " {}", quoted(word))?;
        }
        script.push('\n');
        let directory = directory.join(name);
        std::fs::create_dir(&directory)
            .with_context(|| format!("creating {}", directory.display()))?;
        let file = directory.join("start.sh");
        std::fs::write(&file, &script)?;
        let console = Console::new(&directory.join("console.log"))?;
        let mut command = tools("unshare")?;
        command
            .args(["--user", "--map-root-user", "--net", "--mount", "--pid"])
            .args(["--fork", "--kill-child", "--mount-proc", "--", "/bin/sh"])
            .arg(&file)
            .current_dir(&directory);
        let (reader, writer) = std::io::pipe()?;
        let errors = writer.try_clone()?;
        let process = Process::start(tools, &command, |command| {
            command.stdin(Stdio::null()).stdout(writer).stderr(errors);
        })?;
        console.attach(reader);
        let started = Self {
            console,
            ports,
            _process: process,
        };
        let end = Instant::now() + START;
        while !started.ports.iter().all(|port| switch.is_linked(*port)) {
            ensure!(
                Instant::now() < end,
                "the host {name} is not connected:\n{}",
                started.console.tail()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(started)
    }

    /// What the program prints.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Its ports of the switch, in the order of its cards.
    pub fn ports(&self) -> &[PortId] {
        &self.ports
    }
}

/// dnsmasq without DNS, in the foreground and with a log of all DHCP messages.
///
/// # Errors
/// It is missing.
pub fn dnsmasq(tools: &Tools, arguments: &[String]) -> Result<Vec<String>> {
    let program = PathBuf::from(tools("dnsmasq")?.get_program());
    let fixed = [
        // It does not change its user, which is the only one in here.
        "--no-daemon",
        "--conf-file=/dev/null",
        "--port=0",
        "--pid-file=",
        "--log-facility=-",
        "--log-dhcp",
        "--no-ping",
        "--dhcp-leasefile=leases",
    ];
    let program = program.to_string_lossy().into_owned();
    Ok(std::iter::once(program)
        .chain(fixed.into_iter().map(str::to_owned))
        .chain(arguments.iter().cloned())
        .collect())
}

/// A word of a shell's command line.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
