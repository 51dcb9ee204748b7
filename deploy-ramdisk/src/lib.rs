//! Builds what servers boot, out of Debian's packages and the agent: kernel,
//! ramdisks, network-boot files, and a Debian tenant image.
//!
//! | module | what it makes |
//! |---|---|
//! | [`kernel`] | Debian's kernel package, unpacked |
//! | [`agent`] | the agent's static binary |
//! | [`ramdisk`] | agent and kernel modules as an initramfs; the trusted keys as another |
//! | [`ipxe`] | the network-boot programs |
//! | [`debian`] | a Debian 12 disk image that boots by BIOS and by UEFI |
//!
//! Nothing here needs root, mounts a file system or uses a loop device. Outside
//! programs are reached through [`Tools`] only, so the caller decides where
//! they come from. What was built once is kept in the cache folder that the
//! caller names, under the hash of its recipe.

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

/// Finds an outside program by name, or a data file by its absolute path (as
/// the program of the returned command). Errors say how to get what is missing.
pub type Tools = Arc<dyn Fn(&str) -> Result<Command> + Send + Sync>;

/// Receives a short present-tense line whenever a step starts.
pub type Report<'a> = &'a (dyn Fn(&str) + Sync);

/// Runs `command` to its end and returns what it printed.
///
/// # Errors
/// It does not start, or ends non-zero; the message then ends with what it
/// said on its error output.
fn run(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{name} does not start"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let tail: Vec<&str> = said.lines().rev().take(40).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("{name} failed ({}):\n{}", output.status, tail.join("\n"));
    }
    Ok(output.stdout)
}

/// The path of a data file that `tools` knows.
fn data_file(tools: &Tools, path: &str) -> Result<std::path::PathBuf> {
    Ok(tools(path)?.get_program().into())
}

/// Moves a finished file to its place in one step, so that an interrupted
/// build never leaves half a file under a name that promises a whole one.
fn publish(unfinished: &Path, finished: &Path) -> Result<()> {
    std::fs::rename(unfinished, finished)
        .with_context(|| format!("cannot move to {}", finished.display()))
}

/// The first eight bytes of a hash in hexadecimal: enough to tell recipes apart.
fn short_hex(hash: Sha256) -> String {
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
