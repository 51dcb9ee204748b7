//! Progress on a terminal as bars, elsewhere as plain lines.

use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Without a terminal, work that takes long prints a line at least this often.
pub const LINE_EVERY: Duration = Duration::from_secs(30);

/// The line of work that still runs: for how long, and its last step.
pub fn still(name: &str, started: Instant, last: &str) -> String {
    let seconds = started.elapsed().as_secs();
    format!("{name}: {seconds} s {}", last.trim())
        .trim_end()
        .to_owned()
}

/// Calls a function once a second until it is dropped.
pub struct Ticker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    /// Starts to call `tick`.
    pub fn start(tick: impl Fn() + Send + 'static) -> Self {
        let (stop, stopped) = channel::<()>();
        let second = Duration::from_secs(1);
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(second) == Err(RecvTimeoutError::Timeout) {
                tick();
            }
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by the panic hook.
            drop(thread.join());
        }
    }
}

/// The last line of a job, and when it was printed.
struct Last {
    step: String,
    printed: Instant,
}

/// A job of unknown length whose steps have a line each.
pub struct Spinner {
    name: String,
    started: Instant,
    /// `None` where standard error is no terminal.
    bar: Option<ProgressBar>,
    last: Arc<Mutex<Last>>,
    /// Prints lines between steps; `None` where there is a bar.
    lines: Option<Ticker>,
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
        let started = Instant::now();
        let last = Arc::new(Mutex::new(Last {
            step: String::new(),
            printed: started,
        }));
        let lines = bar.is_none().then(|| {
            let (name, last) = (name.clone(), last.clone());
            Ticker::start(move || {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if last.printed.elapsed() >= LINE_EVERY {
                    eprintln!("{}", still(&name, started, &last.step));
                    last.printed = Instant::now();
                }
            })
        });
        Self {
            name,
            started,
            bar,
            last,
            lines,
        }
    }

    /// Shows the current step.
    pub fn step(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => {
                let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
                if last.step != what {
                    eprintln!("{}: {what}", self.name);
                    what.clone_into(&mut last.step);
                    last.printed = Instant::now();
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
            None => {
                let percent = tenths * 10;
                self.step(&format!("{verb} {percent} % of {} MiB", mib(total)));
            }
        }
    }

    /// Ends the job and prints its result.
    pub fn done(self, what: &str) {
        drop(self.lines);
        let seconds = self.started.elapsed().as_secs_f64();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: {what} ({seconds:.1} s)", self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_without_steps_has_a_line_without_a_space_at_its_end() {
        let now = Instant::now();
        assert_eq!(still("parts", now, ""), "parts: 0 s");
        assert_eq!(still("parts", now, " compiling\n"), "parts: 0 s compiling");
    }
}
