//! An image on its way to a disk, one step at a time: [`Stream`] follows the
//! transfer engine, decodes, writes and reads back. Where bytes come from and
//! how long a pause lasts is its caller's business, so it runs on a thread
//! that blocks as well as in a simulation's time.

use std::time::Duration;

use farrier_image::manifest::PublicKey;
use farrier_image::transfer::{Action, Source, Stats, Transfer, TransferError};
use farrier_protocol::message::{AgentStep, Deploy, Failure, Reason};

use super::deploy::{backoff, write_failure};
use super::fetch::FetchError;
use super::verified::{Verifier, WriteError};
use super::{Meter, failure};
use crate::device::{AlignedBuffer, BlockDevice};

/// Largest chunk that is taken: four of them have to fit into 24 MiB beside
/// everything else.
const MAX_CHUNK: u32 = 4 << 20;

/// What a stream's caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Fetch exactly these bytes; answer with [`Stream::fetched`] or
    /// [`Stream::fetch_failed`].
    Fetch {
        /// From which file.
        source: Source,
        /// First byte.
        offset: u64,
        /// How many.
        length: u32,
    },
    /// A step on the disk was made; there is more to do.
    Again,
    /// The image is on the disk and read back.
    Done,
}

/// See the module.
pub struct Stream {
    transfer: Transfer,
    decoder: zstd_safe::DCtx<'static>,
    wire: Vec<u8>,
    raw: AlignedBuffer,
    /// Length of the chunk in `raw`, padded to whole blocks.
    raw_length: usize,
    is_decoded: bool,
    started: bool,
    last_error: Option<FetchError>,
    attempts: u32,
    /// A hole that was seen to be zero needs no second look.
    seen_zero: Option<u64>,
    zeroed_before: Option<u64>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream")
            .field("action", &self.transfer.action())
            .finish_non_exhaustive()
    }
}

impl Stream {
    /// Nothing is fetched yet; the disk has `disk_size` bytes.
    pub fn new(order: &Deploy, disk_size: u64, image_key: PublicKey) -> Self {
        Self {
            transfer: Transfer::new(image_key, Some(order.manifest_root), disk_size),
            decoder: zstd_safe::DCtx::create(),
            wire: Vec::new(),
            raw: AlignedBuffer::new(0),
            raw_length: 0,
            is_decoded: false,
            started: false,
            last_error: None,
            attempts: 0,
            seen_zero: None,
            zeroed_before: None,
        }
    }

    /// The next step: bytes to fetch, or something done on the disk.
    ///
    /// # Errors
    /// The failure to report.
    pub fn step<D: BlockDevice>(
        &mut self,
        disk: &mut Verifier<D>,
        meter: &Meter,
    ) -> Result<Turn, Failure> {
        let action = self
            .transfer
            .action()
            .map_err(|error| transfer_failure(error, self.last_error.as_ref()))?;
        let block = u64::from(disk.device().block_size());
        // What the engine makes of a result shows in its next action.
        let _told = match action {
            Action::Fetch {
                source,
                offset,
                len,
            } => {
                return Ok(Turn::Fetch {
                    source,
                    offset,
                    length: len,
                });
            }
            Action::Done => return Ok(Turn::Done),
            Action::Decode { raw_len } => {
                let slot = self.raw.get_mut(..raw_len as usize).unwrap_or_default();
                let decoded = self.decoder.decompress(slot, &self.wire);
                self.is_decoded = true;
                self.transfer
                    .decoded((decoded == Ok(raw_len as usize)).then_some(&*slot))
            }
            Action::Write { offset, len } => {
                let length = len as usize;
                self.raw_length = length.next_multiple_of(block as usize);
                let slot = self.raw.get_mut(..self.raw_length).unwrap_or_default();
                // Raw chunks come straight from the wire.
                let (chunk, padding) = slot.split_at_mut(length.min(slot.len()));
                if !self.is_decoded && chunk.len() == self.wire.len() {
                    chunk.copy_from_slice(&self.wire);
                }
                padding.fill(0);
                disk.device().write_at(offset, slot).map_err(|error| {
                    write_failure(AgentStep::Write, &WriteError::Write { at: offset, error })
                })?;
                self.transfer.written()
            }
            Action::Zero { offset, len } => {
                let length = u64::from(len).next_multiple_of(block);
                self.zero(disk, offset, length)?;
                self.transfer.written()
            }
            Action::ReadBack { offset, len, hole } => {
                let length = u64::from(len).next_multiple_of(block);
                let equal = if hole {
                    if self.seen_zero.take() == Some(offset) {
                        Ok(true)
                    } else {
                        disk.holds_zeroes(offset, length)
                    }
                } else {
                    disk.holds(offset, self.raw.get(..self.raw_length).unwrap_or_default())
                };
                let equal = equal.map_err(|error| {
                    write_failure(
                        AgentStep::VerifyImage,
                        &WriteError::Read { at: offset, error },
                    )
                })?;
                let told = self.transfer.compared(equal);
                meter.set_done(self.transfer.stats().verified_bytes);
                told
            }
        };
        Ok(Turn::Again)
    }

