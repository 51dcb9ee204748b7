//! Open vSwitch in a folder of its own.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const PROGRAMS: [&str; 6] = [
    "unshare",
    "ovsdb-tool",
    "ovsdb-server",
    "ovs-vsctl",
    "ovs-vswitchd",
    "ovs-appctl",
];

pub struct Switch {
    folder: PathBuf,
    port: u16,
}

impl Switch {
    /// A switch with the bridge `far-br` and the ports `far-a` and `far-c` on VLAN
    /// 10, `far-b` on VLAN 20, and the trunk `far-t`. `None`, after the reason was
    /// printed, where there can't be one.
    pub fn start() -> Option<Self> {
        if let Some(reason) = missing() {
            println!("skipped: {reason}");
            return None;
        }
        let folder = std::env::temp_dir().join(format!("farrier-ovs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let this = Self { folder, port };
        let db = this.folder.join("conf.db");
        this.run("ovsdb-tool", &["create", path(&db), SCHEMA]);
        let unix = format!("--remote=punix:{}", path(&this.folder.join("db.sock")));
        let tcp = format!("--remote=ptcp:{port}:127.0.0.1");
        let pid = |name| format!("--pidfile={}", path(&this.folder.join(name)));
        let log = |name| format!("--log-file={}", path(&this.folder.join(name)));
        let (pid1, log1) = (pid("db.pid"), log("db.log"));
        let detach = ["--detach", "--no-chdir"];
        let db = [path(&db), &unix, &tcp, &pid1, &log1];
        this.run("ovsdb-server", &[&db[..], &detach].concat());
        this.vsctl(&["--no-wait", "init"]);
        let (pid2, log2, socket) = (pid("vswitchd.pid"), log("vswitchd.log"), this.socket());
        // In a network namespace of its own: its ports have names and are seen by
        // nobody else.
        let vswitchd = [
            "--net",
            "ovs-vswitchd",
            &socket,
            &pid2,
            &log2,
            "--disable-system",
        ];
        this.run("unshare", &[&vswitchd[..], &detach].concat());
        let bridge = ["add-br", "far-br", "--", "set", "bridge", "far-br"];
        this.vsctl(&[&bridge[..], &["datapath_type=netdev"]].concat());
        for (port, vlan) in [
            ("far-a", "tag=10"),
            ("far-b", "tag=20"),
            ("far-c", "tag=10"),
            ("far-t", "trunks=10,20"),
        ] {
            let add = ["add-port", "far-br", port, vlan];
            let set = ["--", "set", "interface", port, "type=internal"];
            this.vsctl(&[&add[..], &set].concat());
        }
        Some(this)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn get(&self, port: &str, column: &str) -> String {
        self.vsctl(&["--no-wait", "get", "port", port, column])
    }

    pub fn set(&self, port: &str, value: &str) {
        self.vsctl(&["set", "port", port, value]);
    }

    /// Whether a broadcast of one port leaves by the other, as the data path has
    /// it now.
    pub fn reaches(&self, from: &str, to: &str) -> bool {
        self.leaves(from, to).is_some()
    }

    /// With which tag an untagged broadcast of one port leaves by the other;
    /// `None` where it does not.
    pub fn leaves(&self, from: &str, to: &str) -> Option<Option<u16>> {
        let number = |port: &str| self.vsctl(&["get", "interface", port, "ofport"]);
        let flow = format!(
            "in_port={},dl_src=02:00:00:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff",
            number(from)
        );
        let trace = self.appctl(&["ofproto/trace", "far-br", &flow]);
        let ports = self.appctl(&["dpif/show"]);
        // `far-a 2/3: (tap)`: the second number is the data path's.
        let name = format!("{to} ");
        let line = ports.lines().find(|line| line.trim().starts_with(&name));
        let line = line.unwrap_or_else(|| panic!("no port {to} in {ports}"));
        let dp = line.split(['/', ':']).nth(1).unwrap();
        let prefix = "Datapath actions: ";
        let actions = trace.lines().find_map(|line| line.strip_prefix(prefix));
        let mut tag = None;
        for action in actions.expect("a trace has actions").split(',') {
            match action.trim() {
                "pop_vlan" => tag = None,
                port if port == dp => return Some(tag),
                other => {
                    if let Some(vlan) = other.strip_prefix("push_vlan(vid=") {
                        tag = Some(vlan.parse().unwrap());
                    }
                }
            }
        }
        None
    }

    /// Stops the daemon that applies configurations, or lets it go on.
    pub fn freeze(&self, freeze: bool) {
        let signal = if freeze { "-STOP" } else { "-CONT" };
        kill(&self.folder.join("vswitchd.pid"), signal);
    }

    fn socket(&self) -> String {
        format!("unix:{}", path(&self.folder.join("db.sock")))
    }

    fn vsctl(&self, arguments: &[&str]) -> String {
        let db = format!("--db={}", self.socket());
        self.run("ovs-vsctl", &[&["--timeout=20", &db], arguments].concat())
    }

    fn appctl(&self, arguments: &[&str]) -> String {
        let pid = fs::read_to_string(self.folder.join("vswitchd.pid")).unwrap();
        let socket = format!("ovs-vswitchd.{}.ctl", pid.trim());
        let target = format!("--target={}", path(&self.folder.join(socket)));
        self.run("ovs-appctl", &[&[target.as_str()], arguments].concat())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, &self.folder);
        }
        let output = command.args(arguments).stdin(Stdio::null()).output();
        let output = output.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {errors}");
        text
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // The bridge first: its ports are the kernel's as long as it is there.
        self.freeze(false);
        let db = format!("--db={}", self.socket());
        let delete = Command::new("ovs-vsctl")
            .args(["--timeout=10", &db, "del-br", "far-br"])
            .status();
        if !delete.is_ok_and(|status| status.success()) {
            eprintln!("the bridge could not be deleted");
        }
        for name in ["vswitchd.pid", "db.pid"] {
            kill(&self.folder.join(name), "-TERM");
        }
        for _ in 0..50 {
            if !self.folder.join("vswitchd.pid").exists() && !self.folder.join("db.pid").exists() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("{}: {error}", self.folder.display());
        }
    }
}

/// Why there can be no switch here.
fn missing() -> Option<String> {
    let exists = |program: &&&str| {
        ["/usr/bin", "/usr/sbin"]
            .iter()
            .any(|folder| Path::new(folder).join(program).exists())
    };
    if let Some(program) = PROGRAMS.iter().find(|program| !exists(program)) {
        return Some(format!("{program} is not installed (openvswitch-switch)"));
    }
    if !Path::new(SCHEMA).exists() {
        return Some(format!("{SCHEMA} is absent"));
    }
    let user = Command::new("id").arg("-u").output().ok()?;
    if user.stdout != b"0\n" {
        return Some("the data path of Open vSwitch needs root".into());
    }
    (!Path::new("/dev/net/tun").exists()).then(|| "/dev/net/tun is absent".into())
}

fn kill(pid: &Path, signal: &str) {
    let Ok(pid) = fs::read_to_string(pid) else {
        return;
    };
    let done = Command::new("kill").args([signal, pid.trim()]).status();
    if !done.is_ok_and(|status| status.success()) {
        eprintln!("kill {signal} {}: failed", pid.trim());
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
