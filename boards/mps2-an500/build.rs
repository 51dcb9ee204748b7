//! Turns `board.toml` into constants for the program and into `memory.x`
//! for the linker, so that an address is written down once.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use serde::Deserialize;

#[derive(Deserialize)]
struct Board {
    board: Name,
    memory: Memory,
    clock: Clock,
    uart: Uart,
    timer: Timer,
    nic: Nic,
    store: Store,
    journal: Journal,
    tables: Tables,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct Memory {
    flash_origin: u32,
    ram_origin: u32,
    flash_budget: u32,
    ram_budget: u32,
    stack: u32,
}

#[derive(Deserialize)]
struct Clock {
    hz: u32,
}

#[derive(Deserialize)]
struct Uart {
    base: u32,
    baud: u32,
}

#[derive(Deserialize)]
struct Timer {
    base: u32,
    irq: u16,
}

#[derive(Deserialize)]
struct Nic {
    base: u32,
    irq: u16,
    mac: String,
}

#[derive(Deserialize)]
struct Store {
    file: String,
}

#[derive(Deserialize)]
struct Journal {
    base: u32,
    size: usize,
    sector: usize,
    word: usize,
}

#[derive(Deserialize)]
struct Tables {
    nodes: usize,
    leases: usize,
    disks: usize,
    tftp_transfers: usize,
    http_connections: usize,
}

fn main() {
    println!("cargo:rerun-if-changed=board.toml");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=FARRIER_BOARD_OVERLAY");
    let mut table = read("board.toml");
    // A file whose values replace those of board.toml, for benches.
    if let Ok(file) = env::var("FARRIER_BOARD_OVERLAY") {
        println!("cargo:rerun-if-changed={file}");
        for (section, values) in read(&file) {
            let section = table.get_mut(&section).and_then(|s| s.as_table_mut());
            let section = section.expect("an overlay has sections of board.toml");
            section.extend(values.as_table().expect("a section").clone());
        }
    }
    let board: Board = table
        .try_into()
        .expect("board.toml has the fields listed here");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));

    fs::write(out.join("board.rs"), constants(&board)).expect("OUT_DIR is writable");
    fs::write(out.join("memory.x"), memory_x(&board.memory)).expect("OUT_DIR is writable");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    // Frames of unwound functions are of no use where nothing unwinds.
    println!("cargo:rustc-link-arg-bins=--nmagic");
}

fn read(file: &str) -> toml::Table {
    let text = fs::read_to_string(file).expect("board.toml lies beside build.rs");
    text.parse().expect("it is TOML")
}

fn constants(board: &Board) -> String {
    let mac: Vec<u8> = board
        .nic
        .mac
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).expect("nic.mac is six hex bytes"))
        .collect();
    assert_eq!(mac.len(), 6, "nic.mac is six hex bytes");
    let mut s = String::from("// Made from board.toml by build.rs.\n");
    let mut put = |doc: &str, name: &str, kind: &str, value: String| {
        writeln!(s, "/// {doc}\npub const {name}: {kind} = {value};").expect("a String takes it");
    };
    put(
        "The board's name.",
        "NAME",
        "&str",
        format!("{:?}", board.board.name),
    );
    put(
        "System clock, hertz.",
        "CLOCK_HZ",
        "u32",
        board.clock.hz.to_string(),
    );
    put(
        "UART base address.",
        "UART_BASE",
        "usize",
        board.uart.base.to_string(),
    );
    put(
        "UART rate, baud.",
        "UART_BAUD",
        "u32",
        board.uart.baud.to_string(),
    );
    put(
        "Timer base address.",
        "TIMER_BASE",
        "usize",
        board.timer.base.to_string(),
    );
    put(
        "Timer interrupt.",
        "TIMER_IRQ",
        "u16",
        board.timer.irq.to_string(),
    );
    put(
        "Ethernet base address.",
        "NIC_BASE",
        "usize",
        board.nic.base.to_string(),
    );
    put(
        "Ethernet interrupt.",
        "NIC_IRQ",
        "u16",
        board.nic.irq.to_string(),
    );
    put("Ethernet address.", "MAC", "[u8; 6]", format!("{mac:?}"));
    put(
        "Store file, unless named otherwise.",
        "STORE_FILE",
        "&str",
        format!("{:?}", board.store.file),
    );
    for (doc, name, value) in [
        (
            "Address of the journal's flash.",
            "JOURNAL_BASE",
            board.journal.base as usize,
        ),
        ("Bytes of it.", "JOURNAL_SIZE", board.journal.size),
        (
            "Bytes that are erased at once.",
            "JOURNAL_SECTOR",
            board.journal.sector,
        ),
        (
            "Bytes that are programmed at once.",
            "JOURNAL_WORD",
            board.journal.word,
        ),
    ] {
        put(doc, name, "usize", value.to_string());
    }
    put(
        "Servers in the rack.",
        "NODES",
        "usize",
        board.tables.nodes.to_string(),
    );
    put(
        "Leases at once.",
        "LEASES",
        "usize",
        board.tables.leases.to_string(),
    );
    put(
        "Disks between all servers.",
        "DISKS",
        "usize",
        board.tables.disks.to_string(),
    );
    put(
        "TFTP transfers at once.",
        "TFTP_TRANSFERS",
        "usize",
        board.tables.tftp_transfers.to_string(),
    );
    put(
        "HTTP connections at once.",
        "HTTP_CONNECTIONS",
        "usize",
        board.tables.http_connections.to_string(),
    );
    s
}

fn memory_x(memory: &Memory) -> String {
    let Memory {
        flash_origin,
        ram_origin,
        flash_budget,
        ram_budget,
        stack,
    } = memory;
    format!(
        "/* Made from board.toml by build.rs. */
MEMORY
{{
    FLASH : ORIGIN = {flash_origin:#010x}, LENGTH = {flash_budget:#x}
    STACK : ORIGIN = {ram_origin:#010x}, LENGTH = {stack:#x}
    RAM   : ORIGIN = {:#010x}, LENGTH = {:#x}
}}
_stack_start = ORIGIN(STACK) + LENGTH(STACK);
_stack_end = ORIGIN(STACK);
",
        ram_origin + stack,
        ram_budget - stack,
    )
}
