//! The agent's binary: compiled for the ramdisk, where there is no library to
//! link against.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{Report, Tools, run};

/// The target is named so that the flags below reach the agent only, and not
/// the build scripts on the way.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Profile of the workspace, in its root `Cargo.toml`.
const PROFILE: &str = "agent";
/// Statically linked and at a fixed address: no loader, and fewer relocations
/// to carry.
const FLAGS: &str = "-C target-feature=+crt-static -C relocation-model=static";

/// Compiles the agent of the workspace in `workspace` with `target_folder` as
/// cargo's target folder; returns the binary's path.
///
/// # Errors
/// cargo is missing or the agent does not compile.
pub fn build(
    tools: &Tools,
    workspace: &Path,
    target_folder: &Path,
    report: Report<'_>,
) -> Result<PathBuf> {
    report("compiling the agent");
    // zstd's C library is compiled on the way.
    tools("cc")?;
    run(tools("cargo")?
        .current_dir(workspace)
        .args([
            "build",
            "--package",
            "farrier-agent",
            "--bin",
            "farrier-agent",
        ])
        .args(["--profile", PROFILE, "--target", TARGET, "--target-dir"])
        .arg(target_folder)
        .env("RUSTFLAGS", FLAGS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS"))
    .context("the agent does not compile")?;
    let binary = target_folder
        .join(TARGET)
        .join(PROFILE)
        .join("farrier-agent");
    ensure!(binary.exists(), "cargo made no {}", binary.display());
    Ok(binary)
}
