//! The asset store: layout of the appliance's block device.
//!
//! One block device has everything that the appliance serves and keeps:
//! network-boot programs, kernels, ramdisks, manifests, image data, the
//! appliance's keys and configuration, and a scratch area for sealed config drives
//! and signed statements. The crate encodes and decodes bytes. The firmware reads
//! the sectors; a host tool creates the store with [`lay_out`].
//!
//! # Layout
//!
//! All numbers are little-endian. All offsets are in bytes from the start of the
//! device and multiples of [`SECTOR`].
//!
//! | position | content |
//! |---|---|
//! | sector 0 | superblock, [`Superblock`] |
//! | `table_offset` | `entries` × [`ENTRY_LEN`] bytes, [`Entry`], sorted by name |
//! | entry's `offset` | the asset's bytes, aligned to [`ALIGN`] |
//! | `scratch_offset` | `nodes` slots of [`SLOT_LEN`] bytes, [`SlotPart`] |
//!
//! A superblock has the SHA-256 of the table and of itself; an entry has the
//! SHA-256 of its asset. A server need not verify an asset before it sends it: the
//! receiver verifies hashes of its own.
//!
//! # Not supported
//!
//! Allocation of space at run time and replacement of an asset in place. The host
//! tool creates the whole store.
#![no_std]
#![forbid(unsafe_code)]

mod plan;
mod slot;

pub use plan::lay_out;
pub use slot::{DrivePlace, SLOT_LEN, SlotPart};

use sha2::{Digest, Sha256};

/// Size of a sector in bytes, the unit of all transfers.
pub const SECTOR: usize = 512;
/// Assets start at multiples of this many bytes.
pub const ALIGN: u64 = 4096;
/// Size of an encoded [`Entry`] in bytes: four in a sector.
pub const ENTRY_LEN: usize = 128;
/// Longest name of an asset in bytes.
pub const NAME_LEN: usize = 63;
/// Largest number of entries.
pub const MAX_ENTRIES: u32 = 1024;
/// The supported version of the layout.
pub const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"FARRSTOR";

/// Why a store is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Sector 0 is not a superblock.
    NoStore,
    /// The layout has another version.
    Version(u32),
    /// A hash is wrong: superblock or table are damaged.
    Damaged,
    /// A field points outside the device or has an impossible value.
    Invalid,
    /// A name is empty, too long, or has bytes outside printable ASCII.
    Name,
    /// More entries than [`MAX_ENTRIES`], or two of one name.
    Entries,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Error::NoStore => f.write_str("this device has no asset store"),
            Error::Version(v) => write!(
                f,
                "the asset store has layout {v}, this program supports {VERSION}"
            ),
            Error::Damaged => f.write_str("the asset store is damaged: a hash is wrong"),
            Error::Invalid => f.write_str("the asset store is invalid: a field is out of range"),
            Error::Name => {
                f.write_str("an asset name must have 1 to 63 printable ASCII characters")
            }
            Error::Entries => f.write_str("the asset store has too many assets or two of one name"),
        }
    }
}

impl core::error::Error for Error {}

/// The kind of an asset. Numbered on the device, never reordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AssetKind {
    /// Boot programs, kernel, ramdisk: served to all clients by TFTP and HTTP.
    Public = 1,
    /// The appliance's configuration. Not served. (2 was the kind of secret
    /// keys, which are in no store any more.)
    Config = 3,
    /// A signed image manifest, served by HTTP.
    Manifest = 4,
    /// Chunk data of the manifest with the same stem, served by HTTP.
    ImageData = 5,
    /// The operator's public image-signing key, 32 bytes. Not served.
    OperatorKey = 6,
}

impl AssetKind {
    fn from_byte(b: u8) -> Option<Self> {
        Some(match b {
            1 => AssetKind::Public,
            3 => AssetKind::Config,
            4 => AssetKind::Manifest,
            5 => AssetKind::ImageData,
            6 => AssetKind::OperatorKey,
            _ => return None,
        })
    }

    /// Returns whether the appliance may serve the asset over a network.
    pub fn is_served(self) -> bool {
        matches!(
            self,
            AssetKind::Public | AssetKind::Manifest | AssetKind::ImageData
        )
    }
}

/// The first sector of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Superblock {
    /// Size of the store in bytes.
    pub total_len: u64,
    /// Offset of the table.
    pub table_offset: u64,
    /// Number of entries.
    pub entries: u32,
    /// SHA-256 of the table.
    pub table_hash: [u8; 32],
    /// Offset of the scratch area.
    pub scratch_offset: u64,
    /// Number of slots in the scratch area, one for each node.
    pub slots: u32,
}

