//! The journal's flash chip. AN500 has none that QEMU 7.2 emulates, so a region
//! of its PSRAM emulates one, and a file of the host keeps its content over
//! restarts. A product board has a driver of a serial or on-chip NOR flash
//! here. The rules are the same: bits are only cleared, and a sector is erased
//! whole. A write or an erase returns when the file has it.

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

use crate::board;
use crate::semihost::{File, Refused};

/// Why the chip did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashError {
    /// The address is outside, or between words or sectors.
    Address,
    /// A bit would have to be set without an erase.
    NotErased,
    /// The host's file was not written.
    Host,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            FlashError::Address => NorFlashErrorKind::OutOfBounds,
            FlashError::NotErased | FlashError::Host => NorFlashErrorKind::Other,
        }
    }
}

impl From<Refused> for FlashError {
    fn from(_: Refused) -> Self {
        FlashError::Host
    }
}

/// The chip.
pub struct Flash {
    bytes: &'static mut [u8],
    file: File,
}

impl Flash {
    /// Loads the chip from its file, or creates the file of an erased chip.
    ///
    /// # Safety
    /// Must be called once in a program: the region of board.toml belongs to
    /// the chip from then on.
    pub unsafe fn open(path: &str) -> Result<Self, Refused> {
        // SAFETY: the region is memory of this machine, lies outside of what
        // the linker gives out (board.toml), and is taken once, as the caller
        // vouches; every pattern of bits is a `u8`.
        let bytes = unsafe {
            core::slice::from_raw_parts_mut(board::JOURNAL_BASE as *mut u8, board::JOURNAL_SIZE)
        };
        if let Ok(file) = File::open_store(path)
            && file.len() == bytes.len() as u64
        {
            file.seek(0)?;
            file.read_exact(bytes)?;
            return Ok(Self { bytes, file });
        }
        bytes.fill(0xff);
        let file = File::create(path)?;
        file.write_all(bytes)?;
        Ok(Self { bytes, file })
    }

    fn keep(&self, at: usize, bytes: &[u8]) -> Result<(), FlashError> {
        self.file.seek(at as u64)?;
        Ok(self.file.write_all(bytes)?)
    }
}

impl ErrorType for Flash {
    type Error = FlashError;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        let at = offset as usize;
        let from = self.bytes.get(at..at + bytes.len());
        bytes.copy_from_slice(from.ok_or(FlashError::Address)?);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = board::JOURNAL_WORD;
    const ERASE_SIZE: usize = board::JOURNAL_SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        let (from, to) = (from as usize, to as usize);
        if !from.is_multiple_of(Self::ERASE_SIZE) || !to.is_multiple_of(Self::ERASE_SIZE) {
            return Err(FlashError::Address);
        }
        let piece = [0xff; 256];
        for at in (from..to).step_by(piece.len()) {
            self.keep(at, &piece)?;
            let place = self.bytes.get_mut(at..at + piece.len());
            place.ok_or(FlashError::Address)?.fill(0xff);
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let at = offset as usize;
        if !at.is_multiple_of(Self::WRITE_SIZE) || !bytes.len().is_multiple_of(Self::WRITE_SIZE) {
            return Err(FlashError::Address);
        }
        let place = self.bytes.get(at..at + bytes.len());
        let place = place.ok_or(FlashError::Address)?;
        if place.iter().zip(bytes).any(|(now, new)| !now & new != 0) {
            return Err(FlashError::NotErased);
        }
        self.keep(at, bytes)?;
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
        Ok(())
    }
}
