//! `cargo xtask`: reads the command line, checks that the machine has what the
//! command needs, builds the tool that carries it out, and becomes that tool.
//!
//! This program compiles in a second or two. The tool links rigs and
//! simulators and takes minutes the first time, with cargo's own progress.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use xtask::command_line::{Given, Outcome, parse};
use xtask::commands::COMMANDS;
use xtask::{Error, Result, TOOL, needs, target_folder};

fn main() -> ExitCode {
    let words: Vec<String> = match std::env::args_os()
        .skip(1)
        .map(std::ffi::OsString::into_string)
        .collect()
    {
        Ok(words) => words,
        Err(word) => return refuse(&format!("{} is not UTF-8", word.display()), 2),
    };
    let given = match parse(COMMANDS, &words) {
        Ok(Outcome::Help(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Ok(Outcome::Run(given)) => given,
        Err(error) => return refuse(&error.to_string(), 2),
    };
    match start(&given, &words) {
        Err(error) => refuse(&format!("cargo xtask {}: {error}", given.title()), 1),
        Ok(never) => match never {},
    }
}

fn refuse(text: &str, code: u8) -> ExitCode {
    eprintln!("{text}");
    ExitCode::from(code)
}

/// Checks, builds, and becomes the tool: its exit code and its signals are
/// this program's.
fn start(given: &Given, words: &[String]) -> Result<std::convert::Infallible> {
    if let Some(command) = given.innermost() {
        eprintln!("cargo xtask {}: {}", given.title(), (command.plan)(given));
        needs::check(&(command.needs)(given))?;
    }
    build()?;
    let program = target_folder().join("debug").join(TOOL);
    let error = Command::new(&program).args(words).exec();
    Err(Error::io(&program.display().to_string(), &error))
}

/// Builds the tool. The first time this takes minutes; cargo shows a bar on a
/// terminal and a line per crate elsewhere.
fn build() -> Result<()> {
    let program = target_folder().join("debug").join(TOOL);
    if !program.exists() {
        eprintln!("Building {TOOL}, which carries commands out (minutes the first time)");
    }
    let status = xtask::build_as_tests(TOOL)?
        .status()
        .map_err(|error| Error::io("cargo does not start", &error))?;
    if !status.success() {
        return Err(Error::new(format!("{TOOL} does not build: {status}")));
    }
    Ok(())
}
