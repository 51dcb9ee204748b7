//! The interface to a disk, [`BlockDevice`], and the aligned buffers that direct
//! I/O needs.
//!
//! [`crate::sys::block`] implements it for the kernel's block devices; tests
//! implement it with disks that fail.

use std::io;
use std::ops::{Deref, DerefMut, Range};

use crate::engine::zero::first_nonzero_run;

/// Alignment of every I/O buffer in bytes: enough for direct I/O on disks with
/// blocks of up to 4 KiB.
pub const ALIGN: usize = 4096;

/// A disk that can be read, written and erased.
///
/// Offsets and lengths are in bytes, multiples of [`BlockDevice::block_size`],
/// and within [`BlockDevice::size`]. Reads come from the device and not from a
/// cache of the host.
pub trait BlockDevice: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// Logical block size in bytes: a power of two, 512 to 4096.
    fn block_size(&self) -> u32;

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// The device's error; [`io::ErrorKind::UnexpectedEof`] if the device ends
    /// within the buffer.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The device's error.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Discards a range (TRIM, UNMAP, deallocate). Its content afterwards depends
    /// on the device.
    ///
    /// # Errors
    /// The device's error; [`io::ErrorKind::Unsupported`] if it lacks the command.
    fn discard(&self, offset: u64, length: u64) -> io::Result<()>;

    /// Sends the command by which the device writes zeroes over a range.
    ///
    /// # Errors
    /// The device's error; [`io::ErrorKind::Unsupported`] if it lacks the command.
    fn write_zeroes(&self, offset: u64, length: u64) -> io::Result<()>;

    /// Flushes the write cache of the device.
    ///
    /// # Errors
    /// The device's error.
    fn flush(&self) -> io::Result<()>;

    /// Makes the kernel read the partition table again.
    ///
    /// # Errors
    /// The kernel's error, for instance if a partition is in use.
    fn reread_partitions(&self) -> io::Result<()>;

    /// Reads `buffer.len()` bytes from `offset` and returns the first run of
    /// blocks with a byte that is not zero, as a range of the buffer. A simulated
    /// disk overrides it and answers without reading gigabytes.
    ///
    /// # Errors
    /// The device's error.
    fn find_nonzero(&self, offset: u64, buffer: &mut [u8]) -> io::Result<Option<Range<usize>>> {
        // A driver that returns success without filling the buffer fails.
        let unit = (self.block_size() as usize).max(1);
        buffer
            .iter_mut()
            .step_by(unit)
            .for_each(|byte| *byte = 0xa5);
        self.read_at(offset, buffer)?;
        Ok(first_nonzero_run(buffer, unit))
    }

    /// Writes `buffer.len()` zeroes at `offset`.
    ///
    /// # Errors
    /// The device's error.
    fn overwrite(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.fill(0);
        self.write_at(offset, buffer)
    }
}

macro_rules! behind {
    ($($pointer:ty),*) => {$(
impl<T: BlockDevice + ?Sized> BlockDevice for $pointer {
    fn size(&self) -> u64 {
        (**self).size()
    }
    fn block_size(&self) -> u32 {
        (**self).block_size()
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        (**self).write_at(offset, bytes)
    }
    fn discard(&self, offset: u64, length: u64) -> io::Result<()> {
        (**self).discard(offset, length)
    }
    fn write_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        (**self).write_zeroes(offset, length)
    }
    fn flush(&self) -> io::Result<()> {
        (**self).flush()
    }
    fn reread_partitions(&self) -> io::Result<()> {
        (**self).reread_partitions()
    }
    fn find_nonzero(&self, offset: u64, buffer: &mut [u8]) -> io::Result<Option<Range<usize>>> {
        (**self).find_nonzero(offset, buffer)
    }
    fn overwrite(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).overwrite(offset, buffer)
    }
}
    )*};
}

behind!(Box<T>, &T);

/// A buffer on the heap with the alignment [`ALIGN`].
pub struct AlignedBuffer {
    storage: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBuffer {
    /// Allocates `length` zeroed bytes. Direct I/O needs a multiple of the
    /// device's block size.
    pub fn new(length: usize) -> Self {
        let storage = vec![0; length + ALIGN];
        let start = storage.as_ptr().align_offset(ALIGN);
        // `align_offset` may return `usize::MAX`; direct I/O then fails with
        // an error of the device.
        let start = if start <= ALIGN { start } else { 0 };
        Self {
            storage,
            start,
            length,
        }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[self.start..self.start + self.length]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.start + self.length]
    }
}

impl std::fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlignedBuffer")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_zero() {
        for length in [0, 1, 512, 4096, 1 << 20] {
            let buffer = AlignedBuffer::new(length);
            assert_eq!(buffer.len(), length);
            assert_eq!(buffer.as_ptr() as usize % ALIGN, 0);
            assert!(buffer.iter().all(|&byte| byte == 0));
        }
    }
}
