//! The one table of outside programs and data files, and how to get them.
//!
//! Nothing in this project is spawned but through [`command`], and no file of
//! another package is read but through it. So whatever is missing on a
//! machine is noticed here, and is installed here: with apt-get where that is
//! allowed, else by telling the exact command to type. Library crates take
//! [`as_fn`] as an argument and so obey the same table.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result, bail};

/// Finds programs for the library crates, which know nothing of this table.
pub type Tools = Arc<dyn Fn(&str) -> Result<Command> + Send + Sync>;

/// One program or data file that Farrier uses and does not build.
struct Entry {
    /// The program's name, or the absolute path of a data file.
    name: &'static str,
    /// The Debian 12 package that brings it; empty for what a Rust tool
    /// chain or every Debian system has.
    package: &'static str,
    /// What it is for, in the words of the message that asks for it.
    why: &'static str,
}

/// In place of a package: the program is built by `cargo install`.
const CARGO_INSTALL: &str = "cargo install";

const fn entry(name: &'static str, package: &'static str, why: &'static str) -> Entry {
    Entry { name, package, why }
}

/// Everything from outside. Programs by name, data files by path.
const TABLE: &[Entry] = &[
    // Building.
    entry("cargo", "", "compiles everything"),
    entry("rustc", "", "says which targets the compiler has"),
    entry("rustup", "", "adds the firmware's compile target"),
    entry(
        "/usr/bin/cargo",
        "cargo-web",
        "builds the firmware with its own core library",
    ),
    entry(
        "/usr/bin/rustc",
        "rustc-web",
        "builds the firmware with its own core library",
    ),
    entry(
        "/usr/lib/rustlib/src/rust/library/Cargo.toml",
        "rust-web-src",
        "source of the core library for the firmware's target",
    ),
    entry("/usr/bin/ld.lld", "lld", "links the firmware"),
    entry("git", "git", "checks out the revision to compare with"),
    entry("cc", "gcc", "links programs and compiles the zstd library"),
    // Packages and images.
    entry("apt-get", "apt", "downloads Debian packages"),
    entry("apt-cache", "apt", "finds the current kernel package"),
    entry("dpkg-deb", "dpkg", "unpacks Debian packages"),
    entry("mmdebstrap", "mmdebstrap", "installs Debian into a folder"),
    entry(
        "newuidmap",
        "uidmap",
        "lets an ordinary user build an image with root's files",
    ),
    entry(
        "patch",
        "patch",
        "brings field faults into a copy of the tree",
    ),
    entry(
        "cargo-mutants",
        CARGO_INSTALL,
        "brings bugs into the brain, for its judges to notice",
    ),
    entry("tar", "tar", "carries a root file system between steps"),
    entry("sh", "dash", "runs image steps inside a namespace"),
    entry("mke2fs", "e2fsprogs", "writes the image's root file system"),
    entry(
        "grub-mkimage",
        "grub-common",
        "makes the image's boot loaders",
    ),
    entry(
        "/usr/lib/grub/i386-pc/boot.img",
        "grub-pc-bin",
        "GRUB for BIOS",
    ),
    entry(
        "/usr/lib/grub/x86_64-efi/moddep.lst",
        "grub-efi-amd64-bin",
        "GRUB for UEFI",
    ),
    entry(
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
        "checks that packages are Debian's",
    ),
    // Network boot.
    entry("/usr/lib/ipxe/undionly.kpxe", "ipxe", "iPXE for BIOS"),
    entry(
        "/usr/lib/ipxe/snponly.efi",
        "ipxe",
        "iPXE for UEFI over the firmware's driver",
    ),
    entry(
        "/boot/ipxe.efi",
        "ipxe",
        "iPXE for UEFI with its own drivers",
    ),
    // Emulation.
    entry(
        "qemu-system-x86_64",
        "qemu-system-x86",
        "emulates the servers",
    ),
    entry(
        "qemu-system-arm",
        "qemu-system-arm",
        "emulates the appliance's board",
    ),
    entry(
        "/usr/share/seabios/bios-256k.bin",
        "seabios",
        "BIOS of the emulated servers",
    ),
    entry(
        "/usr/lib/ipxe/qemu/efi-e1000.rom",
        "ipxe-qemu",
        "network ROM of the emulated servers",
    ),
    entry(
        "/usr/lib/ipxe/qemu/efi-virtio.rom",
        "ipxe-qemu",
        "network ROM of the emulated servers",
    ),
    entry(
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "ovmf",
        "UEFI of the emulated servers",
    ),
    entry(
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
        "ovmf",
        "UEFI variables of the emulated servers",
    ),
    entry(
        "setpriv",
        "util-linux",
        "ends emulators together with what started them",
    ),
    // Benches.
    entry("valgrind", "valgrind", "counts instructions of programs"),
    entry(
        "dnsmasq",
        "dnsmasq-base",
        "DHCP server that the appliance is measured against",
    ),
    entry(
        "kea-dhcp4",
        "kea-dhcp4-server",
        "DHCP server that the appliance is measured against",
    ),
    entry("ip", "iproute2", "makes networks for other DHCP servers"),
    // The stock client.
    entry("env", "coreutils", "sets the stock client's environment"),
    entry(
        "mkisofs",
        "genisoimage",
        "makes config drives of folders for the stock client",
    ),
    entry("python3", "python3", "runs the stock bare-metal client"),
    entry(
        "/usr/lib/python3.11/ensurepip/__init__.py",
        "python3-venv",
        "a folder of its own for the stock client",
    ),
];

