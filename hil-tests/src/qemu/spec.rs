//! What a server is built of.

use std::ffi::OsString;

use crate::switch::Mac;

/// Which firmware the server starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS; the network card brings Debian's iPXE as its option ROM.
    Bios,
    /// OVMF; the card brings no ROM, so OVMF's own PXE and HTTP boot are used.
    Uefi,
}

/// A network card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NicModel {
    /// `virtio-net-pci`.
    Virtio,
    /// Intel 82540EM. OVMF has no driver for it.
    E1000,
}

/// One network card on one port of the switch.
#[derive(Debug, Clone)]
pub struct NicSpec {
    /// The card's kind.
    pub model: NicModel,
    /// Its address.
    pub mac: Mac,
}

/// How a disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskBus {
    /// The ICH9's AHCI controller.
    Sata,
    /// An NVMe controller with one namespace.
    Nvme,
    /// `virtio-blk-pci`.
    Virtio,
}

/// What is peculiar about a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peculiarity {
    /// Nothing.
    None,
    /// It can't be written.
    ReadOnly,
    /// Its medium can be taken out: a USB disk in QEMU.
    Removable,
    /// It keeps what is written in a memory that the next start of the machine finds
    /// empty, and answers from there. For light servers.
    Forgets,
}

/// One disk: a sparse raw file in the server's directory.
#[derive(Debug, Clone)]
pub struct DiskSpec {
    /// How it is attached.
    pub bus: DiskBus,
    /// Its size in bytes, a multiple of 512.
    pub bytes: u64,
    /// Its serial number, up to 20 characters.
    pub serial: String,
    /// Bytes that it reads or writes in a second, so that its work can be cut
    /// in the middle. For light servers: QEMU's disks are slow enough.
    pub rate: Option<u64>,
    /// What is peculiar about it.
    pub peculiarity: Peculiarity,
}

/// What the machine's SMBIOS says it is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// System UUID, in the usual text form.
    pub uuid: String,
    /// System serial number.
    pub serial: String,
    /// System manufacturer.
    pub vendor: String,
    /// System product name.
    pub product: String,
}

/// What the firmware boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boot {
    /// Every network card.
    Network,
    /// Every disk.
    Disk,
}

/// A server as it is ordered. All fields may be changed before
/// [`Server::new`](super::Server::new).
#[derive(Debug, Clone)]
pub struct ServerSpec {
    /// Names its files and its messages; unique in the rig.
    pub name: String,
    /// Its firmware.
    pub firmware: Firmware,
    /// RAM in MiB.
    pub memory_mib: u32,
    /// Its network cards; the first port given to the server is the first's.
    pub nics: Vec<NicSpec>,
    /// Its disks, all zero when new.
    pub disks: Vec<DiskSpec>,
    /// Whether it has a storage controller for which the ramdisk has no driver: an
    /// AMD Am53C974.
    pub strange_controller: bool,
    /// What it says it is.
    pub identity: Identity,
    /// What the firmware tries, in this order, over and over.
    pub boot: Vec<Boot>,
    /// OVMF tries HTTP boot over IPv4 from the first card before PXE.
    pub uefi_http_first: bool,
    /// With `Some(shift)`, one instruction takes 2^shift ns of the guest's
    /// time, so a run does not depend on the host's speed.
    pub icount: Option<u8>,
    /// QEMU's name of the processor model.
    pub cpu: String,
    /// More arguments for QEMU, behind all others.
    pub extra: Vec<OsString>,
}

impl ServerSpec {
    /// A small BIOS server: 1 GiB of RAM, one virtio card, one 4 GiB SATA
    /// disk, network first. `number` makes its addresses and serial numbers
    /// and must be unique in the rack.
    pub fn bios(name: &str, number: u8) -> Self {
        Self::small(name, number, Firmware::Bios, DiskBus::Sata)
    }

    /// The same as a UEFI server with an NVMe disk.
    pub fn uefi(name: &str, number: u8) -> Self {
        Self::small(name, number, Firmware::Uefi, DiskBus::Nvme)
    }

    fn small(name: &str, number: u8, firmware: Firmware, bus: DiskBus) -> Self {
        Self {
            name: name.to_owned(),
            firmware,
            memory_mib: 1024,
            // QEMU's prefix; the fourth byte keeps clear of its defaults.
            nics: vec![NicSpec {
                model: NicModel::Virtio,
                mac: Mac([0x52, 0x54, 0x00, 0xFA, 0x00, number]),
            }],
            disks: vec![DiskSpec {
                bus,
                bytes: 4 << 30,
                serial: format!("FARRIER-DISK-{number:03}"),
                rate: None,
                peculiarity: Peculiarity::None,
            }],
            strange_controller: false,
            identity: Identity {
                uuid: format!("fa000000-0000-4000-8000-{number:012}"),
                serial: format!("RACK-{number:03}"),
                vendor: "Farrier".to_owned(),
                product: "Virtual Server".to_owned(),
            },
            boot: vec![Boot::Network, Boot::Disk],
            uefi_http_first: false,
            icount: None,
            cpu: "max".to_owned(),
            extra: Vec::new(),
        }
    }
}
