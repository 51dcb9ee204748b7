//! Decisions without a kernel: what to load, what the hardware is, how a disk
//! is emptied, what a partition table must become. Nothing here reads a
//! clock, opens a file or sends a packet; all of it runs in tests and in a
//! simulator as it does in a server.

pub mod cmdline;
pub mod config_drive;
pub mod erase;
pub mod fat;
pub mod gzip_base64;
pub mod inventory;
pub mod modules;
pub mod partitions;
pub mod smbios;
pub mod zero;
