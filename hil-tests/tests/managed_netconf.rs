//! The virtual switch behind its NETCONF server, configured by the client that
//! the appliance uses.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

#[path = "../../shared/netconf/tests/programs/mod.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod programs;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use farrier_hil_tests::managed::netconf::NetconfServer;
use farrier_hil_tests::managed::ports::Ports;
use farrier_hil_tests::managed::ssh::new_key;
use farrier_hil_tests::managed::{ManagedSwitch, ManagementSpec, PASSWORD, Protocol, USER};
use farrier_hil_tests::port_forward::{PortForward, PortForwardConfig};
use farrier_hil_tests::switch::wires::{Isolation, Stay};
use farrier_hil_tests::switch::{HostPort, PortMode, Switch, SwitchConfig, VlanId};
use farrier_netconf::dialect::{DIALECTS, JUNOS, OPENCONFIG};
use farrier_netconf::model::{Fault, Faults};
use farrier_netconf::xml::name::Name;
use farrier_netconf::{
    Client, Dialect, Flip, MacEntry, Neighbour, Outcome, PortVlans, Settings, Step, Visitor,
    VlanChange,
};
use russh::keys::ssh_key::LineEnding;
use support::{ALL, SOON, frame, mac, wait_until};

fn vlan(number: u16) -> VlanId {
    VlanId::new(number).unwrap()
}

struct Rig {
    switch: Switch,
    ports: Vec<HostPort>,
    server: NetconfServer,
}

impl Rig {
    /// Two servers on VLAN 10, and the appliance on a trunk of 10 and 20.
    fn new(dialect: &'static Dialect) -> Self {
        let switch = Switch::start(SwitchConfig::default()).unwrap();
        let trunk = PortMode::trunk([vlan(10), vlan(20)], None);
        let access = PortMode::access(vlan(10));
        let ports =
            [("s1", &access), ("s2", &access), ("appliance", &trunk)].map(|(name, mode)| {
                let port = switch.add_host_port(name).unwrap();
                switch.control().set_mode(port.id(), mode.clone());
                port
            });
        let ids = ports.iter().take(2).map(HostPort::id);
        let names = Ports::new(switch.control(), ids).unwrap();
        let server = NetconfServer::start(names, dialect).unwrap();
        Self {
            switch,
            ports: ports.into(),
            server,
        }
    }

    fn vlan(&self, port: usize) -> Option<u16> {
        match self.switch.control().mode(self.ports[port].id()) {
            PortMode::Vlans { untagged, .. } => untagged.map(VlanId::get),
            PortMode::Plain => None,
        }
    }

    fn session(&self, dialect: &'static Dialect) -> Session {
        let mut session = Session::connect(self.server.address(), dialect);
        session.until(Step::Ready);
        session
    }
}

#[derive(Default)]
struct Rows {
    macs: Vec<(String, [u8; 6], String)>,
    neighbours: Vec<[String; 4]>,
}

impl Visitor for Rows {
    fn mac(&mut self, entry: &MacEntry<'_>) {
        let row = (entry.port.to_owned(), entry.mac, entry.vlan.to_owned());
        self.macs.push(row);
    }

    fn neighbour(&mut self, row: &Neighbour<'_>) {
        let texts = [row.port, row.chassis, row.remote_port, row.system_name];
        self.neighbours.push(texts.map(str::to_owned));
    }
}

/// A blocking owner of a client.
struct Session {
    client: Client,
    stream: TcpStream,
    rows: Rows,
}

impl Session {
    fn connect(address: SocketAddr, dialect: &'static Dialect) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        let wait = Some(Duration::from_millis(50));
        stream.set_read_timeout(wait).unwrap();
        let settings = Settings {
            dialect: Some(dialect),
            ..Settings::default()
        };
        Self {
            client: Client::new(settings),
            stream,
            rows: Rows::default(),
        }
    }

