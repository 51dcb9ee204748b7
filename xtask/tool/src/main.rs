//! Carries out the commands of `cargo xtask`. The front (`xtask`) reads the
//! command line and checks the machine first, and starts this program with the
//! same words.

mod bench;
mod board;
mod demo;
mod dist;
mod first_account;
mod fuzz;
mod image;
mod kit;
mod mutants;
mod powercut;
mod progress;
mod sim;
mod sizes;
mod store;
mod test;
mod tools;

use std::thread;

use anyhow::{Context, Result};
use farrier_hil_tests::folder;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use xtask::command_line::{Given, Outcome, parse};
use xtask::commands::COMMANDS;
// Other modules take them from the crate's root.
use xtask::{target_folder, toolchain, workspace};

/// What carries out a command.
type Task = fn(&Given) -> Result<()>;

/// The task of each command of the table.
const TASKS: [(&str, Task); 10] = [
    ("demo", demo::run),
    ("test", test::run),
    ("image", image::run),
    ("bench", bench::run),
    ("sim", sim::run),
    ("mutants", mutants::run),
    ("powercut", powercut::run),
    ("fuzz", fuzz::run),
    ("sizes", sizes::run),
    ("dist", dist::run),
];

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let given = match parse(COMMANDS, &words)? {
        Outcome::Help(text) => {
            print!("{text}");
            return Ok(());
        }
        Outcome::Run(given) => given,
    };
    let (_, task) = TASKS
        .iter()
        .find(|(name, _)| *name == given.command())
        .with_context(|| format!("nothing carries out {}", given.command()))?;
    remove_folders_on_signals()?;
    task(&given)
}

/// Lets Ctrl-C and SIGTERM remove the folders of racks before they end this
/// program. The kernel ends the machines of a rack with it.
fn remove_folders_on_signals() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        for signal in signals.forever() {
            folder::remove_all();
            if let Err(error) = emulate_default_handler(signal) {
                eprintln!("signal {signal}: {error}");
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_table_has_a_task() {
        let mut commands: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
        let mut tasks: Vec<_> = TASKS.iter().map(|(name, _)| *name).collect();
        commands.sort_unstable();
        tasks.sort_unstable();
        assert_eq!(commands, tasks);
    }
}