    fn zero<D: BlockDevice>(
        &mut self,
        disk: &mut Verifier<D>,
        offset: u64,
        length: u64,
    ) -> Result<(), Failure> {
        let already = disk.holds_zeroes(offset, length).map_err(|error| {
            write_failure(AgentStep::Write, &WriteError::Read { at: offset, error })
        })?;
        if already {
            self.seen_zero = Some(offset);
            return Ok(());
        }
        // What did not work once is done by hand.
        let by_hand = self.zeroed_before == Some(offset);
        self.zeroed_before = Some(offset);
        disk.write_zeroes(offset, length, by_hand).map_err(|error| {
            write_failure(AgentStep::Write, &WriteError::Write { at: offset, error })
        })
    }

    /// The buffer of the fetch before, to be used again.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.wire)
    }

    /// Takes in the bytes that were asked for; they are not trusted.
    ///
    /// # Errors
    /// The image asks for more memory than there is.
    pub fn fetched<D: BlockDevice>(
        &mut self,
        bytes: Vec<u8>,
        disk: &Verifier<D>,
        meter: &Meter,
    ) -> Result<(), Failure> {
        self.wire = bytes;
        self.is_decoded = false;
        self.attempts = 0;
        // What the engine makes of it shows in its next action.
        let _told = self.transfer.fetched(&self.wire);
        if !self.started
            && let Some(header) = self.transfer.header()
        {
            self.started = true;
            if header.chunk_size() > MAX_CHUNK {
                return Err(failure(
                    AgentStep::Write,
                    Reason::Resources,
                    "the image's chunks are larger than 4 MiB",
                ));
            }
            meter.enter(AgentStep::Write, header.raw_size);
            let block = disk.device().block_size() as usize;
            self.raw = AlignedBuffer::new((header.raw_len(0) as usize).next_multiple_of(block));
        }
        Ok(())
    }

    /// The fetch brought nothing. How long to wait before the next step.
    pub fn fetch_failed(&mut self, why: Option<FetchError>) -> Duration {
        self.last_error = why.or(self.last_error.take());
        self.attempts += 1;
        let _told = self.transfer.fetch_failed();
        backoff(self.attempts)
    }

    /// The fetch that will be asked for after the chunk at hand, where that
    /// is known already.
    pub fn upcoming(&self) -> Option<(Source, u64, u32)> {
        match self.transfer.upcoming() {
            Some(Action::Fetch {
                source,
                offset,
                len,
            }) => Some((source, offset, len)),
            _ => None,
        }
    }

    /// What was done so far, and the bytes of the image.
    pub fn done(&self) -> (Stats, u64) {
        let size = self.transfer.header().map_or(0, |header| header.raw_size);
        (*self.transfer.stats(), size)
    }
}

fn transfer_failure(error: TransferError, fetch: Option<&FetchError>) -> Failure {
    match error {
        TransferError::Manifest(why) => failure(
            AgentStep::Write,
            Reason::BadManifest,
            format_args!("the image's manifest is refused: {why:?}"),
        ),
        TransferError::TooLarge => failure(
            AgentStep::Write,
            Reason::ImageTooLarge,
            "the image is larger than the disk",
        ),
        TransferError::Chunk(chunk) => failure(
            AgentStep::Write,
            Reason::BadChunk,
            format_args!("chunk {chunk} has a wrong hash, however often it is fetched"),
        ),
        TransferError::ReadBack(chunk) => failure(
            AgentStep::VerifyImage,
            Reason::ReadBack,
            format_args!("chunk {chunk} reads back differently from what was written, twice"),
        ),
        TransferError::Fetch => match fetch {
            Some(why) => failure(AgentStep::Write, Reason::Fetch, why),
            None => failure(
                AgentStep::Write,
                Reason::Fetch,
                "the image can't be fetched",
            ),
        },
        TransferError::Sequence => failure(
            AgentStep::Write,
            Reason::Other,
            "the agent took a wrong step while it followed the manifest",
        ),
    }
}
