//! `cargo xtask test soak`: what takes hours. Each stage is a command of this
//! program, with more seeds, points or mutants than CI has time for.

use std::process::Command;
use std::thread;

use anyhow::{Result, bail};

use super::stages::{Stage, Stages};
use crate::target_folder;

/// Runs the stages. Their reports are in `target/soak`.
///
/// # Errors
/// The folder of the reports can't be made.
pub fn run(stages: &Stages) -> Result<()> {
    let folder = target_folder().join("soak");
    std::fs::create_dir_all(&folder)?;
    let report = |name: &str| format!("--report={}", folder.join(name).display());
    stages.run("known bugs in the simulation", |stage| {
        own(stage, &["sim", "--prove"])
    });
    stages.run("1,000,000 power cuts", |stage| {
        let halves = ["powercut-1.json", "powercut-2.json"]
            .map(|name| ["powercut".into(), "--points=500000".into(), report(name)].to_vec());
        side_by_side(stage, &halves, 2)
    });
    stages.run("2,000 simulated racks", |stage| {
        own(stage, &["sim", "--seeds", "2000", &report("sim.json")])
    });
    stages.run("mutants", |stage| {
        own(stage, &["mutants", &report("mutants.json")])
    });
    Ok(())
}

/// Runs a command of this program as a part of a stage.
fn own(stage: &Stage, words: &[&str]) -> Result<()> {
    stage.command(Command::new(std::env::current_exe()?).args(words))
}

/// Runs several commands of this program, so many at a time.
///
/// # Errors
/// One of them failed; all have run.
pub fn side_by_side(stage: &Stage, commands: &[Vec<String>], jobs: usize) -> Result<()> {
    let program = std::env::current_exe()?;
    let mut errors = Vec::new();
    for some in commands.chunks(jobs.max(1)) {
        thread::scope(|scope| {
            let running: Vec<_> = some
                .iter()
                .map(|words| {
                    let mut command = Command::new(&program);
                    command.args(words);
                    scope.spawn(move || stage.command(&mut command))
                })
                .collect();
            for command in running {
                match command.join() {
                    Ok(result) => errors.extend(result.err().map(|error| format!("{error:#}"))),
                    Err(_) => errors.push("a thread panicked".to_owned()),
                }
            }
        });
    }
    if errors.is_empty() {
        return Ok(());
    }
    bail!("{}", errors.join("\n"))
}
