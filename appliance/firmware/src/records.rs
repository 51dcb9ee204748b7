//! The seam to whatever keeps the brain's records, and the journal on flash
//! behind it.
//!
//! The brain gives its records out in front of the effects of a step; the
//! glue appends them here and lets the effects go only when that has
//! succeeded.

use embedded_storage_async::nor_flash::NorFlash;
use farrier_journal::Journal;

use crate::lines::{Show, error, info, warning};

/// Where records go before their effects leave. [`OnFlash`] is one.
pub trait Store {
    /// Opens the store and gives every record of before to `apply`, in
    /// order. `layout` is [`farrier_core::Rack::layout`].
    ///
    /// # Errors
    /// [`NotDurable`]; the appliance does not start then.
    fn open(
        &mut self,
        layout: u16,
        apply: impl FnMut(&[u8]),
    ) -> impl Future<Output = Result<Opened, NotDurable>>;

    /// Writes the records of one step down, all or none. When this returns,
    /// they are as durable as the store can make them.
    ///
    /// # Errors
    /// [`NotDurable`]; the caller then withholds the effects, and the store
    /// takes nothing any more.
    fn append<'a>(
        &mut self,
        records: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> impl Future<Output = Result<(), NotDurable>>;

    /// Does what is due for the store to stay bounded, when the effects have
    /// left. `state` is [`farrier_core::Rack::snapshot`].
    ///
    /// # Errors
    /// [`NotDurable`], as above.
    fn maintain(
        &mut self,
        state: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> impl Future<Output = Result<(), NotDurable>>;
}

/// A store that was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// The number of this start, from 1, which no start before has had.
    pub run: u32,
    /// Steps whose records must have been there and are not.
    pub lost: u32,
}

/// A record could not be written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotDurable;

/// The journal on a flash device.
#[derive(Debug)]
pub enum OnFlash<F> {
    /// Not opened yet.
    Closed(F),
    /// Open.
    Open(Journal<F>),
    /// It could not be opened.
    Lost,
}

impl<F: NorFlash> OnFlash<F> {
    /// A journal that takes the whole of a device.
    pub const fn new(flash: F) -> Self {
        OnFlash::Closed(flash)
    }
}

impl<F: NorFlash> Store for OnFlash<F> {
    async fn open(&mut self, layout: u16, apply: impl FnMut(&[u8])) -> Result<Opened, NotDurable> {
        let OnFlash::Closed(flash) = core::mem::replace(self, OnFlash::Lost) else {
            return Err(NotDurable);
        };
        match Journal::mount(flash, layout, apply).await {
            Ok((journal, mounted)) => {
                let (run, usage) = (journal.run(), journal.usage());
                info!(
                    "journal: start {}, {} records in {} of {} sectors",
                    run, mounted.records, usage.used, usage.sectors
                );
                let lost = mounted.damaged;
                if lost > 0 {
                    warning!(
                        "journal: {} frames are missing; every node is in maintenance until an \
                         operator has looked at it",
                        lost
                    );
                }
                *self = OnFlash::Open(journal);
                Ok(Opened { run, lost })
            }
            Err(why) => {
                error!("journal: {}", Show(why));
                Err(NotDurable)
            }
        }
    }

    async fn append<'a>(
        &mut self,
        records: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), NotDurable> {
        let OnFlash::Open(journal) = self else {
            return Err(NotDurable);
        };
        journal.append(records).await.map_err(|_| NotDurable)
    }

    async fn maintain(
        &mut self,
        state: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> Result<(), NotDurable> {
        let OnFlash::Open(journal) = self else {
            return Err(NotDurable);
        };
        journal.maintain(state).await.map_err(|_| NotDurable)
    }
}
