//! The ramdisk: a compressed initramfs with agent, kernel modules and their index,
//! and a small second archive with the keys of an appliance.
//!
//! The kernel unpacks consecutive archives. The large archive is the same for every
//! appliance and is cached; the archive with the keys is created each time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::{Report, cpio::Archive, kernel::Kernel, modules::Modules, publish};

/// Compression level: the highest with a window of 8 MiB, which the server needs to
/// decompress.
const LEVEL: i32 = 19;
/// Version of the recipe. Increment it if a change of this code changes the result.
const RECIPE: u32 = 3;

/// The drivers of a ramdisk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// Drivers of virtual machines and of the devices that QEMU emulates.
    Virtual,
    /// Debian's storage and wired network drivers. There are no firmware files:
    /// Debian's main archive has none.
    Hardware,
}

impl Flavour {
    /// Returns the name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Virtual => "virtual",
            Self::Hardware => "hardware",
        }
    }

    /// Returns the largest size of the compressed ramdisk in bytes.
    pub fn budget(self) -> u64 {
        match self {
            Self::Virtual => 3 << 20,
            Self::Hardware => 16 << 20,
        }
    }

    /// Returns whether the flavour includes the module at a path.
    fn includes(self, path: &str) -> bool {
        match self {
            Self::Virtual => {
                let file = path.rsplit('/').next().unwrap_or(path);
                VIRTUAL.contains(&file.trim_end_matches(".ko"))
            }
            Self::Hardware => {
                let path = path.trim_start_matches("kernel/");
                HARDWARE.iter().any(|start| path.starts_with(start))
                    && !NOT_HARDWARE.iter().any(|start| path.starts_with(start))
            }
        }
    }
}

/// Small enough for every boot. What a virtual machine has beyond it (an SD host, an
/// NVDIMM) is reported as a controller without a driver.
const VIRTUAL: &[&str] = &[
    "virtio_pci",
    "virtio_mmio",
    "virtio_net",
    "virtio_blk",
    "virtio_scsi",
    "e1000",
    "e1000e",
    "ahci",
    "sd_mod",
    "nvme",
    "xhci_pci",
    "usb_storage",
];

/// Folders and files below `kernel/` with drivers of servers: to boot, and to find every
/// device that can hold a tenant's data (MMC, USB storage and NVDIMM included).
const HARDWARE: &[&str] = &[
    "drivers/acpi/nfit/",
    "drivers/ata/",
    "drivers/block/",
    "drivers/hv/",
    "drivers/message/",
    "drivers/mmc/core/",
    "drivers/mmc/host/",
    "drivers/net/ethernet/",
    "drivers/net/hyperv/",
    "drivers/net/mdio/",
    "drivers/net/phy/",
    "drivers/net/virtio_net.ko",
    "drivers/net/vmxnet3/",
    "drivers/net/xen-netfront.ko",
    "drivers/nvdimm/",
    "drivers/nvme/host/",
    "drivers/pci/controller/vmd.ko",
    "drivers/scsi/",
    "drivers/usb/host/",
    "drivers/usb/storage/",
    "drivers/virtio/",
    "drivers/xen/",
];

