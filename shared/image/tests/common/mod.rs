//! A small image and its files.
#![allow(dead_code, reason = "each test file uses its own part")]

use farrier_image::{
    PublicKey,
    maker::{Made, Options, SecretKey, make},
};

/// Smallest chunks, so that the tests are fast.
pub const SHIFT: u8 = 16;
pub const CHUNK: usize = 1 << SHIFT;

pub fn key() -> SecretKey {
    SecretKey::from_bytes(&[0x51; 32])
}

pub fn public() -> PublicKey {
    key().public()
}

/// Returns incompressible bytes.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// Returns a compressible chunk, a hole, an incompressible chunk, and a short last
/// chunk.
pub fn image() -> Vec<u8> {
    let mut raw = b"farrier ".repeat(CHUNK / 8);
    raw.extend(vec![0; CHUNK]);
    raw.extend(noise(CHUNK, 7));
    raw.extend(b"the end ".repeat(128));
    raw
}

pub fn options() -> Options {
    Options {
        chunk_shift: SHIFT,
        threads: std::num::NonZero::new(2),
        ..Options::new("test", 3)
    }
}

pub fn made_of(raw: &[u8], options: &Options) -> (Made, Vec<u8>) {
    let mut data = Vec::new();
    let made = make(raw, &mut data, options, &key(), |_| ()).unwrap();
    (made, data)
}

pub fn made() -> (Made, Vec<u8>) {
    made_of(&image(), &options())
}
