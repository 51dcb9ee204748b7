//! What is kept of a crash over the reset that ends it: a record of fixed length
//! in memory that the reset leaves alone, or in a file. The board has the memory
//! and the reset; here is what the record says, and how it is told from noise.

use core::fmt::{self, Write as _};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use embassy_time::Instant;
use heapless::String;

/// Bytes of a record.
pub const LEN: usize = 28 + TEXT;
/// Bytes of its text; the rest is cut off.
pub const TEXT: usize = 164;

const MAGIC: u32 = 0x4641_5243;

/// The number of this start, once the journal has told it.
static START: AtomicU32 = AtomicU32::new(0);
/// All tasks run.
static RUNNING: AtomicBool = AtomicBool::new(false);
/// What the watchdog misses, as a [`Stalled`].
static STALLED: AtomicU8 = AtomicU8::new(0);

/// What ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// A panic of the program.
    Panic = 1,
    /// A fault of the processor.
    Fault = 2,
    /// The watchdog was not fed.
    Watchdog = 3,
}

impl Cause {
    /// As the API shows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Cause::Panic => "panic",
            Cause::Fault => "fault",
            Cause::Watchdog => "watchdog",
        }
    }
}

/// What makes no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stalled {
    /// A task that does not return: nothing else runs.
    Executor = 0,
    /// The controller's task.
    Controller = 1,
    /// The network's task.
    Network = 2,
}

impl Stalled {
    /// For a line of text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Stalled::Executor => "no task runs",
            Stalled::Controller => "the controller's task makes no progress",
            Stalled::Network => "the network's task makes no progress",
        }
    }
}

/// The end of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// The number of the start that it ended; 0 where the journal was not read
    /// yet.
    pub start: u32,
    /// Seconds from that start to its end.
    pub uptime_secs: u32,
    /// Crashes since the memory of the record was lost.
    pub count: u32,
    /// What ended it.
    pub cause: Cause,
    /// Where, and the message.
    pub text: String<TEXT>,
}

impl Crash {
    /// The end of the present run, to be called in the handler that ends it.
    /// `before` is the record of the crash before.
    #[must_use]
    pub fn now(cause: Cause, what: fmt::Arguments<'_>, before: Option<&Crash>) -> Self {
        let mut text = Cut(String::new());
        // What does not fit is cut off; an error could only be a formatter's.
        let _cut = text.write_fmt(what);
        let uptime = Instant::now().as_secs();
        Crash {
            start: START.load(Ordering::Relaxed),
            uptime_secs: u32::try_from(uptime).unwrap_or(u32::MAX),
            count: before.map_or(0, |before| before.count).saturating_add(1),
            cause,
            text: text.0,
        }
    }

    /// The record.
    #[must_use]
    pub fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let head = [MAGIC, 0, self.start, self.uptime_secs, self.count];
        let head = head.into_iter().flat_map(u32::to_le_bytes);
        let small = [self.cause as u8, self.text.len() as u8, 0, 0, 0, 0, 0, 0];
        let text = self.text.bytes();
        for (to, from) in bytes.iter_mut().zip(head.chain(small).chain(text)) {
            *to = from;
        }
        let sum = checksum(&bytes).to_le_bytes();
        for (to, from) in bytes.iter_mut().skip(4).zip(sum) {
            *to = from;
        }
        bytes
    }

    /// Reads a record. Memory that holds none gives `None`.
    #[must_use]
    pub fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        let word = |at: usize| -> Option<u32> {
            let word = bytes.get(4 * at..4 * at + 4)?;
            Some(u32::from_le_bytes(word.try_into().ok()?))
        };
        if word(0)? != MAGIC || word(1)? != checksum(bytes) {
            return None;
        }
        let cause = match bytes.get(20)? {
            1 => Cause::Panic,
            2 => Cause::Fault,
            3 => Cause::Watchdog,
            _ => return None,
        };
        let length = usize::from(*bytes.get(21)?);
        let text = core::str::from_utf8(bytes.get(28..28 + length)?).ok()?;
        Some(Crash {
            start: word(2)?,
            uptime_secs: word(3)?,
            count: word(4)?,
            cause,
            text: String::try_from(text).ok()?,
        })
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "start {} ended after {} s by a {}: {}",
            self.start,
            self.uptime_secs,
            self.cause.as_str(),
            self.text
        )
    }
}

/// The journal has told the number of this start.
pub(crate) fn set_start(start: u32) {
    START.store(start, Ordering::Relaxed);
}

/// All tasks were started.
#[doc(hidden)]
pub fn set_running() {
    RUNNING.store(true, Ordering::Relaxed);
}

/// Whether all tasks were started: then a restart helps. A crash before that would
/// come again at once.
#[must_use]
pub fn is_running() -> bool {
    RUNNING.load(Ordering::Relaxed)
}

/// Notes what makes no progress, for the record of a watchdog.
pub(crate) fn set_stalled(stalled: Stalled) {
    STALLED.store(stalled as u8, Ordering::Relaxed);
}

/// What makes no progress.
#[must_use]
pub fn stalled() -> Stalled {
    match STALLED.load(Ordering::Relaxed) {
        1 => Stalled::Controller,
        2 => Stalled::Network,
        _ => Stalled::Executor,
    }
}

/// A text that is cut where it is full.
struct Cut(String<TEXT>);

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            // A space in place of what would break a line.
            let c = if c.is_control() { ' ' } else { c };
            if self.0.push(c).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// CRC-32 over all but its own place, bit by bit: a record is written once.
fn checksum(bytes: &[u8; LEN]) -> u32 {
    let own = 4..8;
    let summed = bytes.iter().enumerate().filter(|(at, _)| !own.contains(at));
    let crc = summed.fold(u32::MAX, |crc, (_, byte)| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    });
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crash() -> Crash {
        Crash {
            start: 7,
            uptime_secs: 90_000,
            count: 2,
            cause: Cause::Panic,
            text: String::try_from("src/http.rs:12: no such place").unwrap(),
        }
    }

    #[test]
    fn a_record_is_read_back() {
        for cause in [Cause::Panic, Cause::Fault, Cause::Watchdog] {
            let crash = Crash { cause, ..crash() };
            assert_eq!(Crash::decode(&crash.encode()), Some(crash));
        }
    }

    #[test]
    fn noise_is_no_record() {
        assert_eq!(Crash::decode(&[0; LEN]), None);
        assert_eq!(Crash::decode(&[0xFF; LEN]), None);
        let whole = crash().encode();
        for bit in 0..8 * LEN {
            let mut bytes = whole;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Crash::decode(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn the_text_is_cut_within_its_room() {
        let mut text = Cut(String::new());
        for _ in 0..TEXT {
            writeln!(text, "é").unwrap();
        }
        assert!(text.0.len() > TEXT - 3 && !text.0.contains('\n'));
        let crash = Crash {
            text: text.0,
            ..crash()
        };
        assert_eq!(Crash::decode(&crash.encode()), Some(crash));
    }
}
