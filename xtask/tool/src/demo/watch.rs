//! Shows people a job: on a terminal a bar for each server, elsewhere plain
//! lines.

use farrier_hil_tests::job::Watch;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Without a terminal, a line of progress is printed this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Bars or lines.
pub struct Screen {
    started: Instant,
    bars: Option<MultiProgress>,
    /// Bars of others on the same terminal.
    others: MultiProgress,
    /// Stands before each line; empty where there is one job only.
    label: String,
    servers: Mutex<HashMap<String, Line>>,
}

struct Line {
    bar: Option<ProgressBar>,
    /// The last line of progress: its step and its time.
    printed: Option<(String, Instant)>,
}

impl Screen {
    /// Bars where standard error is a terminal and `headless` is false.
    pub fn new(headless: bool) -> Self {
        let bars = (!headless && std::io::stderr().is_terminal()).then(MultiProgress::new);
        Screen {
            started: Instant::now(),
            bars,
            others: MultiProgress::new(),
            label: String::new(),
            servers: Mutex::default(),
        }
    }

    /// Lines that begin with a label, above the bars of others: several jobs
    /// print at the same time.
    pub fn labelled(label: &str, others: &MultiProgress) -> Self {
        Screen {
            others: others.clone(),
            label: format!("{label}: "),
            ..Self::new(true)
        }
    }

    fn line(&self, server: &str, text: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let line = format!("{}[{seconds:6.1} s] {server:<8} {text}", self.label);
        match &self.bars {
            // A bar that can't be drawn is no reason to fail.
            Some(bars) => drop(bars.println(line)),
            None => self.others.suspend(|| println!("{line}")),
        }
    }

    fn with<T>(&self, server: &str, act: impl FnOnce(&mut Line) -> T) -> T {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let line = servers.entry(server.to_owned()).or_insert_with(|| Line {
            bar: self.bars.as_ref().map(|bars| bars.add(bar(server))),
            printed: None,
        });
        act(line)
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
            None => {
                let now = Instant::now();
                let due = line
                    .printed
                    .as_ref()
                    .is_none_or(|(step, at)| step != what || now.duration_since(*at) >= LINE_EVERY);
                if due {
                    line.printed = Some((what.to_owned(), now));
                }
                due
            }
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
    fn a_bar_has_a_length_only_while_bytes_are_counted() {
        let bar = bar("s");
        assert_eq!(bar.length(), None);
        show(&bar, "writes".into(), 1, 4);
        assert_eq!((bar.position(), bar.length()), (1, Some(4)));
        show(&bar, "restarts".into(), 0, 0);
        assert_eq!(bar.length(), None);
    }
}
