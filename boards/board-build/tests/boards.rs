//! Boards as they lie in folders: read, varied, selected, turned into source.

use std::fs;
use std::path::{Path, PathBuf};

use farrier_board_build::description::{Board, Error};
use farrier_board_build::generate;
use farrier_board_build::select::{Target, select};

fn boards() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn board(name: &str) -> Board {
    Board::read(&boards().join(name).join("board.toml")).unwrap()
}

fn bare_metal(triple: &str) -> Target {
    Target {
        triple: triple.to_owned(),
        hosted: false,
    }
}

fn host() -> Target {
    Target {
        triple: "x86_64-unknown-linux-gnu".to_owned(),
        hosted: true,
    }
}

/// A folder with a copy of each board's file, changed by `change`.
fn copies(test: &str, change: impl Fn(&str, String) -> String) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    for file in Board::files(&boards()).unwrap() {
        let name = file.parent().unwrap().file_name().unwrap();
        let text = change(name.to_str().unwrap(), fs::read_to_string(&file).unwrap());
        fs::create_dir_all(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("board.toml"), text).unwrap();
    }
    folder
}

#[test]
fn every_board_in_the_tree_reads() {
    let all = Board::all(&boards()).unwrap();
    let names: Vec<_> = all.iter().map(|board| board.board.name.as_str()).collect();
    assert_eq!(names, ["linux", "mps2-an500"]);
}

#[test]
fn a_build_without_a_name_takes_the_board_of_its_target() {
    let all = Board::all(&boards()).unwrap();
    let arm = bare_metal("thumbv7em-none-eabi");
    let named = |target: &Target| select(all.clone(), None, target).map(|b| b.board.name);
    assert_eq!(named(&arm).unwrap(), "mps2-an500");
    assert_eq!(named(&host()).unwrap(), "linux");
    let error = named(&bare_metal("riscv32imac-unknown-none-elf")).unwrap_err();
    assert!(error.to_string().contains("FARRIER_BOARD"), "{error}");
}

#[test]
fn a_name_wins_over_the_target() {
    let all = Board::all(&boards()).unwrap();
    let found = select(all.clone(), Some("mps2-an500"), &host()).unwrap();
    assert_eq!(found.board.name, "mps2-an500");
    let error = select(all, Some("toaster"), &host()).unwrap_err();
    assert!(error.to_string().contains("linux, mps2-an500"), "{error}");
}

#[test]
fn two_boards_of_one_target_need_a_name() {
    let mut all = Board::all(&boards()).unwrap();
    let mut second = board("mps2-an500");
    second.board.name = "another".to_owned();
    all.push(second);
    let arm = bare_metal("thumbv7em-none-eabi");
    let error = select(all.clone(), None, &arm).unwrap_err();
    assert!(matches!(error, Error::Selection(_)), "{error}");
    assert!(select(all, Some("another"), &arm).is_ok());
}

#[test]
fn an_overlay_replaces_what_it_names_and_nothing_else() {
    let own = board("mps2-an500");
    let bench = own
        .with_overlay(&boards().join("mps2-an500/bench.toml"))
        .unwrap();
    let (memory, varied) = (own.memory.unwrap(), bench.memory.unwrap());
    assert!(varied.ram_budget > memory.ram_budget);
    assert_eq!(varied.flash_budget, memory.flash_budget);
    assert!(bench.tables.leases > own.tables.leases);
    assert_eq!(bench.tables.nodes, own.tables.nodes);
    assert!(generate::sizes(&bench).contains("pub const LEASES: usize = 12000;"));
}

#[test]
fn misspelt_keys_and_sections_are_errors() {
    let folder = copies("misspelt", |_, text| text.replace("nodes =", "node ="));
    let error = Board::all(&folder).unwrap_err().to_string();
    assert!(error.contains("node"), "{error}");

    let overlay = Path::new(env!("CARGO_TARGET_TMPDIR")).join("overlay.toml");
    fs::write(&overlay, "[table]\nleases = 1\n").unwrap();
    let error = board("linux").with_overlay(&overlay).unwrap_err();
    assert!(matches!(error, Error::Section(..)), "{error}");
    fs::write(&overlay, "[tables]\nlease = 1\n").unwrap();
    let error = board("linux").with_overlay(&overlay).unwrap_err();
    assert!(matches!(error, Error::Parse(..)), "{error}");
}

#[test]
fn values_without_sense_are_errors() {
    for (from, to) in [
        ("name = \"mps2-an500\"", "name = \"mps3\""),
        ("stack = 0x", "stack = 0x7fff"),
        ("mac = \"02:", "mac = \"0g:"),
        ("sector = 4096", "sector = 4000"),
    ] {
        let folder = copies("senseless", |name, text| match name {
            "mps2-an500" => {
                assert!(text.contains(from), "{from}");
                text.replacen(from, to, 1)
            }
            _ => text,
        });
        assert!(Board::all(&folder).is_err(), "{to}");
    }
}

#[test]
fn stack_and_statics_fill_the_ram_budget() {
    let memory = board("mps2-an500").memory.unwrap();
    let text = generate::memory_x(&memory);
    let length = |region: &str| {
        let line = text.lines().find(|line| line.contains(region)).unwrap();
        let hex = line.rsplit("0x").next().unwrap();
        u32::from_str_radix(hex, 16).unwrap()
    };
    assert_eq!(length("STACK :") + length("RAM :"), memory.ram_budget);
    assert_eq!(length("FLASH :"), memory.flash_budget);
}

#[test]
fn a_process_has_no_addresses_and_a_board_has_all() {
    let linux = generate::constants(&board("linux"));
    let arm = generate::constants(&board("mps2-an500"));
    for name in ["NIC_BASE", "UART_BASE", "TIMER_IRQ", "JOURNAL_BASE", "MAC"] {
        assert!(!linux.contains(name), "{name}");
        assert!(arm.contains(name), "{name}");
    }
    assert!(linux.contains("JOURNAL_SIZE"));
    assert!(arm.contains("[2, 250, 68, 30, 0, 1]"), "{arm}");
}