impl Superblock {
    /// Parses a superblock in sector 0.
    ///
    /// # Errors
    /// [`Error::NoStore`], [`Error::Version`], [`Error::Damaged`] or
    /// [`Error::Invalid`].
    pub fn parse(sector: &[u8; SECTOR]) -> Result<Self, Error> {
        if sector[..8] != MAGIC {
            return Err(Error::NoStore);
        }
        let version = u32_at(sector, 8);
        if version != VERSION {
            return Err(Error::Version(version));
        }
        if Sha256::digest(&sector[..SECTOR - 32])[..] != sector[SECTOR - 32..] {
            return Err(Error::Damaged);
        }
        let mut table_hash = [0; 32];
        table_hash.copy_from_slice(&sector[48..80]);
        let this = Superblock {
            entries: u32_at(sector, 12),
            total_len: u64_at(sector, 16),
            table_offset: u64_at(sector, 24),
            scratch_offset: u64_at(sector, 32),
            slots: u32_at(sector, 40),
            table_hash,
        };
        let table_len = u64::from(this.entries) * ENTRY_LEN as u64;
        let scratch_len = u64::from(this.slots) * SLOT_LEN;
        let inside = |offset: u64, len: u64| {
            offset.is_multiple_of(SECTOR as u64)
                && offset
                    .checked_add(len)
                    .is_some_and(|end| end <= this.total_len)
        };
        if this.entries > MAX_ENTRIES
            || !inside(this.table_offset, table_len)
            || !inside(this.scratch_offset, scratch_len)
        {
            return Err(Error::Invalid);
        }
        Ok(this)
    }

    /// Encodes the superblock as sector 0.
    pub fn emit(&self) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        sector[..8].copy_from_slice(&MAGIC);
        sector[8..12].copy_from_slice(&VERSION.to_le_bytes());
        sector[12..16].copy_from_slice(&self.entries.to_le_bytes());
        sector[16..24].copy_from_slice(&self.total_len.to_le_bytes());
        sector[24..32].copy_from_slice(&self.table_offset.to_le_bytes());
        sector[32..40].copy_from_slice(&self.scratch_offset.to_le_bytes());
        sector[40..44].copy_from_slice(&self.slots.to_le_bytes());
        sector[48..80].copy_from_slice(&self.table_hash);
        let hash = Sha256::digest(&sector[..SECTOR - 32]);
        sector[SECTOR - 32..].copy_from_slice(&hash);
        sector
    }

    /// Returns the offset of a node's slot, `None` if the store has no such slot.
    pub fn slot_offset(&self, slot: usize) -> Option<u64> {
        let slot = u32::try_from(slot).ok().filter(|s| *s < self.slots)?;
        Some(self.scratch_offset + u64::from(slot) * SLOT_LEN)
    }
}

/// An entry of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    name: [u8; NAME_LEN],
    name_len: u8,
    /// The kind of the asset.
    pub kind: AssetKind,
    /// Offset of the asset.
    pub offset: u64,
    /// Length of the asset in bytes.
    pub len: u64,
    /// SHA-256 of the asset.
    pub hash: [u8; 32],
}

impl Entry {
    /// Creates an entry.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn new(
        name: &str,
        kind: AssetKind,
        offset: u64,
        len: u64,
        hash: [u8; 32],
    ) -> Result<Self, Error> {
        if name.is_empty() || name.len() > NAME_LEN || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::Name);
        }
        let mut bytes = [0; NAME_LEN];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Entry {
            name: bytes,
            name_len: name.len() as u8,
            kind,
            offset,
            len,
            hash,
        })
    }

    /// Returns the asset's name: its path on the TFTP and HTTP servers without the
    /// leading `/`.
    pub fn name(&self) -> &str {
        let bytes = self
            .name
            .get(..usize::from(self.name_len))
            .unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Parses an entry.
    ///
    /// # Errors
    /// [`Error::Name`] or [`Error::Invalid`].
    pub fn parse(bytes: &[u8; ENTRY_LEN]) -> Result<Self, Error> {
        let name_len = usize::from(bytes[0]);
        let name = bytes
            .get(1..1 + name_len)
            .filter(|_| name_len <= NAME_LEN)
            .and_then(|n| core::str::from_utf8(n).ok())
            .ok_or(Error::Name)?;
        let kind = AssetKind::from_byte(bytes[64]).ok_or(Error::Invalid)?;
        let mut hash = [0; 32];
        hash.copy_from_slice(&bytes[88..120]);
        let (offset, len) = (u64_at(bytes, 72), u64_at(bytes, 80));
        if offset.checked_add(len).is_none() || !offset.is_multiple_of(SECTOR as u64) {
            return Err(Error::Invalid);
        }
        Entry::new(name, kind, offset, len, hash)
    }

    /// Encodes the entry.
    pub fn emit(&self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        bytes[0] = self.name_len;
        bytes[1..64].copy_from_slice(&self.name);
        bytes[64] = self.kind as u8;
        bytes[72..80].copy_from_slice(&self.offset.to_le_bytes());
        bytes[80..88].copy_from_slice(&self.len.to_le_bytes());
        bytes[88..120].copy_from_slice(&self.hash);
        bytes
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut b = [0; 4];
    b.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(b)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut b = [0; 8];
    b.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(b)
}
