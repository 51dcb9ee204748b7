//! The host's file as block device, the host's random bytes.

use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use aligned::{A4, Aligned};
use block_device_driver::{BlockDevice, blocks_to_slice, blocks_to_slice_mut};

const SECTOR: usize = 512;

/// A file of the host as a block device. Calls block: a disk of the host is
/// faster than the appliance's network.
#[derive(Debug)]
pub struct File(std::fs::File);

impl File {
    /// Opens a file for reading and writing.
    ///
    /// # Errors
    /// The host's.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::File::options()
            .read(true)
            .write(true)
            .open(path)
            .map(Self)
    }
}

fn offset(sector: u32) -> u64 {
    u64::from(sector) * SECTOR as u64
}

impl BlockDevice<SECTOR> for File {
    type Error = io::Error;
    type Align = A4;

    async fn read(&mut self, sector: u32, to: &mut [Aligned<A4, [u8; SECTOR]>]) -> io::Result<()> {
        self.0
            .read_exact_at(blocks_to_slice_mut(to), offset(sector))
    }

    async fn write(&mut self, sector: u32, from: &[Aligned<A4, [u8; SECTOR]>]) -> io::Result<()> {
        self.0.write_all_at(blocks_to_slice(from), offset(sector))
    }

    async fn size(&mut self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// The host's random bytes.
#[derive(Debug)]
pub struct HostEntropy(std::fs::File);

impl HostEntropy {
    /// Opens the host's source.
    ///
    /// # Errors
    /// The host's.
    pub fn open() -> io::Result<Self> {
        std::fs::File::open("/dev/urandom").map(Self)
    }
}

impl farrier_core::rack::Entropy for HostEntropy {
    /// Fills `bytes`, or ends the process: there is no going on without.
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0
            .read_exact(bytes)
            .expect("/dev/urandom was there at start");
    }
}
