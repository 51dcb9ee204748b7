//! The messages of a session.
//!
//! Messages are `postcard` of append-only enums: released variants and fields are
//! not reordered and not removed; new ones are appended with a new
//! [`crate::version::CURRENT`]. [`crate::server`] and [`crate::client`] seal the
//! messages, [`crate::parts`] cuts long statements into datagrams, and
//! [`crate::signing`] signs orders and statements.

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

/// Largest number of disks in an inspection.
pub const MAX_DISKS: usize = 64;
/// Largest number of disks in an erase order. More disks are erased by several
/// orders.
pub const MAX_ORDER_DISKS: usize = 16;
/// Largest number of block devices in an inspection that are not disks.
pub const MAX_SKIPPED: usize = 64;
/// Largest number of storage controllers without a driver in an inspection.
pub const MAX_CONTROLLERS: usize = 16;
/// Largest number of network interfaces in an inspection.
pub const MAX_NICS: usize = 16;

/// Identifier of a node: a version-4 UUID, big-endian as printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub [u8; 16]);

/// Identifier of one boot of one node. The appliance increments it for every boot
/// of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BootId(pub u64);

/// An EUI-48 address in wire order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

/// How the server's firmware started the ramdisk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum BootMode {
    /// PC BIOS.
    Bios = 0,
    /// UEFI.
    Uefi = 1,
}

/// The agent's message inside the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentHandshake {
    /// Oldest protocol version that the agent supports.
    pub version_min: u16,
    /// Newest protocol version that the agent supports.
    pub version_max: u16,
    /// Public ed25519 key of the boot. It verifies every statement of this boot.
    pub boot_key: [u8; 32],
    /// The interface that the server booted from.
    pub boot_mac: Mac,
    /// SMBIOS system UUID, zero if the server has none.
    pub system_uuid: [u8; 16],
    /// How the firmware started the ramdisk.
    pub boot_mode: BootMode,
}

/// The appliance's message inside the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandshakeReply {
    /// The protocol version of the session.
    pub version: u16,
    /// The node of the ticket.
    pub node: NodeId,
    /// The boot of the ticket.
    pub boot: BootId,
}

/// A request of the agent inside a session. Every request is idempotent: a
/// repeated datagram (same counter) is answered again and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Asks for an order. The answer is an order or [`Reply::Wait`].
    Ask,
    /// One part of a signed statement, see [`crate::parts`].
    Part(#[serde(borrow)] Part<'a>),
    /// Progress of the current order, at most one a second.
    Progress(Progress),
    /// The server reboots or powers off after the answer.
    FinalReport(FinalReport),
    /// What the switch says by LLDP on the cable of an interface: when the agent
    /// has heard it first, and when it is something else.
    Neighbour(Neighbour<'a>),
}

/// The switch's port at the other end of an interface's cable, as LLDP says it
/// (IEEE 802.1AB-2016). Not signed: it moves nothing by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour<'a> {
    /// The interface.
    pub mac: Mac,
    /// Chassis ID: a MAC address as `02:fa:44:5a:00:00`, or text. At most 40 bytes,
    /// as each text here; empty where the switch says none, or says no text.
    pub chassis: &'a str,
    /// Port ID, the same way.
    pub port: &'a str,
    /// The switch's name.
    pub system: &'a str,
    /// The port's description. Some switches have its name here, and a number in
    /// `port`.
    pub description: &'a str,
}

/// [`Neighbour`] with texts of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of `Neighbour`")]
pub struct HeardNeighbour {
    pub mac: Mac,
    pub chassis: String<40>,
    pub port: String<40>,
    pub system: String<40>,
    pub description: String<40>,
}

impl HeardNeighbour {
    /// The same as a message.
    pub fn message(&self) -> Neighbour<'_> {
        Neighbour {
            mac: self.mac,
            chassis: &self.chassis,
            port: &self.port,
            system: &self.system,
            description: &self.description,
        }
    }
}

/// A part of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part<'a> {
    /// The statement's counter: equal in all its parts, increasing from statement
    /// to statement within a boot.
    pub statement: u32,
    /// Index of the part, from 0.
    pub index: u16,
    /// Number of parts of the statement, at least 1.
    pub count: u16,
    /// The bytes. All parts but the last have [`crate::PART_LEN`] bytes.
    pub bytes: &'a [u8],
}

/// Progress of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Counter of the current order.
    pub order: u32,
    /// The current step.
    pub step: AgentStep,
    /// Bytes done, of `total`.
    pub done: u64,
    /// Bytes in total; 0 if unknown.
    pub total: u64,
    /// Bytes per second, smoothed over a few seconds.
    pub rate: u32,
    /// The agent's peak resident memory in KiB.
    pub peak_rss_kib: u32,
}

