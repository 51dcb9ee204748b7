//! Text lines on UART0 (CMSDK UART, DDI 0479, chapter 4.4), polled. What an
//! operator or a test rig reads is plain text: no decoder, no second file.
//! Lines are `[seconds.millis] level target: text`.

use core::fmt::{self, Write};

use embassy_time::Instant;
use log::{LevelFilter, Log, Metadata, Record};

use crate::board;
use crate::mmio::Registers;

const DATA: u32 = 0x00;
const STATE: u32 = 0x04;
const CONTROL: u32 = 0x08;
const DIVIDER: u32 = 0x10;

const STATE_TX_FULL: u32 = 1 << 0;
const CONTROL_TX: u32 = 1 << 0;

/// UART0.
// SAFETY: the address is the board's UART0 (board.toml), which moves no
// memory.
const UART: Registers = unsafe { Registers::new(board::UART_BASE) };

/// Turns the transmitter on and makes `log` write here.
pub fn start() {
    UART.write(DIVIDER, board::CLOCK_HZ / board::UART_BAUD);
    UART.write(CONTROL, CONTROL_TX);
    if log::set_logger(&Lines).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Writes a line, waiting for the transmitter.
pub fn line(text: fmt::Arguments<'_>) {
    // An error could only come from a formatter; the line is then cut short.
    let _cut = Text.write_fmt(text).and_then(|()| Text.write_str("\n"));
}

struct Text;

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while UART.read(STATE) & STATE_TX_FULL != 0 {}
            UART.write(DATA, u32::from(byte));
        }
        Ok(())
    }
}

struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let now = Instant::now().as_millis();
        line(format_args!(
            "[{}.{:03}] {} {}: {}",
            now / 1000,
            now % 1000,
            record.level().as_str(),
            record.target(),
            record.args()
        ));
    }

    fn flush(&self) {}
}
