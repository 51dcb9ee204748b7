//! `cargo xtask demo`: the main job, from power-on to a running system and
//! back, in a virtual rack.

pub mod bench;
mod report;
pub mod watch;

use anyhow::{Context, Result, bail};
use farrier_hil_tests::job::{self, ServerReport, Watch};
use farrier_hil_tests::qemu::ServerSpec;
use report::Report;
use std::path::PathBuf;
use std::{fs, thread};
use watch::Screen;

/// How to run the demo.
#[derive(clap::Args)]
pub struct Arguments {
    /// Plain lines instead of bars, also on a terminal.
    #[arg(long)]
    headless: bool,
    /// How many servers; they take turns in being BIOS and UEFI machines.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=48))]
    servers: u8,
    /// Leave the rack up at the end, with the appliance's API on
    /// localhost, until Enter is pressed.
    #[arg(long)]
    keep_running: bool,
    /// The appliance's board: mps2-an500 or linux.
    #[arg(long, default_value = "mps2-an500")]
    board: String,
    /// Write every figure to this file, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
}

/// Carries out `cargo xtask demo`.
pub fn run(arguments: &Arguments) -> Result<()> {
    let prepared = bench::prepare(&arguments.board)?;
    let (bench, kit) = (&prepared.bench, &prepared.kit);
    let screen = Screen::new(arguments.headless);
    let specs = (1..=arguments.servers).map(|number| {
        if number % 2 == 1 {
            ServerSpec::bios(&format!("bios-{number}"), number)
        } else {
            ServerSpec::uefi(&format!("uefi-{number}"), number)
        }
    });
    let rack = bench.rack("demo", specs.map(job::small_disk).collect())?;
    screen.say(
        "rack",
        &format!(
            "appliance {} is up, API at {}",
            arguments.board,
            rack.api_url()
        ),
    );

    let outcomes: Vec<(ServerReport, Option<String>)> = thread::scope(|scope| {
        let jobs: Vec<_> = rack
            .servers()
            .iter()
            .enumerate()
            .map(|(n, server)| {
                let (rack, screen) = (&rack, &screen);
                scope.spawn(move || job::whole(rack, server, n, &bench.image, screen))
            })
            .collect();
        jobs.into_iter()
            .map(|job| job.join().unwrap_or_else(|_| panicked()))
            .collect()
    });

    let data = kit.images.first().context("the kit has an image")?;
    let (servers, errors): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
    let report = Report {
        board: arguments.board.clone(),
        flash_bytes: prepared.firmware.flash_bytes,
        ram_bytes: prepared.firmware.ram_bytes,
        ramdisk_bytes: kit.ramdisk_bytes()?,
        image_bytes: (data.raw_bytes, fs::metadata(&data.data)?.len()),
        servers,
        failures: errors.into_iter().flatten().collect(),
    };
    report.print();
    if let Some(path) = &arguments.report {
        report.write(path)?;
        println!("report: {}", path.display());
    }
    if arguments.keep_running {
        println!("The rack stays up. The appliance's API: {}", rack.api_url());
        println!(
            "  OS_AUTH_TYPE=none OS_ENDPOINT={} baremetal node list\nPress Enter to end it.",
            rack.api_url()
        );
        std::io::stdin().read_line(&mut String::new())?;
    }
    if !report.ok() {
        bail!(
            "the demo did not hold what it promises; logs are in {}",
            rack.keep().display()
        );
    }
    Ok(())
}

fn panicked() -> (ServerReport, Option<String>) {
    (
        ServerReport::default(),
        Some("a job panicked; its message stands above".to_owned()),
    )
}