/// The step of an order, in progress and failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum AgentStep {
    /// Mounts, modules, network, handshake.
    Startup = 0,
    /// Reading the hardware inventory.
    Inspect = 1,
    /// Erasing disks.
    Erase = 2,
    /// Reading erased disks back.
    VerifyErase = 3,
    /// Streaming the image to the disk.
    Write = 4,
    /// Reading the written image back.
    VerifyImage = 5,
    /// Partition table fix-up and config drive.
    Finish = 6,
    /// Reading a sample of erased disks again after a restart.
    Reread = 7,
}

/// The last message of an agent: why its session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum FinalReport {
    /// The server reboots.
    Reboot = 0,
    /// The server powers off.
    PowerOff = 1,
}

/// The appliance's answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// There is no order. Ask again after `millis`.
    Wait {
        /// Milliseconds, 100 to 60,000.
        millis: u32,
    },
    /// A signed order: `body` is a postcard [`Order`], `signature` the appliance's
    /// ed25519 signature over it, see [`crate::signing`].
    Order {
        /// The encoded [`Order`], exactly as signed.
        #[serde(borrow)]
        body: &'a [u8],
        /// 64 bytes of ed25519.
        signature: &'a [u8],
    },
    /// The appliance accepted the request.
    Ack,
    /// The statement is complete, its signature is valid, and it is stored.
    Stored {
        /// The statement's counter.
        statement: u32,
    },
    /// The appliance accepted the part. The statement is not complete yet.
    Partial {
        /// Bit *n* set: part *n* has arrived (statements have at most 32 parts).
        have: u32,
    },
    /// The appliance can't accept the request now. Send it again after `millis`.
    Busy {
        /// Milliseconds.
        millis: u32,
    },
    /// The appliance refused the request.
    Refused(Refusal),
}

/// Why the appliance refuses a request. Numbered, never reordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Refusal {
    /// The statement's signature is invalid.
    BadSignature = 0,
    /// The statement is malformed.
    Malformed = 1,
    /// The statement names another node, boot or order.
    Misaddressed = 2,
    /// The statement is longer than [`crate::MAX_STATEMENT`].
    TooLong = 3,
}

/// An order of the appliance. It names exactly the disks that it erases or writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The node that carries out the order.
    pub node: NodeId,
    /// The boot in which the node carries out the order.
    pub boot: BootId,
    /// Increases from order to order within a boot. The agent carries out an order
    /// once; a repeated order has the same counter.
    pub counter: u32,
    /// The task.
    pub task: Task,
}

/// The task of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap to box it on, and one order lives at a time"
)]
pub enum Task {
    /// Report the hardware inventory.
    Inspect,
    /// Erase disks and read them back.
    Erase {
        /// The disks. The agent refuses the whole order if one is missing.
        disks: Vec<DiskId, MAX_ORDER_DISKS>,
        /// The weakest acceptable method.
        least: EraseMethod,
        /// Determines places and contents of the [`crate::marks`] that the agent
        /// writes before it erases.
        seed: [u8; 32],
    },
    /// Write an image and a config drive and verify both.
    Deploy(Deploy),
    /// Reboot the server.
    Reboot,
    /// Power the server off.
    PowerOff,
    /// Read the places of the [`crate::marks`] again: every byte must be zero.
    /// Ordered in a boot after the one that erased the disks.
    Reread {
        /// The disks. The agent refuses the whole order if one is missing.
        disks: Vec<DiskId, MAX_ORDER_DISKS>,
        /// The seed of the erase order.
        seed: [u8; 32],
    },
}

/// Identifier of a disk in orders and statements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskId {
    /// Serial number without surrounding blanks; `@` and the bus path if the disk
    /// has none.
    pub serial: String<40>,
    /// Size in bytes. It must match as well as the serial number.
    pub size: u64,
}

/// An erase method, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum EraseMethod {
    /// Discard; the agent overwrites blocks that do not read back as zero.
    Discard = 0,
    /// The device writes zeroes itself (WRITE ZEROES, WRITE SAME).
    WriteZeroes = 1,
    /// The agent writes zeroes over every byte.
    Overwrite = 2,
}

/// The task of a deploy order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// The only disk to write.
    pub disk: DiskId,
    /// Root of the manifest's hash tree. It determines name, version and content.
    pub manifest_root: [u8; 32],
    /// HTTP path of the manifest on the appliance.
    pub manifest_path: String<96>,
    /// HTTP path of the chunk data.
    pub data_path: String<96>,
    /// The config drive, if there is one.
    pub config_drive: Option<ConfigDrive>,
}

/// Location, key and format of a sealed config drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigDrive {
    /// HTTP path of the sealed bytes.
    pub path: String<96>,
    /// Length of the plain text in bytes.
    pub length: u32,
    /// ChaCha20-Poly1305 key of this config drive, see [`crate::sealed`].
    pub key: [u8; 32],
    /// Format of the plain text.
    pub format: ConfigDriveFormat,
}

