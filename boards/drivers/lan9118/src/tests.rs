//! Tests the driver with a model of the chip, which follows the data sheet: FIFOs
//! that get out of step after misuse, busy flags, write-one-to-clear interrupts, and
//! a PHY behind two layers of registers.

use core::cell::{Cell, RefCell};
use core::task::{Context, Waker};
use std::boxed::Box;
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec::Vec;

use embassy_net_driver::{Driver, LinkState, RxToken as _, TxToken as _};

use crate::regs::*;
use crate::{Buffers, Bus, Error, Lan9118, MAX_FRAME, Shared, on_interrupt};

const MAC: [u8; 6] = [2, 0xFA, 0x44, 0x1E, 0, 1];

/// The state of the model.
struct Chip {
    id: u32,
    byte_test: u32,
    busy: bool,
    link: bool,
    tx_free: u32,
    rx_status: VecDeque<u32>,
    rx_data: VecDeque<u32>,
    tx_words: Vec<u32>,
    tx_status: VecDeque<u32>,
    int_sts: u32,
    int_en: u32,
    irq_cfg: u32,
    hw_cfg: u32,
    drops: u32,
    resets: u32,
    mac: [u32; 16],
    mac_data: u32,
    phy: [u16; 32],
}

impl Chip {
    fn new() -> Self {
        let mut phy = [0; 32];
        phy[usize::from(PHY_ANLPAR)] = ANAR_ALL;
        Self {
            id: 0x0118_0001,
            byte_test: BYTE_TEST_VALUE,
            busy: false,
            link: true,
            tx_free: 3584,
            rx_status: VecDeque::new(),
            rx_data: VecDeque::new(),
            tx_words: Vec::new(),
            tx_status: VecDeque::new(),
            int_sts: 0,
            int_en: 0,
            irq_cfg: 0,
            hw_cfg: 0,
            drops: 0,
            resets: 0,
            mac: [0; 16],
            mac_data: 0,
            phy,
        }
    }

    /// Receives a frame from the wire, with `flags` in its status.
    fn arrive(&mut self, frame: &[u8], flags: u32) {
        let length = frame.len() as u32 + 4;
        self.rx_status.push_back(length << 16 | flags);
        let mut bytes = frame.to_vec();
        bytes.extend_from_slice(&[0xFC; 4]); // the check sequence
        for word in bytes.chunks(4) {
            let mut padded = [0; 4];
            padded[..word.len()].copy_from_slice(word);
            self.rx_data.push_back(u32::from_le_bytes(padded));
        }
        self.int_sts |= INT_RSFL;
    }

    /// Returns the frames in the TX FIFO without their command words.
    fn sent(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut words = self.tx_words.iter().copied();
        while let Some(a) = words.next() {
            assert_eq!(a & (TX_A_FIRST | TX_A_LAST), TX_A_FIRST | TX_A_LAST);
            let b = words.next().expect("command B follows A");
            let length = (b & 0x7FF) as usize;
            assert_eq!(a & 0x7FF, b & 0x7FF, "one segment is the whole frame");
            let mut frame = Vec::new();
            for _ in 0..length.div_ceil(4) {
                frame.extend_from_slice(&words.next().expect("data follows").to_le_bytes());
            }
            frame.truncate(length);
            frames.push(frame);
        }
        frames
    }

    fn mac_access(&mut self, command: u32) {
        let register = (command & 0xF) as usize;
        if command & CSR_READ != 0 {
            self.mac_data = self.mac[register];
            return;
        }
        self.mac[register] = self.mac_data;
        if register == usize::from(MAC_MII_ACC) {
            let phy = (self.mac_data >> 6 & 0x1F) as usize;
            assert_eq!(self.mac_data >> 11 & 0x1F, 1, "the built-in PHY is at 1");
            if self.mac_data & MII_WRITE != 0 {
                self.phy[phy] = self.mac[usize::from(MAC_MII_DATA)] as u16;
            } else {
                let value = if phy == usize::from(PHY_BSR) && self.link {
                    BSR_LINK
                } else {
                    self.phy[phy]
                };
                self.mac[usize::from(MAC_MII_DATA)] = u32::from(value);
            }
            self.mac[register] &= !MII_BUSY;
        }
    }
}

/// A handle of the model, for test and driver.
#[derive(Clone)]
struct Model(Rc<(RefCell<Chip>, Cell<u32>)>);

impl Model {
    fn new(chip: Chip) -> Self {
        Self(Rc::new((RefCell::new(chip), Cell::new(0))))
    }

    fn chip(&self) -> core::cell::RefMut<'_, Chip> {
        self.0.0.borrow_mut()
    }

    fn up(&self) -> Result<Lan9118<Model>, Error> {
        let shared = Box::leak(Box::new(Shared::new()));
        let buffers = Box::leak(Box::new(Buffers::new()));
        Lan9118::new(self.clone(), shared, buffers, MAC)
    }
}

