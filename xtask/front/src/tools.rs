//! The one table of outside programs and data files, and how to get them.
//!
//! Nothing in this project is spawned but through [`command`], and no file of
//! another package is read but through it. So whatever is missing on a machine
//! is found here, and installed here: with apt-get where this user is root,
//! else by naming the exact command. Library crates take [`command`] as an
//! argument and so use the same table.

mod install;
mod table;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Error, Result};
use table::{Entry, Source, TABLE};

/// Finds a program of the table and returns a [`Command`] for it, installing
/// its package first where it is missing and this user is root. For a data
/// file, the command's program is the file's path.
///
/// # Errors
/// The program is not in the table, or is missing and can't be installed; the
/// text then holds the command to type.
pub fn command(program: &str) -> Result<Command> {
    ensure(&[program])?;
    let path = find(program).ok_or_else(|| Error::new(format!("{program} is gone again")))?;
    let mut command = Command::new(path);
    command.env("PATH", search_path());
    Ok(command)
}

/// Makes sure of several programs and files at once, so that one text names
/// all that is missing.
///
/// # Errors
/// As [`command`].
pub fn ensure(names: &[&str]) -> Result<()> {
    let mut missing: Vec<&Entry> = Vec::new();
    for name in names {
        let entry = entry_of(name)?;
        if !is_present(entry) && !missing.iter().any(|other| other.name == entry.name) {
            missing.push(entry);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    install::install(&missing)?;
    match missing.iter().find(|entry| !is_present(entry)) {
        None => Ok(()),
        Some(entry) => Err(Error::new(format!(
            "{} is still missing after the installation of {}",
            entry.name,
            entry.origin()
        ))),
    }
}

/// Makes sure that apt knows packages: a fresh container has no lists of them.
///
/// # Errors
/// There are none, and this user can't download them.
pub fn ensure_package_lists() -> Result<()> {
    install::package_lists()
}

/// Whether the table has this name.
#[must_use]
pub fn is_known(name: &str) -> bool {
    entry_of(name).is_ok()
}

/// Whether this program or file is on the machine.
#[must_use]
pub fn is_there(name: &str) -> bool {
    find(name).is_some()
}

/// Whether this process may install packages and build images as root.
#[must_use]
pub fn is_root() -> bool {
    // The owner of this process's own folder is its effective user.
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn entry_of(name: &str) -> Result<&'static Entry> {
    TABLE
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| Error::new(format!("{name} is not in the table of outside tools")))
}

fn is_present(entry: &Entry) -> bool {
    match entry.source {
        // rustup has a stand-in for each component, installed or not.
        Source::Component(_) => Command::new(entry.name)
            .env("PATH", search_path())
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success()),
        _ => find(entry.name).is_some(),
    }
}

/// A program on the search path, or a file that exists.
fn find(name: &str) -> Option<PathBuf> {
    if name.starts_with('/') {
        let path = PathBuf::from(name);
        return path.exists().then_some(path);
    }
    // The cargo that runs this is the cargo to run.
    if name == "cargo"
        && let Some(cargo) = env::var_os("CARGO")
    {
        return Some(cargo.into());
    }
    env::split_paths(&search_path())
        .map(|folder| folder.join(name))
        .find(|path| is_program(path))
}

/// The search path with the administrator's folders. Ordinary users of Debian
/// do not have them there, and half of the tools are in them.
fn search_path() -> OsString {
    let given = env::var_os("PATH").unwrap_or_default();
    // Where `cargo install` puts programs.
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let home = env::var_os("HOME").map(PathBuf::from)?;
        Some(home.join(".cargo"))
    });
    let folders: Vec<PathBuf> = env::split_paths(&given)
        .chain(cargo.map(|cargo| cargo.join("bin")))
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .collect();
    // A folder with a colon in its name can't be in the path in the first place.
    env::join_paths(folders).unwrap_or(given)
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_program_is_refused() {
        let error = command("no-such-program").unwrap_err().to_string();
        assert!(error.contains("not in the table"), "{error}");
    }

    #[test]
    fn no_name_is_listed_twice() {
        for (index, entry) in TABLE.iter().enumerate() {
            assert!(
                TABLE
                    .iter()
                    .skip(index + 1)
                    .all(|other| other.name != entry.name),
                "{} is listed twice",
                entry.name
            );
        }
    }

    #[test]
    fn programs_and_files_of_every_debian_are_found() {
        assert!(find("sh").is_some());
        assert!(find("/proc/self").is_some());
        assert!(find("/no/such/file").is_none());
    }
}
