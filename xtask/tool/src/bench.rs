//! `cargo xtask bench`: figures of the firmware in instructions of its
//! Cortex-M7, and of DHCP at scale on the host (`scale`), each beside what it
//! compared with. Instructions are counted, not timed, so a slow or busy
//! machine gives the same figures. A bench fails only when it could not
//! measure, or when a client was served wrongly.

mod scale;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use farrier_asset_store::AssetKind;
use farrier_core::boot::PROGRAM_X64;
use farrier_core::interface::config::{CONFIG_ASSET, Config, OPERATOR_KEY_ASSET};
use farrier_deploy_ramdisk::ipxe;
use farrier_hil_tests::bench::{Meter, dhcp, flip, hostile, reset, tftp};
use farrier_hil_tests::job::networks::{self, PROVISIONING};
use farrier_hil_tests::qemu::{ApplianceSpec, ServerSpec};
use farrier_hil_tests::scenario::{Bench, Rack};
use farrier_hil_tests::server::Form;
use farrier_hil_tests::switch::Mac;
use farrier_protocol::signing;
use serde::Serialize;
use xtask::command_line::Given;

use crate::board::{Board, Firmware};
use crate::demo::bench::forwarded;
use crate::first_account::FirstAccount;
use crate::progress::Spinner;
use crate::sizes::Figure;
use crate::store::{self, Asset};
use crate::{target_folder, tools, workspace};

/// The board on which instructions are counted.
const BOARD: &str = "mps2-an500";
const UNIT: &str = "instructions";
/// Random requests that DHCP's lease table takes where no number is given.
const STORMS: u64 = 10_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    /// A DHCP exchange: DISCOVER, OFFER, REQUEST, ACK.
    Dhcp,
    /// A TFTP block of 1468 bytes.
    Tftp,
    /// Frames that are dropped.
    Hostile,
    /// Moves of a server's port by NETCONF over SSH.
    Flip,
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    figures: Vec<Figure>,
}

