//! Builds the disk around a root file system: partition table, BIOS boot loader,
//! EFI system partition.
//!
//! GRUB's installer needs mounted devices. For a fixed layout the steps are simple:
//! write the first stage with the sector of the second stage to the master boot
//! record, and the position of its rest to the first sector of the second stage.
//! The offsets are those of GRUB 2's `boot/i386/pc/boot.S`, `diskboot.S` and
//! `include/grub/i386/pc/boot.h`.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use gpt::{GptConfig, disk::LogicalBlockSize, mbr::ProtectiveMBR, partition_types};

use crate::{Tools, data_file, run};

const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;
/// Partitions are aligned to this many bytes.
const ALIGN_LBA: u64 = MIB / SECTOR;

/// The partition of the second stage of GRUB for BIOS.
const BIOS_BOOT: Extent = Extent {
    lba: ALIGN_LBA,
    sectors: ALIGN_LBA,
};
/// The EFI system partition: GRUB for UEFI is half a megabyte.
const ESP: Extent = Extent {
    lba: 2 * ALIGN_LBA,
    sectors: 4 * ALIGN_LBA,
};
/// The root partition is the last, so that it can grow to the end of the disk.
const ROOT_LBA: u64 = 6 * ALIGN_LBA;

/// Fixed GUIDs, part of the recipe.
const DISK_GUID: &str = "3a1f6f0e-5b0c-4f7e-9c53-6e0a5d6b9f10";
const PARTITION_GUIDS: [&str; 3] = [
    "3a1f6f0e-5b0c-4f7e-9c53-6e0a5d6b9f11",
    "3a1f6f0e-5b0c-4f7e-9c53-6e0a5d6b9f12",
    "3a1f6f0e-5b0c-4f7e-9c53-6e0a5d6b9f13",
];

/// Offset of the second stage's sector number in the first stage.
const BOOT_KERNEL_SECTOR: usize = 0x5c;
/// Offset of a jump in the first stage for floppy disks.
const BOOT_DRIVE_CHECK: usize = 0x66;
/// Length of the code in the master boot record in bytes.
const BOOT_CODE: usize = 440;
/// Offset of the first block list entry in the second stage's first sector.
const BLOCK_LIST: usize = 0x1f4;

/// The third partition of the boot disk.
const PREFIX: &str = "(,gpt3)/boot/grub";
/// Modules of both GRUBs to read the configuration and boot Linux.
const MODULES: &[&str] = &[
    "normal",
    "configfile",
    "part_gpt",
    "ext2",
    "linux",
    "boot",
    "echo",
    "ls",
    "cat",
    "test",
    "reboot",
    "halt",
    "minicmd",
    "serial",
    "terminal",
];

#[derive(Clone, Copy)]
struct Extent {
    lba: u64,
    sectors: u64,
}

/// Writes the raw disk `raw` with the root file system in `root_fs`.
///
/// # Errors
/// GRUB's files are missing or too large, or a write fails.
pub fn assemble(tools: &Tools, root_fs: &Path, raw: &Path, work: &Path) -> Result<()> {
    let root_sectors = fs::metadata(root_fs)?.len().div_ceil(SECTOR);
    // The backup of the partition table takes the last 33 sectors.
    let sectors = (ROOT_LBA + root_sectors + 33).next_multiple_of(ALIGN_LBA);
    let mut disk = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(raw)
        .with_context(|| format!("cannot make {}", raw.display()))?;
    disk.set_len(sectors * SECTOR)?;

    write_partition_table(&mut disk, sectors, root_sectors)?;
    write_bios_grub(tools, &mut disk, work)?;
    write_esp(tools, &mut disk, work)?;
    copy_sparse(&mut File::open(root_fs)?, &mut disk, ROOT_LBA * SECTOR)?;
    disk.sync_all()?;
    Ok(())
}

fn write_partition_table(disk: &mut File, sectors: u64, root_sectors: u64) -> Result<()> {
    let size = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    ProtectiveMBR::with_lb_size(size).overwrite_lba0(disk)?;
    let mut table = GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(&mut *disk, Some(DISK_GUID.parse()?))?;
    let root = Extent {
        lba: ROOT_LBA,
        sectors: root_sectors,
    };
    let partitions = [
        ("bios", BIOS_BOOT, partition_types::BIOS),
        ("esp", ESP, partition_types::EFI),
        ("root", root, partition_types::LINUX_ROOT_X64),
    ];
    for (number, (name, extent, kind)) in (1..).zip(partitions) {
        table.add_partition_at(name, number, extent.lba, extent.sectors, kind, 0)?;
    }
    let mut fixed: BTreeMap<_, _> = table.take_partitions();
    for (partition, guid) in fixed.values_mut().zip(PARTITION_GUIDS) {
        partition.part_guid = guid.parse()?;
    }
    table.update_partitions(fixed)?;
    table.write()?;
    Ok(())
}

/// Runs grub-mkimage. Returns the path of the image.
fn grub_image(
    tools: &Tools,
    work: &Path,
    format: &str,
    more_modules: &[&str],
) -> Result<std::path::PathBuf> {
    let output = work.join(format!("grub-{format}"));
    run(tools("grub-mkimage")?
        .args(["--format", format, "--prefix", PREFIX, "--output"])
        .arg(&output)
        .args(more_modules)
        .args(MODULES))?;
    Ok(output)
}

