//! Reads the hardware inventory from sysfs and procfs.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use farrier_protocol::message::HeardNeighbour;

use super::{bytes, text};
use crate::engine::devices::BusTexts;
use crate::engine::inventory::{DiskTexts, NicTexts, StringPool};
use crate::engine::settle::Listing;
use crate::engine::smbios::Smbios;

/// Reads the SMBIOS tables; the default if there are none.
pub fn smbios() -> Smbios {
    Smbios::parse(
        &bytes("/sys/firmware/dmi/tables/smbios_entry_point"),
        &bytes("/sys/firmware/dmi/tables/DMI"),
    )
}

/// Returns whether UEFI firmware started the kernel.
pub fn is_uefi() -> bool {
    Path::new("/sys/firmware/efi").exists()
}

/// Reads the texts of an inspection. `settled` says whether the kernel has
/// initialised all devices, `address_of` returns the address of an interface,
/// `neighbour_of` what was heard by LLDP on it.
pub fn gather(
    settled: bool,
    address_of: impl Fn(&str) -> Option<Ipv4Addr>,
    neighbour_of: impl Fn(&str) -> Option<HeardNeighbour>,
) -> StringPool {
    StringPool {
        cpuinfo: text("/proc/cpuinfo"),
        meminfo: text("/proc/meminfo"),
        max_khz: text("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"),
        machine: rustix::system::uname()
            .machine()
            .to_string_lossy()
            .into_owned(),
        uefi: is_uefi(),
        tpm_version: text("/sys/class/tpm/tpm0/tpm_version_major"),
        disks: names("/sys/block").iter().map(|name| disk(name)).collect(),
        nics: interfaces()
            .iter()
            .map(|name| NicTexts {
                lldp: neighbour_of(name),
                ..nic(name, address_of(name))
            })
            .collect(),
        buses: BUSES
            .iter()
            .flat_map(|(bus, class)| {
                let all = names(&format!("/sys/bus/{bus}/devices"));
                all.into_iter().map(|name| bus_device(bus, class, name))
            })
            .collect(),
        settled,
    }
}

/// The buses that storage is attached to, and the file that says what a device is.
const BUSES: [(&str, &str); 7] = [
    ("pci", "class"),
    ("virtio", "device"),
    ("usb", "bInterfaceClass"),
    ("scsi", "type"),
    ("mmc", "type"),
    ("nd", "size"),
    ("acpi", "hid"),
];

/// Lists the devices, for [`Settle`](crate::engine::settle::Settle).
pub fn listing() -> Listing {
    let mut listing = Listing::default();
    for (bus, _) in BUSES {
        let folder = Path::new("/sys/bus").join(bus).join("devices");
        for name in names(&folder.to_string_lossy()) {
            let device = folder.join(&name);
            let driver = link_name(&device.join("driver"));
            // The SCSI disk driver is bound before it has asked the disk for its size,
            // and waits while the disk spins up.
            listing.pending += usize::from(driver == "sd" && !device.join("block").exists());
            listing.devices.insert(format!("{bus} {name} {driver}"));
        }
    }
    for name in names("/sys/block") {
        let size = text(Path::new("/sys/block").join(&name).join("size"));
        listing
            .devices
            .insert(format!("block {name} {}", size.trim()));
    }
    for name in names("/sys/class/nvme") {
        let controller = Path::new("/sys/class/nvme").join(&name);
        let state = text(controller.join("state"));
        let starts = matches!(state.trim(), "new" | "resetting" | "connecting");
        let is_local = text(controller.join("transport")).trim() == "pcie";
        listing.pending += usize::from(starts && is_local);
        listing
            .devices
            .insert(format!("nvme {name} {}", state.trim()));
    }
    for name in names("/sys/class/scsi_host") {
        let path = fs::canonicalize(Path::new("/sys/class/scsi_host").join(&name));
        let is_ata = path.is_ok_and(|path| path.to_string_lossy().contains("/ata"));
        if !is_ata {
            listing.hosts.insert(name.clone());
        }
        listing.devices.insert(format!("host {name}"));
    }
    listing
}

fn bus_device(bus: &str, class: &str, name: String) -> BusTexts {
    let folder = Path::new("/sys/bus").join(bus).join("devices").join(&name);
    let read = |file: &str| text(folder.join(file));
    BusTexts {
        bus: bus.into(),
        name,
        class: read(class),
        vendor: read("vendor"),
        device: read("device"),
        driver: link_name(&folder.join("driver")),
        holder: read("holder"),
    }
}

/// Returns the names of the interfaces that have a device.
pub fn interfaces() -> Vec<String> {
    let mut names = names("/sys/class/net");
    names.retain(|name| {
        Path::new("/sys/class/net")
            .join(name)
            .join("device")
            .exists()
    });
    names
}

/// Returns the interface with this MAC address.
pub fn interface_by_mac(mac: [u8; 6]) -> Option<String> {
    interfaces().into_iter().find(|name| {
        let address = text(Path::new("/sys/class/net").join(name).join("address"));
        crate::engine::cmdline::parse_mac(&address) == Some(mac)
    })
}

/// Returns the index of an interface.
pub fn interface_index(name: &str) -> Option<u32> {
    text(Path::new("/sys/class/net").join(name).join("ifindex"))
        .trim()
        .parse()
        .ok()
}

/// Returns whether an interface that is up has a carrier.
pub fn has_carrier(name: &str) -> bool {
    text(Path::new("/sys/class/net").join(name).join("carrier")).trim() == "1"
}

fn disk(name: &str) -> DiskTexts {
    let folder = Path::new("/sys/block").join(name);
    let read = |file: &str| text(folder.join(file));
    let first = |files: &[&str]| {
        files
            .iter()
            .map(|file| read(file))
            .find(|text| !text.trim().is_empty())
            .unwrap_or_default()
    };
    DiskTexts {
        name: name.into(),
        device_path: fs::canonicalize(&folder)
            .ok()
            .and_then(|path| {
                let path = path.strip_prefix("/sys/devices").ok()?;
                Some(path.to_string_lossy().into_owned())
            })
            .unwrap_or_default(),
        size: read("size"),
        removable: read("removable"),
        read_only: read("ro"),
        hidden: read("hidden"),
        rotational: read("queue/rotational"),
        block_size: read("queue/logical_block_size"),
        discard_max: read("queue/discard_max_bytes"),
        write_zeroes_max: read("queue/write_zeroes_max_bytes"),
        model: first(&["device/model", "device/name"]),
        vendor: read("device/vendor"),
        serial: first(&["serial", "device/serial"]),
        vpd_page_80: bytes(folder.join("device/vpd_pg80")),
        wwid: first(&["wwid", "device/wwid"]),
        device_name: link_name(&folder.join("device")),
        scsi_type: read("device/type"),
    }
}

fn nic(name: &str, address: Option<Ipv4Addr>) -> NicTexts {
    let folder = Path::new("/sys/class/net").join(name);
    let read = |file: &str| text(folder.join(file));
    NicTexts {
        name: name.into(),
        address: read("address"),
        driver: link_name(&folder.join("device/driver")),
        speed: read("speed"),
        carrier: read("carrier"),
        pci_vendor: read("device/vendor"),
        pci_device: read("device/device"),
        ipv4: address.map(|address| address.octets()).unwrap_or_default(),
        lldp: None,
    }
}

/// Returns the last component of a link's target.
fn link_name(link: &Path) -> String {
    fs::read_link(link)
        .ok()
        .and_then(|target| Some(target.file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_default()
}

fn names(folder: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}
