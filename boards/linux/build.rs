//! Turns the table sizes of `board.toml` into constants for the program.

use std::path::PathBuf;
use std::{env, fs};

use serde::Deserialize;

#[derive(Deserialize)]
struct Board {
    tables: Tables,
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
    let text = fs::read_to_string("board.toml").expect("board.toml lies beside build.rs");
    let board: Board = toml::from_str(&text).expect("board.toml has the fields listed here");
    let Tables {
        nodes,
        leases,
        disks,
        tftp_transfers,
        http_connections,
    } = board.tables;
    let constants = format!(
        "// Made from board.toml by build.rs.
/// Servers in the rack.
pub const NODES: usize = {nodes};
/// Leases at once.
pub const LEASES: usize = {leases};
/// Disks between all servers.
pub const DISKS: usize = {disks};
/// TFTP transfers at once.
pub const TFTP_TRANSFERS: usize = {tftp_transfers};
/// HTTP connections at once.
pub const HTTP_CONNECTIONS: usize = {http_connections};
"
    );
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("board.rs"), constants).expect("OUT_DIR is writable");
}
