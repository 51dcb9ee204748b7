//! Converts texts of sysfs and procfs to an inspection report.
//!
//! The module decides where a serial number comes from and how orders name a disk.
//! [`super::devices`] decides what is a disk. [`crate::sys::hardware`] reads the texts.
//! Each of them can be missing or malformed.

use farrier_protocol::fit;
use farrier_protocol::message::{
    BootMode, Cpu, Disk, DiskId, EraseAbilities, HeardNeighbour, Inspection, LldpNeighbour,
    MAX_DISKS, MAX_NICS, Mac, Nic,
};
use heapless::String as Text;

use super::devices::{self, BusTexts, skip_reason};
use super::smbios::Smbios;

/// Bytes of a sector in sysfs's `size` files. It does not depend on the disk's
/// block size.
const SYSFS_SECTOR: u64 = 512;

/// The sysfs files of a block device as read: untrimmed, and empty if the file
/// does not exist.
#[derive(Debug, Clone, Default)]
pub struct DiskTexts {
    /// Name below `/sys/block`.
    pub name: String,
    /// The link's target below `/sys/devices`.
    pub device_path: String,
    /// `size`, in sectors of 512 bytes.
    pub size: String,
    /// `removable`.
    pub removable: String,
    /// `ro`.
    pub read_only: String,
    /// `hidden`: a path of a multi-path NVMe disk.
    pub hidden: String,
    /// `queue/rotational`.
    pub rotational: String,
    /// `queue/logical_block_size`.
    pub block_size: String,
    /// `queue/discard_max_bytes`.
    pub discard_max: String,
    /// `queue/write_zeroes_max_bytes`.
    pub write_zeroes_max: String,
    /// `device/model`.
    pub model: String,
    /// `device/vendor`.
    pub vendor: String,
    /// `serial` of virtio, `device/serial` of NVMe and MMC.
    pub serial: String,
    /// SCSI and ATA: page 0x80 of the vital product data, binary.
    pub vpd_page_80: Vec<u8>,
    /// `wwid` of NVMe, `device/wwid` of SCSI.
    pub wwid: String,
    /// Name of the `device` link's target: `0:0:0:0` for SCSI.
    pub device_name: String,
    /// `device/type`: 0 for SCSI disks, 5 for CD-ROMs.
    pub scsi_type: String,
}

/// The sysfs files of a network interface.
#[derive(Debug, Clone, Default)]
pub struct NicTexts {
    /// Name below `/sys/class/net`.
    pub name: String,
    /// `address`.
    pub address: String,
    /// Name of the `device/driver` link's target.
    pub driver: String,
    /// `speed` in Mbit/s; -1 if unknown.
    pub speed: String,
    /// `carrier`.
    pub carrier: String,
    /// `device/vendor`, as `0x8086`.
    pub pci_vendor: String,
    /// `device/device`.
    pub pci_device: String,
    /// IPv4 address, zero if there is none.
    pub ipv4: [u8; 4],
    /// What was heard by LLDP.
    pub lldp: Option<HeardNeighbour>,
}

/// The inputs of an inspection.
#[derive(Debug, Clone, Default)]
pub struct StringPool {
    /// `/proc/cpuinfo`.
    pub cpuinfo: String,
    /// `/proc/meminfo`.
    pub meminfo: String,
    /// `cpufreq/cpuinfo_max_freq` of the first processor, in kHz.
    pub max_khz: String,
    /// `uname -m`.
    pub machine: String,
    /// Whether the firmware is UEFI (`/sys/firmware/efi` is there).
    pub uefi: bool,
    /// `/sys/class/tpm/tpm0/tpm_version_major`.
    pub tpm_version: String,
    /// Block devices.
    pub disks: Vec<DiskTexts>,
    /// Interfaces that have a device.
    pub nics: Vec<NicTexts>,
    /// Devices of the buses that storage is attached to.
    pub buses: Vec<BusTexts>,
    /// Whether the kernel had initialised all devices before the texts were read.
    pub settled: bool,
}

