//! Decides which block devices are no disks and why, and which storage controllers
//! no driver serves.
//!
//! Nothing that the kernel shows is left out of the inspection: a device is a disk,
//! or it is skipped with a reason. A list that is full is counted.

use farrier_protocol::message::{
    Controller, Disk, MAX_CONTROLLERS, MAX_SKIPPED, SkipReason, SkippedDevice,
};

use super::inventory::{DiskTexts, flag, identifier, number, tail_text, text};

/// A device of a bus, as sysfs describes it: untrimmed, and empty if the file does
/// not exist.
#[derive(Debug, Clone, Default)]
pub struct BusTexts {
    /// The bus: `pci`, `virtio`, `usb`, `scsi`, `mmc`, `nd` or `acpi`.
    pub bus: String,
    /// Name below `/sys/bus/BUS/devices`.
    pub name: String,
    /// What the device is: `class` of PCI, `device` of virtio, `bInterfaceClass` of
    /// USB, `type` of SCSI and MMC, `size` of an NVDIMM's namespace, `hid` of ACPI.
    pub class: String,
    /// `vendor` of PCI.
    pub vendor: String,
    /// `device` of PCI.
    pub device: String,
    /// Name of the `driver` link's target.
    pub driver: String,
    /// `holder` of an NVDIMM's namespace: another device that uses it.
    pub holder: String,
}

/// Returns why a block device is no disk that the agent erases and writes, `None` if
/// it is one.
pub fn skip_reason(texts: &DiskTexts) -> Option<SkipReason> {
    const VIRTUAL: [&str; 5] = ["loop", "ram", "zram", "dm-", "md"];
    let name = texts.name.as_str();
    let virtual_device = texts.device_path.split('/').any(|part| part == "virtual")
        // With multi-path, NVMe namespaces are below a virtual subsystem.
        && !name.starts_with("nvme");
    let scsi_type = texts.scsi_type.trim();
    if virtual_device || VIRTUAL.iter().any(|prefix| name.starts_with(prefix)) {
        Some(SkipReason::Virtual)
    } else if name.starts_with("sr") || scsi_type == "5" {
        Some(SkipReason::Optical)
    } else if flag(&texts.hidden) {
        Some(SkipReason::Hidden)
    } else if number(&texts.size) == 0 {
        Some(without_size(texts))
    } else if name.contains("rpmb") {
        Some(SkipReason::Rpmb)
    } else if name.contains("boot") {
        Some(SkipReason::BootArea)
    } else if !matches!(scsi_type, "" | "0" | "20" | "disk" | "SD" | "MMC") {
        Some(SkipReason::NotDisk)
    } else if flag(&texts.removable) || name.starts_with("fd") {
        Some(SkipReason::Removable)
    } else if flag(&texts.read_only) {
        Some(SkipReason::ReadOnly)
    } else if !matches!(number(&texts.block_size), 0 | 512 | 1024 | 2048 | 4096) {
        Some(SkipReason::BlockSize)
    } else {
        None
    }
}

/// Returns what a device without a size is: a drive that nothing was put into, or a
/// disk whose content the kernel can't reach.
fn without_size(texts: &DiskTexts) -> SkipReason {
    // The kernel calls ATA disks in bays for hot plugging removable, and they never lack
    // a medium.
    let is_ata = texts.device_path.split('/').any(|part| {
        let port = part.strip_prefix("ata");
        port.is_some_and(|port| port.parse::<u32>().is_ok())
    });
    if (flag(&texts.removable) || texts.name.starts_with("fd")) && !is_ata {
        SkipReason::NoMedium
    } else {
        SkipReason::NoSize
    }
}

/// Returns the block devices that are no disks, those that can hold a tenant's data
/// first, and the number of those without room.
pub(super) fn skipped(
    devices: &[DiskTexts],
    disks: &[Disk],
) -> (heapless::Vec<SkippedDevice, MAX_SKIPPED>, usize) {
    let mut all: Vec<SkippedDevice> = devices
        .iter()
        .filter_map(|texts| {
            let reason = match skip_reason(texts)? {
                SkipReason::Hidden if is_path_of(&texts.name, disks) => SkipReason::Path,
                reason => reason,
            };
            Some(SkippedDevice {
                id: skipped_id(texts, reason),
                name: text(&texts.name),
                size: number(&texts.size).saturating_mul(512),
                reason,
            })
        })
        .collect();
    all.sort_by(|a, b| {
        let key = |device: &SkippedDevice| !device.reason.is_unproven();
        key(a).cmp(&key(b)).then(a.name.cmp(&b.name))
    });
    let more = all.len().saturating_sub(MAX_SKIPPED);
    (all.into_iter().take(MAX_SKIPPED).collect(), more)
}

