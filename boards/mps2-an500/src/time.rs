//! The clock: a CMSDK dual timer (DDI 0479, chapter 4.5), two 32-bit down
//! counters on the system clock. Counter 1 runs freely and gives the time;
//! counter 2 is the alarm. There is no periodic tick, so an idle appliance takes
//! no interrupts and instruction counts are repeatable.
//!
//! Counter 1 is reloaded every [`LAP_US`] microseconds, a whole number, so
//! that microseconds come from one 32-bit division and no error builds up.

use core::cell::{Cell, RefCell};
use core::task::Waker;

use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

use crate::board;
use crate::mmio::Registers;

const VALUE_1: u32 = 0x04;
const LOAD_1: u32 = 0x00;
const CONTROL_1: u32 = 0x08;
const CLEAR_1: u32 = 0x0C;
const RAW_1: u32 = 0x10;
const LOAD_2: u32 = 0x20;
const CONTROL_2: u32 = 0x28;
const CLEAR_2: u32 = 0x2C;

const ENABLE: u32 = 1 << 7;
const PERIODIC: u32 = 1 << 6;
const INTERRUPT: u32 = 1 << 5;
const BITS_32: u32 = 1 << 1;
const ONE_SHOT: u32 = 1 << 0;

/// Counts a microsecond.
const PER_US: u32 = board::CLOCK_HZ / 1_000_000;
/// Microseconds of one lap of counter 1: the most whole seconds that fit.
const LAP_US: u32 = u32::MAX / board::CLOCK_HZ * 1_000_000;
/// Counts of one lap.
const LAP: u32 = LAP_US * PER_US;
/// Longest that the alarm is set for; it is then set anew.
const ALARM_MAX_US: u64 = LAP_US as u64 / 2;

const _: () = assert!(board::CLOCK_HZ.is_multiple_of(1_000_000));
const _: () = assert!(embassy_time_driver::TICK_HZ == 1_000_000);

/// The timer's registers.
// SAFETY: the address is the board's dual timer (board.toml), which moves no
// memory.
const TIMER: Registers = unsafe { Registers::new(board::TIMER_BASE) };

struct Clock {
    laps: Mutex<Cell<u64>>,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock {
    laps: Mutex::new(Cell::new(0)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

/// Starts the clock at zero. The interrupt may be enabled afterwards.
pub fn start() {
    TIMER.write(CONTROL_1, 0);
    TIMER.write(CONTROL_2, 0);
    TIMER.write(LOAD_1, LAP - 1);
    TIMER.write(CLEAR_1, 1);
    TIMER.write(CLEAR_2, 1);
    TIMER.write(CONTROL_1, ENABLE | PERIODIC | INTERRUPT | BITS_32);
}

/// A reading of counter 1, for spans shorter than a lap: one load, where the
/// driver's microseconds take a division and a critical section.
#[derive(Clone, Copy)]
pub struct Counts(u32);

impl Counts {
    /// Now.
    pub fn now() -> Self {
        Self(TIMER.read(VALUE_1))
    }

    /// Counts of the system clock since then.
    pub fn elapsed(self) -> u32 {
        let now = TIMER.read(VALUE_1);
        // It counts down, and from zero to `LAP - 1`.
        match self.0.checked_sub(now) {
            Some(counts) => counts,
            None => LAP - (now - self.0),
        }
    }
}

/// The timer's interrupt handler must call this.
pub fn on_interrupt() {
    critical_section::with(|cs| {
        CLOCK.note_lap(cs);
        TIMER.write(CLEAR_2, 1);
        CLOCK.serve_alarms(cs);
    });
}

impl Clock {
    /// Counts a lap if counter 1 has wrapped.
    fn note_lap(&self, cs: CriticalSection<'_>) {
        if TIMER.read(RAW_1) & 1 != 0 {
            TIMER.write(CLEAR_1, 1);
            let laps = self.laps.borrow(cs);
            laps.set(laps.get() + 1);
        }
    }

    fn now_in(&self, cs: CriticalSection<'_>) -> u64 {
        // The value is read after the lap. If the counter wrapped between the
        // two, the second check finds out.
        self.note_lap(cs);
        let mut value = TIMER.read(VALUE_1);
        if TIMER.read(RAW_1) & 1 != 0 {
            self.note_lap(cs);
            value = TIMER.read(VALUE_1);
        }
        let elapsed = (LAP - 1).saturating_sub(value) / PER_US;
        self.laps.borrow(cs).get() * u64::from(LAP_US) + u64::from(elapsed)
    }

    /// Wakes what is due and sets the alarm for what comes next.
    fn serve_alarms(&self, cs: CriticalSection<'_>) {
        let mut queue = self.queue.borrow_ref_mut(cs);
        loop {
            let now = self.now_in(cs);
            let next = queue.next_expiration(now);
            if next == u64::MAX {
                TIMER.write(CONTROL_2, 0);
                return;
            }
            let Some(wait) = next.checked_sub(now).filter(|wait| *wait > 0) else {
                continue;
            };
            // Fits: ALARM_MAX_US · PER_US < 2³².
            let counts = wait.min(ALARM_MAX_US) as u32 * PER_US;
            TIMER.write(CONTROL_2, 0);
            TIMER.write(LOAD_2, counts);
            TIMER.write(CLEAR_2, 1);
            TIMER.write(CONTROL_2, ENABLE | INTERRUPT | BITS_32 | ONE_SHOT);
            return;
        }
    }
}

impl Driver for Clock {
    fn now(&self) -> u64 {
        critical_section::with(|cs| self.now_in(cs))
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            let changed = self.queue.borrow_ref_mut(cs).schedule_wake(at, waker);
            if changed {
                self.serve_alarms(cs);
            }
        });
    }
}
