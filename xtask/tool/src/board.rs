//! Boards: `board.toml` read, firmware built, budgets checked. A board is one
//! folder under `boards/` with a `board.toml`; this module finds them all, so
//! that adding one changes nothing here. Emulators and switches are the
//! rigs'; this gives their command lines only.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection, SectionFlags, SectionKind, elf};
use serde::Deserialize;

use crate::toolchain::{Build, Tool, Toolchain};

/// One board, as its `board.toml` describes it.
#[derive(Debug, Clone, Deserialize)]
pub struct Board {
    /// Name and program.
    pub board: Name,
    /// Memory map and budgets; a process on a host has none.
    pub memory: Option<Memory>,
    /// Sizes of the firmware's tables.
    pub tables: Tables,
    /// How the program is started without hardware.
    pub emulator: Option<Emulator>,
    /// A file of its folder whose values replace some of these: not what
    /// ships.
    #[serde(skip)]
    pub variant: Option<PathBuf>,
}

/// Names of a board.
#[derive(Debug, Clone, Deserialize)]
pub struct Name {
    /// The board's name, which is its folder's.
    pub name: String,
    /// The package that is its program.
    pub package: String,
    /// One line for a list of boards.
    pub description: String,
    /// Rust target; `host` for a process on this machine.
    pub target: String,
    /// Cargo profile.
    pub profile: String,
}

/// Memory of a bare-metal board, in bytes.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Memory {
    /// Most that the program may take of the flash.
    pub flash_budget: u64,
    /// Most RAM: statics and stack.
    pub ram_budget: u64,
    /// The stack's share of the RAM.
    pub stack: u64,
}

/// Sizes of tables.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Tables {
    /// Servers.
    pub nodes: usize,
    /// TFTP transfers at once.
    pub tftp_transfers: usize,
    /// HTTP connections at once.
    pub http_connections: usize,
}

/// A program that stands in for the hardware.
#[derive(Debug, Clone, Deserialize)]
pub struct Emulator {
    /// Program; `{elf}` when the firmware is a process of its own.
    pub program: String,
    /// Its arguments, with `{elf}`, `{store}` and `{switch}` in them.
    pub arguments: Vec<String>,
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
    /// A file can not be read or does not have the fields above.
    pub fn all(workspace: &Path) -> Result<Vec<Self>> {
        let mut boards = Vec::new();
        for folder in fs::read_dir(workspace.join("boards")).context("no folder boards")? {
            let file = folder?.path().join("board.toml");
            if file.is_file() {
                boards.push(Self::read(&file)?);
            }
        }
        boards.sort_by(|a, b| a.board.name.cmp(&b.board.name));
        Ok(boards)
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
        let folder = fs::canonicalize(workspace.join("boards").join(&self.board.name))?;
        let file = folder.join(format!("{name}.toml"));
        let mut table: toml::Table = fs::read_to_string(folder.join("board.toml"))?.parse()?;
        let values: toml::Table = fs::read_to_string(&file)
            .with_context(|| format!("{}", file.display()))?
            .parse()?;
        for (section, values) in values {
            let known = table.get_mut(&section).and_then(toml::Value::as_table_mut);
            let values = values.as_table().context("a value without a section")?;
            known
                .with_context(|| format!("there is no section {section}"))?
                .extend(values.clone());
        }
        let mut board: Self = table.try_into()?;
        board.variant = Some(file);
        Ok(board)
    }

    fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)?;
        toml::from_str(&text).with_context(|| format!("{}", file.display()))
    }

    /// Builds the board's program and checks it against the budgets.
    ///
    /// # Errors
    /// No compiler, a compile error (with the compiler's text), or a budget
    /// exceeded.
    pub fn build(&self, workspace: &Path, target_dir: &Path, tool: Tool<'_>) -> Result<Firmware> {
        let target = match self.board.target.as_str() {
            "host" => host(tool)?,
            target => target.to_owned(),
        };
        let toolchain = Toolchain::find(&target, tool)?;
        let build = Build {
            workspace,
            package: &self.board.package,
            profile: &self.board.profile,
            features: &[],
            target_dir,
        };
        let mut command = toolchain.build(&build);
        if let Some(variant) = &self.variant {
            command.env("FARRIER_BOARD_OVERLAY", variant);
        }
        let output = command.output().context("cargo does not start")?;
        if !output.status.success() {
            bail!(
                "{} does not build ({}):\n{}",
                self.board.package,
                toolchain.way.word(),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let elf = toolchain.artifact(&build);
        let Some(memory) = self.memory else {
            return Ok(Firmware {
                elf,
                flash_bytes: 0,
                ram_bytes: 0,
            });
        };
        let (flash_bytes, statics) = sizes(&elf)?;
        let firmware = Firmware {
            elf,
            flash_bytes,
            ram_bytes: statics + memory.stack,
        };
        for (what, used, budget) in [
            ("flash", firmware.flash_bytes, memory.flash_budget),
            ("RAM", firmware.ram_bytes, memory.ram_budget),
        ] {
            ensure!(
                used <= budget,
                "{}: {used} bytes of {what}, the budget is {budget}",
                self.board.name
            );
        }
        Ok(firmware)
    }
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
    fn every_board_says_what_it_is() {
        let boards = Board::all(&workspace()).unwrap();
        let names: Vec<_> = boards
            .iter()
            .map(|board| board.board.name.as_str())
            .collect();
        assert_eq!(names, ["linux", "mps2-an500"]);
    }

    #[test]
    fn a_variant_replaces_what_it_names_and_nothing_else() {
        let board = Board::named(&workspace(), "mps2-an500").unwrap();
        let bench = board.varied(&workspace(), "bench").unwrap();
        let (memory, varied) = (board.memory.unwrap(), bench.memory.unwrap());
        assert!(varied.ram_budget > memory.ram_budget);
        assert_eq!(varied.flash_budget, memory.flash_budget);
        assert!(board.varied(&workspace(), "toaster").is_err());
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
    fn every_emulated_board_gets_its_switch_and_its_store() {
        for board in Board::all(&workspace()).unwrap() {
            let Some(emulator) = board.emulator else {
                continue;
            };
            let line = format!("{} {}", emulator.program, emulator.arguments.join(" "));
            for part in ["{elf}", "{store}", "{switch}"] {
                assert!(line.contains(part), "{}: {line}", board.board.name);
            }
        }
    }
}
