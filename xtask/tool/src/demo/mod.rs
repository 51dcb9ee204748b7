//! `cargo xtask demo`: the main job, from power-on to a running system and
//! back, in a virtual rack. The appliance moves the servers' ports from network to
//! network by NETCONF.

pub mod bench;
mod report;
pub mod watch;

use anyhow::{Context, Result, bail};
use farrier_hil_tests::job::{self, ServerReport, networks};
use farrier_hil_tests::qemu::ServerSpec;
use farrier_hil_tests::scenario::Rack;
use report::Report;
use std::convert::Infallible;
use std::path::Path;
use std::{fs, thread};
use watch::Screen;
use xtask::command_line::Given;
use xtask::commands::DEFAULT_BOARD;

/// Carries out `cargo xtask demo`.
///
/// # Errors
/// A part does not build, or a server does not go the whole way.
pub fn run(given: &Given) -> Result<()> {
    let board = given.text("board").unwrap_or(DEFAULT_BOARD);
    let servers = given.number("servers").unwrap_or(2);
    let prepared = bench::prepare(board)?;
    let (bench, kit) = (&prepared.bench, &prepared.kit);
    let screen = Screen::new(given.flag("headless"));
    let specs = (1..=u8::try_from(servers)?).map(|number| {
        if number % 2 == 1 {
            ServerSpec::bios(&format!("bios-{number}"), number)
        } else {
            ServerSpec::uefi(&format!("uefi-{number}"), number)
        }
    });
    let specs = specs.map(job::small_disk).collect();
    let rack = networks::rack(bench, "demo", specs, networks::netconf(), networks::IDLE)?;
    let file = prepared.account.write(rack.directory())?;
    screen.line(
        "rack",
        &format!(
            "account admin, password {}, also in {}",
            prepared.account.password,
            file.display()
        ),
    );
    screen.line(
        "rack",
        &format!("appliance {board} is up, its API: {}", rack.api_url()),
    );

    let outcomes: Vec<(ServerReport, Option<String>)> = thread::scope(|scope| {
        let jobs: Vec<_> = rack
            .servers()
            .iter()
            .enumerate()
            .map(|(n, server)| {
                let (rack, screen) = (&rack, &screen);
                let number = u8::try_from(n).unwrap_or(u8::MAX);
                scope.spawn(move || {
                    let outcome = networks::whole(rack, server, number, &bench.image, screen);
                    screen.end(server.name());
                    outcome
                })
            })
            .collect();
        jobs.into_iter()
            .map(|job| job.join().unwrap_or_else(|_| panicked()))
            .collect()
    });

    let data = kit.images.first().context("the kit has an image")?;
    let (mut servers, errors): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
    let mut failures: Vec<String> = errors.into_iter().flatten().collect();
    let frames_proven = match networks::prove(&rack, &mut servers) {
        Ok(isolation) => isolation.proven,
        Err(error) => {
            failures.push(format!("{error:#}"));
            0
        }
    };
    let report = Report {
        board: board.to_owned(),
        flash_bytes: prepared.firmware.flash_bytes,
        ram_bytes: prepared.firmware.ram_bytes,
        ramdisk_bytes: kit.ramdisk_bytes()?,
        image_bytes: (data.raw_bytes, fs::metadata(&data.data)?.len()),
        servers,
        frames_proven,
        failures,
    };
    report.print();
    if let Some(path) = given.path("report") {
        report.write(&path)?;
        println!("report: {}", path.display());
    }
    if given.flag("keep-running") {
        if !report.ok() {
            println!("Logs are in {}.", rack.keep().display());
        }
        stay_up(&rack, &file)?;
    }
    if !report.ok() {
        bail!(
            "not everything was verified; logs are in {}",
            rack.keep().display()
        );
    }
    Ok(())
}

/// Switches the servers on again, whose jobs end with disks that are read
/// without power, and keeps the rack until a signal ends this program.
///
/// # Errors
/// A server does not start.
fn stay_up(rack: &Rack, password: &Path) -> Result<Infallible> {
    for server in rack.servers() {
        server.power_on()?;
    }
    let url = rack.api_url();
    println!(
        "The rack stays up, and its servers are on. The appliance's API: {url}\n  \
         OS_AUTH_TYPE=http_basic OS_USERNAME=admin OS_PASSWORD=\"$(cat {})\" \
         OS_ENDPOINT={url} baremetal node list\n\
         Press Ctrl-C to end it.",
        password.display()
    );
    loop {
        thread::park();
    }
}

fn panicked() -> (ServerReport, Option<String>) {
    (
        ServerReport::default(),
        Some("a job panicked; its message is above".to_owned()),
    )
}
