//! NOR flash in memory, without any check: for benches that count the journal
//! and not a model of a chip ([`crate::sim`] is that model), and for boards
//! that lend RAM to it.

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Bytes of a sector.
pub const SECTOR: usize = 4096;
/// Bytes of a word.
const WORD: usize = 4;

/// Flash in these bytes; they are to be a multiple of [`SECTOR`].
#[derive(Debug)]
pub struct RamFlash<B>(pub B);

impl<B: AsMut<[u8]>> RamFlash<B> {
    fn part(&mut self, from: u32, len: usize) -> Result<&mut [u8], Outside> {
        let from = from as usize;
        let end = from.checked_add(len).ok_or(Outside)?;
        self.0.as_mut().get_mut(from..end).ok_or(Outside)
    }
}

/// The address is not of this flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outside;

impl NorFlashError for Outside {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::OutOfBounds
    }
}

impl<B> ErrorType for RamFlash<B> {
    type Error = Outside;
}

impl<B: AsMut<[u8]> + AsRef<[u8]>> ReadNorFlash for RamFlash<B> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Outside> {
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
