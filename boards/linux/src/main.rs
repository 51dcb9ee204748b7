//! Farrier as a process on a Linux host: the same firmware, on a port of a
//! virtual switch or on a TAP device, with a file as its block device. This
//! crate has the command line and the host's drivers. Everything else is in
//! `farrier-firmware`.
//!
//! Log lines go to standard output, as they go to a board's UART. The process
//! ends with a status other than 0 when it can not start or when the switch
//! closes the connection. After a panic and after a hang it restarts itself. A
//! signal ends it, as that of a fault or of the host's want of memory: a
//! supervisor has to start it again.

mod console;
mod host;
mod restart;
mod wire;

/// Constants out of `board.toml`.
mod board {
    include!(concat!(env!("OUT_DIR"), "/board.rs"));
}

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context, Result};
use clap::{ArgGroup, Parser};
use embassy_executor::Executor;
use farrier_firmware::ManualPower;
use farrier_firmware::{Board, JournalStore, Parts};
use static_cell::StaticCell;

use host::{File, Flash, HostEntropy, Keys};
use restart::ThreadWatchdog;
use wire::Wire;

/// Farrier, the rack's network-boot appliance, as a process.
#[derive(Debug, Parser)]
#[command(version, group(ArgGroup::new("network").required(true).args(["switch", "tap"])))]
struct Arguments {
    /// Unix socket of a virtual switch that speaks QEMU's stream framing.
    #[arg(long)]
    switch: Option<PathBuf>,
    /// TAP device; it is created if there is none. The host sets it up and gives
    /// it an address of its own.
    #[arg(long)]
    tap: Option<String>,
    /// File with the asset store: `store.img` of `cargo xtask dist`.
    #[arg(long)]
    store: PathBuf,
    /// File that stands for the journal's flash; it is created if there is
    /// none. The default is the store's path with `.journal` behind it.
    #[arg(long)]
    journal: Option<PathBuf>,
    /// File with the keys that seal secrets in the journal; it is created if
    /// there is none. The default is the store's path with `.keys` behind it.
    #[arg(long)]
    keys: Option<PathBuf>,
    /// File with the record of the last crash. The default is the store's path
    /// with `.crash` behind it.
    #[arg(long)]
    crash: Option<PathBuf>,
    /// Ethernet address.
    #[arg(long, default_value = "02:fa:44:1e:00:01", value_parser = wire::parse_mac)]
    mac: [u8; 6],
}

/// This board.
struct Linux;

impl Board for Linux {
    type Net = Wire;
    type Blocks = File;
    type Entropy = HostEntropy;
    type Records = JournalStore<Flash, Keys>;
    type Power = ManualPower;
    type Watchdog = ThreadWatchdog;

    fn nic_counters(report: &mut dyn FnMut(&'static str, u32)) {
        report("nic_rx", wire::RECEIVED.load(Relaxed));
        report("nic_tx", wire::SENT.load(Relaxed));
        report("nic_rx_dropped", wire::DROPPED.load(Relaxed));
    }
}

farrier_firmware::program! {
    board: Linux,
}

static EXECUTOR: StaticCell<Executor> = StaticCell::new();

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    console::start();
    log::info!("{}: start", board::NAME);
    let net = match (&arguments.switch, &arguments.tap) {
        (Some(path), _) => Wire::switch(path, arguments.mac)
            .with_context(|| format!("no switch at {}", path.display()))?,
        (None, Some(name)) => {
            Wire::tap(name, arguments.mac).with_context(|| format!("no TAP device {name}"))?
        }
        (None, None) => unreachable!("clap asks for one of them"),
    };
    let blocks = File::open(&arguments.store)
        .with_context(|| format!("no store at {}", arguments.store.display()))?;
    let beside = |name: &str| -> PathBuf {
        let mut path = arguments.store.clone().into_os_string();
        path.push(name);
        path.into()
    };
    let journal = arguments.journal.unwrap_or_else(|| beside(".journal"));
    let keys = arguments.keys.unwrap_or_else(|| beside(".keys"));
    let keys = Keys::open(&keys).with_context(|| format!("no keys at {}", keys.display()))?;
    let crash = restart::start(arguments.crash.unwrap_or_else(|| beside(".crash")));
    let watchdog = ThreadWatchdog::start()?;
    let journal =
        Flash::open(&journal).with_context(|| format!("no journal at {}", journal.display()))?;
    let entropy = HostEntropy::open().context("the host has no /dev/urandom")?;
    let executor = EXECUTOR.init(Executor::new());
    executor.run(|spawner| {
        spawn(
            spawner,
            Parts {
                net,
                blocks,
                entropy,
                records: JournalStore::new(journal, keys),
                power: ManualPower,
                watchdog,
                crash,
            },
        );
    })
}
