//! Adapts the partition table of a written image to the disk: it moves the backup
//! GPT to the end of the disk and adds a partition for the config drive (UEFI
//! 2.10, section 5.3).
//!
//! The crate has its own implementation because the caller reads, writes and
//! verifies the blocks, and because unknown tables must fail instead of being
//! repaired. The module does no I/O: a [`Plan`] is a list of blocks to write.

use super::config_drive::LABEL;

/// Alignment of the added partition in bytes.
const ALIGNMENT: u64 = 1 << 20;
/// Largest supported size of the partition entries in bytes. 128 entries of 128
/// bytes are usual.
const MAX_ENTRIES_LENGTH: u64 = 256 << 10;
/// Length of the supported header in bytes.
const HEADER_LENGTH: usize = 92;
/// Length of the shortest partition entry in bytes.
const ENTRY_LENGTH: usize = 128;
/// GPT type "basic data", for FAT, in the byte order of the disk.
const BASIC_DATA: [u8; 16] = [
    0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7,
];
/// Offset of the first of four MBR partition entries of 16 bytes.
const MBR_ENTRIES: usize = 446;
/// MBR type: FAT, addressed by blocks.
const MBR_FAT: u8 = 0x0c;
/// MBR type: the disk is a GPT disk.
const MBR_PROTECTIVE: u8 = 0xee;

/// Offsets within a GPT header.
mod field {
    use core::ops::Range;

    pub const SIGNATURE: Range<usize> = 0..8;
    pub const LENGTH: Range<usize> = 12..16;
    pub const CRC: Range<usize> = 16..20;
    pub const MY_LBA: Range<usize> = 24..32;
    pub const ALTERNATE_LBA: Range<usize> = 32..40;
    pub const FIRST_USABLE: Range<usize> = 40..48;
    pub const LAST_USABLE: Range<usize> = 48..56;
    pub const ENTRIES_LBA: Range<usize> = 72..80;
    pub const ENTRY_COUNT: Range<usize> = 80..84;
    pub const ENTRY_LENGTH: Range<usize> = 84..88;
    pub const ENTRIES_CRC: Range<usize> = 88..92;
    /// Offsets within an entry.
    pub mod entry {
        use core::ops::Range;

        pub const TYPE: Range<usize> = 0..16;
        pub const ID: Range<usize> = 16..32;
        pub const FIRST: Range<usize> = 32..40;
        pub const LAST: Range<usize> = 40..48;
        pub const NAME: Range<usize> = 56..128;
    }
}

/// Size and block size of the disk that holds the table, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Size of the disk.
    pub size: u64,
    /// Size of a logical block.
    pub block: u32,
}

impl Geometry {
    fn blocks(self) -> u64 {
        self.size / u64::from(self.block.max(1))
    }

    fn bytes(self, blocks: u64) -> u64 {
        blocks.saturating_mul(u64::from(self.block))
    }
}

/// Why a partition table is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The image has no partition table, and a config drive needs one.
    #[error("the image has no partition table for the config drive")]
    NoTable,
    /// A GPT header or its entries have a wrong checksum.
    #[error("the image's partition table has a wrong checksum")]
    Checksum,
    /// A value is impossible on this disk.
    #[error("the image's partition table has an impossible value")]
    Absurd,
    /// All partition entries are in use.
    #[error("the image's partition table has no free entry for a config drive")]
    Full,
    /// The disk has no room behind the last partition.
    #[error("the disk has no room for a config drive behind the image's partitions")]
    NoRoom,
}

/// A write of whole blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Offset in bytes, a multiple of the block size.
    pub offset: u64,
    /// The content, whole blocks.
    pub bytes: Vec<u8>,
}

/// The writes. After a power cut between two of them the firmware still finds a
/// valid table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The writes in order.
    pub writes: Vec<Write>,
    /// Offset and length of the config drive's partition in bytes.
    pub config_drive: Option<(u64, u64)>,
}

/// The partition table of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Table {
    /// A GUID partition table.
    Gpt {
        /// First block of the disk, the protective MBR.
        mbr: Vec<u8>,
        /// Second block of the disk, the GPT header.
        header: Vec<u8>,
    },
    /// An MBR partition table, with its block.
    Mbr(Vec<u8>),
    /// Neither.
    None,
}

