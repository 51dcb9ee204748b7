//! A journal of records on NOR flash.
//!
//! What is appended is durable when [`Journal::append`] returns, all records
//! of one call or none of them. [`Journal::mount`] gives every record that
//! matters back, in order, whatever the power did before. Nothing here knows
//! what a record means.
//!
//! # How it stays bounded
//! Flash sectors form a ring. Appending costs the record's own words, and
//! now and then a sector's header: how much lies in the journal makes no
//! difference. Old records are made superfluous by a *sweep*: bit by bit
//! the owner's present state is written again, as records that replace what
//! came before ([`Journal::tend`]). When a sweep is through, everything
//! before its beginning is dead and its sectors are free. A sweep goes on
//! over restarts, and takes twice the bytes that were appended meanwhile;
//! only where room gets scarce it runs to its end at once. It begins long
//! before: what a restart has to read is bounded by the state's size and a
//! sixth of the flash, whatever was appended.
//!
//! So the owner has two duties. A record of an object that the journal does
//! not know (its own part of the sweep comes later) must be ignorable, and a
//! record that is applied twice in a row must do no harm.
//!
//! # Why not a kept crate
//! `sequential-storage` is the obvious candidate and was measured against
//! the need. Its map scans pages for a key unless every key's place is
//! cached in RAM (16 bytes and more a key; 10,000 leases, and 650 bytes are
//! left), and making room means searching for every item of a page whether
//! it is the newest one. Its queue can only be emptied from the front by
//! writing words twice, which flash with error correction forbids.
//!
//! # Rules of the flash that are kept
//! Bits are only cleared; a word is programmed once between two erases, and
//! so is one that a power cut may have touched; a sector is erased whole
//! right before it is used, also when it reads as erased.
//!
//! | module | what |
//! |---|---|
//! | [`format`] | bytes of headers and frames |
//! | `scan` | reading frames in their order |
//! | `mount` | finding the journal again |
//! | `sweep` | making old records superfluous |
//! | [`ram`] | flash in memory, for benches |
//! | `sim` | a flash chip with power cuts, for tests (feature `sim`) |
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
use format::{FRAME_OVERHEAD, Frame, Header, KIND_RECORDS, KIND_SWEEP, SEAL, VERSION};
pub use mount::{MountError, Mounted};

/// Longest record in bytes.
pub const MAX_RECORD: usize = 128;
/// Least sectors of a journal: the one that is written, one that is being
/// made free, and two to recover in.
pub const MIN_SECTORS: u32 = 4;
/// Least size of a sector in bytes: the records of one call lie in one.
pub const MIN_SECTOR: u32 = 4096;
/// Largest word that flash programs at once, in bytes.
pub const MAX_WORD: usize = 32;

/// Sectors in a row that may be worn out.
const TRIES: u32 = 4;

/// Why records could not be appended. The journal takes no more of them
/// then: what its owner believes and what a restart would find differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendError {
    /// The records of one call do not fit a sector, or one is empty or
    /// longer than [`MAX_RECORD`].
    TooLong,
    /// No sector is free: [`Journal::tend`] was not called, or the state is
    /// too large for the flash.
    Full,
    /// The flash does not take what is written to it, in several sectors.
    Flash,
    /// An earlier call failed.
    Broken,
}

/// What a journal holds and has been through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sectors of the flash.
    pub sectors: u32,
    /// Sectors that a restart would read.
    pub used: u32,
    /// Sectors that were opened since the journal was made.
    pub opened: u32,
    /// Sectors or rests of them that were given up, as the flash did not
    /// hold what was written; since the last mount.
    pub given_up: u32,
}

/// A journal on the whole of a flash device.
#[derive(Debug)]
pub struct Journal<F> {
    pub(crate) flash: F,
    pub(crate) sectors: u32,
    /// Number of the sector that is written; its place is this modulo
    /// `sectors`.
    pub(crate) head: u32,
    /// Where the next frame begins in it.
    pub(crate) offset: u32,
    /// The first sector that a restart reads, as the head's header says.
    pub(crate) base: u32,
    /// How often the journal was mounted.
    pub(crate) run: u32,
    pub(crate) index: u8,
    /// Number of the last sector whose header was written.
    pub(crate) opened: u32,
    /// The sector after the head is erased already.
    pub(crate) ready: bool,
    pub(crate) broken: bool,
    pub(crate) given_up: u32,
    pub(crate) sweep: sweep::Sweep,
}

