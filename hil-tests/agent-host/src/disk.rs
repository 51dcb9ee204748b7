//! A disk that is a file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
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

/// The content of a disk that forgets, for as long as this process lives. `None`: the
/// disk keeps what is written. Empty: nothing was read or written yet.
#[derive(Debug, Clone, Default)]
pub struct Memory(Option<Arc<Mutex<Vec<u8>>>>);

impl Memory {
    /// The memory of a disk that forgets, or of one that keeps what is written.
    pub fn new(forgets: bool) -> Self {
        Self(forgets.then(Arc::default))
    }
}

/// One disk.
#[derive(Debug)]
pub struct FileDisk {
    file: File,
    memory: Memory,
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
    pub fn open(
        path: &Path,
        discard: Discard,
        rate: Option<u64>,
        memory: Memory,
    ) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        let size = file.metadata()?.len();
        if let Some(memory) = &memory.0 {
            let mut content = memory.lock().unwrap_or_else(PoisonError::into_inner);
            if content.is_empty() {
                *content = std::fs::read(path)?;
            }
        }
        Ok(Self {
            file,
            memory,
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

    /// Does something with a range of what a disk that forgets holds. `None` for
    /// another disk.
    fn remembered<T>(
        &self,
        offset: u64,
        length: u64,
        act: impl FnOnce(&mut [u8]) -> T,
    ) -> Option<io::Result<T>> {
        let memory = self.memory.0.as_ref()?;
        let mut content = memory.lock().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = usize::try_from(offset + length).unwrap_or(usize::MAX);
        let range = content.get_mut(start..end);
        Some(range.map(act).ok_or(io::ErrorKind::UnexpectedEof.into()))
    }

    fn punch(&self, offset: u64, length: u64) -> io::Result<()> {
        if let Some(done) = self.remembered(offset, length, |bytes| bytes.fill(0)) {
            return done;
        }
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
        self.paced(buffer.len(), || {
            let length = buffer.len() as u64;
            match self.remembered(offset, length, |bytes| buffer.copy_from_slice(bytes)) {
                Some(done) => done,
                None => self.file.read_exact_at(buffer, offset),
            }
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.paced(bytes.len(), || {
            let length = bytes.len() as u64;
            match self.remembered(offset, length, |held| held.copy_from_slice(bytes)) {
                Some(done) => done,
                None => self.file.write_all_at(bytes, offset),
            }
        })
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
