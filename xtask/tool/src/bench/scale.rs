//! DHCP at scale on the host: instructions of an exchange by the number of
//! leases, of the shipping controller over its journal and of other servers with
//! the same client's messages, counted by callgrind; and stress.
//!
//! An exchange's count is the difference of two runs that differ in their
//! number of exchanges, by that number: start and end cost nothing then.
//! What the kernel does for the servers' sockets and files is not counted,
//! and nothing of either is in the appliance's run: both sides are counted
//! without their network and without their storage medium.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use super::figures;
use crate::progress::Spinner;
use crate::sizes::Figure;
use crate::{target_folder, tools, workspace};

/// Numbers of leases.
const LEASES: [u32; 4] = [10, 100, 1000, 10_000];
/// Exchanges with the appliance: its journal is swept several times meanwhile.
const OWN_EXCHANGES: u32 = 60_000;
/// Exchanges of the shorter run with another server.
const FEW_EXCHANGES: u32 = 10;

/// The package of the program that is counted, and its name.
const PACKAGE: &str = "farrier-dhcp-bench";
/// The first address that is leased out, as in that program.
const POOL_FIRST: Ipv4Addr = Ipv4Addr::new(10, 99, 1, 0);
const POOL_LAST: Ipv4Addr = Ipv4Addr::new(10, 99, 47, 223);
/// How long an instrumented server may take to start.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server that is counted beside the appliance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Other {
    Dnsmasq,
    Kea,
}

impl Other {
    const ALL: [Self; 2] = [Self::Dnsmasq, Self::Kea];

    fn name(self) -> &'static str {
        match self {
            Self::Dnsmasq => "dnsmasq",
            Self::Kea => "Kea",
        }
    }

    /// Exchanges that are counted: enough to level out what differs from one
    /// run to the next, few where one takes long.
    fn exchanges(self, leases: u32) -> u32 {
        match self {
            Self::Dnsmasq => (100_000 / leases).clamp(20, 400).min(leases * 10),
            Self::Kea => 400,
        }
    }
}

