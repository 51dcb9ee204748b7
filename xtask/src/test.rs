//! `cargo xtask test`: everything that must hold, from formatting to whole
//! servers in QEMU.

use crate::board::Board;
use crate::demo::bench;
use crate::{powercut, target_folder, tools, workspace};
use anyhow::{Result, bail};
use clap::Subcommand;
use farrier_hil_tests::scenarios::{self, Scenario};
use farrier_hil_tests::server::Form;
use std::process::Command;
use std::time::Instant;

/// What to test.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Formatting, lints, unit and property tests, firmware builds and their
    /// budgets: minutes.
    Fast,
    /// The scenarios with whole servers in QEMU.
    Qemu,
    /// One scenario; without a name, a list of them.
    Scenario {
        /// Its name.
        name: Option<String>,
        /// The appliance's board.
        #[arg(long, default_value = "mps2-an500")]
        board: String,
        /// With whole servers, where it can be run with light ones.
        #[arg(long)]
        whole: bool,
    },
}

/// Carries out `cargo xtask test`.
pub fn run(arguments: Arguments) -> Result<()> {
    let mut tally = Tally::default();
    match arguments.what {
        None => {
            fast(&mut tally);
            cheapest(&mut tally, &scenarios::ALL, "mps2-an500");
            let whole = scenarios::ALL.iter().filter(|s| s.is_whole_in_ci());
            let whole: Vec<_> = whole.copied().collect();
            qemu(&mut tally, &whole, "mps2-an500", Form::Whole);
        }
        Some(What::Fast) => fast(&mut tally),
        Some(What::Qemu) => qemu(&mut tally, &scenarios::ALL, "mps2-an500", Form::Whole),
        Some(What::Scenario { name: None, .. }) => {
            for scenario in &scenarios::ALL {
                println!("{:<14} {}", scenario.name, scenario.about);
            }
            return Ok(());
        }
        Some(What::Scenario {
            name: Some(name),
            board,
            whole,
        }) => {
            let found: Vec<_> = scenarios::ALL
                .iter()
                .filter(|s| s.name == name)
                .copied()
                .collect();
            if found.is_empty() {
                bail!("no scenario {name}; `cargo xtask test scenario` lists them");
            }
            if whole {
                qemu(&mut tally, &found, &board, Form::Whole);
            } else {
                cheapest(&mut tally, &found, &board);
            }
        }
    }
    tally.close()
}

/// What passed and what did not; everything is tried, and told together at
/// the end.
#[derive(Default)]
struct Tally {
    passed: Vec<(String, f64)>,
    failed: Vec<(String, String)>,
}

impl Tally {
    fn check(&mut self, name: &str, test: impl FnOnce() -> Result<()>) {
        println!("== {name}");
        let started = Instant::now();
        let result = test();
        let seconds = started.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                println!("== {name}: passed in {seconds:.1} s");
                self.passed.push((name.to_owned(), seconds));
            }
            Err(error) => {
                println!("== {name}: FAILED after {seconds:.1} s: {error:#}");
                self.failed.push((name.to_owned(), format!("{error:#}")));
            }
        }
    }

    fn close(self) -> Result<()> {
        println!();
        for (name, seconds) in &self.passed {
            println!("passed  {seconds:>7.1} s  {name}");
        }
        for (name, error) in &self.failed {
            println!("FAILED             {name}: {error}");
        }
        println!("{} passed, {} failed", self.passed.len(), self.failed.len());
        if self.failed.is_empty() {
            return Ok(());
        }
        bail!(
            "{} of {} failed",
            self.failed.len(),
            self.passed.len() + self.failed.len()
        )
    }
}

fn cargo(arguments: &[&str]) -> Result<()> {
    let mut command: Command = tools::command("cargo")?;
    let status = command.current_dir(workspace()).args(arguments).status()?;
    if !status.success() {
        bail!("cargo {} ended with {status}", arguments.join(" "));
    }
    Ok(())
}

fn fast(tally: &mut Tally) {
    tally.check("formatting", || cargo(&["fmt", "--all", "--check"]));
    tally.check("lints", || {
        cargo(&[
            "clippy",
            "--locked",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ])
    });
    tally.check("unit and property tests", || {
        cargo(&["test", "--locked", "--quiet"])
    });
    tally.check("simulated racks", crate::sim::short);
    tally.check("power cuts", powercut::short);
    let boards = match Board::all(&workspace()) {
        Ok(boards) => boards,
        Err(error) => return tally.check("boards", || Err(error)),
    };
    for board in boards {
        tally.check(&format!("board {}", board.board.name), || {
            let built = board.build(&workspace(), &target_folder(), &tools::command)?;
            println!(
                "flash {} bytes, RAM {} bytes",
                built.flash_bytes, built.ram_bytes
            );
            Ok(())
        });
    }
}

/// Each scenario in its cheapest form.
fn cheapest(tally: &mut Tally, scenarios: &[Scenario], board: &str) {
    for form in [Form::Light, Form::Whole] {
        let of_form = scenarios.iter().filter(|s| s.cheapest() == form);
        let of_form: Vec<_> = of_form.copied().collect();
        qemu(tally, &of_form, board, form);
    }
}

fn qemu(tally: &mut Tally, scenarios: &[Scenario], board: &str, form: Form) {
    if scenarios.is_empty() {
        return;
    }
    let mut bench = None;
    tally.check(
        &format!("parts for a rack of {} servers", form.name()),
        || {
            bench = Some(bench::prepare_form(board, form)?.bench);
            Ok(())
        },
    );
    let Some(bench) = bench else {
        return;
    };
    let screen = crate::demo::watch::Screen::new(true);
    for scenario in scenarios {
        tally.check(
            &format!("scenario {}, {}", scenario.name, form.name()),
            || (scenario.run)(&bench, &screen),
        );
    }
}
