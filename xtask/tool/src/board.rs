//! Builds the firmware of boards and checks it against their budgets. A board
//! is one folder under `boards/` with a `board.toml`, which
//! [`farrier_board_build`] reads; adding a board changes nothing here.
//! Emulators and switches are the rigs'; this gives their command lines only.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use farrier_board_build::description::{self, Program};
use farrier_board_build::select;
use object::{Object, ObjectSection, SectionFlags, SectionKind, elf};

use crate::toolchain::{Build, Tool, Toolchain};

/// One board, as its `board.toml` describes it.
#[derive(Debug, Clone)]
pub struct Board(description::Board);

impl Deref for Board {
    type Target = description::Board;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A built program.
#[derive(Debug, Clone)]
pub struct Firmware {
    /// The program.
    pub elf: PathBuf,
    /// Bytes of flash: code, constants, initial values. 0 for a process.
    pub flash_bytes: u64,
    /// Bytes of RAM: statics and the reserved stack. 0 for a process.
    pub ram_bytes: u64,
}

impl Board {
    /// Reads every `boards/*/board.toml`, sorted by name.
    ///
    /// # Errors
    /// A file can not be read or is wrong.
    pub fn all(workspace: &Path) -> Result<Vec<Self>> {
        let boards = description::Board::all(&workspace.join("boards"))?;
        Ok(boards.into_iter().map(Self).collect())
    }

    /// The board of that name.
    ///
    /// # Errors
    /// There is none; the message lists those there are.
    pub fn named(workspace: &Path, name: &str) -> Result<Self> {
        let mut boards = Self::all(workspace)?;
        match boards.iter().position(|board| board.board.name == name) {
            Some(at) => Ok(boards.swap_remove(at)),
            None => {
                let names: Vec<_> = boards.iter().map(|b| b.board.name.as_str()).collect();
                bail!("no board {name}; there are: {}", names.join(", "))
            }
        }
    }

    /// The board with the values of `NAME.toml` beside its `board.toml`.
    ///
    /// # Errors
    /// The file can not be read, or has other sections.
    pub fn varied(&self, workspace: &Path, name: &str) -> Result<Self> {
        let folder = workspace.join("boards").join(&self.board.name);
        let folder = fs::canonicalize(&folder).with_context(|| format!("{}", folder.display()))?;
        Ok(Self(
            self.with_overlay(&folder.join(format!("{name}.toml")))?,
        ))
    }

    /// Builds the board's program and checks it against the budgets.
    ///
    /// # Errors
    /// No compiler, a compile error (with the compiler's text), or a budget
    /// exceeded.
    pub fn build(&self, workspace: &Path, target_dir: &Path, tool: Tool<'_>) -> Result<Firmware> {
        let program = Program {
            board: self.board.clone(),
            memory: self.memory,
            stack: Some(self.stack),
        };
        let overlay = self.overlay.as_deref();
        let firmware = compile(&program, overlay, workspace, target_dir, tool)?;
        if let Some(memory) = self.memory {
            for (what, used, budget) in [
                ("flash", firmware.flash_bytes, memory.flash_budget),
                ("RAM", firmware.ram_bytes, memory.ram_budget),
            ] {
                ensure!(
                    used <= u64::from(budget),
                    "{}: {used} bytes of {what}, the budget is {budget}",
                    self.board.name
                );
            }
        }
        Ok(firmware)
    }
}

/// Builds a board's program, of whatever revision `workspace` is.
///
/// # Errors
/// No compiler, or a compile error, with the compiler's text.
pub fn compile(
    program: &Program,
    overlay: Option<&Path>,
    workspace: &Path,
    target_dir: &Path,
    tool: Tool<'_>,
) -> Result<Firmware> {
    let board = &program.board;
    let target = match board.target.as_str() {
        select::HOST => host(tool)?,
        target => target.to_owned(),
    };
    let toolchain = Toolchain::find(&target, tool)?;
    let build = Build {
        workspace,
        package: &board.package,
        profile: &board.profile,
        features: &[],
        target_dir,
    };
    let mut command = toolchain.build(&build);
    command.env(select::BOARD, &board.name);
    match overlay {
        Some(file) => command.env(select::OVERLAY, file),
        None => command.env_remove(select::OVERLAY),
    };
    if let Some(stack) = &program.stack {
        command.envs(stack.environment());
    }
    if !board.cfg.is_empty() {
        let triple = target.replace(['-', '.'], "_").to_uppercase();
        let flags: Vec<_> = board.cfg.iter().map(|cfg| format!("--cfg={cfg}")).collect();
        command.env(format!("CARGO_TARGET_{triple}_RUSTFLAGS"), flags.join(" "));
    }
    let output = command.output().context("cargo does not start")?;
    if !output.status.success() {
        bail!(
            "{} does not build ({}):\n{}",
            board.package,
            toolchain.way.word(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let elf = toolchain.artifact(&build);
    let (flash_bytes, ram_bytes) = match &program.memory {
        Some(memory) => {
            let (flash, statics) = sizes(&elf)?;
            (flash, statics + u64::from(memory.stack))
        }
        None => (0, 0),
    };
    Ok(Firmware {
        elf,
        flash_bytes,
        ram_bytes,
    })
}

/// The triple of this machine.
fn host(tool: Tool<'_>) -> Result<String> {
    let output = tool("rustc")?
        .arg("-vV")
        .output()
        .context("rustc does not start")?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .context("rustc -vV names no host")
}

/// Bytes of flash and of static RAM that an ELF program takes.
///
/// # Errors
/// The file can not be read or is no ELF program.
pub fn sizes(elf: &Path) -> Result<(u64, u64)> {
    let bytes = fs::read(elf).with_context(|| format!("{}", elf.display()))?;
    let file = object::File::parse(&*bytes)?;
    let (mut flash, mut ram) = (0, 0);
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
            bail!("{} is no ELF program", elf.display());
        };
        if sh_flags.0 & elf::SHF_ALLOC.0 == 0 {
            continue;
        }
        if !matches!(section.kind(), SectionKind::UninitializedData) {
            flash += section.size();
        }
        if sh_flags.0 & elf::SHF_WRITE.0 != 0 {
            ram += section.size();
        }
    }
    Ok((flash, ram))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> PathBuf {
        crate::workspace()
    }

    #[test]
    fn an_unknown_board_lists_the_known() {
        let error = Board::named(&workspace(), "toaster")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("mps2-an500") && error.contains("linux"),
            "{error}"
        );
    }

    #[test]
    fn a_variant_is_a_file_beside_the_boards_own() {
        let board = Board::named(&workspace(), "mps2-an500").unwrap();
        let bench = board.varied(&workspace(), "bench").unwrap();
        assert!(bench.overlay.as_deref().is_some_and(Path::is_absolute));
        assert!(board.varied(&workspace(), "toaster").is_err());
    }

    #[test]
    fn every_emulated_board_gets_its_switch_and_its_store() {
        for board in Board::all(&workspace()).unwrap() {
            let Some(emulator) = &board.emulator else {
                continue;
            };
            let line = format!("{} {}", emulator.program, emulator.arguments.join(" "));
            for part in ["{elf}", "{store}", "{switch}"] {
                assert!(line.contains(part), "{}: {line}", board.board.name);
            }
        }
    }
}
