//! Driver for the SMSC LAN9118 family (LAN9115…9118, LAN9215…9218, LAN9220,
//! LAN9221): a 10/100 Ethernet MAC with a PHY and 16 KB of FIFO on a 32-bit
//! memory bus. The driver initialises the chip, moves frames through its FIFOs,
//! and reports link state and counters. The board has the addresses, pins and
//! interrupt controller. The driver does not depend on a network stack.
//!
//! # Properties of the hardware
//!
//! * **No DMA.** The processor copies each word through one port. The driver copies
//!   a whole frame into its own buffer before it passes the frame on, so that a
//!   consumer can't leave the data FIFO out of step with the status FIFO. Only a
//!   reset recovers from that (`RXE`).
//! * **The 16 KB are shared.** `TX_FIF_SZ` is the size of the TX FIFO in KB (data
//!   and 512 bytes of statuses); the rest is for RX. The reset value is 5. The
//!   appliance receives from 48 servers at the same time, so the driver uses
//!   [`TX_FIFO_KB`] = 4 for TX and 12 KB for RX. Two whole frames fit TX, which
//!   keeps the line busy while the processor copies the next one. QEMU's model
//!   ignores the setting and has 10.5 KB for RX: seven full frames or about 170
//!   small ones.
//! * **A full RX FIFO drops frames** and counts them in `RX_DROP`, which a read
//!   clears; the driver accumulates it in [`Counters::rx_dropped`]. QEMU's model
//!   does not count.
//! * **RX level interrupt.** `RSFL` is level-triggered on the chip and
//!   edge-triggered in QEMU's model. The driver acknowledges first, then reads the
//!   FIFO, then enables the interrupt again, which is correct for both. The
//!   handler only masks; the polling task does all FIFO work.
//! * **The interrupt pin is active low after reset**, which is an interrupt storm
//!   for a controller that expects active high. Unmask the line only after
//!   [`Lan9118::new`].
//! * **TX statuses must be popped**, or the chip stops sending when their FIFO is
//!   full. The driver pops them before each frame.
//! * **Read after write.** The data sheet (6.1.1) requires up to 165 ns between a
//!   write and certain reads, and allows reads of `BYTE_TEST` as a delay. Every
//!   such pair is in the configuration and uses [`Lan9118::settle`].
//! * **MAC and PHY registers** are behind two busy flags and take microseconds. The
//!   driver accesses them at start and after PHY interrupts, not for each frame.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod regs;

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use embassy_sync::waitqueue::AtomicWaker;

use regs::*;

/// Size of the TX FIFO in KB, of the chip's 16 (2 ≤ n ≤ 14).
pub const TX_FIFO_KB: u32 = 4;

/// Longest frame without its check sequence in bytes: header, 802.1Q tag and 1,500.
pub const MAX_FRAME: usize = 1518;

/// Size of a frame buffer in bytes: [`MAX_FRAME`], check sequence, and padding to
/// whole words.
const BUFFER: usize = 1536;

/// Bytes of a frame in the TX data FIFO: both command words, the frame, and the
/// padding of its last word.
const TX_ROOM: u32 = 8 + MAX_FRAME as u32 + 2;

/// Limit of reads of a busy flag. The slowest flag, the EEPROM load after reset,
/// takes less than 2 ms, and a read takes at least 20 ns.
const BUSY_SPINS: u32 = 200_000;

/// The interrupts that the driver uses.
const INTERRUPTS: u32 = INT_RSFL | INT_PHY | INT_RXE | INT_TXE | INT_RXDFH;

/// Access to the chip's 32-bit registers, in the processor's byte order.
///
/// Offsets are in bytes from the chip's base and are multiples of four.
/// Methods take `&self` because the interrupt handler has a second instance; it
/// writes one register only ([`on_interrupt`]).
pub trait Bus {
    /// Reads the register at `offset`. A read changes some registers.
    fn read(&self, offset: u32) -> u32;
    /// Writes the register at `offset`.
    fn write(&self, offset: u32, value: u32);

    /// Fills `to` (a multiple of 4 bytes) from the FIFO port at `offset`.
    #[inline]
    fn read_fifo(&self, offset: u32, to: &mut [u8]) {
        for word in to.chunks_exact_mut(4) {
            word.copy_from_slice(&self.read(offset).to_le_bytes());
        }
    }

