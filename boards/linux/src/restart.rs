//! The process restarts itself after a panic, and when the firmware stops feeding
//! the watchdog: it writes the record of the crash into a file and executes
//! itself anew. A panic before the appliance runs ends the process, since it
//! would come again at once.

use std::fmt;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use farrier_firmware::crash::{self, Cause, Crash, LEN};
use farrier_firmware::watchdog::{PATIENCE, Watchdog};

/// Where the record is kept.
static FILE: OnceLock<PathBuf> = OnceLock::new();

/// Reads the record of a crash, and has the next one written to the same file.
/// Without the file there was no crash; it stays until somebody removes it.
pub fn start(file: PathBuf) -> Option<Crash> {
    let before = read(&file);
    // The first call counts.
    let _second = FILE.set(file);
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        default(info);
        if crash::is_running() {
            restart(Cause::Panic, format_args!("{info}"));
        }
    }));
    before
}

fn read(file: &Path) -> Option<Crash> {
    let bytes: [u8; LEN] = fs::read(file).ok()?.try_into().ok()?;
    Crash::decode(&bytes)
}

/// Writes the record and executes the program anew, with its arguments.
fn restart(cause: Cause, what: fmt::Arguments<'_>) -> ! {
    if let Some(file) = FILE.get() {
        let crash = Crash::now(cause, what, read(file).as_ref());
        if let Err(error) = fs::write(file, crash.encode()) {
            log::error!("{}: {error}", file.display());
        }
    }
    let mut arguments = std::env::args_os();
    // The kernel knows the program's file also where its name has changed.
    let _name = arguments.next();
    let error = Command::new("/proc/self/exe").args(arguments).exec();
    log::error!("no restart: {error}");
    std::process::abort()
}

/// A thread that restarts the process when it is not fed.
#[derive(Debug)]
pub struct ThreadWatchdog {
    /// How often it was fed.
    fed: Arc<AtomicU32>,
}

impl ThreadWatchdog {
    /// Starts the thread. It waits for the first feeding.
    ///
    /// # Errors
    /// The host has no room for a thread.
    pub fn start() -> Result<Self> {
        let fed = Arc::new(AtomicU32::new(0));
        let counter = fed.clone();
        thread::Builder::new()
            .name("watchdog".into())
            .spawn(move || {
                // Its own waits are counted, and no clock is read: a process that
                // was stopped for a while has missed nothing.
                let (mut seen, mut missed) = (0, 0);
                loop {
                    thread::sleep(Duration::from_secs(1));
                    let fed = counter.load(Ordering::Relaxed);
                    missed = if fed == seen { missed + 1 } else { 0 };
                    seen = fed;
                    if fed > 0 && missed > PATIENCE.as_secs() {
                        let stalled = crash::stalled().as_str();
                        log::error!("watchdog: {stalled}");
                        restart(Cause::Watchdog, format_args!("{stalled}"));
                    }
                }
            })
            .context("the watchdog's thread")?;
        Ok(Self { fed })
    }
}

impl Watchdog for ThreadWatchdog {
    fn feed(&mut self) {
        self.fed.fetch_add(1, Ordering::Relaxed);
    }
}