/// Format of a config drive, as the Ironic API accepts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum ConfigDriveFormat {
    /// A JSON object with `meta_data`, `user_data`, `network_data`,
    /// `vendor_data`.
    Json = 0,
    /// The contents of a JSON string, with its escapes: base64 of a gzip of a
    /// file-system image.
    GzipBase64 = 1,
}

/// A report that the agent's boot key signs and the appliance keeps as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// A report of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// An order failed on the whole or on one disk.
    Failure(Failure),
    /// An order without a report of its own is done, for instance all disks of an
    /// erase order.
    Done,
}

/// The hardware inventory of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// SMBIOS system manufacturer.
    pub vendor: String<64>,
    /// SMBIOS product name.
    pub product: String<64>,
    /// SMBIOS system serial number.
    pub serial: String<64>,
    /// SMBIOS system UUID.
    pub system_uuid: [u8; 16],
    /// SMBIOS BIOS vendor and version.
    pub firmware: String<64>,
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
    /// Block devices that are not in `disks`, and why. Those that can hold a
    /// tenant's data come first.
    pub skipped: Vec<SkippedDevice, MAX_SKIPPED>,
    /// Storage controllers and storage devices on a bus that no driver serves.
    pub controllers: Vec<Controller, MAX_CONTROLLERS>,
    /// Number of disks, block devices and controllers that found no room in the
    /// lists.
    pub unlisted: u16,
    /// Whether the kernel had initialised all devices before the lists were
    /// made.
    pub settled: bool,
}

/// Processors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Logical processors.
    pub count: u16,
    /// Model name according to the kernel.
    pub model: String<64>,
    /// `x86_64` or `aarch64`.
    pub architecture: String<16>,
    /// Highest frequency in MHz; 0 if unknown.
    pub mhz: u32,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The identifier of the disk in orders.
    pub id: DiskId,
    /// Kernel name without `/dev/`, such as `sda` or `nvme0n1`.
    pub name: String<16>,
    /// Model.
    pub model: String<40>,
    /// Vendor, empty if unknown.
    pub vendor: String<16>,
    /// World-wide name, empty if there is none.
    pub wwn: String<40>,
    /// SCSI host:channel:target:lun, empty if there is none.
    pub hctl: String<16>,
    /// Name in `/dev/disk/by-path` according to udev's rules, or the bus path.
    pub by_path: String<64>,
    /// Whether the disk is rotational.
    pub rotational: bool,
    /// Logical block size in bytes.
    pub block_size: u16,
    /// The erase commands that the disk supports.
    pub erase: EraseAbilities,
}

/// A block device that the agent does not erase and does not write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedDevice {
    /// Serial number, or `@` and the bus path, as in [`DiskId`]. Parts of an MMC
    /// device share its serial number; their names are appended.
    pub id: String<40>,
    /// Kernel name without `/dev/`.
    pub name: String<16>,
    /// Size in bytes.
    pub size: u64,
    /// Why the agent skips it.
    pub reason: SkipReason,
}

/// Why the agent skips a block device. Numbered, never reordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum SkipReason {
    /// The kernel reports it as read-only.
    ReadOnly = 0,
    /// It is removable, with a medium in it.
    Removable = 1,
    /// It is hidden: a path of a multi-path disk that is not listed.
    Hidden = 2,
    /// A boot area of an MMC device.
    BootArea = 3,
    /// A replay-protected area of an MMC device.
    Rpmb = 4,
    /// A SCSI device of another type than a disk.
    NotDisk = 5,
    /// Its blocks have neither 512 nor 4096 bytes.
    BlockSize = 6,
    /// It has no size: a removable drive without a medium.
    NoMedium = 7,
    /// An optical drive.
    Optical = 8,
    /// It exists in the kernel's memory only, or consists of other block devices.
    Virtual = 9,
    /// A path of a multi-path disk that is listed.
    Path = 10,
    /// It is fixed and has no size: a disk that failed, or one in a format that the
    /// kernel does not know.
    NoSize = 11,
}

impl SkipReason {
    /// All reasons by their numbers.
    pub const ALL: [Self; 12] = [
        Self::ReadOnly,
        Self::Removable,
        Self::Hidden,
        Self::BootArea,
        Self::Rpmb,
        Self::NotDisk,
        Self::BlockSize,
        Self::NoMedium,
        Self::Optical,
        Self::Virtual,
        Self::Path,
        Self::NoSize,
    ];

