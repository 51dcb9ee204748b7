//! Lines on the console, for the operator and for the test rig.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Instant;

/// Prefix of every line.
const PREFIX: &str = "farrier-agent:";

static CONSOLE: RwLock<Option<File>> = RwLock::new(None);
static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Opens `/dev/console` again after devtmpfs is mounted.
pub fn open() {
    BEGAN.get_or_init(Instant::now);
    if let Ok(file) = OpenOptions::new().write(true).open("/dev/console") {
        *CONSOLE.write().unwrap_or_else(PoisonError::into_inner) = Some(file);
    }
}

/// Writes one line: the prefix, the seconds since the start, and the text.
/// Ignores errors of the console.
pub fn log(line: &str) {
    let seconds = BEGAN.get_or_init(Instant::now).elapsed().as_secs_f32();
    // One write for each line, so that kernel messages do not split a line.
    let line = format!("{PREFIX} [{seconds:8.3}] {line}\n");
    let console = CONSOLE.read().unwrap_or_else(PoisonError::into_inner);
    let _written = match console.as_ref() {
        Some(mut file) => file.write_all(line.as_bytes()),
        None => std::io::stdout().write_all(line.as_bytes()),
    };
}
