//! A journal of records on NOR flash.
//!
//! [`Journal::append`] is atomic: when it returns, all records of the call are
//! durable; after an error or a power cut, all or none are. [`Journal::mount`]
//! returns every live record in order. The journal does not interpret records.
//!
//! # Bounds
//! The flash sectors form a ring. An append writes the words of its records and
//! sometimes the header of a sector; the cost does not depend on the number of
//! records in the journal. A *sweep* supersedes old records: it writes the current
//! state of the application again in small pieces ([`Journal::maintain`]). When a
//! sweep is complete, all sectors before its start are free. A sweep continues
//! after a restart. It writes twice the bytes that are appended meanwhile; if
//! sectors become scarce, it runs to its end at once. A mount reads at most the
//! size of the state plus a sixth of the flash.
//!
//! The application has two obligations. It must ignore a record of an object that
//! it does not know, because the sweep may write the object later. It must accept
//! a record that is applied twice in a row.
//!
//! # Why not an existing crate
//! `sequential-storage` was measured. Its map searches the pages for a key unless
//! RAM caches the position of every key (16 bytes or more a key, with 10,000
//! leases), and its garbage collection searches for the newest version of every
//! item of a page. Its queue can only be emptied by programming words twice, which
//! flash with error correction does not allow.
//!
//! # Rules of NOR flash
//! The journal only clears bits. It programs a word once between two erases, also
//! a word that a power cut may have touched. It erases a sector right before its
//! use, also if the sector reads as erased.
//!
//! | module | what |
//! |---|---|
//! | [`format`] | bytes of headers and frames |
//! | `scan` | reads frames in order |
//! | `mount` | finds the end of the journal and replays it |
//! | `sweep` | supersedes old records |
//! | [`ram`] | flash in memory, for benches and boards without flash |
//! | `sim` | a simulated flash chip with power cuts (feature `sim`) |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "sim"))]
extern crate std;

pub mod format;
mod mount;
pub mod ram;
mod scan;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod sweep;

use embedded_storage_async::nor_flash::NorFlash;
use format::{FRAME_OVERHEAD, Frame, Header, KIND_RECORDS, KIND_SWEEP, SEAL};
pub use mount::{MountError, Mounted};

/// Longest record in bytes.
pub const MAX_RECORD: usize = 128;
/// Smallest number of sectors: the current one, one that a sweep frees, and two
/// for recovery.
pub const MIN_SECTORS: u32 = 4;
/// Smallest sector in bytes. The records of an append are in one sector.
pub const MIN_SECTOR: u32 = 4096;
/// Largest word (unit of programming) of the flash, in bytes.
pub const MAX_WORD: usize = 32;

/// Number of consecutive worn-out sectors that the journal skips.
const TRIES: u32 = 8;

/// Why an append failed. After [`Full`](Self::Full) or [`Flash`](Self::Flash) the
/// journal refuses appends: the state in RAM and the state after a restart differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendError {
    /// The records of the call do not fit a sector, or a record is empty or longer
    /// than [`MAX_RECORD`].
    TooLong,
    /// No sector is free: [`Journal::maintain`] was not called, or the state is too
    /// large for the flash.
    Full,
    /// The read-back failed in several sectors.
    Flash,
    /// An earlier call failed.
    Broken,
}

/// Usage and wear of a journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of sectors of the flash.
    pub sectors: u32,
    /// Number of live sectors, which a mount reads.
    pub used: u32,
    /// Number of sectors that were opened since the journal was created.
    pub opened: u32,
    /// Number of sectors, or ends of sectors, that were given up since the last
    /// mount because the read-back failed.
    pub given_up: u32,
}

/// What an operator should know of a journal, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Nothing is wrong.
    Good,
    /// Every sector was erased four fifths as often as NOR flash is made for.
    Old,
    /// Sectors, or ends of sectors, did not keep what was written.
    Wearing,
    /// More than half of the sectors are live: sweeps make too little room.
    Scarce,
}

