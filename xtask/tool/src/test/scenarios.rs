//! Scenarios: which of them, in which form, how many at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use farrier_board_build::select;
use farrier_hil_tests::scenarios::{ALL, Scenario};
use farrier_hil_tests::server::Form;

use super::stages::Stages;
use crate::board::Board;
use crate::demo::bench;
use crate::demo::watch::Screen;
use crate::workspace;

/// A scenario and the form of its servers.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    scenario: Scenario,
    form: Form,
}

/// Prints all scenarios, with the form in which `cargo xtask test` runs them.
pub fn list() {
    for scenario in &ALL {
        let form = match (scenario.cheapest(), scenario.is_whole_in_ci()) {
            (Form::Light, true) => "light, whole",
            (form, _) => form.name(),
        };
        let boards = match scenario.needs_emulator() {
            true => " (emulated boards only)",
            false => "",
        };
        println!(
            "{:<18} {form:<12}  {}{boards}",
            scenario.name, scenario.about
        );
    }
}

/// What CI runs: every scenario in its cheapest form, and a few with whole
/// servers too.
pub fn for_ci() -> Vec<Run> {
    let cheapest = ALL.iter().map(cheapest_of);
    let whole = ALL
        .iter()
        .filter(|scenario| scenario.is_whole_in_ci() && scenario.cheapest() != Form::Whole)
        .map(|scenario| Run {
            scenario: *scenario,
            form: Form::Whole,
        });
    cheapest.chain(whole).collect()
}

/// One scenario in its cheapest form.
///
/// # Errors
/// There is none of this name, or it can't be run on this board.
pub fn cheapest(name: &str, board: &str) -> Result<Vec<Run>> {
    let scenarios = named(&[name])?;
    check_board(&scenarios, board)?;
    Ok(scenarios.iter().map(cheapest_of).collect())
}

/// Refuses scenarios that can't be run on a board, before anything is built.
fn check_board(scenarios: &[Scenario], board: &str) -> Result<()> {
    let is_emulated = is_emulated(board)?;
    for scenario in scenarios {
        ensure!(
            is_emulated || !scenario.needs_emulator(),
            "scenario {} works on the appliance with a debugger, and can't be run on the board \
             {board}, a process of the host; name an emulated board with --board",
            scenario.name
        );
    }
    Ok(())
}

fn is_emulated(board: &str) -> Result<bool> {
    Ok(Board::named(&workspace(), board)?.board.target != select::HOST)
}

/// Scenarios with whole servers: those of these names, or all that have them
/// and can be run on the board.
///
/// # Errors
/// There is none of a name, or one has no whole servers, or can't be run on
/// this board.
pub fn whole(names: &[&str], board: &str) -> Result<Vec<Run>> {
    let mut scenarios = named(names)?;
    if names.is_empty() {
        let is_emulated = is_emulated(board)?;
        scenarios.retain(|scenario| {
            scenario.has(Form::Whole) && (is_emulated || !scenario.needs_emulator())
        });
    }
    check_board(&scenarios, board)?;
    for scenario in &scenarios {
        ensure!(
            scenario.has(Form::Whole),
            "scenario {} can't be run with whole servers",
            scenario.name
        );
    }
    let form = Form::Whole;
    let runs = scenarios.into_iter().map(|scenario| Run { scenario, form });
    Ok(runs.collect())
}

fn cheapest_of(scenario: &Scenario) -> Run {
    Run {
        scenario: *scenario,
        form: scenario.cheapest(),
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

/// Runs scenarios, `jobs` at a time, those with light servers first. Lines of
/// a scenario begin with its name.
pub fn run(stages: &Stages, runs: &[Run], board: &str, jobs: usize) {
    for form in [Form::Light, Form::Whole] {
        let scenarios: Vec<_> = runs
            .iter()
            .filter(|run| run.form == form)
            .map(|run| run.scenario)
            .collect();
        if !scenarios.is_empty() {
            run_form(stages, &scenarios, form, board, jobs);
        }
    }
}

fn run_form(stages: &Stages, scenarios: &[Scenario], form: Form, board: &str, jobs: usize) {
    let mut bench = None;
    stages.run(&format!("parts of a {} rack", form.name()), |stage| {
        stage.shows_itself();
        bench = Some(bench::prepare_form(board, form)?.bench);
        Ok(())
    });
    let Some(bench) = bench else {
        return;
    };
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..jobs.min(scenarios.len()) {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let screen = Screen::labelled(scenario.name, stages.bars());
                    stages.run(&format!("{} {}", form.name(), scenario.name), |_| {
                        (scenario.run)(&bench, &screen)
                    });
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask::commands::DEFAULT_BOARD;

    #[test]
    fn ci_runs_every_scenario_and_some_with_whole_servers() {
        let runs = for_ci();
        for scenario in &ALL {
            assert!(runs.iter().any(|run| run.scenario.name == scenario.name));
        }
        assert!(runs.iter().any(|run| run.form == Form::Whole));
    }

    #[test]
    fn deep_means_whole_servers_of_the_named_scenarios_or_of_all() {
        let all = whole(&[], DEFAULT_BOARD).unwrap();
        assert!(all.len() > 1 && all.iter().all(|run| run.form == Form::Whole));
        let one = whole(&[ALL[0].name], DEFAULT_BOARD).unwrap();
        assert_eq!(one.len(), 1);
        assert_eq!(one[0].scenario.name, ALL[0].name);
    }

    #[test]
    fn an_unknown_scenario_is_refused() {
        let error = whole(&["toaster"], DEFAULT_BOARD).unwrap_err().to_string();
        assert!(error.contains("toaster"), "{error}");
        assert!(cheapest("toaster", DEFAULT_BOARD).is_err());
    }

    #[test]
    fn a_scenario_with_a_debugger_is_refused_for_a_process_of_the_host() {
        let name = "crash-restart";
        assert!(cheapest(name, DEFAULT_BOARD).is_ok());
        for refused in [cheapest(name, "linux"), whole(&[name], "linux")] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("emulated board"), "{error}");
        }
        let all = whole(&[], "linux").unwrap();
        assert!(all.iter().all(|run| run.scenario.name != name));
    }
}
