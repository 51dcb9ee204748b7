//! The seam to whatever keeps the rack's records, and the journal on NOR
//! flash behind it.

use core::fmt::Debug;

use embedded_storage_async::nor_flash::NorFlash;
use farrier_core::persist::seal::{BOARD_KEY_LEN, BoardKeys, NO_KEY};
use farrier_journal::{Journal, MountError, Usage};

/// Where records go before their effects leave. [`JournalStore`] is one.
pub trait RecordStore {
    /// Why it could not be opened.
    type OpenError: Debug + From<NotDurable>;
    /// Where the board keeps the keys that seal secrets in the records.
    type Keys: KeyStore;

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

    /// The place of the board's keys.
    fn keys(&mut self) -> &mut Self::Keys;

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

/// Where a board keeps the keys that seal secrets in records: two places of 32
/// bytes, apart from the journal's flash, so that who copies that does not have
/// them.
pub trait KeyStore {
    /// The content of both places.
    ///
    /// # Errors
    /// [`NotDurable`]: they can't be read.
    fn read_keys(&mut self) -> impl Future<Output = Result<BoardKeys, NotDurable>>;

    /// Makes `key` the content of a place, for good: what was there before can't
    /// be read any more. [`NO_KEY`] erases it.
    ///
    /// # Errors
    /// [`NotDurable`]; what is there is not known then.
    fn write_key(
        &mut self,
        place: usize,
        key: &[u8; BOARD_KEY_LEN],
    ) -> impl Future<Output = Result<(), NotDurable>>;
}

/// Keys in memory, for simulated boards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryKeys(pub BoardKeys);

impl Default for MemoryKeys {
    fn default() -> Self {
        MemoryKeys([NO_KEY; 2])
    }
}

impl KeyStore for MemoryKeys {
    async fn read_keys(&mut self) -> Result<BoardKeys, NotDurable> {
        Ok(self.0)
    }

    async fn write_key(
        &mut self,
        place: usize,
        key: &[u8; BOARD_KEY_LEN],
    ) -> Result<(), NotDurable> {
        *self.0.get_mut(place).ok_or(NotDurable)? = *key;
        Ok(())
    }
}

#[allow(
    clippy::large_enum_variant,
    reason = "there is one, it is open for as long as the appliance runs, and there is no heap to box it on"
)]
#[derive(Debug)]
enum Medium<F> {
    /// Not opened yet.
    Closed(F),
    /// Open.
    Open(Journal<F>),
    /// It could not be opened.
    Failed,
}

/// The journal on a flash device, and the board's keys beside it.
#[derive(Debug)]
pub struct JournalStore<F, K> {
    medium: Medium<F>,
    keys: K,
}

impl<F: NorFlash, K: KeyStore> JournalStore<F, K> {
    /// A journal that takes the whole of a device.
    pub const fn new(flash: F, keys: K) -> Self {
        JournalStore {
            medium: Medium::Closed(flash),
            keys,
        }
    }

    /// The journal, while it is open.
    pub fn journal(&self) -> Option<&Journal<F>> {
        match &self.medium {
            Medium::Open(journal) => Some(journal),
            Medium::Closed(_) | Medium::Failed => None,
        }
    }

    /// The journal, while it is open, for tests that damage its flash.
    pub fn journal_mut(&mut self) -> Option<&mut Journal<F>> {
        match &mut self.medium {
            Medium::Open(journal) => Some(journal),
            Medium::Closed(_) | Medium::Failed => None,
        }
    }

    /// The flash, while it is not opened yet, for tests that damage it.
    pub fn closed_mut(&mut self) -> Option<&mut F> {
        match &mut self.medium {
            Medium::Closed(flash) => Some(flash),
            Medium::Open(_) | Medium::Failed => None,
        }
    }

    /// Gives flash and keys back; no flash after a failed mount, which keeps
    /// it.
    pub fn into_parts(self) -> (Option<F>, K) {
        let flash = match self.medium {
            Medium::Closed(flash) => Some(flash),
            Medium::Open(journal) => Some(journal.into_flash()),
            Medium::Failed => None,
        };
        (flash, self.keys)
    }
}

/// Why a journal could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalError {
    /// The flash could not be mounted.
    Mount(MountError),
    /// It is open already, or an earlier mount failed.
    NotClosed,
    /// The board's keys can't be read.
    Keys,
}

impl From<NotDurable> for JournalError {
    fn from(_: NotDurable) -> Self {
        JournalError::Keys
    }
}

impl<F: NorFlash, K: KeyStore> RecordStore for JournalStore<F, K> {
    type OpenError = JournalError;
    type Keys = K;

    async fn open(
        &mut self,
        layout: u16,
        apply: impl FnMut(&[u8]),
    ) -> Result<Opened, JournalError> {
        match core::mem::replace(&mut self.medium, Medium::Failed) {
            Medium::Closed(flash) => {
                let (journal, mounted) = Journal::mount(flash, layout, apply)
                    .await
                    .map_err(JournalError::Mount)?;
                let run = journal.run();
                self.medium = Medium::Open(journal);
                Ok(Opened {
                    run,
                    lost: mounted.damaged,
                })
            }
            other => {
                self.medium = other;
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

    fn keys(&mut self) -> &mut K {
        &mut self.keys
    }

    fn usage(&self) -> Usage {
        self.journal().map(Journal::usage).unwrap_or_default()
    }
}