/// Erasures that a sector of NOR flash is made for.
const ENDURANCE: u32 = 100_000;

impl Usage {
    /// How often each sector was erased, on average.
    #[must_use]
    pub fn cycles(&self) -> u32 {
        self.opened.checked_div(self.sectors).unwrap_or(0)
    }

    /// What an operator should know. All but [`Health::Good`] is a reason to
    /// replace the flash before it takes no records any more.
    #[must_use]
    pub fn health(&self) -> Health {
        if self.used > self.sectors / 2 {
            Health::Scarce
        } else if self.given_up > 0 {
            Health::Wearing
        } else if self.cycles() >= ENDURANCE / 5 * 4 {
            Health::Old
        } else {
            Health::Good
        }
    }
}

/// A journal on a whole flash device.
#[derive(Debug)]
pub struct Journal<F> {
    pub(crate) flash: F,
    pub(crate) sectors: u32,
    /// Number of the current sector; its index is this modulo `sectors`.
    pub(crate) head: u32,
    /// Offset of the next frame in it.
    pub(crate) offset: u32,
    /// The first live sector, as in the header of the current sector.
    pub(crate) base: u32,
    /// Number of mounts.
    pub(crate) run: u32,
    pub(crate) index: u8,
    /// Number of the last sector whose header was written.
    pub(crate) opened: u32,
    /// Whether the sector after the head is erased.
    pub(crate) ready: bool,
    pub(crate) broken: bool,
    pub(crate) given_up: u32,
    pub(crate) sweep: sweep::Sweep,
    /// What was read last.
    pub(crate) window: [u8; scan::WINDOW],
}

impl<F: NorFlash> Journal<F> {
    /// Frames start at multiples of this many bytes.
    pub(crate) const WORD: u32 = if F::WRITE_SIZE < 4 {
        4
    } else {
        F::WRITE_SIZE as u32
    };
    pub(crate) const SECTOR: u32 = F::ERASE_SIZE as u32;
    /// Size of a seal on flash in bytes.
    pub(crate) const SEAL: u32 = (SEAL as u32).next_multiple_of(Self::WORD);
    pub(crate) const FITS: () = assert!(
        F::WRITE_SIZE <= MAX_WORD
            && F::WRITE_SIZE.is_power_of_two()
            && F::WRITE_SIZE.is_multiple_of(F::READ_SIZE)
            && F::ERASE_SIZE >= MIN_SECTOR as usize
            && F::ERASE_SIZE.is_power_of_two(),
        "the flash needs words of 1 to 32 bytes, reads of at most a word, and sectors of 4 KiB or more"
    );

