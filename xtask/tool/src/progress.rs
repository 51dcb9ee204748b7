//! Progress on a terminal as bars, elsewhere as plain lines.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// A job of unknown length whose steps have a line each.
pub struct Spinner {
    name: String,
    started: Instant,
    /// `None` where standard error is no terminal.
    bar: Option<ProgressBar>,
    last: Mutex<String>,
}

impl Spinner {
    /// Starts to show the job `name`.
    pub fn start(name: impl Into<String>) -> Self {
        let name = name.into();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg} [{elapsed}]")
            {
                bar.set_style(style);
            }
            bar.set_prefix(name.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            name,
            started: Instant::now(),
            bar,
            last: Mutex::new(String::new()),
        }
    }

    /// Shows the current step.
    pub fn step(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => {
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                if *last != what {
                    eprintln!("{}: {what}", self.name);
                    what.clone_into(&mut last);
                }
            }
        }
    }

    /// Shows how many of `total` bytes are done; `total` is 0 where it is
    /// unknown. Without a terminal, a line is written for each tenth.
    pub fn bytes(&self, verb: &str, done: u64, total: u64) {
        let mib = |bytes: u64| bytes >> 20;
        let Some(tenths) = (done.min(total) * 10).checked_div(total) else {
            return self.step(verb);
        };
        match &self.bar {
            Some(bar) => {
                bar.set_message(format!("{verb} {} of {} MiB", mib(done), mib(total)));
            }
            None => self.step(&format!("{verb} {tenths}0 % of {} MiB", mib(total))),
        }
    }

    /// Ends the job and prints its result.
    pub fn done(self, what: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: {what} ({seconds:.1} s)", self.name);
    }
}
