//! The asset store on the board's block device: finding assets, reading
//! them in pieces, writing scratch slots. The layout is `farrier-asset-store`'s;
//! the rack says who may have what.
//!
//! The device is shared by all tasks, which take turns. Whoever reads holds it
//! for one piece of at most [`PIECE`] bytes, whoever writes for one sector,
//! in one buffer that belongs to the turn: sixteen transfers do not need
//! sixteen buffers, and none keeps the others waiting for long.

use aligned::{A4, Aligned};
use block_device_driver::{BlockDevice, slice_to_blocks, slice_to_blocks_mut};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::{Mutex, MutexGuard};
use embassy_sync::semaphore::{FairSemaphore, Semaphore, SemaphoreReleaser};
use farrier_asset_store::{ENTRY_LEN, Entry, SECTOR, SlotPart, Superblock};
use farrier_sizes::STORE_PIECE;
use sha2::{Digest, Sha256};

use crate::queues::{API_SLOTS, WAITERS};

/// Most bytes that one read yields: whole sectors, less what lies before an
/// odd offset.
pub const PIECE: usize = STORE_PIECE;
const _: () = assert!(
    PIECE > 0 && PIECE.is_multiple_of(SECTOR),
    "buffers.store in board.toml must be whole sectors"
);

/// Bytes in front of the piece: a head of a packet goes here, so that a
/// packet leaves from this buffer without a copy.
const PREFIX: usize = 4;

/// Bytes of the one buffer.
pub const BUFFER: usize = PREFIX + PIECE;

/// Tasks that may wait for their turn: every worker, the requests of the API,
/// the writer of statements, and start-up.
const WAITING: usize = WAITERS + API_SLOTS + 2;

/// Turns at the device. Not the lock's own order: embassy's mutex remembers
/// one waiting task, and several that wait would wake one another without
/// end.
type Turns = FairSemaphore<NoopRawMutex, WAITING>;

/// Why the store did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreError {
    /// The device failed or the place is outside of it.
    Device,
    /// The layout does not hold.
    Layout(farrier_asset_store::Error),
    /// More bytes than the part of a slot takes.
    TooLong,
}

/// The store: its layout, and the device behind a lock.
#[derive(Debug)]
pub struct AssetStore<D> {
    superblock: Superblock,
    turns: Turns,
    device: Mutex<NoopRawMutex, Device<D>>,
}

/// The device and the one buffer.
#[derive(Debug)]
struct Device<D> {
    blocks: D,
    buffer: &'static mut Aligned<A4, [u8; BUFFER]>,
}

impl<D: BlockDevice<SECTOR, Align = A4>> Device<D> {
    /// Fills the front of the buffer with `sectors` sectors from `first` on.
    async fn load(&mut self, first: u64, sectors: usize) -> Result<(), StoreError> {
        let first = u32::try_from(first).map_err(|_| StoreError::Device)?;
        let blocks = slice_to_blocks_mut::<A4, SECTOR>(&mut self.buffer[PREFIX..]);
        let blocks = blocks.get_mut(..sectors).ok_or(StoreError::Device)?;
        self.blocks
            .read(first, blocks)
            .await
            .map_err(|_| StoreError::Device)
    }

    /// Writes the first sector of the buffer to `sector`.
    async fn save(&mut self, sector: u64) -> Result<(), StoreError> {
        let sector = u32::try_from(sector).map_err(|_| StoreError::Device)?;
        let blocks = slice_to_blocks::<A4, SECTOR>(&self.buffer[PREFIX..]);
        let blocks = blocks.get(..1).ok_or(StoreError::Device)?;
        self.blocks
            .write(sector, blocks)
            .await
            .map_err(|_| StoreError::Device)
    }
}

/// A piece of the store, and the lock on its buffer. Drop it before waiting
/// for anything.
#[derive(Debug)]
pub struct Piece<'a, D> {
    _turn: SemaphoreReleaser<'a, Turns>,
    device: MutexGuard<'a, NoopRawMutex, Device<D>>,
    start: usize,
    end: usize,
}

impl<D> core::ops::Deref for Piece<'_, D> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.device
            .buffer
            .get(PREFIX + self.start..PREFIX + self.end)
            .unwrap_or_default()
    }
}

impl<D> Piece<'_, D> {
    /// The piece with four bytes in front of it.
    pub fn with_head(&mut self, head: [u8; PREFIX]) -> &[u8] {
        let framed = self
            .device
            .buffer
            .get_mut(self.start..PREFIX + self.end)
            .unwrap_or_default();
        if let Some(front) = framed.first_chunk_mut() {
            *front = head;
        }
        framed
    }
}

