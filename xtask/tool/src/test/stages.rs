//! Stages of a test run: a line each, the time of each, the slowest at the
//! end. What a stage prints goes into a log file, and to the terminal only
//! where the stage fails.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::{LINE_EVERY, still};
use crate::target_folder;

/// Lines of its log that a failed stage prints.
const TAIL: usize = 200;
/// Stages that are named at the end.
const SLOWEST: usize = 3;

/// All stages of a run. Several may run at the same time.
pub struct Stages {
    started: Instant,
    /// Folder of the logs.
    logs: PathBuf,
    /// The bars of the running stages.
    bars: MultiProgress,
    ended: Mutex<Vec<Ended>>,
}

struct Ended {
    name: String,
    seconds: f64,
    error: Option<String>,
}

impl Stages {
    /// A run without stages yet.
    ///
    /// # Errors
    /// The folder of the logs can't be made.
    pub fn start() -> Result<Self> {
        let logs = target_folder().join("test-logs");
        fs::create_dir_all(&logs).with_context(|| format!("{}", logs.display()))?;
        Ok(Self {
            started: Instant::now(),
            logs,
            bars: MultiProgress::new(),
            ended: Mutex::default(),
        })
    }

    /// The bars of the running stages, to print above them.
    pub fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Runs a stage and prints its line; returns whether it passed.
    pub fn run(&self, name: &str, work: impl FnOnce(&Stage) -> Result<()>) -> bool {
        let started = Instant::now();
        let result = Stage::start(name, &self.logs, &self.bars).and_then(|stage| {
            let result = stage.watched(|| work(&stage));
            if result.is_err() {
                stage.print_tail();
            }
            // What is printed at the end says what failed, too.
            match stage.last() {
                last if last.is_empty() => result,
                last => result.context(last),
            }
        });
        let seconds = started.elapsed().as_secs_f64();
        let error = result.err().map(|error| format!("{error:#}"));
        self.bars.suspend(|| match &error {
            None => println!("passed {seconds:>8.1} s  {name}"),
            Some(error) => println!("FAILED {seconds:>8.1} s  {name}: {error}"),
        });
        let passed = error.is_none();
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.push(Ended {
            name: name.to_owned(),
            seconds,
            error,
        });
        passed
    }

    /// Prints the result of the run.
    ///
    /// # Errors
    /// A stage failed, or there was none.
    pub fn finish(self) -> Result<()> {
        let seconds = self.started.elapsed().as_secs_f64();
        let ended = self.ended.into_inner();
        let mut ended = ended.unwrap_or_else(PoisonError::into_inner);
        for stage in &ended {
            if let Some(error) = &stage.error {
                println!("FAILED {}: {error}", stage.name);
            }
        }
        let failed = ended.iter().filter(|stage| stage.error.is_some()).count();
        let passed = ended.len() - failed;
        ended.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        println!(
            "{passed} stages passed, {failed} failed, {seconds:.0} s; the slowest: {}",
            slowest(&ended)
        );
        if failed > 0 || passed == 0 {
            bail!("{failed} of {} stages failed", ended.len());
        }
        Ok(())
    }
}

/// The first stages of a sorted list, with their times.
fn slowest(sorted: &[Ended]) -> String {
    let names: Vec<_> = sorted
        .iter()
        .take(SLOWEST)
        .map(|stage| format!("{} {:.0} s", stage.name, stage.seconds))
        .collect();
    names.join(", ")
}

/// One running stage.
pub struct Stage {
    name: String,
    path: PathBuf,
    log: Mutex<Log>,
    bars: MultiProgress,
    bar: ProgressBar,
    /// Whether the work shows its progress itself.
    shows_itself: AtomicBool,
}

struct Log {
    file: File,
    last: String,
}

impl Stage {
    fn start(name: &str, logs: &Path, bars: &MultiProgress) -> Result<Self> {
        let path = logs.join(format!("{}.log", name.replace([' ', '/'], "-")));
        let file = File::create(&path).with_context(|| format!("{}", path.display()))?;
        // It draws nothing where standard error is no terminal.
        let bar = bars.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}")
        {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Ok(Self {
            name: name.to_owned(),
            path,
            log: Mutex::new(Log {
                file,
                last: String::new(),
            }),
            bars: bars.clone(),
            bar,
            shows_itself: AtomicBool::new(false),
        })
    }

