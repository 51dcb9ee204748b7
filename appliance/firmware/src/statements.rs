//! Statements of agents on their way to the block device. The controller
//! copies a statement into the queue, since the rack keeps it only until the
//! next step; a task of its own writes it into its slot. While the queue is
//! full the controller takes no datagrams of agents, who ask again.

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::zerocopy_channel::{Channel, Receiver, Sender};
use farrier_asset_store::{DrivePlace, SlotPart};
use farrier_protocol::MAX_STATEMENT;
use farrier_sizes::REPORTS;

use crate::fmt::{Show, error};
use crate::queues::bump;
use crate::{Board, Context};

/// Bytes of the length in front of a statement.
pub(crate) const LENGTH: usize = 4;

/// A statement in the queue.
#[derive(Debug)]
pub struct QueuedStatement {
    slot: usize,
    part: SlotPart,
    length: usize,
    bytes: [u8; MAX_STATEMENT],
}

/// Memory of the queue.
pub struct StatementMemory {
    places: [QueuedStatement; REPORTS],
    channel: Option<Channel<'static, NoopRawMutex, QueuedStatement>>,
}

impl StatementMemory {
    /// Empty, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        // All zeros, so that the static takes no flash.
        const EMPTY: QueuedStatement = QueuedStatement {
            slot: 0,
            part: SlotPart::ConfigDrive(DrivePlace::First),
            length: 0,
            bytes: [0; MAX_STATEMENT],
        };
        StatementMemory {
            places: [EMPTY; REPORTS],
            channel: None,
        }
    }

    pub(crate) fn split(&'static mut self) -> (StatementSender, StatementReceiver) {
        let channel = self.channel.insert(Channel::new(&mut self.places));
        let (sender, receiver) = channel.split();
        (StatementSender(sender), StatementReceiver(receiver))
    }
}

impl Default for StatementMemory {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for StatementMemory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StatementMemory").finish_non_exhaustive()
    }
}

/// The controller's end of the queue.
#[derive(Debug)]
pub struct StatementSender(Sender<'static, NoopRawMutex, QueuedStatement>);

impl StatementSender {
    /// Whether there is no room for a statement.
    pub(crate) fn is_full(&self) -> bool {
        self.0.is_full()
    }

    /// Queues a statement. Returns whether there was room.
    pub(crate) fn send(&mut self, slot: usize, part: SlotPart, bytes: &[u8]) -> bool {
        let Some(place) = self.0.try_send() else {
            return false;
        };
        let Some(room) = place.bytes.get_mut(..bytes.len()) else {
            return false;
        };
        room.copy_from_slice(bytes);
        place.slot = slot;
        place.part = part;
        place.length = bytes.len();
        self.0.send_done();
        true
    }
}

/// The writing task's end of the queue.
#[derive(Debug)]
pub struct StatementReceiver(Receiver<'static, NoopRawMutex, QueuedStatement>);

impl<B: Board, const N: usize, const L: usize, const D: usize> Context<B, N, L, D> {
    /// Writes one statement after the other into its slot, behind its
    /// length.
    pub async fn run_statements(&self, mut receiver: StatementReceiver) -> ! {
        loop {
            let queued = receiver.0.receive().await;
            let bytes = queued.bytes.get(..queued.length).unwrap_or_default();
            // At most MAX_STATEMENT.
            let length: [u8; LENGTH] = (bytes.len() as u32).to_le_bytes();
            let pieces = [&length[..], bytes];
            let written = self
                .store
                .write_slot(queued.slot, queued.part, 0, &pieces)
                .await;
            if let Err(why) = written {
                bump(&self.queues.counters.statements_failed);
                error!(
                    "statement of slot {}: the block device failed: {}",
                    queued.slot,
                    Show(why)
                );
            }
            receiver.0.receive_done();
            self.shared.statement_done();
        }
    }
}
