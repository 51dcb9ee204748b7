//! The seam to whatever keeps the brain's records.
//!
//! The brain gives a record out in front of every effect that it covers;
//! the glue appends it here and lets the effects go only when that has
//! succeeded.

/// Where records go before their effects leave. A journal on flash is one;
/// [`Volatile`] trusts the RAM.
pub trait Store {
    /// Writes a record down. When this returns, it is as durable as the
    /// store can make it.
    ///
    /// # Errors
    /// [`NotDurable`]; the caller then withholds the record's effects.
    fn append(&mut self, record: &[u8]) -> impl Future<Output = Result<(), NotDurable>>;

    /// Does what is due for the store to stay bounded, when effects have
    /// left. `state` is the brain's `snapshot`.
    fn tend(
        &mut self,
        _state: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> impl Future<Output = ()> {
        core::future::ready(())
    }
}

/// A record could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotDurable;

/// Records are held in RAM, and nowhere else: the rack's own tables are the
/// only copy, and a reset forgets them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Volatile;

impl Store for Volatile {
    async fn append(&mut self, _record: &[u8]) -> Result<(), NotDurable> {
        Ok(())
    }
}