fn skipped_id(texts: &DiskTexts, reason: SkipReason) -> heapless::String<40> {
    let id = identifier(texts);
    match reason {
        SkipReason::BootArea | SkipReason::Rpmb if !id.ends_with(texts.name.as_str()) => {
            tail_text(&format!("{id} {}", texts.name), '@')
        }
        _ => id,
    }
}

/// Returns whether a hidden device is a path of a listed multi-path disk:
/// `nvme0c1n2` is a path of `nvme0n2`.
fn is_path_of(name: &str, disks: &[Disk]) -> bool {
    let head = || {
        let (subsystem, rest) = name.strip_prefix("nvme")?.split_once('c')?;
        let (_, namespace) = rest.split_once('n')?;
        Some(format!("nvme{subsystem}n{namespace}"))
    };
    head().is_some_and(|head| disks.iter().any(|disk| disk.name == head.as_str()))
}

/// Returns the storage controllers and devices without a driver, and the number of
/// those without room.
pub(super) fn without_driver(
    devices: &[BusTexts],
) -> (heapless::Vec<Controller, MAX_CONTROLLERS>, usize) {
    let mut all: Vec<Controller> = devices.iter().filter_map(controller).collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    let more = all.len().saturating_sub(MAX_CONTROLLERS);
    (all.into_iter().take(MAX_CONTROLLERS).collect(), more)
}

