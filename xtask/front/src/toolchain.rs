//! A compiler for a target: found, added, or made out of a distribution's.
//!
//! This module decides which cargo and rustc build a bare-metal program, and
//! makes the command line for it. Which programs there are to build is the
//! boards' part, and how outside tools are installed is the caller's function.
//!
//! The ways, tried in this order:
//! 1. **installed**: the current compiler has the target's `core`;
//! 2. **rustup**: `rustup target add` installs it, within a bounded time, since
//!    rustup may wait long where its servers can't be reached;
//! 3. **distribution**: Debian's compiler with the library's source builds
//!    `core` and `alloc` itself. That needs a switch which is unstable, hence
//!    `RUSTC_BOOTSTRAP=1`; nothing else here does.
//!
//! `FARRIER_TOOLCHAIN=installed|rustup|distribution` allows one way only.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Error, Result, tools};

/// Finds an outside program, or a data file as the command's program, and
/// installs it where that is allowed.
pub type Tool<'a> = &'a dyn Fn(&str) -> Result<Command>;

/// How long rustup may take to bring a target.
const RUSTUP_LIMIT: Duration = Duration::from_secs(180);

/// Debian's linker for any target; its compiler comes without one.
const LINKER: &str = "/usr/bin/ld.lld";

/// What the third way takes from Debian: compiler, cargo, linker, source.
pub const DISTRIBUTION: [&str; 4] = [
    "/usr/bin/rustc",
    "/usr/bin/cargo",
    LINKER,
    "/usr/lib/rustlib/src/rust/library/Cargo.toml",
];

/// Where the target's `core` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It was there.
    Installed,
    /// rustup adds it.
    Rustup,
    /// It is built from the distribution's source.
    Distribution,
}

impl Way {
    const ALL: [Way; 3] = [Way::Installed, Way::Rustup, Way::Distribution];

    /// The word for it in `FARRIER_TOOLCHAIN` and in messages.
    pub fn word(self) -> &'static str {
        match self {
            Way::Installed => "installed",
            Way::Rustup => "rustup",
            Way::Distribution => "distribution",
        }
    }
}

/// A compiler that can build for one target.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// Which way it was found.
    pub way: Way,
    target: String,
    cargo: PathBuf,
    rustc: PathBuf,
}

/// One package to be built.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// The workspace's folder.
    pub workspace: &'a Path,
    /// Name of the package.
    pub package: &'a str,
    /// Cargo profile.
    pub profile: &'a str,
    /// Features to turn on besides the default ones.
    pub features: &'a [&'a str],
    /// Cargo's target directory.
    pub target_dir: &'a Path,
}

impl Toolchain {
    /// Finds a compiler for `target`, bringing one where it can.
    ///
    /// # Errors
    /// None of the allowed ways works; the message says why for each.
    pub fn find(target: &str, tool: Tool<'_>) -> Result<Self> {
        let mut reasons = String::new();
        for way in allowed()? {
            let found = match way {
                Way::Installed => installed(target, tool),
                Way::Rustup => rustup(target, tool),
                Way::Distribution => distribution(tool),
            };
            match found {
                Ok((cargo, rustc)) => {
                    return Ok(Self {
                        way,
                        target: target.to_owned(),
                        cargo,
                        rustc,
                    });
                }
                Err(error) => reasons.push_str(&format!("\n  {}: {error}", way.word())),
            }
        }
        Err(Error::new(format!("no compiler for {target}:{reasons}")))
    }

    /// The cargo command that builds a package for the target. It prints the
    /// compiler's messages on its standard error.
    pub fn build(&self, build: &Build<'_>) -> Command {
        let mut command = Command::new(&self.cargo);
        command
            .current_dir(build.workspace)
            .args(["build", "--locked", "--package", build.package])
            .args(["--profile", build.profile, "--target", &self.target])
            .arg("--target-dir")
            .arg(build.target_dir)
            // Without it, a cargo that is rustup's would call rustup's rustc,
            // whichever cargo was asked for.
            .env("RUSTC", &self.rustc)
            // This program may itself run under cargo, whose variables speak
            // of another package and perhaps of another compiler.
            .env_remove("CARGO")
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        for feature in build.features {
            command.args(["--features", feature]);
        }
        if self.way == Way::Distribution {
            let linker = self.target.replace('-', "_").to_uppercase();
            command
                .env(format!("CARGO_TARGET_{linker}_LINKER"), LINKER)
                .arg("-Zbuild-std=core,alloc")
                .env("RUSTC_BOOTSTRAP", "1")
                .env_remove("RUSTUP_TOOLCHAIN")
                .env_remove("RUSTDOC");
        }
        command
    }

    /// Where [`Self::build`] leaves the program of a package.
    pub fn artifact(&self, build: &Build<'_>) -> PathBuf {
        let profile = if build.profile == "dev" {
            "debug"
        } else {
            build.profile
        };
        build
            .target_dir
            .join(&self.target)
            .join(profile)
            .join(build.package)
    }
}

