//! Builds the Debian 12 tenant image: a raw disk that boots by BIOS and UEFI and
//! that cloud-init configures.
//!
//! This module has the recipe; [`disk`] adds partitions and boot loaders to the root
//! file system. The data of the recipe (packages, dpkg options, overlay files) are
//! files in `deploy-ramdisk/debian/`.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::{Report, Tools, publish, run, short_hex};

mod disk;

/// The Debian release.
const SUITE: &str = "bookworm";
/// Name of the image without its version.
pub const NAME: &str = "debian-12";
/// UUID of the root file system. It is fixed, so that a rebuild differs only by
/// changes of Debian.
const ROOT_UUID: &str = "6f4c1d52-0f6e-4c5b-9d1a-8a4a6c1b7e12";
/// Free bytes in the root file system, for writes before cloud-init grows it to the
/// disk.
const SLACK: u64 = 48 << 20;
/// Version of the recipe. Increment it if a change of this code changes the result.
const RECIPE: u32 = 1;

const PACKAGES: &str = include_str!("../../debian/packages.txt");
const DPKG_CONF: &str = include_str!("../../debian/dpkg.conf");
const CUSTOMIZE: &str = include_str!("../../debian/customize.sh");
const ROOT_FS: &str = include_str!("../../debian/root-fs.sh");

/// A file of the overlay.
struct Overlay {
    path: &'static str,
    mode: u32,
    text: &'static str,
}

macro_rules! overlay {
    ($mode:literal, $path:literal) => {
        Overlay {
            path: $path,
            mode: $mode,
            text: include_str!(concat!("../../debian/overlay/", $path)),
        }
    };
}

const OVERLAY: &[Overlay] = &[
    overlay!(0o644, "boot/grub/grub.cfg"),
    overlay!(0o644, "etc/fstab"),
    overlay!(0o644, "etc/tiny-initramfs/tiny-initramfs.conf"),
    overlay!(0o644, "etc/cloud/ds-identify.cfg"),
    overlay!(0o644, "etc/cloud/cloud.cfg.d/90_datasource.cfg"),
    overlay!(0o644, "etc/cloud/cloud.cfg.d/91_first_boot.cfg"),
    overlay!(0o644, "etc/systemd/system/farrier-instance.service"),
    overlay!(0o755, "usr/local/sbin/farrier-instance"),
];

/// Builds the image or finds the cached one of the same recipe. Returns the path of the
/// raw disk in `cache`.
///
/// Takes about two minutes and 2 GB of temporary space; downloads about 120 MB
/// of packages.
///
/// # Errors
/// A tool is missing or fails, packages cannot be fetched, or the disk is full.
pub fn build(
    tools: &Tools,
    cache: &Path,
    privilege: Privilege,
    report: Report<'_>,
) -> Result<PathBuf> {
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let finished = cache.join(format!("{NAME}-{}.raw", recipe_hash()));
    if finished.exists() {
        return Ok(finished);
    }
    let work = cache.join(format!("{NAME}.work"));
    if work.exists() {
        fs::remove_dir_all(&work).context("cannot clear an earlier, interrupted build")?;
    }
    fs::create_dir(&work)?;

    report("installing Debian's packages into a folder");
    let tree = install(tools, &work, privilege)?;
    report("writing the root file system");
    let root_fs = write_root_fs(tools, &tree, &work.join("root.ext4"), privilege)?;
    fs::remove_file(&tree)?;
    report("writing partitions and boot loaders");
    let raw = work.join("disk.raw");
    disk::assemble(tools, &root_fs, &raw, &work)?;
    publish(&raw, &finished)?;
    fs::remove_dir_all(&work)?;
    Ok(finished)
}

/// Returns sixteen hex digits, the hash of the recipe. The packages of Debian can change
/// without it.
fn recipe_hash() -> String {
    let mut hash = Sha256::new();
    hash.update(RECIPE.to_le_bytes());
    let texts = [SUITE, ROOT_UUID, PACKAGES, DPKG_CONF, CUSTOMIZE, ROOT_FS];
    for text in texts
        .into_iter()
        .chain(OVERLAY.iter().flat_map(|file| [file.path, file.text]))
    {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    for file in OVERLAY {
        hash.update(file.mode.to_le_bytes());
    }
    short_hex(hash)
}

/// What makes files that belong to root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// This user is root.
    Root,
    /// A user namespace in which this user is root; needs `newuidmap`.
    Unshare,
    /// `fakechroot` and `fakeroot`, which intercept the calls that need root.
    /// File capabilities (those of `ping`) are lost.
    Fakechroot,
}