    /// Pushes `from` (a multiple of 4 bytes) into the FIFO port at `offset`.
    #[inline]
    fn write_fifo(&self, offset: u32, from: &[u8]) {
        for word in from.chunks_exact(4) {
            // `chunks_exact(4)` returns four bytes, so the fallback is unused.
            self.write(
                offset,
                u32::from_le_bytes(word.try_into().unwrap_or([0; 4])),
            );
        }
    }
}

/// Why the initialisation of the chip failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Error {
    /// `BYTE_TEST` has a wrong value: no chip, no clock, or a bus with swapped bytes.
    /// Has the value.
    ByteOrder(u32) = 0,
    /// `ID_REV` is of an unsupported chip. Has the register.
    UnknownChip(u32) = 1,
    /// A busy flag stayed set. Has the register's offset.
    Stuck(u32) = 2,
}

/// Counters since the start of the driver. All wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames passed to the network stack.
    pub rx: u32,
    /// Frames written to the chip.
    pub tx: u32,
    /// Frames that the chip dropped because its RX FIFO was full.
    pub rx_dropped: u32,
    /// Damaged, oversized or misdirected frames that the driver dropped.
    pub rx_errors: u32,
    /// Frames whose TX status reported an error.
    pub tx_errors: u32,
    /// Restarts after the FIFOs were out of step.
    pub resets: u32,
}

/// State that the interrupt handler and the polling task share. One static per
/// chip.
pub struct Shared {
    waker: AtomicWaker,
    counts: Counts,
}

/// The storage of [`Counters`]. Only the driver writes, so that separate loads and
/// stores lose no count.
struct Counts {
    rx: AtomicU32,
    tx: AtomicU32,
    rx_dropped: AtomicU32,
    rx_errors: AtomicU32,
    tx_errors: AtomicU32,
    resets: AtomicU32,
}

fn count(counter: &AtomicU32, more: u32) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    /// Creates the value, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            waker: AtomicWaker::new(),
            counts: Counts {
                rx: AtomicU32::new(0),
                tx: AtomicU32::new(0),
                rx_dropped: AtomicU32::new(0),
                rx_errors: AtomicU32::new(0),
                tx_errors: AtomicU32::new(0),
                resets: AtomicU32::new(0),
            },
        }
    }

    /// Returns the counters. The dropped frames are those up to the last time that
    /// the RX FIFO was empty.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let counts = &self.counts;
        Counters {
            rx: counts.rx.load(Relaxed),
            tx: counts.tx.load(Relaxed),
            rx_dropped: counts.rx_dropped.load(Relaxed),
            rx_errors: counts.rx_errors.load(Relaxed),
            tx_errors: counts.tx_errors.load(Relaxed),
            resets: counts.resets.load(Relaxed),
        }
    }
}

/// The chip's interrupt handler must call this. Masks the chip's interrupts and
/// wakes the polling task, which enables them again once the FIFO is empty.
pub fn on_interrupt(bus: &impl Bus, shared: &Shared) {
    bus.write(INT_EN, 0);
    shared.waker.wake();
}

/// Buffers of a frame between the chip and the network stack, one for each
/// direction. Separate from [`Lan9118`], which is moved.
#[derive(Debug)]
pub struct Buffers {
    rx: [u8; BUFFER],
    tx: [u8; BUFFER],
}

impl Buffers {
    /// Creates the value, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            rx: [0; BUFFER],
            tx: [0; BUFFER],
        }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

/// The driver of one chip.
#[derive(Debug)]
pub struct Lan9118<B: Bus> {
    bus: B,
    shared: &'static Shared,
    buffers: &'static mut Buffers,
    mac: [u8; 6],
    link: LinkStatus,
    /// A task waits for room in the TX FIFO.
    tx_waits: bool,
}

/// The link state last read from the PHY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkStatus {
    Down,
    Up,
}

impl<B: Bus> Lan9118<B> {
    /// Resets the chip, sets the address `mac`, and starts auto-negotiation, receiver
    /// and transmitter. Busy-waits for some milliseconds.
    ///
    /// # Errors
    /// See [`Error`]. The chip is unchanged or in reset then.
    pub fn new(
        bus: B,
        shared: &'static Shared,
        buffers: &'static mut Buffers,
        mac: [u8; 6],
    ) -> Result<Self, Error> {
        let mut this = Self {
            bus,
            shared,
            buffers,
            mac,
            link: LinkStatus::Down,
            tx_waits: false,
        };
        this.start()?;
        Ok(this)
    }