fn write_bios_grub(tools: &Tools, disk: &mut File, work: &Path) -> Result<()> {
    let mut boot = fs::read(data_file(tools, "/usr/lib/grub/i386-pc/boot.img")?)?;
    ensure!(
        boot.len() == SECTOR as usize,
        "GRUB's boot.img is not one sector"
    );
    put(&mut boot, BOOT_KERNEL_SECTOR, &BIOS_BOOT.lba.to_le_bytes())?;
    // Two `nop`: use the drive number of the BIOS.
    put(&mut boot, BOOT_DRIVE_CHECK, &[0x90, 0x90])?;
    let code = boot.get(..BOOT_CODE).context("GRUB's boot.img is short")?;
    write_at(disk, 0, code)?;

    let path = grub_image(tools, work, "i386-pc", &["biosdisk"])?;
    let mut core = fs::read(&path)?;
    let room = BIOS_BOOT.sectors * SECTOR;
    ensure!(
        core.len() as u64 <= room,
        "GRUB for BIOS does not fit its partition"
    );
    // grub-mkimage has set the length and load segment of the list.
    put(&mut core, BLOCK_LIST, &(BIOS_BOOT.lba + 1).to_le_bytes())?;
    write_at(disk, BIOS_BOOT.lba * SECTOR, &core)
}

fn write_esp(tools: &Tools, disk: &mut File, work: &Path) -> Result<()> {
    data_file(tools, "/usr/lib/grub/x86_64-efi/moddep.lst")?;
    let grub = fs::read(grub_image(tools, work, "x86_64-efi", &[])?)?;
    let mut volume = std::io::Cursor::new(vec![0; (ESP.sectors * SECTOR) as usize]);
    fatfs::format_volume(
        &mut volume,
        fatfs::FormatVolumeOptions::new()
            .fat_type(fatfs::FatType::Fat12)
            .bytes_per_cluster(2048)
            .volume_id(0x4641_5252)
            .volume_label(*b"ESP        "),
    )?;
    {
        let files = fatfs::FileSystem::new(&mut volume, fatfs::FsOptions::new())?;
        files.root_dir().create_dir("EFI")?;
        files.root_dir().create_dir("EFI/BOOT")?;
        files
            .root_dir()
            .create_file("EFI/BOOT/BOOTX64.EFI")?
            .write_all(&grub)?;
        files.unmount()?;
    }
    write_at(disk, ESP.lba * SECTOR, volume.get_ref())
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) -> Result<()> {
    bytes
        .get_mut(offset..offset + value.len())
        .context("a GRUB image is truncated")?
        .copy_from_slice(value);
    Ok(())
}

fn write_at(disk: &mut File, offset: u64, bytes: &[u8]) -> Result<()> {
    disk.seek(SeekFrom::Start(offset))?;
    disk.write_all(bytes)?;
    Ok(())
}

/// Copies a file with holes for zeroes.
fn copy_sparse(from: &mut File, to: &mut File, offset: u64) -> Result<()> {
    let mut block = vec![0; 64 << 10];
    let mut position = offset;
    loop {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match from.read(rest)? {
                0 => break,
                count => filled += count,
            }
        }
        let bytes = block.get(..filled).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.iter().any(|byte| *byte != 0) {
            write_at(to, position, bytes)?;
        }
        position += bytes.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A temporary file that is deleted on drop.
    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str) -> (Self, File) {
            let path = std::env::temp_dir().join(format!("farrier-{name}-{}", std::process::id()));
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&path)
                .unwrap();
            (Self(path), file)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_file(&self.0).unwrap();
        }
    }

    #[test]
    fn both_partition_tables_are_valid_and_root_is_last() {
        let (_scratch, mut disk) = Scratch::new("table");
        let sectors = 40 * ALIGN_LBA;
        disk.set_len(sectors * SECTOR).unwrap();
        write_partition_table(&mut disk, sectors, 33 * ALIGN_LBA).unwrap();

        let table = GptConfig::new()
            .writable(false)
            .open_from_device(disk)
            .unwrap();
        assert_eq!(
            table.primary_header().unwrap().disk_guid.to_string(),
            DISK_GUID
        );
        assert_eq!(table.backup_header().unwrap().current_lba, sectors - 1);
        let partitions: Vec<_> = table.partitions().values().collect();
        let names: Vec<_> = partitions
            .iter()
            .map(|partition| partition.name.as_str())
            .collect();
        assert_eq!(names, ["bios", "esp", "root"]);
        assert!(
            partitions
                .windows(2)
                .all(|pair| pair[0].last_lba < pair[1].first_lba)
        );
        assert!(
            partitions
                .iter()
                .all(|partition| partition.first_lba % ALIGN_LBA == 0)
        );
        assert!(partitions[2].last_lba <= table.primary_header().unwrap().last_usable);
    }

    #[test]
    fn sparse_copy_is_equal_and_has_holes() {
        use std::os::unix::fs::MetadataExt;
        let (_from, mut from) = Scratch::new("from");
        let (_to, mut to) = Scratch::new("to");
        let length = 8 * MIB + 700;
        from.set_len(length).unwrap();
        write_at(&mut from, 3 * MIB + 5, b"in the middle").unwrap();
        write_at(&mut from, length - 3, b"end").unwrap();
        to.set_len(length + 512).unwrap();

        from.seek(SeekFrom::Start(0)).unwrap();
        copy_sparse(&mut from, &mut to, 512).unwrap();

        let mut expected = vec![0; 512];
        from.seek(SeekFrom::Start(0)).unwrap();
        from.read_to_end(&mut expected).unwrap();
        let mut copied = Vec::new();
        to.seek(SeekFrom::Start(0)).unwrap();
        to.read_to_end(&mut copied).unwrap();
        assert!(copied == expected);
        to.sync_all().unwrap();
        assert!(to.metadata().unwrap().blocks() * 512 < length / 2);
    }
}