/// Carries out `cargo xtask bench`.
///
/// # Errors
/// Something does not build or run, or a client was not served properly.
pub fn run(given: &Given) -> Result<()> {
    let mut figures = Vec::new();
    let wanted = match given.text("name") {
        Some("dhcp") => Some(Name::Dhcp),
        Some("tftp") => Some(Name::Tftp),
        Some("hostile") => Some(Name::Hostile),
        Some("flip") => Some(Name::Flip),
        _ => None,
    };
    let wants = |name| wanted.is_none_or(|wanted| wanted == name);
    if wants(Name::Dhcp) && !given.flag("board-only") {
        figures.extend(scale::run(given.number("storms").unwrap_or(STORMS))?);
    }
    if !given.flag("host-only") {
        figures.extend(on_board(&wants)?);
    }
    for figure in &figures {
        println!(
            "{:<62} {:>9.0} {} = {:>5.2} × {} ({:.0})",
            figure.name,
            figure.value,
            figure.unit,
            figure.ratio,
            figure.baseline,
            figure.baseline_value,
        );
    }
    if let Some(path) = given.path("report") {
        let report = Report { ok: true, figures };
        fs::write(&path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// What is counted on the emulated board.
fn on_board(wants: &dyn Fn(Name) -> bool) -> Result<Vec<Figure>> {
    tools::ensure(&["qemu-system-arm", "/usr/lib/ipxe/snponly.efi"])?;
    let mut figures = Vec::new();
    if wants(Name::Dhcp) {
        let (bench, _) = prepare(Some("bench"))?;
        let rack = bench.rack("bench-dhcp", Vec::new())?;
        figures.extend(dhcp(&rack).with_context(|| logs(&rack))?);
        drop(rack);
        let (bench, _) = prepare(None)?;
        let rack = bench.rack("bench-reset", Vec::new())?;
        figures.extend(in_use_for_long(&rack).with_context(|| logs(&rack))?);
    }
    if wants(Name::Tftp) {
        let (bench, program) = prepare(None)?;
        let rack = bench.rack("bench-tftp", Vec::new())?;
        figures.extend(tftp(&bench, &rack, &program).with_context(|| logs(&rack))?);
    }
    if wants(Name::Hostile) {
        let (bench, _) = prepare(None)?;
        let rack = bench.rack("bench-hostile", Vec::new())?;
        figures.extend(hostile(&rack).with_context(|| logs(&rack))?);
    }
    if wants(Name::Flip) {
        let (bench, _) = prepare(None)?;
        // Its port has no link while it is off.
        let bench = Bench {
            form: Form::Light,
            ..bench
        };
        // Where nothing leads a node that is only enrolled.
        let server = bench.small_disks(ServerSpec::bios("flipped", 1));
        let netconf = networks::netconf();
        let rack = networks::rack(&bench, "bench-flip", vec![server], netconf, PROVISIONING)?;
        figures.extend(flip(&rack).with_context(|| logs(&rack))?);
    }
    Ok(figures)
}

/// Keeps what a rack has logged, and says where.
fn logs(rack: &Rack) -> String {
    format!("logs are in {}", rack.keep().display())
}

/// The same count beside each of its baselines.
fn figures(name: &str, value: f64, baselines: &[(&str, f64)]) -> Vec<Figure> {
    baselines
        .iter()
        .map(|(baseline, baseline_value)| Figure {
            name: name.to_owned(),
            value,
            unit: UNIT,
            baseline: (*baseline).to_owned(),
            baseline_value: *baseline_value,
            ratio: value / baseline_value,
        })
        .collect()
}

/// Servers that boot: as many as a rack has.
const SERVERS: u32 = 48;
/// Numbers of leases, those of the servers included where there is room.
const LEASES: [u32; 4] = [10, 100, 1000, 10_000];
/// Exchanges that a count is divided by, without a sweep of the journal.
const EXCHANGES: u32 = 400;

/// The board's variant for counting has a larger table than a rack needs, and
/// a larger journal. Time of the flash medium is not in the figures: the
/// emulator has none.
fn dhcp(rack: &Rack) -> Result<Vec<Figure>> {
    let spinner = Spinner::start("DHCP");
    let port = rack.switch().add_host_port("clients")?;
    let mut clients = dhcp::Clients::new(&port);
    let meter = Meter::new(rack)?;
    // Every client that is counted has a lease already: leases are renewed, not
    // made, and no client becomes a node.
    let mut all = Vec::new();
    let mut few: Option<[f64; 2]> = None;
    for leases in LEASES {
        spinner.step(&format!("{leases} leases"));
        // Half of them where there are few, so that both kinds are there.
        let servers = SERVERS.min(leases / 2);
        let others = leases - servers;
        clients.meet(dhcp::Kind::Booting, servers)?;
        clients.meet(dhcp::Kind::Other, others)?;
        let costs = [
            cost(
                &meter,
                &mut clients,
                dhcp::Kind::Booting,
                servers,
                EXCHANGES,
            )?,
            cost(&meter, &mut clients, dhcp::Kind::Other, others, EXCHANGES)?,
        ];
        let few = *few.get_or_insert(costs);
        let kinds = ["a booting server", "another client"];
        for ((kind, cost), few) in kinds.into_iter().zip(costs).zip(few) {
            all.extend(figures(
                &format!("Cortex-M7: DHCP exchange of {kind}, {leases} leases, durable"),
                cost,
                &[("goal", 60_000.0), ("the same at 10 leases", few)],
            ));
        }
    }
    spinner.done(&format!("{EXCHANGES} exchanges of each kind"));
    Ok(all)
}

/// Resets of which the worst counts.
const RESETS: u32 = 6;
/// Exchanges that fill the journal: it is swept several times.
const FILLING: u32 = 12_000;

/// The firmware that ships, with as many nodes as it has room for and a
/// journal in long use: the cost of an exchange with the sweeps that make room
/// for its record, and the cost of a reset.
fn in_use_for_long(rack: &Rack) -> Result<Vec<Figure>> {
    let spinner = Spinner::start("a journal in use for long");
    let port = rack.switch().add_host_port("clients")?;
    let mut clients = dhcp::Clients::new(&port);
    let meter = Meter::new(rack)?;
    spinner.step(&format!("{SERVERS} nodes, {FILLING} exchanges"));
    clients.meet(dhcp::Kind::Booting, SERVERS)?;
    let swept = cost(&meter, &mut clients, dhcp::Kind::Booting, SERVERS, FILLING)?;
    // The journal is longest just before a sweep ends: the worst of several
    // moments counts.
    let mut worst: Option<reset::Start> = None;
    for round in 0..RESETS {
        spinner.step(&format!("reset {} of {RESETS}", round + 1));
        let start = reset::to_first_offer(rack, &port)?;
        if worst
            .as_ref()
            .is_none_or(|worst| worst.instructions < start.instructions)
        {
            worst = Some(start);
        }
        rounds(&mut clients, dhcp::Kind::Booting, SERVERS, FILLING / 12)?;
    }
    let start = worst.context("no reset was tried")?;
    spinner.done(&format!("the longest journal: start {}", start.journal));
    let mut all = figures(
        &format!("Cortex-M7: DHCP exchange, {SERVERS} nodes, sweeps included"),
        swept,
        &[("goal", 60_000.0)],
    );
    all.extend(figures(
        &format!("Cortex-M7: reset to the first OFFER, {SERVERS} nodes"),
        start.instructions,
        &[("goal", 50_000_000.0)],
    ));
    Ok(all)
}

/// Instructions of one exchange of clients that the appliance knows.
fn cost(
    meter: &Meter<'_>,
    clients: &mut dhcp::Clients<'_>,
    kind: dhcp::Kind,
    among: u32,
    exchanges: u32,
) -> Result<f64> {
    let (count, ()) = meter.count(|| rounds(clients, kind, among, exchanges))?;
    Ok(count / f64::from(exchanges))
}

/// So many exchanges, of one client after the other.
fn rounds(
    clients: &mut dhcp::Clients<'_>,
    kind: dhcp::Kind,
    among: u32,
    exchanges: u32,
) -> Result<()> {
    for exchange in 0..exchanges {
        clients.exchange(kind, exchange % among)?;
    }
    Ok(())
}

/// Frames of each kind that a count is divided by.
const FRAMES: u32 = 400;

/// What each kind of hostile frame takes, held against the goals.
fn hostile(rack: &Rack) -> Result<Vec<Figure>> {
    let spinner = Spinner::start("hostile frames");
    let port = rack.switch().add_host_port("hostile")?;
    let mut machine = hostile::Machine::new(&port)?;
    let meter = Meter::new(rack)?;
    let mut all = Vec::new();
    for (kind, cost) in hostile::cost(&meter, &mut machine, FRAMES)? {
        let goal = if kind.is_keyed() { 15_000.0 } else { 1_500.0 };
        all.extend(figures(
            &format!("Cortex-M7: a hostile frame: {}", kind.words()),
            cost,
            &[("goal", goal)],
        ));
    }
    spinner.done(&format!("{FRAMES} frames of each kind"));
    Ok(all)
}

/// Flips that a count is divided by.
const FLIPS: u32 = 4;

/// What a move of a port takes, beside a request of the API.
fn flip(rack: &Rack) -> Result<Vec<Figure>> {
    let spinner = Spinner::start("flips");
    let meter = Meter::new(rack)?;
    let flip::Cost { flip, request } = flip::cost(&meter, rack, FLIPS)?;
    spinner.done(&format!("{FLIPS} flips"));
    Ok(figures(
        "Cortex-M7: a flip by NETCONF over SSH, two sessions",
        flip,
        &[("a request of the API with a password", request)],
    ))
}

/// A block that fills an Ethernet frame.
const BLOCK: u16 = 1468;
/// Transfers that a count is divided by.
const TRANSFERS: u32 = 5;

fn tftp(bench: &Bench, rack: &Rack, program: &[u8]) -> Result<Vec<Figure>> {
    let spinner = Spinner::start("TFTP");
    let mut client = tftp::Client::new(
        rack.switch().add_host_port("client")?,
        Mac([0x52, 0x54, 0x00, 0xBE, 0x02, 0]),
        // The port forward has the address above the appliance's; pools begin
        // further up.
        Ipv4Addr::from_bits(bench.address.to_bits() + 2),
        bench.prefix,
        bench.address,
    );
    let meter = Meter::new(rack)?;
    let mut all = Vec::new();
    for window in [1, 4] {
        spinner.step(&format!("window {window}"));
        let mut fetch = || client.fetch(PROGRAM_X64, program, BLOCK, window);
        // The first transfer resolves the addresses.
        fetch()?;
        let (count, blocks) = meter.count(|| {
            let mut blocks = 0;
            for _ in 0..TRANSFERS {
                blocks += fetch()?.blocks;
            }
            Ok(blocks)
        })?;
        all.extend(figures(
            &format!("TFTP block of {BLOCK} bytes, window {window}"),
            count / f64::from(blocks),
            &[
                ("dnsmasq's user instructions, kernel not counted", 4_283.0),
                ("goal", 2_500.0),
            ],
        ));
    }
    spinner.done(&format!(
        "{TRANSFERS} transfers of {} bytes with each window, requests included",
        program.len()
    ));
    Ok(all)
}

/// Builds the firmware or a variant of it, and a rack's parts without what only servers need.
/// Also gives the boot program that is served.
fn prepare(variant: Option<&str>) -> Result<(Bench, Vec<u8>)> {
    let mut board = Board::named(&workspace(), BOARD)?;
    let mut folder = target_folder();
    if let Some(name) = variant {
        board = board.varied(&workspace(), name)?;
        // The firmware that ships is in the folder itself.
        folder = folder.join(name);
    }
    let spinner = Spinner::start(format!("firmware {BOARD} {}", variant.unwrap_or_default()));
    let Firmware { elf, .. } = board.build(&workspace(), &folder, &tools::command)?;
    spinner.done("built");
    let emulator = board
        .emulator
        .clone()
        .context("the board has no emulator")?;
    let arguments: Vec<String> = emulator.arguments.iter().map(|a| report_load(a)).collect();
    let program = ipxe::programs(&tools::as_fn())?
        .into_iter()
        .find(|program| program.name == PROGRAM_X64)
        .context("there is no boot program for x86-64")?
        .bytes;
    let served = program.clone();
    let account = FirstAccount::random()?;
    let mut config = forwarded(&account)?;
    if variant.is_some() {
        config.prefix = 16;
        config.pool_first = Ipv4Addr::new(172, 22, 1, 0);
        config.pool_len = 12_000;
        // No lease expires meanwhile.
        config.lease_secs = 86_400;
    }
    let bench = Bench {
        tools: tools::as_fn(),
        // No server boots here.
        form: Form::Whole,
        agent: PathBuf::new(),
        image: String::new(),
        work: target_folder().join("rigs"),
        password: account.password,
        address: config.address,
        prefix: config.prefix,
        write_bare_store: Arc::new(|_| bail!("benches have accounts")),
        write_store: Arc::new(move |path| write_store(path, &config, &served)),
        appliance: Arc::new(move |store| {
            ApplianceSpec::emulated(&emulator.program, &arguments, &elf, store).with_icount(0)
        }),
    };
    Ok((bench, program))
}

/// An argument of the emulator, with the word in the firmware's command line
/// that makes it report its load.
fn report_load(argument: &str) -> String {
    argument.replace("arg=store={store}", "arg=store={store},arg=load=1")
}

/// A store with one boot program.
fn write_store(path: &Path, config: &Config, program: &[u8]) -> Result<()> {
    let operator = signing::SecretKey::from_bytes(&[3; 32]).public().0;
    let assets = [
        Asset::bytes(
            CONFIG_ASSET,
            AssetKind::Config,
            postcard::to_stdvec(config)?,
        ),
        Asset::bytes(
            OPERATOR_KEY_ASSET,
            AssetKind::OperatorKey,
            operator.to_vec(),
        ),
        Asset::bytes(PROGRAM_X64, AssetKind::Public, program.to_vec()),
    ];
    store::write(path, &assets, 1)
}
