//! The host's file as block device, the host's random bytes.

use std::fs::Permissions;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use aligned::{A4, Aligned};
use block_device_driver::{BlockDevice, blocks_to_slice, blocks_to_slice_mut};
use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use farrier_firmware::{BOARD_KEY_LEN, BoardKeys, KeyStore, NO_KEY, NotDurable};

use crate::board;

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

/// Opens a file of so many bytes that nobody else can read, or creates an erased
/// one. One of another size is erased.
fn private_file(path: &Path, size: usize) -> io::Result<std::fs::File> {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    // It holds what operators gave in confidence; one of before may be open to
    // others.
    file.set_permissions(Permissions::from_mode(0o600))?;
    if file.metadata()?.len() != size as u64 {
        file.set_len(0)?;
        file.write_all_at(&vec![0xff; size], 0)?;
        file.sync_all()?;
    }
    Ok(file)
}

/// The journal's flash: a file of the host with the rules of NOR flash. A
/// write returns when the data is on the host's disk.
#[derive(Debug)]
pub struct Flash(std::fs::File);

impl Flash {
    /// Opens the file, or creates an erased one.
    ///
    /// # Errors
    /// The host's.
    pub fn open(path: &Path) -> io::Result<Self> {
        private_file(path, board::JOURNAL_SIZE).map(Self)
    }
}

/// The board's keys that seal secrets in the journal: a file of the host with
/// 64 bytes. What the host's disk keeps of erased ones is not in the program's
/// hand.
#[derive(Debug)]
pub struct Keys(std::fs::File);

impl Keys {
    /// Opens the file, or creates one without keys.
    ///
    /// # Errors
    /// The host's.
    pub fn open(path: &Path) -> io::Result<Self> {
        // No key is bytes of 0xff, as in erased flash.
        private_file(path, BOARD_KEY_LEN * 2).map(Self)
    }
}

impl KeyStore for Keys {
    async fn read_keys(&mut self) -> Result<BoardKeys, NotDurable> {
        let mut keys = [NO_KEY; 2];
        let read = self.0.read_exact_at(keys.as_flattened_mut(), 0);
        read.map(|()| keys).map_err(|_| NotDurable)
    }

    async fn write_key(
        &mut self,
        place: usize,
        key: &[u8; BOARD_KEY_LEN],
    ) -> Result<(), NotDurable> {
        let at = (place * BOARD_KEY_LEN) as u64;
        let written = self.0.write_all_at(key, at);
        written
            .and_then(|()| self.0.sync_data())
            .map_err(|_| NotDurable)
    }
}

/// An error of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostError(io::ErrorKind);

impl From<io::Error> for HostError {
    fn from(error: io::Error) -> Self {
        HostError(error.kind())
    }
}

impl NorFlashError for HostError {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for Flash {
    type Error = HostError;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), HostError> {
        Ok(self.0.read_exact_at(bytes, u64::from(offset))?)
    }

    fn capacity(&self) -> usize {
        board::JOURNAL_SIZE
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = board::JOURNAL_WORD;
    const ERASE_SIZE: usize = board::JOURNAL_SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), HostError> {
        let erased = vec![0xff; to.saturating_sub(from) as usize];
        self.0.write_all_at(&erased, u64::from(from))?;
        Ok(self.0.sync_data()?)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), HostError> {
        self.0.write_all_at(bytes, u64::from(offset))?;
        Ok(self.0.sync_data()?)
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
    /// Fills `bytes`, or ends the process, which must not run without.
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0
            .read_exact(bytes)
            .expect("/dev/urandom was there at start");
    }
}
