//! Writes an image to a disk, one step at a time: [`Stream`] follows the transfer
//! engine, decodes, writes and reads back. The caller fetches bytes and waits
//! between attempts. The agent calls it on a thread that blocks; the simulator
//! calls it in simulated time.

use std::time::Duration;

use farrier_image::manifest::PublicKey;
use farrier_image::transfer::{Action, Source, Stats, Transfer, TransferError};
use farrier_protocol::message::{AgentStep, Deploy, Failure, Reason};

use super::deploy::{backoff, write_failure};
use super::fetch::FetchError;
use super::verified::{Verifier, WriteError};
use super::{Meter, failure};
use crate::device::{AlignedBuffer, BlockDevice};

/// Largest chunk in bytes: four chunks fit into the agent's budget of 24 MiB.
const MAX_CHUNK: u32 = 4 << 20;

/// The caller's next action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamAction {
    /// Fetch exactly these bytes, then call [`Stream::fetched`] or
    /// [`Stream::fetch_failed`].
    Fetch {
        /// The file.
        source: Source,
        /// Offset of the first byte.
        offset: u64,
        /// Number of bytes.
        length: u32,
    },
    /// The step was done on the disk. Call [`Stream::step`] again.
    Again,
    /// The image is on the disk, and the read-back matches.
    Done,
}

/// The state of one image transfer, see the module.
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
    /// The current hole was already read as zero.
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
    /// Starts the transfer of `order` to a disk of `disk_size` bytes.
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

    /// Does one step on the disk, or returns the bytes to fetch.
    ///
    /// # Errors
    /// The failure to report.
    pub fn step<D: BlockDevice>(
        &mut self,
        disk: &mut Verifier<D>,
        meter: &Meter,
    ) -> Result<StreamAction, Failure> {
        let action = self
            .transfer
            .action()
            .map_err(|error| transfer_failure(error, self.last_error.as_ref()))?;
        let block = u64::from(disk.device().block_size());
        // The engine's next action depends on this result.
        let _told = match action {
            Action::Fetch {
                source,
                offset,
                len,
            } => {
                return Ok(StreamAction::Fetch {
                    source,
                    offset,
                    length: len,
                });
            }
            Action::Done => return Ok(StreamAction::Done),
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
                // Raw chunks need no decoder.
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
                let result = self.transfer.compared(equal);
                meter.set_done(self.transfer.stats().verified_bytes);
                result
            }
        };
        Ok(StreamAction::Again)
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
        // After a failed command, the agent writes the zeroes itself.
        let by_hand = self.zeroed_before == Some(offset);
        self.zeroed_before = Some(offset);
        disk.write_zeroes(offset, length, by_hand).map_err(|error| {
            write_failure(AgentStep::Write, &WriteError::Write { at: offset, error })
        })
    }

    /// Returns the buffer of the previous fetch for reuse.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.wire)
    }

    /// Accepts the fetched bytes. The engine verifies them.
    ///
    /// # Errors
    /// The chunk is larger than the memory limit.
    pub fn fetched<D: BlockDevice>(
        &mut self,
        bytes: Vec<u8>,
        disk: &Verifier<D>,
        meter: &Meter,
    ) -> Result<(), Failure> {
        self.wire = bytes;
        self.is_decoded = false;
        self.attempts = 0;
        // The engine's next action depends on this result.
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

    /// Records a failed fetch. Returns the pause before the next step.
    pub fn fetch_failed(&mut self, why: Option<FetchError>) -> Duration {
        self.last_error = why.or(self.last_error.take());
        self.attempts += 1;
        let _told = self.transfer.fetch_failed();
        backoff(self.attempts)
    }

    /// Returns the fetch after the current chunk, if it is known.
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

    /// Returns the statistics and the size of the image in bytes.
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
            format_args!("the image's manifest is invalid: {why:?}"),
        ),
        TransferError::TooLarge => failure(
            AgentStep::Write,
            Reason::ImageTooLarge,
            "the image is larger than the disk",
        ),
        TransferError::Chunk(chunk) => failure(
            AgentStep::Write,
            Reason::BadChunk,
            format_args!("chunk {chunk} has a wrong hash after every fetch"),
        ),
        TransferError::ReadBack(chunk) => failure(
            AgentStep::VerifyImage,
            Reason::ReadBack,
            format_args!("the read-back of chunk {chunk} differs twice"),
        ),
        TransferError::Fetch => match fetch {
            Some(why) => failure(AgentStep::Write, Reason::Fetch, why),
            None => failure(
                AgentStep::Write,
                Reason::Fetch,
                "the appliance's HTTP server does not serve the image",
            ),
        },
        TransferError::Sequence => failure(
            AgentStep::Write,
            Reason::Other,
            "internal error: a step out of order",
        ),
    }
}
