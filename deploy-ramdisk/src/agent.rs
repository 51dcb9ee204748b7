//! Compiles the agent's binary for the ramdisk, which has no shared libraries.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{Report, Tools, run};

/// The explicit target, so that the flags below apply to the agent and not to build
/// scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Profile of the workspace, in its root `Cargo.toml`.
const PROFILE: &str = "agent";
/// Static linking at a fixed address: no loader and fewer relocations.
const FLAGS: &str = "-C target-feature=+crt-static -C relocation-model=static";

/// Compiles the agent of the workspace in `workspace` with `target_folder` as cargo's
/// target folder. Returns the path of the binary.
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
    // It includes zstd's C library.
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
    .context("the agent failed to compile")?;
    let binary = target_folder
        .join(TARGET)
        .join(PROFILE)
        .join("farrier-agent");
    ensure!(binary.exists(), "cargo did not create {}", binary.display());
    Ok(binary)
}
