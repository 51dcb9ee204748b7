//! Disks read from outside.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use farrier_hil_tests::disk::{Found, Run, read_table, residue, scan};

const MIB: u64 = 1 << 20;

/// A sparse disk of `bytes`, with `parts` written into it.
fn disk(directory: &Path, name: &str, bytes: u64, parts: &[(u64, &[u8])]) -> PathBuf {
    let path = directory.join(name);
    let file = File::create(&path).unwrap();
    file.set_len(bytes).unwrap();
    for (offset, part) in parts {
        file.write_all_at(part, *offset).unwrap();
    }
    path
}

#[test]
fn an_empty_disk_is_not_even_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = disk(directory.path(), "blank", 8 << 30, &[]);
    let found = scan(&path).unwrap();
    assert_eq!(
        (found.bytes, found.read_bytes, found.nonzero_bytes),
        (8 << 30, 0, 0)
    );
    // Zeros that were written count as zeros.
    let path = disk(directory.path(), "zeroed", MIB, &[(0, &[0; 65_536])]);
    assert!(residue(&path, &[], &[b"x"]).unwrap().is_clean());
}

#[test]
fn every_byte_is_found_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    // Runs across the border of a read, with zeros inside, and at the end.
    let parts: [(u64, &[u8]); 3] = [(0, &[1]), (MIB - 2, &[9, 9, 9, 0, 9]), (3 * MIB - 1, &[7])];
    let path = disk(directory.path(), "disk", 3 * MIB, &parts);
    let found = scan(&path).unwrap();
    assert_eq!(found.nonzero_bytes, 6);
    let run = |offset, length| Run { offset, length };
    assert_eq!(
        found.first_runs,
        [
            run(0, 1),
            run(MIB - 2, 3),
            run(MIB + 2, 1),
            run(3 * MIB - 1, 1)
        ]
    );
}

#[test]
fn a_tenants_sectors_and_words_are_recognised() {
    let directory = tempfile::tempdir().unwrap();
    let sectors: Vec<u8> = (0..2_048_u32)
        .map(|n| (n.wrapping_mul(40_503) >> 8) as u8 | 1)
        .collect();
    let image = disk(directory.path(), "image", MIB, &[(4_096, &sectors)]);
    let markers: [&[u8]; 3] = [b"tenant-host", b"key", b"absent"];
    let parts: [(u64, &[u8]); 4] = [
        // Two of the image's sectors, elsewhere.
        (512 * 9_000, &sectors[512..1_536]),
        // Markers across and just behind the border of a read.
        (2 * MIB - 5, b"tenant-host"),
        (5 * MIB - 1, b"key"),
        (5 * MIB + 100, b"key"),
    ];
    let path = disk(directory.path(), "disk", 8 * MIB, &parts);
    let found = residue(&path, &[&image], &markers).unwrap();
    assert_eq!(found.source_sectors, 2);
    let mut places = found.markers.clone();
    places.sort_unstable_by_key(|place| place.offset);
    let place = |marker, offset| Found { marker, offset };
    assert_eq!(
        places,
        [
            place(0, 2 * MIB - 5),
            place(1, 5 * MIB - 1),
            place(1, 5 * MIB + 100)
        ]
    );
    assert!(!found.is_clean());
}

/// A disk of `bytes` with one partition over the blocks from 2,048 on.
fn partitioned(directory: &Path, bytes: u64) -> PathBuf {
    let path = disk(directory, "gpt", bytes, &[]);
    let mut file = File::options().read(true).write(true).open(&path).unwrap();
    let blocks = u32::try_from(bytes / 512 - 1).unwrap();
    gpt::mbr::ProtectiveMBR::with_lb_size(blocks)
        .overwrite_lba0(&mut file)
        .unwrap();
    let block = gpt::disk::LogicalBlockSize::Lb512;
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(block)
        .create_from_device(file, None)
        .unwrap();
    table
        .add_partition(
            "root",
            2 * MIB,
            gpt::partition_types::LINUX_FS,
            0,
            Some(2_048),
        )
        .unwrap();
    table.write().unwrap();
    path
}

#[test]
fn a_sound_partition_table_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let table = read_table(&partitioned(directory.path(), 8 * MIB)).unwrap();
    assert_eq!(table.partitions.len(), 1);
    let root = &table.partitions[0];
    assert_eq!(
        (root.number, root.name.as_str(), root.offset, root.bytes),
        (1, "root", MIB, 2 * MIB)
    );
    assert_eq!(root.kind, "0FC63DAF-8483-4772-8E79-3D69D8477DE4");
}

#[test]
fn a_table_that_does_not_fit_the_disk_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = partitioned(directory.path(), 8 * MIB);
    let file = File::options().read(true).write(true).open(&path).unwrap();

    // One byte of the backup's entries, 33 blocks from the end.
    let at = 8 * MIB - 33 * 512 + 60;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    let error = format!("{:#}", read_table(&path).unwrap_err());
    assert!(
        error.contains("backup") && error.contains("checksum"),
        "{error}"
    );
    file.write_all_at(&byte, at).unwrap();
    assert!(read_table(&path).is_ok());

    // An image on a larger disk, with its backup table left in the middle.
    file.set_len(16 * MIB).unwrap();
    assert!(read_table(&path).is_err());
    file.set_len(8 * MIB).unwrap();
    file.write_all_at(&[0; 2], 510).unwrap();
    assert!(read_table(&path).unwrap_err().to_string().contains("MBR"));
}
