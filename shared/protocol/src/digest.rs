//! Statements with only the fields on which the appliance acts.
//!
//! A [`crate::message::Statement`] has about 30 KB, and decoding it by value puts
//! several of them on the stack: too much for a microcontroller. The types of
//! this module decode the same bytes and keep names, sizes and addresses: a
//! quarter of the size. The appliance keeps the signed bytes as evidence.
//!
//! The types have the fields of those in [`crate::message`] in the same order; a
//! field that is not needed is [`Skipped`].

use core::marker::PhantomData;

use heapless::{String, Vec};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::message::{
    BootId, BootMode, DiskId, EraseAbilities, EraseCertificate, Failure, ImageProof,
    MAX_CONTROLLERS, MAX_DISKS, MAX_NICS, MAX_SKIPPED, Mac, NodeId, SkipReason,
};

/// A text of at most `N` bytes that is parsed and discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skipped<const N: usize>;

impl<'de, const N: usize> Deserialize<'de> for Skipped<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        if text.len() > N {
            return Err(serde::de::Error::invalid_length(
                text.len(),
                &"a shorter text",
            ));
        }
        Ok(Self)
    }
}

/// A list of at most `N` values that are parsed and discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkippedList<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for SkippedList<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each<T, const N: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Each<T, N> {
            type Value = SkippedList<T, N>;

            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "at most {N} values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Self::Value, A::Error> {
                let mut count = 0;
                while all.next_element::<T>()?.is_some() {
                    count += 1;
                    if count > N {
                        return Err(serde::de::Error::invalid_length(count, &self));
                    }
                }
                Ok(SkippedList(PhantomData))
            }
        }

        deserializer.deserialize_seq(Each(PhantomData))
    }
}

/// The first four bytes of a text of at most `N` bytes, zero-padded. They identify
/// a family of drivers or devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start<const N: usize>(pub [u8; 4]);

impl<const N: usize> Start<N> {
    /// Returns whether the text starts with `start`. Compares at most four bytes.
    pub fn is(self, start: &str) -> bool {
        self.0
            .iter()
            .zip(start.bytes())
            .all(|(own, wanted)| *own == wanted)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Start<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        if text.len() > N {
            return Err(serde::de::Error::invalid_length(
                text.len(),
                &"a shorter text",
            ));
        }
        let mut start = [0; 4];
        start
            .iter_mut()
            .zip(text.bytes())
            .for_each(|(own, byte)| *own = byte);
        Ok(Self(start))
    }
}

/// The [`fingerprint`] of a text of at most `N` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint<const N: usize>(pub u32);

impl<'de, const N: usize> Deserialize<'de> for Fingerprint<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        if text.len() > N {
            return Err(serde::de::Error::invalid_length(
                text.len(),
                &"a shorter text",
            ));
        }
        Ok(Self(fingerprint(text)))
    }
}

/// Placeholders that firmware has instead of a serial number.
const PLACEHOLDERS: [&str; 10] = [
    "none",
    "not specified",
    "not available",
    "to be filled by o.e.m.",
    "default string",
    "system serial number",
    "0123456789",
    "123456789",
    "chassis serial number",
    "unknown",
];

/// Returns the FNV-1a hash of a serial number without surrounding blanks and in
/// lower case. Returns 0 if the text does not identify a server: it is empty, a
/// placeholder, or one repeated character.
pub fn fingerprint(serial: &str) -> u32 {
    let serial = serial.trim();
    let placeholder = PLACEHOLDERS
        .iter()
        .any(|placeholder| placeholder.eq_ignore_ascii_case(serial));
    let first = serial.bytes().next();
    if placeholder || serial.bytes().all(|byte| Some(byte) == first) {
        return 0;
    }
    serial.bytes().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193)
    })
}

/// See [`crate::message::Statement`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Statement {
    /// The node of the agent.
    pub node: NodeId,
    /// The boot of the agent.
    pub boot: BootId,
    /// The statement's counter, as in its parts.
    pub counter: u32,
    /// Counter of the order that it is about; 0 for none.
    pub order: u32,
    /// The report.
    pub report: Report,
}