    fn step(&mut self) {
        let mut buffer = [0; 512];
        loop {
            let length = self.client.peek(&mut buffer);
            if length == 0 {
                break;
            }
            if self.stream.write_all(&buffer[..length]).is_err() {
                self.client.closed();
                return;
            }
            self.client.sent(length);
        }
        match self.stream.read(&mut buffer) {
            Ok(0) => self.client.closed(),
            Ok(length) => self.client.receive(&buffer[..length], &mut self.rows),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.client.closed(),
        }
    }

    fn until(&mut self, wanted: Step) {
        let deadline = Instant::now() + SOON;
        while self.client.step() != wanted {
            let step = self.client.step();
            assert!(Instant::now() < deadline && step != Step::Over, "{step:?}");
            self.step();
        }
    }

    fn begin(&mut self, port: &str, to: u16, timeout: u32) {
        let flip = Flip {
            interface: port,
            desired: PortVlans::access(to).unwrap(),
            expected: PortVlans::access(10),
            vlan: match self.client.dialect() {
                Some(dialect) if dialect.vlan_edit.is_none() => VlanChange::NONE,
                _ => VlanChange::make(to),
            },
            trunk: "",
            confirm_timeout_s: timeout,
            persist_id: 0x5eed,
        };
        self.client.flip(&flip).unwrap();
    }

    fn outcome(&self) -> Option<Outcome> {
        self.client.report().map(|report| report.outcome)
    }
}

#[test]
fn a_confirmed_commit_moves_the_port_in_every_dialect() {
    for dialect in DIALECTS {
        let rig = Rig::new(dialect);
        let mut session = rig.session(dialect);
        session.begin("s1", 20, 120);
        session.until(Step::Evidence);
        assert_eq!(rig.vlan(0), Some(20), "{}: to be confirmed", dialect.name);
        assert_eq!(rig.vlan(1), Some(10), "{}: not its port", dialect.name);
        assert!(session.client.confirm());
        session.until(Step::Ready);
        assert_eq!(session.outcome(), Some(Outcome::Confirmed));
        assert_eq!(rig.vlan(0), Some(20));
    }
}

#[test]
fn what_is_not_confirmed_is_taken_back() {
    let rig = Rig::new(&OPENCONFIG);
    let mut session = rig.session(&OPENCONFIG);
    session.begin("s1", 20, 120);
    session.until(Step::Evidence);
    assert_eq!(rig.vlan(0), Some(20));
    assert!(session.client.cancel());
    session.until(Step::Ready);
    assert_eq!(session.outcome(), Some(Outcome::Cancelled));
    assert_eq!(rig.vlan(0), Some(10), "cancelled");

    // A session that is lost leaves it to the switch's own clock.
    session.begin("s1", 20, 1);
    session.until(Step::Evidence);
    drop(session);
    assert_eq!(rig.vlan(0), Some(20), "its persist-id keeps it");
    wait_until("its time is over", || rig.vlan(0) == Some(10));
}

#[test]
fn faults_and_restarts_are_those_of_the_switch() {
    let rig = Rig::new(&JUNOS);
    let mut session = rig.session(&JUNOS);
    // It says ok and does nothing.
    rig.server.with(|model| {
        model.faults = Faults {
            next: Some((Name::Commit, 0, Fault::Lies)),
            ..Faults::default()
        };
    });
    session.begin("s1", 20, 120);
    session.until(Step::Ready);
    assert!(!matches!(
        session.outcome(),
        None | Some(Outcome::Confirmed)
    ));
    assert_eq!(rig.vlan(0), Some(10));

    session.begin("s1", 20, 120);
    session.until(Step::Evidence);
    assert_eq!(rig.vlan(0), Some(20));
    rig.server.power_cycle();
    assert_eq!(rig.vlan(0), Some(10), "its startup configuration");
    let deadline = Instant::now() + SOON;
    while session.client.step() != Step::Over {
        assert!(Instant::now() < deadline, "the session goes on");
        session.step();
    }
    let mut session = rig.session(&JUNOS);
    session.begin("s2", 20, 120);
    session.until(Step::Evidence);
    assert!(session.client.confirm());
    session.until(Step::Ready);
    assert_eq!(rig.vlan(1), Some(20));
}

