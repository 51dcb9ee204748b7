//! Showing a job to people: a bar a server on a terminal, plain lines
//! elsewhere.

use farrier_hil_tests::job::Watch;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where nobody watches a terminal, progress is told this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Bars or lines.
pub struct Screen {
    started: Instant,
    bars: Option<MultiProgress>,
    servers: Mutex<HashMap<String, Line>>,
}

struct Line {
    bar: Option<ProgressBar>,
    told: Option<(String, Instant)>,
}

impl Screen {
    /// Bars where standard error is a terminal and nobody asked for lines.
    pub fn new(headless: bool) -> Self {
        let bars = (!headless && std::io::stderr().is_terminal()).then(MultiProgress::new);
        Screen {
            started: Instant::now(),
            bars,
            servers: Mutex::default(),
        }
    }

    fn line(&self, server: &str, text: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let line = format!("[{seconds:6.1} s] {server:<8} {text}");
        match &self.bars {
            // A bar that can't be drawn over is not worth failing for.
            Some(bars) => drop(bars.println(line)),
            None => println!("{line}"),
        }
    }

    fn with<T>(&self, server: &str, act: impl FnOnce(&mut Line) -> T) -> T {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let line = servers.entry(server.to_owned()).or_insert_with(|| Line {
            bar: self.bars.as_ref().map(|bars| bars.add(bar(server))),
            told: None,
        });
        act(line)
    }
}

fn bar(server: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style =
        ProgressStyle::with_template("{prefix:<8} {msg:<28} {wide_bar} {bytes}/{total_bytes}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(server.to_owned());
    bar
}

impl Watch for Screen {
    fn say(&self, server: &str, text: &str) {
        self.with(server, |line| {
            if let Some(bar) = &line.bar {
                bar.set_message(text.to_owned());
            }
        });
        self.line(server, text);
    }

    fn progress(&self, server: &str, what: &str, done: u64, total: u64, rate: u64) {
        let due = self.with(server, |line| match &line.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(format!("{what}, {}/s", HumanBytes(rate)));
                false
            }
            None => {
                let now = Instant::now();
                let due = line
                    .told
                    .as_ref()
                    .is_none_or(|(step, at)| step != what || now.duration_since(*at) >= LINE_EVERY);
                if due {
                    line.told = Some((what.to_owned(), now));
                }
                due
            }
        });
        if due {
            self.line(
                server,
                &format!(
                    "{what}: {} of {}, {}/s",
                    HumanBytes(done),
                    HumanBytes(total),
                    HumanBytes(rate)
                ),
            );
        }
    }
}
