//! A real Open vSwitch with its userspace data path in the place of the virtual
//! switch, in network namespaces of its own.
//!
//! The virtual switch is a patch panel: each of its ports leads to a TAP device, by a
//! QEMU without a machine, and the TAP devices are the ports of Open vSwitch. So all
//! frames pass through the real one, and the captures of all wires and the link of a
//! machine's port are what they are elsewhere. [`gate`] is where clients of its
//! database come in: it tells the capture in which VLAN a port is.

mod gate;
mod rows;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, fs};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use self::gate::Gate;
use super::ports::Ports;
use crate::Tools;
use crate::folder::Folder;
use crate::namespace::quoted;
use crate::process::{Process, output};
use crate::switch::{PortId, PortMode, Switch};

/// The description of the database.
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
/// The bridge.
const BRIDGE: &str = "far-rack";
/// How long a part may take to start, and a change of the configuration to be applied.
const STARTS: Duration = Duration::from_secs(20);
/// How late Open vSwitch learns that a machine has lost its link.
const LINKS: Duration = Duration::from_millis(200);
/// Longest name of a network device.
const MAX_DEVICE: usize = 15;

/// Commands to the database.
#[derive(Clone)]
struct Vsctl {
    tools: Tools,
    folder: PathBuf,
}

impl fmt::Debug for Vsctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Vsctl").field(&self.folder).finish()
    }
}

impl Vsctl {
    fn socket(&self) -> PathBuf {
        self.folder.join("db.sock")
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = (self.tools)("ovs-vsctl")?;
        command
            .env("OVS_RUNDIR", &self.folder)
            .arg(format!("--timeout={}", STARTS.as_secs()))
            .arg(format!("--db=unix:{}", self.socket().display()))
            .args(arguments);
        output(&mut command)
    }

    /// How often the configuration was changed, and up to which change it is applied.
    fn configured(&self) -> Result<(i64, i64)> {
        let said = self.run(&[
            "--no-wait",
            "get",
            "Open_vSwitch",
            ".",
            "next_cfg",
            "cur_cfg",
        ])?;
        let mut numbers = said.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(next)), Some(Ok(applied))) => Ok((next, applied)),
            _ => anyhow::bail!("next_cfg and cur_cfg are `{said}`"),
        }
    }

    /// What the ports carry, by name.
    fn modes(&self) -> Result<Vec<(String, PortMode)>> {
        let said = self.run(&[
            "--no-wait",
            "--format=json",
            "--columns=name,tag,trunks,vlan_mode",
            "list",
            "Port",
        ])?;
        let table: Value = serde_json::from_str(&said).context("a table of ports")?;
        let rows = table["data"].as_array().context("no rows of ports")?;
        rows.iter().map(rows::mode).collect()
    }
}

/// A running Open vSwitch. Dropping it ends it.
#[derive(Debug)]
pub struct OpenVswitch {
    // Dropped in this order: who connects, then to what.
    gate: Gate,
    _links: Links,
    _process: Process,
    folder: Folder,
}

/// Why there can't be one here, if so: it takes root, and the right to make network
/// namespaces and TAP devices, which a container's root may not have.
///
/// # Errors
/// A program is missing.
pub fn impossible(tools: &Tools) -> Result<Option<&'static str>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Some("Open vSwitch needs root"));
    }
    let ip = tools("ip")?;
    let ip = quoted(&ip.get_program().to_string_lossy());
    let mut command = namespaces(tools)?;
    let script = format!("{ip} tuntap add dev far0 mode tap");
    let tried = command.args(["/bin/sh", "-c", &script]).output()?;
    Ok((!tried.status.success()).then_some(
        "no network namespace with a TAP device can be made: it takes /dev/net/tun and the \
         capabilities NET_ADMIN and SYS_ADMIN",
    ))
}

/// A program in namespaces of its own, with which everything in them ends.
fn namespaces(tools: &Tools) -> Result<Command> {
    let mut command = tools("unshare")?;
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child"]);
    command.args(["--mount-proc", "--"]);
    Ok(command)
}

