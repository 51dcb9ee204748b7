//! The seam to whatever keeps the rack's records, and the journal on NOR
//! flash behind it.

use core::fmt::Debug;

use embedded_storage_async::nor_flash::NorFlash;
use farrier_journal::{Journal, MountError, Usage};

/// Where records go before their effects leave. [`JournalStore`] is one.
pub trait RecordStore {
    /// Why it could not be opened.
    type OpenError: Debug;

    /// Opens the store and gives every record of earlier starts to `apply`,
    /// in order. `layout` is [`farrier_core::Rack::layout`].
    ///
    /// # Errors
    /// [`Self::OpenError`]; the appliance does not start then.
    fn open(
        &mut self,
        layout: u16,
        apply: impl FnMut(&[u8]),
    ) -> impl Future<Output = Result<Opened, Self::OpenError>>;

    /// Makes the records of one step durable, all or none.
    ///
    /// # Errors
    /// [`NotDurable`]; the store takes no more records then.
    fn append<'a>(
        &mut self,
        records: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> impl Future<Output = Result<(), NotDurable>>;

    /// Does what is due for the store to stay bounded. `state` is
    /// [`farrier_core::Rack::snapshot`].
    ///
    /// # Errors
    /// [`NotDurable`], as above.
    fn maintain(
        &mut self,
        state: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> impl Future<Output = Result<(), NotDurable>>;

    /// How full the store is.
    fn usage(&self) -> Usage {
        Usage::default()
    }
}

/// A store that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The number of this start, from 1. No earlier start had it.
    pub run: u32,
    /// Steps whose records were durable and are missing.
    pub lost: u32,
}

/// A record could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotDurable;

/// The journal on a flash device.
#[allow(
    clippy::large_enum_variant,
    reason = "there is one, it is open for as long as the appliance runs, and there is no heap to box it on"
)]
#[derive(Debug)]
pub enum JournalStore<F> {
    /// Not opened yet.
    Closed(F),
    /// Open.
    Open(Journal<F>),
    /// It could not be opened.
    Failed,
}

impl<F: NorFlash> JournalStore<F> {
    /// A journal that takes the whole of a device.
    pub const fn new(flash: F) -> Self {
        JournalStore::Closed(flash)
    }

    /// The journal, while it is open.
    pub fn journal(&self) -> Option<&Journal<F>> {
        match self {
            JournalStore::Open(journal) => Some(journal),
            JournalStore::Closed(_) | JournalStore::Failed => None,
        }
    }

    /// The journal, while it is open, for tests that damage its flash.
    pub fn journal_mut(&mut self) -> Option<&mut Journal<F>> {
        match self {
            JournalStore::Open(journal) => Some(journal),
            JournalStore::Closed(_) | JournalStore::Failed => None,
        }
    }

    /// Gives the flash back; `None` after a failed mount, which keeps it.
    pub fn into_flash(self) -> Option<F> {
        match self {
            JournalStore::Closed(flash) => Some(flash),
            JournalStore::Open(journal) => Some(journal.into_flash()),
            JournalStore::Failed => None,
        }
    }
}

/// Why a journal could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalError {
    /// The flash could not be mounted.
    Mount(MountError),
    /// It is open already, or an earlier mount failed.
    NotClosed,
}

impl<F: NorFlash> RecordStore for JournalStore<F> {
    type OpenError = JournalError;

    async fn open(
        &mut self,
        layout: u16,
        apply: impl FnMut(&[u8]),
    ) -> Result<Opened, JournalError> {
        match core::mem::replace(self, JournalStore::Failed) {
            JournalStore::Closed(flash) => {
                let (journal, mounted) = Journal::mount(flash, layout, apply)
                    .await
                    .map_err(JournalError::Mount)?;
                let run = journal.run();
                *self = JournalStore::Open(journal);
                Ok(Opened {
                    run,
                    lost: mounted.damaged,
                })
            }
            other => {
                *self = other;
                Err(JournalError::NotClosed)
            }
        }
    }

    async fn append<'a>(
        &mut self,
        records: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), NotDurable> {
        let journal = self.journal_mut().ok_or(NotDurable)?;
        journal.append(records).await.map_err(|_| NotDurable)
    }

    async fn maintain(
        &mut self,
        state: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> Result<(), NotDurable> {
        let journal = self.journal_mut().ok_or(NotDurable)?;
        journal.maintain(state).await.map_err(|_| NotDurable)
    }

    fn usage(&self) -> Usage {
        self.journal().map(Journal::usage).unwrap_or_default()
    }
}
