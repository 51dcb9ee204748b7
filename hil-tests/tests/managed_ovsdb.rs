//! The virtual switch behind its OVSDB server, configured through its own wires
//! by the client that the appliance uses.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

#[path = "../../shared/netconf/tests/programs/mod.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod programs;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use farrier_hil_tests::managed::endpoint::{Endpoint, EndpointConfig, Reachability, Service};
use farrier_hil_tests::managed::ovsdb::OvsdbServer;
use farrier_hil_tests::managed::ports::Ports;
use farrier_hil_tests::port_forward::{PortForward, PortForwardConfig};
use farrier_hil_tests::switch::wires::Isolation;
use farrier_hil_tests::switch::{HostPort, PortMode, Switch, SwitchConfig, VlanId};
use farrier_ovsdb::model::{Fault, Pace, Startup};
use farrier_ovsdb::{
    Change, Config, Event, MAX_REQUEST, Outcome, PortName, PortRow, PortVlan, Session, Visitor,
};
use support::{ALL, SOON, frame, mac, wait_until};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

fn vlan(number: u16) -> VlanId {
    VlanId::new(number).unwrap()
}

/// A switch with two servers on VLAN 10, one on VLAN 20, and its management on
/// VLAN 99.
struct Rig {
    switch: Switch,
    servers: Vec<HostPort>,
    server: OvsdbServer,
    endpoint: Endpoint,
    operator: PortForward,
    directory: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        let switch = Switch::start(SwitchConfig::default()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        switch
            .capture_wires(&directory.path().join("wires.pcapng"))
            .unwrap();
        let add = |name: &str, number: u16| {
            let port = switch.add_host_port(name).unwrap();
            let mode = PortMode::access(vlan(number));
            switch.control().set_mode(port.id(), mode);
            port
        };
        let servers = vec![add("s1", 10), add("s2", 10), add("s3", 20)];
        let ids = servers.iter().map(HostPort::id);
        let server = OvsdbServer::start(Ports::new(switch.control(), ids).unwrap()).unwrap();
        let endpoint = Endpoint::open(
            add("management", 99),
            EndpointConfig {
                mac: mac(0xF0),
                address: ADDRESS,
                prefix: 24,
            },
            vec![Service {
                port: 6640,
                server: server.address(),
            }],
        )
        .unwrap();
        let operator = PortForward::open(
            add("operator", 99),
            PortForwardConfig {
                mac: mac(0xF1),
                address: Ipv4Addr::new(10, 99, 0, 3),
                prefix: 24,
                target: SocketAddrV4::new(ADDRESS, 6640),
            },
        )
        .unwrap();
        Self {
            switch,
            servers,
            server,
            endpoint,
            operator,
            directory,
        }
    }

    fn client(&self) -> Client {
        let mut client = Client::connect(self.operator.address());
        assert_eq!(
            client.until(|event| *event == Event::Ready),
            Some(Event::Ready)
        );
        client
    }

    /// The VLAN of a server's port on the virtual switch.
    fn vlan(&self, server: usize) -> Option<u16> {
        match self.switch.control().mode(self.servers[server].id()) {
            PortMode::Vlans { untagged, .. } => untagged.map(VlanId::get),
            PortMode::Plain => None,
        }
    }

    /// Whether a frame of one server reaches another one.
    fn reaches(&self, from: u8, to: usize) -> bool {
        while self.servers[to].try_recv().is_some() {}
        let sent = frame(mac(from), ALL, b"is anyone there");
        self.servers[usize::from(from)].send(&sent);
        self.servers[to].try_recv().is_some()
    }

    fn isolation(&self) -> Isolation {
        self.switch.flush_captures();
        let own = SwitchConfig::default().mac;
        Isolation::of(&self.directory.path().join("wires.pcapng"), own).unwrap()
    }
}

#[derive(Default)]
struct Rows(BTreeMap<String, PortVlan>);

impl Visitor for Rows {
    fn port(&mut self, row: &PortRow) {
        self.0.insert(row.name.to_string(), row.vlan);
    }
}

