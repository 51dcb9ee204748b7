//! `cargo xtask mutants`: brings thousands of small bugs into the brain, one
//! at a time, and counts those that its judges notice. `cargo-mutants` makes
//! and tries them.
//!
//! Three judges. Most mutants are noticed by the tests of the crates from
//! outside, so those alone are built first; what lives on is shown to the
//! crates' unit tests, and what then lives on to the simulator's, with every
//! story and short lives of racks. What was judged is kept under
//! `target/mutants`, so that a run that was broken off can go on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{target_folder, tools, workspace};

/// Least share of the viable mutants that has to be caught, in percent.
const LEAST: usize = 95;
/// What is mutated.
const CRATES: [&str; 3] = ["farrier-lifecycle", "farrier-core", "farrier-api"];

/// What to mutate.
#[derive(clap::Args)]
pub struct Arguments {
    /// Write the figures to this file too, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Only files that match this pattern, as `**/lease.rs`.
    #[arg(long)]
    file: Vec<String>,
    /// Go on from the run before. Judged is what is new, because its lines
    /// have changed, and what was missed, because there may be more tests.
    #[arg(long)]
    resume: bool,
    /// Mutants at a time.
    #[arg(long, default_value_t = 2)]
    jobs: u32,
    /// Without the simulator: only what the crates' own tests catch.
    #[arg(long)]
    tests_only: bool,
}

/// Who looks at a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Judge {
    /// The tests from outside, which most mutants do not outlive.
    Tests,
    /// The unit tests.
    Units,
    Simulation,
}

impl Judge {
    /// In the order in which they look.
    const ALL: [Self; 3] = [Self::Tests, Self::Units, Self::Simulation];

    fn name(self) -> &'static str {
        match self {
            Self::Tests => "tests",
            Self::Units => "units",
            Self::Simulation => "simulation",
        }
    }

    /// The packages whose tests judge.
    fn packages(self) -> String {
        match self {
            Self::Tests | Self::Units => CRATES.join(","),
            Self::Simulation => "farrier-simulator".into(),
        }
    }

    /// What is built of them and run: nothing that the verdict does not need.
    fn targets(self) -> &'static [&'static str] {
        match self {
            Self::Tests => &["--test=*"],
            Self::Units => &["--lib"],
            Self::Simulation => &["--lib", "--tests"],
        }
    }

    /// Cases of a property test. Thousands of times the same tests: few cases
    /// are enough to notice most. Unit tests are quick with all of theirs.
    fn cases(self) -> &'static str {
        match self {
            Self::Tests | Self::Simulation => "8",
            Self::Units => "256",
        }
    }

    /// Seconds after which tests that run on are taken to have noticed.
    fn patience(self) -> &'static str {
        match self {
            Self::Tests | Self::Units => "10",
            Self::Simulation => "240",
        }
    }

    /// The judge who has looked before.
    fn before(self) -> Option<Self> {
        match self {
            Self::Tests => None,
            Self::Units => Some(Self::Tests),
            Self::Simulation => Some(Self::Units),
        }
    }
}

/// What became of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Verdict {
    Caught(Judge),
    /// Something waited for ever.
    Time(Judge),
    Missed(Judge),
    /// It does not compile.
    Unviable,
}

/// What was judged so far, by the mutants' names.
type Known = BTreeMap<String, Verdict>;

#[derive(Serialize)]
struct Report {
    ok: bool,
    /// Mutants that compile.
    total: usize,
    caught: usize,
    missed: usize,
    unviable: usize,
    /// Of the caught ones, those that waited for ever.
    timeouts: usize,
    /// Of the caught ones, those that only the simulator noticed.
    by_simulation: usize,
    missed_ones: Vec<String>,
}

/// Carries out `cargo xtask mutants`.
///
/// # Errors
/// It can't be run, or too many mutants live on.
pub fn run(arguments: &Arguments) -> Result<()> {
    tools::ensure(&["cargo-mutants"])?;
    let folder = target_folder().join("mutants");
    if !arguments.resume && folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let kept = folder.join("known.json");
    let mut known = match fs::read(&kept) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(_) => Known::new(),
    };
    let all = all(arguments)?;
    for judge in Judge::ALL {
        // Of a run that was broken off; kept, since this one may be as well.
        learn(&folder, judge, &mut known, &kept)?;
        known.retain(|name, _| all.contains(name));
        if judge == Judge::Simulation && arguments.tests_only {
            continue;
        }
        let outcome = judged_by(judge, arguments, &folder, &known);
        learn(&folder, judge, &mut known, &kept)?;
        outcome?;
    }
    conclude(&known, arguments.report.as_deref())
}