/// Installs and customises Debian; returns a tar file of the root, whose
/// ownership is right whoever ran this.
fn install(tools: &Tools, work: &Path, privilege: Privilege) -> Result<PathBuf> {
    let overlay = work.join("overlay.tar");
    write_overlay(&overlay)?;
    let tree = work.join("root.tar");

    crate::data_file(tools, "/usr/share/keyrings/debian-archive-keyring.gpg")?;
    // mmdebstrap runs these programs itself.
    let (mode, helpers): (_, &[&str]) = match privilege {
        Privilege::Root => ("root", &[]),
        Privilege::Unshare => ("unshare", &["newuidmap"]),
        Privilege::Fakechroot => ("fakechroot", &["fakechroot", "fakeroot"]),
    };
    for helper in helpers {
        tools(helper)?;
    }
    let packages: Vec<&str> = PACKAGES.split_whitespace().collect();
    let mut command = tools("mmdebstrap")?;
    command
        .args(["--quiet", "--variant=minbase", "--format=tar"])
        .arg(format!("--mode={mode}"))
        .arg(format!("--include={}", packages.join(",")))
        // One option for each package: in a namespace the user's files may not be
        // readable.
        .args(dpkg_options().map(|option| format!("--dpkgopt={option}")))
        // Without it, the package that merges /usr installs Perl.
        .arg("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr")
        // Before the installation of the kernel, which creates the initramfs.
        .arg(format!("--essential-hook=tar-in {} /", overlay.display()))
        // As text, because the file may not be readable in a namespace.
        .arg(format!("--customize-hook={CUSTOMIZE}"))
        .arg(SUITE)
        .arg(&tree);
    run(&mut command).context("mmdebstrap failed to install Debian")?;
    Ok(tree)
}

/// Returns the dpkg options, one for each line, without comments.
fn dpkg_options() -> impl Iterator<Item = &'static str> {
    DPKG_CONF
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Writes the overlay as a tar file owned by root, with fixed modes.
fn write_overlay(path: &Path) -> Result<()> {
    let mut archive = tar::Builder::new(File::create(path)?);
    for file in OVERLAY {
        let text = file.text.replace("@ROOT_UUID@", ROOT_UUID);
        let mut header = tar::Header::new_ustar();
        header.set_mode(file.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(text.len() as u64);
        archive.append_data(&mut header, file.path, text.as_bytes())?;
    }
    archive.into_inner()?.flush()?;
    Ok(())
}

/// Makes the root file system out of the tar file. The unpacked files exist in
/// a temporary folder only while mke2fs copies them, with the privilege that
/// gives them their owners.
fn write_root_fs(
    tools: &Tools,
    tree: &Path,
    root_fs: &Path,
    privilege: Privilege,
) -> Result<PathBuf> {
    // The script runs them.
    tools("tar")?;
    let mke2fs = tools("mke2fs")?;
    let shell = tools("sh")?;
    let mut command = match privilege {
        Privilege::Root => shell,
        Privilege::Unshare => {
            let mut helper = tools("mmdebstrap")?;
            helper.arg("--unshare-helper").arg(shell.get_program());
            helper
        }
        Privilege::Fakechroot => {
            let mut helper = tools("fakeroot")?;
            helper.arg(shell.get_program());
            helper
        }
    };
    let output = command
        .args(["-c", ROOT_FS, "root-fs"])
        .arg(mke2fs.get_program())
        .arg(ROOT_UUID)
        .arg(SLACK.to_string())
        .arg(match privilege {
            Privilege::Root | Privilege::Unshare => "xattrs",
            Privilege::Fakechroot => "no-xattrs",
        })
        .stdin(File::open(tree)?)
        .stdout(File::create(root_fs)?)
        .stderr(Stdio::piped())
        .spawn()
        .context("can't start sh")?
        .wait_with_output()?;
    if !output.status.success() {
        bail!(
            "can't write the root file system: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(root_fs.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlay_files_have_no_placeholder_left() {
        for file in OVERLAY {
            let text = file.text.replace("@ROOT_UUID@", ROOT_UUID);
            assert!(!text.contains("UUID@"), "{}", file.path);
            assert!(text.ends_with('\n'), "{}", file.path);
        }
    }

    #[test]
    fn dpkg_gets_options_only() {
        assert!(dpkg_options().count() > 50);
        for option in dpkg_options() {
            let path = option
                .strip_prefix("path-exclude=/")
                .or_else(|| option.strip_prefix("path-include=/"));
            assert!(
                path.is_some_and(|path| !path.contains(char::is_whitespace)),
                "{option}"
            );
        }
    }
}
