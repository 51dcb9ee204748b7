//! The client against Net-SNMP's snmpd with outlets behind its `pass`, over loopback.
//! Skipped, with a reason, where snmpd is absent.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use farrier_snmp::outlet::{APC, Action, Outlet, OutletState, POE};
use farrier_snmp::{
    Answer, Config, ErrorStatus, Exchange, Failure, FailureKind, MAX_DATAGRAM, Oid, Request, Value,
};

struct Agent {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

const SNMPD: &str = "/usr/sbin/snmpd";

/// Starts an agent; `None`, with a reason, where there is none.
fn start() -> Option<Agent> {
    if !Path::new(SNMPD).exists() {
        println!("skipped: snmpd is absent: apt-get install snmpd");
        return None;
    }
    let folder = std::env::temp_dir().join(format!("farrier-snmpd-{}", std::process::id()));
    let objects = folder.join("objects");
    fs::create_dir_all(&objects).unwrap();
    for outlet in 1..=8 {
        for (column, value) in [("12.3.3.1.1.4", "1"), ("12.3.5.1.1.4", "1")] {
            let name = format!(".1.3.6.1.4.1.318.1.1.{column}.{outlet}");
            fs::write(objects.join(name), value).unwrap();
        }
        fs::write(
            objects.join(format!(".1.3.6.1.2.1.105.1.1.1.3.1.{outlet}")),
            "1",
        )
        .unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/outlets.sh");
    // A port that is free now; nothing else asks for one by this number.
    let port = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let pass = |name: &str| format!("pass {name} /bin/sh {script} {}\n", objects.display());
    let config = format!(
        "agentaddress udp:127.0.0.1:{port}\n\
         rocommunity looker 127.0.0.1\n\
         rwcommunity switcher 127.0.0.1\n\
         sysLocation rack 7\n\
         {}{}{}",
        pass(".1.3.6.1.4.1.318.1.1.12.3.3.1.1.4"),
        pass(".1.3.6.1.4.1.318.1.1.12.3.5.1.1.4"),
        pass(".1.3.6.1.2.1.105.1.1.1.3"),
    );
    fs::write(folder.join("snmpd.conf"), config).unwrap();
    let child = Command::new(SNMPD)
        .args(["-f", "-C", "-Lf"])
        .arg(folder.join("log"))
        .arg("-c")
        .arg(folder.join("snmpd.conf"))
        .arg("-p")
        .arg(folder.join("pid"))
        .env("SNMP_PERSISTENT_DIR", &folder)
        .env("SNMPCONFPATH", &folder)
        .env("MIBS", "")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let agent = Agent {
        child,
        folder,
        port,
    };
    let until = Instant::now() + Duration::from_secs(20);
    let uptime = Request::Get(Oid::parse("1.3.6.1.2.1.1.3.0").unwrap());
    while agent.ask("looker", uptime).is_err() {
        let log = fs::read_to_string(agent.folder.join("log")).unwrap_or_default();
        assert!(Instant::now() < until, "snmpd does not answer: {log}");
    }
    Some(agent)
}

impl Agent {
    fn ask(&self, community: &str, request: Request) -> Result<Answer, Failure> {
        let config = Config {
            community,
            answer_ms: 500,
            attempts: 2,
        };
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", self.port)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let start = Instant::now();
        let now = || u64::try_from(start.elapsed().as_millis()).unwrap();
        let id = i32::from(socket.local_addr().unwrap().port()) * 31_337;
        let mut exchange = Exchange::new(&config, request, id, now());
        let mut buffer = [0; 1500];
        loop {
            let length = exchange.output(now(), &mut buffer[..MAX_DATAGRAM]);
            if length > 0 {
                // A refusal of the port comes as an error here or below.
                drop(socket.send(&buffer[..length]));
            }
            if let Ok(length) = socket.recv(&mut buffer) {
                exchange.input(&buffer[..length]);
            }
            exchange.tick(now());
            if let Some(end) = exchange.end() {
                return end;
            }
        }
    }

    fn state(&self, outlet: &Outlet) -> OutletState {
        let answer = self.ask("looker", outlet.read().unwrap()).unwrap();
        outlet.state(&answer.value)
    }

    fn act(&self, outlet: &Outlet, action: Action) -> Value {
        let request = outlet.command(action).unwrap();
        self.ask("switcher", request).unwrap().value
    }

    /// What the script was told of SETs.
    fn sets(&self) -> usize {
        let log = fs::read_to_string(self.folder.join("objects/log")).unwrap_or_default();
        log.lines().filter(|line| line.starts_with("-s")).count()
    }
}

#[test]
fn client_switches_outlets_of_snmpd() {
    let Some(agent) = start() else { return };
    let refused = |status| FailureKind::Refused(status);
    let kind = |end: Result<Answer, Failure>| end.unwrap_err().kind;

    // Outlets of a PDU.
    let outlet = Outlet::parse(&APC, "8").unwrap();
    assert_eq!(agent.state(&outlet), OutletState::On);
    assert_eq!(agent.act(&outlet, Action::Off), Value::Integer(2));
    assert_eq!(agent.state(&outlet), OutletState::Off);
    assert_eq!(agent.act(&outlet, Action::On), Value::Integer(1));
    assert_eq!(agent.state(&outlet), OutletState::On);
    agent.act(&outlet, Action::Cycle);
    assert_eq!(agent.sets(), 3, "each command arrives once");
    let other = Outlet::parse(&APC, "7").unwrap();
    assert_eq!(agent.state(&other), OutletState::On);

    // A port with power over Ethernet.
    let port = Outlet::new(&POE, &[1, 3]).unwrap();
    assert_eq!(agent.state(&port), OutletState::On);
    agent.act(&port, Action::Off);
    assert_eq!(agent.state(&port), OutletState::Off);

    // What goes wrong.
    let none = Outlet::parse(&APC, "99").unwrap();
    assert_eq!(
        kind(agent.ask("looker", none.read().unwrap())),
        FailureKind::NoSuchObject
    );
    let off = outlet.command(Action::Off).unwrap();
    let end = agent.ask("looker", off).unwrap_err();
    assert_eq!(
        (end.kind, end.open),
        (refused(ErrorStatus::NoAccess), false)
    );
    let end = agent.ask("nobody", off).unwrap_err();
    assert_eq!((end.kind, end.open), (FailureKind::Timeout, true));
    assert_eq!(agent.state(&outlet), OutletState::On);
    let set = |name: Oid, value| Request::Set {
        name,
        value,
        repeat: true,
    };
    let wrong = set(*off.name(), 9);
    assert_eq!(
        kind(agent.ask("switcher", wrong)),
        refused(ErrorStatus::WrongValue)
    );
    let state = set(*outlet.read().unwrap().name(), 1);
    assert_eq!(
        kind(agent.ask("switcher", state)),
        refused(ErrorStatus::NotWritable)
    );

    // A walk along a column finds the outlets in their order.
    let mut name = Oid::new(APC.state).unwrap();
    for wanted in 1..=8 {
        let answer = agent.ask("looker", Request::GetNext(name)).unwrap();
        assert_eq!(answer.name.index_in(APC.state), Some(&[wanted][..]));
        name = answer.name;
    }
    let beyond = agent.ask("looker", Request::GetNext(name));
    assert!(
        beyond.is_err_and(|end| end.kind == FailureKind::EndOfView)
            || beyond.is_ok_and(|answer| answer.name.index_in(APC.state).is_none())
    );

    // Other types.
    let location = Request::Get(Oid::parse("1.3.6.1.2.1.1.6.0").unwrap());
    let Value::Octets(text) = agent.ask("looker", location).unwrap().value else {
        panic!()
    };
    assert_eq!(text.as_bytes(), b"rack 7");
    let uptime = Request::Get(Oid::parse("1.3.6.1.2.1.1.3.0").unwrap());
    assert!(matches!(
        agent.ask("looker", uptime).unwrap().value,
        Value::Unsigned(1..)
    ));
    let kind_of = Request::Get(Oid::parse("1.3.6.1.2.1.1.2.0").unwrap());
    assert!(matches!(
        agent.ask("looker", kind_of).unwrap().value,
        Value::Name(_)
    ));
}
