//! Log lines on standard output, in the format of the boards' UARTs:
//! `[seconds.millis] level target: text`.

use std::io::Write;

use embassy_time::Instant;
use log::{LevelFilter, Log, Metadata, Record};

struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let now = Instant::now().as_millis();
        // Without a reader there is nowhere to report the failure.
        let _closed = writeln!(
            std::io::stdout().lock(),
            "[{}.{:03}] {} {}: {}",
            now / 1000,
            now % 1000,
            record.level(),
            record.target(),
            record.args()
        );
    }

    fn flush(&self) {}
}

/// Makes `log` write to standard output.
pub fn start() {
    if log::set_logger(&Lines).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}
