//! The bodies of the fuzzer that command lines may name: the front refuses a
//! wrong one before anything is built. A test of the fuzzer compares them with
//! its own.

/// Fuzzed functions.
pub const BODIES: &[&str] = &[
    "frame",
    "dhcp-request",
    "dhcp-reply",
    "tftp-packet",
    "tftp-transfer",
    "tftp-download",
    "netconf-document",
    "netconf-frames",
    "netconf-client",
    "http-head",
    "http-body",
    "ovsdb-session",
    "datagram",
    "message",
    "command-line",
    "json",
    "api",
    "manifest",
    "image-transfer",
    "asset-store",
    "partitions",
    "config-drive",
    "smbios",
    "journal",
    "records",
    "config",
    "sequences",
];
