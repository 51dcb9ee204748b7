//! What appliance and agent say to each other inside a session.
//!
//! Messages are `postcard` of append-only enums: a variant or a field is
//! never reordered and never removed; new ones go to the end, with a new
//! [`crate::version::CURRENT`]. This module holds the values only. How they
//! are sealed lives in `session`, how a long statement is cut into
//! datagrams in `parts`, who signs what in `signing`.

use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

/// Most disks that an inspection reports and an order names.
pub const MAX_DISKS: usize = 16;
/// Most network interfaces that an inspection reports.
pub const MAX_NICS: usize = 16;

/// Identity of a node: a version-4 UUID, big-endian bytes as printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub [u8; 16]);

/// Identity of one boot of one node. The appliance counts boots up and
/// never uses a number twice for a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BootId(pub u64);

/// An EUI-48 address, in the order of the wire.
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

/// First words of an agent, carried inside the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentHandshake {
    /// Oldest protocol version that the agent speaks.
    pub version_min: u16,
    /// Newest protocol version that the agent speaks.
    pub version_max: u16,
    /// Public half of the boot key: verifies every statement of this boot.
    pub boot_key: [u8; 32],
    /// The interface that the server booted from.
    pub boot_mac: Mac,
    /// SMBIOS system UUID, zero where the server has none.
    pub system_uuid: [u8; 16],
    /// How the firmware started the ramdisk.
    pub boot_mode: BootMode,
}

/// The appliance's answer inside the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandshakeReply {
    /// The version that both will speak from now on.
    pub version: u16,
    /// The node that the ticket was made for.
    pub node: NodeId,
    /// The boot that the ticket was made for.
    pub boot: BootId,
}

/// What an agent asks, once a session stands. Every request is idempotent:
/// a repeated datagram (same counter) is answered again and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// "What shall I do?" Answered with an order or with [`Reply::Wait`].
    Ask,
    /// One piece of a signed statement, see `parts`.
    Part(#[serde(borrow)] Part<'a>),
    /// How far the current order has come; at most one a second.
    Progress(Progress),
    /// The agent leaves: the machine reboots or powers off right after.
    FinalReport(FinalReport),
}

/// A piece of a statement too long for one datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part<'a> {
    /// The statement's counter: the same in all its parts, rising from
    /// statement to statement within a boot.
    pub statement: u32,
    /// Place of this part, from 0.
    pub index: u16,
    /// How many parts the statement has, at least 1.
    pub count: u16,
    /// The piece. All but the last part are [`crate::PART_LEN`] long.
    pub bytes: &'a [u8],
}

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Counter of the order that is being carried out.
    pub order: u32,
    /// What is being done.
    pub step: AgentStep,
    /// Bytes done so far (compared with `total`).
    pub done: u64,
    /// Bytes in all; 0 where unknown.
    pub total: u64,
    /// Bytes a second, smoothed over the last seconds.
    pub rate: u32,
    /// The agent's resident memory at its highest, in KiB.
    pub peak_rss_kib: u32,
}

/// The steps of an agent's work, for progress and failures.
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
}

/// Why the agent leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum FinalReport {
    /// The machine reboots.
    Reboot = 0,
    /// The machine powers itself off.
    PowerOff = 1,
}

/// What the appliance answers to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// Nothing to do: ask again after so many milliseconds.
    Wait {
        /// Milliseconds, 100 to 60,000.
        millis: u32,
    },
    /// A signed order: `body` is a postcard [`Order`], `signature` the
    /// appliance's ed25519 signature over it (domain-separated, see
    /// `signing`).
    Order {
        /// The encoded [`Order`], exactly as signed.
        #[serde(borrow)]
        body: &'a [u8],
        /// 64 bytes of ed25519.
        signature: &'a [u8],
    },
    /// The request was taken in.
    Ack,
    /// All parts of this statement have arrived and its signature holds.
    Stored {
        /// The statement's counter.
        statement: u32,
    },
    /// The part is fine, the statement is not complete yet.
    Partial {
        /// Bit *n* set: part *n* has arrived (statements have at most 32 parts).
        have: u32,
    },
    /// Not now; try again after so many milliseconds.
    Busy {
        /// Milliseconds.
        millis: u32,
    },
    /// The request can't be taken; the number says why.
    Refused(Refusal),
}

