//! For tests, simulators and benches: a store of records in memory that
//! fails on demand, and a way to run futures that never wait.

use std::vec::Vec;

use farrier_core::persist::seal::{BOARD_KEY_LEN, BoardKeys, NO_KEY};

use crate::store::{KeyStore, MemoryKeys, NotDurable, Opened, RecordStore};

/// Records in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStore {
    /// All records since the first start, in order.
    pub records: Vec<Vec<u8>>,
    /// How often it was opened.
    pub run: u32,
    /// Steps whose records the next start misses.
    pub lost: u32,
    /// Appends until one fails; `None` for never.
    pub fails_after: Option<u32>,
    /// The board's keys.
    pub keys: MemoryKeys,
    /// An append failed: all others do.
    broken: bool,
}

impl MemoryStore {
    /// An empty store.
    pub const fn new() -> Self {
        MemoryStore {
            records: Vec::new(),
            run: 0,
            lost: 0,
            fails_after: None,
            keys: MemoryKeys([NO_KEY; 2]),
            broken: false,
        }
    }
}

impl RecordStore for MemoryStore {
    type OpenError = NotDurable;
    type Keys = MemoryKeys;

    async fn open(&mut self, _: u16, apply: impl FnMut(&[u8])) -> Result<Opened, NotDurable> {
        self.run += 1;
        self.broken = false;
        self.records.iter().map(Vec::as_slice).for_each(apply);
        Ok(Opened {
            run: self.run,
            lost: core::mem::take(&mut self.lost),
        })
    }

    async fn append<'a>(
        &mut self,
        records: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), NotDurable> {
        self.broken |= self.fails_after == Some(0);
        if self.broken {
            return Err(NotDurable);
        }
        if let Some(appends) = &mut self.fails_after {
            *appends -= 1;
        }
        self.records.extend(records.map(<[u8]>::to_vec));
        Ok(())
    }

    async fn maintain(
        &mut self,
        _: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> Result<(), NotDurable> {
        if self.broken {
            return Err(NotDurable);
        }
        Ok(())
    }

    fn keys(&mut self) -> &mut MemoryKeys {
        &mut self.keys
    }
}

/// The keys beside a simulated flash chip.
impl<const WORD: usize, const SECTOR: usize> KeyStore
    for farrier_journal::sim::Shared<WORD, SECTOR>
{
    async fn read_keys(&mut self) -> Result<BoardKeys, NotDurable> {
        self.with(farrier_journal::sim::SimFlash::read_keys)
            .map_err(|_| NotDurable)
    }

    async fn write_key(
        &mut self,
        place: usize,
        key: &[u8; BOARD_KEY_LEN],
    ) -> Result<(), NotDurable> {
        self.with(|flash| flash.write_key(place, key))
            .map_err(|_| NotDurable)
    }
}

/// Runs a future that never waits, as those of memory and of simulated flash.
///
/// # Panics
/// Where it does wait.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = core::pin::pin!(future);
    let mut context = core::task::Context::from_waker(core::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        core::task::Poll::Ready(value) => value,
        core::task::Poll::Pending => panic!("the future waits"),
    }
}
