//! The whole agent against an appliance on loopback: handshake, orders,
//! statements, farewell - with lost datagrams and wrong orders.

mod support;

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use farrier_agent::agent::{Agent, Machine, Settings};
use farrier_agent::client::converse;
use farrier_image::manifest::PublicKey as ImageKey;
use farrier_protocol::agent_client::{AgentClient, Config};
use farrier_protocol::client::HandshakeEntropy;
use farrier_protocol::message::{
    AgentHandshake, BootMode, Cpu, Deploy, Disk, DiskId, EraseAbilities, EraseMethod, FinalReport,
    Inspection, Mac, Reason, Report, Task,
};
use farrier_protocol::server::Keys;
use farrier_protocol::signing::SecretKey;
use support::appliance::{FakeAppliance, IDENTITY, News, order_key, ticket};
use support::disk::{FakeDisk, Faults};
use support::http_server::FakeDoor;
use support::{make_image, noise, operator, raw_image};

const DISK: usize = 24 << 20;

struct Bench {
    disks: Vec<(Disk, FakeDisk)>,
    left: Mutex<Option<FinalReport>>,
}

impl Machine for Bench {
    type Device = FakeDisk;

    fn inspect(&self) -> Inspection {
        Inspection {
            vendor: Default::default(),
            product: "bench".try_into().unwrap(),
            serial: Default::default(),
            system_uuid: [0; 16],
            firmware: Default::default(),
            boot_mode: BootMode::Bios,
            cpu: Cpu {
                count: 1,
                model: Default::default(),
                architecture: Default::default(),
                mhz: 0,
            },
            memory_mib: 0,
            physical_memory_mib: 0,
            disks: self.disks.iter().map(|(disk, _)| disk.clone()).collect(),
            nics: Default::default(),
            tpm2: false,
        }
    }

    fn open(&self, disk: &Disk) -> io::Result<FakeDisk> {
        let found = self.disks.iter().find(|(known, _)| known.name == disk.name);
        Ok(found.ok_or(io::ErrorKind::NotFound)?.1.clone())
    }

    fn random(&self) -> [u8; 16] {
        [6; 16]
    }

    fn peak_rss_kib(&self) -> u32 {
        1
    }

    fn say(&self, line: &str) {
        println!("{line}");
    }

    fn fault(&self) -> Option<String> {
        None
    }

    fn leave(&self, farewell: FinalReport) {
        *self.left.lock().unwrap() = Some(farewell);
    }
}

fn described(name: &str, disk: &FakeDisk) -> (Disk, FakeDisk) {
    let description = Disk {
        id: id(&name.to_uppercase()),
        name: name.try_into().unwrap(),
        model: Default::default(),
        vendor: Default::default(),
        wwn: Default::default(),
        hctl: Default::default(),
        by_path: Default::default(),
        rotational: false,
        block_size: 512,
        erase: EraseAbilities {
            discard: true,
            write_zeroes: true,
        },
    };
    (description, disk.clone())
}

fn id(serial: &str) -> DiskId {
    DiskId {
        serial: serial.try_into().unwrap(),
        size: DISK as u64,
    }
}

/// Runs an agent with these disks through these tasks; a reboot follows.
fn run(
    disks: Vec<(Disk, FakeDisk)>,
    http_server: &FakeDoor,
    tasks: Vec<Task>,
    key: SecretKey,
    loses: Option<u32>,
) -> (Vec<Report>, Option<FinalReport>) {
    let (news, heard) = channel();
    let mut tasks = VecDeque::from(tasks);
    let plan = Box::new(move |_: &[Report]| Some(tasks.pop_front().unwrap_or(Task::Reboot)));
    let appliance = FakeAppliance::start("127.0.0.1:0", key, loses, plan, news);
    let bench = Arc::new(Bench {
        disks,
        left: Mutex::new(None),
    });
    let settings = Settings {
        image_key: ImageKey(operator().public().0),
        http_server: http_server.address,
    };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(appliance.address).unwrap();
    let client = AgentClient::new(Config {
        appliance: *Keys::new(IDENTITY, [0; 32]).public(),
        orders: order_key().public(),
        ticket: ticket(),
        handshake: AgentHandshake {
            version_min: 0,
            version_max: 0,
            boot_key: [0; 32],
            boot_mac: Mac([2, 0, 0, 0, 0, 1]),
            system_uuid: [0; 16],
            boot_mode: BootMode::Uefi,
        },
        boot_key: SecretKey::from_bytes(&[11; 32]),
        entropy: HandshakeEntropy {
            static_secret: [12; 32],
            ephemeral: [13; 32],
        },
    })
    .unwrap();
    let agent = Agent::new(Arc::clone(&bench), settings);
    drop(converse(&socket, client, agent, || {}));
    appliance.thread.join().unwrap();
    let left = *bench.left.lock().unwrap();
    (facts(&heard), left)
}

