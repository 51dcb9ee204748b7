//! The few words of `boards/*/board.toml` that decide what a machine needs.
//! The tool reads the whole files.

use std::fs;
use std::path::Path;

use crate::{Error, Result};

/// What a board asks of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BoardFile {
    /// Its name.
    pub name: String,
    /// Its compile target; `host` for a process on this machine.
    pub target: String,
    /// The program that emulates it; empty where it is a process of its own
    /// or has none.
    pub emulator: String,
}

/// All boards of the workspace, sorted by name.
///
/// # Errors
/// The folder or a file can't be read.
pub fn all(workspace: &Path) -> Result<Vec<BoardFile>> {
    let folder = workspace.join("boards");
    let context = |error: std::io::Error| Error::io(&folder.display().to_string(), &error);
    let mut boards = Vec::new();
    for entry in fs::read_dir(&folder).map_err(context)? {
        let file = entry.map_err(context)?.path().join("board.toml");
        if file.is_file() {
            boards.push(read(&fs::read_to_string(&file).map_err(context)?));
        }
    }
    boards.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(boards)
}

/// The lines `key = "value"` that matter, by their section.
fn read(text: &str) -> BoardFile {
    let mut board = BoardFile::default();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name;
        }
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim().trim_start_matches('"');
        let value = value.split('"').next().unwrap_or_default();
        let field = match (section, key.trim()) {
            ("board", "name") => &mut board.name,
            ("board", "target") => &mut board.target,
            ("emulator", "program") if value != "{elf}" => &mut board.emulator,
            _ => continue,
        };
        value.clone_into(field);
    }
    board
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_board_of_the_workspace_has_a_name_and_a_target() {
        let boards = all(&crate::workspace()).unwrap();
        assert!(boards.len() >= 2);
        for board in boards {
            assert!(!board.name.is_empty() && !board.target.is_empty());
        }
    }

    #[test]
    fn keys_count_in_their_section_only() {
        let board = read(
            "# x\n[board]\nname = \"b\" # comment\ntarget = \"t\"\n[emulator]\nname = \"no\"\nprogram = \"qemu\"\n",
        );
        assert_eq!(board.name, "b");
        assert_eq!(board.target, "t");
        assert_eq!(board.emulator, "qemu");
    }

    #[test]
    fn a_process_of_its_own_has_no_emulator() {
        assert_eq!(read("[emulator]\nprogram = \"{elf}\"").emulator, "");
    }
}