/// Creates an inspection report. It sorts the disks by their bus paths. It counts
/// what finds no room, such as disks above
/// [`MAX_DISKS`](farrier_protocol::message::MAX_DISKS).
pub fn inspection(texts: &StringPool, smbios: &Smbios) -> Inspection {
    let mut disks: Vec<Disk> = texts.disks.iter().filter_map(disk).collect();
    disks.sort_by(|a, b| a.by_path.cmp(&b.by_path).then(a.name.cmp(&b.name)));
    let (skipped, more_skipped) = devices::skipped(&texts.disks, &disks);
    let (controllers, more_controllers) = devices::without_driver(&texts.buses);
    let more_disks = disks.len().saturating_sub(MAX_DISKS);
    let unlisted = more_disks + more_skipped + more_controllers;
    let mut nics: Vec<Nic> = texts.nics.iter().filter_map(nic).collect();
    nics.sort_by(|a, b| a.name.cmp(&b.name));
    let mut inspection = Inspection {
        vendor: text(&smbios.vendor),
        product: text(&smbios.product),
        serial: text(&smbios.serial),
        system_uuid: smbios.uuid,
        firmware: text(&smbios.firmware),
        boot_mode: if texts.uefi {
            BootMode::Uefi
        } else {
            BootMode::Bios
        },
        cpu: cpu(texts),
        memory_mib: field(&texts.meminfo, "MemTotal")
            .and_then(|value| value.trim_end_matches("kB").trim().parse::<u64>().ok())
            .map_or(0, |kib| saturating(kib / 1024)),
        physical_memory_mib: saturating(smbios.memory_mib),
        disks: disks.into_iter().take(MAX_DISKS).collect(),
        nics: nics.into_iter().take(MAX_NICS).collect(),
        tpm2: texts.tpm_version.trim() == "2",
        skipped,
        controllers,
        unlisted: u16::try_from(unlisted).unwrap_or(u16::MAX),
        settled: texts.settled,
    };
    fit::shorten(&mut inspection);
    inspection
}

/// Returns a block device as a disk, `None` if it can't be erased and written. See
/// [`super::devices::skip_reason`].
pub fn disk(texts: &DiskTexts) -> Option<Disk> {
    let size = number(&texts.size).checked_mul(SYSFS_SECTOR)?;
    if skip_reason(texts).is_some() {
        return None;
    }
    let name = texts.name.as_str();
    let bus = bus_path(texts);
    let serial = identifier(texts);
    Some(Disk {
        id: DiskId { serial, size },
        name: text(name),
        model: text(&texts.model),
        vendor: text(&texts.vendor),
        wwn: text(texts.wwid.trim()),
        hctl: if is_hctl(&texts.device_name) {
            text(&texts.device_name)
        } else {
            Text::new()
        },
        by_path: text(&bus),
        rotational: flag(&texts.rotational),
        block_size: u16::try_from(number(&texts.block_size))
            .unwrap_or(0)
            .max(512),
        erase: EraseAbilities {
            discard: number(&texts.discard_max) > 0,
            write_zeroes: number(&texts.write_zeroes_max) > 0,
        },
    })
}

/// Returns how orders name a disk: its serial number, or `@` and the bus path.
pub(super) fn identifier(texts: &DiskTexts) -> Text<40> {
    let serial = serial(texts);
    if serial.is_empty() {
        tail_text(&format!("@{}", bus_path(texts)), '@')
    } else {
        text(&serial)
    }
}

/// Returns the serial number from the device's file or from the vital product
/// data.
fn serial(texts: &DiskTexts) -> String {
    let plain = clean(&texts.serial);
    if !plain.is_empty() {
        return plain;
    }
    // SPC-4, 7.8.15: a header of four bytes, the last two of them the length.
    let page = match texts.vpd_page_80.as_slice() {
        [_, 0x80, high, low, text @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            text.get(..length).unwrap_or(text)
        }
        _ => &[],
    };
    clean(&String::from_utf8_lossy(page))
}

/// Removes unprintable characters and surrounding blanks.
fn clean(text: &str) -> String {
    let printable: String = text
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .collect();
    printable.trim().into()
}

