//! Records of a bench: the shipping journal over RAM of this board that no
//! budget counts. A reset forgets it.

use core::pin::pin;
use core::task::{Context, Poll, Waker};

use farrier_firmware::records::{NotDurable, Store};
use farrier_journal::Journal;
use farrier_journal::ram::{RamFlash, SECTOR};
use static_cell::ConstStaticCell;

/// Bytes of the journal.
const LEN: usize = 512 * SECTOR;

static MEMORY: ConstStaticCell<[u8; LEN]> = ConstStaticCell::new([0; LEN]);

/// The journal.
pub struct Records(Journal<RamFlash<&'static mut [u8]>>);

impl Default for Records {
    /// The one journal there is. To be called once.
    fn default() -> Self {
        let memory: &'static mut [u8] = MEMORY.take();
        memory.fill(0xff);
        // Nothing is there to be read: one layout is as good as another.
        let mount = pin!(Journal::mount(RamFlash(memory), 0, |_| {}));
        match mount.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok((journal, _))) => Records(journal),
            other => panic!("bench: no journal: {}", other.is_ready()),
        }
    }
}

impl Store for Records {
    async fn append(&mut self, record: &[u8]) -> Result<(), NotDurable> {
        let result = self.0.append(core::iter::once(record)).await;
        result.map_err(|_| NotDurable)
    }

    async fn tend(&mut self, state: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>) {
        if let Err(error) = self.0.tend(state).await {
            panic!("bench: the journal can not be tended: {error:?}");
        }
    }
}
