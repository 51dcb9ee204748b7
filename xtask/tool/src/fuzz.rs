//! `cargo xtask fuzz`: libFuzzer over every parser and over a rack in work.
//!
//! The bodies are one program, built with coverage counters by the stable
//! compiler: LLVM's own pass sets them, and libFuzzer's crate brings its
//! runtime. `cargo fuzz` would give the same flags, and by default asks for a
//! nightly compiler. Nothing is built with a sanitizer: the code is safe Rust,
//! built with overflow checks and debug assertions.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use xtask::command_line::Given;
use xtask::fuzz::BODIES;

use crate::{target_folder, tools, workspace};

/// The package of the bodies, and its program.
const PROGRAM: &str = "farrier-fuzz";
/// The variable that names the body of the program.
const BODY: &str = "FARRIER_FUZZ_BODY";
/// What all bodies together get where no number is given.
const MINUTES: u64 = 5;
/// Bodies at a time.
const AT_ONCE: u64 = 2;
/// What LLVM is told, as `cargo fuzz` does: counters at every edge, and what
/// is compared with what.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Cforce-frame-pointers",
];

/// What became of a body.
#[derive(Debug, Serialize)]
struct Ran {
    body: &'static str,
    /// Inputs that it got.
    inputs: u64,
    /// Edges of the code that they reached.
    edges: u64,
    /// Inputs of the grown corpus.
    corpus: usize,
    /// The input that it failed on.
    crash: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    minutes: u64,
    bodies: &'a [Ran],
}

/// Carries out `cargo xtask fuzz`.
///
/// # Errors
/// The program does not build, or a body failed.
pub fn run(given: &Given) -> Result<()> {
    let program = build()?;
    let wanted = given.text("name").filter(|name| *name != "all");
    if let Some(input) = given.path("input") {
        return again(
            &program,
            wanted.context("--input needs a body's name")?,
            &input,
        );
    }
    let minutes = given.number("minutes").unwrap_or(MINUTES);
    let bodies: Vec<&'static str> = BODIES
        .iter()
        .copied()
        .filter(|name| wanted.is_none_or(|wanted| wanted == *name))
        .collect();
    let at_once = AT_ONCE.min(bodies.len() as u64);
    let seconds = (minutes * 60 * at_once / bodies.len() as u64).max(1);
    println!(
        "{} bodies, {seconds} s each, {at_once} at a time",
        bodies.len()
    );
    let left = Mutex::new(bodies.iter());
    let done: Mutex<Vec<Ran>> = Mutex::new(Vec::new());
    thread::scope(|scope| -> Result<()> {
        let work = || -> Result<()> {
            loop {
                // A poisoned lock means that the other one has panicked.
                let next = left.lock().ok().and_then(|mut left| left.next());
                let Some(body) = next else { return Ok(()) };
                let ran = fuzz(&program, body, seconds)?;
                println!(
                    "{:<15} {:>11} inputs, {:>6} edges, corpus of {:>5}{}",
                    ran.body,
                    ran.inputs,
                    ran.edges,
                    ran.corpus,
                    if ran.crash.is_some() { ", FAILED" } else { "" }
                );
                if let Ok(mut done) = done.lock() {
                    done.push(ran);
                }
            }
        };
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().ok().context("a worker panicked")??;
        }
        Ok(())
    })?;
    let done = done.into_inner().unwrap_or_default();
    ensure!(done.len() == bodies.len(), "not every body ran");
    let crashes = done.iter().filter(|ran| ran.crash.is_some());
    let crashes: Vec<&Ran> = crashes.collect();
    if let Some(path) = given.path("report") {
        let report = Report {
            ok: crashes.is_empty(),
            minutes,
            bodies: &done,
        };
        fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("writing {}", path.display()))?;
    }
    let inputs: u64 = done.iter().map(|ran| ran.inputs).sum();
    println!(
        "{inputs} inputs, {} of {} bodies failed",
        crashes.len(),
        done.len()
    );
    for ran in &crashes {
        if let Some(path) = &ran.crash {
            let (name, path) = (ran.body, path.display());
            println!("FAILED {name}: {path}; again: cargo xtask fuzz {name} --input {path}");
        }
    }
    ensure!(crashes.is_empty(), "{} bodies failed", crashes.len());
    Ok(())
}

/// Builds the program with counters.
fn build() -> Result<PathBuf> {
    tools::ensure(&["c++"])?;
    let host = host()?;
    let folder = target_folder().join("fuzz");
    println!("building the bodies with coverage counters");
    let status = tools::command("cargo")?
        .current_dir(workspace())
        .env("CARGO_TARGET_DIR", &folder)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .args(["build", "--quiet", "--locked", "--package", PROGRAM])
        .args(["--features", "coverage", "--bin", PROGRAM])
        .args(["--profile", "fuzz"])
        // With a target, build scripts and macros get no counters.
        .args(["--target", &host])
        .status()?;
    ensure!(status.success(), "the bodies do not build: {status}");
    Ok(folder.join(host).join("fuzz").join(PROGRAM))
}

/// The compiler's name for this machine.
fn host() -> Result<String> {
    let output = tools::command("rustc")?.arg("-vV").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host
        .context("rustc does not say for what it compiles")?
        .to_owned())
}

/// Runs one body for some seconds.
fn fuzz(program: &Path, body: &'static str, seconds: u64) -> Result<Ran> {
    let folder = target_folder().join("fuzz");
    let grown = folder.join("corpus").join(body);
    let crashes = folder.join("crashes").join(body);
    let log = folder.join("logs").join(format!("{body}.log"));
    for folder in [&grown, &crashes, &folder.join("logs")] {
        fs::create_dir_all(folder)?;
    }
    let kept = workspace().join("hil-tests/fuzz/corpus").join(body);
    let status = Command::new(program)
        .env(BODY, body)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .args(["-print_final_stats=1", "-timeout=60", "-rss_limit_mb=4096"])
        // What is new goes to the first of them.
        .args([&grown, &kept])
        .stdout(Stdio::null())
        .stderr(File::create(&log)?)
        .status()?;
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let crash = said
        .lines()
        .find_map(|line| line.split_once("Test unit written to "))
        .map(|(_, path)| PathBuf::from(path.trim()));
    if !status.success() && crash.is_none() {
        bail!("{body} ended with {status}; its log is {}", log.display());
    }
    Ok(Ran {
        body,
        inputs: figure(&said, "stat::number_of_executed_units:").unwrap_or(0),
        edges: figure(&said, "cov:").unwrap_or(0),
        corpus: fs::read_dir(&grown)?.count(),
        crash,
    })
}

/// The number behind the last `name`.
fn figure(said: &str, name: &str) -> Option<u64> {
    let (_, rest) = said.rsplit_once(name)?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Runs one body on one input, with a trace of where it fails.
fn again(program: &Path, body: &str, input: &Path) -> Result<()> {
    let status = Command::new(program)
        .env(BODY, body)
        .env("RUST_BACKTRACE", "1")
        .arg(input)
        .status()?;
    ensure!(status.success(), "{body} fails on {}", input.display());
    println!("{body} takes {}", input.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn the_last_figures_are_read() {
        let said = "#2 INITED cov: 5 ft: 6\n#9 NEW    cov: 17 ft: 20\n\
            stat::number_of_executed_units: 1234\n";
        assert_eq!(figure(said, "cov:"), Some(17));
        assert_eq!(figure(said, "stat::number_of_executed_units:"), Some(1234));
        assert_eq!(figure("", "cov:"), None);
    }
}
