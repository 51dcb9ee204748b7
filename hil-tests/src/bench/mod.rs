//! Instruction counts of the appliance's firmware on an emulated board.
//!
//! The emulator's clock counts instructions (`-icount shift=0`: one a
//! nanosecond), and the firmware says how long its processor was awake. The
//! clients are in this process and speak real bytes through the switch;
//! whatever goes wrong with an answer is an error, so that a broken run has
//! no figure. Time on the host plays no part, nor does what storage costs:
//! the emulated board reads its store through the emulator.
//!
//! [`dhcp`] and [`tftp`] are the clients, [`hostile`] is a machine that means
//! harm, [`reset`] is a restart, [`flip`] moves a port. What a
//! figure is held against is the caller's.

pub mod dhcp;
pub mod flip;
pub mod hostile;
pub mod reset;
pub mod tftp;

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::console::{Console, Position};
use crate::scenario::Rack;

/// How long an answer, or the firmware's next line, may take on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the firmware's lines say; see [`Line::parse`].
const SAID: &str = "busy: ";
/// How such a line ends.
const END: &str = " ns\n";
/// Lines that an idle appliance is listened to, for what it does unasked.
const IDLE_LINES: u32 = 5;

/// Counts instructions of a rack's appliance.
#[derive(Debug, Clone, Copy)]
pub struct Meter<'a> {
    console: &'a Console,
}

impl<'a> Meter<'a> {
    /// A meter for an appliance that logs its load and is idle after its start.
    ///
    /// # Errors
    /// It logs no load.
    pub fn new(rack: &'a Rack) -> Result<Self> {
        let meter = Self {
            console: rack.appliance().console(),
        };
        meter.next()?;
        meter.next()?;
        Ok(meter)
    }

    /// How many instructions the appliance ran because of `work`, less what it
    /// runs in the same time when left alone; and what `work` gave.
    ///
    /// # Errors
    /// Those of `work`, or the appliance fell silent.
    pub fn count<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
        let begin = self.next()?;
        let result = work()?;
        let end = self.next()?;
        let mut rest = end;
        for _ in 0..IDLE_LINES {
            rest = self.after(rest.mark)?;
        }
        ensure!(
            rest.since(&begin) != 0,
            "the appliance's processor never sleeps: tasks wake one another without end"
        );
        // One line a second of the appliance's clock.
        let (lines, _) = self.console.lines(begin.mark);
        let passed = lines.iter().filter(|line| line.contains(SAID)).count() as u32 - IDLE_LINES;
        let idle = f64::from(rest.since(&end)) / f64::from(IDLE_LINES);
        let worked = f64::from(end.since(&begin)) - idle * f64::from(passed);
        ensure!(worked > 0.0, "the appliance did nothing");
        Ok((worked * f64::from(end.nanoseconds), result))
    }

    /// The next line that is said from now on.
    fn next(&self) -> Result<Line> {
        self.after(self.console.mark())
    }

    fn after(&self, mark: Position) -> Result<Line> {
        let (_, said) = self.console.wait_for(mark, SAID, PATIENCE)?;
        let (line, mark) = self.console.wait_for(said, END, PATIENCE)?;
        Line::parse(&line, mark).with_context(|| format!("the appliance said {line:?}"))
    }
}

/// One line about the appliance's load.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// Counts that the processor was awake; comes round.
    counts: u32,
    /// Nanoseconds, that is instructions, of one count.
    nanoseconds: u32,
    /// The line's end.
    mark: Position,
}

impl Line {
    /// Reads `… busy: 1234 counts of 40 ns`.
    fn parse(line: &str, mark: Position) -> Option<Self> {
        let (_, said) = line.split_once(SAID)?;
        let (counts, rest) = said.split_once(" counts of ")?;
        let (nanoseconds, _) = rest.split_once(' ')?;
        Some(Self {
            counts: counts.parse().ok()?,
            nanoseconds: nanoseconds.parse().ok()?,
            mark,
        })
    }

    /// Counts from an earlier line to this one.
    fn since(&self, earlier: &Self) -> u32 {
        self.counts.wrapping_sub(earlier.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Option<Line> {
        Line::parse(text, Position::default())
    }

    #[test]
    fn a_line_is_read() {
        let line = line("[12.003] INFO farrier: busy: 1234 counts of 40 ns").unwrap();
        assert_eq!((line.counts, line.nanoseconds), (1234, 40));
    }

    #[test]
    fn other_lines_are_not() {
        for text in [
            "stack: 3 of 4 bytes used",
            "busy: many counts of 40 ns",
            "busy: 1",
        ] {
            assert!(line(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_count_may_come_round() {
        let before = line("busy: 4294967290 counts of 40 ns").unwrap();
        let after = line("busy: 10 counts of 40 ns").unwrap();
        assert_eq!(after.since(&before), 16);
    }
}
