//! Changes of ports on a real server: netconfd (Debian package `netconfd`), with
//! modules of the shape of each dialect. The server's own program for SSH
//! subsystems carries the bytes; there is no SSH between. Skipped, with a reason, where
//! it is absent.

#[allow(dead_code, reason = "other tests use more of it")]
mod programs;

use farrier_netconf::dialect::{IETF, JUNOS, JUNOS_ELS, OPENCONFIG};
use farrier_netconf::{
    Client, Dialect, Failure, Flip, Observed, Outcome, Pending, PortVlans, Settings, Step,
    VlanChange,
};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(10);
const PROGRAMS: [(&str, &str); 2] = [("netconfd", "netconfd"), ("netconf-subsystem", "netconfd")];

/// A running netconfd, in a folder of its own.
struct Server {
    child: Child,
    folder: PathBuf,
}

impl Server {
    fn start(name: &str, modules: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("netconfd-{name}-{}", std::process::id()));
        // It lets everybody in who reaches its socket.
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700).create(&folder).unwrap();
        // What a confirmed commit goes back to. Without this file in its own folder it
        // takes the one in the user's home, which all of them would share.
        std::fs::write(folder.join("backup-cfg.xml"), "").unwrap();
        let yang = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/yang");
        let socket = folder.join("socket");
        let mut command = Command::new("netconfd");
        command
            .args(["--superuser=root", "--target=candidate"])
            .args(["--with-startup=false", "--log-level=info"])
            .arg(format!("--modpath=/usr/share/yuma/modules:{yang}"))
            .arg(format!("--ncxserver-sockname={}", socket.display()))
            .arg(format!("--log={}", folder.join("log").display()));
        // A port of ietf-interfaces needs a type, which no client invents.
        match modules.contains(&"ietf-interfaces") {
            true => command.arg(format!("--startup={yang}/ietf-startup.xml")),
            false => command.arg("--no-startup"),
        };
        for module in modules {
            command.arg(format!("--module={module}"));
        }
        let child = command
            // It makes a folder there.
            .env("HOME", &folder)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .spawn()
            .expect("netconfd is installed");
        let server = Self { child, folder };
        let until = Instant::now() + LIMIT;
        while !socket.exists() {
            assert!(Instant::now() < until, "netconfd does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn connect(&self, settings: Settings) -> Session {
        let socket = self.folder.join("socket");
        let mut child = Command::new("/usr/sbin/netconf-subsystem")
            .arg(format!("--ncxserver-sockname=830@{}", socket.display()))
            .env("SSH_CONNECTION", "127.0.0.1 5000 127.0.0.1 830")
            .env("USER", "root")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 700];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut session = Session {
            input: child.stdin.take(),
            child,
            bytes,
            client: Client::new(settings),
        };
        session.run();
        // netconfd can lose a request that arrives in one piece with the hello.
        std::thread::sleep(Duration::from_millis(200));
        session
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// A client on a channel to the server.
struct Session {
    child: Child,
    input: Option<ChildStdin>,
    bytes: Receiver<Vec<u8>>,
    client: Client,
}

impl Session {
    /// Carries bytes until the client waits for its owner.
    fn run(&mut self) {
        let until = Instant::now() + LIMIT;
        loop {
            let mut buffer = [0; 500];
            let length = self.client.peek(&mut buffer);
            if length > 0 {
                self.input
                    .as_mut()
                    .unwrap()
                    .write_all(&buffer[..length])
                    .unwrap();
                self.client.sent(length);
                continue;
            }
            if matches!(
                self.client.step(),
                Step::Ready | Step::Evidence | Step::Over
            ) {
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.bytes.recv_timeout(left) {
                Ok(bytes) => self.client.receive(&bytes, &mut ()),
                Err(RecvTimeoutError::Disconnected) => self.client.closed(),
                Err(RecvTimeoutError::Timeout) => panic!("waits for {:?}", self.client.step()),
            }
        }
    }

    fn flip(&mut self, flip: &Flip<'_>) -> Step {
        self.client.flip(flip).unwrap();
        self.run();
        self.client.step()
    }

    fn outcome(&self) -> Outcome {
        let report = self.client.report().expect("the task ended");
        if let Some(error) = report.error {
            println!("{:?}: {error:?}", report.step);
        }
        report.outcome
    }

    fn port(&mut self) -> Observed {
        self.client.read_port("ge-0/0/1").unwrap();
        self.run();
        assert_eq!(self.outcome(), Outcome::Read);
        self.client.report().unwrap().port.clone()
    }

    /// Flips the port and confirms.
    fn set(&mut self, flip: &Flip<'_>) {
        let step = self.flip(flip);
        assert_eq!(step, Step::Evidence, "{:?}", self.client.report());
        assert!(self.client.confirm());
        self.run();
        assert_eq!(self.outcome(), Outcome::Confirmed);
    }

    fn end(mut self) {
        drop(self.input.take());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn settings(dialect: &'static Dialect) -> Settings {
    Settings {
        dialect: Some(dialect),
        validate: false,
        ..Settings::default()
    }
}

fn access(vlan: u16) -> PortVlans {
    PortVlans::access(vlan).unwrap()
}

fn flip(vlans: PortVlans) -> Flip<'static> {
    Flip {
        interface: "ge-0/0/1",
        desired: vlans,
        expected: None,
        vlan: VlanChange::NONE,
        trunk: "",
        confirm_timeout_s: 60,
        persist_id: 0xfeed,
    }
}

const MODULES: [(&Dialect, &[&str]); 4] = [
    (&JUNOS, &["farrier-junos-min"]),
    (&JUNOS_ELS, &["farrier-junos-min"]),
    (
        &OPENCONFIG,
        &[
            "farrier-oc-interfaces",
            "farrier-oc-ethernet",
            "farrier-oc-vlan",
            "farrier-oc-network-instance",
        ],
    ),
    (
        &IETF,
        &["ietf-interfaces", "iana-if-type", "farrier-ieee-bridge"],
    ),
];

#[test]
fn every_dialect_flips_ports_of_netconfd() {
    if !programs::are_there(&PROGRAMS) {
        return;
    }
    for (dialect, modules) in MODULES {
        let server = Server::start(dialect.name, modules);
        for chunked in [true, false] {
            println!("{} chunked {chunked}", dialect.name);
            let mut session = server.connect(Settings {
                chunked,
                ..settings(dialect)
            });
            session.set(&flip(access(20)));
            session.set(&flip(access(30)));
            assert_eq!(session.port(), Observed::Port(access(30)));
            // Cancelled: as before.
            assert_eq!(session.flip(&flip(access(40))), Step::Evidence);
            assert!(session.client.cancel());
            session.run();
            assert_eq!(session.outcome(), Outcome::Cancelled);
            assert_eq!(session.port(), Observed::Port(access(30)));
            // Aborted: as before.
            assert_eq!(session.flip(&flip(access(40))), Step::Evidence);
            let _ = session.client.abort();
            session.run();
            assert_eq!(session.outcome(), Outcome::Failed(Failure::Aborted));
            assert_eq!(session.port(), Observed::Port(access(30)));
            if dialect.trunk.is_some() {
                let trunk = PortVlans::new(Some(5), &[20, 40]).unwrap();
                let tagged = PortVlans::new(None, &[20]).unwrap();
                for vlans in [&trunk, &tagged, &trunk, &access(30)] {
                    session.set(&flip(vlans.clone()));
                    assert_eq!(session.port(), Observed::Port(vlans.clone()));
                }
            }
            if dialect.vlan_edit.is_some() {
                session.set(&Flip {
                    vlan: VlanChange::make(100),
                    ..flip(access(100))
                });
                session.set(&Flip {
                    vlan: VlanChange::remove(100),
                    ..flip(access(30))
                });
            }
            session.end();
        }
    }
}

#[test]
fn a_lost_session_is_ended_by_another_one_on_netconfd() {
    if !programs::are_there(&PROGRAMS) {
        return;
    }
    for (dialect, modules) in MODULES {
        println!("{}", dialect.name);
        let server = Server::start(&format!("{}-lost", dialect.name), modules);
        let mut session = server.connect(settings(dialect));
        session.set(&flip(access(20)));
        for (vlan, confirm) in [(30, true), (40, false)] {
            let change = flip(access(vlan));
            assert_eq!(session.flip(&change), Step::Evidence);
            session.client.closed();
            assert_eq!(
                session.client.report().unwrap().pending,
                Pending::Persistent
            );
            session.end();
            session = server.connect(settings(dialect));
            match confirm {
                true => session.client.confirm_earlier(&change).unwrap(),
                false => session.client.cancel_earlier(&change).unwrap(),
            }
            session.run();
            let wanted = match confirm {
                true => Outcome::Confirmed,
                false => Outcome::Cancelled,
            };
            assert_eq!(session.outcome(), wanted);
            assert_eq!(session.port(), Observed::Port(access(30)));
        }
        session.end();
    }
}

#[test]
fn netconfd_applies_nothing_behind_validate_and_the_client_says_so() {
    if !programs::are_there(&PROGRAMS) {
        return;
    }
    let server = Server::start("validate", &["farrier-junos-min"]);
    let mut session = server.connect(settings(&JUNOS));
    session.set(&flip(access(20)));
    session.end();
    let mut session = server.connect(Settings {
        validate: true,
        ..settings(&JUNOS)
    });
    assert_eq!(session.flip(&flip(access(30))), Step::Ready);
    assert_eq!(session.outcome(), Outcome::Failed(Failure::NotApplied));
    assert_eq!(session.port(), Observed::Port(access(20)));
    session.end();
}

#[test]
fn a_second_session_of_netconfd_is_told_who_holds_the_lock() {
    if !programs::are_there(&PROGRAMS) {
        return;
    }
    let server = Server::start("lock", &["farrier-junos-min"]);
    let mut first = server.connect(settings(&JUNOS));
    assert_eq!(first.flip(&flip(access(20))), Step::Evidence);
    let holder = first.client.hello().session_id;
    let mut second = server.connect(settings(&JUNOS));
    assert_eq!(second.flip(&flip(access(30))), Step::Ready);
    assert_eq!(second.outcome(), Outcome::Failed(Failure::Locked));
    let error = second.client.report().unwrap().error.unwrap();
    assert_eq!(error.holder, holder);
    second.end();
    first.end();
}
