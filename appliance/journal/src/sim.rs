//! A simulated NOR flash chip whose power can be cut at any word.
//!
//! The chip refuses what a real chip can't do and what flash with error correction
//! does not allow (setting bits without an erase, programming a word twice), and
//! counts it in [`SimFlash::broken_rules`]. Every program of a word and every
//! erase of a sector is one *operation*; [`SimFlash::cut_after`] cuts the power
//! at one of them.

use std::vec;
use std::vec::Vec;

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// The effect of a power cut on its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The operation has no effect.
    Clean,
    /// Some of its bits change, according to the seed. They read the same each time.
    Torn(u64),
    /// Some of its bits change, and some of those read differently each time until
    /// they are erased.
    Weak(u64),
}

/// Why the chip refused an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimError {
    /// The power is off.
    PowerCut,
    /// The address is out of range or not aligned.
    Address,
    /// A rule of NOR flash was broken.
    Rule,
    /// The sector is worn out.
    Worn,
}

impl NorFlashError for SimError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            SimError::Address => NorFlashErrorKind::OutOfBounds,
            _ => NorFlashErrorKind::Other,
        }
    }
}

/// A change of the chip's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// A word was programmed.
    Program {
        /// Its address.
        at: u32,
        /// Its bytes.
        word: Vec<u8>,
    },
    /// A sector was erased.
    Erase {
        /// Its address.
        at: u32,
    },
    /// A place for a key, beside the chip, got another content.
    Key {
        /// The place: 0 or 1.
        place: usize,
        /// Its new content.
        key: [u8; 32],
    },
}

/// A chip with words of `WORD` bytes and sectors of `SECTOR` bytes.
#[derive(Debug, Clone)]
pub struct SimFlash<const WORD: usize, const SECTOR: usize> {
    bytes: Vec<u8>,
    /// Whether each word was programmed or touched since its erase.
    touched: Vec<bool>,
    /// Bits that read differently each time.
    weak: Vec<(usize, u8)>,
    erases: Vec<u32>,
    /// The board's keys, which lose their power with the chip.
    keys: [[u8; 32]; 2],
    /// Bits of them that read differently each time.
    weak_keys: [[u8; 32]; 2],
    /// Number of erases until a sector is worn out.
    endurance: u32,
    log: Option<Vec<Operation>>,
    operations: u64,
    cut: Option<(u64, Cut)>,
    off: bool,
    random: u64,
    broken_rules: u32,
}

impl<const WORD: usize, const SECTOR: usize> SimFlash<WORD, SECTOR> {
    /// Creates an erased chip.
    pub fn new(sectors: usize) -> Self {
        SimFlash {
            bytes: vec![0xff; sectors * SECTOR],
            touched: vec![false; sectors * SECTOR / WORD],
            weak: Vec::new(),
            erases: vec![0; sectors],
            keys: [[0xff; 32]; 2],
            weak_keys: [[0; 32]; 2],
            endurance: u32::MAX,
            log: None,
            operations: 0,
            cut: None,
            off: false,
            random: 0x9e37_79b9_7f4a_7c15,
            broken_rules: 0,
        }
    }

    /// Creates a chip with this content.
    pub fn with_bytes(bytes: &[u8]) -> Self {
        let mut flash = Self::new(bytes.len() / SECTOR);
        let length = flash.bytes.len();
        flash.bytes.copy_from_slice(&bytes[..length]);
        for (touched, word) in flash.touched.iter_mut().zip(bytes.chunks(WORD)) {
            *touched = word.iter().any(|b| *b != 0xff);
        }
        flash
    }

    /// Returns the content, with weak bits as programmed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Cuts the power at the operation after `operations` more.
    pub fn cut_after(&mut self, operations: u64, cut: Cut) {
        self.cut = Some((self.operations + operations, cut));
    }

    /// Turns the power on and cancels the cut.
    pub fn power_on(&mut self) {
        self.off = false;
        self.cut = None;
    }

    /// Returns whether the power is off.
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// Returns the number of operations.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Returns the number of refused operations.
    pub fn broken_rules(&self) -> u32 {
        self.broken_rules
    }

    /// Returns the number of erases of the most worn sector.
    pub fn wear(&self) -> u32 {
        self.erases.iter().copied().max().unwrap_or(0)
    }

    /// Sets the number of erases until a sector is worn out.
    pub fn set_endurance(&mut self, erases: u32) {
        self.endurance = erases;
    }

    /// Wears a sector out: erasing it fails from now on.
    pub fn wear_out(&mut self, sector: usize) {
        if let Some(erases) = self.erases.get_mut(sector) {
            *erases = u32::MAX;
        }
    }

    /// Returns the number of worn-out sectors.
    pub fn worn(&self) -> usize {
        self.erases
            .iter()
            .filter(|erases| **erases == u32::MAX)
            .count()
    }

