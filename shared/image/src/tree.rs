//! The hash tree over the leaves: positions and hashes of its pages.
//!
//! Level 0 has pages of up to [`FANOUT`] leaves. A page of level *n* + 1 has the
//! hashes of up to [`FANOUT`] pages of level *n*. The top level has one page, whose
//! hash is in the signed header. In the manifest file the levels follow the
//! signature from the top down, so that a sequential reader has the hash of every
//! page before the page. All pages but the last of a level are full.
//!
//! The hash of a page is SHA-256 over a prefix, its level (1 byte), its index in the
//! level (4 bytes, little-endian) and its bytes, so that no page can replace
//! another.

use sha2::{Digest, Sha256};

use crate::manifest::{LEAF_LEN, ManifestError, SIGNED_LEN};

/// Number of leaves or hashes in a full page.
pub const FANOUT: u32 = 64;
/// Length of a page hash in bytes.
pub const HASH_LEN: usize = 32;
/// Length of a full page of leaves in bytes.
pub const LEAF_PAGE_LEN: usize = FANOUT as usize * LEAF_LEN;
/// Length of a full page of hashes in bytes.
pub const HASH_PAGE_LEN: usize = FANOUT as usize * HASH_LEN;
/// Largest number of levels: enough for 16 TiB in chunks of 1 MiB.
pub const MAX_DEPTH: usize = 4;

const PAGE_DOMAIN: &[u8] = b"farrier page v1\0";

/// The shape of a tree. It depends on the number of chunks only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    chunks: u32,
    /// Number of pages of each level from the leaves up; 0 above the top.
    pages: [u32; MAX_DEPTH],
    depth: u8,
}

impl Geometry {
    /// Creates the shape for a number of chunks, 1 to 64⁴. Returns `None` otherwise.
    pub fn new(chunks: u32) -> Result<Self, ManifestError> {
        if chunks == 0 {
            return Err(ManifestError::Malformed);
        }
        let mut pages = [0; MAX_DEPTH];
        let mut entries = chunks;
        for (depth, level) in (1..).zip(&mut pages) {
            entries = entries.div_ceil(FANOUT);
            *level = entries;
            if entries == 1 {
                return Ok(Self {
                    chunks,
                    pages,
                    depth,
                });
            }
        }
        Err(ManifestError::Malformed)
    }

    /// Returns the number of levels, at least 1.
    pub fn depth(&self) -> u8 {
        self.depth
    }

    /// Returns the number of pages of a level; level 0 has the leaves.
    pub fn pages(&self, level: u8) -> u32 {
        self.pages.get(usize::from(level)).copied().unwrap_or(0)
    }

    /// Returns the length of a page in bytes; 0 if there is no such page.
    pub fn page_len(&self, level: u8, index: u32) -> usize {
        let (below, entry_len) = match level.checked_sub(1) {
            None => (self.chunks, LEAF_LEN),
            Some(below) => (self.pages(below), HASH_LEN),
        };
        let before = u64::from(index) * u64::from(FANOUT);
        let entries = u64::from(below).saturating_sub(before);
        if index >= self.pages(level) {
            return 0;
        }
        entries.min(u64::from(FANOUT)) as usize * entry_len
    }

    /// Returns the offset of a page in the manifest file.
    pub fn page_offset(&self, level: u8, index: u32) -> u64 {
        let above: u64 = (level + 1..self.depth)
            .map(|level| self.level_len(level))
            .sum();
        let full = if level == 0 {
            LEAF_PAGE_LEN
        } else {
            HASH_PAGE_LEN
        };
        SIGNED_LEN as u64 + above + u64::from(index) * full as u64
    }

    /// Returns the length of the manifest file in bytes.
    pub fn manifest_len(&self) -> u64 {
        let pages: u64 = (0..self.depth).map(|level| self.level_len(level)).sum();
        SIGNED_LEN as u64 + pages
    }

    fn level_len(&self, level: u8) -> u64 {
        match level.checked_sub(1) {
            None => u64::from(self.chunks) * LEAF_LEN as u64,
            Some(below) => u64::from(self.pages(below)) * HASH_LEN as u64,
        }
    }

    /// Returns the page of a level on the path to a chunk's leaf, and the index of
    /// the path in that page.
    pub fn place(&self, level: u8, chunk: u32) -> (u32, usize) {
        let entry = (0..level).fold(chunk, |entry, _| entry / FANOUT);
        (entry / FANOUT, (entry % FANOUT) as usize)
    }
}

/// Returns the hash of a page, see the module.
pub fn page_hash(level: u8, index: u32, bytes: &[u8]) -> [u8; HASH_LEN] {
    let mut hash = Sha256::new();
    hash.update(PAGE_DOMAIN);
    hash.update([level]);
    hash.update(index.to_le_bytes());
    hash.update(bytes);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_trees_are_one_page() {
        let tree = Geometry::new(1).unwrap();
        assert_eq!((tree.depth(), tree.pages(0)), (1, 1));
        assert_eq!(tree.page_len(0, 0), LEAF_LEN);
        assert_eq!(tree.page_len(0, 1), 0);
        assert_eq!(tree.page_offset(0, 0), SIGNED_LEN as u64);
        assert_eq!(tree.manifest_len(), (SIGNED_LEN + LEAF_LEN) as u64);
        assert_eq!(Geometry::new(64).unwrap().depth(), 1);
    }

    #[test]
    fn levels_lie_from_the_top_down() {
        // 65 leaf pages, the last with one leaf; 2 pages of hashes; the top.
        let tree = Geometry::new(64 * 64 + 1).unwrap();
        assert_eq!(tree.depth(), 3);
        assert_eq!([0, 1, 2, 3].map(|l| tree.pages(l)), [65, 2, 1, 0]);
        assert_eq!(tree.page_len(2, 0), 2 * HASH_LEN);
        assert_eq!(tree.page_len(1, 1), HASH_LEN);
        assert_eq!(tree.page_len(0, 64), LEAF_LEN);
        let top = SIGNED_LEN as u64;
        assert_eq!(tree.page_offset(2, 0), top);
        assert_eq!(tree.page_offset(1, 0), top + 64);
        assert_eq!(tree.page_offset(1, 1), top + 64 + 2048);
        assert_eq!(tree.page_offset(0, 0), top + 64 + 65 * 32);
        let last = tree.page_offset(0, 64) + tree.page_len(0, 64) as u64;
        assert_eq!(tree.manifest_len(), last);
        assert_eq!(tree.place(0, 4096), (64, 0));
        assert_eq!(tree.place(1, 4096), (1, 0));
        assert_eq!(tree.place(2, 4096), (0, 1));
    }

    #[test]
    fn absurd_trees_are_refused() {
        assert_eq!(Geometry::new(0), Err(ManifestError::Malformed));
        assert_eq!(Geometry::new(64u32.pow(4)).unwrap().depth(), 4);
        assert!(Geometry::new(64u32.pow(4) + 1).is_err());
        assert!(Geometry::new(u32::MAX).is_err());
    }
}