/// A blocking owner of a session.
struct Client {
    session: Session,
    rows: Rows,
    stream: TcpStream,
    incoming: Vec<u8>,
    closed: bool,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        let wait = Some(Duration::from_millis(100));
        stream.set_read_timeout(wait).unwrap();
        Self {
            session: Session::new(Config::default()),
            rows: Rows::default(),
            stream,
            incoming: Vec::new(),
            closed: false,
        }
    }

    /// Moves bytes until an event, at most once; none after a while without.
    fn step(&mut self) -> Option<Event> {
        let mut out = [0; MAX_REQUEST];
        while let Ok(length @ 1..) = self.session.send(&mut out) {
            self.closed |= self.stream.write_all(&out[..length]).is_err();
        }
        if self.incoming.is_empty() {
            let mut bytes = [0; 700];
            match self.stream.read(&mut bytes) {
                Ok(0) => self.closed = true,
                Ok(length) => self.incoming.extend_from_slice(&bytes[..length]),
                Err(error) => self.closed |= error.kind() != ErrorKind::WouldBlock,
            }
        }
        let mut input = self.incoming.as_slice();
        let event = self.session.receive(&mut input, &mut self.rows).unwrap();
        let rest = input.to_vec();
        self.incoming = rest;
        event
    }

    /// The first event of a kind; none once the connection is closed.
    fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Option<Event> {
        let deadline = Instant::now() + SOON;
        while !self.closed {
            assert!(Instant::now() < deadline, "in {:?}", self.session.state());
            if let Some(event) = self.step()
                && wanted(&event)
            {
                return Some(event);
            }
        }
        None
    }

    fn change(&mut self, port: &str, from: u16, to: u16) -> Option<Outcome> {
        let change = Change {
            port: PortName::new(port).unwrap(),
            expected: PortVlan::access(from).unwrap(),
            desired: PortVlan::access(to).unwrap(),
        };
        self.session.begin(&change).unwrap();
        match self.until(|event| matches!(event, Event::Done(_)))? {
            Event::Done(outcome) => Some(outcome),
            _ => None,
        }
    }
}

#[test]
fn a_change_moves_the_port() {
    let rig = Rig::new();
    let mut client = rig.client();
    assert_eq!(client.rows.0.len(), 3);
    assert_eq!(client.rows.0["s3"], PortVlan::access(20).unwrap());
    assert!(rig.reaches(0, 1) && !rig.reaches(0, 2));

    assert_eq!(client.change("s1", 10, 20), Some(Outcome::Applied));
    assert_eq!((rig.vlan(0), rig.vlan(1)), (Some(20), Some(10)));
    assert!(!rig.reaches(0, 1) && rig.reaches(0, 2));

    // Another operator's change is told, and moves the port too.
    let trunk = PortVlan::native(10, &[20, 30]).unwrap();
    rig.server.with(|model| model.set_vlan("s2", trunk));
    let mode = PortMode::trunk([vlan(20), vlan(30)], Some(vlan(10)));
    assert_eq!(rig.switch.control().mode(rig.servers[1].id()), mode);
    let deadline = Instant::now() + SOON;
    while client.rows.0["s2"] != trunk {
        assert!(Instant::now() < deadline, "not told");
        client.step();
    }

    let found = rig.isolation();
    found.ensure().unwrap();
    let vlans: Vec<_> = found
        .stays_of("s1")
        .filter_map(|stay| stay.vlan())
        .collect();
    assert_eq!(vlans, [vlan(10), vlan(20)]);
}

