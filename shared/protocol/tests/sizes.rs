//! Compares the computed largest sizes with the encoded largest values.

mod common;

use common::text;
use farrier_protocol::{PART_LEN, fit, message::*, size};
use heapless::{String, Vec};

fn full<const N: usize>() -> String<N> {
    text(&"x".repeat(N))
}

fn len(value: &impl serde::Serialize) -> usize {
    let mut buffer = [0; 32 * 1024];
    postcard::to_slice(value, &mut buffer).unwrap().len()
}

fn disk_id() -> DiskId {
    DiskId {
        serial: full(),
        size: u64::MAX,
    }
}

fn disk() -> Disk {
    Disk {
        id: disk_id(),
        name: full(),
        model: full(),
        vendor: full(),
        wwn: full(),
        hctl: full(),
        by_path: full(),
        rotational: true,
        block_size: u16::MAX,
        erase: EraseAbilities::default(),
    }
}

fn nic() -> Nic {
    Nic {
        name: full(),
        mac: Mac([0xff; 6]),
        driver: full(),
        speed_mbps: u32::MAX,
        carrier: true,
        ipv4: [0xff; 4],
        pci: [u16::MAX; 2],
        lldp: Some(LldpNeighbour {
            chassis: full(),
            port: full(),
        }),
    }
}

fn order(task: Task) -> Order {
    Order {
        node: NodeId([0xff; 16]),
        boot: BootId(u64::MAX),
        counter: u32::MAX,
        task,
    }
}

fn all<T: Clone, const N: usize>(one: T) -> Vec<T, N> {
    std::iter::repeat_n(one, N).collect()
}

#[test]
fn handshake() {
    let agent_handshake = AgentHandshake {
        version_min: u16::MAX,
        version_max: u16::MAX,
        boot_key: [0xff; 32],
        boot_mac: Mac([0xff; 6]),
        system_uuid: [0xff; 16],
        boot_mode: BootMode::Uefi,
    };
    assert_eq!(len(&agent_handshake), size::AGENT_HANDSHAKE);
    let handshake_reply = HandshakeReply {
        version: u16::MAX,
        node: NodeId([0xff; 16]),
        boot: BootId(u64::MAX),
    };
    assert_eq!(len(&handshake_reply), size::HANDSHAKE_REPLY);
}

#[test]
fn requests_and_replies() {
    let part = Request::Part(Part {
        statement: u32::MAX,
        index: u16::MAX,
        count: u16::MAX,
        bytes: &[0xff; PART_LEN],
    });
    assert_eq!(len(&part), size::REQUEST);
    let progress = Request::Progress(Progress {
        order: u32::MAX,
        step: AgentStep::Finish,
        done: u64::MAX,
        total: u64::MAX,
        rate: u32::MAX,
        peak_rss_kib: u32::MAX,
    });
    assert!(len(&progress) <= size::REQUEST);
    let text: String<40> = full();
    let neighbour = Request::Neighbour(Neighbour {
        mac: Mac([0xff; 6]),
        chassis: &text,
        port: &text,
        system: &text,
        description: &text,
    });
    assert_eq!(len(&neighbour), size::NEIGHBOUR);
    let reply = Reply::Order {
        body: &[0xff; size::ORDER],
        signature: &[0xff; 64],
    };
    assert_eq!(len(&reply), size::REPLY);
}

#[test]
fn orders() {
    let deploy = Deploy {
        disk: disk_id(),
        manifest_root: [0xff; 32],
        manifest_path: full(),
        data_path: full(),
        config_drive: Some(ConfigDrive {
            path: full(),
            length: u32::MAX,
            key: [0xff; 32],
            format: ConfigDriveFormat::GzipBase64,
        }),
    };
    assert_eq!(len(&deploy), size::DEPLOY);
    let erase = Task::Erase {
        disks: all(disk_id()),
        least: EraseMethod::Overwrite,
        seed: [0xff; 32],
    };
    assert_eq!(len(&erase), 1 + size::ERASE);
    let longest = len(&order(Task::Deploy(deploy))).max(len(&order(erase)));
    assert_eq!(longest, size::ORDER);
}

#[test]
fn statements() {
    assert_eq!(len(&disk()), size::DISK);
    assert_eq!(len(&nic()), size::NIC);
    let skipped = SkippedDevice {
        id: full(),
        name: full(),
        size: u64::MAX,
        reason: SkipReason::ReadOnly,
    };
    assert_eq!(len(&skipped), size::SKIPPED);
    let controller = Controller {
        id: full(),
        kind: full(),
    };
    assert_eq!(len(&controller), size::CONTROLLER);
    let mut inspection = Inspection {
        vendor: full(),
        product: full(),
        serial: full(),
        system_uuid: [0xff; 16],
        firmware: full(),
        boot_mode: BootMode::Uefi,
        cpu: Cpu {
            count: u16::MAX,
            model: full(),
            architecture: full(),
            mhz: u32::MAX,
        },
        memory_mib: u32::MAX,
        physical_memory_mib: u32::MAX,
        disks: all(disk()),
        nics: all(nic()),
        tpm2: true,
        skipped: all(skipped),
        controllers: all(controller),
        unlisted: u16::MAX,
        settled: true,
    };
    fit::shorten(&mut inspection);
    assert_eq!(inspection.disks.len(), MAX_DISKS);
    assert_eq!(len(&inspection), size::INSPECTION);
    let statement = |report| Statement {
        node: NodeId([0xff; 16]),
        boot: BootId(u64::MAX),
        counter: u32::MAX,
        order: u32::MAX,
        report,
    };
    assert_eq!(
        len(&statement(Report::Inspection(inspection))),
        size::STATEMENT
    );
    let certificate = Report::Erased(EraseCertificate {
        disk: disk_id(),
        method: EraseMethod::Overwrite,
        verified_bytes: u64::MAX,
        repaired_bytes: u64::MAX,
        millis: u64::MAX,
    });
    // An erase certificate, signature included, is at most 1 KiB.
    assert!(len(&statement(certificate)) + 64 <= 1024);
    let failure = Report::Failure(Failure {
        step: AgentStep::Finish,
        reason: Reason::Resources,
        text: full(),
    });
    assert!(len(&statement(failure)) <= size::STATEMENT);
}