    /// Starts to record operations for [`take_log`](Self::take_log).
    pub fn start_log(&mut self) {
        self.log = Some(Vec::new());
    }

    /// Returns the operations since [`start_log`](Self::start_log).
    pub fn take_log(&mut self) -> Vec<Operation> {
        self.log.take().unwrap_or_default()
    }

    /// Applies an operation, or the part of it that a cut leaves.
    pub fn apply(&mut self, operation: &Operation, cut: Option<Cut>) {
        if cut == Some(Cut::Clean) {
            return;
        }
        match operation {
            Operation::Program { at, word } => self.program(*at as usize, word, cut),
            Operation::Erase { at } => self.wipe(*at as usize, cut),
            Operation::Key { place, key } => self.put_key(*place, key, cut),
        }
    }

    /// Reads the places for keys beside the chip.
    ///
    /// # Errors
    /// The power is off.
    pub fn read_keys(&mut self) -> Result<[[u8; 32]; 2], SimError> {
        if self.off {
            return Err(SimError::PowerCut);
        }
        let mut keys = self.keys;
        let mut random = Xorshift(self.random);
        for (byte, mask) in keys
            .iter_mut()
            .zip(&self.weak_keys)
            .flat_map(|(k, m)| k.iter_mut().zip(m))
        {
            *byte ^= random.next() as u8 & mask;
        }
        self.random = random.0;
        Ok(keys)
    }

    /// Writes a place for a key: at once, or in part where a cut hits it.
    ///
    /// # Errors
    /// The power is off, or there is no such place.
    pub fn write_key(&mut self, place: usize, key: &[u8; 32]) -> Result<(), SimError> {
        if place >= self.keys.len() {
            return Err(SimError::Address);
        }
        let cut = self.power()?;
        let operation = Operation::Key { place, key: *key };
        self.apply(&operation, cut);
        if let Some(log) = &mut self.log {
            log.push(operation);
        }
        match cut {
            Some(_) => Err(SimError::PowerCut),
            None => Ok(()),
        }
    }

    fn put_key(&mut self, place: usize, key: &[u8; 32], cut: Option<Cut>) {
        let mut bits = Bits::of(cut);
        let bytes = self.keys[place].iter_mut().zip(&mut self.weak_keys[place]);
        for ((byte, mask), new) in bytes.zip(key) {
            let (done, weak) = bits.choose(*byte ^ new);
            *byte ^= done;
            *mask = weak;
        }
    }

    /// Flips a bit, as a loss of the chip.
    pub fn rot(&mut self, bit: usize) {
        if let Some(byte) = self.bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// Returns whether the next operation happens; `Some` has the cut that hits it.
    fn power(&mut self) -> Result<Option<Cut>, SimError> {
        if self.off {
            return Err(SimError::PowerCut);
        }
        let now = self.operations;
        self.operations += 1;
        if let Some((at, cut)) = self.cut
            && now >= at
        {
            self.off = true;
            return Ok(Some(cut));
        }
        Ok(None)
    }

    fn program(&mut self, at: usize, word: &[u8], cut: Option<Cut>) {
        let mut bits = Bits::of(cut);
        self.touched[at / WORD] = true;
        for (place, wanted) in (at..).zip(word) {
            let clear = self.bytes[place] & !wanted;
            let (done, weak) = bits.choose(clear);
            self.bytes[place] &= !done;
            if weak != 0 {
                self.weak.push((place, weak));
            }
        }
    }

    fn wipe(&mut self, at: usize, cut: Option<Cut>) {
        let mut bits = Bits::of(cut);
        self.weak
            .retain(|(place, _)| !(at..at + SECTOR).contains(place));
        for place in at..at + SECTOR {
            let set = !self.bytes[place];
            let (done, weak) = bits.choose(set);
            self.bytes[place] |= done;
            if weak != 0 {
                self.weak.push((place, weak));
            }
        }
        self.touched[at / WORD..(at + SECTOR) / WORD].fill(cut.is_some());
        self.erases[at / SECTOR] += 1;
    }

    fn broken(&mut self) -> SimError {
        self.broken_rules += 1;
        SimError::Rule
    }
}

/// Chooses the bits of a torn operation.
struct Bits {
    random: Option<Xorshift>,
    weak: bool,
}

impl Bits {
    fn of(cut: Option<Cut>) -> Self {
        let (random, weak) = match cut {
            None | Some(Cut::Clean) => (None, false),
            Some(Cut::Torn(seed)) => (Some(Xorshift::new(seed)), false),
            Some(Cut::Weak(seed)) => (Some(Xorshift::new(seed)), true),
        };
        Bits { random, weak }
    }

