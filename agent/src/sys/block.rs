//! A block device of the kernel, without the page cache.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::ioctl::{NoArg, Opcode, Setter, ioctl, opcode};

use crate::device::BlockDevice;

/// `BLKDISCARD` of `linux/fs.h`: `_IO(0x12, 119)`.
const BLKDISCARD: Opcode = opcode::none(0x12, 119);
/// `BLKZEROOUT` of `linux/fs.h`: `_IO(0x12, 127)`.
const BLKZEROOUT: Opcode = opcode::none(0x12, 127);
/// `BLKRRPART` of `linux/fs.h`: `_IO(0x12, 95)`.
const BLKRRPART: Opcode = opcode::none(0x12, 95);

/// A whole disk, opened exclusively and for direct I/O.
#[derive(Debug)]
pub struct KernelDisk {
    file: File,
    size: u64,
    block: u32,
}

impl KernelDisk {
    /// Opens a block device.
    ///
    /// # Errors
    /// The kernel's error; `EBUSY` if the disk is mounted or open elsewhere.
    pub fn open(path: &Path) -> io::Result<Self> {
        // O_EXCL on a block device opens it exclusively. O_DIRECT reads from
        // the device and not from the page cache.
        let flags = OFlags::EXCL | OFlags::DIRECT;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags.bits() as i32)
            .open(path)?;
        let size = file.seek(SeekFrom::End(0))?;
        let block = rustix::fs::ioctl_blksszget(&file)?;
        if !block.is_power_of_two() || !(512..=4096).contains(&block) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the disk has blocks of neither 512 nor 4096 bytes",
            ));
        }
        Ok(Self { file, size, block })
    }

    /// An ioctl over a range: offset and length in bytes.
    fn over<const OPCODE: Opcode>(&self, offset: u64, length: u64) -> io::Result<()> {
        // SAFETY: BLKDISCARD and BLKZEROOUT, the only opcodes that this is
        // used with, read two u64 through the pointer that `Setter` passes,
        // and write nothing.
        let result = unsafe {
            ioctl(
                &self.file,
                Setter::<OPCODE, [u64; 2]>::new([offset, length]),
            )
        };
        Ok(result?)
    }
}

impl BlockDevice for KernelDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn block_size(&self) -> u32 {
        self.block
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn discard(&self, offset: u64, length: u64) -> io::Result<()> {
        self.over::<BLKDISCARD>(offset, length)
    }

    fn write_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        self.over::<BLKZEROOUT>(offset, length)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn reread_partitions(&self) -> io::Result<()> {
        // SAFETY: BLKRRPART takes no argument.
        let result = unsafe { ioctl(&self.file, NoArg::<BLKRRPART>::new()) };
        Ok(result?)
    }
}