    /// Initialises the chip, also after the FIFOs were out of step.
    fn start(&mut self) -> Result<(), Error> {
        // The first read wakes a sleeping chip; its value is undefined.
        let _ = self.bus.read(BYTE_TEST);
        self.wait(PMT_CTRL, PMT_READY, PMT_READY)?;
        let order = self.bus.read(BYTE_TEST);
        if order != BYTE_TEST_VALUE {
            return Err(Error::ByteOrder(order));
        }
        let id = self.bus.read(ID_REV);
        match id >> 16 {
            0x0115 | 0x0116 | 0x0117 | 0x0118 | 0x115A | 0x116A | 0x117A | 0x118A | 0x9210
            | 0x9211 | 0x9220 | 0x9221 => {}
            _ => return Err(Error::UnknownChip(id)),
        }

        self.bus.write(INT_EN, 0);
        // Sets the polarity first. It survives a soft reset, so that the line
        // stays inactive.
        self.bus.write(IRQ_CFG, IRQ_TYPE | IRQ_POL);
        self.bus.write(HW_CFG, HW_CFG_SRST);
        self.settle();
        self.wait(HW_CFG, HW_CFG_SRST, 0)?;
        self.wait(PMT_CTRL, PMT_READY, PMT_READY)?;
        // After a reset the chip loads an address from its EEPROM. Waits for it,
        // because the address is overwritten below.
        self.wait(E2P_CMD, E2P_BUSY, 0)?;

        self.bus
            .write(HW_CFG, HW_CFG_MBO | (TX_FIFO_KB << HW_CFG_TX_FIF_SZ_SHIFT));
        // Pause frames when the RX FIFO is 7/8 full, resume at half: the only
        // flow control when 48 servers send at once.
        self.bus.write(AFC_CFG, 0x006E_3740);
        // RX: no offset, 4-byte end alignment. Level interrupts: TX space
        // for a whole frame (in 64-byte units), one RX status.
        self.bus.write(RX_CFG, 0);
        self.bus.write(FIFO_INT, TX_ROOM.div_ceil(64) << 24);
        self.bus.write(TX_CFG, TX_CFG_DUMP);
        self.settle();
        self.bus.write(TX_CFG, TX_CFG_TX_ON);

        let [a, b, c, d, e, f] = self.mac;
        self.mac_write(MAC_ADDRL, u32::from_le_bytes([a, b, c, d]))?;
        self.mac_write(MAC_ADDRH, u32::from_le_bytes([e, f, 0, 0]))?;
        // Pause time of 0xFFFF slots, flow control on.
        self.mac_write(MAC_FLOW, 0xFFFF_0002)?;
        self.mac_write(MAC_VLAN1, 0x8100)?;

        self.phy_write(PHY_ANAR, ANAR_ALL)?;
        self.phy_write(PHY_INT_MASK, PHY_INT_LINK)?;
        self.phy_write(PHY_BMCR, BMCR_ANEG)?;
        self.read_link()?;

        self.bus.write(INT_STS, u32::MAX);
        self.bus.write(IRQ_CFG, IRQ_TYPE | IRQ_POL | IRQ_EN);
        self.bus.write(INT_EN, INTERRUPTS);
        Ok(())
    }

    /// Reads the link from the PHY and sets the MAC's duplex to match.
    fn read_link(&mut self) -> Result<(), Error> {
        let _ = self.phy_read(PHY_INT_SRC)?;
        // Link is latched low: the first read gives the past state.
        let _ = self.phy_read(PHY_BSR)?;
        let up = self.phy_read(PHY_BSR)? & BSR_LINK != 0;
        let both = self.phy_read(PHY_ANAR)? & self.phy_read(PHY_ANLPAR)?;
        let mut control = MAC_CR_RXEN | MAC_CR_TXEN | MAC_CR_MCPAS;
        if both & ANAR_FULL != 0 {
            control |= MAC_CR_FDPX;
        }
        self.mac_write(MAC_CR, control)?;
        self.link = if up { LinkStatus::Up } else { LinkStatus::Down };
        Ok(())
    }

    /// Waits for the write-to-read delay of the data sheet.
    fn settle(&self) {
        for _ in 0..4 {
            let _ = self.bus.read(BYTE_TEST);
        }
    }

