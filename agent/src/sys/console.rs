//! Lines for a person, and for the rig that reads the serial port.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Instant;

/// What every line begins with.
const PREFIX: &str = "farrier-agent:";

static CONSOLE: RwLock<Option<File>> = RwLock::new(None);
static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Opens `/dev/console` anew, where devtmpfs has put it.
pub fn open() {
    BEGAN.get_or_init(Instant::now);
    if let Ok(file) = OpenOptions::new().write(true).open("/dev/console") {
        *CONSOLE.write().unwrap_or_else(PoisonError::into_inner) = Some(file);
    }
}

/// Prints one line: the prefix, seconds since the start, the text. A console
/// that can't be written to is no reason to stop.
pub fn say(line: &str) {
    let seconds = BEGAN.get_or_init(Instant::now).elapsed().as_secs_f32();
    // One write a line, so that the kernel's own lines come between lines.
    let line = format!("{PREFIX} [{seconds:8.3}] {line}\n");
    let console = CONSOLE.read().unwrap_or_else(PoisonError::into_inner);
    let _written = match console.as_ref() {
        Some(mut file) => file.write_all(line.as_bytes()),
        None => std::io::stdout().write_all(line.as_bytes()),
    };
}
