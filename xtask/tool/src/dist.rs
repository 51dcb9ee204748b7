//! `cargo xtask dist`: all that a rack needs, in one folder.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use farrier_core::interface::config::Config;
use farrier_core::interface::erase_method;
use farrier_deploy_ramdisk::{ipxe, ramdisk::Flavour};

use xtask::command_line::Given;

use crate::first_account::FirstAccount;
use crate::{board::Board, kit, progress::Spinner, target_folder, tools, workspace};

/// Builds firmware, ramdisks, network-boot programs and an asset store for
/// servers, and puts them into one folder.
///
/// The store holds no secret key: each appliance that is started with it makes
/// its own, and their first account has the same password.
///
/// # Errors
/// A part does not build or a file can't be written.
pub fn run(given: &Given) -> Result<()> {
    let folder = given
        .path("output")
        .unwrap_or_else(|| target_folder().join("dist"));
    fs::create_dir_all(&folder)?;
    let mut slots = 1;
    for board in Board::all(&workspace())? {
        let spinner = Spinner::start(format!("firmware {}", board.board.name));
        spinner.step("compiling");
        let firmware = board.build(&workspace(), &target_folder(), &tools::command)?;
        copy(
            &firmware.elf,
            &folder.join(format!("farrier-{}.elf", board.board.name)),
        )?;
        spinner.done(&format!("{} bytes of flash", firmware.flash_bytes));
        slots = slots.max(u32::try_from(board.tables.nodes)?);
    }
    let (_, virtual_ramdisk) = kit::build_ramdisk(Flavour::Virtual)?;
    copy(&virtual_ramdisk, &folder.join("ramdisk-virtual.img"))?;
    for program in ipxe::programs(&tools::as_fn())? {
        fs::write(folder.join(program.name), program.bytes)?;
    }
    let kit = kit::prepare(Flavour::Hardware)?;
    copy(&kit.kernel, &folder.join("vmlinuz"))?;
    copy(&kit.ramdisk, &folder.join("ramdisk-hardware.img"))?;
    for image in &kit.images {
        copy(
            &image.manifest,
            &folder.join(format!("{}.manifest", image.name)),
        )?;
        copy(&image.data, &folder.join(format!("{}.data", image.name)))?;
    }
    let account = FirstAccount::random()?;
    let mut config = Config {
        admin: Some(account.verifier),
        reread: !given.flag("no-reread"),
        ..Config::default()
    };
    if let Some(least) = given.text("least-erase").and_then(erase_method) {
        config.least_erase = least;
    }
    let store = folder.join("store.img");
    kit.write_store(&store, &config, slots)?;
    let file = account.write(&folder)?;
    println!("{}", folder.display());
    println!(
        "account admin, password {}, also in {}",
        account.password,
        file.display()
    );
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
