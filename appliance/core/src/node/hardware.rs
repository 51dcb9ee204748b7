//! What the rack reads out of an inspection before it acts on it: who the machine
//! is, its quantities, and what flavors may ask for.

use super::{Architecture, HardwareFeatures};
use farrier_protocol::borrowed::Inspection;
use farrier_protocol::digest::fingerprint;
use farrier_protocol::message::{MAX_NICS, Mac};
use heapless::Vec;

/// Drivers of Ethernet interfaces that can do RDMA.
const ROCE: [&str; 6] = ["mlx4", "mlx5", "bnxt", "irdm", "ice", "qede"];

/// An inspection without its texts and disks: those stay in the bytes of the
/// statement, because there is no room for them on the stack.
pub(crate) struct Found {
    pub(crate) system_uuid: [u8; 16],
    /// The [`fingerprint`] of the system's serial number.
    pub(crate) serial: u32,
    /// The interfaces.
    pub(crate) macs: Vec<Mac, MAX_NICS, u8>,
    pub(crate) cpus: u16,
    pub(crate) memory_mib: u32,
    pub(crate) architecture: Architecture,
    /// How many disks.
    pub(crate) disks: usize,
    /// Size of the largest in GiB.
    pub(crate) local_gib: u32,
    /// The speed of the fastest interface that has a carrier, in units of
    /// 100 Mbit/s.
    pub(crate) link: u16,
    /// What else was found.
    pub(crate) parts: HardwareFeatures,
}

impl Found {
    /// Reads an inspection.
    pub(crate) fn new(inspection: &Inspection<'_>) -> Self {
        let server = &inspection.server;
        let mut parts = HardwareFeatures::default();
        let mut largest = 0;
        for disk in inspection.disks.iter() {
            largest = largest.max(disk.id.size);
            parts.insert(match disk.rotational {
                true => HardwareFeatures::HDD,
                false => HardwareFeatures::SSD,
            });
            if disk.name.starts_with("nvme") {
                parts.insert(HardwareFeatures::NVME);
            }
        }
        let mut macs = Vec::new();
        let mut link = 0;
        for nic in inspection.nics.iter() {
            // It has room for as many as an inspection has.
            let _never = macs.push(nic.mac);
            let infiniband = nic.name.starts_with("ib");
            if infiniband {
                parts.insert(HardwareFeatures::INFINIBAND);
            }
            let rdma = ROCE.iter().any(|driver| nic.driver.starts_with(driver));
            if rdma && !infiniband {
                parts.insert(HardwareFeatures::ROCE);
            }
            if nic.carrier {
                link = link.max(nic.speed_mbps / 100);
            }
        }
        if inspection.tpm2 {
            parts.insert(HardwareFeatures::TPM2);
        }
        Self {
            system_uuid: server.system_uuid,
            serial: fingerprint(&server.serial),
            macs,
            cpus: server.cpu.count,
            memory_mib: server.memory_mib,
            architecture: Architecture::new(&server.cpu.architecture),
            disks: inspection.disks.len(),
            local_gib: u32::try_from(largest >> 30).unwrap_or(u32::MAX),
            link: u16::try_from(link).unwrap_or(u16::MAX),
            parts,
        }
    }
}