impl OpenVswitch {
    /// Starts it, with the ports that the switch has now: all of them lead to it from
    /// now on. It begins with what they carry. The capture is told of changes of
    /// `managed` ones. Its logs are in a folder below `directory`.
    ///
    /// # Errors
    /// A program is missing or does not start, a port is a plain one, its name is
    /// none for a network device, or the system's.
    pub fn start(switch: &Switch, managed: Ports, tools: &Tools, directory: &Path) -> Result<Self> {
        let logs = directory.join("openvswitch");
        fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
        // A socket's path is short, wherever the rack's folder is.
        let folder = Folder::new(&std::env::temp_dir(), "farrier-openvswitch-")?;
        let vsctl = Vsctl {
            tools: tools.clone(),
            folder: folder.path().to_owned(),
        };
        let control = switch.control();
        let mut ports = Vec::new();
        for port in control.ports() {
            let name = control.name(port);
            let outside = switch.add_port(&format!("{name}-tap"))?;
            ensure!(
                name.len() <= MAX_DEVICE && name.is_ascii(),
                "`{name}` is no name for a network device"
            );
            ports.push((name, port, outside));
        }
        let schema = PathBuf::from(tools(SCHEMA)?.get_program());
        let database = folder.path().join("conf.db");
        output(
            tools("ovsdb-tool")?
                .arg("create")
                .arg(&database)
                .arg(schema),
        )?;
        let script = logs.join("start.sh");
        fs::write(
            &script,
            start_script(tools, &logs, folder.path(), switch, &ports)?,
        )?;
        let mut command = namespaces(tools)?;
        command.arg("/bin/sh").arg(&script);
        let log = logs.join("start.log");
        let errors = fs::File::create(&log)?;
        let mut process = Process::start(tools, &command, |command| {
            command.stdin(Stdio::piped()).stdout(Stdio::null());
            command.stderr(errors);
        })?;
        let orders = process.child().stdin.take().context("no standard input")?;
        let end = Instant::now() + STARTS;
        let connected = || {
            ports
                .iter()
                .all(|(.., outside)| control.is_linked(*outside))
        };
        while UnixStream::connect(vsctl.socket()).is_err() || !connected() {
            let ended = process.poll_exit()?;
            ensure!(
                ended.is_none() && Instant::now() < end,
                "Open vSwitch does not start ({ended:?}):\n{}",
                fs::read_to_string(&log).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(50));
        }
        vsctl.run(&["--no-wait", "init"])?;
        let mut words: Vec<String> = ["add-br", BRIDGE, "--", "set", "bridge", BRIDGE]
            .map(str::to_owned)
            .into();
        words.push("datapath_type=netdev".to_owned());
        for (name, port, _) in &ports {
            words.extend(["--", "add-port", BRIDGE, name].map(str::to_owned));
            words.extend(rows::columns(&control.mode(*port))?);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        vsctl.run(&words)?;
        for (_, port, outside) in &ports {
            control.patch(*port, *outside);
        }
        let links = ports.iter().map(|(name, port, _)| (name.clone(), *port));
        let links = Links::start(managed.clone(), links.collect(), orders)?;
        Ok(Self {
            gate: Gate::start(vsctl, managed)?,
            _links: links,
            _process: process,
            folder,
        })
    }

    /// The database's own socket: the captures of all wires are not told of what is
    /// changed by it.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("db.sock")
    }

    /// Where its database is reached on localhost.
    pub fn address(&self) -> SocketAddr {
        self.gate.address()
    }
}

/// What runs in the namespaces. It ends with its standard input, and sets devices up or
/// down by lines of it.
fn start_script(
    tools: &Tools,
    logs: &Path,
    folder: &Path,
    switch: &Switch,
    ports: &[(String, PortId, PortId)],
) -> Result<String> {
    let tool = |name: &str| -> Result<String> {
        let command = tools(name)?;
        Ok(quoted(&command.get_program().to_string_lossy()))
    };
    let path = |path: PathBuf| quoted(&path.to_string_lossy());
    let (ip, qemu) = (tool("ip")?, tool("qemu-system-x86_64")?);
    let mut script = String::from("set -e\n");
    for name in ["RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR"] {
        writeln!(script, "export OVS_{name}={}", path(folder.to_owned()))?;
    }
    // The kernel sends nothing of its own by these devices.
    writeln!(
        script,
        "{ip} link set lo up\nfor of in all default; do\n\
         file=/proc/sys/net/ipv6/conf/$of/disable_ipv6\n\
         if [ -e $file ]; then echo 1 > $file; fi\ndone"
    )?;
    for (name, _, outside) in ports {
        writeln!(
            script,
            "{ip} tuntap add dev {name} mode tap\n{ip} link set {name} up\n\
             {qemu} -M none -nodefaults -display none \
             -netdev tap,id=host,ifname={name},script=no,downscript=no,vnet_hdr=off \
             -netdev stream,id=rack,server=off,addr.type=unix,addr.path={} \
             -netdev hubport,id=one,hubid=0,netdev=host \
             -netdev hubport,id=two,hubid=0,netdev=rack < /dev/null &",
            path(switch.socket_path(*outside))
        )?;
    }
    let socket = folder.join("db.sock").display().to_string();
    writeln!(
        script,
        "{} {} --remote={} --log-file={} -vconsole:off < /dev/null &\n\
         {} {} --log-file={} -vconsole:off --disable-system < /dev/null &",
        tool("ovsdb-server")?,
        path(folder.join("conf.db")),
        quoted(&format!("punix:{socket}")),
        path(logs.join("ovsdb-server.log")),
        tool("ovs-vswitchd")?,
        quoted(&format!("unix:{socket}")),
        path(logs.join("ovs-vswitchd.log")),
    )?;
    writeln!(
        script,
        "while read -r device state; do {ip} link set \"$device\" \"$state\"; done"
    )?;
    Ok(script)
}

/// Takes the link of a device away when the machine behind the patch panel has none.
#[derive(Debug)]
struct Links {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Links {
    fn start(ports: Ports, names: Vec<(String, PortId)>, mut orders: ChildStdin) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new()
            .name("openvswitch-links".into())
            .spawn(move || {
                let mut known = vec![true; names.len()];
                while !stopped.load(Ordering::Acquire) {
                    for ((name, port), known) in names.iter().zip(&mut known) {
                        let linked = ports.control().is_linked(*port);
                        let state = if linked { "up" } else { "down" };
                        if *known != linked && writeln!(orders, "{name} {state}").is_ok() {
                            *known = linked;
                        }
                    }
                    thread::sleep(LINKS);
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by the panic hook.
            thread.join().ok();
        }
    }
}
