//! What brings the appliance back: a reset behind each crash, and the CMSDK
//! watchdog (DDI 0479, chapter 4.6), which counts down twice. The first end is an
//! interrupt that nothing masks (NMI), in which the record of the crash is
//! written; the second one is a reset. The record lies in RAM that a reset leaves
//! alone and the start code does not clear.

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;

use cortex_m::peripheral::SCB;
use farrier_firmware::crash::{self, Cause, Crash, LEN};
use farrier_firmware::watchdog::{PATIENCE, Watchdog};

use crate::board;
use crate::mmio::Registers;

const LOAD: u32 = 0x000;
const CONTROL: u32 = 0x008;
const CLEAR: u32 = 0x00C;
const LOCK: u32 = 0xC00;

const INTERRUPT: u32 = 1 << 0;
const RESET: u32 = 1 << 1;
const UNLOCK: u32 = 0x1ACC_E551;

/// The watchdog's registers.
// SAFETY: the address is the board's watchdog (board.toml), which moves no
// memory.
const WATCHDOG: Registers = unsafe { Registers::new(board::WATCHDOG_BASE) };

/// Memory of a record.
struct Kept(UnsafeCell<MaybeUninit<[u8; LEN]>>);

// SAFETY: the processor has one core. `read` is called before interrupts are
// enabled, `write` by handlers that do not return.
unsafe impl Sync for Kept {}

#[unsafe(link_section = ".uninit.farrier_crash")]
static KEPT: Kept = Kept(UnsafeCell::new(MaybeUninit::uninit()));

/// The record of the last crash since the board got power.
pub fn last_crash() -> Option<Crash> {
    let mut bytes = [0; LEN];
    let from = KEPT.0.get().cast::<u8>();
    for (at, byte) in bytes.iter_mut().enumerate() {
        // SAFETY: within the array. Volatile: whatever the memory holds is
        // read as it is, and the checksum decides.
        *byte = unsafe { core::ptr::read_volatile(from.add(at)) };
    }
    Crash::decode(&bytes)
}

/// Writes the record of a crash.
pub fn keep(cause: Cause, what: fmt::Arguments<'_>) {
    let crash = Crash::now(cause, what, last_crash().as_ref());
    let to = KEPT.0.get().cast::<u8>();
    for (at, byte) in crash.encode().into_iter().enumerate() {
        // SAFETY: within the array, which only this program's end writes.
        unsafe { core::ptr::write_volatile(to.add(at), byte) };
    }
}

/// Restarts the board.
pub fn reset() -> ! {
    SCB::sys_reset()
}

/// The watchdog. It runs from its first feeding on, and stands still while a
/// debugger stops the processor.
#[derive(Debug)]
pub struct CmsdkWatchdog;

impl Watchdog for CmsdkWatchdog {
    fn feed(&mut self) {
        WATCHDOG.write(LOCK, UNLOCK);
        // Fits: `PATIENCE` is 15 s, and the clock 25 MHz.
        WATCHDOG.write(LOAD, PATIENCE.as_secs() as u32 * board::CLOCK_HZ);
        WATCHDOG.write(CLEAR, 1);
        WATCHDOG.write(CONTROL, INTERRUPT | RESET);
        WATCHDOG.write(LOCK, 0);
    }
}

/// The watchdog was not fed.
pub fn on_bite() -> ! {
    keep(
        Cause::Watchdog,
        format_args!("{}", crash::stalled().as_str()),
    );
    reset()
}
