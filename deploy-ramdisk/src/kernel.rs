//! Debian's kernel package: found, downloaded, unpacked, kept.
//!
//! The generic kernel is used, not the one for clouds, which has no AHCI and
//! none of the network cards of real servers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::{Report, Tools, run};

/// Depends on the newest kernel of the release.
const META_PACKAGE: &str = "linux-image-amd64";

/// An unpacked kernel package.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// What `uname -r` says under it: `6.1.0-56-amd64`.
    pub release: String,
    /// Version of the package: `6.1.192-2`.
    pub version: String,
    /// The bootable image; also a UEFI program.
    pub image: PathBuf,
    /// The folder `lib/modules/<release>`.
    pub modules: PathBuf,
}

/// Finds the newest kernel package that apt knows and unpacks it below `cache`,
/// or finds what was unpacked before. Without package lists, or without a
/// network, a kernel that is in the cache is good enough.
///
/// Downloads 70 MB, takes 400 MB. Needs no root.
///
/// # Errors
/// apt knows no kernel and none is in the cache, or the download fails.
pub fn fetch(tools: &Tools, cache: &Path, report: Report<'_>) -> Result<Kernel> {
    let folder = cache.join("kernel");
    fs::create_dir_all(&folder)?;
    let (package, version) = match newest(tools) {
        Ok(found) => found,
        Err(error) => return cached(&folder).ok_or(error),
    };
    let unpacked = folder.join(format!("{package}_{version}"));
    if !unpacked.exists() {
        report("downloading Debian's kernel package");
        download(tools, &folder, &package, &version, &unpacked)?;
    }
    open(&unpacked, &version)
}

/// Name and version of the package that the meta-package depends on.
fn newest(tools: &Tools) -> Result<(String, String)> {
    let shown = run(tools("apt-cache")?.args(["show", "--no-all-versions", META_PACKAGE]))
        .context("apt knows no kernel; apt-get update may help")?;
    let shown = String::from_utf8_lossy(&shown);
    // "Depends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)"
    let depends = shown
        .lines()
        .find_map(|line| line.strip_prefix("Depends: "))
        .with_context(|| format!("{META_PACKAGE} depends on nothing"))?;
    let (package, rest) = depends
        .split_once(" (= ")
        .with_context(|| format!("{META_PACKAGE} depends on \"{depends}\""))?;
    let version = rest.split(')').next().unwrap_or(rest);
    Ok((package.to_owned(), version.to_owned()))
}

fn download(
    tools: &Tools,
    folder: &Path,
    package: &str,
    version: &str,
    unpacked: &Path,
) -> Result<()> {
    let work = folder.join("work");
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir(&work)?;
    run(tools("apt-get")?.current_dir(&work).args([
        "download",
        "-q",
        &format!("{package}={version}"),
    ]))
    .context("the kernel package could not be downloaded")?;
    let archive = fs::read_dir(&work)?
        .flatten()
        .map(|item| item.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get downloaded no package")?;
    let tree = work.join("tree");
    run(tools("dpkg-deb")?.arg("-x").arg(&archive).arg(&tree))?;
    fs::rename(&tree, unpacked)?;
    fs::remove_dir_all(&work)?;
    Ok(())
}

/// The newest kernel unpacked earlier.
fn cached(folder: &Path) -> Option<Kernel> {
    let newest = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|item| item.file_name() != "work")
        .max_by_key(|item| item.metadata().and_then(|meta| meta.modified()).ok())?;
    let name = newest.file_name().to_string_lossy().into_owned();
    open(&newest.path(), name.split_once('_')?.1).ok()
}

fn open(unpacked: &Path, version: &str) -> Result<Kernel> {
    let modules = fs::read_dir(unpacked.join("lib/modules"))?
        .next()
        .context("the kernel package has no modules")??;
    let release = modules.file_name().to_string_lossy().into_owned();
    let image = unpacked.join(format!("boot/vmlinuz-{release}"));
    ensure!(
        image.exists(),
        "the kernel package has no {}",
        image.display()
    );
    Ok(Kernel {
        release,
        version: version.to_owned(),
        image,
        modules: modules.path(),
    })
}