impl Bus for Model {
    fn read(&self, offset: u32) -> u32 {
        let mut chip = self.chip();
        match offset {
            RX_DATA => chip.rx_data.pop_front().unwrap_or_else(|| {
                chip.int_sts |= INT_RXE;
                0
            }),
            RX_STATUS => chip
                .rx_status
                .pop_front()
                .expect("status read while there is one"),
            TX_STATUS => chip
                .tx_status
                .pop_front()
                .expect("status read while there is one"),
            ID_REV => chip.id,
            INT_STS => chip.int_sts,
            INT_EN => chip.int_en,
            BYTE_TEST => chip.byte_test,
            HW_CFG => chip.hw_cfg,
            RX_FIFO_INF => (chip.rx_status.len() as u32) << 16 | (chip.rx_data.len() as u32 * 4),
            TX_FIFO_INF => (chip.tx_status.len() as u32) << 16 | chip.tx_free,
            PMT_CTRL => u32::from(!chip.busy),
            RX_DROP => core::mem::take(&mut chip.drops),
            MAC_CSR_DATA => chip.mac_data,
            RX_DP_CTRL | MAC_CSR_CMD | E2P_CMD => 0,
            other => panic!("register {other:#x} is never read"),
        }
    }

    fn write(&self, offset: u32, value: u32) {
        let mut chip = self.chip();
        match offset {
            TX_DATA => chip.tx_words.push(value),
            INT_STS => chip.int_sts &= !value,
            INT_EN => chip.int_en = value,
            IRQ_CFG => chip.irq_cfg = value,
            HW_CFG if value & HW_CFG_SRST != 0 => {
                chip.resets += 1;
                chip.rx_data.clear();
                chip.rx_status.clear();
                chip.int_sts = 0;
                // Polarity and drive survive, enable is cleared.
                chip.irq_cfg &= IRQ_TYPE | IRQ_POL;
            }
            HW_CFG => chip.hw_cfg = value,
            RX_DP_CTRL => {
                assert_ne!(value & RX_DP_FFWD, 0);
                let words = self.0.1.take();
                assert!(words >= 4, "fast-forward over fewer than four words");
                for _ in 0..words {
                    chip.rx_data.pop_front();
                }
            }
            MAC_CSR_DATA => chip.mac_data = value,
            MAC_CSR_CMD => chip.mac_access(value),
            FIFO_INT | RX_CFG | TX_CFG | AFC_CFG => {}
            other => panic!("register {other:#x} is never written"),
        }
    }
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn receive(driver: &mut Lan9118<Model>) -> Option<Vec<u8>> {
    let (rx, _) = driver.receive(&mut context())?;
    Some(rx.consume(|frame| frame.to_vec()))
}

fn frame(length: usize) -> Vec<u8> {
    (0..length).map(|n| n as u8).collect()
}

#[test]
fn new_initialises_the_chip() {
    let model = Model::new(Chip::new());
    let mut driver = model.up().unwrap();
    assert!(driver.link_state(&mut context()) == LinkState::Up);
    let chip = model.chip();
    assert_eq!(chip.resets, 1);
    assert_eq!(chip.mac[usize::from(MAC_ADDRL)], 0x1E44_FA02);
    assert_eq!(chip.mac[usize::from(MAC_ADDRH)], 0x0100);
    assert_eq!(chip.mac[usize::from(MAC_VLAN1)], 0x8100);
    let control = chip.mac[usize::from(MAC_CR)];
    let wanted = MAC_CR_RXEN | MAC_CR_TXEN | MAC_CR_FDPX;
    assert_eq!(control & wanted, wanted);
    assert_eq!(chip.hw_cfg, HW_CFG_MBO | 4 << HW_CFG_TX_FIF_SZ_SHIFT);
    assert_eq!(chip.irq_cfg, IRQ_TYPE | IRQ_POL | IRQ_EN);
    assert_ne!(chip.int_en & INT_RSFL, 0);
}

#[test]
fn wrong_bus_and_unsupported_chip_have_different_errors() {
    let swapped = Chip {
        byte_test: 0x2143_6587,
        ..Chip::new()
    };
    let error = Model::new(swapped).up().err();
    assert_eq!(error, Some(Error::ByteOrder(0x2143_6587)));

    let unsupported = Chip {
        id: 0x1234_0001,
        ..Chip::new()
    };
    let error = Model::new(unsupported).up().err();
    assert_eq!(error, Some(Error::UnknownChip(0x1234_0001)));

    let asleep = Chip {
        busy: true,
        ..Chip::new()
    };
    let error = Model::new(asleep).up().err();
    assert_eq!(error, Some(Error::Stuck(PMT_CTRL)));
}

#[test]
fn frames_of_every_length_are_sent_and_received() {
    let model = Model::new(Chip::new());
    let mut driver = model.up().unwrap();
    let lengths = [14, 15, 16, 17, 59, 60, 61, 1513, MAX_FRAME];
    for length in lengths {
        model.chip().arrive(&frame(length), 0);
    }
    for length in lengths {
        assert_eq!(receive(&mut driver), Some(frame(length)));
        let token = driver.transmit(&mut context()).unwrap();
        token.consume(length, |to| to.copy_from_slice(&frame(length)));
    }
    assert_eq!(receive(&mut driver), None);
    assert_eq!(model.chip().sent(), lengths.map(frame));
    let counters = driver.shared.counters();
    assert_eq!((counters.rx, counters.tx), (9, 9));
    assert_eq!(model.chip().int_sts & INT_RXE, 0, "the FIFOs stay in step");
}

#[test]
fn invalid_frames_are_dropped_and_the_next_frame_arrives() {
    let model = Model::new(Chip::new());
    let mut driver = model.up().unwrap();
    for (bad, flags) in [
        (frame(60), RX_STS_ERROR),
        (frame(60), RX_STS_FILTER),
        (frame(4), RX_STS_ERROR),
        (frame(1600), 0),
    ] {
        model.chip().arrive(&bad, flags);
        model.chip().arrive(&frame(77), 0);
        // The words that fast-forward skips.
        model.0.1.set(bad.len().div_ceil(4) as u32 + 1);
        assert_eq!(receive(&mut driver), Some(frame(77)));
    }
    assert_eq!(driver.shared.counters().rx_errors, 4);
}

#[test]
fn full_tx_fifo_wakes_when_it_has_room() {
    let model = Model::new(Chip::new());
    let mut driver = model.up().unwrap();
    model.chip().tx_free = 1000;
    model.chip().arrive(&frame(60), 0);
    assert!(driver.transmit(&mut context()).is_none());
    assert_ne!(
        model.chip().int_en & INT_TDFA,
        0,
        "the TX interrupt is enabled"
    );
    assert_eq!(receive(&mut driver), None, "no room for an answer");
    model.chip().tx_free = 3584;
    assert!(driver.transmit(&mut context()).is_some());
    assert_eq!(receive(&mut driver), Some(frame(60)));
    assert_eq!(receive(&mut driver), None);
    assert_eq!(model.chip().int_en & INT_TDFA, 0);
}

#[test]
fn statuses_of_sent_frames_are_popped_and_counted() {
    let model = Model::new(Chip::new());
    let mut driver = model.up().unwrap();
    model.chip().tx_status.extend([0, TX_STS_ERROR, 0]);
    assert!(driver.transmit(&mut context()).is_some());
    assert!(model.chip().tx_status.is_empty());
    assert_eq!(driver.shared.counters().tx_errors, 1);
}

#[test]
fn handler_masks_the_interrupt_and_poll_enables_it() {
    let model = Model::new(Chip::new());
    let mut driver = model.up().unwrap();
    model.chip().arrive(&frame(60), 0);
    on_interrupt(&model, &Shared::new());
    assert_eq!(model.chip().int_en, 0);
    assert!(receive(&mut driver).is_some());
    assert_eq!(model.chip().int_en, 0, "not before the FIFO is empty");
    assert!(receive(&mut driver).is_none());
    let chip = model.chip();
    assert_ne!(chip.int_en & INT_RSFL, 0);
    assert_eq!(chip.int_sts & INT_RSFL, 0, "acknowledged");
}

#[test]
fn chip_out_of_step_is_restarted() {
    let model = Model::new(Chip::new());
    let mut driver = model.up().unwrap();
    model.chip().int_sts |= INT_RXE;
    assert!(receive(&mut driver).is_none());
    assert_eq!(model.chip().resets, 2);
    assert_eq!(driver.shared.counters().resets, 1);
    model.chip().arrive(&frame(60), 0);
    assert_eq!(receive(&mut driver), Some(frame(60)));
}

#[test]
fn link_state_follows_the_phy() {
    let model = Model::new(Chip::new());
    let mut driver = model.up().unwrap();
    for up in [false, true] {
        model.chip().link = up;
        model.chip().int_sts |= INT_PHY;
        assert!(receive(&mut driver).is_none());
        assert!((driver.link_state(&mut context()) == LinkState::Up) == up);
    }
}

#[test]
fn dropped_frames_accumulate() {
    let model = Model::new(Chip::new());
    let mut driver = model.up().unwrap();
    for drops in [3, 0, 4] {
        model.chip().drops = drops;
        assert!(receive(&mut driver).is_none());
    }
    assert_eq!(driver.shared.counters().rx_dropped, 7);
}
