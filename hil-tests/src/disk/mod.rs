//! Disks seen from outside: the raw file behind an emulated disk, read by the
//! rig and not by anything under test.

mod gpt;
mod residue;

pub use self::gpt::{Partition, Table, read_table};
pub use residue::{Found, Residue, residue};

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Bytes read at once.
const BLOCK: usize = 1 << 20;
/// Runs of non-zero bytes that a [`Scan`] lists.
const RUNS: usize = 16;

/// A stretch of consecutive non-zero bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its first byte's position on the disk.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

/// What is on a disk, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// The disk's size.
    pub bytes: u64,
    /// Bytes that were read; the rest are holes of the file, zero by nature.
    pub read_bytes: u64,
    /// Bytes that are not zero.
    pub nonzero_bytes: u64,
    /// The first 16 runs of them.
    pub first_runs: Vec<Run>,
}

/// Counts the non-zero bytes of a disk.
///
/// # Errors
/// The file can't be read.
pub fn scan(path: &Path) -> Result<Scan> {
    let mut scan = Scan::default();
    let mut open: Option<Run> = None;
    scan.bytes = for_each_block(path, |offset, block| {
        scan.read_bytes += block.len() as u64;
        if is_zero(block) {
            return;
        }
        for (at, byte) in (offset..).zip(block) {
            if *byte == 0 {
                continue;
            }
            scan.nonzero_bytes += 1;
            match &mut open {
                Some(run) if run.offset + run.length == at => run.length += 1,
                _ => {
                    let closed = open.replace(Run {
                        offset: at,
                        length: 1,
                    });
                    scan.first_runs
                        .extend(closed.filter(|_| scan.first_runs.len() < RUNS));
                }
            }
        }
    })?;
    scan.first_runs
        .extend(open.filter(|_| scan.first_runs.len() < RUNS));
    Ok(scan)
}

/// Shows `take` every part of the file that is no hole, in order, with its
/// position. Returns the file's size.
fn for_each_block(path: &Path, mut take: impl FnMut(u64, &[u8])) -> Result<u64> {
    let context = || format!("reading the disk {}", path.display());
    let file = File::open(path).with_context(context)?;
    let size = file.metadata()?.len();
    let mut buffer = vec![0; BLOCK];
    let mut at = 0;
    while at < size {
        let (begin, end) = match seek(&file, SeekFrom::Data(at)) {
            Ok(begin) => (
                begin,
                seek(&file, SeekFrom::Hole(begin)).with_context(context)?,
            ),
            // Only a hole is left.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error).with_context(context),
        };
        at = begin;
        while at < end {
            let want = usize::try_from(end - at).map_or(BLOCK, |left| left.min(BLOCK));
            file.read_exact_at(&mut buffer[..want], at)
                .with_context(context)?;
            take(at, &buffer[..want]);
            at += want as u64;
        }
    }
    Ok(size)
}

fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}
