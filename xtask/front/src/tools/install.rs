//! Installs what is missing, or says how to.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::table::{Entry, Source};
use super::{find, is_present, is_root, is_there};
use crate::{Error, Result};

/// One installation at a time, however many threads ask.
static INSTALLING: Mutex<()> = Mutex::new(());

/// A long installation prints a line this often.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// Installs all `missing` entries.
///
/// # Errors
/// This user can't install something: one text names all of it, and nothing is
/// installed. Or an installation fails.
pub(super) fn install(missing: &[&Entry]) -> Result<()> {
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    // Another thread may have installed them meanwhile.
    let missing: Vec<&Entry> = missing
        .iter()
        .copied()
        .filter(|entry| !is_present(entry))
        .collect();
    let refusals = refusals(&missing);
    if !refusals.is_empty() {
        return Err(Error::new(refusals.join("\n")));
    }
    debian_packages(&packages(&missing))?;
    let components = components(&missing);
    if !components.is_empty() {
        run("rustup", &[&["component", "add"], &*components].concat())?;
    }
    for entry in &missing {
        if entry.source == Source::CargoInstall {
            // It goes where cargo puts its own programs.
            run("cargo", &["install", "--locked", entry.name])?;
        }
    }
    Ok(())
}

/// What this user can't install, a line for each way of installing it.
fn refusals(missing: &[&Entry]) -> Vec<String> {
    let mut lines = Vec::new();
    let packages = packages(missing);
    let can_install = is_root() && is_there("apt-get");
    if !packages.is_empty() && !can_install {
        lines.push(format!(
            "Debian packages are missing. Install them with: sudo {}",
            typed(&packages)
        ));
    }
    let components = components(missing);
    if !components.is_empty() && !is_there("rustup") {
        lines.push(format!(
            "Parts of Rust are missing. With rustup: rustup component add {}",
            components.join(" ")
        ));
    }
    for entry in missing {
        if entry.source == Source::System {
            lines.push(format!(
                "{} is missing ({}). Install Rust: https://rustup.rs",
                entry.name, entry.why
            ));
        }
    }
    lines
}

/// Downloads apt's package lists where there are none.
///
/// # Errors
/// This user is not root, or the download fails.
pub(super) fn package_lists() -> Result<()> {
    if has_lists() {
        return Ok(());
    }
    match find("apt-get") {
        Some(apt_get) if is_root() => run_apt(&apt_get, ["update", "-q"]),
        _ => Err(Error::new(
            "apt has no package lists. Download them with: sudo apt-get update",
        )),
    }
}

/// The Debian packages of the missing entries, each once.
fn packages(missing: &[&Entry]) -> Vec<&'static str> {
    let mut all: Vec<&str> = Vec::new();
    for entry in missing {
        if let Source::Debian(package) = entry.source
            && !all.contains(&package)
        {
            all.push(package);
        }
    }
    all
}

fn components(missing: &[&Entry]) -> Vec<&'static str> {
    missing
        .iter()
        .filter_map(|entry| match entry.source {
            Source::Component(component) => Some(component),
            _ => None,
        })
        .collect()
}

/// The command that installs packages.
fn typed(packages: &[&str]) -> String {
    format!(
        "apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    )
}

fn debian_packages(packages: &[&str]) -> Result<()> {
    let (Some(apt_get), false) = (find("apt-get"), packages.is_empty()) else {
        return Ok(());
    };
    eprintln!("Installing Debian packages: {}", packages.join(" "));
    if !has_lists() {
        run_apt(&apt_get, ["update", "-q"])?;
    }
    let words = ["install", "-q", "-y", "--no-install-recommends"];
    if run_apt(&apt_get, words.iter().chain(packages)).is_err() {
        // The lists may name versions that the mirror no longer has.
        run_apt(&apt_get, ["update", "-q"])?;
        run_apt(&apt_get, words.iter().chain(packages)).map_err(|error| {
            Error::new(format!("{error}\nThe command was: {}", typed(packages)))
        })?;
    }
    Ok(())
}

/// Runs a program of the Rust installation, with its own output.
fn run(program: &str, words: &[&str]) -> Result<()> {
    let typed = format!("{program} {}", words.join(" "));
    eprintln!("Running {typed}");
    let path = find(program).ok_or_else(|| Error::new(format!("{program} is missing")))?;
    let status = Command::new(path)
        .args(words)
        .status()
        .map_err(|error| Error::io(program, &error))?;
    if !status.success() {
        return Err(Error::new(format!("{typed}: {status}")));
    }
    Ok(())
}

/// Runs apt-get without its output, with a line now and then.
fn run_apt<S: AsRef<OsStr>>(apt_get: &Path, words: impl IntoIterator<Item = S>) -> Result<()> {
    let child = Command::new(apt_get)
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Debian's postinst scripts need the administrator's folders.
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::io("apt-get does not start", &error))?;
    let started = Instant::now();
    let waiting = thread::spawn(move || child.wait_with_output());
    let mut next = LINE_EVERY;
    while !waiting.is_finished() {
        thread::sleep(Duration::from_millis(50));
        if started.elapsed() >= next {
            eprintln!("apt-get is running for {} s", next.as_secs());
            next += LINE_EVERY;
        }
    }
    let output = waiting
        .join()
        .map_err(|_| Error::new("apt-get could not be waited for"))?
        .map_err(|error| Error::io("apt-get", &error))?;
    if !output.status.success() {
        return Err(Error::new(format!(
            "apt-get failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        )));
    }
    Ok(())
}

/// Whether there is any package list; a fresh container has none. Old ones are
/// noticed when an installation fails.
fn has_lists() -> bool {
    fs::read_dir("/var/lib/apt/lists").is_ok_and(|mut folder| {
        folder.any(|item| {
            item.is_ok_and(|item| item.file_name().to_string_lossy().contains("_Packages"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::table::TABLE;
    use super::*;

    #[test]
    fn a_package_that_brings_several_files_is_named_once() {
        let ipxe: Vec<&Entry> = TABLE
            .iter()
            .filter(|entry| entry.source == Source::Debian("ipxe"))
            .collect();
        assert!(ipxe.len() > 1);
        assert_eq!(packages(&ipxe), ["ipxe"]);
    }

    #[test]
    fn what_rust_itself_brings_is_never_a_debian_package() {
        let cargo: Vec<&Entry> = TABLE.iter().filter(|e| e.name == "cargo").collect();
        assert!(packages(&cargo).is_empty());
        assert!(refusals(&cargo)[0].contains("rustup.rs"));
    }
}
