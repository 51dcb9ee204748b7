//! The executor's loop: runs ready tasks, then sleeps until an interrupt.
//!
//! embassy-executor's loop for Cortex-M sleeps with WFE. QEMU treats WFE as
//! "yield", so an idle appliance would take a whole core of the host and, with
//! `-icount`, count instructions that no hardware executes. This loop sleeps
//! with WFI, which QEMU and hardware implement, and counts how long the
//! processor was awake: with `-icount` that is an instruction count.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use embassy_executor::{Spawner, raw};
use static_cell::StaticCell;

use crate::time::Counts;

static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();

/// A task became ready since the executor last polled.
static WORK: AtomicBool = AtomicBool::new(false);

/// How long the processor was awake, up to its last sleep; see [`busy`].
static BUSY: AtomicU32 = AtomicU32::new(0);

/// How long the processor has been awake, interrupts included, in counts of
/// the system clock. Wraps at 2^32, so only a difference is meaningful.
pub fn busy() -> u32 {
    BUSY.load(Ordering::Relaxed)
}

/// Called by the executor, from tasks and from interrupt handlers.
#[unsafe(export_name = "__pender")]
fn pender(_context: *mut ()) {
    WORK.store(true, Ordering::Release);
}

/// Runs tasks for ever; `start` spawns the first ones. Must be called once.
pub fn run(start: impl FnOnce(Spawner)) -> ! {
    let executor = EXECUTOR.init(raw::Executor::new(core::ptr::null_mut()));
    start(executor.spawner());
    let mut awake = Counts::now();
    loop {
        // SAFETY: called from this loop only, which is entered once (the
        // `StaticCell` sees to it), hence never while it is running.
        unsafe { executor.poll() };
        // With interrupts masked, one that arrives after `WORK` was read stays
        // pending and ends WFI at once.
        cortex_m::interrupt::free(|_| {
            if !WORK.swap(false, Ordering::AcqRel) {
                BUSY.fetch_add(awake.elapsed(), Ordering::Relaxed);
                cortex_m::asm::dsb();
                cortex_m::asm::wfi();
                awake = Counts::now();
            }
        });
    }
}
