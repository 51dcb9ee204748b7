//! Register offsets and bits that the driver and its tests use, with the names of the
//! data sheets (LAN9118 rev. 1.5, chapter 5; LAN9220 rev. 2.9).
#![allow(
    dead_code,
    reason = "a register map is read as a whole; the tests' model uses more of it than the driver"
)]

/// RX data FIFO port; a read pops one word. Aliased up to 0x1C.
pub const RX_DATA: u32 = 0x00;
/// TX data FIFO port; a write pushes one word. Aliased up to 0x3C.
pub const TX_DATA: u32 = 0x20;
/// RX status FIFO port; a read pops the status of the next frame.
pub const RX_STATUS: u32 = 0x40;
/// TX status FIFO port; a read pops the status of one sent frame.
pub const TX_STATUS: u32 = 0x48;
/// Chip id in the upper half, revision in the lower.
pub const ID_REV: u32 = 0x50;
/// Interrupt pin: drive, polarity, enable, de-assertion interval.
pub const IRQ_CFG: u32 = 0x54;
/// Interrupt status, write one to clear.
pub const INT_STS: u32 = 0x58;
/// Interrupt enable.
pub const INT_EN: u32 = 0x5C;
/// Reads 0x8765_4321 if the bus is wired and clocked correctly.
pub const BYTE_TEST: u32 = 0x64;
/// FIFO levels at which the level interrupts fire.
pub const FIFO_INT: u32 = 0x68;
/// RX alignment, offset, dump.
pub const RX_CFG: u32 = 0x6C;
/// TX on, stop, dump.
pub const TX_CFG: u32 = 0x70;
/// Soft reset, FIFO split.
pub const HW_CFG: u32 = 0x74;
/// RX datapath: fast-forward over the rest of a frame.
pub const RX_DP_CTRL: u32 = 0x78;
/// RX FIFO fill: statuses (23:16, words), data (15:0, bytes).
pub const RX_FIFO_INF: u32 = 0x7C;
/// TX FIFO: statuses used (23:16, words), data space free (15:0, bytes).
pub const TX_FIFO_INF: u32 = 0x80;
/// Power management; bit 0: the chip is ready.
pub const PMT_CTRL: u32 = 0x84;
/// Frames dropped because of a full RX FIFO since the last read.
pub const RX_DROP: u32 = 0xA0;
/// MAC register access: command.
pub const MAC_CSR_CMD: u32 = 0xA4;
/// MAC register access: data.
pub const MAC_CSR_DATA: u32 = 0xA8;
/// Back-pressure and automatic flow control thresholds.
pub const AFC_CFG: u32 = 0xAC;
/// EEPROM controller; busy while it loads the MAC address after reset.
pub const E2P_CMD: u32 = 0xB0;

/// The value of `BYTE_TEST`.
pub const BYTE_TEST_VALUE: u32 = 0x8765_4321;

/// IRQ pin push-pull.
pub const IRQ_TYPE: u32 = 1 << 0;
/// IRQ pin active high.
pub const IRQ_POL: u32 = 1 << 4;
/// IRQ pin enabled.
pub const IRQ_EN: u32 = 1 << 8;

/// Dropped-frame counter passed half of its range.
pub const INT_RXDFH: u32 = 1 << 23;
/// A PHY interrupt.
pub const INT_PHY: u32 = 1 << 18;
/// RX error: the FIFO was read out of step.
pub const INT_RXE: u32 = 1 << 14;
/// TX error: the FIFO was written out of step; needs a reset.
pub const INT_TXE: u32 = 1 << 13;
/// TX data FIFO has more room than `FIFO_INT` asks for.
pub const INT_TDFA: u32 = 1 << 9;
/// RX status FIFO has more than the level in `FIFO_INT`: there is a frame.
pub const INT_RSFL: u32 = 1 << 3;

