//! What flavors may ask for, read out of an inspection.

use crate::node::HardwareFeatures;
use farrier_protocol::digest::Inspection;

/// Drivers of Ethernet interfaces that can do RDMA.
const ROCE: [&str; 6] = ["mlx4", "mlx5", "bnxt", "irdm", "ice", "qede"];

/// The speed of the fastest interface that has a carrier, in units of
/// 100 Mbit/s, and the parts that were found.
pub(crate) fn parts(found: &Inspection) -> (u16, HardwareFeatures) {
    let mut parts = HardwareFeatures::default();
    for disk in &found.disks {
        let kind = match disk.rotational {
            true => HardwareFeatures::HDD,
            false => HardwareFeatures::SSD,
        };
        parts.insert(kind);
        if disk.name.is("nvme") {
            parts.insert(HardwareFeatures::NVME);
        }
    }
    let mut link = 0;
    for nic in &found.nics {
        let infiniband = nic.name.is("ib");
        if infiniband {
            parts.insert(HardwareFeatures::INFINIBAND);
        }
        let rdma = ROCE.iter().any(|driver| nic.driver.is(driver));
        if rdma && !infiniband {
            parts.insert(HardwareFeatures::ROCE);
        }
        if nic.carrier {
            link = link.max(nic.speed_mbps / 100);
        }
    }
    if found.tpm2 {
        parts.insert(HardwareFeatures::TPM2);
    }
    (u16::try_from(link).unwrap_or(u16::MAX), parts)
}
