//! What a tenant left behind.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::Path;

use anyhow::Result;

use super::{Scan, for_each_block, is_zero, scan};

const SECTOR: usize = 512;
/// Places of one marker that are listed.
const PLACES: usize = 16;

/// A marker that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its index in the list that was searched for.
    pub marker: usize,
    /// Where it begins on the disk, in bytes.
    pub offset: u64,
}

/// What remains of a tenant on a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Residue {
    /// The disk in numbers. All non-zero bytes are suspect:
    /// `scan.nonzero_bytes` is 0 after a full erasure.
    pub scan: Scan,
    /// Sectors of 512 bytes, not all zero, that also occur in a source.
    pub source_sectors: u64,
    /// Where the markers are, at most 16 places of each.
    pub markers: Vec<Found>,
}

impl Residue {
    /// Whether nothing is left, not even anything unknown.
    pub fn is_clean(&self) -> bool {
        self.scan.nonzero_bytes == 0 && self.source_sectors == 0 && self.markers.is_empty()
    }
}

/// Looks on `disk` for what was put there: sectors of the `sources` (an image
/// file, a config drive) at whatever position, and `markers` (a host name, a
/// key) at whatever alignment. An empty marker is never found.
///
/// # Errors
/// A file can't be read.
pub fn residue(disk: &Path, sources: &[&Path], markers: &[&[u8]]) -> Result<Residue> {
    let mut residue = Residue {
        scan: scan(disk)?,
        ..Residue::default()
    };
    if residue.scan.nonzero_bytes == 0 {
        return Ok(residue);
    }
    // Hashes instead of sectors: an image of 2 GiB is 32 MiB of hashes. A
    // false match in 64 bits would only make the verdict harsher.
    let hasher = RandomState::new();
    let mut known = HashSet::new();
    for source in sources {
        for_each_block(source, |_, block| {
            known.extend(
                block
                    .chunks(SECTOR)
                    .filter(|sector| !is_zero(sector))
                    .map(|sector| hasher.hash_one(sector)),
            );
        })?;
    }
    let longest = markers.iter().map(|marker| marker.len()).max().unwrap_or(0);
    let mut window: Vec<u8> = Vec::new();
    let mut window_at = 0;
    let mut places = vec![0; markers.len()];
    for_each_block(disk, |offset, block| {
        let sectors = block.chunks(SECTOR).filter(|sector| !is_zero(sector));
        residue.source_sectors += sectors
            .filter(|sector| known.contains(&hasher.hash_one(sector)))
            .count() as u64;

        // The end of the block before stays in the window, so that a marker
        // across the border is found - once, for the window keeps one byte
        // less than the longest marker and shorter ones are skipped there.
        if window_at + window.len() as u64 != offset {
            window.clear();
        }
        let keep = window.len().min(longest.saturating_sub(1));
        window.drain(..window.len() - keep);
        window_at = offset - keep as u64;
        window.extend_from_slice(block);
        for (index, marker) in markers
            .iter()
            .enumerate()
            .filter(|(_, marker)| !marker.is_empty())
        {
            // Places that lie wholly in the part kept were found before.
            let from = (keep + 1).saturating_sub(marker.len());
            for at in find_all(&window[from..], marker) {
                if places[index] < PLACES {
                    places[index] += 1;
                    residue.markers.push(Found {
                        marker: index,
                        offset: window_at + (from + at) as u64,
                    });
                }
            }
        }
    })?;
    Ok(residue)
}

fn find_all<'a>(haystack: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    memchr::memmem::find_iter(haystack, needle)
}
