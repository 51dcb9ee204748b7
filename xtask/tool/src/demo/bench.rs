//! Builds what a virtual rack is made of.

use crate::board::{Board, Firmware};
use crate::kit::{self, Kit};
use crate::{target_folder, tools, workspace};
use anyhow::{Context, Result};
use farrier_core::interface::config::Config;
use farrier_deploy_ramdisk::ramdisk::Flavour;
use farrier_hil_tests::qemu::ApplianceSpec;
use farrier_hil_tests::scenario::Bench;
use std::sync::Arc;

/// The outside programs and files that a rack needs, beside those for
/// building its parts.
const RACK_TOOLS: [&str; 6] = [
    "qemu-system-x86_64",
    "qemu-system-arm",
    "/usr/share/seabios/bios-256k.bin",
    "/usr/lib/ipxe/qemu/efi-virtio.rom",
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/OVMF/OVMF_VARS_4M.fd",
];

/// QEMU 7.2's NVMe controller now and then misses that a command was put into
/// its queue. The kernel notices after this many seconds and resets the
/// controller; its default of 30 makes that a very long demo.
const KERNEL_OPTIONS: &str = "nvme_core.io_timeout=3";

/// A bench, and what it was built from.
pub struct Prepared {
    /// What scenarios run on.
    pub bench: Bench,
    /// The appliance's firmware.
    pub firmware: Firmware,
    /// The other parts.
    pub kit: Kit,
}

/// Installs what is missing and builds everything for a rack whose appliance
/// is of `board`.
///
/// # Errors
/// A tool is missing, or a build fails.
pub fn prepare(board: &str) -> Result<Prepared> {
    tools::ensure(&RACK_TOOLS)?;
    let board = Board::named(&workspace(), board)?;
    let kit = kit::prepare(Flavour::Virtual)?;
    let spinner = crate::progress::Spinner::start(format!("firmware {}", board.board.name));
    let firmware = board.build(&workspace(), &target_folder(), &tools::command)?;
    spinner.done(&format!(
        "{}: room for {} servers, {} TFTP transfers and {} HTTP connections at once",
        board.board.description,
        board.tables.nodes,
        board.tables.tftp_transfers,
        board.tables.http_connections
    ));
    let emulator = board
        .emulator
        .clone()
        .context("the board has no emulator")?;
    let config = Config {
        kernel_options: KERNEL_OPTIONS.try_into().context("they are short")?,
        ..Config::default()
    };
    let slots = u32::try_from(board.tables.nodes)?;
    let (elf, stores) = (firmware.elf.clone(), kit.clone());
    let bench = Bench {
        tools: tools::as_fn(),
        image: kit::DEBIAN.to_owned(),
        work: target_folder().join("rigs"),
        address: config.address,
        prefix: config.prefix,
        write_store: Arc::new(move |path| stores.write_store(path, &config, slots)),
        appliance: Arc::new(move |store| match emulator.program.as_str() {
            "{elf}" => ApplianceSpec::host(&elf, store),
            program => ApplianceSpec::emulated(program, &emulator.arguments, &elf, store),
        }),
    };
    Ok(Prepared {
        bench,
        firmware,
        kit,
    })
}