fn facts(heard: &Receiver<News>) -> Vec<Report> {
    heard
        .try_iter()
        .filter_map(|news| match news {
            News::Report(_, report) => Some(*report),
            _ => None,
        })
        .collect()
}

#[test]
fn inspect_erase_deploy_reboot() {
    let (first, second) = (
        FakeDisk::new(noise(1, DISK), 512, Faults::default()),
        FakeDisk::new(noise(2, DISK), 512, Faults::default()),
    );
    let raw = raw_image(4 << 20, 512);
    let (made, data) = make_image(&raw);
    let http_server = FakeDoor::open("127.0.0.1:0");
    http_server.put("/m", made.manifest);
    http_server.put("/d", data);
    let tasks = vec![
        Task::Inspect,
        Task::Erase {
            disks: [id("SDA"), id("SDB")].into_iter().collect(),
            least: EraseMethod::Discard,
        },
        Task::Deploy(Deploy {
            disk: id("SDB"),
            manifest_root: made.root,
            manifest_path: "/m".try_into().unwrap(),
            data_path: "/d".try_into().unwrap(),
            config_drive: None,
        }),
    ];
    let disks = vec![described("sda", &first), described("sdb", &second)];
    // Every fifth datagram is lost on its way.
    let (facts, left) = run(disks, &http_server, tasks, order_key(), Some(5));
    assert_eq!(left, Some(FinalReport::Reboot));
    let [
        Report::Inspection(inspection),
        Report::Erased(one),
        Report::Erased(two),
        Report::Done,
        Report::ImageWritten(proof),
    ] = facts.as_slice()
    else {
        panic!("{facts:?}");
    };
    assert_eq!(inspection.disks.len(), 2);
    assert_ne!(one.disk, two.disk);
    assert_eq!(one.verified_bytes, DISK as u64);
    assert_eq!(proof.manifest_root, made.root);
    assert_eq!(proof.peak_rss_kib, 1);
    assert!(first.bytes().iter().all(|&byte| byte == 0));
    let middle = 1 << 20..3 << 20;
    assert!(second.bytes()[middle.clone()] == raw[middle]);
}

#[test]
fn orders_that_can_not_be_carried_out() {
    let disk = FakeDisk::new(noise(1, DISK), 512, Faults::default());
    let mut smaller = id("SDA");
    smaller.size -= 512;
    let erase = |disks: &[DiskId]| Task::Erase {
        disks: disks.iter().cloned().collect(),
        least: EraseMethod::Discard,
    };
    let http_server = FakeDoor::open("127.0.0.1:0");
    let tasks = vec![
        erase(&[id("SDA"), id("OTHER")]),
        erase(&[smaller]),
        erase(&[]),
    ];
    let disks = vec![described("sda", &disk)];
    let (facts, _) = run(disks, &http_server, tasks, order_key(), None);
    let reasons: Vec<Reason> = facts
        .iter()
        .map(|report| match report {
            Report::Failure(failure) => failure.reason,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        reasons,
        [Reason::DiskMissing, Reason::DiskMissing, Reason::NoDisks]
    );
    assert_eq!(disk.writes(), 0, "not even the disk that is there");

    let (facts, _) = run(
        vec![],
        &http_server,
        vec![erase(&[id("SDA")])],
        order_key(),
        None,
    );
    let [Report::Failure(failure)] = facts.as_slice() else {
        panic!("{facts:?}");
    };
    assert_eq!(failure.reason, Reason::NoDisks);
}

#[test]
fn two_disks_with_one_name_are_no_disk() {
    let disk = FakeDisk::new(noise(1, DISK), 512, Faults::default());
    let mut twin = described("sda", &disk);
    twin.0.name = "sdb".try_into().unwrap();
    let task = Task::Erase {
        disks: [id("SDA")].into_iter().collect(),
        least: EraseMethod::Discard,
    };
    let http_server = FakeDoor::open("127.0.0.1:0");
    let (facts, _) = run(
        vec![described("sda", &disk), twin],
        &http_server,
        vec![task],
        order_key(),
        None,
    );
    let [Report::Failure(failure)] = facts.as_slice() else {
        panic!("{facts:?}");
    };
    assert_eq!(failure.reason, Reason::DiskMissing);
    assert_eq!(disk.writes(), 0);
}
