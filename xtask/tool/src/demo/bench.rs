//! Builds what a virtual rack is made of.

use crate::board::{Board, Firmware};
use crate::first_account::FirstAccount;
use crate::kit::{self, Kit};
use crate::{target_folder, tools, workspace};
use anyhow::{Context, Result, ensure};
use farrier_core::interface::config::Config;
use farrier_deploy_ramdisk::ramdisk::Flavour;
use farrier_hil_tests::light;
use farrier_hil_tests::qemu::ApplianceSpec;
use farrier_hil_tests::scenario::Bench;
use farrier_hil_tests::server::Form;
use std::path::PathBuf;
use std::sync::Arc;

/// The outside programs and files that a rack of whole servers needs, beside
/// those for building its parts and for its appliance.
const WHOLE_TOOLS: [&str; 5] = [
    "qemu-system-x86_64",
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
    /// The appliance's first account.
    pub account: FirstAccount,
}

/// A configuration for an appliance that operators reach through a port
/// forward of this host.
///
/// # Errors
/// There is no room for the names.
pub fn forwarded(account: &FirstAccount) -> Result<Config> {
    let config = Config {
        admin: Some(account.verifier),
        ..Config::default()
    };
    config
        .reached_by("127.0.0.1")
        .and_then(|config| config.reached_by("localhost"))
        .context("there is room for two names")
}

/// Installs what is missing and builds everything for a rack of whole servers
/// whose appliance is of `board`.
///
/// # Errors
/// A tool is missing, or a build fails.
pub fn prepare(board: &str) -> Result<Prepared> {
    prepare_form(board, Form::Whole)
}

/// The same for servers of `form`.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_form(board: &str, form: Form) -> Result<Prepared> {
    let board = Board::named(&workspace(), board)?;
    let mut wanted = match form {
        Form::Light => Vec::new(),
        Form::Whole => WHOLE_TOOLS.to_vec(),
    };
    let emulator = board.emulator.as_ref().map(|emulator| &*emulator.program);
    wanted.extend(emulator.filter(|program| !program.starts_with('{')));
    // Ends what the rig starts with the rig.
    wanted.push("setpriv");
    tools::ensure(&wanted)?;
    let (kit, agent) = match form {
        Form::Light => (kit::light()?, light_agent()?),
        Form::Whole => (kit::prepare(Flavour::Virtual)?, PathBuf::new()),
    };
    let spinner = crate::progress::Spinner::start(format!("firmware {}", board.board.name));
    spinner.step("compiling");
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
    let account = FirstAccount::random()?;
    let config = Config {
        kernel_options: KERNEL_OPTIONS.try_into().context("they are short")?,
        ..forwarded(&account)?
    };
    let slots = u32::try_from(board.tables.nodes)?;
    let (elf, stores, bare) = (firmware.elf.clone(), kit.clone(), kit.clone());
    let without = Config {
        admin: None,
        ..config.clone()
    };
    let bench = Bench {
        tools: tools::as_fn(),
        form,
        agent,
        image: kit
            .images
            .first()
            .context("the kit has an image")?
            .name
            .clone(),
        work: target_folder().join("rigs"),
        password: account.password.clone(),
        address: config.address,
        prefix: config.prefix,
        write_store: Arc::new(move |path| stores.write_store(path, &config, slots)),
        write_bare_store: Arc::new(move |path| bare.write_store(path, &without, slots)),
        appliance: Arc::new(move |store| match emulator.program.as_str() {
            "{elf}" => ApplianceSpec::host(&elf, store),
            program => ApplianceSpec::emulated(program, &emulator.arguments, &elf, store),
        }),
    };
    Ok(Prepared {
        bench,
        firmware,
        kit,
        account,
    })
}

/// The agent as a program of this host.
fn light_agent() -> Result<PathBuf> {
    let spinner = crate::progress::Spinner::start("agent for light servers".to_owned());
    spinner.step("compiling");
    let output = xtask::build_as_tests(light::AGENT_PROGRAM)?
        .output()
        .context("cargo does not start")?;
    ensure!(
        output.status.success(),
        "the agent does not build:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    spinner.done("built");
    Ok(target_folder().join("debug").join(light::AGENT_PROGRAM))
}
