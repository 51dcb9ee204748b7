//! Marks: keyed random blocks at seeded places of a disk, written before the disk
//! is erased.
//!
//! That a disk reads as zeroes after an erase command proves little, because a
//! disk may answer so without having stored or erased anything. So the agent writes
//! blocks that nobody can know, reads them back, erases, and reads zeroes. A later
//! boot reads the same places again. Places and contents follow from the seed in
//! the order and from the disk's serial number, so neither end stores them.

use crate::crypto::{hmac_sha256, sha256};

/// Bytes of a mark. Every mark is aligned to as many bytes.
pub const MARK_LEN: usize = 4096;
/// Largest number of marks on a disk.
pub const MARKS: u32 = 32;

/// The marks of one disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    key: [u8; 32],
    blocks: u64,
}

impl Marks {
    /// Returns the marks of a disk with this serial number and `size` bytes.
    pub fn new(seed: &[u8; 32], serial: &str, size: u64) -> Self {
        Self {
            key: hmac_sha256(seed, &[b"farrier marks", serial.as_bytes()]),
            blocks: size / MARK_LEN as u64,
        }
    }

    /// Returns the number of marks: [`MARKS`], fewer on a disk with fewer blocks.
    pub fn count(&self) -> u32 {
        u32::try_from(self.blocks).map_or(MARKS, |blocks| blocks.min(MARKS))
    }

    /// Returns the offset of mark `index` in bytes. The first and the last block of
    /// the disk have a mark, each stretch between them has one at a random place.
    pub fn offset(&self, index: u32) -> u64 {
        let count = u64::from(self.count());
        let index = u64::from(index).min(count.saturating_sub(1));
        let block = if index == 0 {
            0
        } else if index + 1 == count {
            self.blocks - 1
        } else {
            // Blocks 1 to blocks - 2 in count - 2 stretches.
            let (inner, stretches) = (self.blocks - 2, count - 2);
            let at = |stretch: u64| {
                u64::try_from(u128::from(inner) * u128::from(stretch) / u128::from(stretches))
                    .unwrap_or(u64::MAX)
            };
            let (start, end) = (at(index - 1), at(index));
            let [a, b, c, d, e, f, g, h, ..] = self.hash(index, 0);
            let random = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
            1 + start + random % (end - start).max(1)
        };
        block * MARK_LEN as u64
    }

    /// Fills `block` with the content of mark `index`. No 32 bytes of it are zero.
    pub fn fill(&self, index: u32, block: &mut [u8]) {
        for (piece, bytes) in (1..).zip(block.chunks_mut(32)) {
            let hash = self.hash(index.into(), piece);
            let (content, _) = hash.split_at(bytes.len());
            bytes.copy_from_slice(content);
        }
    }

    fn hash(&self, index: u64, piece: u32) -> [u8; 32] {
        sha256(&[&self.key, &index.to_le_bytes(), &piece.to_le_bytes()])
    }
}

/// Returns the seed of the marks of an erasure: a secret of the appliance decides
/// it together with node and boot, so that it need not be stored.
pub fn seed(secret: &[u8; 32], node: &[u8; 16], boot: u64) -> [u8; 32] {
    hmac_sha256(secret, &[b"farrier erase seed", node, &boot.to_le_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn offsets(size: u64) -> Vec<u64> {
        let marks = Marks::new(&[7; 32], "DISK", size);
        (0..marks.count()).map(|n| marks.offset(n)).collect()
    }

    #[test]
    fn marks_lie_apart_on_the_disk() {
        for size in [0, 512, 4096, 8192, 12_288, 33 * 4096, 1 << 20, u64::MAX] {
            let offsets = offsets(size);
            let blocks = (size / 4096).min(u64::from(MARKS));
            assert_eq!(offsets.len() as u64, blocks, "{size}");
            assert!(offsets.is_sorted_by(|a, b| a < b), "{size}: {offsets:?}");
            for offset in &offsets {
                assert!(offset.is_multiple_of(4096) && *offset <= size - 4096);
            }
            if blocks > 1 {
                assert_eq!(offsets[0], 0);
                assert_eq!(offsets[offsets.len() - 1], size / 4096 * 4096 - 4096);
            }
        }
    }

    #[test]
    fn seed_and_serial_decide_places_and_contents() {
        let content = |seed: u8, serial: &str, index| {
            let marks = Marks::new(&[seed; 32], serial, 1 << 40);
            let mut block = [0; MARK_LEN];
            marks.fill(index, &mut block);
            (marks.offset(index), block)
        };
        let first = content(1, "A", 5);
        assert_eq!(first, content(1, "A", 5));
        for other in [content(2, "A", 5), content(1, "B", 5), content(1, "A", 6)] {
            assert_ne!(first.0, other.0);
            assert_ne!(first.1, other.1);
        }
        assert!(first.1.chunks(32).all(|piece| piece != [0; 32]));
        assert_ne!(seed(&[1; 32], &[2; 16], 3), seed(&[1; 32], &[2; 16], 4));
    }
}
