//! The virtual switch behind netconfd and OpenSSH, configured by OpenSSH's client
//! with requests as text. Skipped, with a reason, where the programs are absent.

#[path = "../../shared/netconf/tests/programs/mod.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod programs;

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use farrier_hil_tests::Tools;
use farrier_hil_tests::managed::netconfd::Login;
use farrier_hil_tests::managed::{ManagedSwitch, ManagementSpec, Protocol};
use farrier_hil_tests::port_forward::{PortForward, PortForwardConfig};
use farrier_hil_tests::switch::{HostPort, Mac, PortMode, Switch, SwitchConfig, VlanId};
use farrier_netconf::Dialect;
use farrier_netconf::dialect::{JUNOS_ELS, OPENCONFIG};
use std::net::SocketAddrV4;

const PROGRAMS: [(&str, &str); 4] = [
    ("netconfd", "netconfd"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("setpriv", "util-linux"),
];
const END: &str = "]]>]]>";
const SOON: Duration = Duration::from_secs(10);

fn vlan(number: u16) -> VlanId {
    VlanId::new(number).unwrap()
}

/// A client of the switch's. It speaks NETCONF 1.1, without which netconfd knows no
/// `persist` and no `cancel-commit`.
struct Session {
    ssh: Child,
    input: ChildStdin,
    output: ChildStdout,
    read: String,
}

impl Session {
    fn open(port: u16, user: &str, folder: &Path) -> Self {
        let mut ssh = Command::new("ssh")
            .args(["-F", "none", "-p", &port.to_string(), "-i"])
            .arg(folder.join("key"))
            .arg("-o")
            .arg(format!(
                "UserKnownHostsFile={}",
                folder.join("known").display()
            ))
            .args(["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes"])
            .args([&format!("{user}@127.0.0.1"), "-s", "netconf"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (ssh.stdin.take().unwrap(), ssh.stdout.take().unwrap());
        let mut session = Self {
            ssh,
            input,
            output,
            read: String::new(),
        };
        session.until(END);
        let hello = "<hello xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\"><capabilities>\
            <capability>urn:ietf:params:netconf:base:1.1</capability></capabilities></hello>";
        let hello = format!("{hello}{END}");
        session.input.write_all(hello.as_bytes()).unwrap();
        // netconfd can lose what comes in one piece with it.
        std::thread::sleep(Duration::from_millis(300));
        session
    }

    /// Reads up to this, which is not part of the result.
    fn until(&mut self, end: &str) -> String {
        loop {
            if let Some((before, rest)) = self.read.split_once(end) {
                let (before, rest) = (before.to_owned(), rest.to_owned());
                self.read = rest;
                return before;
            }
            let mut buffer = [0; 4096];
            let count = self.output.read(&mut buffer).unwrap();
            assert!(count > 0, "the session has ended");
            self.read += &String::from_utf8_lossy(&buffer[..count]);
        }
    }

    fn ask(&mut self, operation: &str) -> String {
        let text = format!(
            "<rpc xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\" message-id=\"4\">\
             {operation}</rpc>"
        );
        let chunk = format!("\n#{}\n{text}\n##\n", text.len());
        self.input.write_all(chunk.as_bytes()).unwrap();
        // With the sizes of its chunks, which nobody minds.
        self.until("\n##\n")
    }

    fn ok(&mut self, operation: &str) {
        let answer = self.ask(operation);
        assert!(answer.contains("<ok/>"), "{operation}: {answer}");
    }

    fn edit(&mut self, dialect: &Dialect, port: &str, vlan: u16) {
        let junos = format!(
            "<configuration xmlns=\"http://xml.juniper.net/xnm/1.1/xnm\"><interfaces><interface>\
             <name>{port}</name><unit><name>0</name><family><ethernet-switching>\
             <vlan xmlns:nc=\"urn:ietf:params:xml:ns:netconf:base:1.0\" nc:operation=\"replace\">\
             <members>{vlan}</members></vlan>\
             </ethernet-switching></family></unit></interface></interfaces></configuration>"
        );
        let openconfig = format!(
            "<interfaces xmlns=\"http://openconfig.net/yang/interfaces\"><interface>\
             <name>{port}</name>\
             <ethernet xmlns=\"http://openconfig.net/yang/interfaces/ethernet\">\
             <switched-vlan xmlns=\"http://openconfig.net/yang/vlan\"><config>\
             <access-vlan>{vlan}</access-vlan></config></switched-vlan></ethernet>\
             </interface></interfaces>"
        );
        let config = match dialect.name.starts_with("junos") {
            true => junos,
            false => openconfig,
        };
        self.ok(&format!(
            "<edit-config><target><candidate/></target><config>{config}</config></edit-config>"
        ));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.ssh.kill().ok();
        self.ssh.wait().ok();
    }
}

struct Rig {
    server: HostPort,
    switch: Switch,
    managed: ManagedSwitch,
    operator: PortForward,
    folder: tempfile::TempDir,
}

impl Rig {
    fn new(dialect: &'static Dialect, login: Login) -> Self {
        let switch = Switch::start(SwitchConfig::default()).unwrap();
        let add = |name: &str, number: u16| {
            let port = switch.add_host_port(name).unwrap();
            let mode = PortMode::access(vlan(number));
            switch.control().set_mode(port.id(), mode);
            port
        };
        let server = add("s1", 10);
        let address = Ipv4Addr::new(10, 99, 0, 2);
        let spec = ManagementSpec {
            protocol: Protocol::Netconfd(dialect, login),
            vlan: vlan(99),
            address,
            prefix: 24,
        };
        let folder = tempfile::tempdir().unwrap();
        let tools: Tools = Arc::new(|name| {
            let path = programs::find(name).unwrap_or_else(|| panic!("{name} is absent"));
            Ok(Command::new(path))
        });
        let ports = [server.id()];
        let managed =
            ManagedSwitch::with_programs(&switch, ports, spec, &tools, folder.path()).unwrap();
        let config = PortForwardConfig {
            mac: Mac([2, 0, 0, 0, 0, 0xF1]),
            address: Ipv4Addr::new(10, 99, 0, 3),
            prefix: 24,
            target: SocketAddrV4::new(address, 830),
        };
        let operator = PortForward::open(add("operator", 99), config).unwrap();
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(folder.path().join("key"))
            .status();
        assert!(made.unwrap().success());
        let line = std::fs::read_to_string(folder.path().join("key.pub")).unwrap();
        managed.authorize(&line).unwrap();
        let port = operator.address().port();
        let known = format!("[127.0.0.1]:{port} {}\n", managed.host_key().unwrap());
        std::fs::write(folder.path().join("known"), known).unwrap();
        Self {
            server,
            switch,
            managed,
            operator,
            folder,
        }
    }

    fn session(&self) -> Session {
        let (user, _) = self.managed.login().unwrap();
        Session::open(self.operator.address().port(), user, self.folder.path())
    }

    fn wait_for(&self, number: u16, what: &str) {
        let end = Instant::now() + SOON;
        let wanted = PortMode::access(vlan(number));
        loop {
            let mode = self.switch.control().mode(self.server.id());
            if mode == wanted {
                return;
            }
            assert!(Instant::now() < end, "{what}: the port is {mode}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

const CONFIRMED: &str = "<commit><confirmed/><confirm-timeout>";

#[test]
fn ports_follow_commits_that_stay_run_out_and_are_cancelled() {
    if !programs::are_there(&PROGRAMS) {
        return;
    }
    for (dialect, login) in [(&JUNOS_ELS, Login::Password), (&OPENCONFIG, Login::Key)] {
        let rig = Rig::new(dialect, login);
        rig.wait_for(10, "as it began");
        let mut session = rig.session();
        session.edit(dialect, "s1", 20);
        session.ok("<commit/>");
        rig.wait_for(20, "committed");

        session.edit(dialect, "s1", 30);
        session.ok(&format!("{CONFIRMED}60</confirm-timeout></commit>"));
        rig.wait_for(30, "to be confirmed");
        session.ok("<commit/>");
        session.edit(dialect, "s1", 40);
        session.ok(&format!(
            "{CONFIRMED}60</confirm-timeout><persist>far</persist></commit>"
        ));
        rig.wait_for(40, "confirmed, and the next one to be confirmed");
        session.ok("<cancel-commit><persist-id>far</persist-id></cancel-commit>");
        rig.wait_for(30, "cancelled");

        session.edit(dialect, "s1", 40);
        session.ok(&format!("{CONFIRMED}2</confirm-timeout></commit>"));
        rig.wait_for(40, "to be confirmed");
        rig.wait_for(30, "its time is over");

        let ask = match dialect.name.starts_with("junos") {
            true => {
                "<get-interface-information><interface-name>s1</interface-name><terse/>\
                 </get-interface-information>"
            }
            false => {
                "<get><filter type=\"subtree\">\
                 <interfaces xmlns=\"http://openconfig.net/yang/interfaces\"><interface>\
                 <name>s1</name><state><oper-status/></state></interface></interfaces>\
                 </filter></get>"
            }
        };
        for link in [true, false] {
            rig.server.set_linked(link);
            let wanted = if link { "up" } else { "down" };
            let answer = session.ask(ask);
            assert!(answer.contains(wanted), "{answer}");
        }
    }
}

#[test]
fn the_programs_end_with_the_rig() {
    if !programs::are_there(&PROGRAMS) {
        return;
    }
    let rig = Rig::new(&JUNOS_ELS, Login::Password);
    let session = rig.session();
    let folder = rig.folder.path().to_string_lossy().into_owned();
    let running = || {
        let all = std::fs::read_dir("/proc").unwrap();
        let lines = all.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
        let of_rig = |line: &Vec<u8>| String::from_utf8_lossy(line).contains(&folder);
        let own = |line: &Vec<u8>| line.starts_with(b"ssh\0");
        lines.filter(|line| of_rig(line) && !own(line)).count()
    };
    assert!(running() >= 2, "netconfd and sshd name their files");
    drop(session);
    drop(rig);
    let end = Instant::now() + SOON;
    while running() > 0 {
        assert!(Instant::now() < end, "{} programs are left", running());
        std::thread::sleep(Duration::from_millis(50));
    }
}