    /// Appends all records or none. They are durable when the future returns.
    ///
    /// # Errors
    /// See [`AppendError`]. No record was appended then.
    pub async fn append<'a>(
        &mut self,
        records: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), AppendError> {
        let mut length = 0;
        for record in records.clone() {
            if record.is_empty() || record.len() > MAX_RECORD {
                return Err(AppendError::TooLong);
            }
            length += 1 + record.len();
        }
        if length == 0 {
            return Ok(());
        }
        let written = self
            .frame(KIND_RECORDS, &[], records, length, false)
            .await?;
        self.sweep.owe(written);
        Ok(())
    }

    /// Returns the number of mounts including this one. A number does not repeat,
    /// also after a loss of bits.
    pub fn run(&self) -> u32 {
        self.run
    }

    /// Returns usage and wear.
    pub fn usage(&self) -> Usage {
        Usage {
            sectors: self.sectors,
            used: self.head - self.base + 1,
            opened: self.head,
            given_up: self.given_up,
        }
    }

    /// Returns the flash, for tests that read its bytes.
    pub fn flash(&self) -> &F {
        &self.flash
    }

    /// Returns the flash, for tests that damage it.
    pub fn flash_mut(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Returns the flash.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Returns the number of free sectors.
    pub(crate) fn free(&self) -> u32 {
        (self.base + self.sectors - 1).saturating_sub(self.head)
    }

    /// Returns the number of free sectors reserved for the end of a sweep and for
    /// mounts that a power cut interrupts.
    fn reserve(&self) -> u32 {
        (self.sectors / 16).max(2)
    }

    pub(crate) fn place(&self, sector: u32) -> u32 {
        sector % self.sectors * Self::SECTOR
    }

    /// Writes one frame: `prefix`, then each record prefixed with its length.
    /// Returns its size on flash in bytes.
    pub(crate) async fn frame<'a>(
        &mut self,
        kind: u8,
        prefix: &[u8],
        records: impl Iterator<Item = &'a [u8]> + Clone,
        length: usize,
        recovering: bool,
    ) -> Result<u32, AppendError> {
        if self.broken {
            return Err(AppendError::Broken);
        }
        let result = self
            .frame_inner(kind, prefix, records, length, recovering)
            .await;
        self.broken |= matches!(result, Err(AppendError::Full | AppendError::Flash));
        result
    }

    async fn frame_inner<'a>(
        &mut self,
        kind: u8,
        prefix: &[u8],
        records: impl Iterator<Item = &'a [u8]> + Clone,
        length: usize,
        recovering: bool,
    ) -> Result<u32, AppendError> {
        let body = u32::try_from(prefix.len() + length).map_err(|_| AppendError::TooLong)?;
        let size = (body + FRAME_OVERHEAD).next_multiple_of(Self::WORD);
        // A mount may copy the frame behind its own prefix.
        let most = Self::SECTOR - (Header::LEN + 3 * MAX_WORD) as u32;
        if size > most || body > u32::from(Frame::MAX_BODY) {
            return Err(AppendError::TooLong);
        }
        // A sweep frame needs no seal: a lost one is written again.
        let seal = if kind == KIND_SWEEP { 0 } else { Self::SEAL };
        // After a failed read-back it tries another sector.
        for _ in 0..3 {
            if self.offset + size + seal > Self::SECTOR {
                self.open(recovering).await?;
            }
            let at = self.offset;
            // These words count as programmed, also after an error.
            self.offset += size + seal;
            let index = self.index.wrapping_add(1);
            let frame = Frame {
                kind,
                index,
                body: body as u16,
            };
            if self
                .program(at, frame, prefix, records.clone())
                .await
                .is_ok()
                && self.verify(self.head, at, frame).await
            {
                self.index = index;
                if seal == 0 || self.seal(at + size, index).await {
                    return Ok(size + seal);
                }
            }
            self.given_up = self.given_up.saturating_add(1);
            self.offset = Self::SECTOR;
        }
        Err(AppendError::Flash)
    }

    /// Writes the seal of a frame. Returns whether the read-back matches.
    pub(crate) async fn seal(&mut self, at: u32, index: u8) -> bool {
        let seal = format::seal(self.head, index);
        self.write_and_read(self.place(self.head) + at, &seal).await
    }

    /// Writes at most [`Header::LEN`] bytes. Returns whether the read-back matches.
    async fn write_and_read(&mut self, at: u32, bytes: &[u8]) -> bool {
        let mut writer = Writer::new(at);
        let written = match writer.put(&mut self.flash, bytes).await {
            Ok(()) => writer.close(&mut self.flash).await,
            Err(error) => Err(error),
        };
        let mut window = [0; Header::LEN];
        let size = bytes.len().next_multiple_of(Self::WORD as usize);
        let Some(read) = window.get_mut(..size) else {
            return false;
        };
        written.is_ok() && self.flash.read(at, read).await.is_ok() && read.starts_with(bytes)
    }

    async fn program<'a>(
        &mut self,
        at: u32,
        frame: Frame,
        prefix: &[u8],
        records: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), F::Error> {
        let mut crc = format::digest(self.head);
        let address = self.place(self.head) + at;
        let mut writer = Writer::new(address);
        let head = frame.to_bytes();
        for piece in [&head[..], prefix] {
            crc.update(piece);
            writer.put(&mut self.flash, piece).await?;
        }
        for record in records {
            // `append` checked the length.
            let length = [record.len() as u8];
            crc.update(&length);
            writer.put(&mut self.flash, &length).await?;
            crc.update(record);
            writer.put(&mut self.flash, record).await?;
        }
        writer
            .put(&mut self.flash, &crc.finalize().to_le_bytes())
            .await?;
        writer.close(&mut self.flash).await
    }

    /// Opens the next sector. Unless `recovering`, it leaves the reserved sectors to
    /// mounts and sweeps.
    pub(crate) async fn open(&mut self, recovering: bool) -> Result<(), AppendError> {
        for _ in 0..TRIES {
            let makes_room = recovering || self.sweep.finished().is_some();
            let least = if makes_room { 1 } else { self.reserve() };
            if self.free() < least {
                return Err(AppendError::Full);
            }
            let next = self.head + 1;
            let header = Header {
                sector: next,
                base: self.sweep.finished().unwrap_or(self.base),
                run: self.run,
                size: Self::SECTOR,
                before: self.opened,
            };
            if self.prepare(next).await.is_ok() && self.write_header(header).await {
                self.head = next;
                self.opened = next;
                self.base = header.base;
                self.offset = Header::LEN as u32;
                self.ready = false;
                self.sweep.forget(header.base);
                return Ok(());
            }
            // Skips the sector.
            self.given_up = self.given_up.saturating_add(1);
            self.head = next;
            self.offset = Self::SECTOR;
            self.ready = false;
            if self.opened == 0 {
                // The first sector failed: the journal starts behind it.
                self.base = next + 1;
            }
        }
        Err(AppendError::Flash)
    }

    /// Erases the sector unless it is already erased in this run.
    pub(crate) async fn prepare(&mut self, sector: u32) -> Result<(), F::Error> {
        if !self.ready {
            let at = self.place(sector);
            self.flash.erase(at, at + Self::SECTOR).await?;
            self.ready = true;
        }
        Ok(())
    }

    pub(crate) async fn write_header(&mut self, header: Header) -> bool {
        let at = self.place(header.sector);
        self.write_and_read(at, &header.to_bytes()).await
    }
}