impl Table {
    /// Parses the first two blocks of a disk.
    ///
    /// # Errors
    /// The GPT header has a wrong checksum or an impossible value.
    pub fn parse(head: &[u8], geometry: Geometry) -> Result<Self, TableError> {
        let block = geometry.block as usize;
        let (Some(mbr), Some(header)) = (head.get(..block), head.get(block..2 * block)) else {
            return Ok(Self::None);
        };
        let has_mbr = mbr.get(510..512) == Some(&[0x55, 0xaa]);
        if header.get(field::SIGNATURE) != Some(b"EFI PART") {
            let protective = has_mbr && mbr_entries(mbr).any(|entry| entry[4] == MBR_PROTECTIVE);
            return match (has_mbr, protective) {
                // A GPT without its header, or for another block size.
                (_, true) => Err(TableError::Absurd),
                (true, _) => Ok(Self::Mbr(mbr.into())),
                (false, _) => Ok(Self::None),
            };
        }
        let length = u32_at(header, field::LENGTH) as usize;
        if !(HEADER_LENGTH..=block).contains(&length) {
            return Err(TableError::Absurd);
        }
        let mut copy = header[..length].to_vec();
        copy[field::CRC].fill(0);
        if crc32fast::hash(&copy) != u32_at(header, field::CRC) {
            return Err(TableError::Checksum);
        }
        let table = Self::Gpt {
            mbr: mbr.into(),
            header: header.into(),
        };
        let (start, length) = table.entries(geometry).unwrap_or_default();
        let entry_length = u32_at(header, field::ENTRY_LENGTH);
        if (entry_length as usize) < ENTRY_LENGTH
            || !entry_length.is_power_of_two()
            || length == 0
            || length > MAX_ENTRIES_LENGTH
            || start < geometry.bytes(2)
            || u64_at(header, field::MY_LBA) != 1
            || start.saturating_add(length) > geometry.size
        {
            return Err(TableError::Absurd);
        }
        Ok(table)
    }

    /// Returns offset and length of a GPT's partition entries in bytes. The
    /// length is in whole blocks.
    pub fn entries(&self, geometry: Geometry) -> Option<(u64, u64)> {
        let Self::Gpt { header, .. } = self else {
            return None;
        };
        let length = u64::from(u32_at(header, field::ENTRY_COUNT))
            * u64::from(u32_at(header, field::ENTRY_LENGTH));
        Some((
            geometry.bytes(u64_at(header, field::ENTRIES_LBA)),
            length.checked_next_multiple_of(u64::from(geometry.block.max(1)))?,
        ))
    }

    /// Plans the writes after which the table fits `geometry` and has a partition
    /// of `config_drive` bytes. `entries` has the bytes at [`Table::entries`], or
    /// is empty; `id` is random and becomes the unique GUID of the partition.
    ///
    /// # Errors
    /// See [`TableError`].
    pub fn plan(
        &self,
        geometry: Geometry,
        entries: &[u8],
        config_drive: Option<u64>,
        id: [u8; 16],
    ) -> Result<Plan, TableError> {
        match (self, config_drive) {
            (Self::Gpt { mbr, header }, wanted) => {
                plan_gpt(geometry, mbr, header, entries, wanted, id)
            }
            (Self::Mbr(mbr), Some(wanted)) => plan_mbr(geometry, mbr, wanted),
            (Self::None, Some(_)) => Err(TableError::NoTable),
            (Self::Mbr(_) | Self::None, None) => Ok(Plan::default()),
        }
    }
}