#[test]
fn faults_of_the_model_are_those_of_the_switch() {
    let rig = Rig::new();
    let mut client = rig.client();
    rig.server.with(|model| model.set_fault(Fault::Refuses));
    let refused = client.change("s1", 10, 20);
    assert!(matches!(refused, Some(Outcome::Refused(_))), "{refused:?}");
    assert_eq!(rig.vlan(0), Some(10));

    // The row says so and frames do not.
    rig.server
        .with(|model| model.set_fault(Fault::LiesInDataPath));
    assert_eq!(client.change("s1", 10, 20), Some(Outcome::Applied));
    assert_eq!(rig.vlan(0), Some(10));
    assert!(rig.reaches(0, 1) && !rig.reaches(0, 2));

    rig.server
        .with(|model| model.set_fault(Fault::DropsAfterCommit));
    assert_eq!(client.change("s2", 10, 20), None, "closed");
    wait_until("moved all the same", || rig.vlan(1) == Some(20));

    // One that follows when it is told.
    let mut client = rig.client();
    rig.server.with(|model| {
        model.set_fault(Fault::None);
        model.set_pace(Pace::WhenTold);
    });
    let change = Change {
        port: PortName::new("s3").unwrap(),
        expected: PortVlan::access(20).unwrap(),
        desired: PortVlan::access(10).unwrap(),
    };
    client.session.begin(&change).unwrap();
    for _ in 0..5 {
        assert!(!matches!(client.step(), Some(Event::Done(_))));
    }
    assert_eq!(rig.vlan(2), Some(20));
    rig.server.with(|model| model.apply());
    assert_eq!(rig.vlan(2), Some(10));
    let done = client.until(|event| matches!(event, Event::Done(_)));
    assert_eq!(done, Some(Event::Done(Outcome::Applied)));

    // A restart closes connections; this switch has lost its configuration.
    rig.server.with(|model| model.restart(Startup::Lost));
    assert_eq!(client.until(|_| false), None);
    assert_eq!((rig.vlan(0), rig.vlan(2)), (Some(10), Some(20)));
}

#[test]
fn the_endpoint_refuses_and_falls_silent() {
    let rig = Rig::new();
    let mut client = rig.client();
    rig.endpoint.set_reachability(Reachability::Refuses);
    // Time for its thread; what is open stays.
    std::thread::sleep(Duration::from_millis(100));
    let refused = |rig: &Rig| {
        let mut stream = TcpStream::connect(rig.operator.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // Either the forward's reset, or the end that it turns into.
        !matches!(stream.read(&mut [0; 1]), Ok(1..))
    };
    assert!(refused(&rig));
    assert_eq!(client.change("s1", 10, 20), Some(Outcome::Applied));

    rig.endpoint.set_reachability(Reachability::Dead);
    wait_until("its link is down", || {
        !rig.switch.is_linked(rig.endpoint.port())
    });
    rig.endpoint.set_reachability(Reachability::Serves);
    wait_until("its link is up", || {
        rig.switch.is_linked(rig.endpoint.port())
    });
    // It knows nothing of the old connection and resets it.
    client.session.probe().ok();
    assert_eq!(client.until(|_| false), None);
    assert_eq!(rig.client().change("s1", 20, 10), Some(Outcome::Applied));

    // Nothing listens behind it.
    rig.endpoint.set_services(vec![Service {
        port: 6640,
        server: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
    }]);
    wait_until("it refuses", || refused(&rig));
}

/// Runs ovs-vsctl on the server; what it prints.
fn vsctl(rig: &Rig, arguments: &[&str]) -> String {
    let database = format!("--db=tcp:{}", rig.server.address());
    let output = std::process::Command::new("ovs-vsctl")
        .args([&database, "--timeout=10"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Skipped, with a reason, where the program is absent.
#[test]
fn ovs_vsctl_configures_it() {
    if !programs::are_there(&[("ovs-vsctl", "openvswitch-switch")]) {
        return;
    }
    let rig = Rig::new();
    let listed = vsctl(&rig, &["--columns=name,tag", "list", "port"]);
    assert!(listed.contains("s3") && listed.contains("20"), "{listed}");
    // It waits until the data path follows.
    vsctl(&rig, &["set", "port", "s1", "tag=20"]);
    assert_eq!(rig.vlan(0), Some(20));
    // Here it does not.
    vsctl(&rig, &["--no-wait", "set", "port", "s1", "tag=30"]);
    wait_until("moved", || rig.vlan(0) == Some(30));
    assert_eq!(vsctl(&rig, &["get", "port", "s1", "tag"]), "30\n");
}
