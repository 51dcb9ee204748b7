//! A rack's frames through a real Open vSwitch, configured by ovs-vsctl. Skipped, with a
//! reason, where the programs are absent or the test does not run as root.

#[path = "../../shared/netconf/tests/programs/mod.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod programs;
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use farrier_hil_tests::Tools;
use farrier_hil_tests::managed::{ManagedSwitch, ManagementSpec, Protocol, openvswitch};
use farrier_hil_tests::port_forward::{PortForward, PortForwardConfig};
use farrier_hil_tests::switch::wires::{Isolation, Stay};
use farrier_hil_tests::switch::{HostPort, PortMode, Switch, SwitchConfig, VlanId};
use support::{ALL, frame, mac, wait_until};

const PROGRAMS: [(&str, &str); 7] = [
    ("ovsdb-tool", "openvswitch-common"),
    ("ovsdb-server", "openvswitch-common"),
    ("ovs-vsctl", "openvswitch-switch"),
    ("ovs-vswitchd", "openvswitch-switch"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("ip", "iproute2"),
    ("setpriv", "util-linux"),
];
/// Long enough for a frame.
const PASSES: Duration = Duration::from_secs(5);
/// Long enough to say that none comes.
const SILENT: Duration = Duration::from_millis(700);

fn vlan(number: u16) -> VlanId {
    VlanId::new(number).unwrap()
}

/// Whether a new frame of one station comes to another within this time.
fn reaches(from: &HostPort, to: &HostPort, number: u8, wait: Duration) -> bool {
    // Whole frames, so that nobody fills them up.
    let sent = frame(mac(number), ALL, &[number; 64]);
    let end = Instant::now() + wait;
    while Instant::now() < end {
        from.send(&sent);
        while let Some(got) = to.recv(Duration::from_millis(100)) {
            if got[..] == sent[..] {
                return true;
            }
        }
    }
    false
}

fn vsctl(database: &str, arguments: &[&str]) {
    let database = format!("--db={database}");
    let output = Command::new("ovs-vsctl")
        .args([&database, "--timeout=20"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

#[test]
fn frames_pass_as_the_real_switch_says_and_the_capture_notices_what_it_was_not_told() {
    if !programs::are_there(&PROGRAMS) {
        return;
    }
    let tools: Tools = Arc::new(|name| {
        let path = match name.starts_with('/') {
            true => name.to_owned(),
            false => programs::find(name).unwrap_or_else(|| panic!("{name} is absent")),
        };
        Ok(Command::new(path))
    });
    if let Some(reason) = openvswitch::impossible(&tools).unwrap() {
        println!("skipped: {reason}");
        return;
    }
    let switch = Switch::start(SwitchConfig::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let wires = folder.path().join("wires.pcapng");
    switch.capture_wires(&wires).unwrap();
    let add = |name: &str, number: u16| {
        let port = switch.add_host_port(name).unwrap();
        let mode = PortMode::access(vlan(number));
        switch.control().set_mode(port.id(), mode);
        port
    };
    let (s1, s2, s3) = (add("s1", 10), add("s2", 10), add("s3", 20));
    let operator = add("operator", 99);
    let address = Ipv4Addr::new(10, 99, 0, 2);
    let spec = ManagementSpec {
        protocol: Protocol::OpenVswitch,
        vlan: vlan(99),
        address,
        prefix: 24,
    };
    let ports = [s1.id(), s2.id(), s3.id()];
    let managed =
        ManagedSwitch::with_programs(&switch, ports, spec, &tools, folder.path()).unwrap();
    let config = PortForwardConfig {
        mac: mac(0xF1),
        address: Ipv4Addr::new(10, 99, 0, 3),
        prefix: 24,
        target: SocketAddrV4::new(address, 6640),
    };
    let operator = PortForward::open(operator, config).unwrap();
    assert!(reaches(&s1, &s2, 1, PASSES));
    assert!(!reaches(&s1, &s3, 1, SILENT));

    // By the way that the appliance goes, through the switch itself.
    let told = format!("tcp:{}", operator.address());
    vsctl(&told, &["set", "port", "s1", "tag=20"]);
    let mode = PortMode::access(vlan(20));
    wait_until("moved", || switch.control().mode(s1.id()) == mode);
    assert!(reaches(&s1, &s3, 1, PASSES));
    assert!(!reaches(&s1, &s2, 1, SILENT));
    let proof = || {
        switch.flush_captures();
        Isolation::of(&wires, SwitchConfig::default().mac).unwrap()
    };
    let found = proof();
    found.ensure().unwrap();
    let vlans: Vec<_> = found.stays_of("s1").filter_map(Stay::vlan).collect();
    assert_eq!(vlans, [10, 20].map(vlan));

    // A switch that passes frames by another VLAN than anybody was told.
    let socket = managed.openvswitch().unwrap().database();
    let untold = format!("unix:{}", socket.display());
    vsctl(&untold, &["set", "port", "s2", "tag=20"]);
    assert!(reaches(&s3, &s2, 3, PASSES));
    assert!(proof().ensure().is_err());

    // A machine without power has no link there either.
    s3.set_linked(false);
    let state = || {
        let output = Command::new("ovs-vsctl")
            .args([&format!("--db={untold}"), "--no-wait", "get"])
            .args(["interface", "s3", "link_state"])
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    wait_until("down", || state().trim() == "down");
}
