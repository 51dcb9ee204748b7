//! Operations on Open vSwitch with its userspace data path. Skipped, with a reason,
//! where the programs are absent or the test does not run as root.

#[path = "../../../shared/ovsdb/tests/openvswitch/switch.rs"]
#[allow(dead_code, reason = "the client's own tests use more of it")]
mod switch;

use farrier_switch_drivers::{
    Driver, Instant, MIN_OUT, OperationError, Order, Report, Seen, SwitchAction, SwitchDetails,
    SwitchDriver, SwitchKind,
};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant as Clock};
use switch::Switch;

/// Carries an operation on the port `far-a` out, within so many seconds.
fn does(switch: &Switch, action: SwitchAction, seconds: u64) -> Report {
    let mut stream = TcpStream::connect(("127.0.0.1", switch.port())).unwrap();
    let pause = Some(Duration::from_millis(20));
    stream.set_read_timeout(pause).unwrap();
    let begin = Clock::now();
    let now = || Instant::from_millis(u64::try_from(begin.elapsed().as_millis()).unwrap());
    let order = Order {
        kind: SwitchKind::Ovsdb,
        port: "far-a",
        action,
        token: 0,
        details: SwitchDetails::default(),
    };
    let deadline = Instant::from_millis(seconds * 1_000);
    let mut driver = SwitchDriver::new(now(), deadline, &order).unwrap();
    let mut waiting = Vec::new();
    loop {
        if let Some(report) = driver.report() {
            println!("{action:?}: {report:?} after {:?}", begin.elapsed());
            return report;
        }
        let mut out = [0; MIN_OUT];
        let length = driver.send(now(), &mut out);
        stream.write_all(&out[..length]).unwrap();
        let mut input = &waiting[..];
        driver.receive(now(), &mut input);
        waiting = input.to_vec();
        if length > 0 || !waiting.is_empty() {
            continue;
        }
        let mut piece = [0; 900];
        match stream.read(&mut piece) {
            Ok(0) => driver.closed(),
            Ok(length) => waiting.extend_from_slice(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => driver.tick(now()),
            Err(_) => driver.closed(),
        }
    }
}

#[test]
fn a_port_of_open_vswitch_is_moved_and_moved_back() {
    let Some(switch) = Switch::start() else {
        return;
    };
    let (from, to) = (10, 20);
    let is = |report: Report, vlan| {
        assert_eq!((report.result, report.port), (Ok(()), Seen::Vlan(vlan)));
        assert!(report.link.is_some());
    };
    is(does(&switch, SwitchAction::Read, 20), 10);
    assert!(switch.reaches("far-a", "far-c"));
    for _ in 0..2 {
        is(does(&switch, SwitchAction::Move { from, to }, 20), 20);
        assert!(!switch.reaches("far-a", "far-c"));
        assert!(switch.reaches("far-a", "far-b"));
    }
    is(does(&switch, SwitchAction::Keep { from, to }, 20), 20);
    is(does(&switch, SwitchAction::Undo { from, to }, 20), 10);
    assert!(switch.reaches("far-a", "far-c"));
    // Another has moved it.
    switch.set("far-a", "tag=30");
    for action in [
        SwitchAction::Move { from, to },
        SwitchAction::Keep { from, to },
        SwitchAction::Undo { from, to },
    ] {
        let report = does(&switch, action, 20);
        assert_eq!(report.result, Err(OperationError::Unexpected));
        assert_eq!(report.port, Seen::Vlan(30));
    }
    // The database takes the change, and nobody applies it.
    switch.set("far-a", "tag=10");
    switch.freeze(true);
    let report = does(&switch, SwitchAction::Move { from, to }, 4);
    assert_eq!(report.result, Err(OperationError::Uncertain));
    switch.freeze(false);
    is(does(&switch, SwitchAction::Undo { from, to }, 20), 10);
    assert!(switch.reaches("far-a", "far-c"));
}
