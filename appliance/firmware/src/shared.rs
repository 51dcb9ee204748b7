//! What the controller's task shares with others: the rack, which they look
//! at between steps, and the source of random bytes. Both are borrowed for
//! as long as a function runs, never across a wait.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::net::Ipv4Addr;
use core::task::Poll;

use embassy_sync::waitqueue::MultiWakerRegistration;
use embassy_time::{Duration, with_timeout};
use farrier_controller::{Controller, NotDurable, RackRef};
use farrier_core::Rack;
use farrier_core::rack::{Entropy, Peer};
use farrier_http::places::Class;
use farrier_protocol::message::Mac;

use crate::Board;
use crate::controller::now;
use crate::net::Classes;
use crate::queues::{WAITERS, bump};

/// How long a view of the rack waits for records and statements to be
/// written.
const VIEW_LIMIT: Duration = Duration::from_secs(10);

/// The firmware's controller.
pub type FirmwareController<B, const N: usize, const L: usize, const D: usize> =
    Controller<SharedRack<B, N, L, D>, <B as Board>::Records, SharedEntropy<B, N, L, D>>;

/// Whether what the rack knows is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    Durable,
    /// A step's records are being written.
    Pending,
    /// They could not be written: the rack is not shown any more.
    Failed,
}

/// See the module.
pub struct Shared<B: Board, const N: usize, const L: usize, const D: usize> {
    rack: RefCell<&'static mut Rack<N, L, D>>,
    entropy: RefCell<B::Entropy>,
    durability: Cell<Durability>,
    /// Statements on their way to the block device.
    statements: Cell<u32>,
    waiting: RefCell<MultiWakerRegistration<WAITERS>>,
    views_waited: Cell<u32>,
}

impl<B: Board, const N: usize, const L: usize, const D: usize> core::fmt::Debug
    for Shared<B, N, L, D>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Shared<B, N, L, D> {
    pub(crate) const fn new(rack: &'static mut Rack<N, L, D>, entropy: B::Entropy) -> Self {
        Shared {
            rack: RefCell::new(rack),
            entropy: RefCell::new(entropy),
            durability: Cell::new(Durability::Durable),
            statements: Cell::new(0),
            waiting: RefCell::new(MultiWakerRegistration::new()),
            views_waited: Cell::new(0),
        }
    }

    /// Looks at the rack as soon as all that it knows is durable.
    ///
    /// # Errors
    /// [`NotDurable`] when records could not be written, or not in time.
    pub(crate) async fn view<T>(
        &self,
        look: impl FnOnce(&Rack<N, L, D>) -> T,
    ) -> Result<T, NotDurable> {
        if self.durability.get() == Durability::Pending {
            bump(&self.views_waited);
        }
        self.until(|shared| shared.durability.get() != Durability::Pending)
            .await?;
        match self.durability.get() {
            Durability::Durable => Ok(look(&self.rack.borrow())),
            Durability::Pending | Durability::Failed => Err(NotDurable),
        }
    }

    /// Waits until every statement that was accepted lies on the block
    /// device.
    ///
    /// # Errors
    /// [`NotDurable`] when that takes too long.
    pub(crate) async fn statements_written(&self) -> Result<(), NotDurable> {
        self.until(|shared| shared.statements.get() == 0).await
    }

    async fn until(&self, ready: impl Fn(&Self) -> bool) -> Result<(), NotDurable> {
        if ready(self) {
            return Ok(());
        }
        let waiting = poll_fn(|cx| {
            if ready(self) {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().register(cx.waker());
            Poll::Pending
        });
        with_timeout(VIEW_LIMIT, waiting)
            .await
            .map_err(|_| NotDurable)
    }

    /// Views that waited for a record since start. Wraps.
    pub(crate) fn views_waited(&self) -> u32 {
        self.views_waited.get()
    }

    /// Fills the buffer with random bytes.
    pub(crate) fn fill(&self, bytes: &mut [u8]) {
        self.entropy.borrow_mut().fill(bytes);
    }

    /// The rack, for the controller's task, which knows whether it may look.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Rack<N, L, D>) -> T) -> T {
        look(&self.rack.borrow())
    }

    /// A step's records are about to be written.
    pub(crate) fn pending(&self) {
        self.durability.set(Durability::Pending);
    }

    /// They are written, or could not be.
    pub(crate) fn settled(&self, durable: bool) {
        self.durability.set(if durable {
            Durability::Durable
        } else {
            Durability::Failed
        });
        self.waiting.borrow_mut().wake();
    }

    /// A statement is on its way to the block device.
    pub(crate) fn statement_queued(&self) {
        self.statements.set(self.statements.get().saturating_add(1));
    }

    /// A statement lies there, or could not be written.
    pub(crate) fn statement_done(&self) {
        self.statements.set(self.statements.get().saturating_sub(1));
        self.waiting.borrow_mut().wake();
    }
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Classes for Shared<B, N, L, D> {
    fn class(&self, peer: Ipv4Addr) -> Class {
        match self.look(|rack| rack.peer(now(), peer)) {
            Peer::Agent => Class::Agent,
            Peer::Machine => Class::Boot,
            Peer::Stranger => Class::Stranger,
            Peer::Other => Class::Operator,
        }
    }

    fn is_awaited(&self, mac: [u8; 6], vlan: u16) -> bool {
        self.look(|rack| rack.awaits_frame(Mac(mac), vlan))
    }
}

/// The controller's way to the rack.
pub struct SharedRack<B: Board, const N: usize, const L: usize, const D: usize>(
    pub(crate) &'static Shared<B, N, L, D>,
);

impl<B: Board, const N: usize, const L: usize, const D: usize> RackRef for SharedRack<B, N, L, D> {
    type Rack = Rack<N, L, D>;

    #[inline]
    fn with<T>(&mut self, act: impl FnOnce(&mut Rack<N, L, D>) -> T) -> T {
        act(&mut self.0.rack.borrow_mut())
    }
}

/// The controller's way to random bytes.
pub struct SharedEntropy<B: Board, const N: usize, const L: usize, const D: usize>(
    pub(crate) &'static Shared<B, N, L, D>,
);

impl<B: Board, const N: usize, const L: usize, const D: usize> Entropy
    for SharedEntropy<B, N, L, D>
{
    fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}

impl<B: Board, const N: usize, const L: usize, const D: usize> core::fmt::Debug
    for SharedRack<B, N, L, D>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SharedRack").finish_non_exhaustive()
    }
}

impl<B: Board, const N: usize, const L: usize, const D: usize> core::fmt::Debug
    for SharedEntropy<B, N, L, D>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SharedEntropy").finish_non_exhaustive()
    }
}
