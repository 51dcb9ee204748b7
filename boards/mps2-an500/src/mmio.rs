//! Memory-mapped registers: the one place that turns an address into a load
//! or a store. Everything above names offsets within a block.

use core::ptr;

/// A block of 32-bit registers at a fixed address.
#[derive(Debug, Clone, Copy)]
pub struct Registers {
    base: usize,
}

impl Registers {
    /// The block at `base`.
    ///
    /// # Safety
    /// `base` must be a multiple of four and the address of a register block
    /// of this chip that stays there for the program's life, and the caller
    /// must know that reads and writes at the offsets which it will use can
    /// not break memory safety (no DMA engine is started through them).
    pub const unsafe fn new(base: usize) -> Self {
        Self { base }
    }

    /// Reads the register `offset` bytes into the block.
    #[inline(always)]
    pub fn read(&self, offset: u32) -> u32 {
        // SAFETY: `new`'s caller vouches for the block.
        unsafe { ptr::read_volatile((self.base + offset as usize) as *const u32) }
    }

    /// Writes the register `offset` bytes into the block.
    #[inline(always)]
    pub fn write(&self, offset: u32, value: u32) {
        // SAFETY: `new`'s caller vouches for the block.
        unsafe { ptr::write_volatile((self.base + offset as usize) as *mut u32, value) }
    }
}

impl farrier_lan9118::Bus for Registers {
    #[inline(always)]
    fn read(&self, offset: u32) -> u32 {
        self.read(offset)
    }

    #[inline(always)]
    fn write(&self, offset: u32, value: u32) {
        self.write(offset, value);
    }
}
