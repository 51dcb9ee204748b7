//! A disk that is a file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use farrier_agent::device::BlockDevice;
use rustix::fs::{FallocateFlags, fallocate};

/// What a disk does when it is told that a range holds nothing of worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// It does nothing, as it may: ATA's TRIM is a hint.
    Ignored,
    /// The range reads as zeroes afterwards.
    Zeroes,
}

/// One disk.
#[derive(Debug)]
pub struct FileDisk {
    file: File,
    size: u64,
    discard: Discard,
    /// Bytes that it reads or writes in a second, where it is slow.
    rate: Option<u64>,
}

impl FileDisk {
    /// Opens the file.
    ///
    /// # Errors
    /// The host's.
    pub fn open(path: &Path, discard: Discard, rate: Option<u64>) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            file,
            size,
            discard,
            rate,
        })
    }

    /// Does something with so many bytes, not faster than the disk can.
    fn paced<T>(&self, bytes: usize, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let began = Instant::now();
        let result = act();
        if let Some(rate) = self.rate {
            let takes = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
            std::thread::sleep(takes.saturating_sub(began.elapsed()));
        }
        result
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(&self.file, flags, offset, length)?)
    }
}

impl BlockDevice for FileDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn block_size(&self) -> u32 {
        512
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.paced(buffer.len(), || self.file.read_exact_at(buffer, offset))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.paced(bytes.len(), || self.file.write_all_at(bytes, offset))
    }

    fn discard(&self, offset: u64, length: u64) -> io::Result<()> {
        match self.discard {
            Discard::Ignored => Ok(()),
            Discard::Zeroes => self.punch(offset, length),
        }
    }

    fn write_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        match self.discard {
            Discard::Ignored => Err(io::ErrorKind::Unsupported.into()),
            Discard::Zeroes => self.punch(offset, length),
        }
    }

    /// What a process wrote outlives it: the host keeps it.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn reread_partitions(&self) -> io::Result<()> {
        Ok(())
    }
}
