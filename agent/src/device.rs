//! A disk as the engines' drivers see it: [`BlockDevice`], and the aligned
//! buffers that direct I/O asks for.
//!
//! The kernel's block devices live in [`crate::sys::block`]; tests bring
//! devices of their own that lie, fail, or are short.

use std::io;
use std::ops::{Deref, DerefMut, Range};

use crate::engine::zero::first_nonzero_run;

/// Alignment of every buffer that is read into or written from: enough for
/// direct I/O on disks with blocks up to 4 KiB.
pub const ALIGN: usize = 4096;

/// A disk that can be read, written and emptied.
///
/// Offsets and lengths are multiples of [`BlockDevice::block_size`] and lie
/// within [`BlockDevice::size`]. Reads come from the device, never from a
/// cache of the host: what is read back is what is there.
pub trait BlockDevice: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> u64;

    /// Logical block size in bytes: a power of two, 512 to 4096.
    fn block_size(&self) -> u32;

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// The device's; an end within the buffer is [`io::ErrorKind::UnexpectedEof`].
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// The device's.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Tells the device that a range holds nothing of worth. What it reads as
    /// afterwards is up to the device.
    ///
    /// # Errors
    /// The device's; [`io::ErrorKind::Unsupported`] where it can't.
    fn discard(&self, offset: u64, length: u64) -> io::Result<()>;

    /// Lets the device write zeroes over a range by itself.
    ///
    /// # Errors
    /// The device's; [`io::ErrorKind::Unsupported`] where it can't.
    fn write_zeroes(&self, offset: u64, length: u64) -> io::Result<()>;

    /// Puts everything written onto the medium.
    ///
    /// # Errors
    /// The device's.
    fn flush(&self) -> io::Result<()>;

    /// Makes the host look at the partition table again.
    ///
    /// # Errors
    /// The host's, for instance when a partition is in use.
    fn reread_partitions(&self) -> io::Result<()>;

    /// Reads as much as `buffer` holds from `offset` and looks for bytes that
    /// aren't zero: the first run of blocks with such bytes, from the start of
    /// the buffer. A device whose content is known without reading it, as that
    /// of a simulated disk of many gigabytes, answers by itself.
    ///
    /// # Errors
    /// The device's.
    fn find_nonzero(&self, offset: u64, buffer: &mut [u8]) -> io::Result<Option<Range<usize>>> {
        // A driver that fills nothing and says that it did must not pass.
        let unit = (self.block_size() as usize).max(1);
        buffer
            .iter_mut()
            .step_by(unit)
            .for_each(|byte| *byte = 0xa5);
        self.read_at(offset, buffer)?;
        Ok(first_nonzero_run(buffer, unit))
    }

    /// Writes as many zeroes as `buffer` holds at `offset`.
    ///
    /// # Errors
    /// The device's.
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

/// Bytes on the heap that start at a multiple of [`ALIGN`].
pub struct AlignedBuffer {
    storage: Vec<u8>,
    start: usize,
    length: usize,
}

impl AlignedBuffer {
    /// Zeroed bytes. A `length` that is to be used for direct I/O is a
    /// multiple of the device's block size.
    pub fn new(length: usize) -> Self {
        let storage = vec![0; length + ALIGN];
        let start = storage.as_ptr().align_offset(ALIGN);
        // `align_offset` may decline to answer, in theory; direct I/O then
        // fails with an error of the device instead of a wild offset here.
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