    /// The last line of the log.
    fn last(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.last.trim().to_owned()
    }

    /// Takes the stage's bar off the terminal and prints no lines between, for
    /// work that has its own.
    pub fn shows_itself(&self) {
        self.shows_itself.store(true, Ordering::Relaxed);
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Writes a line to the log and shows it as the last one.
    pub fn say(&self, line: &str) {
        self.bar.set_message(line.to_owned());
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // The log is for people; a stage does not fail for want of it.
        if let Err(error) = writeln!(log.file, "{line}") {
            eprintln!("{}: {error}", self.path.display());
        }
        line.clone_into(&mut log.last);
    }

    /// Runs a command whose output goes into the log.
    ///
    /// # Errors
    /// It does not start, or does not end with success.
    pub fn command(&self, command: &mut Command) -> Result<()> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{program} does not start"))?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        thread::scope(|scope| {
            scope.spawn(|| out.map(|out| self.copy(out)));
            scope.spawn(|| err.map(|err| self.copy(err)));
        });
        let status = child.wait()?;
        if !status.success() {
            let words: Vec<_> = command
                .get_args()
                .map(|word| word.to_string_lossy())
                .collect();
            bail!("{program} {}: {status}", words.join(" "));
        }
        Ok(())
    }

    fn copy(&self, from: impl std::io::Read) {
        let lines = BufReader::new(from).split(b'\n');
        for line in lines.map_while(std::result::Result::ok) {
            self.say(String::from_utf8_lossy(&line).trim_end());
        }
    }

    /// Does the work, and prints a line now and then while it lasts.
    fn watched<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let (done, end) = channel::<()>();
        let result = thread::scope(|scope| {
            scope.spawn(move || {
                while end.recv_timeout(LINE_EVERY) == Err(RecvTimeoutError::Timeout) {
                    if self.bar.is_hidden() && !self.shows_itself.load(Ordering::Relaxed) {
                        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
                        println!("{}", still(&self.name, started, &log.last));
                    }
                }
            });
            let result = work();
            drop(done);
            result
        });
        self.bar.finish_and_clear();
        result
    }

    /// Prints the last lines of the log.
    fn print_tail(&self) {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let skipped = lines.len().saturating_sub(TAIL);
        self.bars.suspend(|| {
            for line in &lines[skipped..] {
                println!("{}: {line}", self.name);
            }
            if skipped > 0 {
                println!("{}: the whole log is {}", self.name, self.path.display());
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(name: &str) -> Stages {
        let logs = std::env::temp_dir().join(format!("farrier-{name}-{}", std::process::id()));
        fs::create_dir_all(&logs).unwrap();
        Stages {
            started: Instant::now(),
            logs,
            bars: MultiProgress::new(),
            ended: Mutex::default(),
        }
    }

    #[test]
    fn one_failed_stage_fails_the_run_and_the_others_still_run() {
        let stages = stages("one-failed");
        let logs = stages.logs.clone();
        assert!(!stages.run("first", |_| bail!("broken")));
        assert!(stages.run("second", |_| Ok(())));
        let error = stages.finish().unwrap_err().to_string();
        assert!(error.contains("1 of 2"), "{error}");
        fs::remove_dir_all(logs).unwrap();
    }

    #[test]
    fn output_of_a_command_is_in_the_log_and_its_failure_is_an_error() {
        let stages = stages("output");
        let logs = stages.logs.clone();
        stages.run("a stage", |stage| {
            let mut command = Command::new("sh");
            stage.command(command.args(["-c", "echo out; echo err >&2; exit 3"]))
        });
        let log = fs::read_to_string(logs.join("a-stage.log")).unwrap();
        assert!(log.contains("out\n") && log.contains("err\n"), "{log}");
        assert!(stages.finish().is_err());
        fs::remove_dir_all(logs).unwrap();
    }

    #[test]
    fn a_run_without_stages_fails() {
        assert!(stages("none").finish().is_err());
    }
}
