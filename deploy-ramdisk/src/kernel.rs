//! Finds, downloads, unpacks and caches Debian's kernel package.
//!
//! It uses the generic kernel. The cloud kernel lacks AHCI and the network cards of
//! servers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::{Report, Tools, run};

/// The meta-package of the newest kernel of the release.
const META_PACKAGE: &str = "linux-image-amd64";

/// An unpacked kernel package.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Its `uname -r`: `6.1.0-56-amd64`.
    pub release: String,
    /// Version of the package: `6.1.192-2`.
    pub version: String,
    /// The bootable image, also a UEFI program.
    pub image: PathBuf,
    /// The folder `lib/modules/<release>`.
    pub modules: PathBuf,
}

/// Finds the newest kernel package of apt and unpacks it into `cache`, or returns the
/// one that was unpacked before. Without package lists or a network, it returns the
/// newest kernel in the cache.
///
/// Downloads 70 MB and uses 400 MB of disk. Needs no root.
///
/// # Errors
/// Neither apt nor the cache has a kernel, or the download fails.
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

/// Returns name and version of the package on which the meta-package depends.
fn newest(tools: &Tools) -> Result<(String, String)> {
    let shown = run(tools("apt-cache")?.args(["show", "--no-all-versions", META_PACKAGE]))
        .context("apt lists no kernel package. Run apt-get update.")?;
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
    .context("apt failed to download the kernel package")?;
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

/// Returns the newest kernel in the cache.
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
