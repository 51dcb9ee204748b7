//! The hardware that scripted agents report, and the DHCP messages of boot
//! ROMs.

use std::net::Ipv4Addr;

use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_protocol::message::{
    BootMode, Cpu, Disk, DiskId, EraseAbilities, Inspection, Mac, Nic,
};

/// A bounded text.
///
/// # Panics
/// Where it is too long.
#[must_use]
pub fn text<const N: usize>(text: &str) -> heapless::String<N> {
    let bounded = text.try_into();
    bounded.unwrap_or_else(|_| panic!("{text} is longer than {N} bytes"))
}

/// The Ethernet address of a machine.
#[must_use]
pub const fn mac_of(machine: u8) -> Mac {
    Mac([0x52, 0x54, 0, 0, 0, machine])
}

/// The identity of a disk.
#[must_use]
pub fn disk(serial: &str, size: u64) -> DiskId {
    DiskId {
        serial: text(serial),
        size,
    }
}

/// An interface with a cable, as an agent reports it.
#[must_use]
pub fn nic(machine: u8, driver: &str, speed_mbps: u32) -> Nic {
    Nic {
        name: text(if driver == "ib_ipoib" { "ib0" } else { "eth0" }),
        mac: mac_of(machine),
        driver: text(driver),
        speed_mbps,
        carrier: true,
        ipv4: [0; 4],
        pci: [0; 2],
        lldp: None,
    }
}

/// The inventory of a machine with these disks and no interfaces.
#[must_use]
pub fn inspection(disks: &[DiskId]) -> Inspection {
    Inspection {
        vendor: text("QEMU"),
        product: text("Standard PC"),
        serial: text("S1"),
        system_uuid: [1; 16],
        firmware: text("SeaBIOS"),
        boot_mode: BootMode::Bios,
        cpu: Cpu {
            count: 2,
            model: text("virtual"),
            architecture: text("x86_64"),
            mhz: 2000,
        },
        memory_mib: 970,
        physical_memory_mib: 1024,
        disks: disks.iter().cloned().map(listed).collect(),
        nics: heapless::Vec::new(),
        tpm2: false,
        skipped: heapless::Vec::new(),
        controllers: heapless::Vec::new(),
        unlisted: 0,
        settled: true,
    }
}

/// A disk as an inventory lists it.
#[must_use]
pub fn listed(id: DiskId) -> Disk {
    Disk {
        id,
        name: text("sda"),
        model: text("HARDDISK"),
        vendor: text("ATA"),
        wwn: heapless::String::new(),
        hctl: text("0:0:0:0"),
        by_path: text("pci-0000:00:1f.2-ata-1"),
        rotational: true,
        block_size: 512,
        erase: EraseAbilities::default(),
    }
}

/// Makes a DHCP request one of iPXE on a BIOS.
pub fn ipxe(request: &mut Request<'_>) {
    request.user_class = Some(b"iPXE");
    request.class_id = Some(b"PXEClient:Arch:00000:UNDI:002001");
}

/// A DHCP message of a machine, with the fields that `shape` sets.
///
/// # Panics
/// Where it is longer than 600 bytes.
#[must_use]
pub fn dhcp_message(kind: MessageType, mac: Mac, shape: impl FnOnce(&mut Request<'_>)) -> Vec<u8> {
    let mut request = Request::new(kind, 7, mac.0);
    shape(&mut request);
    let mut bytes = vec![0; 600];
    let length = request.emit(&mut bytes);
    bytes.truncate(length.unwrap_or_else(|error| panic!("no DHCP message: {error:?}")));
    bytes
}

/// What a machine learns from a DHCP reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// The reply's type.
    pub kind: MessageType,
    /// The address that it gives.
    pub address: Ipv4Addr,
    /// The boot file.
    pub file: Option<String>,
    /// For how long it is leased, in seconds.
    pub seconds: Option<u32>,
    /// The vendor class.
    pub class: Option<Vec<u8>>,
    /// The longest IP packet, in bytes.
    pub mtu: Option<u16>,
}

impl Lease {
    /// The path of the boot script on the appliance.
    ///
    /// # Panics
    /// Where the boot file is no script's URL.
    #[must_use]
    pub fn script(&self) -> &str {
        let file = self.file.as_deref().unwrap_or_default();
        let path = file.strip_prefix("http://172.22.0.1/");
        path.unwrap_or_else(|| panic!("no script's URL: {file}"))
    }

    /// Reads a reply; `None` where it does not parse.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let reply = Reply::parse(bytes).ok()?;
        Some(Lease {
            kind: reply.message_type,
            address: reply.yiaddr,
            seconds: reply.lease_secs,
            file: reply
                .boot_file
                .map(|file| String::from_utf8_lossy(file).into_owned()),
            class: reply.class_id.map(<[u8]>::to_vec),
            mtu: reply.mtu,
        })
    }
}
