//! The network-boot programs of Debian's `ipxe` package.

use std::fs;

use anyhow::{Context, Result};

use crate::{Tools, data_file};

/// A program for a kind of firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Name on the TFTP and HTTP servers.
    pub name: &'static str,
    /// The content.
    pub bytes: Vec<u8>,
}

/// The served name of each program and its path in Debian.
const PROGRAMS: [(&str, &str); 3] = [
    ("undionly.kpxe", "/usr/lib/ipxe/undionly.kpxe"),
    ("snponly.efi", "/usr/lib/ipxe/snponly.efi"),
    ("ipxe.efi", "/boot/ipxe.efi"),
];

/// Reads the programs: for BIOS, for UEFI with the firmware's driver (preferred), and
/// for UEFI with iPXE's drivers.
///
/// # Errors
/// The package is missing and `tools` can't install it.
pub fn programs(tools: &Tools) -> Result<Vec<Program>> {
    PROGRAMS
        .iter()
        .map(|(name, path)| {
            let file = data_file(tools, path)?;
            let bytes =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(Program { name, bytes })
        })
        .collect()
}