/// Why the appliance refuses a request. Numbered, never reordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Refusal {
    /// The statement's signature does not hold.
    BadSignature = 0,
    /// The statement does not parse.
    Malformed = 1,
    /// The statement names another node, boot or order.
    Misaddressed = 2,
    /// The statement is longer than [`crate::MAX_STATEMENT`].
    TooLong = 3,
}

/// An order of the appliance. What it destroys or writes it names exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The node that shall obey.
    pub node: NodeId,
    /// The boot that shall obey.
    pub boot: BootId,
    /// Rises from order to order within a boot; a repeated order has the
    /// same counter and is not carried out twice.
    pub counter: u32,
    /// What to do.
    pub task: Task,
}

/// What an order asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap to box it on, and one order lives at a time"
)]
pub enum Task {
    /// Report the hardware.
    Inspect,
    /// Erase these disks, then read them back.
    Erase {
        /// Every disk by identity; the agent refuses the whole order when
        /// one is absent.
        disks: Vec<DiskId, MAX_DISKS>,
        /// The weakest method that is acceptable.
        least: EraseMethod,
    },
    /// Write an image and a config drive, verify both.
    Deploy(Deploy),
    /// Reboot the machine.
    Reboot,
    /// Power the machine off.
    PowerOff,
}

/// A disk as orders and statements name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskId {
    /// Serial number without surrounding blanks. Where a disk reports none,
    /// `@` and its stable bus path.
    pub serial: String<40>,
    /// Size in bytes: a second check that the right disk is meant.
    pub size: u64,
}

/// How a disk is emptied, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum EraseMethod {
    /// Discard, then zeroes wherever the read-back is not zero.
    Discard = 0,
    /// The device writes zeroes itself (WRITE ZEROES, WRITE SAME).
    WriteZeroes = 1,
    /// Zeroes written over every byte.
    Overwrite = 2,
}

/// A deploy order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// The disk to write, and no other.
    pub disk: DiskId,
    /// Root of the manifest's hash tree: pins name, version and content.
    pub manifest_root: [u8; 32],
    /// HTTP path of the manifest, from the appliance's address.
    pub manifest_path: String<96>,
    /// HTTP path of the chunk data.
    pub data_path: String<96>,
    /// The config drive, where there is one.
    pub config_drive: Option<ConfigDrive>,
}

/// Where a sealed config drive is fetched, and how it is opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigDrive {
    /// HTTP path of the sealed bytes.
    pub path: String<96>,
    /// Length of the plain text in bytes.
    pub length: u32,
    /// Key of this config drive alone (ChaCha20-Poly1305), see `sealed`.
    pub key: [u8; 32],
    /// What the plain text is.
    pub format: ConfigDriveFormat,
}

/// How the operator gave the config drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum ConfigDriveFormat {
    /// Text of a JSON object with `meta_data`, `user_data`, `network_data`,
    /// `vendor_data`, as the Ironic API takes it.
    Json = 0,
    /// Text of a JSON string (escapes not yet undone): base64 of a gzip of
    /// a file-system image.
    GzipBase64 = 1,
}

/// A statement: signed by the agent's boot key and kept as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The node that speaks.
    pub node: NodeId,
    /// The boot in which it speaks.
    pub boot: BootId,
    /// The statement's counter, as in its parts.
    pub counter: u32,
    /// The order that it answers; 0 for none.
    pub order: u32,
    /// What it says.
    pub report: Report,
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap to box it on, and one statement lives at a time"
)]
pub enum Report {
    /// The hardware.
    Inspection(Inspection),
    /// One disk was erased and read back.
    Erased(EraseCertificate),
    /// An image was written and read back.
    ImageWritten(ImageProof),
    /// An order failed.
    Failure(Failure),
    /// An order that leaves no other trace is done (all disks of an erase
    /// order, for instance).
    Done,
}

/// The hardware of a server.
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
    /// Memory that the kernel manages, in MiB.
    pub memory_mib: u32,
    /// Physical memory as SMBIOS tells it, in MiB; 0 where it does not.
    pub physical_memory_mib: u32,
    /// Disks that can be written, in the order of their bus paths.
    pub disks: Vec<Disk, MAX_DISKS>,
    /// Network interfaces.
    pub nics: Vec<Nic, MAX_NICS>,
    /// Whether a TPM 2.0 is there.
    pub tpm2: bool,
}

