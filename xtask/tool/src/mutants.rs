//! `cargo xtask mutants`: brings thousands of small bugs into the core, one at
//! a time, and counts those that tests notice. `cargo-mutants` makes and tests
//! them.
//!
//! There are three suites. The crates' integration tests catch most mutants,
//! so they alone are built first. The mutants they miss go to the crates' unit
//! tests, and those that are missed again to the simulator's tests, with every
//! scenario and short runs of racks. Results are kept under `target/mutants`,
//! so that an interrupted run can be resumed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use xtask::command_line::Given;

use crate::{target_folder, tools, workspace};

/// Least share of the viable mutants that has to be caught, in percent.
const LEAST: usize = 95;
/// What is mutated.
const CRATES: [&str; 3] = ["farrier-lifecycle", "farrier-core", "farrier-api"];

/// What to mutate.
#[derive(Debug)]
pub struct Options {
    /// The figures are written to this file too, as JSON.
    pub report: Option<PathBuf>,
    /// Only files that match one of these patterns, as `**/lease.rs`.
    pub files: Vec<String>,
    /// Continue the run before. Mutants whose lines have changed are tested
    /// again, and those that were missed, because there may be more tests.
    pub resume: bool,
    /// Mutants at a time.
    pub jobs: u64,
    /// Without the simulator: only what the crates' own tests catch.
    pub tests_only: bool,
}

/// Carries out `cargo xtask mutants`.
///
/// # Errors
/// As [`test`].
pub fn run(given: &Given) -> Result<()> {
    test(&Options {
        report: given.path("report"),
        files: given.all("file").into_iter().map(str::to_owned).collect(),
        resume: given.flag("resume"),
        jobs: given.number("jobs").unwrap_or(2),
        tests_only: given.flag("tests-only"),
    })
}

/// The tests that a mutant is shown to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Suite {
    /// The integration tests, which catch most mutants.
    Tests,
    /// The unit tests.
    Units,
    Simulation,
}

impl Suite {
    /// In the order in which they run.
    const ALL: [Self; 3] = [Self::Tests, Self::Units, Self::Simulation];

    fn name(self) -> &'static str {
        match self {
            Self::Tests => "tests",
            Self::Units => "units",
            Self::Simulation => "simulation",
        }
    }

    /// The packages whose tests run.
    fn packages(self) -> String {
        match self {
            Self::Tests | Self::Units => CRATES.join(","),
            Self::Simulation => "farrier-simulator".into(),
        }
    }

    /// The targets that are built and run.
    fn targets(self) -> &'static [&'static str] {
        match self {
            Self::Tests => &["--test=*"],
            Self::Units => &["--lib"],
            Self::Simulation => &["--lib", "--tests"],
        }
    }

    /// Cases of a property test. The tests run thousands of times, and few cases
    /// notice most mutants. Unit tests are quick with all of theirs.
    fn cases(self) -> &'static str {
        match self {
            Self::Tests | Self::Simulation => "8",
            Self::Units => "256",
        }
    }

    /// Seconds after which a mutant counts as caught because its tests hang.
    fn timeout(self) -> &'static str {
        match self {
            Self::Tests | Self::Units => "10",
            Self::Simulation => "240",
        }
    }

    /// The suite that ran before.
    fn before(self) -> Option<Self> {
        match self {
            Self::Tests => None,
            Self::Units => Some(Self::Tests),
            Self::Simulation => Some(Self::Units),
        }
    }
}

/// The result for a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Verdict {
    Caught(Suite),
    /// The tests did not end.
    Time(Suite),
    Missed(Suite),
    /// It does not compile.
    Unviable,
}

/// Results so far, by the mutants' names.
type Known = BTreeMap<String, Verdict>;

#[derive(Serialize)]
struct Report {
    ok: bool,
    /// Mutants that compile.
    total: usize,
    caught: usize,
    missed: usize,
    unviable: usize,
    /// Of the caught ones, those whose tests did not end.
    timeouts: usize,
    /// Of the caught ones, those that only the simulator noticed.
    by_simulation: usize,
    missed_ones: Vec<String>,
}

