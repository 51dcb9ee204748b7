//! Farrier on the Arm MPS2+ AN500 (Cortex-M7), real or in QEMU.
//!
//! This crate has reset, clock, console, interrupts, and the drivers that the
//! firmware runs on: Ethernet chip, block device, flash, entropy. Addresses come
//! from `board.toml` through the build script. Everything else is in
//! `farrier-firmware`.
#![no_std]
#![no_main]

mod executor;
mod flash;
mod mmio;
mod restart;
mod semihost;
mod stack;
mod time;
mod uart;

/// Constants out of `board.toml`.
mod board {
    include!(concat!(env!("OUT_DIR"), "/board.rs"));
}

use core::fmt::Write as _;
use core::panic::PanicInfo;

use cortex_m::peripheral::{NVIC, SCB};
use cortex_m_rt::{ExceptionFrame, entry, exception};
use embassy_time::Timer;
use farrier_firmware::ManualPower;
use farrier_firmware::crash::{self, Cause};
use farrier_firmware::{Board, JournalStore, Parts};
use farrier_lan9118::{Buffers, Lan9118, Shared};
use static_cell::ConstStaticCell;

use mmio::Registers;
use restart::CmsdkWatchdog;

/// The Ethernet chip's registers, for the driver and for its interrupt.
// SAFETY: the address is the board's LAN9118 (board.toml), which has no DMA.
const NIC: Registers = unsafe { Registers::new(board::NIC_BASE) };

static NIC_SHARED: Shared = Shared::new();
static NIC_BUFFERS: ConstStaticCell<Buffers> = ConstStaticCell::new(Buffers::new());

/// An interrupt line of this chip.
#[derive(Clone, Copy)]
struct Line(u16);

// SAFETY: the numbers come from board.toml and are below the 240 lines that
// a Cortex-M7 may have.
unsafe impl cortex_m::interrupt::InterruptNumber for Line {
    fn number(self) -> u16 {
        self.0
    }
}

#[entry]
fn main() -> ! {
    stack::paint();
    time::start();
    uart::start();
    // SAFETY: the handler below knows the line, and no critical section is
    // open that unmasking could break.
    unsafe { NVIC::unmask(Line(board::TIMER_IRQ)) };
    defmt::info!("{}: reset", board::NAME);

    let net = match Lan9118::new(NIC, &NIC_SHARED, NIC_BUFFERS.take(), board::MAC) {
        Ok(net) => net,
        Err(error) => panic!("Ethernet: {error:?}"),
    };
    // Not earlier: until it is set up, the chip holds the line active.
    // SAFETY: as above.
    unsafe { NVIC::unmask(Line(board::NIC_IRQ)) };
    let mut line = [0; 256];
    let path = semihost::argument("store", &mut line).unwrap_or(board::STORE_FILE);
    let store = match semihost::File::open_store(path) {
        Ok(store) => store,
        Err(refused) => panic!("store {path}: {refused}"),
    };
    let mut path = heapless::String::<128>::new();
    file_beside("journal", &mut path);
    // SAFETY: here, and once.
    let journal = match unsafe { flash::Flash::open(&path) } {
        Ok(journal) => journal,
        Err(refused) => panic!("journal {path}: {refused}"),
    };
    file_beside("keys", &mut path);
    let keys = match semihost::Keys::open(&path) {
        Ok(keys) => keys,
        Err(refused) => panic!("keys {path}: {refused}"),
    };
    let entropy = match semihost::Entropy::open() {
        Ok(entropy) => entropy,
        Err(refused) => panic!("entropy: {refused}"),
    };
    let tell_load = semihost::argument("load", &mut line).is_some();
    executor::run(|spawner| {
        spawner.spawn(watch_stack().expect("spawned once"));
        if tell_load {
            spawner.spawn(watch_load().expect("spawned once"));
        }
        spawn(
            spawner,
            Parts {
                net,
                blocks: store,
                entropy,
                records: JournalStore::new(journal, keys),
                power: ManualPower,
                watchdog: CmsdkWatchdog,
                crash: restart::last_crash(),
            },
        );
    })
}

