//! Builds the boot files of servers from Debian's packages and the agent: kernel,
//! ramdisks, network-boot programs, and a Debian tenant image.
//!
//! | module | result |
//! |---|---|
//! | [`kernel`] | Debian's kernel package, unpacked |
//! | [`agent`] | the agent's static binary |
//! | [`ramdisk`] | agent and kernel modules as an initramfs; the trusted keys as another |
//! | [`ipxe`] | the network-boot programs |
//! | [`debian`] | a Debian 12 disk image that boots by BIOS and by UEFI |
//!
//! The crate needs no root, mounts no file systems and uses no loop devices. It
//! finds external programs through [`Tools`] only, which the caller provides. It
//! caches results in the caller's folder under the hash of their recipe.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

pub mod agent;
pub mod debian;
pub mod ipxe;
pub mod kernel;
pub mod ramdisk;

mod cpio;
mod modules;

/// Finds an external program by name, or a data file by its absolute path (as the
/// program of the returned command). The error names the package to install.
pub type Tools = Arc<dyn Fn(&str) -> Result<Command> + Send + Sync>;

/// Receives a short line at the start of every step.
pub type Report<'a> = &'a (dyn Fn(&str) + Sync);

/// Runs `command` and returns its standard output.
///
/// # Errors
/// The command does not start or fails. The message ends with its standard error.
fn run(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't start {name}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = stderr.lines().rev().take(40).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("{name} failed ({}):\n{}", output.status, tail.join("\n"));
    }
    Ok(output.stdout)
}

/// Returns the path of a data file of `tools`.
fn data_file(tools: &Tools, path: &str) -> Result<std::path::PathBuf> {
    Ok(tools(path)?.get_program().into())
}

/// Renames a finished file atomically, so that an interrupted build leaves no partial
/// file under the final name.
fn publish(unfinished: &Path, finished: &Path) -> Result<()> {
    std::fs::rename(unfinished, finished)
        .with_context(|| format!("cannot move to {}", finished.display()))
}

/// Returns the first eight bytes of a hash in hexadecimal.
fn short_hex(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
