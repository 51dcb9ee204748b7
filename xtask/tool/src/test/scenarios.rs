//! Scenarios: which of them, in which form, how many at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use farrier_hil_tests::scenarios::{ALL, Scenario};

use super::stages::Stages;
use crate::demo::bench;
use crate::demo::watch::Screen;

/// In which form scenarios run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The cheapest one that still shows what the scenario claims.
    Cheapest,
    /// With whole servers in QEMU.
    Whole,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Cheapest => "scenario",
            Self::Whole => "whole scenario",
        }
    }
}

/// Prints all scenarios.
pub fn list() {
    for scenario in &ALL {
        println!("{:<18} {}", scenario.name, scenario.about);
    }
}

/// The scenarios of these names; all where none is named.
fn named(names: &[&str]) -> Result<Vec<Scenario>> {
    for name in names {
        ensure!(
            ALL.iter().any(|scenario| scenario.name == *name),
            "scenario {name} does not exist; `cargo xtask test scenario` lists them"
        );
    }
    let wanted = |scenario: &&Scenario| names.is_empty() || names.contains(&scenario.name);
    Ok(ALL.iter().filter(wanted).copied().collect())
}

/// Runs scenarios, `jobs` at a time. Their lines begin with their names.
///
/// # Errors
/// There is no scenario of a name.
pub fn run(stages: &Stages, form: Form, names: &[&str], board: &str, jobs: usize) -> Result<()> {
    let scenarios = named(names)?;
    let mut bench = None;
    stages.run("parts of the virtual rack", |_| {
        bench = Some(bench::prepare(board)?.bench);
        Ok(())
    });
    let Some(bench) = bench else {
        return Ok(());
    };
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..jobs.min(scenarios.len()) {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = format!("{} {}", form.name(), scenario.name);
                    let screen = Screen::labelled(scenario.name);
                    stages.run(&name, |_| (scenario.run)(&bench, &screen));
                }
            });
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_means_all_scenarios_and_an_unknown_one_is_refused() {
        assert_eq!(named(&[]).unwrap().len(), ALL.len());
        assert_eq!(named(&[ALL[1].name]).unwrap()[0].name, ALL[1].name);
        let error = named(&["toaster"]).unwrap_err().to_string();
        assert!(error.contains("toaster"), "{error}");
    }
}