/// Makes and tests mutants.
///
/// # Errors
/// `cargo-mutants` fails, or too many mutants are missed.
pub fn test(options: &Options) -> Result<()> {
    tools::ensure(&["cargo-mutants"])?;
    let folder = target_folder().join("mutants");
    if !options.resume && folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let kept = folder.join("known.json");
    let mut known = match fs::read(&kept) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(_) => Known::new(),
    };
    let all = all(options)?;
    for suite in Suite::ALL {
        // Results of an interrupted run; kept, since this one may be interrupted
        // as well.
        collect(&folder, suite, &mut known, &kept)?;
        known.retain(|name, _| all.contains(name));
        if suite == Suite::Simulation && options.tests_only {
            continue;
        }
        let outcome = tested_by(suite, options, &folder, &known);
        collect(&folder, suite, &mut known, &kept)?;
        outcome?;
    }
    conclude(&known, options.report.as_deref())
}

/// The names of all mutants.
fn all(options: &Options) -> Result<BTreeSet<String>> {
    let output = cargo_mutants(options)?.arg("--list").output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let names = String::from_utf8(output.stdout)?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// `cargo-mutants` over the core, or the files of it that were named.
fn cargo_mutants(options: &Options) -> Result<Command> {
    let mut command = tools::command("cargo")?;
    command.current_dir(workspace()).arg("mutants");
    for name in CRATES {
        command.args(["--package", name]);
    }
    for file in &options.files {
        command.args(["--file", file]);
    }
    Ok(command)
}

/// What `cargo-mutants` reads from its configuration file: which mutants, by
/// patterns over their names.
#[derive(Serialize)]
struct Selection {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exclude_re: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    examine_re: Vec<String>,
}

/// Tests the mutants that have no result yet with one suite.
fn tested_by(suite: Suite, options: &Options, folder: &Path, known: &Known) -> Result<()> {
    let names = |wanted: &dyn Fn(&Verdict) -> bool| -> Vec<String> {
        let names = known.iter().filter(|(_, verdict)| wanted(verdict));
        names
            .map(|(name, _)| format!("^{}$", escaped(name)))
            .collect()
    };
    let selection = match suite.before() {
        None => Selection {
            exclude_re: names(&|verdict| !matches!(verdict, Verdict::Missed(_))),
            examine_re: Vec::new(),
        },
        Some(before) => Selection {
            exclude_re: Vec::new(),
            examine_re: names(&|verdict| *verdict == Verdict::Missed(before)),
        },
    };
    if suite.before().is_some() && selection.examine_re.is_empty() {
        return Ok(());
    }
    let config = folder.join(format!("{}.toml", suite.name()));
    fs::write(&config, toml::to_string(&selection)?)?;
    let mut command = cargo_mutants(options)?;
    command
        .env("PROPTEST_CASES", suite.cases())
        // The same cases for each mutant, and no saved ones: a case that fails
        // without any mutant would catch them all.
        .env("PROPTEST_RNG_SEED", "1")
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .env("RUST_BACKTRACE", "0")
        // The first failure is enough.
        .env("FARRIER_FIRST_FAILURE", "1")
        .args(["--test-package", &suite.packages()])
        .args(["--profile", "mutants", "--timeout", suite.timeout()])
        .args(["--jobs", &options.jobs.to_string()])
        .arg("--config")
        .arg(&config)
        .arg("--output")
        .arg(folder.join(suite.name()));
    // Arguments after `--` would count for the run only, and every target would
    // be built.
    for target in suite.targets() {
        command.arg(format!("--cargo-arg={target}"));
    }
    let status = command.status()?;
    // 2 where some were missed, 3 where some did not end.
    match status.code() {
        Some(0 | 2 | 3) => Ok(()),
        _ => bail!("cargo-mutants ended with {status}"),
    }
}

/// Reads the results of a suite, and removes its files once they are kept.
fn collect(folder: &Path, suite: Suite, known: &mut Known, kept: &Path) -> Result<()> {
    let results = folder.join(suite.name()).join("mutants.out");
    for (file, verdict) in [
        ("caught.txt", Verdict::Caught(suite)),
        ("timeout.txt", Verdict::Time(suite)),
        ("missed.txt", Verdict::Missed(suite)),
        ("unviable.txt", Verdict::Unviable),
    ] {
        // Where there is no file, there is no such result.
        if let Ok(text) = fs::read_to_string(results.join(file)) {
            text.lines().for_each(|name| add(known, name, verdict));
        }
    }
    fs::write(kept, serde_json::to_vec(known)?)?;
    if results.exists() {
        fs::remove_dir_all(results)?;
    }
    Ok(())
}

/// Adds a result, unless an earlier suite has caught the mutant:
/// `cargo-mutants` tests those with a deleted field whether they are among the
/// examined ones or not.
fn add(known: &mut Known, name: &str, verdict: Verdict) {
    if matches!(known.get(name), None | Some(Verdict::Missed(_))) {
        known.insert(name.to_owned(), verdict);
    }
}

/// A pattern that matches these characters and nothing else.
fn escaped(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            let special = c.is_ascii_punctuation() && c != '_' && c != '<' && c != '>';
            special.then_some('\\').into_iter().chain([c])
        })
        .collect()
}

