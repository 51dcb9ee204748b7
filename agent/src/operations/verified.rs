//! Writes with a read-back from the medium.

use std::io;

use crate::device::{AlignedBuffer, BlockDevice};
use crate::engine::zero::is_zero;

/// Size of one read-back in bytes.
pub const WINDOW: usize = 256 << 10;
/// Size of one read in bytes where zeroes are expected.
const ZERO_WINDOW: usize = 1 << 20;

/// Why a verified write failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The device failed to write.
    #[error("write failed at byte {at}: {error}")]
    Write {
        /// Offset in bytes.
        at: u64,
        /// The device's error.
        error: io::Error,
    },
    /// The device failed to read.
    #[error("read-back failed at byte {at}: {error}")]
    Read {
        /// Offset in bytes.
        at: u64,
        /// The device's error.
        error: io::Error,
    },
    /// The read-back differs.
    #[error("the read-back differs from what was written at byte {at}")]
    Differs {
        /// Offset of the piece that differs, in bytes.
        at: u64,
    },
}

/// A device with the buffers of the read-back.
pub struct Verifier<D> {
    device: D,
    window: AlignedBuffer,
}

impl<D> std::fmt::Debug for Verifier<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl<D: BlockDevice> Verifier<D> {
    /// Creates a verifier of `device`.
    pub fn new(device: D) -> Self {
        Self {
            device,
            window: AlignedBuffer::new(ZERO_WINDOW.max(WINDOW)),
        }
    }

    /// Returns the device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Returns whether the disk has exactly `bytes` at `offset`. Both are in whole
    /// blocks.
    ///
    /// # Errors
    /// The device's error.
    pub fn holds(&mut self, offset: u64, bytes: &[u8]) -> io::Result<bool> {
        let mut at = offset;
        for piece in bytes.chunks(WINDOW) {
            let window = &mut self.window[..piece.len()];
            // A read that does not fill the buffer must not compare equal.
            if let (Some(slot), Some(byte)) = (window.first_mut(), piece.first()) {
                *slot = !byte;
            }
            self.device.read_at(at, window)?;
            if window != piece {
                return Ok(false);
            }
            at += piece.len() as u64;
        }
        Ok(true)
    }

    /// Returns whether the range has only zeroes. The range is in whole blocks.
    ///
    /// # Errors
    /// The device's error.
    pub fn holds_zeroes(&mut self, offset: u64, length: u64) -> io::Result<bool> {
        let (mut at, end) = (offset, offset + length);
        while at < end {
            let count = (end - at).min(ZERO_WINDOW as u64) as usize;
            let window = &mut self.window[..count];
            if let Some(slot) = window.first_mut() {
                *slot = 1;
            }
            self.device.read_at(at, window)?;
            if !is_zero(window) {
                return Ok(false);
            }
            at += count as u64;
        }
        Ok(true)
    }

    /// Writes zeroes with the device's command. If the command fails or `by_hand`
    /// is set, writes them block by block.
    ///
    /// # Errors
    /// The device's error.
    pub fn write_zeroes(&mut self, offset: u64, length: u64, by_hand: bool) -> io::Result<()> {
        if !by_hand && self.device.write_zeroes(offset, length).is_ok() {
            return Ok(());
        }
        let (mut at, end) = (offset, offset + length);
        self.window[..ZERO_WINDOW].fill(0);
        while at < end {
            let count = (end - at).min(ZERO_WINDOW as u64) as usize;
            self.device.write_at(at, &self.window[..count])?;
            at += count as u64;
        }
        Ok(())
    }

    /// Writes whole blocks and compares the read-back.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), WriteError> {
        self.device
            .write_at(offset, bytes)
            .map_err(|error| WriteError::Write { at: offset, error })?;
        match self.holds(offset, bytes) {
            Ok(true) => Ok(()),
            Ok(false) => Err(WriteError::Differs { at: offset }),
            Err(error) => Err(WriteError::Read { at: offset, error }),
        }
    }

    /// Zeroes a range and compares the read-back. Does not write to a range that
    /// is already zero.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn put_zeroes(&mut self, offset: u64, length: u64) -> Result<(), WriteError> {
        for by_hand in [false, true] {
            match self.holds_zeroes(offset, length) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return Err(WriteError::Read { at: offset, error }),
            }
            self.write_zeroes(offset, length, by_hand)
                .map_err(|error| WriteError::Write { at: offset, error })?;
        }
        match self.holds_zeroes(offset, length) {
            Ok(true) => Ok(()),
            Ok(false) => Err(WriteError::Differs { at: offset }),
            Err(error) => Err(WriteError::Read { at: offset, error }),
        }
    }
}
