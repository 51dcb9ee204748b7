//! `cargo xtask sim`: racks in virtual time, with fault injection; and the
//! proof that the simulator notices known bugs: patches that bring each of
//! them into a copy of the tree. `mutants` asks the same of any bug.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::command_line::Given;

use crate::test::Stage;
use crate::{target_folder, tools, workspace};

/// The simulator's package and program.
const PACKAGE: &str = "farrier-simulator";
const PROGRAM: &str = "farrier-sim";
/// Seeds that once failed, run in CI before fresh ones.
const RECORDED: &str = "hil-tests/simulator/seeds.txt";
/// Patches that each bring the bug of a scenario's name into the code.
const BUGS: &str = "hil-tests/simulator/faults";

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
    for name in ["trace", "list"] {
        if given.flag(name) {
            words.push(format!("--{name}"));
        }
    }
    simulate(&build(&workspace(), &target_folder(), Pace::Full)?, &words)
}

/// The simulation of `cargo xtask test fast`: every scenario, seeds that once
/// failed and a few fresh ones; and that the patches of `--prove` still apply.
/// Built with the profile of the tests: that is fast enough for a few racks,
/// and what the tests have compiled is not compiled again.
///
/// # Errors
/// As [`run`].
pub fn short(stage: &Stage) -> Result<()> {
    for patch in patches()? {
        apply(&patch, &workspace(), &["--dry-run"])?;
    }
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

fn build(tree: &Path, target: &Path, pace: Pace) -> Result<PathBuf> {
    let (mut command, program) = build_command(tree, target, pace)?;
    let status = command.status()?;
    if !status.success() {
        bail!("the simulator does not build: {status}");
    }
    Ok(program)
}

/// As [`build`] for the tests, as a part of a stage.
fn built(stage: &Stage) -> Result<PathBuf> {
    let (mut command, program) = build_command(&workspace(), &target_folder(), Pace::Tests)?;
    stage.command(&mut command)?;
    Ok(program)
}

/// The command that builds the simulator, and the program's path.
fn build_command(tree: &Path, target: &Path, pace: Pace) -> Result<(Command, PathBuf)> {
    let (mut command, folder) = match pace {
        Pace::Tests => (xtask::build_as_tests(PROGRAM)?, "debug"),
        Pace::Full => {
            let mut command = tools::command("cargo")?;
            command
                .args(["build", "--locked", "--package", PACKAGE])
                .args(["--profile", "sim"])
                // It runs on the machine that builds it. Without this option
                // the vector code of the ciphers is chosen at run time and not
                // inlined.
                .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-cpu=native");
            (command, "sim")
        }
    };
    command.current_dir(tree).env("CARGO_TARGET_DIR", target);
    Ok((command, target.join(folder).join(PROGRAM)))
}

/// Shows that each scenario fails where its bug is in the code.
fn prove(wanted: &str) -> Result<()> {
    // A target folder of its own: crates of both trees have the same names in
    // it, and one would be taken for the other.
    let tree = target_folder().join("field-faults");
    let target = target_folder().join("field-faults-built");
    let mut missed = Vec::new();
    let mut tried = 0;
    for patch in patches()? {
        let name = patch.file_stem().unwrap_or_default().to_string_lossy();
        if wanted != "all" && wanted != name {
            continue;
        }
        tried += 1;
        copy(&workspace(), &tree)?;
        apply(&patch, &tree, &[])?;
        let output = Command::new(build(&tree, &target, Pace::Tests)?)
            .args(["--scenario", &name])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if text.starts_with("FAILED") {
            println!("caught  {}", text.trim());
        } else {
            println!("MISSED  {name}");
            missed.push(name.into_owned());
        }
    }
    if tried == 0 {
        bail!("{BUGS} has no patch {wanted}");
    }
    if !missed.is_empty() {
        bail!("not noticed: {}", missed.join(", "));
    }
    Ok(())
}

/// The patches, by name.
fn patches() -> Result<Vec<PathBuf>> {
    let mut patches: Vec<PathBuf> = fs::read_dir(workspace().join(BUGS))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    patches.sort();
    Ok(patches)
}

fn apply(patch: &Path, tree: &Path, words: &[&str]) -> Result<()> {
    let status = tools::command("patch")?
        .current_dir(tree)
        .args(words)
        .args(["--quiet", "-p1", "-i"])
        .arg(patch)
        .status()?;
    if !status.success() {
        bail!("{} no longer applies", patch.display());
    }
    Ok(())
}

/// Makes `to` what `from` is, without what is built and what is hidden. Files
/// that are the same stay untouched, so that little is compiled anew.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.') && name != ".cargo";
        if hidden || name == "target" {
            continue;
        }
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            let bytes = fs::read(entry.path())?;
            if fs::read(&target).ok().as_ref() != Some(&bytes) {
                fs::write(&target, bytes)?;
            }
        }
    }
    Ok(())
}
