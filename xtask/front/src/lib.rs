//! What `cargo xtask` knows before anything is compiled.
//!
//! The command line ([`commands`]), the outside programs that each command
//! needs ([`needs`], [`tools`]), and the compilers for the boards
//! ([`toolchain`]). The program `xtask` uses these to answer `--help`, to
//! refuse a wrong option and to name missing packages within seconds. It then
//! builds `farrier-xtask-tool`, which links rigs and simulators, and starts it
//! with the same words; the tool reads them with the same table.
//!
//! Nothing here depends on a crate other than `std`.

pub mod board_files;
pub mod command_line;
pub mod commands;
mod error;
pub mod fuzz;
pub mod needs;
pub mod simulator;
pub mod toolchain;
pub mod tools;
pub mod user_namespaces;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use error::{Error, Result};

/// The package of the tool that does the work, and its program.
pub const TOOL: &str = "farrier-xtask-tool";

/// The workspace's folder.
#[must_use]
pub fn workspace() -> PathBuf {
    // xtask/front is two folders below it.
    let front = Path::new(env!("CARGO_MANIFEST_DIR"));
    front.ancestors().nth(2).unwrap_or(front).to_owned()
}

/// Where everything that is built goes.
#[must_use]
pub fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The command that builds a program of the workspace for this machine, into
/// `debug` of the target folder.
///
/// With a test among the targets, cargo gives every crate the features that
/// `cargo test` gives it. So nothing that is built here is built again for the
/// tests.
///
/// # Errors
/// There is no cargo.
pub fn build_as_tests(program: &str) -> Result<Command> {
    let mut cargo = tools::command("cargo")?;
    cargo
        .current_dir(workspace())
        .env("CARGO_TARGET_DIR", target_folder())
        .args(["build", "--locked", "--bin", program])
        .args(["--test", "command_line"]);
    Ok(cargo)
}
