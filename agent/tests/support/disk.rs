//! Disks in memory, with and without faults.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use farrier_agent::device::BlockDevice;

/// The faults of a disk.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Discards succeed without effect.
    pub ignores_discard: bool,
    /// Write-zeroes commands succeed without effect.
    pub ignores_zeroes: bool,
    /// Discards fail.
    pub no_discard: bool,
    /// Write-zeroes commands fail.
    pub no_zeroes: bool,
    /// Writes to this range succeed without effect.
    pub stuck: Option<Range<u64>>,
    /// Reads that touch this byte fail.
    pub unreadable: Option<u64>,
    /// Writes that touch this byte fail.
    pub unwritable: Option<u64>,
    /// The first write that touches this byte stores a flipped bit.
    pub flips_once: Option<u64>,
}

#[derive(Debug)]
struct Medium {
    bytes: Vec<u8>,
    faults: Faults,
    writes: usize,
}

/// A disk. Clones share the content.
#[derive(Debug, Clone)]
pub struct FakeDisk {
    medium: Arc<Mutex<Medium>>,
    block: u32,
}

impl FakeDisk {
    pub fn new(bytes: Vec<u8>, block: u32, faults: Faults) -> Self {
        Self {
            medium: Arc::new(Mutex::new(Medium {
                bytes,
                faults,
                writes: 0,
            })),
            block,
        }
    }

    /// Returns the content.
    pub fn bytes(&self) -> Vec<u8> {
        self.medium.lock().unwrap().bytes.clone()
    }

    /// Returns the number of writes, discards and write-zeroes commands.
    pub fn writes(&self) -> usize {
        self.medium.lock().unwrap().writes
    }

    fn change(
        &self,
        offset: u64,
        length: u64,
        act: impl FnOnce(&mut [u8], &Faults),
    ) -> io::Result<()> {
        assert_eq!(offset % u64::from(self.block), 0, "whole blocks");
        assert_eq!(length % u64::from(self.block), 0, "whole blocks");
        let mut medium = self.medium.lock().unwrap();
        medium.writes += 1;
        let range = offset..offset + length;
        if medium
            .faults
            .unwritable
            .is_some_and(|at| range.contains(&at))
        {
            return Err(io::Error::other("medium error"));
        }
        let faults = medium.faults.clone();
        let stuck = faults.stuck.clone().unwrap_or(0..0);
        let stuck = stuck.start as usize..stuck.end as usize;
        let kept = medium.bytes[stuck.clone()].to_vec();
        let slice = medium
            .bytes
            .get_mut(offset as usize..(offset + length) as usize)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        act(slice, &faults);
        medium.bytes[stuck].copy_from_slice(&kept);
        if let Some(at) = faults.flips_once.filter(|at| range.contains(at)) {
            medium.bytes[at as usize] ^= 1;
            medium.faults.flips_once = None;
        }
        Ok(())
    }
}

impl BlockDevice for FakeDisk {
    fn size(&self) -> u64 {
        self.medium.lock().unwrap().bytes.len() as u64
    }

    fn block_size(&self) -> u32 {
        self.block
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        assert_eq!(
            buffer.as_ptr() as usize % 512,
            0,
            "direct I/O needs aligned memory"
        );
        assert_eq!(buffer.len() % self.block as usize, 0, "whole blocks");
        let medium = self.medium.lock().unwrap();
        let range = offset as usize..offset as usize + buffer.len();
        if medium
            .faults
            .unreadable
            .is_some_and(|at| range.contains(&(at as usize)))
        {
            return Err(io::Error::other("medium error"));
        }
        let bytes = medium
            .bytes
            .get(range)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(
            bytes.as_ptr() as usize % 512,
            0,
            "direct I/O needs aligned memory"
        );
        self.change(offset, bytes.len() as u64, |slice, _| {
            slice.copy_from_slice(bytes);
        })
    }

    fn discard(&self, offset: u64, length: u64) -> io::Result<()> {
        if self.medium.lock().unwrap().faults.no_discard {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.change(offset, length, |slice, faults| {
            if !faults.ignores_discard {
                slice.fill(0);
            }
        })
    }

    fn write_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        if self.medium.lock().unwrap().faults.no_zeroes {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.change(offset, length, |slice, faults| {
            if !faults.ignores_zeroes {
                slice.fill(0);
            }
        })
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn reread_partitions(&self) -> io::Result<()> {
        Ok(())
    }
}