/// Bytes of one program call, a multiple of every word size.
const ROOM: usize = 2 * MAX_WORD;

/// Programs bytes in whole words, padded with ones.
pub(crate) struct Writer {
    at: u32,
    buffer: [u8; ROOM],
    used: usize,
}

impl Writer {
    pub(crate) fn new(at: u32) -> Self {
        Writer {
            at,
            buffer: [0xff; ROOM],
            used: 0,
        }
    }

    pub(crate) async fn put<F: NorFlash>(
        &mut self,
        flash: &mut F,
        mut bytes: &[u8],
    ) -> Result<(), F::Error> {
        while !bytes.is_empty() {
            let room = self.buffer.get_mut(self.used..).unwrap_or_default();
            let (now, rest) = bytes.split_at(bytes.len().min(room.len()));
            if let Some(room) = room.get_mut(..now.len()) {
                room.copy_from_slice(now);
            }
            self.used += now.len();
            bytes = rest;
            if self.used == ROOM {
                self.flush(flash, ROOM).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn close<F: NorFlash>(mut self, flash: &mut F) -> Result<(), F::Error> {
        let padded = self.used.next_multiple_of(Journal::<F>::WORD as usize);
        if padded > 0 {
            self.flush(flash, padded).await?;
        }
        Ok(())
    }

    async fn flush<F: NorFlash>(&mut self, flash: &mut F, length: usize) -> Result<(), F::Error> {
        let bytes = self.buffer.get(..length).unwrap_or_default();
        flash.write(self.at, bytes).await?;
        self.at += length as u32;
        self.buffer = [0xff; ROOM];
        self.used = 0;
        Ok(())
    }
}