/// Returns a device of a bus if it is for storage and has no driver.
pub fn controller(texts: &BusTexts) -> Option<Controller> {
    if !texts.driver.is_empty() {
        return None;
    }
    let class = texts.class.trim();
    let code = u32::from_str_radix(class.trim_start_matches("0x"), 16).unwrap_or(0);
    let (stores, kind) = match texts.bus.as_str() {
        // Class 01: mass storage. 08 05: SD and MMC hosts.
        "pci" => (
            code >> 16 == 0x01 || code >> 8 == 0x0805,
            format!(
                "{}:{} class {code:06x}",
                texts.vendor.trim().trim_start_matches("0x"),
                texts.device.trim().trim_start_matches("0x")
            ),
        ),
        // Virtio 1.2, section 5: block device, SCSI host, persistent memory.
        "virtio" => (matches!(code, 2 | 8 | 27), format!("virtio device {code}")),
        "usb" => (code == 8, "USB storage".into()),
        // Disks of the SCSI types that `sd` serves.
        "scsi" => (
            matches!(class, "0" | "7" | "14" | "20"),
            format!("SCSI device type {class}"),
        ),
        "mmc" => (matches!(class, "MMC" | "SD"), format!("{class} card")),
        "nd" => (
            texts.name.starts_with("namespace")
                && number(class) > 0
                && texts.holder.trim().is_empty(),
            "NVDIMM namespace".into(),
        ),
        // ACPI 6.5, section 9.19: the root of all NVDIMMs.
        "acpi" => (class == "ACPI0012", "NVDIMM root".into()),
        _ => (false, String::new()),
    };
    stores.then(|| Controller {
        id: tail_text(&format!("@{}-{}", texts.bus, texts.name), '@'),
        kind: text(&kind),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, change: impl FnOnce(&mut DiskTexts)) -> DiskTexts {
        let mut texts = DiskTexts {
            name: name.into(),
            device_path: format!("pci0000:00/0000:00:1f.2/ata1/host0/block/{name}"),
            size: "2048\n".into(),
            removable: "0\n".into(),
            read_only: "0\n".into(),
            hidden: "0\n".into(),
            block_size: "512\n".into(),
            serial: format!("S-{name}"),
            ..DiskTexts::default()
        };
        change(&mut texts);
        texts
    }

    #[test]
    fn every_reason_is_found() {
        let found = [
            (device("sda", |_| {}), None),
            (device("pmem0", |t| t.block_size = "4096\n".into()), None),
            (
                device("sdb", |t| t.read_only = "1\n".into()),
                Some(SkipReason::ReadOnly),
            ),
            (
                device("sdc", |t| t.removable = "1\n".into()),
                Some(SkipReason::Removable),
            ),
            (device("fd0", |_| {}), Some(SkipReason::Removable)),
            (
                device("nvme0c0n1", |t| t.hidden = "1\n".into()),
                Some(SkipReason::Hidden),
            ),
            (
                device("mmcblk0boot1", |t| t.read_only = "1\n".into()),
                Some(SkipReason::BootArea),
            ),
            (device("mmcblk0rpmb", |_| {}), Some(SkipReason::Rpmb)),
            (
                device("sdd", |t| t.scsi_type = "1\n".into()),
                Some(SkipReason::NotDisk),
            ),
            (
                device("sde", |t| t.block_size = "520\n".into()),
                Some(SkipReason::BlockSize),
            ),
            (
                device("sdf", |t| {
                    t.size = "0\n".into();
                    t.removable = "1\n".into();
                    t.device_path = "pci0000:00/0000:00:14.0/usb1/1-2/host9/block/sdf".into();
                }),
                Some(SkipReason::NoMedium),
            ),
            // A disk that failed, also in a bay for hot plugging, and a namespace in a
            // format that the kernel does not know.
            (
                device("sdf", |t| t.size = "0\n".into()),
                Some(SkipReason::NoSize),
            ),
            (
                device("sdf", |t| {
                    t.size = "0\n".into();
                    t.removable = "1\n".into();
                }),
                Some(SkipReason::NoSize),
            ),
            (
                device("nvme0n1", |t| {
                    t.size = "0\n".into();
                    t.device_path = "pci0000:00/0000:00:03.0/nvme/nvme0/nvme0n1".into();
                }),
                Some(SkipReason::NoSize),
            ),
            (
                device("nvme0c0n1", |t| {
                    t.size = "0\n".into();
                    t.hidden = "1\n".into();
                }),
                Some(SkipReason::Hidden),
            ),
            (
                device("sr0", |t| t.removable = "1\n".into()),
                Some(SkipReason::Optical),
            ),
            (device("loop0", |_| {}), Some(SkipReason::Virtual)),
            (
                device("sdg", |t| t.device_path = "virtual/block/sdg".into()),
                Some(SkipReason::Virtual),
            ),
        ];
        for (texts, reason) in found {
            assert_eq!(skip_reason(&texts), reason, "{texts:?}");
        }
    }

    #[test]
    fn unproven_devices_come_first_and_none_is_lost() {
        let mut devices: Vec<DiskTexts> = (0..80)
            .map(|n| device(&format!("loop{n:02}"), |_| {}))
            .collect();
        devices.push(device("sdb", |t| t.read_only = "1\n".into()));
        devices.push(device("mmcblk0boot0", |_| {}));
        let (listed, more) = skipped(&devices, &[]);
        assert_eq!((listed.len(), more), (MAX_SKIPPED, 18));
        assert_eq!(listed[0].id, "S-mmcblk0boot0");
        assert_eq!((listed[1].id.as_str(), listed[1].size), ("S-sdb", 1 << 20));
        let boot = device("mmcblk0boot0", |t| t.serial = "0x1234".into());
        let (listed, _) = skipped(&[boot], &[]);
        assert_eq!(listed[0].id, "0x1234 mmcblk0boot0");
    }

    #[test]
    fn path_of_listed_disk_is_no_device_of_its_own() {
        let hidden = |name: &str| device(name, |t| t.hidden = "1\n".into());
        let disk = crate::engine::inventory::disk(&device("nvme0n2", |_| {})).unwrap();
        let disks = [disk];
        let (listed, _) = skipped(&[hidden("nvme0c1n2"), hidden("nvme0c1n3")], &disks);
        assert_eq!(listed[0].reason, SkipReason::Hidden);
        assert_eq!(listed[1].reason, SkipReason::Path);
    }

    #[test]
    fn storage_without_driver_is_found_on_every_bus() {
        let on = |bus: &str, name: &str, class: &str| BusTexts {
            bus: bus.into(),
            name: name.into(),
            class: class.into(),
            vendor: "0x1000\n".into(),
            device: "0x0012\n".into(),
            ..BusTexts::default()
        };
        let found = [
            (on("pci", "0000:00:05.0", "0x010000\n"), true),
            (on("pci", "0000:00:06.0", "0x080501\n"), true),
            (on("pci", "0000:00:07.0", "0x020000\n"), false),
            (on("virtio", "virtio1", "0x0002\n"), true),
            (on("virtio", "virtio0", "0x0001\n"), false),
            (on("usb", "1-1:1.0", "08\n"), true),
            (on("usb", "1-2:1.0", "03\n"), false),
            (on("scsi", "0:0:0:0", "0\n"), true),
            (on("scsi", "0:0:1:0", "13\n"), false),
            (on("mmc", "mmc0:0001", "MMC\n"), true),
            (on("mmc", "mmc1:0001", "SDIO\n"), false),
            (on("nd", "namespace0.0", "1073741824\n"), true),
            (on("nd", "namespace0.1", "0\n"), false),
            (on("nd", "region0", "1073741824\n"), false),
            (on("acpi", "ACPI0012:00", "ACPI0012\n"), true),
            (on("acpi", "PNP0103:00", "PNP0103\n"), false),
        ];
        for (texts, expected) in &found {
            assert_eq!(controller(texts).is_some(), *expected, "{texts:?}");
            let bound = BusTexts {
                driver: "some".into(),
                ..texts.clone()
            };
            assert_eq!(controller(&bound), None);
        }
        let first = controller(&found[0].0).unwrap();
        assert_eq!(first.id, "@pci-0000:00:05.0");
        assert_eq!(first.kind, "1000:0012 class 010000");
        let many = vec![found[0].0.clone(); MAX_CONTROLLERS + 3];
        let (listed, more) = without_driver(&many);
        assert_eq!((listed.len(), more), (MAX_CONTROLLERS, 3));
    }
}