impl<D: BlockDevice<SECTOR, Align = A4>> AssetStore<D> {
    /// Reads the superblock and checks the table against its hash.
    ///
    /// # Errors
    /// [`StoreError::Device`], [`StoreError::Layout`].
    pub async fn open(
        blocks: D,
        buffer: &'static mut Aligned<A4, [u8; BUFFER]>,
    ) -> Result<Self, StoreError> {
        let mut device = Device { blocks, buffer };
        device.load(0, 1).await?;
        let sector = device.buffer[PREFIX..]
            .first_chunk()
            .ok_or(StoreError::Device)?;
        let superblock = Superblock::parse(sector).map_err(StoreError::Layout)?;
        let this = Self {
            superblock,
            turns: Turns::new(1),
            device: Mutex::new(device),
        };
        let mut hash = Sha256::new();
        let length = u64::from(superblock.entries) * ENTRY_LEN as u64;
        let mut at = 0;
        while at < length {
            let piece = this
                .read(
                    superblock.table_offset + at,
                    (length - at).min(PIECE as u64) as usize,
                )
                .await?;
            hash.update(&*piece);
            at += piece.len() as u64;
        }
        if hash.finalize()[..] != superblock.table_hash {
            return Err(StoreError::Layout(farrier_asset_store::Error::Damaged));
        }
        Ok(this)
    }

    /// How many assets there are.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.superblock.entries
    }

    /// The asset at a place of the table, which is sorted by name.
    ///
    /// # Errors
    /// [`StoreError::Device`] for a place that is not there,
    /// [`StoreError::Layout`].
    pub async fn entry(&self, place: u32) -> Result<Entry, StoreError> {
        if place >= self.superblock.entries {
            return Err(StoreError::Device);
        }
        let at = self.superblock.table_offset + u64::from(place) * ENTRY_LEN as u64;
        let piece = self.read(at, ENTRY_LEN).await?;
        let bytes = piece.first_chunk().ok_or(StoreError::Device)?;
        Entry::parse(bytes).map_err(StoreError::Layout)
    }

    /// The asset of that name, found by halving: ten reads among a thousand.
    ///
    /// # Errors
    /// As [`Self::entry`]; a name that is not there is `Ok(None)`.
    pub async fn find(&self, name: &str) -> Result<Option<Entry>, StoreError> {
        let (mut low, mut high) = (0, self.superblock.entries);
        while low < high {
            let middle = low.midpoint(high);
            let entry = self.entry(middle).await?;
            match entry.name().cmp(name) {
                core::cmp::Ordering::Equal => return Ok(Some(entry)),
                core::cmp::Ordering::Less => low = middle + 1,
                core::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// Waits for the device.
    async fn turn(
        &self,
    ) -> Result<
        (
            SemaphoreReleaser<'_, Turns>,
            MutexGuard<'_, NoopRawMutex, Device<D>>,
        ),
        StoreError,
    > {
        // There is a place for every task.
        let turn = self.turns.acquire(1).await;
        let turn = turn.map_err(|_| StoreError::Device)?;
        Ok((turn, self.device.lock().await))
    }

    /// Reads up to `length` bytes at `offset`, fewer where the buffer is
    /// full before. At least one byte where `length` is not 0.
    ///
    /// # Errors
    /// [`StoreError::Device`].
    pub async fn read(&self, offset: u64, length: usize) -> Result<Piece<'_, D>, StoreError> {
        let start = (offset % SECTOR as u64) as usize;
        let end = start.saturating_add(length).min(PIECE);
        let (turn, mut device) = self.turn().await?;
        device
            .load(offset / SECTOR as u64, end.div_ceil(SECTOR))
            .await?;
        Ok(Piece {
            _turn: turn,
            device,
            start,
            end,
        })
    }

    /// Where a part of a slot lies.
    #[must_use]
    pub fn slot(&self, slot: usize, part: SlotPart) -> Option<u64> {
        Some(self.superblock.slot_offset(slot)? + part.offset())
    }

    /// Writes `bytes` at `at` bytes into a part of a slot; `at` must be a
    /// multiple of a sector. The rest of the last sector becomes zero.
    ///
    /// # Errors
    /// [`StoreError::TooLong`] when the part ends before the bytes do,
    /// [`StoreError::Device`].
    pub async fn write_slot(
        &self,
        slot: usize,
        part: SlotPart,
        at: u64,
        pieces: &[&[u8]],
    ) -> Result<(), StoreError> {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        if !at.is_multiple_of(SECTOR as u64) || at + total as u64 > part.capacity() {
            return Err(StoreError::TooLong);
        }
        let start = self.slot(slot, part).ok_or(StoreError::Device)? + at;
        let mut bytes = pieces.iter().flat_map(|piece| piece.iter().copied());
        for sector in 0..total.div_ceil(SECTOR) {
            let (_turn, mut device) = self.turn().await?;
            if let Some(room) = device.buffer.get_mut(PREFIX..PREFIX + SECTOR) {
                for byte in room {
                    *byte = bytes.next().unwrap_or(0);
                }
            }
            device.save(start / SECTOR as u64 + sector as u64).await?;
        }
        Ok(())
    }
}
