//! `cargo xtask test fast`: everything but the scenarios.

use std::process::Command;

use anyhow::Result;

use super::stages::Stages;
use crate::board::Board;
use crate::{powercut, sim, target_folder, tools, workspace};

/// Runs the stages.
pub fn run(stages: &Stages) {
    let cargo = |name: &str, words: &[&str]| {
        stages.run(name, |stage| stage.command(cargo()?.args(words)));
    };
    cargo("formatting", &["fmt", "--all", "--check"]);
    // The same targets as `cargo test`, hence the same features of every
    // crate, and the same build scripts and macros.
    let lints = [
        "clippy",
        "--locked",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ];
    cargo("lints", &lints);
    cargo("building the tests", &["test", "--locked", "--no-run"]);
    cargo("unit and property tests", &["test", "--locked", "--quiet"]);
    stages.run("simulated racks", sim::short);
    stages.run("power cuts", powercut::short);
    let boards = match Board::all(&workspace()) {
        Ok(boards) => boards,
        Err(error) => {
            stages.run("boards", |_| Err(error));
            return;
        }
    };
    for board in boards {
        stages.run(&format!("board {}", board.board.name), |stage| {
            stage.say("building the firmware");
            let built = board.build(&workspace(), &target_folder(), &tools::command)?;
            stage.say(&format!(
                "flash {} bytes, RAM {} bytes",
                built.flash_bytes, built.ram_bytes
            ));
            Ok(())
        });
    }
}

fn cargo() -> Result<Command> {
    let mut command = tools::command("cargo")?;
    command.current_dir(workspace());
    Ok(command)
}
