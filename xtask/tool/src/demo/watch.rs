//! Shows people a job: on a terminal a bar for each server, elsewhere plain
//! lines.

use farrier_hil_tests::job::Watch;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::progress::{LINE_EVERY, Ticker};

/// Without a terminal, a line of progress is printed this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Bars or lines.
pub struct Screen {
    started: Instant,
    bars: Option<MultiProgress>,
    /// Bars of others on the same terminal.
    others: MultiProgress,
    /// Stands before each line; empty where there is one job only.
    label: String,
    servers: Arc<Mutex<Servers>>,
    /// Prints lines of servers that say nothing; `None` with bars, and where
    /// others do that.
    _reminder: Option<Ticker>,
}

type Servers = HashMap<String, Line>;

struct Line {
    bar: Option<ProgressBar>,
    /// What the server does, and since when.
    text: String,
    since: Instant,
    /// When its last line was printed.
    printed: Instant,
}

impl Line {
    fn new(bar: Option<ProgressBar>) -> Self {
        let now = Instant::now();
        Self {
            bar,
            text: String::new(),
            since: now,
            printed: now,
        }
    }

    /// Notes what the server does. Whether a line of it is due `every` so
    /// often, which is then taken for printed.
    fn is_due(&mut self, text: &str, every: Duration, now: Instant) -> bool {
        let new = self.text != text;
        if new {
            text.clone_into(&mut self.text);
            self.since = now;
        }
        let due = new || now.duration_since(self.printed) >= every;
        if due {
            self.printed = now;
        }
        due
    }

    /// The line of a server that has said nothing for long.
    fn reminder(&mut self, now: Instant) -> Option<String> {
        if now.duration_since(self.printed) < LINE_EVERY {
            return None;
        }
        self.printed = now;
        let seconds = now.duration_since(self.since).as_secs();
        Some(format!("{} (for {seconds} s)", self.text))
    }
}

impl Screen {
    /// Bars where standard error is a terminal and `headless` is false.
    pub fn new(headless: bool) -> Self {
        let mut screen = Self::of_lines();
        if !headless && std::io::stderr().is_terminal() {
            screen.bars = Some(MultiProgress::new());
        } else {
            let (started, servers) = (screen.started, screen.servers.clone());
            screen._reminder = Some(Ticker::start(move || remind(started, &servers)));
        }
        screen
    }

    /// Lines that begin with a label, above the bars of others: several jobs
    /// print at the same time.
    pub fn labelled(label: &str, others: &MultiProgress) -> Self {
        Screen {
            others: others.clone(),
            label: format!("{label}: "),
            ..Self::of_lines()
        }
    }

    fn of_lines() -> Self {
        Screen {
            started: Instant::now(),
            bars: None,
            others: MultiProgress::new(),
            label: String::new(),
            servers: Arc::default(),
            _reminder: None,
        }
    }

    /// Prints a line about a server, or about another part of the rack.
    pub fn line(&self, what: &str, text: &str) {
        let line = format!("{}{}", self.label, stamped(self.started, what, text));
        match &self.bars {
            // A bar that can't be drawn is no reason to fail.
            Some(bars) => drop(bars.println(line)),
            None => self.others.suspend(|| println!("{line}")),
        }
    }

    /// Ends the job of a server: nothing of it is shown any more.
    pub fn end(&self, server: &str) {
        let ended = lock(&self.servers).remove(server);
        if let Some(bar) = ended.and_then(|line| line.bar) {
            bar.finish_and_clear();
        }
    }

    fn with<T>(&self, server: &str, act: impl FnOnce(&mut Line) -> T) -> T {
        let mut servers = lock(&self.servers);
        let line = servers
            .entry(server.to_owned())
            .or_insert_with(|| Line::new(self.bars.as_ref().map(|bars| bars.add(bar(server)))));
        act(line)
    }
}

fn lock(servers: &Mutex<Servers>) -> MutexGuard<'_, Servers> {
    servers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line with the seconds since the start.
fn stamped(started: Instant, what: &str, text: &str) -> String {
    let seconds = started.elapsed().as_secs_f64();
    format!("[{seconds:6.1} s] {what:<8} {text}")
}

