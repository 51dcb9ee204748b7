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
pub mod needs;
pub mod toolchain;
pub mod tools;
pub mod user_namespaces;

use std::path::PathBuf;

pub use error::{Error, Result};

/// The package of the tool that does the work, and its program.
pub const TOOL: &str = "farrier-xtask-tool";

/// The workspace's folder.
#[must_use]
pub fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Where everything that is built goes.
#[must_use]
pub fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}
