//! The machine that the rig describes, as the agent sees it: the texts that
//! sysfs would show go through the agent's own reader.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use farrier_agent::agent::Machine;
use farrier_agent::engine::cmdline::parse_mac;
use farrier_agent::engine::devices::BusTexts;
use farrier_agent::engine::inventory::{self, DiskTexts, NicTexts, StringPool};
use farrier_agent::engine::lldp;
use farrier_agent::engine::smbios::Smbios;
use farrier_agent::sys::{console, peak_rss_kib, random};
use farrier_protocol::message::{Disk, FinalReport, HeardNeighbour, Inspection};
use serde::Deserialize;

use crate::disk::{Discard, FileDisk, Memory};

/// Exit status of a process whose machine reboots.
const EXIT_REBOOT: i32 = 64;
/// Exit status of a process whose machine powers off.
const EXIT_POWER_OFF: i32 = 65;
/// Bytes of a sector in sysfs.
const SECTOR: u64 = 512;

/// What the rig says about the machine.
#[derive(Debug, Clone, Deserialize)]
pub struct Description {
    /// The kernel's command line.
    pub cmdline: String,
    /// Folder of the keys that came with the ramdisk.
    pub keys: PathBuf,
    /// UDP port of localhost that leads to the appliance's agent port.
    pub agent_port: u16,
    /// TCP port of localhost that leads to the appliance's HTTP server.
    pub http_port: u16,
    /// Whether the firmware is UEFI.
    pub uefi: bool,
    /// The address that DHCP gave.
    pub address: Ipv4Addr,
    /// SMBIOS: manufacturer, product, serial number.
    pub vendor: String,
    /// Product name.
    pub product: String,
    /// Serial number.
    pub serial: String,
    /// UUID, in hexadecimal, with or without hyphens.
    pub uuid: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Whether there is a storage controller without a driver.
    pub strange_controller: bool,
    /// Network cards.
    pub nics: Vec<NicDescription>,
    /// Disks.
    pub disks: Vec<DiskDescription>,
}

/// One network card.
#[derive(Debug, Clone, Deserialize)]
pub struct NicDescription {
    /// Its address, with colons.
    pub mac: String,
    /// The file with the last LLDP frame that came by it, if there is one.
    pub lldp: PathBuf,
}

/// One disk.
#[derive(Debug, Clone, Deserialize)]
pub struct DiskDescription {
    /// The file.
    pub path: PathBuf,
    /// `sata`, `nvme` or `virtio`.
    pub bus: Bus,
    /// Serial number.
    pub serial: String,
    /// Bytes a second, where it is slow.
    pub rate: Option<u64>,
    /// Whether the kernel shows it as read-only.
    pub read_only: bool,
    /// Whether the kernel shows it as removable.
    pub removable: bool,
    /// Whether what is written is gone when this process ends.
    pub forgets: bool,
}

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bus {
    /// ATA behind an AHCI controller.
    Sata,
    /// An NVMe namespace.
    Nvme,
    /// A virtio block device.
    Virtio,
}

/// The machine.
#[derive(Debug)]
pub struct HostMachine {
    /// As the rig describes it.
    pub description: Description,
    /// The same as the agent reads it out of SMBIOS.
    pub smbios: Smbios,
    boot_mac: [u8; 6],
    /// Contents of the disks that forget, by their place.
    memories: Vec<Memory>,
}

impl HostMachine {
    /// The machine with this boot interface.
    ///
    /// # Errors
    /// The UUID is none.
    pub fn new(description: Description, boot_mac: [u8; 6]) -> Result<Self> {
        let digits: String = description.uuid.chars().filter(|c| *c != '-').collect();
        let uuid = u128::from_str_radix(&digits, 16)
            .with_context(|| format!("the UUID {}", description.uuid))?
            .to_be_bytes();
        let smbios = Smbios {
            vendor: description.vendor.clone(),
            product: description.product.clone(),
            serial: description.serial.clone(),
            uuid,
            firmware: "Farrier light server".into(),
            memory_mib: description.memory_mib,
        };
        let disks = description.disks.iter();
        let memories = disks.map(|disk| Memory::new(disk.forgets)).collect();
        Ok(Self {
            description,
            smbios,
            boot_mac,
            memories,
        })
    }

    /// One of the keys that came with the ramdisk: 32 bytes.
    ///
    /// # Errors
    /// The file is not there or has another length.
    pub fn key(&self, name: &str) -> Result<[u8; 32]> {
        let path = self.description.keys.join(name);
        let bytes = fs::read(&path).with_context(|| format!("{}", path.display()))?;
        bytes
            .as_slice()
            .try_into()
            .with_context(|| format!("{} is not 32 bytes long", path.display()))
    }

    fn texts(&self) -> StringPool {
        let disks = self.description.disks.iter().enumerate();
        StringPool {
            cpuinfo: "processor\t: 0\nmodel name\t: Farrier light server\n".into(),
            meminfo: format!("MemTotal: {} kB\n", self.description.memory_mib * 1024),
            machine: "x86_64".into(),
            uefi: self.description.uefi,
            disks: disks.map(|(index, disk)| disk_texts(index, disk)).collect(),
            nics: self
                .description
                .nics
                .iter()
                .enumerate()
                .map(|(place, card)| self.card_texts(place, card))
                .collect(),
            buses: vec![BusTexts {
                bus: "pci".into(),
                name: "0000:00:1e.0".into(),
                class: "0x010000".into(),
                vendor: "0x1022".into(),
                device: "0x2020".into(),
                driver: match self.description.strange_controller {
                    true => String::new(),
                    false => "ahci".into(),
                },
                ..BusTexts::default()
            }],
            settled: true,
            ..StringPool::default()
        }
    }
}