    /// Returns the reason with these words, see [`as_str`](Self::as_str).
    pub fn parse(words: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == words)
    }

    /// Returns whether a device that is skipped for this reason can hold a
    /// tenant's data that no erasure has removed.
    pub const fn is_unproven(self) -> bool {
        match self {
            Self::ReadOnly
            | Self::Removable
            | Self::Hidden
            | Self::BootArea
            | Self::Rpmb
            | Self::NotDisk
            | Self::BlockSize
            | Self::NoSize => true,
            Self::NoMedium | Self::Optical | Self::Virtual | Self::Path => false,
        }
    }

    /// Returns the reason in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Removable => "removable",
            Self::Hidden => "hidden",
            Self::BootArea => "boot area",
            Self::Rpmb => "replay-protected area",
            Self::NotDisk => "not a disk",
            Self::BlockSize => "unsupported block size",
            Self::NoMedium => "no medium",
            Self::Optical => "optical drive",
            Self::Virtual => "virtual",
            Self::Path => "path of a listed disk",
            Self::NoSize => "without a size",
        }
    }
}

/// A storage controller, or a storage device on a bus, without a driver. What
/// lies behind it is not seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    /// `@`, the bus and the address, such as `@pci-0000:00:05.0`.
    pub id: String<40>,
    /// Kind of the device, such as `1000:0012 class 010000` on PCI.
    pub kind: String<24>,
}

/// The erase commands that a disk supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EraseAbilities {
    /// Discard (TRIM, UNMAP, deallocate).
    pub discard: bool,
    /// WRITE ZEROES or WRITE SAME.
    pub write_zeroes: bool,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Kernel name.
    pub name: String<16>,
    /// Address.
    pub mac: Mac,
    /// Driver.
    pub driver: String<24>,
    /// Speed in Mbit/s; 0 if unknown.
    pub speed_mbps: u32,
    /// Whether the interface has a carrier.
    pub carrier: bool,
    /// IPv4 address, zero if there is none.
    pub ipv4: [u8; 4],
    /// PCI vendor and device, 0 if it is not a PCI device.
    pub pci: [u16; 2],
    /// LLDP neighbour, if one was received.
    pub lldp: Option<LldpNeighbour>,
}

/// The switch port at the other end of the cable, from LLDP (IEEE 802.1AB).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LldpNeighbour {
    /// Chassis ID as text.
    pub chassis: String<40>,
    /// Port ID as text.
    pub port: String<40>,
}

/// Certificate of a disk that was erased and read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EraseCertificate {
    /// The disk.
    pub disk: DiskId,
    /// The method that erased most of the disk.
    pub method: EraseMethod,
    /// Bytes of the read-back: the whole disk.
    pub verified_bytes: u64,
    /// Bytes that were not zero after the first pass and were overwritten. More
    /// than 0 on a disk that does not carry out its erase commands.
    pub repaired_bytes: u64,
    /// Duration in milliseconds of the agent's monotonic clock.
    pub millis: u64,
}

/// Proof that an image was written and read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageProof {
    /// The disk.
    pub disk: DiskId,
    /// Root of the manifest.
    pub manifest_root: [u8; 32],
    /// Size of the image on the disk in bytes.
    pub image_bytes: u64,
    /// Bytes fetched over the network.
    pub fetched_bytes: u64,
    /// Chunks that were fetched again because of a wrong hash.
    pub refetched_chunks: u32,
    /// SHA-256 of the config drive's plain text; zero if there was none.
    pub config_drive: [u8; 32],
    /// The agent's peak resident memory in KiB.
    pub peak_rss_kib: u32,
    /// Duration in milliseconds.
    pub millis: u64,
}

/// The failure of an order, on the whole or on one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The step that failed.
    pub step: AgentStep,
    /// The reason.
    pub reason: Reason,
    /// Short text for the operator. It names the disk.
    pub text: String<160>,
}

/// The reason of a failure. Numbered, never reordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Reason {
    /// Any other reason; see the text.
    Other = 0,
    /// The node has no writable disk.
    NoDisks = 1,
    /// A disk of the order is missing or has another size.
    DiskMissing = 2,
    /// The image is larger than the disk.
    ImageTooLarge = 3,
    /// The manifest's signature is invalid, or its root is not that of the order.
    BadManifest = 4,
    /// A chunk has a wrong hash after every fetch.
    BadChunk = 5,
    /// A read from the disk failed.
    DiskRead = 6,
    /// A write to the disk failed.
    DiskWrite = 7,
    /// The read-back differs from the written bytes.
    ReadBack = 8,
    /// The disk is not empty after every acceptable method.
    NotErased = 9,
    /// The config drive can't be opened or converted.
    BadConfigDrive = 10,
    /// The appliance's HTTP server does not answer, or answers with an error.
    Fetch = 11,
    /// The image's partition table is invalid or has no room.
    BadPartitionTable = 12,
    /// The order's signature, node, boot or counter is invalid.
    BadOrder = 13,
    /// The agent has no memory or threads left.
    Resources = 14,
    /// The server has other devices than those that its inspection named.
    DevicesChanged = 15,
}