/// Counts everything; `rounds` rounds of random requests first.
///
/// # Errors
/// A program is missing or fails, a client was not served as it should be, or
/// an address was leased twice.
pub fn run(rounds: u64) -> Result<Vec<Figure>> {
    tools::ensure(&["valgrind", "dnsmasq", "kea-dhcp4", "ip"])?;
    ensure!(
        tools::is_root(),
        "network namespaces for dnsmasq and Kea need root; type: sudo -E {} xtask bench dhcp",
        std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
    );
    let spinner = Spinner::start("DHCP at scale");
    spinner.step("building");
    let program = build()?;
    let folder = target_folder()
        .join("rigs")
        .join(format!("bench-dhcp-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let result = measure(&spinner, &program, &folder, rounds);
    // Where something failed, the servers' logs are of use.
    match result {
        Ok((all, summary)) => {
            fs::remove_dir_all(&folder)?;
            spinner.done(&summary);
            Ok(all)
        }
        Err(error) => Err(error.context(format!("logs are in {}", folder.display()))),
    }
}

fn measure(
    spinner: &Spinner,
    program: &Path,
    folder: &Path,
    rounds: u64,
) -> Result<(Vec<Figure>, String)> {
    spinner.step(&format!("{rounds} rounds of random requests"));
    let summary = stress(program, rounds)?;
    let mut all = Vec::new();
    let mut few = None;
    for leases in LEASES {
        spinner.step(&format!("{leases} leases"));
        let own = own(program, folder, leases)?;
        let mut baselines = Vec::new();
        for other in Other::ALL {
            spinner.step(&format!("{leases} leases, {}", other.name()));
            let count = Rig::new(folder)?
                .count(program, other, leases)
                .with_context(|| format!("{} with {leases} leases", other.name()))?;
            baselines.push((format!("{} at {leases} leases", other.name()), count));
        }
        let few = *few.get_or_insert(own);
        baselines.push(("the same at 10 leases".into(), few));
        let baselines: Vec<_> = baselines.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        all.extend(figures(
            &format!("host: DHCP exchange, {leases} leases, durable"),
            own,
            &baselines,
        ));
    }
    Ok((all, summary))
}

/// Builds the program as it ships: optimised.
fn build() -> Result<PathBuf> {
    let folder = target_folder().join("host");
    let output = tools::command("cargo")?
        .args(["build", "--release", "-q", "-p", PACKAGE, "--target-dir"])
        .arg(&folder)
        .current_dir(workspace())
        .output()?;
    ensure!(
        output.status.success(),
        "{PACKAGE} does not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(folder.join("release").join(PACKAGE))
}

/// Runs rounds of random requests, each half with a seed of its own.
fn stress(program: &Path, rounds: u64) -> Result<String> {
    let seed = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)?
        .as_secs();
    let children: Vec<_> = [(seed, rounds / 2), (seed + 1, rounds.div_ceil(2))]
        .into_iter()
        .map(|(seed, rounds)| {
            let child = Command::new(program)
                .args(["stress", &seed.to_string(), &rounds.to_string()])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            Ok((seed, child))
        })
        .collect::<Result<_>>()?;
    let mut summary = String::new();
    for (seed, child) in children {
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "stress of seed {seed}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        write!(summary, "seed {seed}: {}; ", text.trim_end())?;
    }
    Ok(summary.trim_end_matches("; ").to_owned())
}

/// A program under callgrind, and where its counts will be.
fn instrumented(folder: &Path) -> Result<(Command, PathBuf)> {
    let out = folder.join("callgrind.out");
    let mut valgrind = tools::command("valgrind")?;
    valgrind
        .args(["-q", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", out.display()));
    Ok((valgrind, out))
}

/// The instructions that a run took.
fn total(out: &Path) -> Result<u64> {
    let text = fs::read_to_string(out).context("callgrind left no counts")?;
    fs::remove_file(out)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.context("callgrind left no total")
}

/// What the exchanges took that one run has and the other one has not.
fn between(few: u64, many: u64, exchanges: u32) -> Result<f64> {
    ensure!(many > few, "more exchanges took no more instructions");
    Ok((many - few) as f64 / f64::from(exchanges))
}

/// Instructions of an exchange with the controller and its journal.
fn own(program: &Path, folder: &Path, leases: u32) -> Result<f64> {
    let run = |exchanges: u32| -> Result<u64> {
        let (mut valgrind, out) = instrumented(folder)?;
        let output = valgrind
            .arg(program)
            .args(["serve", &leases.to_string(), &exchanges.to_string()])
            .output()?;
        ensure!(
            output.status.success(),
            "{PACKAGE} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        total(&out)
    };
    between(run(0)?, run(OWN_EXCHANGES)?, OWN_EXCHANGES)
}

/// Two namespaces with a wire between them: a server's and its clients'.
struct Rig<'a> {
    folder: &'a Path,
    server: String,
    clients: String,
}

impl<'a> Rig<'a> {
    fn new(folder: &'a Path) -> Result<Self> {
        let id = std::process::id();
        let rig = Self {
            folder,
            server: format!("farrier-server-{id}"),
            clients: format!("farrier-clients-{id}"),
        };
        let (server, clients) = (rig.server.as_str(), rig.clients.as_str());
        ip(&["netns", "add", server])?;
        ip(&["netns", "add", clients])?;
        ip(&[
            "link", "add", "s0", "netns", server, "type", "veth", "peer", "name", "c0", "netns",
            clients,
        ])?;
        for (space, link, address) in [
            (server, "s0", "10.99.0.1/16"),
            (clients, "c0", "10.99.255.254/16"),
        ] {
            ip(&["-n", space, "address", "add", address, "dev", link])?;
            ip(&["-n", space, "link", "set", link, "up"])?;
            ip(&["-n", space, "link", "set", "lo", "up"])?;
        }
        Ok(rig)
    }

    /// Instructions of an exchange with another server.
    fn count(&self, program: &Path, other: Other, leases: u32) -> Result<f64> {
        let exchanges = other.exchanges(leases);
        let few = self.run(program, other, leases, FEW_EXCHANGES)?;
        let many = self.run(program, other, leases, FEW_EXCHANGES + exchanges)?;
        between(few, many, exchanges)
    }

    fn run(&self, program: &Path, other: Other, leases: u32, exchanges: u32) -> Result<u64> {
        let (valgrind, out) = instrumented(self.folder)?;
        let mut server = tools::command("ip")?;
        server
            .args(["netns", "exec", &self.server])
            .arg(valgrind.get_program())
            .args(valgrind.get_args())
            .args(self.prepare(other, leases)?)
            .env("KEA_PIDFILE_DIR", self.folder)
            .env("KEA_LOCKFILE_DIR", self.folder)
            .stdin(Stdio::null())
            .stdout(self.log(other)?)
            .stderr(self.log(other)?);
        let mut server = Server(server.spawn()?);
        self.wait_for_port(&mut server)?;
        let output = tools::command("ip")?
            .args(["netns", "exec", &self.clients])
            .arg(program)
            .args(["ask", &leases.to_string(), "0", &exchanges.to_string()])
            .output()?;
        ensure!(
            output.status.success(),
            "{PACKAGE} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        server.end()?;
        total(&out)
    }

    fn log(&self, other: Other) -> Result<fs::File> {
        let file = self.folder.join(format!("{}.log", other.name()));
        Ok(fs::File::options().create(true).append(true).open(file)?)
    }

    /// Waits until a socket listens on DHCP's port in the server's namespace.
    fn wait_for_port(&self, server: &mut Server) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = server.0.try_wait()? {
                bail!("the server ended: {status}");
            }
            // The namespace's own view of its sockets.
            let table = fs::read_to_string(format!("/proc/{}/net/udp", server.0.id()))?;
            if table.contains(":0043 ") {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        bail!("the server does not listen")
    }

    /// Writes a server's configuration and its leases; returns its command
    /// line.
    fn prepare(&self, other: Other, leases: u32) -> Result<Vec<String>> {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)?
            .as_secs();
        // Half of each lease is over, as it is when clients renew.
        let expires = now + 1800;
        let file = self.folder.join(format!("{}.leases", other.name()));
        let mut text = String::new();
        if other == Other::Kea {
            text += "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n";
        }
        for number in 0..leases {
            let address = Ipv4Addr::from_bits(POOL_FIRST.to_bits() + number);
            let [a, b, c, d] = number.to_be_bytes();
            let mac = format!("52:54:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
            match other {
                Other::Dnsmasq => writeln!(text, "{expires} {mac} {address} * *")?,
                Other::Kea => writeln!(text, "{address},{mac},,3600,{expires},1,0,0,,0,")?,
            }
        }
        fs::write(&file, text)?;
        let file = file.display();
        Ok(match other {
            Other::Dnsmasq => vec![
                locate("dnsmasq")?,
                "--keep-in-foreground".into(),
                "--conf-file=/dev/null".into(),
                "--port=0".into(),
                "--user=root".into(),
                "--pid-file=".into(),
                "--log-facility=-".into(),
                "--quiet-dhcp".into(),
                "--no-ping".into(),
                "--dhcp-authoritative".into(),
                "--dhcp-lease-max=20000".into(),
                format!("--dhcp-range={POOL_FIRST},{POOL_LAST},255.255.0.0,3600"),
                format!("--dhcp-leasefile={file}"),
            ],
            Other::Kea => {
                let config = self.folder.join("kea.json");
                let text = serde_json::json!({ "Dhcp4": {
                    "interfaces-config": { "interfaces": ["s0"], "dhcp-socket-type": "udp" },
                    "lease-database": {
                        "type": "memfile", "persist": true,
                        "name": file.to_string(), "lfc-interval": 0
                    },
                    "multi-threading": { "enable-multi-threading": false },
                    "valid-lifetime": 3600,
                    // Part of a lease's time in which a renewal is not
                    // written down: as little as it takes.
                    "cache-threshold": 0.0001,
                    "subnet4": [{
                        "id": 1, "subnet": "10.99.0.0/16",
                        "pools": [{ "pool": format!("{POOL_FIRST}-{POOL_LAST}") }]
                    }],
                    "loggers": [{
                        "name": "kea-dhcp4", "severity": "WARN",
                        "output_options": [{ "output": "stderr" }]
                    }]
                }});
                fs::write(&config, serde_json::to_string_pretty(&text)?)?;
                vec![
                    locate("kea-dhcp4")?,
                    "-c".into(),
                    config.display().to_string(),
                ]
            }
        })
    }
}

impl Drop for Rig<'_> {
    fn drop(&mut self) {
        for space in [&self.server, &self.clients] {
            // It may not be there yet, where making it has failed.
            if let Err(error) = ip(&["netns", "delete", space]) {
                eprintln!("{error:#}");
            }
        }
    }
}

/// A running server; ended with its owner, whatever happens.
struct Server(Child);

impl Server {
    /// Asks it to end, so that its counts are written.
    fn end(&mut self) -> Result<()> {
        let status = tools::command("sh")?
            .args(["-c", "kill -TERM \"$1\"", "sh", &self.0.id().to_string()])
            .status()?;
        ensure!(status.success(), "the server can not be signalled");
        let end = Instant::now() + PATIENCE;
        while self.0.try_wait()?.is_none() {
            ensure!(Instant::now() < end, "the server does not end");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where all went well.
        if let Ok(None) = self.0.try_wait() {
            let _ended = self.0.kill();
            let _status = self.0.wait();
        }
    }
}

fn locate(program: &str) -> Result<String> {
    let command = tools::command(program)?;
    Ok(command.get_program().to_string_lossy().into_owned())
}

fn ip(words: &[&str]) -> Result<()> {
    let output = tools::command("ip")?.args(words).output()?;
    ensure!(
        output.status.success(),
        "ip {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}
