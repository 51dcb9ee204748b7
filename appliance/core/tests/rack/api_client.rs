//! The stock client of OpenStack Ironic against the API, over a real socket.
//!
//! Takes the command `baremetal` (of python-ironicclient) from the path, or
//! from the directory that `FARRIER_BAREMETAL_BIN` names. Without it the
//! test has nothing to test, so it is not among those that always run:
//! `cargo test -p farrier-core --test rack api_client -- --ignored`.

use crate::api_rig::Rig;
use crate::common::*;
use farrier_api::REPLY_BUFFER;
use farrier_http::Head;
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::ConfigDriveFormat;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};

/// A rack behind a socket. Its threads end with the test's process.
struct Server {
    lab: Arc<Mutex<Lab>>,
    address: SocketAddr,
    home: PathBuf,
}

impl Server {
    fn open() -> Self {
        let lab = Arc::new(Mutex::new(Lab::new()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = lab.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, lab) = (stream.unwrap(), shared.clone());
                std::thread::spawn(move || serve(stream, &lab));
            }
        });
        // The client remembers versions of servers in its home.
        let home = std::env::temp_dir().join(format!("farrier-api-{}", address.port()));
        std::fs::create_dir_all(&home).unwrap();
        Server { lab, address, home }
    }

    fn lab(&self) -> MutexGuard<'_, Lab> {
        self.lab.lock().unwrap()
    }

    /// Runs `baremetal`; what it printed, or what it complained about.
    fn run(&self, arguments: &[&str]) -> Result<String, String> {
        self.command("baremetal", arguments)
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Result<String, String> {
        let program = match std::env::var_os("FARRIER_BAREMETAL_BIN") {
            Some(directory) => PathBuf::from(directory).join(name),
            None => PathBuf::from(name),
        };
        let output = Command::new(&program)
            .args(arguments)
            .env("OS_AUTH_TYPE", "none")
            .env("OS_ENDPOINT", format!("http://{}", self.address))
            .env("HOME", &self.home)
            .env("NO_PROXY", "*")
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        match output.status.success() {
            true => Ok(text(output.stdout)),
            false => Err(text(output.stderr)),
        }
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["-f", "json"]].concat();
        serde_json::from_str(&self.run(&arguments).unwrap()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.home).unwrap();
    }
}

/// A field of a row. Some commands and some versions of the client name it
/// as the API does, others as the heading of the table.
fn cell<'a>(row: &'a Value, name: &str) -> &'a Value {
    let headings = [
        ("provision_state", "Provisioning ProvisionState"),
        ("power_state", "Power ProvisionState"),
        ("name", "Supported driver(s)"),
    ];
    let same = |key: &str| key.eq_ignore_ascii_case(name) || headings.contains(&(name, key));
    let mut cells = row.as_object().unwrap().iter();
    cells.find(|(key, _)| same(key)).expect(name).1
}

/// Requests of one connection, one after the other.
fn serve(mut stream: TcpStream, lab: &Mutex<Lab>) {
    let mut waiting: Vec<u8> = Vec::new();
    loop {
        let found = Head::parse(&waiting).map(|found| found.map(|(_, length)| length));
        let length = match found {
            Ok(Some(length)) => length,
            Ok(None) => match more(&mut stream) {
                Some(bytes) => {
                    waiting.extend(bytes);
                    continue;
                }
                None => return,
            },
            Err(error) => panic!("{error}"),
        };
        let rest = waiting.split_off(length);
        let head = Head::parse(&waiting).unwrap().unwrap().0;
        let mut rest = Some(rest).filter(|rest| !rest.is_empty());
        let mut reader = stream.try_clone().unwrap();
        let receive = move || rest.take().or_else(|| more(&mut reader));
        let mut lab = lab.lock().unwrap();
        let send = |bytes: &[u8]| stream.write_all(bytes).unwrap();
        let mut rig = Rig::new(&mut lab, receive, send);
        let (mut statement, mut buffer) = ([0; 8192], [0; REPLY_BUFFER]);
        match farrier_api::serve(&head, &mut rig, &mut statement, &mut buffer) {
            Ok(true) => {}
            Ok(false) | Err(farrier_api::Gone) => return,
        }
        drop(rig);
        drop(lab);
        waiting.clear();
    }
}

fn more(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut buffer = [0; 777];
    match stream.read(&mut buffer) {
        Ok(0) | Err(_) => None,
        Ok(length) => Some(buffer[..length].to_vec()),
    }
}

const DISKS: [u64; 2] = [8 * GIB, 20 * GIB];

/// A network boot of the machine whose disks are these, and half a minute
/// of its agent's work.
fn work(server: &Server) {
    let mut lab = server.lab();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&DISKS));
    lab.run(&mut agent, 30);
    lab.pass(100);
}

