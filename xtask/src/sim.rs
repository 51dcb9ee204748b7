//! `cargo xtask sim`: racks in virtual time, with everything that goes wrong
//! in them; and the proof that the simulator notices: patches that bring the
//! bugs of the field into a copy of the tree. `mutants` asks the same of any
//! bug.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{target_folder, tools, workspace};

/// The simulator's package and program.
const PACKAGE: &str = "farrier-simulator";
const PROGRAM: &str = "farrier-sim";
/// Seeds that once failed, run in CI before fresh ones.
const RECORDED: &str = "hil-tests/simulator/seeds.txt";
/// Patches that each bring the bug of a scenario's name into the code.
const BUGS: &str = "hil-tests/simulator/faults";

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
    /// Tell one story of a field fault, or `all`.
    #[arg(long)]
    scenario: Option<String>,
    /// List the stories.
    #[arg(long)]
    list: bool,
    /// Bring each bug of `hil-tests/simulator/faults` into a copy of the tree
    /// and show that its story fails; or one by name.
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
    simulate(&build(&workspace(), &target_folder(), Pace::Full)?, &words)
}

/// The simulation of `cargo xtask test fast`: what failed once, what never
/// was tried, and every story; and that the patches of `--prove` still apply.
/// Built as the tests are: that is fast enough for a few racks, and saves
/// compiling everything once more.
///
/// # Errors
/// As [`run`].
pub fn short() -> Result<()> {
    for patch in patches()? {
        apply(&patch, &workspace(), &["--dry-run"])?;
    }
    let program = build(&workspace(), &target_folder(), Pace::Tests)?;
    simulate(&program, &["--scenario".into(), "all".into()])?;
    let recorded = workspace().join(RECORDED).display().to_string();
    let words = ["--seed-file", &recorded, "--seeds", "12", "--hours", "12"];
    simulate(&program, &words.map(str::to_owned))
}

fn simulate(program: &Path, words: &[String]) -> Result<()> {
    let status = std::process::Command::new(program)
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

fn build(tree: &Path, target: &Path, pace: Pace) -> Result<PathBuf> {
    let mut command = tools::command("cargo")?;
    command
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", target)
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
    Ok(target.join(folder).join(PROGRAM))
}

/// Shows that each story fails where the bug that it tells of is in the code.
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
        let output = std::process::Command::new(build(&tree, &target, Pace::Tests)?)
            .args(["--scenario", &name])
            .output()?;
        let told = String::from_utf8_lossy(&output.stdout);
        if told.starts_with("FAILED") {
            println!("caught  {}", told.trim());
        } else {
            println!("MISSED  {name}");
            missed.push(name.into_owned());
        }
    }
    if tried == 0 {
        bail!("no field fault {wanted} in {BUGS}");
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
        bail!("{} does not apply any more", patch.display());
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