/// The ways that `FARRIER_TOOLCHAIN` allows.
fn allowed() -> Result<Vec<Way>> {
    let Ok(word) = env::var("FARRIER_TOOLCHAIN") else {
        return Ok(Way::ALL.to_vec());
    };
    match Way::ALL.into_iter().find(|way| way.word() == word) {
        Some(way) => Ok(vec![way]),
        None => Err(Error::new(format!(
            "FARRIER_TOOLCHAIN is installed, rustup or distribution, not {word}"
        ))),
    }
}

/// What a compiler for `target` is made of where neither this compiler has the
/// target nor rustup can add it: names in the table of outside tools. Nothing
/// where a compiler is there.
///
/// # Errors
/// `FARRIER_TOOLCHAIN` allows a way only that does not work.
pub fn pieces(target: &str) -> Result<&'static [&'static str]> {
    let ways = allowed()?;
    let tool: Tool<'_> = &tools::command;
    if ways.contains(&Way::Installed) && installed(target, tool).is_ok() {
        return Ok(&[]);
    }
    if ways.contains(&Way::Rustup) && tools::is_there("rustup") {
        eprintln!("Adding the compile target {target} with rustup");
        if rustup(target, tool).is_ok() {
            return Ok(&[]);
        }
    }
    if ways.contains(&Way::Distribution) {
        return Ok(&DISTRIBUTION);
    }
    Err(Error::new(format!(
        "FARRIER_TOOLCHAIN allows no way that gives a compiler for {target}"
    )))
}

/// Cargo and rustc of the current toolchain, by their own paths.
fn current(tool: Tool<'_>) -> Result<(PathBuf, PathBuf)> {
    let cargo = PathBuf::from(tool("cargo")?.get_program());
    let rustc = match env::var_os("RUSTC") {
        Some(rustc) => rustc.into(),
        None => {
            // The compiler beside that cargo, if there is one: with several
            // toolchains, those two belong together.
            let beside = cargo.with_file_name("rustc");
            if beside.is_file() {
                beside
            } else {
                tool("rustc")?.get_program().into()
            }
        }
    };
    Ok((cargo, rustc))
}

/// Does this compiler have the target's `core`?
fn has_target(rustc: &Path, target: &str) -> Result<bool> {
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", target])
        .output()
        .map_err(|error| Error::io(&rustc.display().to_string(), &error))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(output.status.success()
        && folder.read_dir().is_ok_and(|mut files| {
            files.any(|file| {
                file.is_ok_and(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
            })
        }))
}

fn installed(target: &str, tool: Tool<'_>) -> Result<(PathBuf, PathBuf)> {
    let (cargo, rustc) = current(tool)?;
    if !has_target(&rustc, target)? {
        return Err(Error::new(format!("{} has no {target}", rustc.display())));
    }
    Ok((cargo, rustc))
}

fn rustup(target: &str, tool: Tool<'_>) -> Result<(PathBuf, PathBuf)> {
    let mut command = tool("rustup")?;
    command
        .args(["target", "add", target])
        // Offline, one failure is as good as five.
        .env("RUSTUP_MAX_RETRIES", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let context = |error: std::io::Error| Error::io("rustup", &error);
    let mut child = command.spawn().map_err(context)?;
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(context)? {
            break status;
        }
        if started.elapsed() > RUSTUP_LIMIT {
            child.kill().map_err(context)?;
            child.wait().map_err(context)?;
            return Err(Error::new(format!(
                "rustup target add {target} took longer than {} s",
                RUSTUP_LIMIT.as_secs()
            )));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if !status.success() {
        return Err(Error::new(format!("rustup target add {target} failed")));
    }
    // rustup may have added it to another toolchain than the one in use.
    installed(target, tool)
}

fn distribution(tool: Tool<'_>) -> Result<(PathBuf, PathBuf)> {
    for name in DISTRIBUTION {
        tool(name)?;
    }
    Ok(("/usr/bin/cargo".into(), "/usr/bin/rustc".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_only(program: &str) -> Result<Command> {
        if program == "rustup" || program.starts_with('/') {
            return Err(Error::new(format!("{program} is not for this test")));
        }
        Ok(Command::new(program))
    }

    #[test]
    fn the_host_is_always_installed() {
        let output = Command::new("rustc").arg("-vV").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let host = text
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .unwrap();
        let found = Toolchain::find(host, &path_only).unwrap();
        assert_eq!(found.way, Way::Installed);
    }

    #[test]
    fn an_unknown_target_names_every_way_that_failed() {
        let error = Toolchain::find("abacus-none-eabi", &path_only)
            .unwrap_err()
            .to_string();
        for way in Way::ALL {
            assert!(error.contains(way.word()), "{error}");
        }
    }

    #[test]
    fn only_the_distribution_builds_its_own_core() {
        let mut found = Toolchain {
            way: Way::Installed,
            target: "t".into(),
            cargo: "/c".into(),
            rustc: "/r".into(),
        };
        let build = Build {
            workspace: Path::new("/"),
            package: "p",
            profile: "firmware",
            features: &["f"],
            target_dir: Path::new("/d"),
        };
        let has_build_std = |found: &Toolchain| {
            found
                .build(&build)
                .get_args()
                .any(|a| a == "-Zbuild-std=core,alloc")
        };
        assert!(!has_build_std(&found));
        found.way = Way::Distribution;
        assert!(has_build_std(&found));
        assert_eq!(found.artifact(&build), Path::new("/d/t/firmware/p"));
    }
}
