//! UART0 (CMSDK UART, DDI 0479, chapter 4.4), polled: `defmt` frames, whose
//! texts are in the ELF file. `defmt-print` shows them, and the test rig does
//! the same by itself.

use core::convert::Infallible;

use embassy_time::Instant;
use static_cell::ConstStaticCell;

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

static TRANSMITTER: ConstStaticCell<Transmitter> = ConstStaticCell::new(Transmitter);

defmt::timestamp!("{=u64:ms}", Instant::now().as_millis());

/// Turns the transmitter on and makes `defmt` write here.
pub fn start() {
    UART.write(DIVIDER, board::CLOCK_HZ / board::UART_BAUD);
    UART.write(CONTROL, CONTROL_TX);
    defmt_serial::defmt_serial(TRANSMITTER.take());
}

/// UART0's sending half.
struct Transmitter;

impl embedded_io::ErrorType for Transmitter {
    type Error = Infallible;
}

impl embedded_io::Write for Transmitter {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        for byte in bytes {
            while UART.read(STATE) & STATE_TX_FULL != 0 {}
            UART.write(DATA, u32::from(*byte));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