/// See [`crate::message::Report`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap to box it on, and one statement lives at a time"
)]
pub enum Report {
    /// The hardware inventory.
    Inspection(Inspection),
    /// One disk was erased and read back.
    Erased(EraseCertificate),
    /// An image was written and read back.
    ImageWritten(ImageProof),
    /// An order failed.
    Failure(Failure),
    /// An order without a report of its own is done.
    Done,
}

/// See [`crate::message::Inspection`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Inspection {
    vendor: Skipped<64>,
    product: Skipped<64>,
    /// SMBIOS system serial number.
    pub serial: Fingerprint<64>,
    /// SMBIOS system UUID.
    pub system_uuid: [u8; 16],
    firmware: Skipped<64>,
    /// How the firmware started the ramdisk.
    pub boot_mode: BootMode,
    /// Processors.
    pub cpu: Cpu,
    /// Memory available to the kernel, in MiB.
    pub memory_mib: u32,
    /// Physical memory according to SMBIOS, in MiB; 0 if unknown.
    pub physical_memory_mib: u32,
    /// Writable disks in the order of their bus paths.
    pub disks: Vec<Disk, MAX_DISKS>,
    /// Network interfaces.
    pub nics: Vec<Nic, MAX_NICS>,
    /// Whether the server has a TPM 2.0.
    pub tpm2: bool,
    // The appliance reads these with [`crate::borrowed`].
    skipped: SkippedList<SkippedDevice, MAX_SKIPPED>,
    controllers: SkippedList<Controller, MAX_CONTROLLERS>,
    unlisted: u16,
    settled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct SkippedDevice {
    id: Skipped<40>,
    name: Skipped<16>,
    size: u64,
    reason: SkipReason,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Controller {
    id: Skipped<40>,
    kind: Skipped<24>,
}

/// See [`crate::message::Cpu`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Cpu {
    /// Logical processors.
    pub count: u16,
    model: Skipped<64>,
    /// `x86_64` or `aarch64`.
    pub architecture: String<16>,
    mhz: u32,
}

/// See [`crate::message::Disk`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Disk {
    /// The identifier of the disk in orders.
    pub id: DiskId,
    /// Kernel name.
    pub name: Start<16>,
    model: Skipped<40>,
    vendor: Skipped<16>,
    wwn: Skipped<40>,
    hctl: Skipped<16>,
    by_path: Skipped<64>,
    /// Whether the disk is rotational.
    pub rotational: bool,
    block_size: u16,
    erase: EraseAbilities,
}

