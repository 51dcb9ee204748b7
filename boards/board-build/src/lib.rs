//! Reads `board.toml`: one typed reader for the build script of every board,
//! for the sizes of core and firmware, and for `cargo xtask`.
//!
//! | module | what |
//! |---|---|
//! | [`description`] | the fields of `board.toml`, overlays |
//! | [`select`] | which board a build is for |
//! | [`generate`] | constants as Rust source, `memory.x` for the linker |
//!
//! Two build scripts use it. `boards/sizes` calls [`sizes_script`], and its
//! constants size core and firmware. A board calls [`board_script`], which
//! writes the addresses of its hardware and its memory map. Both read the
//! environment variables `FARRIER_BOARD` and `FARRIER_BOARD_OVERLAY`, and
//! cargo runs them again when one of these or a file that they read changes.
#![forbid(unsafe_code)]

pub mod description;
pub mod generate;
pub mod select;

pub use description::{Board, Error};

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Build script of `farrier-sizes`: writes `sizes.rs` into `OUT_DIR`.
///
/// # Panics
/// No board fits the build, or its file is wrong. Cargo shows the message.
pub fn sizes_script() {
    let crate_folder = variable("CARGO_MANIFEST_DIR");
    let boards = Path::new(&crate_folder).join("..");
    let board = selected(&boards);
    write("sizes.rs", &generate::sizes(&board));
}

/// Build script of a board: writes `board.rs` and, for a bare-metal board,
/// `memory.x` into `OUT_DIR`, and passes the linker scripts of `cortex-m-rt`
/// and `defmt` on.
///
/// # Panics
/// The build is for another board, or `board.toml` is wrong. Cargo shows the
/// message.
pub fn board_script() {
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let board = selected(&folder.join(".."));
    let own = folder.file_name().unwrap_or_default();
    assert!(
        own == board.board.name.as_str(),
        "this build is for board {}, so it can not build {}: set FARRIER_BOARD={}, or use cargo xtask",
        board.board.name,
        own.display(),
        own.display()
    );
    write("board.rs", &generate::constants(&board));
    if let Some(memory) = &board.memory {
        write("memory.x", &generate::memory_x(memory));
        println!("cargo:rustc-link-search={}", variable("OUT_DIR"));
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
        println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
        // Without page alignment between segments: flash is not paged.
        println!("cargo:rustc-link-arg-bins=--nmagic");
    }
}

/// The board that this build is for. Tells cargo what the answer hangs on.
fn selected(boards: &Path) -> Board {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={}", select::BOARD);
    println!("cargo:rerun-if-env-changed={}", select::OVERLAY);
    let wanted = env::var(select::BOARD).ok();
    let overlay = env::var_os(select::OVERLAY).map(PathBuf::from);
    let target = select::Target {
        triple: variable("TARGET"),
        hosted: !matches!(variable("CARGO_CFG_TARGET_OS").as_str(), "none" | "uefi"),
    };
    let selected = Board::all(boards)
        .and_then(|all| select::select(all, wanted.as_deref(), &target))
        .and_then(|board| match &overlay {
            Some(file) => board.with_overlay(file),
            None => Ok(board),
        });
    let board = match selected {
        Ok(board) => board,
        Err(error) => panic!("{error}"),
    };
    // Without a selection by name, every board is looked at.
    for file in Board::files(boards).unwrap_or_default() {
        if wanted.is_none() || file == board.file {
            println!("cargo:rerun-if-changed={}", file.display());
        }
    }
    if let Some(file) = overlay {
        println!("cargo:rerun-if-changed={}", file.display());
    }
    board
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: cargo sets it for build scripts"))
}

fn write(name: &str, text: &str) {
    let path = Path::new(&variable("OUT_DIR")).join(name);
    if let Err(error) = fs::write(&path, text) {
        panic!("{}: {error}", path.display());
    }
}
