//! Installs what is missing, or says how to.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::table::{Entry, Source};
use super::{find, is_present, is_root};
use crate::{Error, Result};

/// One installation at a time, however many threads ask.
static INSTALLING: Mutex<()> = Mutex::new(());

/// A long installation prints a line this often.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// Installs all `missing` entries.
///
/// # Errors
/// Something can't be installed by this user; one text names all of it.
pub(super) fn install(missing: &[&Entry]) -> Result<()> {
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    // Another thread may have installed them meanwhile.
    let missing: Vec<&Entry> = missing
        .iter()
        .copied()
        .filter(|entry| !is_present(entry))
        .collect();
    let mut refusals = Vec::new();
    if let Err(error) = debian_packages(&missing) {
        refusals.push(error.to_string());
    }
    for entry in &missing {
        let result = match entry.source {
            Source::Debian(_) => Ok(()),
            Source::System => Err(Error::new(format!(
                "{} is missing ({}). Install Rust: https://rustup.rs",
                entry.name, entry.why
            ))),
            Source::Component(component) => rustup_component(component),
            Source::CargoInstall => cargo_install(entry),
        };
        refusals.extend(result.err().map(|error| error.to_string()));
    }
    if refusals.is_empty() {
        return Ok(());
    }
    Err(Error::new(refusals.join("\n")))
}

fn debian_packages(missing: &[&Entry]) -> Result<()> {
    let mut packages: Vec<&str> = Vec::new();
    for entry in missing {
        if let Source::Debian(package) = entry.source
            && !packages.contains(&package)
        {
            packages.push(package);
        }
    }
    if packages.is_empty() {
        return Ok(());
    }
    let typed = format!(
        "apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    );
    if !is_root() {
        return Err(Error::new(format!(
            "Debian packages are missing. Install them with: sudo {typed}"
        )));
    }
    let apt_get = find("apt-get").ok_or_else(|| {
        Error::new(format!(
            "Packages are missing, and this system has no apt-get. On Debian 12: {typed}"
        ))
    })?;
    eprintln!("Installing Debian packages: {}", packages.join(" "));
    if !has_lists() {
        run_apt(&apt_get, ["update", "-q"])?;
    }
    let words = ["install", "-q", "-y", "--no-install-recommends"];
    if run_apt(&apt_get, words.iter().chain(&packages)).is_err() {
        // The lists may name versions that the mirror no longer has.
        run_apt(&apt_get, ["update", "-q"])?;
        run_apt(&apt_get, words.iter().chain(&packages))
            .map_err(|error| Error::new(format!("{error}\nThe command was: {typed}")))?;
    }
    Ok(())
}

fn rustup_component(component: &str) -> Result<()> {
    let typed = format!("rustup component add {component}");
    let added = find("rustup").is_some_and(|rustup| {
        eprintln!("Running {typed}");
        Command::new(rustup)
            .args(["component", "add", component])
            .env("RUSTUP_MAX_RETRIES", "0")
            .status()
            .is_ok_and(|status| status.success())
    });
    if added {
        return Ok(());
    }
    Err(Error::new(format!(
        "The Rust component {component} is missing. Add it with: {typed}"
    )))
}

/// Builds a program of the Rust world. It goes where cargo puts its own
/// programs.
fn cargo_install(entry: &Entry) -> Result<()> {
    let typed = format!("cargo install --locked {}", entry.name);
    eprintln!("Running {typed} ({})", entry.why);
    let cargo = find("cargo").ok_or_else(|| Error::new("cargo is missing"))?;
    let status = Command::new(cargo)
        .args(["install", "--locked", entry.name])
        .status()
        .map_err(|error| Error::io("cargo does not start", &error))?;
    if !status.success() {
        return Err(Error::new(format!("{typed} ended with {status}")));
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
