//! The model against Open vSwitch's own command-line client, on loopback. Skipped,
//! with a reason, where `ovsdb-client` is absent.

#[allow(dead_code, reason = "each test uses a part of the rig")]
mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{PORTS, access, name};
use farrier_ovsdb::PortVlan;
use farrier_ovsdb::model::{Connection, Switch};
use serde_json::{Value, json};

type Shared = Arc<Mutex<Switch<PORTS>>>;

fn serve(mut stream: TcpStream, switch: &Shared) {
    let timeout = Some(Duration::from_millis(20));
    stream.set_read_timeout(timeout).unwrap();
    let mut connection = Connection::<8192>::new(&switch.lock().unwrap());
    let mut pending = vec![];
    loop {
        let mut bytes = [0; 500];
        match stream.read(&mut bytes) {
            Ok(0) => return,
            Ok(len) => pending.extend_from_slice(&bytes[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        loop {
            let mut switch = switch.lock().unwrap();
            let mut input = pending.as_slice();
            connection.receive(&mut switch, &mut input);
            let taken = pending.len() - input.len();
            pending.drain(..taken);
            drop(switch);
            let output = connection.output().to_vec();
            if connection.is_closed() || stream.write_all(&output).is_err() {
                return;
            }
            connection.sent(output.len());
            if output.is_empty() {
                break;
            }
        }
    }
}

/// A model that listens, until the test ends.
fn start() -> (Shared, u16) {
    let mut switch = Switch::new();
    assert!(switch.add_port(name("p1"), access(10)));
    assert!(switch.add_port(name("up"), PortVlan::trunk(&[10, 20]).unwrap()));
    let switch = Arc::new(Mutex::new(switch));
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let shared = Arc::clone(&switch);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let shared = Arc::clone(&shared);
            thread::spawn(move || serve(stream.unwrap(), &shared));
        }
    });
    (switch, port)
}

#[test]
fn ovsdb_client_understands_the_model() {
    let there = Command::new("ovsdb-client").arg("--version").output();
    if there.is_err() {
        println!("skipped: ovsdb-client is not installed (openvswitch-switch)");
        return;
    }
    let (switch, port) = start();
    let server = format!("tcp:127.0.0.1:{port}");
    let client = |arguments: &[&str]| {
        let (command, rest) = arguments.split_first().unwrap();
        let mut client = Command::new("ovsdb-client");
        client.args(["--timeout=10", "--no-headings", command, &server]);
        let output = client.args(rest).stdin(Stdio::null()).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(client(&["list-dbs"]), "Open_vSwitch\n");
    // The client parses the schema by its own rules.
    assert_eq!(client(&["get-schema-version", "Open_vSwitch"]), "8.3.1\n");
    let columns = client(&["list-columns", "Open_vSwitch", "Port"]);
    assert!(columns.contains("vlan_mode"));

    let transact = |operations: Value| -> Value {
        let text = client(&["transact", &operations.to_string()]);
        serde_json::from_str(&text).unwrap()
    };
    let p1 = json!([["name", "==", "p1"]]);
    let select = json!({"op": "select", "table": "Port", "where": p1, "columns": ["tag"]});
    let answer = transact(json!(["Open_vSwitch", select]));
    assert_eq!(answer, json!([{"rows": [{"tag": 10}]}]));
    let update = json!({"op": "update", "table": "Port", "where": p1, "row": {"tag": 30}});
    let mutate = json!({"op": "mutate", "table": "Open_vSwitch", "where": [],
        "mutations": [["next_cfg", "+=", 1]]});
    let answer = transact(json!(["Open_vSwitch", update, mutate]));
    assert_eq!(answer, json!([{"count": 1}, {"count": 1}]));
    let tag = |switch: &Shared| {
        let switch = switch.lock().unwrap();
        let port = switch.port("p1").unwrap();
        (port.vlan().tag, port.running().tag)
    };
    assert_eq!(tag(&switch), (Some(30), Some(30)));
    let answer = transact(json!(["Open_vSwitch", {"op": "insert", "table": "Port", "row": {}}]));
    assert_eq!(answer[0]["error"], "not supported");
    assert_eq!(tag(&switch), (Some(30), Some(30)));

    let rows = client(&[
        "dump",
        "Open_vSwitch",
        "Port",
        "name",
        "tag",
        "trunks",
        "vlan_mode",
    ]);
    assert!(rows.contains("p1") && rows.contains("[10, 20]"), "{rows}");
    // A monitor, whose update the client prints as it comes.
    let mut monitor = Command::new("ovsdb-client")
        .args([
            "--timeout=10",
            "--format=json",
            "--no-headings",
            "monitor",
            &server,
        ])
        .args(["Open_vSwitch", "Port", "name,tag"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = monitor.stdout.take().unwrap();
    let mut until = |wanted: &str| {
        let mut seen = String::new();
        while !seen.contains(wanted) {
            let mut bytes = [0; 500];
            let len = out.read(&mut bytes).unwrap();
            assert!(len > 0, "the monitor ended: {seen}");
            seen += std::str::from_utf8(&bytes[..len]).unwrap();
        }
    };
    until(r#""initial","p1",30]"#);
    assert!(switch.lock().unwrap().set_vlan("p1", access(31)));
    until(r#""new","p1",31]"#);
    monitor.kill().unwrap();
    monitor.wait().unwrap();
}
