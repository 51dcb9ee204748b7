//! Hostile bytes for whatever reads a wire, a disk, a flash or an operator's
//! request, and for a whole rack in work.
//!
//! A *body* accepts any bytes. It asserts what must hold whatever they are,
//! and must not panic otherwise. `cargo xtask fuzz` lets libFuzzer look for
//! bytes that reach new code; the crate's test runs every body on its kept
//! corpus and on changed copies of it.
//!
//! | module | what it feeds |
//! |---|---|
//! | [`wire`] | DHCP, TFTP, HTTP, NETCONF, frames, agent datagrams |
//! | [`api`] | JSON, and whole requests of the operator's API |
//! | [`disk`] | manifests, asset store, partition tables, config drives, SMBIOS |
//! | [`flash`] | the journal, its records, the configuration |
//! | [`sequences`] | all of it in turn against a rack in work |
//! | [`change`] | deterministic changes of real messages, for the plain test |
//! | [`seeds`] | real messages, of which the kept corpora are made |

pub mod api;
pub mod change;
pub mod disk;
pub mod flash;
pub mod seeds;
pub mod sequences;
pub mod wire;

use std::path::PathBuf;

/// The variable that names the body of the program.
pub const BODY: &str = "FARRIER_FUZZ_BODY";

/// A fuzzed function.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    /// Its name, as in `cargo xtask fuzz NAME`.
    pub name: &'static str,
    /// What it does with bytes.
    pub run: fn(&[u8]),
    /// How long its inputs get, in bytes.
    pub longest: usize,
    /// How many changed inputs the plain test gives it: dear bodies get fewer.
    pub changes: u64,
}

const fn body(name: &'static str, run: fn(&[u8]), longest: usize, changes: u64) -> Body {
    Body {
        name,
        run,
        longest,
        changes,
    }
}

/// All bodies.
pub const BODIES: &[Body] = &[
    body("frame", wire::frame, 1536, 20_000),
    body("dhcp-request", farrier_dhcp::fuzz::request, 1500, 10_000),
    body("dhcp-reply", farrier_dhcp::fuzz::reply, 1500, 10_000),
    body("tftp-packet", farrier_tftp::fuzz::packet, 600, 20_000),
    body("tftp-transfer", farrier_tftp::fuzz::transfer, 512, 2_000),
    body("tftp-download", farrier_tftp::fuzz::download, 1024, 10_000),
    body(
        "netconf-document",
        farrier_netconf::fuzz::document,
        2048,
        10_000,
    ),
    body("netconf-frames", farrier_netconf::fuzz::frames, 512, 10_000),
    body("netconf-client", farrier_netconf::fuzz::client, 256, 5_000),
    body("http-head", wire::http_head, 4096, 20_000),
    body("http-body", wire::http_body, 2048, 10_000),
    body("ovsdb-session", farrier_ovsdb::fuzz::session, 2048, 10_000),
    body("datagram", wire::datagram, 1300, 1_000),
    body("message", wire::message, 8192, 5_000),
    body("command-line", wire::command_line, 2048, 10_000),
    body("json", api::json, 2048, 5_000),
    body("api", api::request, 4096, 500),
    body("manifest", disk::manifest, 1024, 10_000),
    body("image-transfer", disk::image_transfer, 256, 100),
    body("asset-store", disk::asset_store, 2048, 10_000),
    body("partitions", disk::partitions, 4096, 5_000),
    body("config-drive", disk::config_drive, 4096, 1_000),
    body("smbios", disk::smbios, 4096, 10_000),
    body("journal", flash::journal, 1024, 300),
    body("records", flash::records, 2048, 1_000),
    body("config", flash::config, 512, 10_000),
    body("sequences", sequences::run, 1024, 300),
];

/// The body of a name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Body> {
    BODIES.iter().find(|body| body.name == name)
}

/// The folder of a body's kept corpus, in this checkout.
#[must_use]
pub fn corpus(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("corpus").join(name)
}