/// Returns a path that does not depend on the order of discovery, in the form of
/// udev's by-path names: `pci-0000:00:1f.2-ata-1`, `pci-0000:00:04.0-nvme-1`.
fn bus_path(texts: &DiskTexts) -> String {
    let parts: Vec<&str> = texts.device_path.split('/').collect();
    let pci = parts.iter().rev().find(|part| is_pci_address(part));
    let detail = if let Some(port) = parts
        .iter()
        .find_map(|part| part.strip_prefix("ata"))
        .filter(|digits| all_digits(digits))
    {
        format!("ata-{port}")
    } else if let Some(namespace) = texts
        .name
        .strip_prefix("nvme")
        .and_then(|rest| rest.rsplit_once('n'))
        .map(|(_, namespace)| namespace)
    {
        format!("nvme-{namespace}")
    } else if is_hctl(&texts.device_name) {
        // The host number depends on the order of discovery.
        match texts.device_name.split_once(':') {
            Some((_, rest)) => format!("scsi-0:{rest}"),
            None => String::new(),
        }
    } else if let Some(part) = parts.iter().find(|part| part.starts_with("virtio")) {
        // A virtio function has one disk.
        match pci {
            Some(_) => String::new(),
            None => (*part).into(),
        }
    } else {
        texts.name.clone()
    };
    match (pci, detail.as_str()) {
        (Some(pci), "") => format!("pci-{pci}"),
        (Some(pci), detail) => format!("pci-{pci}-{detail}"),
        (None, detail) => detail.into(),
    }
}

/// `0000:00:1f.2`.
fn is_pci_address(part: &str) -> bool {
    let bytes = part.as_bytes();
    bytes.len() == 12
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b':',
            10 => *byte == b'.',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `2:0:0:0`.
fn is_hctl(name: &str) -> bool {
    name.split(':').count() == 4 && name.split(':').all(all_digits)
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn nic(texts: &NicTexts) -> Option<Nic> {
    let mac = super::cmdline::parse_mac(&texts.address).filter(|mac| *mac != [0; 6])?;
    Some(Nic {
        name: text(&texts.name),
        mac: Mac(mac),
        driver: text(&texts.driver),
        speed_mbps: texts
            .speed
            .trim()
            .parse::<i64>()
            .map_or(0, |speed| u32::try_from(speed).unwrap_or(0)),
        carrier: flag(&texts.carrier),
        ipv4: texts.ipv4,
        pci: [&texts.pci_vendor, &texts.pci_device].map(|id| {
            id.trim()
                .strip_prefix("0x")
                .and_then(|digits| u16::from_str_radix(digits, 16).ok())
                .unwrap_or(0)
        }),
        lldp: texts.lldp.as_ref().map(|heard| LldpNeighbour {
            chassis: heard.chassis.clone(),
            port: heard.port.clone(),
        }),
    })
}

fn cpu(texts: &StringPool) -> Cpu {
    let count = texts
        .cpuinfo
        .lines()
        .filter(|line| {
            line.split(':')
                .next()
                .is_some_and(|key| key.trim() == "processor")
        })
        .count();
    let khz = number(&texts.max_khz);
    let mhz = if khz > 0 {
        khz / 1000
    } else {
        field(&texts.cpuinfo, "cpu MHz")
            .and_then(|value| value.split('.').next()?.parse().ok())
            .unwrap_or(0)
    };
    Cpu {
        count: u16::try_from(count).unwrap_or(u16::MAX),
        model: text(field(&texts.cpuinfo, "model name").unwrap_or_default()),
        architecture: text(&texts.machine),
        mhz: saturating(mhz),
    }
}

/// Returns the value of the first line `key : value`.
fn field<'a>(lines: &'a str, key: &str) -> Option<&'a str> {
    lines
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
}

pub(super) fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

