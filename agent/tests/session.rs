//! Runs the whole agent against an appliance on loopback: handshake, orders,
//! statements and final report, with lost datagrams and invalid orders.

mod support;

use std::collections::VecDeque;
use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use farrier_agent::agent::{Agent, Machine, Settings};
use farrier_agent::client::run as run_client;
use farrier_image::manifest::PublicKey as ImageKey;
use farrier_protocol::agent_client::{AgentClient, Config};
use farrier_protocol::client::HandshakeEntropy;
use farrier_protocol::message::{
    AgentHandshake, BootMode, Cpu, Deploy, Disk, DiskId, EraseAbilities, EraseMethod, FinalReport,
    Inspection, Mac, Reason, Report, SkipReason, SkippedDevice, Task,
};
use farrier_protocol::server::Keys;
use farrier_protocol::signing::SecretKey;
use support::appliance::{ApplianceEvent, FakeAppliance, IDENTITY, order_key, ticket};
use support::disk::{FakeDisk, Faults};
use support::http_server::FakeHttpServer;
use support::{make_image, noise, operator, raw_image};

const DISK: usize = 24 << 20;

struct Bench {
    disks: Vec<(Disk, FakeDisk)>,
    left: Mutex<Option<FinalReport>>,
    /// Inspections so far.
    inspections: AtomicUsize,
    /// What of the server changes after the first inspection.
    change: fn(&mut Inspection),
}

impl Machine for Bench {
    type Device = FakeDisk;