#[test]
#[ignore = "needs the command baremetal of python-ironicclient"]
fn the_stock_client_walks_a_node_through_its_life() {
    let server = Server::open();
    assert_eq!(server.json(&["node", "list"]), json!([]));
    server.lab().discover(1);
    server.lab().discover(2);

    let list = server.json(&["node", "list"]);
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(cell(&list[0], "provision_state"), "enroll");
    assert_eq!(cell(&list[0], "power_state"), "power on");
    let uuid = cell(&list[0], "uuid").as_str().unwrap().to_owned();
    let long = server.json(&["node", "list", "--long"]);
    assert_eq!(cell(&long[0], "driver"), "manual");
    let one = server.json(&["node", "list", "--fields", "uuid", "driver", "--limit", "1"]);
    assert_eq!(one.as_array().unwrap().len(), 1);
    let none = server.json(&["node", "list", "--provision-state", "clean wait"]);
    assert_eq!(none, json!([]));

    server
        .run(&["node", "set", &uuid, "--name", "web-1"])
        .unwrap();
    server.run(&["node", "manage", "web-1"]).unwrap();
    let node = server.json(&["node", "show", "web-1"]);
    assert_eq!(node["uuid"], uuid.as_str());
    assert_eq!(node["provision_state"], "manageable");

    // A refusal is shown as a sentence.
    let refused = server.run(&["node", "deploy", "web-1"]).unwrap_err();
    assert!(refused.contains("can not be performed"), "{refused}");
    assert!(refused.contains("HTTP 400"), "{refused}");
    let refused = server.run(&["node", "show", "web-9"]).unwrap_err();
    assert!(
        refused.contains("Node web-9 could not be found"),
        "{refused}"
    );
    server.run(&["node", "power", "off", "web-1"]).unwrap();
    let states = server.json(&["node", "show", "web-1"]);
    assert_eq!(states["target_power_state"], "power off");
    let history = server.json(&["node", "history", "list", "web-1"]);
    assert!(!history.as_array().unwrap().is_empty());
    let refused = server
        .run(&["node", "create", "--driver", "ilo"])
        .unwrap_err();
    assert!(refused.contains("is not here"), "{refused}");
    let create = ["node", "create", "--driver", "farrier", "--name", "spare"];
    server.run(&create).unwrap();
    server
        .run(&["node", "maintenance", "set", "spare", "--reason", "new"])
        .unwrap();
    assert_eq!(server.json(&["node", "show", "spare"])["maintenance"], true);
    server
        .run(&["node", "maintenance", "unset", "spare"])
        .unwrap();
    server
        .run(&["node", "add", "trait", "spare", "CUSTOM_GPU"])
        .unwrap();
    server.run(&["node", "delete", "spare"]).unwrap();
    let refused = server
        .run(&["node", "inventory", "save", "web-1"])
        .unwrap_err();
    assert!(refused.contains("inspect it"), "{refused}");

    server.run(&["node", "inspect", "web-1"]).unwrap();
    work(&server);
    let found = server.run(&["node", "inventory", "save", "web-1"]).unwrap();
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["inventory"]["disks"].as_array().unwrap().len(), 2);
    let ports = server.json(&["port", "list", "--node", "web-1"]);
    assert_eq!(cell(&ports[0], "address"), "52:54:00:00:00:01");

    server.run(&["node", "provide", "web-1"]).unwrap();
    work(&server);
    assert_eq!(server.lab().state(0), ProvisionState::Available);

    let image = "image_source=debian12";
    server
        .run(&["node", "set", "web-1", "--instance-info", image])
        .unwrap();
    let validate = server.json(&["node", "validate", "web-1"]);
    let deploy = validate
        .as_array()
        .unwrap()
        .iter()
        .find(|row| cell(row, "interface") == "deploy");
    assert_eq!(cell(deploy.unwrap(), "result"), true);
    let drive = r#"{"meta_data": {"uuid": "7", "hostname": "web-1"}, "user_data": "x"}"#;
    server
        .run(&["node", "deploy", "web-1", "--config-drive", drive])
        .unwrap();
    let stored = server.lab().node(0).config_drive.expect("a config drive");
    let stored_length = stored.length as usize;
    assert_eq!(stored_length, drive.len());
    let node = server.json(&["node", "show", "web-1"]);
    assert_eq!(node["provision_state"], "wait call-back");
    assert_eq!(node["target_provision_state"], "active");
    assert_eq!(node["instance_info"]["configdrive"], "******");
    work(&server);
    assert_eq!(server.lab().state(0), ProvisionState::Active);

    server.run(&["node", "undeploy", "web-1"]).unwrap();
    work(&server);
    assert_eq!(server.lab().state(0), ProvisionState::Available);

    // A config drive as a file: base64 of a gzip of an image.
    let file = server.home.join("drive");
    std::fs::write(&file, "H4sIAAAAAAAAAwMAAAAAAAAAAAA=").unwrap();
    server
        .run(&["node", "set", "web-1", "--instance-info", image])
        .unwrap();
    let file = file.to_str().unwrap();
    server
        .run(&["node", "deploy", "web-1", "--config-drive", file])
        .unwrap();
    let stored = server.lab().node(0).config_drive.expect("a config drive");
    assert_eq!(stored.format, ConfigDriveFormat::GzipBase64);
    assert_eq!(stored.length, 28);
    let refused = server
        .run(&["node", "set", "web-1", "--instance-info", "image_source=x"])
        .unwrap_err();
    assert!(refused.contains("wait call-back"), "{refused}");
    server.run(&["node", "abort", "web-1"]).unwrap();
    server.run(&["node", "undeploy", "web-1"]).unwrap();

    server.run(&["node", "unset", "web-1", "--name"]).unwrap();
    assert_eq!(server.json(&["node", "show", &uuid])["name"], Value::Null);

    // What else a new user tries first.
    let drivers = server.json(&["driver", "list"]);
    // The client sorts them.
    let names = ["ipmi", "manual", "redfish", "snmp", "wol"];
    for (driver, name) in drivers.as_array().unwrap().iter().zip(names) {
        assert_eq!(cell(driver, "name"), name);
        assert_eq!(server.json(&["driver", "show", name])["name"], name);
    }
    assert_eq!(drivers.as_array().unwrap().len(), names.len());
    let create = [
        "node",
        "create",
        "--driver",
        "ipmi",
        "--name",
        "db-1",
        "--driver-info",
        "ipmi_address=10.0.0.9",
        "--driver-info",
        "ipmi_username=admin",
        "--driver-info",
        "ipmi_password=geheim",
    ];
    let created = server.json(&create);
    assert_eq!(created["driver"], "ipmi");
    let db = server.json(&["node", "show", "db-1"]);
    assert_eq!(db["driver_info"]["ipmi_password"], "******");
    assert_eq!(db["power_interface"], "ipmi");
    let valid = server.json(&["node", "validate", "db-1"]);
    let power = valid.as_array().unwrap().iter();
    let mut power = power.filter(|row| cell(row, "interface") == "power");
    assert_eq!(cell(power.next().unwrap(), "result"), true);
    let set = ["node", "set", "db-1", "--driver-info", "ipmi_port=6230"];
    server.run(&set).unwrap();
    let port = &server.json(&["node", "show", "db-1"])["driver_info"]["ipmi_port"];
    assert_eq!(*port, "6230");
    server.run(&["node", "delete", "db-1"]).unwrap();
    assert_eq!(
        cell(&server.json(&["conductor", "list"])[0], "hostname"),
        "farrier"
    );
    assert_eq!(server.json(&["chassis", "list"]), json!([]));
    assert_eq!(server.json(&["allocation", "list"]), json!([]));
    assert_eq!(server.json(&["node", "trait", "list", &uuid]), json!([]));
}