fn saturating(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub(super) fn flag(text: &str) -> bool {
    text.trim() == "1"
}

/// Returns the cleaned text, cut to `N` bytes.
pub(crate) fn text<const N: usize>(from: &str) -> Text<N> {
    let mut text = Text::new();
    for c in from.trim().chars().filter(|c| !c.is_control()) {
        if text.push(c).is_err() {
            break;
        }
    }
    text
}

/// Returns the end of a text behind `mark`. The end of a long bus path
/// distinguishes disks.
pub(super) fn tail_text<const N: usize>(from: &str, mark: char) -> Text<N> {
    if from.len() <= N {
        return text(from);
    }
    let start = (0..=from.len())
        .find(|&at| from.is_char_boundary(at) && from.len() - at < N)
        .unwrap_or(0);
    text(&format!("{mark}{}", &from[start..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sata() -> DiskTexts {
        DiskTexts {
            name: "sda".into(),
            device_path: "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda".into(),
            size: "2048\n".into(),
            removable: "0\n".into(),
            read_only: "0\n".into(),
            rotational: "1\n".into(),
            block_size: "512\n".into(),
            discard_max: "2147450880\n".into(),
            write_zeroes_max: "0\n".into(),
            model: "QEMU HARDDISK   \n".into(),
            vendor: "ATA     \n".into(),
            vpd_page_80: b"\0\x80\0\x14              SATA01".to_vec(),
            wwid: "t10.ATA QEMU HARDDISK\n".into(),
            device_name: "0:0:0:0".into(),
            scsi_type: "0\n".into(),
            ..DiskTexts::default()
        }
    }

    #[test]
    fn sata_disk_is_described() {
        let disk = disk(&sata()).unwrap();
        assert_eq!(disk.id.serial, "SATA01");
        assert_eq!(disk.id.size, 1 << 20);
        assert_eq!(disk.by_path, "pci-0000:00:1f.2-ata-1");
        assert_eq!(disk.hctl, "0:0:0:0");
        assert_eq!(disk.model, "QEMU HARDDISK");
        assert!(disk.rotational && disk.erase.discard && !disk.erase.write_zeroes);
    }

    #[test]
    fn nvme_disk_without_serial_is_named_by_its_path() {
        let mut texts = DiskTexts {
            name: "nvme0n1".into(),
            device_path: "pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1".into(),
            size: "16".into(),
            serial: "NVME01  \n".into(),
            block_size: "4096".into(),
            ..DiskTexts::default()
        };
        let first = disk(&texts).unwrap();
        assert_eq!(first.id.serial, "NVME01");
        assert_eq!(first.by_path, "pci-0000:00:04.0-nvme-1");
        assert_eq!(first.block_size, 4096);
        texts.serial.clear();
        assert_eq!(disk(&texts).unwrap().id.serial, "@pci-0000:00:04.0-nvme-1");
    }

    #[test]
    fn long_bus_path_keeps_its_end() {
        let name: Text<8> = tail_text("@0123456789", '@');
        assert_eq!(name, "@3456789");
    }

    #[test]
    fn other_block_devices_are_omitted() {
        let changes: [fn(&mut DiskTexts); 8] = [
            |t| t.name = "loop0".into(),
            |t| t.name = "sr0".into(),
            |t| t.size = "0".into(),
            |t| t.removable = "1\n".into(),
            |t| t.read_only = "1\n".into(),
            |t| t.hidden = "1\n".into(),
            |t| t.scsi_type = "5\n".into(),
            |t| t.device_path = "virtual/block/sda".into(),
        ];
        for change in changes {
            let mut texts = sata();
            change(&mut texts);
            assert_eq!(disk(&texts), None, "{texts:?}");
        }
    }

    #[test]
    fn server_is_described() {
        let texts = StringPool {
            cpuinfo: "processor\t: 0\nmodel name\t: QEMU Virtual CPU\ncpu MHz\t\t: 2100.5\n\n\
                      processor\t: 1\n"
                .into(),
            meminfo: "MemTotal:        1000448 kB\nMemFree: 1 kB\n".into(),
            machine: "x86_64".into(),
            uefi: true,
            tpm_version: "2\n".into(),
            disks: vec![sata(); MAX_DISKS + 4],
            nics: vec![
                NicTexts {
                    name: "eth0".into(),
                    address: "52:54:00:00:00:01\n".into(),
                    driver: "e1000".into(),
                    speed: "1000\n".into(),
                    carrier: "1\n".into(),
                    pci_vendor: "0x8086\n".into(),
                    pci_device: "0x100e\n".into(),
                    ..NicTexts::default()
                },
                NicTexts {
                    name: "eth1".into(),
                    address: "52:54:00:00:00:02\n".into(),
                    speed: "-1\n".into(),
                    ..NicTexts::default()
                },
            ],
            ..StringPool::default()
        };
        let inspection = inspection(&texts, &Smbios::default());
        assert_eq!(inspection.cpu.count, 2);
        assert_eq!(inspection.cpu.mhz, 2100);
        assert_eq!(inspection.memory_mib, 977);
        assert_eq!(inspection.disks.len(), MAX_DISKS);
        assert_eq!(inspection.unlisted, 4);
        assert!(!inspection.settled);
        assert_eq!(inspection.boot_mode, BootMode::Uefi);
        assert!(inspection.tpm2);
        assert_eq!(inspection.nics[0].pci, [0x8086, 0x100e]);
        assert_eq!(inspection.nics[0].speed_mbps, 1000);
        assert_eq!(inspection.nics[1].speed_mbps, 0);
    }
}