fn plan_gpt(
    geometry: Geometry,
    mbr: &[u8],
    header: &[u8],
    entries: &[u8],
    wanted: Option<u64>,
    id: [u8; 16],
) -> Result<Plan, TableError> {
    let entry_length = u32_at(header, field::ENTRY_LENGTH) as usize;
    let used = u32_at(header, field::ENTRY_COUNT) as usize * entry_length;
    let mut entries = entries.to_vec();
    let list = entries.get(..used).ok_or(TableError::Absurd)?;
    if crc32fast::hash(list) != u32_at(header, field::ENTRIES_CRC) {
        return Err(TableError::Checksum);
    }

    let entry_blocks = entries.len() as u64 / u64::from(geometry.block.max(1));
    let last = geometry.blocks().checked_sub(1).ok_or(TableError::Absurd)?;
    let backup_entries = last.checked_sub(entry_blocks).ok_or(TableError::NoRoom)?;
    let last_usable = backup_entries.checked_sub(1).ok_or(TableError::NoRoom)?;
    let first_usable = u64_at(header, field::FIRST_USABLE);
    if first_usable > last_usable {
        return Err(TableError::NoRoom);
    }

    // A config drive inside the image belongs to another server.
    if wanted.is_some() {
        for entry in entries[..used].chunks_exact_mut(entry_length) {
            if !is_free(entry) && name_of(entry) == LABEL {
                entry.fill(0);
            }
        }
    }
    let mut first_free = first_usable;
    for entry in entries[..used].chunks_exact(entry_length) {
        if is_free(entry) {
            continue;
        }
        let (first, end) = (
            u64_at(entry, field::entry::FIRST),
            u64_at(entry, field::entry::LAST),
        );
        if first > end || first < first_usable {
            return Err(TableError::Absurd);
        }
        if end > last_usable {
            return Err(TableError::NoRoom);
        }
        first_free = first_free.max(end + 1);
    }

    let mut config_drive = None;
    if let Some(wanted) = wanted {
        let (offset, length) = place(geometry, first_free, last_usable + 1, wanted)?;
        let entry = entries[..used]
            .chunks_exact_mut(entry_length)
            .find(|entry| is_free(entry))
            .ok_or(TableError::Full)?;
        let first = offset / u64::from(geometry.block);
        let end = (offset + length) / u64::from(geometry.block) - 1;
        entry.fill(0);
        entry[field::entry::TYPE].copy_from_slice(&BASIC_DATA);
        entry[field::entry::ID].copy_from_slice(&version_4(id));
        entry[field::entry::FIRST].copy_from_slice(&first.to_le_bytes());
        entry[field::entry::LAST].copy_from_slice(&end.to_le_bytes());
        let name = &mut entry[field::entry::NAME];
        for (unit, place) in LABEL.encode_utf16().zip(name.chunks_exact_mut(2)) {
            place.copy_from_slice(&unit.to_le_bytes());
        }
        config_drive = Some((offset, length));
    }

    let entries_lba = u64_at(header, field::ENTRIES_LBA);
    let entries_crc = crc32fast::hash(&entries[..used]);
    let header_for = |my_lba: u64, alternate: u64, entries_lba: u64| {
        let mut block = header.to_vec();
        block[field::MY_LBA].copy_from_slice(&my_lba.to_le_bytes());
        block[field::ALTERNATE_LBA].copy_from_slice(&alternate.to_le_bytes());
        block[field::LAST_USABLE].copy_from_slice(&last_usable.to_le_bytes());
        block[field::ENTRIES_LBA].copy_from_slice(&entries_lba.to_le_bytes());
        block[field::ENTRIES_CRC].copy_from_slice(&entries_crc.to_le_bytes());
        seal(&mut block);
        block
    };
    let writes = vec![
        Write {
            offset: geometry.bytes(backup_entries),
            bytes: entries.clone(),
        },
        Write {
            offset: geometry.bytes(last),
            bytes: header_for(last, 1, backup_entries),
        },
        Write {
            offset: geometry.bytes(entries_lba),
            bytes: entries,
        },
        Write {
            offset: geometry.bytes(1),
            bytes: header_for(1, last, entries_lba),
        },
        Write {
            offset: 0,
            bytes: protective_mbr(mbr, last),
        },
    ];
    Ok(Plan {
        writes,
        config_drive,
    })
}

/// Sets the checksum of a header.
fn seal(header: &mut [u8]) {
    let length = (u32_at(header, field::LENGTH) as usize).min(header.len());
    header[field::CRC].fill(0);
    let crc = crc32fast::hash(&header[..length]);
    header[field::CRC].copy_from_slice(&crc.to_le_bytes());
}