/// Soft reset, clears itself.
pub const HW_CFG_SRST: u32 = 1 << 0;
/// Must be one: the chip transmits only whole stored frames.
pub const HW_CFG_MBO: u32 = 1 << 20;
/// `TX_FIF_SZ`, kilobytes of the 16 KB that go to TX, from bit 16.
pub const HW_CFG_TX_FIF_SZ_SHIFT: u32 = 16;

/// Transmitter on.
pub const TX_CFG_TX_ON: u32 = 1 << 1;
/// Drop all TX data / statuses.
pub const TX_CFG_DUMP: u32 = (1 << 15) | (1 << 14);

/// Drop the rest of the frame at the head of the RX data FIFO.
pub const RX_DP_FFWD: u32 = 1 << 31;

/// Chip is ready.
pub const PMT_READY: u32 = 1 << 0;
/// EEPROM controller busy.
pub const E2P_BUSY: u32 = 1 << 31;

/// MAC register access in progress (on write: start).
pub const CSR_BUSY: u32 = 1 << 31;
/// MAC register access is a read.
pub const CSR_READ: u32 = 1 << 30;

/// MAC control.
pub const MAC_CR: u8 = 1;
/// MAC address, bytes 4 and 5.
pub const MAC_ADDRH: u8 = 2;
/// MAC address, bytes 0 to 3.
pub const MAC_ADDRL: u8 = 3;
/// MII command.
pub const MAC_MII_ACC: u8 = 6;
/// MII data.
pub const MAC_MII_DATA: u8 = 7;
/// Pause frames.
pub const MAC_FLOW: u8 = 8;
/// The EtherType of a tag, in whose frames 1,522 bytes are not too long.
pub const MAC_VLAN1: u8 = 9;

/// Receiver on.
pub const MAC_CR_RXEN: u32 = 1 << 2;
/// Transmitter on.
pub const MAC_CR_TXEN: u32 = 1 << 3;
/// Accept every multicast frame.
pub const MAC_CR_MCPAS: u32 = 1 << 19;
/// Full duplex.
pub const MAC_CR_FDPX: u32 = 1 << 20;

/// MII access in progress.
pub const MII_BUSY: u32 = 1 << 0;
/// MII access is a write.
pub const MII_WRITE: u32 = 1 << 1;
/// The built-in PHY's address, at bit 11.
pub const MII_PHY: u32 = 1 << 11;

/// PHY: basic control.
pub const PHY_BMCR: u8 = 0;
/// PHY: basic status; link is bit 2, latched low.
pub const PHY_BSR: u8 = 1;
/// PHY: advertised abilities.
pub const PHY_ANAR: u8 = 4;
/// PHY: the link partner's abilities.
pub const PHY_ANLPAR: u8 = 5;
/// PHY: interrupt source, cleared by reading.
pub const PHY_INT_SRC: u8 = 29;
/// PHY: interrupt mask.
pub const PHY_INT_MASK: u8 = 30;

/// Enable and restart auto-negotiation.
pub const BMCR_ANEG: u16 = (1 << 12) | (1 << 9);
/// Link is up.
pub const BSR_LINK: u16 = 1 << 2;
/// 10 and 100 Mbit/s, both duplexes, symmetric pause, IEEE 802.3.
pub const ANAR_ALL: u16 = 0x05E1;
/// 100BASE-TX full duplex or 10BASE-T full duplex.
pub const ANAR_FULL: u16 = (1 << 8) | (1 << 6);
/// Auto-negotiation complete, and link down.
pub const PHY_INT_LINK: u16 = (1 << 6) | (1 << 4);

/// RX status: the frame is damaged (CRC, length, collision, too long …).
pub const RX_STS_ERROR: u32 = 1 << 15;
/// RX status: the frame did not pass the address filter.
pub const RX_STS_FILTER: u32 = 1 << 30;
/// TX status: the transmission failed.
pub const TX_STS_ERROR: u32 = 1 << 15;

/// TX command A: first segment of the frame.
pub const TX_A_FIRST: u32 = 1 << 13;
/// TX command A: last segment of the frame.
pub const TX_A_LAST: u32 = 1 << 12;