impl HostMachine {
    fn card_texts(&self, place: usize, card: &NicDescription) -> NicTexts {
        let boots = parse_mac(&card.mac) == Some(self.boot_mac);
        NicTexts {
            name: format!("enp0s{}", 3 + place),
            address: card.mac.clone(),
            driver: "virtio_net".into(),
            speed: "-1".into(),
            carrier: "1".into(),
            pci_vendor: "0x1af4".into(),
            pci_device: "0x1000".into(),
            ipv4: match boots {
                true => self.description.address.octets(),
                false => [0; 4],
            },
            lldp: card.heard(),
        }
    }
}

impl NicDescription {
    fn heard(&self) -> Option<HeardNeighbour> {
        lldp::heard(parse_mac(&self.mac)?, &fs::read(&self.lldp).ok()?)
    }
}

/// Name of a disk below `/sys/block`.
fn name(index: usize, bus: Bus) -> String {
    let letter = u8::try_from(index).map_or('z', |index| char::from(b'a' + index.min(25)));
    match bus {
        Bus::Sata => format!("sd{letter}"),
        Bus::Nvme => format!("nvme{index}n1"),
        Bus::Virtio => format!("vd{letter}"),
    }
}

/// What sysfs shows of a disk like those that QEMU imitates.
fn disk_texts(index: usize, disk: &DiskDescription) -> DiskTexts {
    let name = name(index, disk.bus);
    let size = fs::metadata(&disk.path).map_or(0, |meta| meta.len());
    let common = DiskTexts {
        size: (size / SECTOR).to_string(),
        removable: u8::from(disk.removable).to_string(),
        read_only: u8::from(disk.read_only).to_string(),
        rotational: "0".into(),
        block_size: SECTOR.to_string(),
        discard_max: "2147450880".into(),
        ..DiskTexts::default()
    };
    let slot = index + 4;
    match disk.bus {
        Bus::Sata => {
            let mut page = vec![0, 0x80, 0, disk.serial.len() as u8];
            page.extend(disk.serial.bytes());
            DiskTexts {
                device_path: format!(
                    "pci0000:00/0000:00:1f.2/ata{}/host{index}/target{index}:0:0/{index}:0:0:0/block/{name}",
                    index + 1
                ),
                name,
                model: "LIGHT HARDDISK".into(),
                vendor: "ATA".into(),
                vpd_page_80: page,
                device_name: format!("{index}:0:0:0"),
                scsi_type: "0".into(),
                rotational: "1".into(),
                write_zeroes_max: "0".into(),
                ..common
            }
        }
        Bus::Nvme => DiskTexts {
            device_path: format!("pci0000:00/0000:00:{slot:02x}.0/nvme/nvme{index}/{name}"),
            name,
            model: "Light NVMe".into(),
            serial: disk.serial.clone(),
            device_name: format!("nvme{index}"),
            write_zeroes_max: "131072".into(),
            ..common
        },
        Bus::Virtio => DiskTexts {
            device_path: format!("pci0000:00/0000:00:{slot:02x}.0/virtio{index}/block/{name}"),
            name,
            vendor: "0x1af4".into(),
            serial: disk.serial.clone(),
            device_name: format!("virtio{index}"),
            write_zeroes_max: "2147483136".into(),
            ..common
        },
    }
}

impl Machine for HostMachine {
    type Device = FileDisk;

    fn inspect(&self) -> Inspection {
        inventory::inspection(&self.texts(), &self.smbios)
    }

    fn neighbours(&self) -> Vec<HeardNeighbour> {
        let cards = self.description.nics.iter();
        cards.filter_map(NicDescription::heard).collect()
    }

    fn open(&self, disk: &Disk) -> io::Result<FileDisk> {
        let mut disks = self.description.disks.iter().enumerate();
        let (index, found) = disks
            .find(|(index, known)| name(*index, known.bus) == disk.name.as_str())
            .ok_or(io::ErrorKind::NotFound)?;
        let discard = match found.bus {
            Bus::Sata => Discard::Ignored,
            Bus::Nvme | Bus::Virtio => Discard::Zeroes,
        };
        let memory = self.memories.get(index).cloned().unwrap_or_default();
        FileDisk::open(&found.path, discard, found.rate, memory)
    }

    fn random(&self) -> [u8; 16] {
        random()
    }

    fn peak_rss_kib(&self) -> u32 {
        peak_rss_kib()
    }

    fn log(&self, line: &str) {
        console::log(line);
    }

    /// A fault of the process ends it, which the rig sees.
    fn fault(&self) -> Option<String> {
        None
    }

    fn leave(&self, last: FinalReport) {
        let (text, status) = match last {
            FinalReport::Reboot => ("rebooting", EXIT_REBOOT),
            FinalReport::PowerOff => ("powering off", EXIT_POWER_OFF),
        };
        console::log(text);
        std::process::exit(status);
    }
}