/// Prints a line of each server that has said nothing for long.
fn remind(started: Instant, servers: &Mutex<Servers>) {
    for (server, line) in lock(servers).iter_mut() {
        if let Some(text) = line.reminder(Instant::now()) {
            println!("{}", stamped(started, server, &text));
        }
    }
}

/// Where bytes are counted.
const COUNTED: &str = "{prefix:<8} {msg:<28} {wide_bar} {bytes}/{total_bytes}";
/// Where nothing is counted.
const UNCOUNTED: &str = "{prefix:<8} {spinner} {msg}";

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn bar(server: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_style(style(UNCOUNTED));
    bar.set_prefix(server.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Shows a step on a bar: a spinner where the total is 0.
fn show(bar: &ProgressBar, message: String, done: u64, total: u64) {
    if total == 0 {
        bar.unset_length();
        bar.set_style(style(UNCOUNTED));
    } else {
        bar.set_length(total);
        bar.set_position(done);
        bar.set_style(style(COUNTED));
    }
    bar.set_message(message);
}

/// A step in words, with the bytes that are known of it.
fn progress_line(what: &str, done: u64, total: u64, rate: u64) -> String {
    let (done, all, rate) = (HumanBytes(done), HumanBytes(total), HumanBytes(rate));
    match (done.0, total) {
        (0, 0) => what.to_owned(),
        (_, 0) => format!("{what}: {done}, {rate}/s"),
        _ => format!("{what}: {done} of {all}, {rate}/s"),
    }
}

impl Watch for Screen {
    fn say(&self, server: &str, text: &str) {
        self.with(server, |line| {
            if let Some(bar) = &line.bar {
                show(bar, text.to_owned(), 0, 0);
            }
            line.is_due(text, Duration::ZERO, Instant::now())
        });
        self.line(server, text);
    }

    fn progress(&self, server: &str, what: &str, done: u64, total: u64, rate: u64) {
        let due = self.with(server, |line| match &line.bar {
            Some(bar) => {
                let message = match rate {
                    0 => what.to_owned(),
                    rate => format!("{what}, {}/s", HumanBytes(rate)),
                };
                show(bar, message, done, total);
                false
            }
            None => line.is_due(what, PROGRESS_EVERY, Instant::now()),
        });
        if due {
            self.line(server, &progress_line(what, done, total, rate));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_without_a_count_shows_no_bytes() {
        assert_eq!(progress_line("waits", 0, 0, 0), "waits");
        assert_eq!(
            progress_line("erases", 0, 2048, 0),
            "erases: 0 B of 2.00 KiB, 0 B/s"
        );
        assert_eq!(
            progress_line("reads", 1024, 0, 512),
            "reads: 1.00 KiB, 512 B/s"
        );
    }

    #[test]
    fn a_server_that_says_nothing_has_a_line_every_half_minute() {
        let mut line = Line::new(None);
        let start = line.printed;
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(line.is_due("active", PROGRESS_EVERY, start));
        assert_eq!(line.reminder(at(29)), None);
        assert_eq!(line.reminder(at(30)).as_deref(), Some("active (for 30 s)"));
        assert_eq!(line.reminder(at(59)), None);
        assert_eq!(line.reminder(at(60)).as_deref(), Some("active (for 60 s)"));
    }

    #[test]
    fn progress_of_one_step_has_a_line_every_few_seconds() {
        let mut line = Line::new(None);
        let start = line.printed;
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(line.is_due("erase", PROGRESS_EVERY, start));
        assert!(!line.is_due("erase", PROGRESS_EVERY, at(4)));
        assert!(line.is_due("erase", PROGRESS_EVERY, at(5)));
        assert!(line.is_due("write", PROGRESS_EVERY, at(6)));
    }

    #[test]
    fn a_bar_has_a_length_only_while_bytes_are_counted() {
        let bar = bar("s");
        assert_eq!(bar.length(), None);
        show(&bar, "writes".into(), 1, 4);
        assert_eq!((bar.position(), bar.length()), (1, Some(4)));
        show(&bar, "restarts".into(), 0, 0);
        assert_eq!(bar.length(), None);
    }
}