/// Processors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Logical processors.
    pub count: u16,
    /// Model name as the kernel tells it.
    pub model: String<64>,
    /// `x86_64` or `aarch64`.
    pub architecture: String<16>,
    /// Highest frequency in MHz; 0 where unknown.
    pub mhz: u32,
}

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// How orders name it.
    pub id: DiskId,
    /// Kernel name without `/dev/`, as `sda` or `nvme0n1`.
    pub name: String<16>,
    /// Model.
    pub model: String<40>,
    /// Vendor, empty where unknown.
    pub vendor: String<16>,
    /// World-wide name, empty where there is none.
    pub wwn: String<40>,
    /// SCSI host:channel:target:lun, empty where there is none.
    pub hctl: String<16>,
    /// Name below `/dev/disk/by-path` as udev would give it, or the bus path.
    pub by_path: String<64>,
    /// Whether it spins.
    pub rotational: bool,
    /// Logical block size in bytes.
    pub block_size: u16,
    /// What it can do to erase itself, strongest common methods.
    pub erase: EraseAbilities,
}

/// What a disk can do to erase itself.
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
    /// Speed in Mbit/s; 0 where unknown.
    pub speed_mbps: u32,
    /// Whether there is a carrier.
    pub carrier: bool,
    /// IPv4 address, zero where there is none.
    pub ipv4: [u8; 4],
    /// PCI vendor and device, 0 where it is no PCI device.
    pub pci: [u16; 2],
    /// LLDP neighbour, where one was heard.
    pub lldp: Option<LldpNeighbour>,
}

/// The switch port at the other end of a cable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LldpNeighbour {
    /// Chassis ID as text.
    pub chassis: String<40>,
    /// Port ID as text.
    pub port: String<40>,
}

/// Proof that a disk was erased: what was done and what the read-back saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EraseCertificate {
    /// The disk.
    pub disk: DiskId,
    /// The method that was used on most of it.
    pub method: EraseMethod,
    /// Bytes that were read back: the whole disk.
    pub verified_bytes: u64,
    /// Bytes that were not zero after the first pass and had to be
    /// overwritten. A disk that lies shows here.
    pub repaired_bytes: u64,
    /// Time that it took, in milliseconds of the agent's monotonic clock.
    pub millis: u64,
}

/// Proof that an image is on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageProof {
    /// The disk.
    pub disk: DiskId,
    /// Root of the manifest that was followed.
    pub manifest_root: [u8; 32],
    /// Bytes of the image as it lies on the disk.
    pub image_bytes: u64,
    /// Bytes fetched over the network for it.
    pub fetched_bytes: u64,
    /// Chunks that had to be fetched again since their hash was wrong.
    pub refetched_chunks: u32,
    /// SHA-256 of the config drive's plain text; zero where there was none.
    pub config_drive: [u8; 32],
    /// The agent's resident memory at its highest, in KiB.
    pub peak_rss_kib: u32,
    /// Time that it took, in milliseconds.
    pub millis: u64,
}

/// An order failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Where.
    pub step: AgentStep,
    /// Why, as a number for machines.
    pub reason: Reason,
    /// Why, as a short text for people.
    pub text: String<160>,
}

/// Numbered reasons of failure. Never reordered, only appended to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Reason {
    /// None of those below.
    Other = 0,
    /// The node has no disk that can be written.
    NoDisks = 1,
    /// A disk named in the order is not there, or has another size.
    DiskMissing = 2,
    /// The image is larger than the disk.
    ImageTooLarge = 3,
    /// The manifest's signature does not hold, or it is not the one ordered.
    BadManifest = 4,
    /// A chunk stayed wrong after every retry.
    BadChunk = 5,
    /// Reading the disk failed.
    DiskRead = 6,
    /// Writing the disk failed.
    DiskWrite = 7,
    /// The read-back differs from what was written.
    ReadBack = 8,
    /// The disk is not empty after every method that is acceptable.
    NotErased = 9,
    /// The config drive can't be opened or built.
    BadConfigDrive = 10,
    /// The appliance's HTTP door does not answer, or answers wrongly.
    Fetch = 11,
    /// The image's partition table can't be used.
    BadPartitionTable = 12,
    /// The order's signature, node, boot or counter is wrong.
    BadOrder = 13,
    /// The agent ran out of memory or of threads.
    Resources = 14,
}