    /// Waits until the bits `mask` of a register read `value`.
    fn wait(&self, offset: u32, mask: u32, value: u32) -> Result<(), Error> {
        for _ in 0..BUSY_SPINS {
            if self.bus.read(offset) & mask == value {
                return Ok(());
            }
        }
        Err(Error::Stuck(offset))
    }

    fn mac_read(&self, register: u8) -> Result<u32, Error> {
        self.wait(MAC_CSR_CMD, CSR_BUSY, 0)?;
        self.bus
            .write(MAC_CSR_CMD, CSR_BUSY | CSR_READ | u32::from(register));
        self.settle();
        self.wait(MAC_CSR_CMD, CSR_BUSY, 0)?;
        Ok(self.bus.read(MAC_CSR_DATA))
    }

    fn mac_write(&self, register: u8, value: u32) -> Result<(), Error> {
        self.wait(MAC_CSR_CMD, CSR_BUSY, 0)?;
        self.bus.write(MAC_CSR_DATA, value);
        self.bus.write(MAC_CSR_CMD, CSR_BUSY | u32::from(register));
        self.settle();
        self.wait(MAC_CSR_CMD, CSR_BUSY, 0)
    }

    /// Waits for the MII's busy flag, which is in a MAC register.
    fn mii_wait(&self) -> Result<(), Error> {
        for _ in 0..BUSY_SPINS / 16 {
            if self.mac_read(MAC_MII_ACC)? & MII_BUSY == 0 {
                return Ok(());
            }
        }
        Err(Error::Stuck(MAC_CSR_CMD))
    }

    fn phy_read(&self, register: u8) -> Result<u16, Error> {
        self.mii_wait()?;
        self.mac_write(MAC_MII_ACC, MII_PHY | (u32::from(register) << 6) | MII_BUSY)?;
        self.mii_wait()?;
        // The MII data register has 16 bits.
        Ok((self.mac_read(MAC_MII_DATA)? & 0xFFFF) as u16)
    }

    fn phy_write(&self, register: u8, value: u16) -> Result<(), Error> {
        self.mii_wait()?;
        self.mac_write(MAC_MII_DATA, u32::from(value))?;
        self.mac_write(
            MAC_MII_ACC,
            MII_PHY | (u32::from(register) << 6) | MII_WRITE | MII_BUSY,
        )?;
        self.mii_wait()
    }

    fn collect_drops(&mut self) {
        let dropped = self.bus.read(RX_DROP);
        count(&self.shared.counts.rx_dropped, dropped);
    }

    /// Handles link changes and FIFOs out of step. Called when the RX FIFO is empty,
    /// so once for each interrupt.
    fn attend(&mut self) {
        // `tx_ready` acknowledges TX room.
        let causes = self.bus.read(INT_STS) & !INT_TDFA;
        self.bus.write(INT_STS, causes);
        if causes & (INT_RXE | INT_TXE) != 0 {
            count(&self.shared.counts.resets, 1);
            if self.start().is_err() {
                self.link = LinkStatus::Down;
            }
            return;
        }
        if causes & INT_PHY != 0 && self.read_link().is_err() {
            self.link = LinkStatus::Down;
        }
        // Reads the counter also before it is half full, so that the operator
        // sees the first drop.
        self.collect_drops();
    }

    /// Returns whether there is a frame. If not, acknowledges and enables the
    /// interrupt.
    fn rx_pending(&mut self, cx: &mut Context<'_>) -> bool {
        if self.bus.read(RX_FIFO_INF) & 0x00FF_0000 != 0 {
            return true;
        }
        self.shared.waker.register(cx.waker());
        self.attend();
        // The interrupt of a frame between the first read and the
        // acknowledgement is lost: reads again.
        if self.bus.read(RX_FIFO_INF) & 0x00FF_0000 != 0 {
            return true;
        }
        self.listen();
        false
    }

    /// Enables the interrupts that a task waits for.
    fn listen(&self) {
        let tx = if self.tx_waits { INT_TDFA } else { 0 };
        self.bus.write(INT_EN, INTERRUPTS | tx);
    }

