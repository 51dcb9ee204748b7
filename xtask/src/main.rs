//! Everything a person types: build, demo, test, sizes, images.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod bench;
mod board;
mod demo;
mod dist;
mod image;
mod kit;
mod mutants;
mod powercut;
mod progress;
mod sim;
mod sizes;
mod store;
mod test;
mod toolchain;
mod tools;

/// The tasks of the Farrier workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the main job in a virtual rack: boot, inspect, clean, deploy, release.
    Demo(demo::Arguments),
    /// Run the tests, or one scenario.
    Test(test::Arguments),
    /// Build, sign and look at images.
    Image(image::Arguments),
    /// Count the firmware's instructions for a DHCP exchange and a TFTP block.
    Bench(bench::Arguments),
    /// Simulate racks in virtual time, with everything that goes wrong.
    Sim(sim::Arguments),
    /// Bring bugs into the brain and count those that tests and simulations
    /// notice: hours.
    Mutants(mutants::Arguments),
    /// Cut the power at every flash operation of a rack's life.
    Powercut(powercut::Arguments),
    /// Show what firmware and ramdisks take of their budgets.
    Sizes(sizes::Arguments),
    /// Build all that a rack needs into one folder.
    Dist(dist::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Test(arguments) => test::run(arguments),
        Task::Image(arguments) => image::run(arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Sim(arguments) => sim::run(&arguments),
        Task::Mutants(arguments) => mutants::run(&arguments),
        Task::Powercut(arguments) => powercut::run(&arguments),
        Task::Sizes(arguments) => sizes::run(&arguments),
        Task::Dist(arguments) => dist::run(&arguments),
    }
}

/// The workspace's folder.
fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where everything that is built goes.
fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}
