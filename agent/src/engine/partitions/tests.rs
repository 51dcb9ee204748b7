//! Tests the partition tables with another implementation and with malformed
//! input.

use super::*;
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use proptest::prelude::*;
use std::io::Cursor;

const IMAGE: u64 = 24 << 20;
const DISK: Geometry = Geometry {
    size: 40 << 20,
    block: 512,
};

fn logical(block: u32) -> LogicalBlockSize {
    if block == 4096 {
        LogicalBlockSize::Lb4096
    } else {
        LogicalBlockSize::Lb512
    }
}

/// Returns a disk with an image of two partitions, which the other
/// implementation made. The disk is larger than the image.
fn disk_with_image(geometry: Geometry) -> Vec<u8> {
    let mut bytes = vec![0; IMAGE as usize];
    let mut cursor = Cursor::new(&mut bytes);
    ProtectiveMBR::with_lb_size((IMAGE / u64::from(geometry.block) - 1) as u32)
        .overwrite_lba0(&mut cursor)
        .unwrap();
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(logical(geometry.block))
        .create_from_device(cursor, None)
        .unwrap();
    table
        .add_partition("esp", 2 << 20, gpt::partition_types::EFI, 0, None)
        .unwrap();
    table
        .add_partition("root", 10 << 20, gpt::partition_types::LINUX_FS, 0, None)
        .unwrap();
    table.write().unwrap();
    bytes.resize(geometry.size as usize, 0);
    bytes
}

fn plan_for(disk: &[u8], geometry: Geometry, wanted: Option<u64>) -> Result<Plan, TableError> {
    let table = Table::parse(&disk[..2 * geometry.block as usize], geometry)?;
    let (start, length) = table.entries(geometry).unwrap_or_default();
    let entries = &disk[start as usize..(start + length) as usize];
    table.plan(geometry, entries, wanted, [7; 16])
}

fn carry_out(disk: &mut [u8], plan: &Plan) {
    for write in &plan.writes {
        let start = write.offset as usize;
        disk[start..start + write.bytes.len()].copy_from_slice(&write.bytes);
    }
}

/// Opens both copies of the table with the other implementation.
fn open(disk: &[u8], geometry: Geometry) -> gpt::GptDisk<Cursor<Vec<u8>>> {
    let table = gpt::GptConfig::new()
        .writable(false)
        .logical_block_size(logical(geometry.block))
        .open_from_device(Cursor::new(disk.to_vec()))
        .unwrap();
    let (first, second) = (
        table.primary_header().unwrap(),
        table.backup_header().unwrap(),
    );
    assert_eq!(first.last_usable, second.last_usable);
    assert_eq!(first.crc32_parts, second.crc32_parts);
    assert_eq!(second.current_lba, geometry.blocks() - 1);
    assert_eq!(first.backup_lba, geometry.blocks() - 1);
    assert_eq!(second.backup_lba, 1);
    table
}

#[test]
fn table_grows_to_the_disk_and_has_a_config_drive() {
    for block in [512, 4096] {
        let geometry = Geometry { block, ..DISK };
        let mut disk = disk_with_image(geometry);
        let plan = plan_for(&disk, geometry, Some(8 << 20)).unwrap();
        carry_out(&mut disk, &plan);
        let table = open(&disk, geometry);
        let drive = table
            .partitions()
            .values()
            .find(|entry| entry.name == LABEL)
            .unwrap();
        let (offset, length) = plan.config_drive.unwrap();
        assert_eq!(drive.first_lba * u64::from(block), offset);
        assert_eq!((drive.last_lba + 1) * u64::from(block), offset + length);
        assert_eq!(offset % ALIGNMENT, 0);
        assert_eq!(offset, (40 - 9) << 20);
        assert_eq!(drive.part_type_guid, gpt::partition_types::BASIC);
        assert_eq!(drive.part_guid.get_version_num(), 4);
        assert_eq!(table.partitions().len(), 3);
        // The protective partition spans the disk.
        let blocks = (geometry.blocks() - 1) as u32;
        assert_eq!(disk[458..462], blocks.to_le_bytes());
    }
}

#[test]
fn without_config_drive_only_the_backup_moves() {
    let mut disk = disk_with_image(DISK);
    let plan = plan_for(&disk, DISK, None).unwrap();
    assert_eq!(plan.config_drive, None);
    carry_out(&mut disk, &plan);
    let table = open(&disk, DISK);
    assert_eq!(table.partitions().len(), 2);
    assert_eq!(
        table.primary_header().unwrap().last_usable,
        DISK.blocks() - 34
    );
}

