//! `cargo xtask sim`: racks in virtual time, with fault injection; and the
//! proof that the simulator notices known bugs: the code has each of them
//! behind a `cfg`. `mutants` asks the same of any bug.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{target_folder, tools, workspace};

/// The simulator's package and program.
const PACKAGE: &str = "farrier-simulator";
const PROGRAM: &str = "farrier-sim";
/// Seeds that once failed, run in CI before fresh ones.
const RECORDED: &str = "hil-tests/simulator/seeds.txt";
/// Bugs in the code behind `cfg!(farrier_bug = "NAME")`: each makes the scenario
/// of its name fail. The workspace's `check-cfg` lists them too.
const BUGS: [&str; 14] = [
    "addresses",
    "boots-again",
    "failed-clean",
    "old-disk-boots",
    "port-moved",
    "power-forced",
    "power-forgotten",
    "quick-server",
    "restarts",
    "ticket-twice",
    "wait-without-end",
    "wrong-clock",
    "wrong-image",
    "wrong-server",
];

/// What to simulate.
#[derive(clap::Args)]
pub struct Arguments {
    /// The first seed; a fresh one where none is given.
    #[arg(long)]
    seed: Option<u64>,
    /// How many racks, each with a seed of its own.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Servers of each rack, 1 to 48.
    #[arg(long, default_value_t = 48)]
    nodes: u64,
    /// Hours of its time; four hours of peace follow.
    #[arg(long, default_value_t = 24)]
    hours: u64,
    /// Racks at a time.
    #[arg(long)]
    threads: Option<u64>,
    /// Kinds of faults that may not strike, with commas between; or `all`.
    #[arg(long)]
    without: Option<String>,
    /// The only kinds that may.
    #[arg(long)]
    only: Option<String>,
    /// Seeds to run before the others, one a line.
    #[arg(long)]
    seed_file: Option<PathBuf>,
    /// Write every figure to this file too, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Tell what happens; one seed.
    #[arg(long)]
    trace: bool,
    /// Run one scenario of a field fault, or `all`.
    #[arg(long)]
    scenario: Option<String>,
    /// List the scenarios.
    #[arg(long)]
    list: bool,
    /// Build the simulator with each known bug and show that its scenario
    /// fails; or with one by name.
    #[arg(long, num_args = 0..=1, default_missing_value = "all")]
    prove: Option<String>,
}

/// Carries out `cargo xtask sim`.
///
/// # Errors
/// It does not build, or something happened that must never be.
pub fn run(arguments: &Arguments) -> Result<()> {
    if let Some(name) = &arguments.prove {
        return prove(name);
    }
    let mut words: Vec<String> = Vec::new();
    let mut word = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            words.extend([name.to_owned(), value]);
        }
    };
    let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string());
    if arguments.scenario.is_some() {
        word("--scenario", arguments.scenario.clone());
    } else {
        word("--seed", arguments.seed.map(|n| n.to_string()));
        word("--seeds", Some(arguments.seeds.to_string()));
        word("--nodes", Some(arguments.nodes.to_string()));
        word("--hours", Some(arguments.hours.to_string()));
        word("--threads", arguments.threads.map(|n| n.to_string()));
        word("--without", arguments.without.clone());
        word("--only", arguments.only.clone());
        word("--seed-file", path(&arguments.seed_file));
        word("--report", path(&arguments.report));
    }
    for (given, name) in [(arguments.trace, "--trace"), (arguments.list, "--list")] {
        if given {
            words.push(name.to_owned());
        }
    }
    simulate(&build(Pace::Full)?, &words)
}

/// The simulation of `cargo xtask test fast`: every scenario, seeds that once
/// failed and a few fresh ones. Built as the tests are: that is fast enough for a few racks, and saves
/// compiling everything once more.
///
/// # Errors
/// As [`run`].
pub fn short() -> Result<()> {
    let program = build(Pace::Tests)?;
    simulate(&program, &["--scenario".into(), "all".into()])?;
    let recorded = workspace().join(RECORDED).display().to_string();
    let words = ["--seed-file", &recorded, "--seeds", "12", "--hours", "12"];
    simulate(&program, &words.map(str::to_owned))
}

fn simulate(program: &Path, words: &[String]) -> Result<()> {
    let status = Command::new(program)
        .args(words)
        .status()
        .context("the simulator does not start")?;
    if !status.success() {
        bail!("the simulation ended with {status}");
    }
    Ok(())
}

/// How the simulator is compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// As the tests are, soon.
    Tests,
    /// As fast as this machine can run it.
    Full,
}

fn build(pace: Pace) -> Result<PathBuf> {
    let mut command = tools::command("cargo")?;
    command
        .current_dir(workspace())
        .env("CARGO_TARGET_DIR", target_folder())
        .args(["build", "--quiet", "--locked", "--package", PACKAGE]);
    let folder = match pace {
        Pace::Tests => "debug",
        Pace::Full => {
            // It runs where it is built. Without this, the vector code of the
            // ciphers is chosen as it runs, and not inlined.
            command
                .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-cpu=native")
                .args(["--profile", "sim"]);
            "sim"
        }
    };
    let status = command.status()?;
    if !status.success() {
        bail!("the simulator does not build: {status}");
    }
    Ok(target_folder().join(folder).join(PROGRAM))
}

/// Shows that each scenario fails where its bug is in the code.
fn prove(wanted: &str) -> Result<()> {
    let mut missed = Vec::new();
    let mut tried = 0;
    for name in BUGS {
        if wanted != "all" && wanted != name {
            continue;
        }
        tried += 1;
        let output = Command::new(build_with(name)?)
            .args(["--scenario", name])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if text.starts_with("FAILED") {
            println!("caught  {}", text.trim());
        } else {
            println!("MISSED  {name}");
            missed.push(name);
        }
    }
    if tried == 0 {
        bail!("there is no bug {wanted}; there are {}", BUGS.join(", "));
    }
    if !missed.is_empty() {
        bail!("not noticed: {}", missed.join(", "));
    }
    Ok(())
}

/// Builds the simulator with one of [`BUGS`]. Cargo calls the compiler through
/// a script that adds the bug's `cfg`, for the workspace's own crates only: so
/// what they depend on is compiled once for all bugs.
fn build_with(bug: &str) -> Result<PathBuf> {
    let target = target_folder().join("bugs");
    fs::create_dir_all(&target)?;
    let wrapper = target.join(format!("rustc-{bug}"));
    let script = format!("#!/bin/sh\nexec \"$@\" --cfg 'farrier_bug=\"{bug}\"'\n");
    fs::write(&wrapper, script)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    let status = tools::command("cargo")?
        .current_dir(workspace())
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTC_WORKSPACE_WRAPPER", &wrapper)
        .args(["build", "--quiet", "--locked", "--package", PACKAGE])
        .status()?;
    if !status.success() {
        bail!("the simulator does not build with the bug {bug}: {status}");
    }
    Ok(target.join("debug").join(PROGRAM))
}