/// One installation at a time, however many threads ask.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Finds a program of the table and returns a [`Command`] for it, installing
/// its package first where it is missing and that is allowed.
///
/// # Errors
/// The program is not in the table, or is missing and may not be installed;
/// the message then holds the command to type.
pub fn command(program: &str) -> Result<Command> {
    let mut command = Command::new(locate(program)?);
    command.env("PATH", search_path());
    Ok(command)
}

/// [`command`] in the form that library crates take. Data files are asked for
/// in the same way; the returned command's program is then the file's path.
pub fn as_fn() -> Tools {
    Arc::new(command)
}

/// Makes sure of several programs and files at once, so that a person is asked
/// or made to wait once and not at every step.
///
/// # Errors
/// As [`command`].
pub fn ensure(names: &[&str]) -> Result<()> {
    let mut missing = Vec::new();
    for name in names {
        let entry = entry_of(name)?;
        if find(entry.name).is_none() {
            missing.push(entry);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)?;
    for entry in missing {
        if find(entry.name).is_none() {
            bail!(
                "{} was installed and still has no {}",
                entry.package,
                entry.name
            );
        }
    }
    Ok(())
}

fn locate(name: &str) -> Result<PathBuf> {
    ensure(&[name])?;
    find(name).with_context(|| format!("{name} vanished"))
}

fn entry_of(name: &str) -> Result<&'static Entry> {
    TABLE
        .iter()
        .find(|entry| entry.name == name)
        .with_context(|| format!("{name} is not in the table of outside tools"))
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

/// The search path with the administrator's folders, which ordinary users of
/// Debian do not have there, and where half of the tools live that tools run.
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

/// Installs the packages of all `missing` entries, or says how to.
fn install(missing: &[&Entry]) -> Result<()> {
    let _one_at_a_time = INSTALLING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    // Another thread may have brought them meanwhile.
    let missing: Vec<_> = missing
        .iter()
        .filter(|entry| find(entry.name).is_none())
        .collect();
    let mut packages: Vec<&str> = Vec::new();
    for entry in &missing {
        if entry.package == CARGO_INSTALL {
            cargo_install(entry)?;
            continue;
        }
        if entry.package.is_empty() {
            bail!(
                "{} is missing: {}; install Rust, https://rustup.rs",
                entry.name,
                entry.why
            );
        }
        if !packages.contains(&entry.package) {
            packages.push(entry.package);
        }
    }
    if packages.is_empty() {
        return Ok(());
    }
    let typed = format!(
        "apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    );
    let reasons: String = missing
        .iter()
        .map(|entry| format!("\n  {} ({})", entry.name, entry.why))
        .collect();
    let Some(apt_get) = find("apt-get") else {
        bail!("missing:{reasons}\nThis system has no apt-get; on Debian 12: sudo {typed}");
    };
    if !is_root() {
        bail!("missing:{reasons}\nInstall with: sudo {typed}");
    }
    eprintln!("Installing what is missing:{reasons}");
    if !has_lists() {
        run_apt(&apt_get, ["update", "-q"])?;
    }
    let arguments = ["install", "-q", "-y", "--no-install-recommends"];
    if run_apt(&apt_get, arguments.iter().chain(&packages)).is_err() {
        // A list that looked fresh may name versions that are gone.
        run_apt(&apt_get, ["update", "-q"])?;
        run_apt(&apt_get, arguments.iter().chain(&packages))
            .with_context(|| format!("could not install; try: {typed}"))?;
    }
    Ok(())
}

/// Builds a program of the Rust world. It goes where cargo puts its own
/// programs.
fn cargo_install(entry: &Entry) -> Result<()> {
    eprintln!("Installing {} ({})", entry.name, entry.why);
    let cargo = find("cargo").context("there is no cargo")?;
    let status = Command::new(cargo)
        .args(["install", "--locked", entry.name])
        .status()?;
    if !status.success() {
        bail!(
            "could not install; try: cargo install --locked {}",
            entry.name
        );
    }
    Ok(())
}

fn run_apt<S: AsRef<OsStr>>(apt_get: &Path, arguments: impl IntoIterator<Item = S>) -> Result<()> {
    let output = Command::new(apt_get)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // Debian's postinst scripts need the administrator's folders.
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .output()
        .context("apt-get does not start")?;
    if !output.status.success() {
        bail!(
            "apt-get failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
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

/// Whether this process may install packages and build images as root.
pub fn is_root() -> bool {
    // The owner of this process's own folder is its effective user.
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
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
    fn what_every_debian_has_is_found() {
        assert!(find("sh").is_some());
        assert!(find("/proc/self").is_some());
        assert!(find("/no/such/file").is_none());
    }
}