    /// Pops the statuses of sent frames. Returns whether a whole frame fits; if not,
    /// enables the interrupt.
    fn tx_ready(&mut self, cx: &mut Context<'_>) -> bool {
        let info = self.bus.read(TX_FIFO_INF);
        for _ in 0..(info >> 16) & 0xFF {
            if self.bus.read(TX_STATUS) & TX_STS_ERROR != 0 {
                count(&self.shared.counts.tx_errors, 1);
            }
        }
        self.tx_waits = info & 0xFFFF < TX_ROOM;
        if self.tx_waits {
            self.shared.waker.register(cx.waker());
            self.bus.write(INT_STS, INT_TDFA);
            self.listen();
            // Room before the acknowledgement raises no interrupt: reads
            // again.
            self.tx_waits = self.bus.read(TX_FIFO_INF) & 0xFFFF < TX_ROOM;
        }
        !self.tx_waits
    }

    /// Copies the next valid frame into the RX buffer. Returns its length without the
    /// check sequence. Counts and drops invalid frames.
    fn fetch(&mut self, cx: &mut Context<'_>) -> Option<usize> {
        while self.rx_pending(cx) {
            let status = self.bus.read(RX_STATUS);
            let with_fcs = ((status >> 16) & 0x3FFF) as usize;
            let words = with_fcs.div_ceil(4);
            let whole = words * 4;
            let bad = status & (RX_STS_ERROR | RX_STS_FILTER) != 0;
            let length = with_fcs.saturating_sub(4);
            match self.buffers.rx.get_mut(..whole) {
                Some(buffer) if !bad && (14..=MAX_FRAME).contains(&length) => {
                    self.bus.read_fifo(RX_DATA, buffer);
                    count(&self.shared.counts.rx, 1);
                    return Some(length);
                }
                _ => self.discard(words),
            }
        }
        None
    }

    /// Drops the frame at the head of the RX data FIFO.
    fn discard(&mut self, words: usize) {
        count(&self.shared.counts.rx_errors, 1);
        // Fast-forward needs at least four words.
        if words < 4 {
            for _ in 0..words {
                let _ = self.bus.read(RX_DATA);
            }
        } else {
            self.bus.write(RX_DP_CTRL, RX_DP_FFWD);
            // While it runs, no FIFO but this register may be touched. It
            // takes a few bus cycles. A chip that never ends it has lost
            // step; then RXE is set and the driver restarts it.
            if self.wait(RX_DP_CTRL, RX_DP_FFWD, 0).is_err() {
                self.link = LinkStatus::Down;
            }
        }
    }
}

impl<B: Bus> Driver for Lan9118<B> {
    type RxToken<'a>
        = RxToken<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = TxToken<'a, B>
    where
        Self: 'a;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        // A consumer can answer at once, so the frame stays in the chip until
        // there is room for an answer. TX drains by itself.
        if !self.tx_ready(cx) {
            return None;
        }
        let length = self.fetch(cx)?;
        Some((
            RxToken(self.buffers.rx.get_mut(..length)?),
            TxToken {
                bus: &self.bus,
                buffer: &mut self.buffers.tx,
                sent: &self.shared.counts.tx,
            },
        ))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        self.tx_ready(cx).then_some(TxToken {
            bus: &self.bus,
            buffer: &mut self.buffers.tx,
            sent: &self.shared.counts.tx,
        })
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.shared.waker.register(cx.waker());
        match self.link {
            LinkStatus::Up => LinkState::Up,
            LinkStatus::Down => LinkState::Down,
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = MAX_FRAME;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

/// A received frame in the RX buffer.
#[derive(Debug)]
pub struct RxToken<'a>(&'a mut [u8]);

impl embassy_net_driver::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// A token that sends one frame of up to [`MAX_FRAME`] bytes.
#[derive(Debug)]
pub struct TxToken<'a, B: Bus> {
    bus: &'a B,
    buffer: &'a mut [u8; BUFFER],
    sent: &'a AtomicU32,
}

impl<B: Bus> embassy_net_driver::TxToken for TxToken<'_, B> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let length = length.min(MAX_FRAME);
        let (frame, _) = self.buffer.split_at_mut(length);
        let result = f(frame);
        let size = length as u32; // ≤ MAX_FRAME
        self.bus.write(TX_DATA, TX_A_FIRST | TX_A_LAST | size);
        // The tag in the upper half is returned in the status and is unused.
        self.bus.write(TX_DATA, size);
        let (words, _) = self.buffer.split_at(length.next_multiple_of(4));
        self.bus.write_fifo(TX_DATA, words);
        count(self.sent, 1);
        result
    }
}

#[cfg(test)]
mod tests;