#[test]
fn config_drive_of_the_image_is_replaced() {
    let mut disk = disk_with_image(DISK);
    for _ in 0..2 {
        let plan = plan_for(&disk, DISK, Some(8 << 20)).unwrap();
        carry_out(&mut disk, &plan);
        assert_eq!(open(&disk, DISK).partitions().len(), 3);
    }
}

#[test]
fn disk_of_the_image_size_has_no_room() {
    let disk = disk_with_image(Geometry {
        size: IMAGE,
        ..DISK
    });
    let geometry = Geometry {
        size: IMAGE,
        block: 512,
    };
    assert_eq!(
        plan_for(&disk, geometry, Some(16 << 20)),
        Err(TableError::NoRoom)
    );
    plan_for(&disk, geometry, Some(8 << 20)).unwrap();
}

#[test]
fn every_flipped_bit_of_header_and_entries_fails() {
    let mut disk = disk_with_image(DISK);
    for at in (512..512 + HEADER_LENGTH).chain(1024..1024 + 256) {
        disk[at] ^= 0x10;
        assert!(plan_for(&disk, DISK, None).is_err(), "{at}");
        disk[at] ^= 0x10;
    }
    plan_for(&disk, DISK, None).unwrap();
}

#[test]
fn mbr_gets_a_partition() {
    let mut disk = vec![0; DISK.size as usize];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[450] = 0x83;
    disk[454..458].copy_from_slice(&2048_u32.to_le_bytes());
    disk[458..462].copy_from_slice(&50_000_u32.to_le_bytes());
    let plan = plan_for(&disk, DISK, Some(1 << 20)).unwrap();
    carry_out(&mut disk, &plan);
    assert_eq!(plan.config_drive, Some((39 << 20, 1 << 20)));
    assert_eq!(disk[466], MBR_FAT);
    assert_eq!(disk[470..474], (39_u32 * 2048).to_le_bytes());
    assert_eq!(disk[474..478], 2048_u32.to_le_bytes());
    disk[474..478].copy_from_slice(&1_u32.to_le_bytes());
    disk[470..474].copy_from_slice(&60_000_u32.to_le_bytes());
    disk[446 + 16 * 2 + 4] = 0x83;
    disk[446 + 16 * 3 + 4] = 0x83;
    assert_eq!(plan_for(&disk, DISK, Some(512)), Err(TableError::Full));
}

#[test]
fn disk_without_a_table_has_no_plan() {
    let disk = vec![0; 1 << 20];
    let geometry = Geometry {
        size: 1 << 20,
        block: 512,
    };
    assert_eq!(plan_for(&disk, geometry, None), Ok(Plan::default()));
    assert_eq!(
        plan_for(&disk, geometry, Some(512)),
        Err(TableError::NoTable)
    );
    // A GPT for blocks of another size.
    let disk = disk_with_image(Geometry {
        block: 4096,
        ..DISK
    });
    assert_eq!(plan_for(&disk, DISK, None), Err(TableError::Absurd));
}

proptest! {
    #[test]
    fn any_head_is_survived(
        mut head in proptest::collection::vec(any::<u8>(), 0..1100),
        entries in any::<Vec<u8>>(),
        gpt in any::<bool>(),
        wanted in proptest::option::of(any::<u64>()),
        size in any::<u64>(),
    ) {
        if gpt && head.len() >= 1024 {
            head[512..520].copy_from_slice(b"EFI PART");
            head[524..528].copy_from_slice(&92_u32.to_le_bytes());
            seal(&mut head[512..1024]);
        }
        let geometry = Geometry { size, block: 512 };
        if let Ok(table) = Table::parse(&head, geometry) {
            let _plan = table.plan(geometry, &entries, wanted, [0; 16]);
        }
    }

    #[test]
    fn any_entry_is_survived(
        fields in proptest::collection::vec((0_usize..1024, any::<u8>()), 0..40),
        wanted in proptest::option::of(0_u64..1 << 30),
    ) {
        // The parser reads only the head.
        static IMAGE_HEAD: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
            disk_with_image(DISK)[..64 << 10].to_vec()
        });
        let mut disk = IMAGE_HEAD.clone();
        for (at, value) in fields {
            disk[1024 + at] = value;
        }
        let crc = crc32fast::hash(&disk[1024..1024 + 128 * 128]);
        disk[512..1024][field::ENTRIES_CRC].copy_from_slice(&crc.to_le_bytes());
        seal(&mut disk[512..1024]);
        if let Ok(plan) = plan_for(&disk, DISK, wanted) {
            for write in plan.writes {
                prop_assert!(write.offset + write.bytes.len() as u64 <= DISK.size);
            }
        }
    }
}