/// Makes the protective partition span the disk, up to its 32-bit limit. Keeps
/// boot code and hybrid entries.
fn protective_mbr(mbr: &[u8], last: u64) -> Vec<u8> {
    let mut mbr = mbr.to_vec();
    for index in 0..4 {
        let start = MBR_ENTRIES + 16 * index;
        if let Some(entry) = mbr.get_mut(start..start + 16)
            && entry[4] == MBR_PROTECTIVE
            && u32_at(entry, 8..12) == 1
        {
            let blocks = u32::try_from(last).unwrap_or(u32::MAX);
            entry[12..16].copy_from_slice(&blocks.to_le_bytes());
        }
    }
    mbr
}

fn plan_mbr(geometry: Geometry, mbr: &[u8], wanted: u64) -> Result<Plan, TableError> {
    // Block numbers have 32 bits in an MBR.
    let end = geometry.blocks().min(u64::from(u32::MAX));
    let first_free = mbr_entries(mbr)
        .filter(|entry| entry[4] != 0)
        .map(|entry| u64::from(u32_at(entry, 8..12)) + u64::from(u32_at(entry, 12..16)))
        .max()
        .unwrap_or(1)
        .max(1);
    let (offset, length) = place(geometry, first_free, end, wanted)?;
    let slot = mbr_entries(mbr)
        .position(|entry| entry[4] == 0)
        .ok_or(TableError::Full)?;
    let block = u64::from(geometry.block);
    let as_lba = |bytes: u64| u32::try_from(bytes / block).map_err(|_| TableError::NoRoom);
    let mut bytes = mbr.to_vec();
    let start = MBR_ENTRIES + 16 * slot;
    let entry = bytes.get_mut(start..start + 16).ok_or(TableError::Absurd)?;
    entry.fill(0);
    // The CHS value that refers to the block numbers.
    entry[1..4].copy_from_slice(&[0xfe, 0xff, 0xff]);
    entry[4] = MBR_FAT;
    entry[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
    entry[8..12].copy_from_slice(&as_lba(offset)?.to_le_bytes());
    entry[12..16].copy_from_slice(&as_lba(length)?.to_le_bytes());
    Ok(Plan {
        writes: vec![Write { offset: 0, bytes }],
        config_drive: Some((offset, length)),
    })
}

/// Returns the last position for `wanted` bytes that is a multiple of
/// [`ALIGNMENT`] and lies within a half-open range of blocks.
fn place(
    geometry: Geometry,
    first_free: u64,
    end: u64,
    wanted: u64,
) -> Result<(u64, u64), TableError> {
    let length = wanted
        .max(1)
        .checked_next_multiple_of(u64::from(geometry.block.max(1)))
        .ok_or(TableError::NoRoom)?;
    let start = geometry
        .bytes(end)
        .checked_sub(length)
        .ok_or(TableError::NoRoom)?
        / ALIGNMENT
        * ALIGNMENT;
    if start < geometry.bytes(first_free) {
        return Err(TableError::NoRoom);
    }
    Ok((start, length))
}

fn mbr_entries(mbr: &[u8]) -> impl Iterator<Item = &[u8]> {
    mbr.get(MBR_ENTRIES..MBR_ENTRIES + 64)
        .unwrap_or_default()
        .chunks_exact(16)
}

fn is_free(entry: &[u8]) -> bool {
    entry[field::entry::TYPE] == [0; 16]
}

fn name_of(entry: &[u8]) -> String {
    let units = entry[field::entry::NAME]
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .take_while(|&unit| unit != 0);
    char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Sets the version bits of a random UUID (RFC 9562, 5.4) in the byte order of the
/// disk.
fn version_4(mut id: [u8; 16]) -> [u8; 16] {
    id[7] = id[7] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

/// Reads a field; zero if the slice is too short.
fn u32_at(bytes: &[u8], at: core::ops::Range<usize>) -> u32 {
    bytes
        .get(at)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: core::ops::Range<usize>) -> u64 {
    bytes
        .get(at)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests;