impl<F: NorFlash> Journal<F> {
    /// Frames begin at multiples of this.
    pub(crate) const WORD: u32 = if F::WRITE_SIZE < 4 {
        4
    } else {
        F::WRITE_SIZE as u32
    };
    pub(crate) const SECTOR: u32 = F::ERASE_SIZE as u32;
    /// What a seal takes.
    pub(crate) const SEAL: u32 = (SEAL as u32).next_multiple_of(Self::WORD);
    pub(crate) const FITS: () = assert!(
        F::WRITE_SIZE <= MAX_WORD
            && F::WRITE_SIZE.is_power_of_two()
            && F::WRITE_SIZE.is_multiple_of(F::READ_SIZE)
            && F::ERASE_SIZE >= MIN_SECTOR as usize
            && F::ERASE_SIZE.is_power_of_two(),
        "words of 1 to 32 bytes, reads no coarser, sectors of 4 KiB or more"
    );

    /// Appends records, all or none. When this returns they are durable.
    ///
    /// # Errors
    /// [`AppendError`]; none of the records counts then.
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

    /// How many times the journal was mounted, this one included. Never the
    /// same number twice for what happened in one run.
    pub fn run(&self) -> u32 {
        self.run
    }

    /// What the journal holds.
    pub fn usage(&self) -> Usage {
        Usage {
            sectors: self.sectors,
            used: self.head - self.base + 1,
            opened: self.head,
            given_up: self.given_up,
        }
    }

    /// The flash, for tests that look at its bytes.
    pub fn flash(&self) -> &F {
        &self.flash
    }

    /// The flash, for tests that damage it.
    pub fn flash_mut(&mut self) -> &mut F {
        &mut self.flash
    }

    /// Ends the journal's life and gives the flash back.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// Sectors that can still be opened.
    pub(crate) fn free(&self) -> u32 {
        (self.base + self.sectors - 1).saturating_sub(self.head)
    }

    /// Free sectors that records may not take: room for a sweep to end in,
    /// and for mounts that are cut off before it does.
    fn reserve(&self) -> u32 {
        (self.sectors / 16).max(2)
    }

    pub(crate) fn place(&self, sector: u32) -> u32 {
        sector % self.sectors * Self::SECTOR
    }

    /// Writes one frame: `prefix`, then each record behind its length.
    /// Returns how many bytes of flash it took.
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
        // A mount may have to write it once more, behind its own prefix.
        let most = Self::SECTOR - (Header::LEN + 3 * MAX_WORD) as u32;
        if size > most || body > u32::from(Frame::MAX_BODY) {
            return Err(AppendError::TooLong);
        }
        // A piece of a sweep that is lost is written again.
        let seal = if kind == KIND_SWEEP { 0 } else { Self::SEAL };
        // Once more in another sector where the flash does not hold it.
        for _ in 0..3 {
            if self.offset + size + seal > Self::SECTOR {
                self.open(recovering).await?;
            }
            let at = self.offset;
            // Whatever happens now, these words are touched.
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

    /// Writes behind a frame that it was read back as a whole.
    pub(crate) async fn seal(&mut self, at: u32, index: u8) -> bool {
        let seal = format::seal(self.head, index);
        self.write_and_read(self.place(self.head) + at, &seal).await
    }

    /// Writes at most a header's bytes. Whether the flash holds them.
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
            // Bounded by `append`.
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

    /// Goes on in the next sector. Some sectors are left alone unless
    /// `recovering`: a mount and a sweep must always have room.
    pub(crate) async fn open(&mut self, recovering: bool) -> Result<(), AppendError> {
        for _ in 0..TRIES {
            let makes_room = recovering || self.sweep.finished().is_some();
            let least = if makes_room { 1 } else { self.reserve() };
            if self.free() < least {
                return Err(AppendError::Full);
            }
            let next = self.head + 1;
            let header = Header {
                version: VERSION,
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
            // The ring goes on behind it.
            self.given_up = self.given_up.saturating_add(1);
            self.head = next;
            self.offset = Self::SECTOR;
            self.ready = false;
            if self.opened == 0 {
                // It would have been the first.
                self.base = next + 1;
            }
        }
        Err(AppendError::Flash)
    }

    /// Erases a sector, unless this run has done so already.
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

/// Bytes that are programmed in one call: a multiple of every word's length.
const ROOM: usize = 2 * MAX_WORD;

/// Programs a run of bytes in whole words, padded with ones.
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
