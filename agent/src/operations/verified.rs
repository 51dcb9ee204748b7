//! Writes that count only when they were read back from the medium.

use std::io;

use crate::device::{AlignedBuffer, BlockDevice};
use crate::engine::zero::is_zero;

/// Bytes that are read back at a time.
pub const WINDOW: usize = 256 << 10;
/// Bytes that are looked at in one go where they are expected to be zero.
const ZERO_WINDOW: usize = 1 << 20;

/// Why bytes are not on a disk.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The device did not take them.
    #[error("writing failed at byte {at}: {error}")]
    Write {
        /// Where.
        at: u64,
        /// The device's error.
        error: io::Error,
    },
    /// The device did not give them back.
    #[error("reading back failed at byte {at}: {error}")]
    Read {
        /// Where.
        at: u64,
        /// The device's error.
        error: io::Error,
    },
    /// It gave back something else.
    #[error("the read-back differs from what was written at byte {at}")]
    Differs {
        /// Start of the piece that differs.
        at: u64,
    },
}

/// A device with the buffers that verifying needs.
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
    /// For this device.
    pub fn new(device: D) -> Self {
        Self {
            device,
            window: AlignedBuffer::new(ZERO_WINDOW.max(WINDOW)),
        }
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Whether the disk holds exactly `bytes` at `offset`; whole blocks.
    ///
    /// # Errors
    /// The device's.
    pub fn holds(&mut self, offset: u64, bytes: &[u8]) -> io::Result<bool> {
        let mut at = offset;
        for piece in bytes.chunks(WINDOW) {
            let window = &mut self.window[..piece.len()];
            // What a read leaves untouched must not pass for what was read.
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

    /// Whether the disk holds only zeroes there; whole blocks.
    ///
    /// # Errors
    /// The device's.
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

    /// Writes zeroes: by the device's own command unless `by_hand`, else or
    /// where that fails block by block.
    ///
    /// # Errors
    /// The device's.
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

    /// Writes whole blocks and reads them back.
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

    /// Makes a range zero and reads it back; what is zero already stays.
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
