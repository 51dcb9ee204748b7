//! `cargo xtask test`: what CI runs, and parts of it.
//!
//! | command | stages |
//! |---|---|
//! | `test` | `fast`, then every scenario in its cheapest form, and a few whole |
//! | `test fast` | formatting, lints, tests, short simulations, firmware builds |
//! | `test scenario NAME` | one scenario in its cheapest form |
//! | `test deep [SCENARIO …]` | scenarios with whole servers in QEMU |
//! | `test soak` | what takes hours |

mod fast;
mod scenarios;
mod soak;
mod stages;

use anyhow::Result;
pub use soak::side_by_side;
pub use stages::Stage;
use stages::Stages;
use xtask::command_line::Given;
use xtask::commands::DEFAULT_BOARD;

/// Carries out `cargo xtask test`.
///
/// # Errors
/// A stage failed. All stages that can run have run.
pub fn run(given: &Given) -> Result<()> {
    let jobs = jobs(given);
    let board = || given.text("board").unwrap_or(DEFAULT_BOARD);
    let stages = Stages::start()?;
    match given.subcommand() {
        "fast" => fast::run(&stages),
        "scenario" => match given.text("name") {
            Some(name) => {
                scenarios::run(&stages, &scenarios::cheapest(name, board())?, board(), jobs)
            }
            None => {
                scenarios::list();
                return Ok(());
            }
        },
        "deep" => {
            let names = given.all("scenarios");
            scenarios::run(&stages, &scenarios::whole(&names, board())?, board(), jobs);
        }
        "soak" => soak::run(&stages)?,
        _ => {
            fast::run(&stages);
            scenarios::run(&stages, &scenarios::for_ci(), DEFAULT_BOARD, jobs);
        }
    }
    stages.finish()
}

/// Scenarios at a time. An emulated server keeps about one core busy.
fn jobs(given: &Given) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    given
        .number("jobs")
        .and_then(|jobs| usize::try_from(jobs).ok())
        .unwrap_or(cores.min(2))
}