/// The names of all mutants that there are to judge.
fn all(arguments: &Arguments) -> Result<BTreeSet<String>> {
    let output = cargo_mutants(arguments)?.arg("--list").output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let names = String::from_utf8(output.stdout)?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// `cargo-mutants` over the brain, or the part of it that was asked for.
fn cargo_mutants(arguments: &Arguments) -> Result<Command> {
    let mut command = tools::command("cargo")?;
    command.current_dir(workspace()).arg("mutants");
    for name in CRATES {
        command.args(["--package", name]);
    }
    for file in &arguments.file {
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

/// Lets one judge look at what is still to be judged.
fn judged_by(judge: Judge, arguments: &Arguments, folder: &Path, known: &Known) -> Result<()> {
    let names = |wanted: &dyn Fn(&Verdict) -> bool| -> Vec<String> {
        let names = known.iter().filter(|(_, verdict)| wanted(verdict));
        names
            .map(|(name, _)| format!("^{}$", escaped(name)))
            .collect()
    };
    let selection = match judge.before() {
        None => Selection {
            exclude_re: names(&|verdict| !matches!(verdict, Verdict::Missed(_))),
            examine_re: Vec::new(),
        },
        Some(before) => Selection {
            exclude_re: Vec::new(),
            examine_re: names(&|verdict| *verdict == Verdict::Missed(before)),
        },
    };
    if judge.before().is_some() && selection.examine_re.is_empty() {
        return Ok(());
    }
    let config = folder.join(format!("{}.toml", judge.name()));
    fs::write(&config, toml::to_string(&selection)?)?;
    let mut command = cargo_mutants(arguments)?;
    command
        .env("PROPTEST_CASES", judge.cases())
        // The same cases for each mutant, and none that another one left
        // behind: a case that fails without any mutant would catch them all.
        .env("PROPTEST_RNG_SEED", "1")
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true")
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .env("RUST_BACKTRACE", "0")
        // The first failure is enough.
        .env("FARRIER_FIRST_FAILURE", "1")
        .args(["--test-package", &judge.packages()])
        .args(["--profile", "mutants", "--timeout", judge.patience()])
        .args(["--jobs", &arguments.jobs.to_string()])
        .arg("--config")
        .arg(&config)
        .arg("--output")
        .arg(folder.join(judge.name()));
    // What stands behind `--` would count for the run only, and everything
    // would be built.
    for target in judge.targets() {
        command.arg(format!("--cargo-arg={target}"));
    }
    let status = command.status()?;
    // 2 where some live on, 3 where some took too long.
    match status.code() {
        Some(0 | 2 | 3) => Ok(()),
        _ => bail!("cargo-mutants ended with {status}"),
    }
}

/// Takes up what a judge has said, and clears its table once that is kept.
fn learn(folder: &Path, judge: Judge, known: &mut Known, kept: &Path) -> Result<()> {
    let said = folder.join(judge.name()).join("mutants.out");
    for (file, verdict) in [
        ("caught.txt", Verdict::Caught(judge)),
        ("timeout.txt", Verdict::Time(judge)),
        ("missed.txt", Verdict::Missed(judge)),
        ("unviable.txt", Verdict::Unviable),
    ] {
        // Nothing was said where there is no file.
        if let Ok(text) = fs::read_to_string(said.join(file)) {
            text.lines().for_each(|name| take_up(known, name, verdict));
        }
    }
    fs::write(kept, serde_json::to_vec(known)?)?;
    if said.exists() {
        fs::remove_dir_all(said)?;
    }
    Ok(())
}

/// Takes up what a judge has said of a mutant, unless one before has noticed
/// it: `cargo-mutants` shows a judge those with a deleted field whether they
/// are among the examined ones or not.
fn take_up(known: &mut Known, name: &str, verdict: Verdict) {
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
                Verdict::Caught(Judge::Simulation) | Verdict::Time(Judge::Simulation)
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
    fn what_one_judge_has_noticed_another_one_need_not() {
        let mut known = Known::new();
        for (verdict, expected) in [
            (Verdict::Missed(Judge::Tests), Verdict::Missed(Judge::Tests)),
            (Verdict::Missed(Judge::Units), Verdict::Missed(Judge::Units)),
            (
                Verdict::Caught(Judge::Simulation),
                Verdict::Caught(Judge::Simulation),
            ),
            (
                Verdict::Missed(Judge::Units),
                Verdict::Caught(Judge::Simulation),
            ),
        ] {
            take_up(&mut known, "a.rs:1:2: delete field", verdict);
            assert_eq!(known["a.rs:1:2: delete field"], expected);
        }
    }

    #[test]
    fn names_match_themselves_only() {
        assert_eq!(
            escaped("src/a.rs:1:2: replace + with * in <impl A>::b -> u8"),
            r"src\/a\.rs\:1\:2\: replace \+ with \* in <impl A>\:\:b \-> u8"
        );
    }
}
