//! What flavors may ask for, read out of an inspection.

use crate::node::Parts;
use farrier_protocol::summary::Inspection;

/// Drivers of Ethernet interfaces that can do RDMA.
const ROCE: [&str; 6] = ["mlx4", "mlx5", "bnxt", "irdm", "ice", "qede"];

/// The speed of the fastest interface that has a carrier, in units of
/// 100 Mbit/s, and the parts that were found.
pub(crate) fn parts(found: &Inspection) -> (u16, Parts) {
    let mut parts = Parts::default();
    for disk in &found.disks {
        let kind = match disk.rotational {
            true => Parts::HDD,
            false => Parts::SSD,
        };
        parts.add(kind, true);
        parts.add(Parts::NVME, disk.name.is("nvme"));
    }
    let mut link = 0;
    for nic in &found.nics {
        let infiniband = nic.name.is("ib");
        parts.add(Parts::INFINIBAND, infiniband);
        let rdma = ROCE.iter().any(|driver| nic.driver.is(driver));
        parts.add(Parts::ROCE, rdma && !infiniband);
        if nic.carrier {
            link = link.max(nic.speed_mbps / 100);
        }
    }
    parts.add(Parts::TPM2, found.tpm2);
    (u16::try_from(link).unwrap_or(u16::MAX), parts)
}
