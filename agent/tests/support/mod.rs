//! The environment of an agent in tests: disks in memory with faults, an HTTP
//! server that can corrupt responses, and an appliance that gives orders.

#![allow(dead_code, reason = "each test binary uses a part of the module")]

pub mod appliance;
pub mod disk;
pub mod http_server;

use std::io::Cursor;

use farrier_image::maker::{Made, Options, SecretKey, make};

/// The image-signing key of all tests.
pub fn operator() -> SecretKey {
    SecretKey::from_bytes(&[42; 32])
}

/// Returns `length` pseudo-random bytes, the same in every run.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

/// Returns a raw image of `size` bytes: a GPT with one partition, compressible
/// content, incompressible content, and holes.
pub fn raw_image(size: usize, block: u64) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let lb = if block == 4096 {
        gpt::disk::LogicalBlockSize::Lb4096
    } else {
        gpt::disk::LogicalBlockSize::Lb512
    };
    let mut cursor = Cursor::new(&mut bytes);
    gpt::mbr::ProtectiveMBR::with_lb_size((size as u64 / block - 1) as u32)
        .overwrite_lba0(&mut cursor)
        .unwrap();
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(lb)
        .create_from_device(cursor, None)
        .unwrap();
    table
        .add_partition(
            "root",
            size as u64 / 2,
            gpt::partition_types::LINUX_FS,
            0,
            None,
        )
        .unwrap();
    table.write().unwrap();
    let quarter = size / 4;
    for (index, byte) in bytes[quarter..quarter + quarter / 2].iter_mut().enumerate() {
        *byte = (index / 1000 % 251) as u8;
    }
    let dense = noise(7, quarter / 2);
    bytes[2 * quarter..2 * quarter + dense.len()].copy_from_slice(&dense);
    bytes
}

/// Returns the manifest and the data file of an image with chunks of 64 KiB.
pub fn make_image(raw: &[u8]) -> (Made, Vec<u8>) {
    let mut data = Vec::new();
    let options = Options {
        chunk_shift: 16,
        threads: std::num::NonZero::new(1),
        level: Some(3),
        ..Options::new("test", 1)
    };
    let made = make(raw, &mut data, &options, &operator(), |_| {}).unwrap();
    (made, data)
}