/// Exceptions that no server boots with: software devices, targets, old buses, laptop
/// cards.
const NOT_HARDWARE: &[&str] = &[
    "drivers/block/aoe/",
    "drivers/block/drbd/",
    "drivers/block/floppy.ko",
    "drivers/block/nbd.ko",
    "drivers/block/null_blk/",
    "drivers/block/pktcdvd.ko",
    "drivers/block/rbd.ko",
    "drivers/block/rnbd/",
    "drivers/block/zram/",
    "drivers/hv/hv_balloon.ko",
    "drivers/mmc/core/mmc_test.ko",
    "drivers/mmc/core/sdio_uart.ko",
    "drivers/net/ethernet/8390/",
    "drivers/net/ethernet/dec/",
    "drivers/net/ethernet/fujitsu/",
    "drivers/net/ethernet/stmicro/",
    "drivers/net/ethernet/xircom/",
    "drivers/nvme/host/nvme-fc.ko",
    "drivers/nvme/host/nvme-rdma.ko",
    "drivers/nvme/host/nvme-tcp.ko",
    "drivers/scsi/ch.ko",
    "drivers/scsi/fcoe/",
    "drivers/scsi/iscsi_tcp.ko",
    "drivers/scsi/osst.ko",
    "drivers/scsi/pcmcia/",
    "drivers/scsi/qla2xxx/tcm_qla2xxx.ko",
    "drivers/scsi/scsi_debug.ko",
    "drivers/scsi/st.ko",
    "drivers/usb/host/u132-hcd.ko",
    "drivers/usb/host/sl811_cs.ko",
    "drivers/usb/host/sl811-hcd.ko",
    "drivers/usb/host/r8a66597-hcd.ko",
    "drivers/virtio/virtio_input.ko",
    "drivers/xen/xen-scsiback.ko",
];

/// Builds the ramdisk of `flavour` without keys, or finds the cached one. Returns its
/// path in `cache`. Its length is a multiple of 512 bytes, so that another archive can
/// follow.
///
/// `agent` is the path of the static agent, which becomes `/init`.
/// `/lib/modules/<release>` has the modules with their signatures and
/// `modules.{alias,dep,softdep,builtin}`.
///
/// # Errors
/// A file can't be read or written, or the ramdisk exceeds its budget.
pub fn build(
    kernel: &Kernel,
    flavour: Flavour,
    agent: &Path,
    cache: &Path,
    report: Report<'_>,
) -> Result<PathBuf> {
    let agent = fs::read(agent).with_context(|| format!("cannot read {}", agent.display()))?;
    let finished = cache.join(format!(
        "ramdisk-{}-{}.img",
        flavour.name(),
        recipe_hash(kernel, flavour, &agent)
    ));
    if !finished.exists() {
        report("selecting kernel modules");
        let archive = fill(kernel, flavour, &agent)?;
        report("compressing the ramdisk");
        let mut image = zstd::bulk::compress(&archive, LEVEL)?;
        image.resize(image.len().next_multiple_of(512), 0);
        let unfinished = finished.with_extension("unfinished");
        fs::write(&unfinished, image)?;
        publish(&unfinished, &finished)?;
    }
    let size = fs::metadata(&finished)?.len();
    ensure!(
        size <= flavour.budget(),
        "the {} ramdisk has {size} bytes, {} are allowed",
        flavour.name(),
        flavour.budget()
    );
    Ok(finished)
}

fn fill(kernel: &Kernel, flavour: Flavour, agent: &[u8]) -> Result<Vec<u8>> {
    let modules = Modules::read(&kernel.modules)?;
    let selection = modules.select(|path| flavour.includes(path));
    let mut archive = Archive::new();
    for folder in ["dev", "etc", "proc", "run", "sys", "tmp"] {
        archive.folder(folder);
    }
    // The kernel opens it for PID 1 before the first mount.
    archive.character_device("dev/console", 0o600, 5, 1);
    archive.file("init", 0o755, agent);
    let base = format!("lib/modules/{}", kernel.release);
    for (name, text) in modules.index(&selection) {
        archive.file(&format!("{base}/{name}"), 0o644, text.as_bytes());
    }
    for (path, file) in modules.files(&selection) {
        archive.file(&format!("{base}/{path}"), 0o644, &fs::read(file)?);
    }
    Ok(archive.finish())
}

fn recipe_hash(kernel: &Kernel, flavour: Flavour, agent: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(RECIPE.to_le_bytes());
    hash.update(LEVEL.to_le_bytes());
    hash.update(flavour.name());
    hash.update(format!("{}\n{}\n", kernel.release, kernel.version));
    for list in [VIRTUAL, HARDWARE, NOT_HARDWARE] {
        hash.update(list.join("\n"));
    }
    hash.update(agent);
    crate::short_hex(hash)
}
