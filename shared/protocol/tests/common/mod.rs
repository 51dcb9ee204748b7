//! Example values for the tests of the protocol.
#![allow(dead_code, reason = "each test file uses a part of the module")]

use farrier_protocol::{
    client::{Handshake, HandshakeEntropy, Session as AgentSession},
    message::*,
    server::{self, Accepted, Keys, Session},
    signing::SecretKey,
    ticket::Ticket,
    version,
    wire::{Datagram, SessionId},
};
use heapless::{String, Vec};

pub const NODE: NodeId = NodeId([0x11; 16]);
pub const BOOT: BootId = BootId(300);
pub const SESSION: SessionId = SessionId(0x0102_0304);

pub fn text<const N: usize>(s: &str) -> String<N> {
    String::try_from(s).unwrap()
}

pub fn keys() -> Keys {
    Keys::new([0x21; 32], [0x22; 32])
}

pub fn order_key() -> SecretKey {
    SecretKey::from_bytes(&[0x23; 32])
}

pub fn boot_key() -> SecretKey {
    SecretKey::from_bytes(&[0x24; 32])
}

pub fn ticket() -> Ticket {
    Ticket::from_random(std::array::from_fn(|i| i as u8))
}

pub fn entropy() -> HandshakeEntropy {
    HandshakeEntropy {
        static_secret: [0x25; 32],
        ephemeral: [0x26; 32],
    }
}

pub fn agent_handshake() -> AgentHandshake {
    AgentHandshake {
        version_min: version::MIN,
        version_max: version::CURRENT,
        boot_key: boot_key().public().0,
        boot_mac: Mac([2, 0, 0, 0, 0, 1]),
        system_uuid: [0x31; 16],
        boot_mode: BootMode::Uefi,
    }
}

pub fn handshake_reply() -> HandshakeReply {
    HandshakeReply {
        version: version::CURRENT,
        node: NODE,
        boot: BOOT,
    }
}

pub fn handshake() -> Handshake {
    Handshake::new(keys().public(), &ticket(), &agent_handshake(), &entropy()).unwrap()
}

/// Answers a handshake as the appliance; the response is in `out`.
pub fn accept(datagram: &[u8], out: &mut [u8]) -> Result<Accepted, server::HandshakeError> {
    let Ok(Datagram::Init(init)) = Datagram::parse(datagram) else {
        panic!("no init");
    };
    server::accept(
        &keys(),
        &init,
        &ticket(),
        SESSION,
        |_| Ok(handshake_reply()),
        out,
    )
}

/// Returns both ends of a new session.
pub fn session() -> (AgentSession, Session) {
    let handshake = handshake();
    let mut out = [0; 1200];
    let accepted = accept(handshake.datagram(), &mut out).unwrap();
    let (agent, reply) = handshake.process(&out[..accepted.len]).unwrap();
    assert_eq!(reply, handshake_reply());
    assert_eq!(accepted.handshake, agent_handshake());
    (agent, accepted.session)
}

pub fn disk_id() -> DiskId {
    DiskId {
        serial: text("SERIAL-1"),
        size: 8 << 30,
    }
}

pub fn progress() -> Progress {
    Progress {
        order: 2,
        step: AgentStep::Write,
        done: 1 << 20,
        total: 1 << 31,
        rate: 1_000_000,
        peak_rss_kib: 9_000,
    }
}

pub fn erase() -> Task {
    Task::Erase {
        disks: Vec::from_slice(&[disk_id()]).unwrap(),
        least: EraseMethod::WriteZeroes,
        seed: [0x44; 32],
    }
}

pub fn reread() -> Task {
    Task::Reread {
        disks: Vec::from_slice(&[disk_id()]).unwrap(),
        seed: [0x44; 32],
    }
}

pub fn deploy() -> Task {
    Task::Deploy(Deploy {
        disk: disk_id(),
        manifest_root: [0x41; 32],
        manifest_path: text("/images/debian12.manifest"),
        data_path: text("/images/debian12.data"),
        config_drive: Some(ConfigDrive {
            path: text("/configdrive/1"),
            length: 4000,
            key: [0x42; 32],
            format: ConfigDriveFormat::GzipBase64,
        }),
    })
}

pub fn order(task: Task) -> Order {
    Order {
        node: NODE,
        boot: BOOT,
        counter: 2,
        task,
    }
}

pub fn statement(report: Report) -> Statement {
    Statement {
        node: NODE,
        boot: BOOT,
        counter: 3,
        order: 2,
        report,
    }
}

pub fn inspection() -> Inspection {
    Inspection {
        vendor: text("QEMU"),
        product: text("Standard PC (Q35 + ICH9, 2009)"),
        serial: text("n1"),
        system_uuid: [0x31; 16],
        firmware: text("EDK II 2022.11"),
        boot_mode: BootMode::Uefi,
        cpu: Cpu {
            count: 2,
            model: text("QEMU Virtual CPU"),
            architecture: text("x86_64"),
            mhz: 2_400,
        },
        memory_mib: 960,
        physical_memory_mib: 1024,
        disks: Vec::from_slice(&[Disk {
            id: disk_id(),
            name: text("nvme0n1"),
            model: text("QEMU NVMe Ctrl"),
            vendor: text(""),
            wwn: text("eui.1"),
            hctl: text(""),
            by_path: text("pci-0000:00:04.0-nvme-1"),
            rotational: false,
            block_size: 512,
            erase: EraseAbilities {
                discard: true,
                write_zeroes: true,
            },
        }])
        .unwrap(),
        nics: Vec::from_slice(&[Nic {
            name: text("enp0s2"),
            mac: Mac([2, 0, 0, 0, 0, 1]),
            driver: text("virtio_net"),
            speed_mbps: 10_000,
            carrier: true,
            ipv4: [192, 0, 2, 10],
            pci: [0x1af4, 0x1000],
            lldp: Some(LldpNeighbour {
                chassis: text("switch-1"),
                port: text("Ethernet1/7"),
            }),
        }])
        .unwrap(),
        tpm2: true,
        skipped: Vec::from_slice(&[SkippedDevice {
            id: text("USB-1"),
            name: text("sdb"),
            size: 4 << 30,
            reason: SkipReason::Removable,
        }])
        .unwrap(),
        controllers: Vec::from_slice(&[Controller {
            id: text("@pci-0000:00:05.0"),
            kind: text("1000:0012 class 010000"),
        }])
        .unwrap(),
        unlisted: 1,
        settled: true,
    }
}

pub fn erased() -> EraseCertificate {
    EraseCertificate {
        disk: disk_id(),
        method: EraseMethod::Discard,
        verified_bytes: 8 << 30,
        repaired_bytes: 4096,
        millis: 12_345,
    }
}

pub fn image_proof() -> ImageProof {
    ImageProof {
        disk: disk_id(),
        manifest_root: [0x41; 32],
        image_bytes: 2 << 30,
        fetched_bytes: 300 << 20,
        refetched_chunks: 1,
        config_drive: [0x43; 32],
        peak_rss_kib: 9_000,
        millis: 60_000,
    }
}

pub fn failure() -> Failure {
    Failure {
        step: AgentStep::VerifyImage,
        reason: Reason::ReadBack,
        text: text("chunk 7 reads back wrong"),
    }
}