/// See [`crate::message::Nic`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Nic {
    /// Kernel name.
    pub name: Start<16>,
    /// Address.
    pub mac: Mac,
    /// Driver.
    pub driver: Start<24>,
    /// Speed in Mbit/s; 0 if unknown.
    pub speed_mbps: u32,
    /// Whether the interface has a carrier.
    pub carrier: bool,
    ipv4: [u8; 4],
    pci: [u16; 2],
    lldp: Option<LldpNeighbour>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct LldpNeighbour {
    chassis: Skipped<40>,
    port: Skipped<40>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message;

    #[test]
    fn placeholder_has_no_fingerprint() {
        for placeholder in ["", "  ", "0", "00000000", "None", "Default string"] {
            assert_eq!(fingerprint(placeholder), 0, "{placeholder:?}");
        }
        assert_ne!(fingerprint("CZ1234"), 0);
        assert_eq!(fingerprint("cz1234 "), fingerprint("CZ1234"));
        assert_ne!(fingerprint("CZ1234"), fingerprint("CZ1235"));
    }

    fn text<const N: usize>() -> String<N> {
        core::iter::repeat_n('x', N).collect()
    }

    #[test]
    fn longest_inspection_decodes_equal_in_all_forms() {
        let disk = |n: u8| message::Disk {
            id: DiskId {
                serial: text(),
                size: u64::MAX - u64::from(n),
            },
            name: text(),
            model: text(),
            vendor: text(),
            wwn: text(),
            hctl: text(),
            by_path: text(),
            rotational: true,
            block_size: 4096,
            erase: EraseAbilities::default(),
        };
        let nic = |n: u8| message::Nic {
            name: text(),
            mac: Mac([n; 6]),
            driver: text(),
            speed_mbps: u32::MAX,
            carrier: true,
            ipv4: [255; 4],
            pci: [u16::MAX; 2],
            lldp: Some(message::LldpNeighbour {
                chassis: text(),
                port: text(),
            }),
        };
        let skipped = |n: u8| message::SkippedDevice {
            id: text(),
            name: text(),
            size: u64::MAX - u64::from(n),
            reason: SkipReason::Path,
        };
        let controller = |_: u8| message::Controller {
            id: text(),
            kind: text(),
        };
        let whole = message::Statement {
            node: NodeId([1; 16]),
            boot: BootId(2),
            counter: 3,
            order: 4,
            report: message::Report::Inspection(message::Inspection {
                vendor: text(),
                product: text(),
                serial: text(),
                system_uuid: [5; 16],
                firmware: text(),
                boot_mode: BootMode::Uefi,
                cpu: message::Cpu {
                    count: 6,
                    model: text(),
                    architecture: text(),
                    mhz: u32::MAX,
                },
                memory_mib: 7,
                physical_memory_mib: 8,
                disks: (0..64).map(disk).collect(),
                nics: (0..16).map(nic).collect(),
                tpm2: true,
                skipped: (0..64).map(skipped).collect(),
                controllers: (0..16).map(controller).collect(),
                unlisted: u16::MAX,
                settled: true,
            }),
        };
        let mut room = [0; 2 * crate::MAX_STATEMENT];
        let length = postcard::to_slice(&whole, &mut room).unwrap().len();
        let bytes = &room[..length];
        let (read, rest) = postcard::take_from_bytes::<Statement>(bytes).unwrap();
        assert_eq!((read.node, read.counter, rest), (whole.node, 3, &[][..]));
        let signed = &room[..length + crate::signing::SIGNATURE_LEN];
        let borrowed = crate::borrowed::Inspection::read(signed).unwrap();
        let (Report::Inspection(read), message::Report::Inspection(whole)) =
            (read.report, whole.report)
        else {
            panic!("the report is an inspection");
        };
        assert!(
            read.disks
                .iter()
                .map(|d| &d.id)
                .eq(whole.disks.iter().map(|d| &d.id))
        );
        assert!(
            read.nics
                .iter()
                .map(|n| n.mac)
                .eq(whole.nics.iter().map(|n| n.mac))
        );
        assert_eq!(read.cpu.architecture, whole.cpu.architecture);
        assert_eq!((borrowed.disks.len(), borrowed.nics.len()), (64, 16));
        assert_eq!((borrowed.unlisted, borrowed.settled), (u16::MAX, true));
        assert_eq!(borrowed.controllers.iter().count(), 16);
        let seen = borrowed.skipped.get(63).unwrap();
        assert_eq!((seen.size, seen.reason), (u64::MAX - 63, SkipReason::Path));
        assert!(seen.name.len() == 16 && borrowed.skipped.get(64).is_none());
        for (disk, seen) in whole.disks.iter().zip(borrowed.disks.iter()) {
            assert_eq!(
                (&*seen.by_path, seen.id.size),
                (&*disk.by_path, disk.id.size)
            );
        }
        for (nic, seen) in whole.nics.iter().zip(borrowed.nics.iter()) {
            let port = |port: &str| port.len();
            assert_eq!(
                nic.lldp.as_ref().map(|l| port(&l.port)),
                seen.lldp.as_ref().map(|l| port(&l.port))
            );
        }
        assert!(size_of::<Statement>() * 3 < size_of::<message::Statement>());
    }

    #[test]
    fn too_long_text_fails() {
        let mut room = [0; 8];
        let bytes = postcard::to_slice("four", &mut room).unwrap();
        assert!(postcard::from_bytes::<Skipped<4>>(bytes).is_ok());
        assert!(postcard::from_bytes::<Skipped<3>>(bytes).is_err());
    }
}
