//! Reads and checks the whole partition table that a deploy left.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use gpt::disk::LogicalBlockSize;
use gpt::header::Header;

/// Bytes of a logical block of every emulated disk.
const BLOCK: u64 = 512;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// Its label.
    pub name: String,
    /// Its type, as a GUID in capital letters.
    pub kind: String,
    /// Its first byte on the disk.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A sound GPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The disk's GUID, in lower case.
    pub guid: String,
    /// The partitions in use, by number.
    pub partitions: Vec<Partition>,
}

/// Reads the GPT of a disk and checks all of it: the protective MBR, the
/// primary at its beginning, the backup at its *real* end, that each names
/// the other's place, their checksums and those of their entries, that both
/// hold the same, and that partitions lie inside and apart.
///
/// # Errors
/// What is wrong first.
pub fn read_table(path: &Path) -> Result<Table> {
    let file = File::open(path).with_context(|| format!("opening the disk {}", path.display()))?;
    let last = file.metadata()?.len() / BLOCK - 1;
    let mut mbr = [0; 512];
    file.read_exact_at(&mut mbr, 0)?;
    ensure!(mbr[510..] == [0x55, 0xAA], "no MBR signature");
    ensure!(
        mbr[446..510].chunks(16).any(|entry| entry[4] == 0xEE),
        "no protective partition in the MBR"
    );

    let disk = gpt::GptConfig::new()
        .writable(false)
        .logical_block_size(LogicalBlockSize::Lb512)
        .only_valid_headers(true)
        .open_from_device(file.try_clone()?)
        .context("the GPT's headers")?;
    let (primary, backup) = (disk.primary_header()?, disk.backup_header()?);
    ensure!(
        primary.current_lba == 1 && backup.current_lba == last,
        "the backup GPT says block {}, the last one is {last}",
        backup.current_lba
    );
    ensure!(
        primary.backup_lba == last,
        "the primary GPT puts the backup at block {}, the last one is {last}",
        primary.backup_lba
    );
    ensure!(
        backup.backup_lba == 1,
        "the backup GPT puts the primary at block {}",
        backup.backup_lba
    );
    ensure!(
        primary.disk_guid == backup.disk_guid,
        "the two GPTs are of two disks"
    );
    ensure!(
        (primary.first_usable, primary.last_usable) == (backup.first_usable, backup.last_usable),
        "the two GPTs disagree on the usable blocks"
    );
    ensure!(
        entries(&file, primary).context("the primary GPT")?
            == entries(&file, backup).context("the backup GPT")?,
        "the two GPTs' entries differ"
    );

    let mut partitions = Vec::new();
    for (number, partition) in disk
        .partitions()
        .iter()
        .filter(|(_, partition)| partition.is_used())
    {
        let (first, last) = (partition.first_lba, partition.last_lba);
        ensure!(
            primary.first_usable <= first && first <= last && last <= primary.last_usable,
            "partition {number}, blocks {first} to {last}, is not inside {} to {}",
            primary.first_usable,
            primary.last_usable
        );
        partitions.push(Partition {
            number: *number,
            name: partition.name.clone(),
            kind: partition.part_type_guid.guid.to_string().to_uppercase(),
            offset: first * BLOCK,
            bytes: (last - first + 1) * BLOCK,
        });
    }
    let mut by_place: Vec<&Partition> = partitions.iter().collect();
    by_place.sort_unstable_by_key(|partition| partition.offset);
    for pair in by_place.windows(2) {
        ensure!(
            pair[0].offset + pair[0].bytes <= pair[1].offset,
            "partitions {} and {} overlap",
            pair[0].number,
            pair[1].number
        );
    }
    Ok(Table {
        guid: disk.guid().to_string(),
        partitions,
    })
}

/// The entries that a header points at, checked against its checksum.
fn entries(file: &File, header: &Header) -> Result<Vec<u8>> {
    let length = u64::from(header.num_parts) * u64::from(header.part_size);
    ensure!(length <= 1 << 20, "{length} bytes of entries");
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, header.part_start * BLOCK)
        .context("its entries")?;
    ensure!(
        crc32fast::hash(&bytes) == header.crc32_parts,
        "the checksum of its entries is wrong"
    );
    Ok(bytes)
}