#[test]
fn tables_are_those_of_the_switch() {
    let rig = Rig::new(&JUNOS);
    rig.ports[0].send(&frame(mac(1), ALL, b"here"));
    rig.ports[2].send(&frame(mac(9), ALL, b"refused: not tagged"));
    let mut lldp = [
        &[0x01, 0x80, 0xC2, 0, 0, 0x0E][..],
        &mac(2).0,
        &[0x88, 0xCC],
    ]
    .concat();
    for (kind, content) in [
        (1, &b"\x04\x02\0\0\0\0\x02"[..]),
        (2, b"\x05eth0"),
        (3, b"\0\x78"),
        (5, b"server two"),
        (0, b""),
    ] {
        lldp.extend((kind << 9 | content.len() as u16).to_be_bytes());
        lldp.extend(content);
    }
    rig.ports[1].send(&lldp);

    let mut session = rig.session(&JUNOS);
    session.client.read_macs("").unwrap();
    session.step();
    session.until(Step::Ready);
    session.client.read_neighbours("").unwrap();
    session.step();
    session.until(Step::Ready);
    let macs: Vec<_> = session.rows.macs.iter().map(|(_, mac, _)| *mac).collect();
    assert_eq!(macs, [mac(1).0, mac(2).0]);
    assert!(session.rows.macs[0].0.starts_with("s1"));
    let neighbour = ["s2", "02:00:00:00:00:02", "eth0", "server two"];
    assert_eq!(session.rows.neighbours, [neighbour.map(str::to_owned)]);
}

/// Skipped, with a reason, where no Python has ncclient: the variable `PYTHON` names an
/// interpreter that has, else it is `python3`.
#[test]
fn ncclient_moves_a_port_over_ssh() {
    let Some(python) = programs::python_with_ncclient() else {
        return;
    };
    let switch = Switch::start(SwitchConfig::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let wires = directory.path().join("wires.pcapng");
    switch.capture_wires(&wires).unwrap();
    let add = |name: &str, number: u16| {
        let port = switch.add_host_port(name).unwrap();
        let mode = PortMode::access(vlan(number));
        switch.control().set_mode(port.id(), mode);
        port
    };
    let server = add("s1", 10);
    let address = Ipv4Addr::new(10, 99, 0, 2);
    let spec = ManagementSpec {
        protocol: Protocol::Netconf(&OPENCONFIG),
        vlan: vlan(99),
        address,
        prefix: 24,
    };
    let managed = ManagedSwitch::start(&switch, [server.id()], spec).unwrap();
    let operator = PortForward::open(
        add("operator", 99),
        PortForwardConfig {
            mac: mac(0xF1),
            address: Ipv4Addr::new(10, 99, 0, 3),
            prefix: 24,
            target: SocketAddrV4::new(address, 830),
        },
    )
    .unwrap();

    let key = new_key().unwrap();
    let line = key.public_key().to_openssh().unwrap();
    managed.authorize(&line).unwrap();
    let path = directory.path().join("key");
    std::fs::write(&path, key.to_openssh(LineEnding::LF).unwrap()).unwrap();
    let base64 = |line: &str| line.split(' ').nth(1).unwrap().to_owned();
    let status = std::process::Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/netconf_client.py"
        ))
        .arg(operator.address().port().to_string())
        .args([USER, PASSWORD])
        .arg(&path)
        .arg(base64(&managed.host_key().unwrap()))
        .arg(base64(&line))
        .status()
        .unwrap();
    assert!(status.success());

    switch.flush_captures();
    let found = Isolation::of(&wires, SwitchConfig::default().mac).unwrap();
    found.ensure().unwrap();
    let vlans: Vec<_> = found.stays_of("s1").filter_map(Stay::vlan).collect();
    assert_eq!(vlans, [10, 20, 30, 20, 30, 20].map(vlan));
}