    fn inspect(&self) -> Inspection {
        let mut inspection = Inspection {
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
            skipped: Default::default(),
            controllers: Default::default(),
            unlisted: 0,
            settled: true,
        };
        if self.inspections.fetch_add(1, Ordering::Relaxed) > 0 {
            (self.change)(&mut inspection);
        }
        inspection
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

    fn log(&self, line: &str) {
        println!("{line}");
    }

    fn fault(&self) -> Option<String> {
        None
    }

    fn leave(&self, report: FinalReport) {
        *self.left.lock().unwrap() = Some(report);
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

/// Runs an agent with `disks` through `tasks` and a reboot. Returns all reports
/// and the final report. `loses` drops every n-th datagram.
fn run(
    disks: Vec<(Disk, FakeDisk)>,
    http_server: &FakeHttpServer,
    tasks: Vec<Task>,
    key: SecretKey,
    loses: Option<u32>,
) -> (Vec<Report>, Option<FinalReport>) {
    run_changing(disks, http_server, tasks, key, loses, |_| {})
}

/// The same on a server that changes after the first inspection.
fn run_changing(
    disks: Vec<(Disk, FakeDisk)>,
    http_server: &FakeHttpServer,
    tasks: Vec<Task>,
    key: SecretKey,
    loses: Option<u32>,
    change: fn(&mut Inspection),
) -> (Vec<Report>, Option<FinalReport>) {
    let (sender, events) = channel();
    let mut tasks = VecDeque::from(tasks);
    let plan = Box::new(move |_: &[Report]| Some(tasks.pop_front().unwrap_or(Task::Reboot)));
    let appliance = FakeAppliance::start("127.0.0.1:0", key, loses, plan, sender);
    let bench = Arc::new(Bench {
        disks,
        left: Mutex::new(None),
        inspections: AtomicUsize::new(0),
        change,
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
    drop(run_client(&socket, client, agent, || {}));
    appliance.thread.join().unwrap();
    let left = *bench.left.lock().unwrap();
    (reports(&events), left)
}

fn reports(events: &Receiver<ApplianceEvent>) -> Vec<Report> {
    events
        .try_iter()
        .filter_map(|event| match event {
            ApplianceEvent::Report(_, report) => Some(*report),
            _ => None,
        })
        .collect()
}

#[test]
fn agent_inspects_erases_deploys_and_reboots() {
    let (first, second) = (
        FakeDisk::new(noise(1, DISK), 512, Faults::default()),
        FakeDisk::new(noise(2, DISK), 512, Faults::default()),
    );
    let raw = raw_image(4 << 20, 512);
    let (made, data) = make_image(&raw);
    let http_server = FakeHttpServer::open("127.0.0.1:0");
    http_server.put("/m", made.manifest);
    http_server.put("/d", data);
    let tasks = vec![
        Task::Inspect,
        Task::Erase {
            disks: [id("SDA"), id("SDB")].into_iter().collect(),
            least: EraseMethod::Discard,
            seed: [8; 32],
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
    // The appliance drops every fifth datagram.
    let (reports, left) = run(disks, &http_server, tasks, order_key(), Some(5));
    assert_eq!(left, Some(FinalReport::Reboot));
    let [
        Report::Inspection(inspection),
        Report::Erased(one),
        Report::Erased(two),
        Report::Done,
        Report::ImageWritten(proof),
    ] = reports.as_slice()
    else {
        panic!("{reports:?}");
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
fn impossible_erase_order_fails_without_a_write() {
    let disk = FakeDisk::new(noise(1, DISK), 512, Faults::default());
    let mut smaller = id("SDA");
    smaller.size -= 512;
    let erase = |disks: &[DiskId]| Task::Erase {
        disks: disks.iter().cloned().collect(),
        least: EraseMethod::Discard,
        seed: [8; 32],
    };
    let http_server = FakeHttpServer::open("127.0.0.1:0");
    let tasks = vec![
        erase(&[id("SDA"), id("OTHER")]),
        erase(&[smaller]),
        erase(&[]),
    ];
    let disks = vec![described("sda", &disk)];
    let (reports, _) = run(disks, &http_server, tasks, order_key(), None);
    let reasons: Vec<Reason> = reports
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
    assert_eq!(disk.writes(), 0, "the agent wrote to the disk that exists");

    let (reports, _) = run(
        vec![],
        &http_server,
        vec![erase(&[id("SDA")])],
        order_key(),
        None,
    );
    let [Report::Failure(failure)] = reports.as_slice() else {
        panic!("{reports:?}");
    };
    assert_eq!(failure.reason, Reason::NoDisks);
}

#[test]
fn order_for_a_duplicate_serial_number_fails() {
    let disk = FakeDisk::new(noise(1, DISK), 512, Faults::default());
    let mut duplicate = described("sda", &disk);
    duplicate.0.name = "sdb".try_into().unwrap();
    let task = Task::Erase {
        disks: [id("SDA")].into_iter().collect(),
        least: EraseMethod::Discard,
        seed: [8; 32],
    };
    let http_server = FakeHttpServer::open("127.0.0.1:0");
    let (reports, _) = run(
        vec![described("sda", &disk), duplicate],
        &http_server,
        vec![task],
        order_key(),
        None,
    );
    let [Report::Failure(failure)] = reports.as_slice() else {
        panic!("{reports:?}");
    };
    assert_eq!(failure.reason, Reason::DiskMissing);
    assert_eq!(disk.writes(), 0);
}

#[test]
fn every_failed_disk_is_reported() {
    let faulty = |at| {
        let faults = Faults {
            unreadable: Some(at),
            ..Faults::default()
        };
        FakeDisk::new(noise(1, DISK), 512, faults)
    };
    let disks = vec![
        described("sda", &faulty(5 << 20)),
        described(
            "sdb",
            &FakeDisk::new(noise(2, DISK), 512, Faults::default()),
        ),
        described("sdc", &faulty(9 << 20)),
    ];
    let task = Task::Erase {
        disks: [id("SDA"), id("SDB"), id("SDC")].into_iter().collect(),
        least: EraseMethod::Discard,
        seed: [8; 32],
    };
    let http_server = FakeHttpServer::open("127.0.0.1:0");
    let (reports, left) = run(disks, &http_server, vec![task], order_key(), None);
    assert_eq!(left, Some(FinalReport::Reboot));
    let [
        Report::Erased(certificate),
        Report::Failure(first),
        Report::Failure(second),
    ] = reports.as_slice()
    else {
        panic!("{reports:?}");
    };
    assert_eq!(certificate.disk, id("SDB"));
    assert_eq!(first.reason, Reason::DiskRead);
    assert!(
        first.text.starts_with("2 disks failed. disk SDA "),
        "{first:?}"
    );
    assert_eq!(second.reason, Reason::DiskRead);
    assert!(second.text.starts_with("disk SDC "), "{second:?}");
}

#[test]
fn erasure_fails_where_the_devices_are_not_those_of_the_inspection() {
    let erase = |disk: &str| Task::Erase {
        disks: [id(disk)].into_iter().collect(),
        least: EraseMethod::Discard,
        seed: [8; 32],
    };
    let reread = |disk: &str| Task::Reread {
        disks: [id(disk)].into_iter().collect(),
        seed: [8; 32],
    };
    let late: fn(&mut Inspection) = |inspection| {
        let mut disk = inspection.disks[0].clone();
        disk.id.serial = "LATE".try_into().unwrap();
        inspection.disks.push(disk).unwrap();
    };
    let skipped: fn(&mut Inspection) = |inspection| {
        let device = SkippedDevice {
            id: "FAILED".try_into().unwrap(),
            name: "sdb".try_into().unwrap(),
            size: 0,
            reason: SkipReason::NoSize,
        };
        inspection.skipped.push(device).unwrap();
    };
    for (change, named) in [
        (late, "LATE"),
        (skipped, "FAILED"),
        (|i| i.settled = false, "initialises"),
    ] {
        for task in [erase("SDA"), reread("SDA")] {
            let disk = FakeDisk::new(noise(1, DISK), 512, Faults::default());
            let http_server = FakeHttpServer::open("127.0.0.1:0");
            let (reports, _) = run_changing(
                vec![described("sda", &disk)],
                &http_server,
                vec![Task::Inspect, task],
                order_key(),
                None,
                change,
            );
            let [Report::Inspection(_), Report::Failure(failure)] = reports.as_slice() else {
                panic!("{reports:?}");
            };
            assert_eq!(failure.reason, Reason::DevicesChanged);
            assert!(failure.text.contains(named), "{}", failure.text);
            assert_eq!(disk.writes(), 0);
        }
    }
}