    /// Returns which of these bits change and which of them are weak.
    fn choose(&mut self, bits: u8) -> (u8, u8) {
        let Some(random) = &mut self.random else {
            return (bits, 0);
        };
        let [a, b, c, ..] = random.next().to_le_bytes();
        // Cuts happen early, late, and in the middle.
        let done = bits
            & match random.next() % 3 {
                0 => a & b & c,
                1 => a,
                _ => a | b | c,
            };
        let weak = if self.weak { bits & b & c } else { 0 };
        (done, weak)
    }
}

/// A small deterministic random generator.
#[derive(Debug, Clone, Copy)]
struct Xorshift(u64);

impl Xorshift {
    fn new(seed: u64) -> Self {
        Xorshift(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

impl<const WORD: usize, const SECTOR: usize> ErrorType for SimFlash<WORD, SECTOR> {
    type Error = SimError;
}

impl<const WORD: usize, const SECTOR: usize> ReadNorFlash for SimFlash<WORD, SECTOR> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        if self.off {
            return Err(SimError::PowerCut);
        }
        let at = offset as usize;
        let end = at + bytes.len();
        bytes.copy_from_slice(self.bytes.get(at..end).ok_or(SimError::Address)?);
        for (place, mask) in &self.weak {
            if let Some(byte) = place.checked_sub(at).and_then(|p| bytes.get_mut(p)) {
                let mut random = Xorshift(self.random);
                *byte ^= random.next() as u8 & mask;
                self.random = random.0;
            }
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WORD: usize, const SECTOR: usize> NorFlash for SimFlash<WORD, SECTOR> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        let (from, to) = (from as usize, to as usize);
        if from > to
            || to > self.bytes.len()
            || !from.is_multiple_of(SECTOR)
            || !to.is_multiple_of(SECTOR)
        {
            return Err(SimError::Address);
        }
        for at in (from..to).step_by(SECTOR) {
            let cut = self.power()?;
            let operation = Operation::Erase { at: at as u32 };
            if self.erases[at / SECTOR] >= self.endurance {
                return Err(SimError::Worn);
            }
            self.apply(&operation, cut);
            if let Some(log) = &mut self.log {
                log.push(operation);
            }
            if cut.is_some() {
                return Err(SimError::PowerCut);
            }
        }
        Ok(())
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        let at = offset as usize;
        if !at.is_multiple_of(WORD)
            || !bytes.len().is_multiple_of(WORD)
            || at + bytes.len() > self.bytes.len()
        {
            return Err(SimError::Address);
        }
        for (at, word) in (at..).step_by(WORD).zip(bytes.chunks(WORD)) {
            let now = &self.bytes[at..at + WORD];
            let sets = now.iter().zip(word).any(|(now, new)| !now & new != 0);
            if self.touched[at / WORD] || sets {
                return Err(self.broken());
            }
            let cut = self.power()?;
            let operation = Operation::Program {
                at: at as u32,
                word: word.to_vec(),
            };
            self.apply(&operation, cut);
            if let Some(log) = &mut self.log {
                log.push(operation);
            }
            if cut.is_some() {
                return Err(SimError::PowerCut);
            }
        }
        Ok(())
    }
}

/// A shared handle of a chip. The chip survives a mount that fails and drops its
/// handle.
#[derive(Debug)]
pub struct Shared<const WORD: usize, const SECTOR: usize>(
    std::rc::Rc<core::cell::RefCell<SimFlash<WORD, SECTOR>>>,
);

impl<const WORD: usize, const SECTOR: usize> Clone for Shared<WORD, SECTOR> {
    fn clone(&self) -> Self {
        Shared(self.0.clone())
    }
}

impl<const WORD: usize, const SECTOR: usize> Shared<WORD, SECTOR> {
    /// Creates a handle.
    pub fn new(flash: SimFlash<WORD, SECTOR>) -> Self {
        Shared(std::rc::Rc::new(core::cell::RefCell::new(flash)))
    }

    /// Calls a function with the chip.
    pub fn with<T>(&self, look: impl FnOnce(&mut SimFlash<WORD, SECTOR>) -> T) -> T {
        look(&mut self.0.borrow_mut())
    }
}

impl<const WORD: usize, const SECTOR: usize> ErrorType for Shared<WORD, SECTOR> {
    type Error = SimError;
}

impl<const WORD: usize, const SECTOR: usize> ReadNorFlash for Shared<WORD, SECTOR> {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimError> {
        self.with(|flash| now(flash.read(offset, bytes)))
    }

    fn capacity(&self) -> usize {
        self.with(|flash| flash.capacity())
    }
}

impl<const WORD: usize, const SECTOR: usize> NorFlash for Shared<WORD, SECTOR> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), SimError> {
        self.with(|flash| now(flash.erase(from, to)))
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimError> {
        self.with(|flash| now(flash.write(offset, bytes)))
    }
}

/// Polls a future once. The futures on simulated flash are ready at once.
///
/// # Panics
/// If the future is pending.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = core::pin::pin!(future);
    let mut context = core::task::Context::from_waker(core::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        core::task::Poll::Ready(value) => value,
        core::task::Poll::Pending => unreachable!("simulated flash is always ready"),
    }
}
