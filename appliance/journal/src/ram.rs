//! NOR flash in memory, without checks: for benches that measure the journal
//! without the simulated chip of [`crate::sim`], and for boards that keep the
//! journal in RAM.

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Size of a sector in bytes.
pub const SECTOR: usize = 4096;
/// Size of a word in bytes.
const WORD: usize = 4;

/// Flash in a buffer whose length is a multiple of [`SECTOR`].
#[derive(Debug)]
pub struct RamFlash<B>(pub B);

impl<B: AsMut<[u8]>> RamFlash<B> {
    fn part(&mut self, from: u32, len: usize) -> Result<&mut [u8], OutOfRange> {
        let from = from as usize;
        let end = from.checked_add(len).ok_or(OutOfRange)?;
        self.0.as_mut().get_mut(from..end).ok_or(OutOfRange)
    }
}

/// The address is outside the flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRange;

impl NorFlashError for OutOfRange {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl<B> ErrorType for RamFlash<B> {
    type Error = OutOfRange;
}

impl<B: AsMut<[u8]> + AsRef<[u8]>> ReadNorFlash for RamFlash<B> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), OutOfRange> {
        bytes.copy_from_slice(self.part(offset, bytes.len())?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.as_ref().len()
    }
}

impl<B: AsMut<[u8]> + AsRef<[u8]>> NorFlash for RamFlash<B> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), OutOfRange> {
        self.part(from, to.saturating_sub(from) as usize)?
            .fill(0xff);
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), OutOfRange> {
        for (cell, byte) in self.part(offset, bytes.len())?.iter_mut().zip(bytes) {
            *cell &= byte;
        }
        Ok(())
    }
}
