//! Deepest use of the stack: it is filled with a pattern before the program
//! uses it, and the bytes that still have the pattern are counted.
//!
//! The stack lies at the bottom of RAM (memory.x), so an overflow faults
//! and does not overwrite statics.

use core::ptr;

const PAINT: u32 = 0x5354_4B21;

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

/// Bytes reserved for the stack.
pub fn reserved() -> usize {
    (&raw const _stack_start as usize) - (&raw const _stack_end as usize)
}

/// Fills the stack below the caller. Must be called first in `main`.
pub fn paint() {
    let end = &raw const _stack_end as *mut u32;
    // Keep clear of this function's own frame and of a handler's.
    let mut at = end;
    let here = (cortex_m::register::msp::read() as usize).saturating_sub(256);
    while (at as usize) < here {
        // SAFETY: the words from `_stack_end` to below the stack pointer are
        // RAM reserved for the stack (memory.x) and hold nothing live.
        unsafe {
            ptr::write_volatile(at, PAINT);
            at = at.add(1);
        }
    }
}

/// Most bytes of stack that were ever in use.
pub fn used() -> usize {
    let start = &raw const _stack_start as usize;
    let mut at = &raw const _stack_end;
    // SAFETY: the words between the symbols are RAM; reading live ones does
    // no harm.
    while (at as usize) < start && unsafe { ptr::read_volatile(at) } == PAINT {
        // SAFETY: stays at or below `_stack_start`.
        at = unsafe { at.add(1) };
    }
    start - at as usize
}
