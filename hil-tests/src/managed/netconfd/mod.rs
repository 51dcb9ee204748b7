//! The management of the virtual switch by real programs: netconfd (Yuma123) behind
//! OpenSSH's sshd, on the loopback interface.
//!
//! netconfd is a datastore and no switch. What it lacks is here: [`follow`] lets the
//! ports do what the running configuration says, whoever changed it and whoever took
//! it back, and [`links`] answers which ports have a link. [`config`] is the
//! configuration as text, read by other code than the appliance's.

mod config;
mod follow;
mod links;
mod sshd;

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context, Result, ensure};
use farrier_netconf::Dialect;

use self::follow::Follower;
use self::links::Links;
use self::sshd::Sshd;
use super::ports::Ports;
use crate::Tools;
use crate::folder::Folder;
use crate::process::Process;

/// How long a program may take until it answers.
const STARTS: Duration = Duration::from_secs(20);
/// Where the package `netconfd` has the standard's modules.
const STANDARD_MODULES: &str = "/usr/share/yuma/modules";

/// The modules of the dialects' shapes. Those of the switches' makers are not free,
/// or use what netconfd does not load.
const MODULES: [(&str, &str); 5] = [
    (
        "farrier-junos-min",
        include_str!("../../../../shared/netconf/tests/yang/farrier-junos-min.yang"),
    ),
    (
        "farrier-oc-interfaces",
        include_str!("../../../../shared/netconf/tests/yang/farrier-oc-interfaces.yang"),
    ),
    (
        "farrier-oc-ethernet",
        include_str!("../../../../shared/netconf/tests/yang/farrier-oc-ethernet.yang"),
    ),
    (
        "farrier-oc-vlan",
        include_str!("../../../../shared/netconf/tests/yang/farrier-oc-vlan.yang"),
    ),
    (
        "farrier-oc-network-instance",
        include_str!("../../../../shared/netconf/tests/yang/farrier-oc-network-instance.yang"),
    ),
];

/// How whoever configures the switch logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// By a password of [`USER`](super::USER), an account that only this sshd sees. Where the rig can't make one, since it is
    /// not root, it is [`Key`](Self::Key).
    Password,
    /// By a key, as the user who runs the rig.
    Key,
}

/// Running programs. Dropping it ends them.
#[derive(Debug)]
pub struct Netconfd {
    // Dropped in this order: who connects, then to what.
    sshd: Sshd,
    _links: Links,
    _follower: Follower,
    _netconfd: Process,
    _sockets: Folder,
}

impl Netconfd {
    /// Starts the programs. The running configuration begins with what the switch's
    /// ports carry now. Logs and configurations are in a folder below `directory`.
    ///
    /// # Errors
    /// A program is missing or does not start, no configuration says what a port
    /// carries, or the system's.
    pub fn start(
        ports: Ports,
        dialect: &'static Dialect,
        login: Login,
        tools: &Tools,
        directory: &Path,
    ) -> Result<Self> {
        let folder = directory.join("netconfd");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        // A socket's path is short, wherever the rack's folder is.
        let sockets = Folder::new(&std::env::temp_dir(), "farrier-netconfd-")?;
        let socket = sockets.path().join("netconfd");
        let relayed = sockets.path().join("links");
        let port = free_port()?;
        let user = sshd::user(login, tools)?;

        let startup = folder.join("startup.xml");
        fs::write(&startup, config::startup(dialect, ports.modes())?)?;
        // Where it keeps what a confirmed commit goes back to. Without this file here it
        // takes the one in the user's home, which all of them would share.
        fs::write(folder.join("backup-cfg.xml"), "")?;
        let log = folder.join("netconfd.log");
        let mut command = tools("netconfd")?;
        command
            .args(["--target=candidate", "--with-startup=false"])
            .args(["--log-level=info", &format!("--superuser={}", user.name)])
            .arg(format!("--startup={}", startup.display()))
            .arg(format!("--modpath={STANDARD_MODULES}:{}", folder.display()))
            .arg(format!("--port={port}"))
            .arg(format!("--ncxserver-sockname={}", socket.display()))
            .arg(format!("--log={}", log.display()))
            // It makes a folder there.
            .env("HOME", &folder)
            .current_dir(&folder);
        let prefix = match config::is_junos(dialect) {
            true => "farrier-junos",
            false => "farrier-oc",
        };
        for (name, text) in MODULES {
            fs::write(folder.join(format!("{name}.yang")), text)?;
            if name.starts_with(prefix) {
                command.arg(format!("--module={name}"));
            }
        }
        let mut netconfd = Process::start(tools, &command, |command| {
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
        })?;
        until_ready(&mut netconfd, &log, || UnixStream::connect(&socket).is_ok())?;
        let follower = Follower::start(ports.clone(), tools, &user.name, port, &socket)?;
        let links = Links::start(ports, dialect, &relayed, &socket, follower.wake())?;
        let sshd = Sshd::start(tools, &folder, user, port, &relayed)?;
        Ok(Self {
            sshd,
            _links: links,
            _follower: follower,
            _netconfd: netconfd,
            _sockets: sockets,
        })
    }

    /// Where it listens on localhost.
    pub fn address(&self) -> SocketAddr {
        self.sshd.address()
    }

    /// The user who may log in, and the password if there is one.
    pub fn login(&self) -> (&str, Option<&str>) {
        self.sshd.login()
    }

    /// Lets whoever has the private key to this line of `authorized_keys` in.
    ///
    /// # Errors
    /// The system's.
    pub fn authorize(&self, line: &str) -> Result<()> {
        self.sshd.authorize(line)
    }

    /// The host key, as in a line of `known_hosts` behind the name.
    ///
    /// # Errors
    /// The system's.
    pub fn host_key(&self) -> Result<String> {
        self.sshd.host_key()
    }

    /// The host key as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> &str {
        self.sshd.fingerprint()
    }
}

/// A TCP port of 127.0.0.1 that nobody uses now.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?.port())
}

/// Waits until a program answers.
fn until_ready(process: &mut Process, log: &Path, ready: impl Fn() -> bool) -> Result<()> {
    let end = Instant::now() + STARTS;
    while !ready() {
        let ended = process.poll_exit()?;
        ensure!(
            ended.is_none() && Instant::now() < end,
            "a server of the switch does not start ({ended:?}); {} says:\n{}",
            log.display(),
            fs::read_to_string(log).unwrap_or_default()
        );
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
