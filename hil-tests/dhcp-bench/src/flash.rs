//! NOR flash in memory without checks: what is counted is the journal, and
//! not a model of a chip.

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Bytes of a sector.
const SECTOR: usize = 4096;
/// Bytes of a word.
const WORD: usize = 4;

/// The flash.
#[derive(Debug)]
pub struct RamFlash(Vec<u8>);

impl RamFlash {
    /// Erased flash of that many sectors of 4 KiB.
    #[must_use]
    pub fn new(sectors: usize) -> Self {
        Self(vec![0xff; sectors * SECTOR])
    }

    fn part(&mut self, from: u32, len: usize) -> Result<&mut [u8], Outside> {
        let from = from as usize;
        self.0.get_mut(from..from + len).ok_or(Outside)
    }
}

/// The address is not of this flash.
#[derive(Debug)]
pub struct Outside;

impl NorFlashError for Outside {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl ErrorType for RamFlash {
    type Error = Outside;
}

impl ReadNorFlash for RamFlash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Outside> {
        bytes.copy_from_slice(self.part(offset, bytes.len())?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for RamFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Outside> {
        self.part(from, to.saturating_sub(from) as usize)?
            .fill(0xff);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Outside> {
        for (cell, byte) in self.part(offset, bytes.len())?.iter_mut().zip(bytes) {
            *cell &= byte;
        }
        Ok(())
    }
}