/// The path of a file: the one that the command line names, or the store's with
/// the name behind it.
fn file_beside(name: &str, path: &mut heapless::String<128>) {
    let mut line = [0; 256];
    path.clear();
    let fits = match semihost::argument(name, &mut line) {
        Some(named) => path.push_str(named).map_err(|_| core::fmt::Error),
        None => {
            let store = semihost::argument("store", &mut line).unwrap_or(board::STORE_FILE);
            write!(path, "{store}.{name}")
        }
    };
    fits.expect("the paths of files are shorter");
}

/// This board.
struct An500;

impl Board for An500 {
    type Net = Lan9118<Registers>;
    type Blocks = semihost::File;
    type Entropy = semihost::Entropy;
    type Records = JournalStore<flash::Flash, semihost::Keys>;
    type Power = ManualPower;
    type Watchdog = CmsdkWatchdog;

    fn nic_counters(report: &mut dyn FnMut(&'static str, u32)) {
        let counters = NIC_SHARED.counters();
        report("nic_rx", counters.rx);
        report("nic_tx", counters.tx);
        report("nic_rx_dropped", counters.rx_dropped);
        report("nic_rx_errors", counters.rx_errors);
        report("nic_tx_errors", counters.tx_errors);
        report("nic_resets", counters.resets);
    }
}

farrier_firmware::program! {
    board: An500,
}

/// Logs the deepest use of the stack whenever it grew.
#[embassy_executor::task]
async fn watch_stack() -> ! {
    let mut deepest = 0;
    loop {
        Timer::after_secs(2).await;
        let used = stack::used();
        if used > deepest {
            deepest = used;
            defmt::info!("stack: {} of {} bytes used", used, stack::reserved());
        }
    }
}

/// Logs every second how long the processor has been awake, for benchmarks.
/// `load=1` on the command line turns it on.
#[embassy_executor::task]
async fn watch_load() -> ! {
    loop {
        Timer::after_secs(1).await;
        let nanoseconds = 1_000_000_000 / board::CLOCK_HZ;
        defmt::info!("busy: {} counts of {} ns", executor::busy(), nanoseconds);
    }
}

/// All interrupts: two are used.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    match u16::try_from(number) {
        Ok(board::TIMER_IRQ) => time::on_interrupt(),
        Ok(board::NIC_IRQ) => farrier_lan9118::on_interrupt(&NIC, &NIC_SHARED),
        _ => panic!("interrupt {number} was never enabled"),
    }
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    // SAFETY: read-only look at the fault status registers; nothing else
    // runs after a hard fault.
    let scb = unsafe { &*SCB::PTR };
    end(
        Cause::Fault,
        format_args!(
            "hard fault: pc {:#010x} lr {:#010x} cfsr {:#010x} bfar {:#010x}",
            frame.pc(),
            frame.lr(),
            scb.cfsr.read(),
            scb.bfar.read()
        ),
    )
}

/// The watchdog was not fed.
#[exception]
unsafe fn NonMaskableInt() -> ! {
    restart::on_bite()
}

/// Ends this run with plain text on the semihosting console: the UART may hold
/// an unfinished `defmt` frame. The board restarts, and the next run shows the
/// crash. Before the appliance runs the program ends: it would end the same way
/// again.
fn end(cause: Cause, text: core::fmt::Arguments<'_>) -> ! {
    restart::keep(cause, text);
    // The console accepts everything; an error could only be a formatter's.
    let _truncated = semihost::Console
        .write_fmt(text)
        .and_then(|()| semihost::Console.write_str("\n"));
    if crash::is_running() {
        restart::reset();
    }
    semihost::exit(false)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    end(Cause::Panic, format_args!("{info}"))
}