fn conclude(known: &Known, path: Option<&Path>) -> Result<()> {
    let count = |wanted: &dyn Fn(Verdict) -> bool| known.values().filter(|v| wanted(**v)).count();
    let missed_ones: Vec<String> = known
        .iter()
        .filter(|(_, verdict)| matches!(verdict, Verdict::Missed(_)))
        .map(|(name, _)| name.clone())
        .collect();
    let caught = count(&|v| matches!(v, Verdict::Caught(_) | Verdict::Time(_)));
    let total = caught + missed_ones.len();
    let report = Report {
        ok: total > 0 && caught * 100 >= total * LEAST,
        total,
        caught,
        missed: missed_ones.len(),
        unviable: count(&|v| v == Verdict::Unviable),
        timeouts: count(&|v| matches!(v, Verdict::Time(_))),
        by_simulation: count(&|v| {
            matches!(
                v,
                Verdict::Caught(Suite::Simulation) | Verdict::Time(Suite::Simulation)
            )
        }),
        missed_ones,
    };
    for name in &report.missed_ones {
        println!("missed  {name}");
    }
    println!(
        "{} of {} viable mutants caught ({:.1} %), {} of them by the simulation only, {} by \
         time; {} missed, {} do not compile",
        report.caught,
        report.total,
        100.0 * report.caught as f64 / report.total.max(1) as f64,
        report.by_simulation,
        report.timeouts,
        report.missed,
        report.unviable
    );
    if let Some(path) = path {
        fs::write(path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !report.ok {
        bail!("fewer than {LEAST} % of the viable mutants were caught");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_mutant_stays_caught_when_a_later_suite_misses_it() {
        let mut known = Known::new();
        for (verdict, expected) in [
            (Verdict::Missed(Suite::Tests), Verdict::Missed(Suite::Tests)),
            (Verdict::Missed(Suite::Units), Verdict::Missed(Suite::Units)),
            (
                Verdict::Caught(Suite::Simulation),
                Verdict::Caught(Suite::Simulation),
            ),
            (
                Verdict::Missed(Suite::Units),
                Verdict::Caught(Suite::Simulation),
            ),
        ] {
            add(&mut known, "a.rs:1:2: delete field", verdict);
            assert_eq!(known["a.rs:1:2: delete field"], expected);
        }
    }

    #[test]
    fn patterns_match_their_own_name_only() {
        assert_eq!(
            escaped("src/a.rs:1:2: replace + with * in <impl A>::b -> u8"),
            r"src\/a\.rs\:1\:2\: replace \+ with \* in <impl A>\:\:b \-> u8"
        );
    }
}
