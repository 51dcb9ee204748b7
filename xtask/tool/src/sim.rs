//! `cargo xtask sim`: racks in virtual time, with fault injection; and the
//! proof that the simulator notices known bugs: the code has each of them
//! behind a `cfg`. `mutants` asks the same of any bug.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::command_line::Given;
use xtask::simulator::BUGS;

use crate::test::Stage;
use crate::{target_folder, tools, workspace};

/// The simulator's package and program.
const PACKAGE: &str = "farrier-simulator";
const PROGRAM: &str = "farrier-sim";
/// Seeds that once failed, run in CI before fresh ones.
const RECORDED: &str = "hil-tests/simulator/seeds.txt";

/// Carries out `cargo xtask sim`.
///
/// # Errors
/// The simulator does not build, or an invariant was violated.
pub fn run(given: &Given) -> Result<()> {
    if let Some(name) = given.text("prove") {
        return prove(name);
    }
    let mut words: Vec<String> = Vec::new();
    let options: &[&str] = if given.flag("scenario") {
        &["scenario"]
    } else {
        &[
            "seed",
            "seeds",
            "nodes",
            "hours",
            "threads",
            "without",
            "only",
            "seed-file",
            "switches",
            "hostile-frames",
            "report",
        ]
    };
    for name in options {
        if let Some(value) = given.text(name) {
            words.extend([format!("--{name}"), value.to_owned()]);
        }
    }
    for (name, default) in [("seeds", "1"), ("nodes", "48"), ("hours", "24")] {
        if options.contains(&name) && !given.flag(name) {
            words.extend([format!("--{name}"), default.to_owned()]);
        }
    }
    for name in ["trace", "busy", "list"] {
        if given.flag(name) {
            words.push(format!("--{name}"));
        }
    }
    simulate(&build(Pace::Full)?, &words)
}

/// The simulation of `cargo xtask test fast`: every scenario, seeds that once
/// failed and a few fresh ones. Built with the profile of the tests: that is
/// fast enough for a few racks, and what the tests have compiled is not
/// compiled again.
///
/// # Errors
/// As [`run`].
pub fn short(stage: &Stage) -> Result<()> {
    let program = built(stage)?;
    stage.command(Command::new(&program).args(["--scenario", "all"]))?;
    let recorded = workspace().join(RECORDED).display().to_string();
    let words = ["--seed-file", &recorded, "--seeds", "12", "--hours", "12"];
    stage.command(Command::new(&program).args(words))
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
    /// With the profile of the tests.
    Tests,
    /// Optimised for this machine.
    Full,
}

fn build(pace: Pace) -> Result<PathBuf> {
    let (mut command, program) = build_command(pace)?;
    let status = command.status()?;
    if !status.success() {
        bail!("the simulator does not build: {status}");
    }
    Ok(program)
}

/// As [`build`] for the tests, as a part of a stage.
fn built(stage: &Stage) -> Result<PathBuf> {
    let (mut command, program) = build_command(Pace::Tests)?;
    stage.command(&mut command)?;
    Ok(program)
}

/// The command that builds the simulator, and the program's path.
fn build_command(pace: Pace) -> Result<(Command, PathBuf)> {
    let (command, folder) = match pace {
        Pace::Tests => (xtask::build_as_tests(PROGRAM)?, "debug"),
        Pace::Full => {
            let mut command = tools::command("cargo")?;
            command
                .current_dir(workspace())
                .env("CARGO_TARGET_DIR", target_folder())
                .args(["build", "--locked", "--package", PACKAGE])
                .args(["--profile", "sim"])
                // It runs on the machine that builds it. Without this option
                // the vector code of the ciphers is chosen at run time and not
                // inlined.
                .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-cpu=native");
            (command, "sim")
        }
    };
    Ok((command, target_folder().join(folder).join(PROGRAM)))
}

/// Shows that each scenario fails where its bug is in the code.
fn prove(wanted: &str) -> Result<()> {
    let mut missed = Vec::new();
    for &name in BUGS {
        if wanted != "all" && wanted != name {
            continue;
        }
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