/// What a program of openstacksdk does: the second client that is in wide
/// use. It compares dictionaries to make its patches.
const SDK: &str = r#"
import openstack
bm = openstack.connect().baremetal
nodes = list(bm.nodes(details=True))
assert len(nodes) == 2, nodes
node = bm.get_node(nodes[0].id)
assert node.provision_state == "enroll", node
assert node.driver == "manual", node
assert [n.id for n in bm.nodes(limit=1)] == [n.id for n in nodes]
node = bm.update_node(node, name="web-1", instance_info={"image_source": "debian12"})
assert node.name == "web-1", node
assert node.instance_info["image_source"] == "debian12", node
assert bm.find_node("web-1").id == node.id
bm.set_node_provision_state("web-1", "manage", wait=True)
assert bm.get_node("web-1").provision_state == "manageable"
try:
    bm.set_node_provision_state("web-1", "active")
    raise SystemExit("a refusal was expected")
except openstack.exceptions.BadRequestException as error:
    assert "can not be performed" in str(error), error
try:
    bm.get_node("web-9")
    raise SystemExit("a refusal was expected")
except openstack.exceptions.NotFoundException:
    pass
assert [port.address for port in bm.ports(node=node.id)] == ["52:54:00:00:00:01"]
drivers = [driver.name for driver in bm.drivers()]
assert drivers == ["manual", "ipmi", "redfish", "wol", "snmp"], drivers
"#;

#[test]
#[ignore = "needs a python3 with openstacksdk"]
fn openstacksdk_works_too() {
    let server = Server::open();
    server.lab().discover(1);
    server.lab().discover(2);
    server.command("python3", &["-c", SDK]).unwrap();
    assert_eq!(server.lab().state(0), ProvisionState::Manageable);
}
