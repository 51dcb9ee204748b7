//! The bounded queues and cells between the controller's task and everybody
//! else, at the sizes of `board.toml`. What finds one full is counted and
//! refused for now.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::net::Ipv4Addr;
use core::task::Poll;

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::channel::Channel;
use embassy_sync::semaphore::{FairSemaphore, Semaphore};
use embassy_sync::signal::Signal;
use embassy_sync::waitqueue::MultiWakerRegistration;
use embassy_time::Instant;
use farrier_core::Transport;
use farrier_core::interface::{
    HostKey, Learned, OperationError, OperationId, PowerState, SwitchAddress,
};
use farrier_http::places::{Ticket, Turns};
use farrier_protocol::message::NodeId;
use farrier_sizes::{
    API_READERS, DRIVER_EVENTS, FILE_REQUESTS, HTTP_CONNECTIONS, HTTP_HEAD, POWER_REQUESTS,
    SWITCH_REQUESTS, TFTP_TRANSFERS,
};
use heapless::String;

use crate::power::PowerRequest;
use crate::switch::SwitchRequest;

/// Longest path of a file.
pub const PATH: usize = 128;
/// Longest text that the rack serves.
pub const TEXT: usize = HTTP_HEAD;
/// Workers that may wait for a cell or for a view of the rack: all of them.
pub const WAITERS: usize = TFTP_TRANSFERS + HTTP_CONNECTIONS;
/// Requests of the API that are worked on at once: some that read, and one that
/// changes something.
pub const API_SLOTS: usize = API_READERS + 1;
/// Slots that a source may have for requests that read.
const READERS_PER_SOURCE: usize = API_READERS.div_ceil(2);

/// Every cell, every slot, the clock and the watchdog have one job at a time.
const JOBS: usize = FILE_REQUESTS + API_SLOTS + 2;

/// Something for the controller to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// A question about a file, or the end of a transfer, in this cell.
    File(usize),
    /// A command, in this slot of the API.
    Api(usize),
    /// A deadline has come.
    Tick,
    /// The watchdog asks for a sign of life.
    Probe,
}

/// What a driver reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverEvent {
    /// An operation has ended.
    Done(OperationId, Result<(), OperationError>),
    /// A machine's power state was seen.
    Observed(NodeId, PowerState),
    /// A port was read in an operation: its VLAN, or something else; whether it has a
    /// link, where that is known; and where the switch has learned its address.
    PortRead(OperationId, Option<u16>, Option<bool>, Learned),
    /// A switch has this host key, and it is not the one pinned.
    HostKey(SwitchAddress, HostKey),
}

/// What found a queue full, or a device that failed, since start. All wrap.
#[derive(Debug, Default)]
pub struct QueueCounters {
    /// Questions about files that found too many before them.
    pub files_full: Cell<u32>,
    /// Requests of the API that found too many before them.
    pub api_full: Cell<u32>,
    /// Datagrams that the network driver had no room for.
    pub replies_full: Cell<u32>,
    /// Datagrams of agents that were dropped while a statement was written.
    pub agents_deferred: Cell<u32>,
    /// Statements that could not be written to the block device.
    pub statements_failed: Cell<u32>,
    /// Power operations that found too many before them.
    pub power_full: Cell<u32>,
    /// Operations on ports that found too many before them.
    pub switch_full: Cell<u32>,
    /// Operations on ports that switches carried out.
    pub switch_done: Cell<u32>,
    /// Operations on ports that failed.
    pub switch_failed: Cell<u32>,
    /// DHCP messages under the address of an interface whose port is on another VLAN.
    pub dhcp_elsewhere: Cell<u32>,
}

impl QueueCounters {
    const fn new() -> Self {
        QueueCounters {
            files_full: Cell::new(0),
            api_full: Cell::new(0),
            replies_full: Cell::new(0),
            agents_deferred: Cell::new(0),
            statements_failed: Cell::new(0),
            power_full: Cell::new(0),
            switch_full: Cell::new(0),
            switch_done: Cell::new(0),
            switch_failed: Cell::new(0),
            dhcp_elsewhere: Cell::new(0),
        }
    }
}

/// All queues to and from the controller's task.
pub struct Queues {
    pub(crate) jobs: Channel<NoopRawMutex, Job, JOBS>,
    pub(crate) events: Channel<NoopRawMutex, DriverEvent, DRIVER_EVENTS>,
    pub(crate) power: Channel<NoopRawMutex, PowerRequest, POWER_REQUESTS>,
    pub(crate) switch: Channel<NoopRawMutex, SwitchRequest, SWITCH_REQUESTS>,
    pub(crate) files: Files,
    /// Turns at the API's slots for requests that read, which come first.
    readers: TurnQueue<API_READERS>,
    /// Turns at the slot behind them.
    writers: TurnQueue<1>,
    pub(crate) clock: Clock,
    /// The controller is asked for a sign of life.
    pub(crate) probed: Cell<bool>,
    /// Counts those that it has given.
    pub(crate) signs: Cell<u32>,
    /// What was counted.
    pub counters: QueueCounters,
}

impl core::fmt::Debug for Queues {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Queues")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Queues {
    /// Empty queues, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Queues {
            jobs: Channel::new(),
            events: Channel::new(),
            power: Channel::new(),
            switch: Channel::new(),
            files: Files::new(),
            readers: TurnQueue::new(READERS_PER_SOURCE),
            writers: TurnQueue::new(1),
            clock: Clock::new(),
            probed: Cell::new(false),
            signs: Cell::new(0),
            counters: QueueCounters::new(),
        }
    }
}

impl Default for Queues {
    fn default() -> Self {
        Self::new()
    }
}

/// Connections that wait for one of `R` slots.
pub(crate) struct TurnQueue<const R: usize> {
    turns: RefCell<Turns<R, HTTP_CONNECTIONS>>,
    waiting: RefCell<MultiWakerRegistration<HTTP_CONNECTIONS>>,
}

impl<const R: usize> TurnQueue<R> {
    const fn new(per_source: usize) -> Self {
        TurnQueue {
            turns: RefCell::new(Turns::new(per_source)),
            waiting: RefCell::new(MultiWakerRegistration::new()),
        }
    }

    /// Waits for a turn. Returns none where too many wait.
    async fn take(&self, source: Ipv4Addr) -> Option<(Left<'_, R>, usize)> {
        let ticket = self.turns.borrow_mut().enter(source)?;
        let left = Left {
            queue: self,
            ticket,
        };
        let slot = poll_fn(|cx| match self.turns.borrow_mut().poll(ticket) {
            Some(slot) => Poll::Ready(slot),
            None => {
                self.waiting.borrow_mut().register(cx.waker());
                Poll::Pending
            }
        });
        let slot = slot.await;
        Some((left, slot))
    }
}

/// A place in a queue for turns. Dropping it ends the turn or the wait.
pub(crate) struct Left<'q, const R: usize> {
    queue: &'q TurnQueue<R>,
    ticket: Ticket,
}

impl<const R: usize> Drop for Left<'_, R> {
    fn drop(&mut self) {
        self.queue.turns.borrow_mut().leave(self.ticket);
        self.queue.waiting.borrow_mut().wake();
    }
}

/// A turn at a slot of the API, until it is dropped.
pub(crate) enum ApiTurn<'q> {
    Reader(
        #[expect(dead_code, reason = "its drop ends the turn")] Left<'q, API_READERS>,
        usize,
    ),
    Writer(#[expect(dead_code, reason = "its drop ends the turn")] Left<'q, 1>),
}

impl ApiTurn<'_> {
    /// The slot.
    pub(crate) fn place(&self) -> usize {
        match self {
            ApiTurn::Reader(_, slot) => *slot,
            ApiTurn::Writer(_) => API_READERS,
        }
    }
}

/// When the controller's next tick is due.
pub(crate) struct Clock {
    at: Cell<Instant>,
    changed: Signal<NoopRawMutex, ()>,
}

impl Clock {
    const fn new() -> Self {
        Clock {
            at: Cell::new(Instant::MIN),
            changed: Signal::new(),
        }
    }

    /// The next tick.
    pub(crate) fn at(&self) -> Instant {
        self.at.get()
    }

    /// Sets the next tick.
    pub(crate) fn set(&self, at: Instant) {
        self.at.set(at);
        self.changed.signal(());
    }

    /// Waits for a tick that was set anew.
    pub(crate) async fn changed(&self) {
        self.changed.wait().await;
    }
}

/// What is asked in a cell.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question {
    /// What to serve.
    Open(Transport),
    /// A transfer has ended: nothing is answered.
    Sent {
        /// Bytes of it.
        bytes: u64,
        /// Whether all of it went.
        complete: bool,
    },
}

/// What to serve, with the text in the asker's own buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// So many bytes of text.
    Text(usize),
    /// An asset of the store.
    Asset(String<64>),
    /// A part of a slot: offset and length on the device.
    Slot(u64, u64),
    /// No such file.
    NotFound,
    /// Ask again later.
    Busy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Free,
    /// The controller has it to do.
    Asked,
    /// The asker may look.
    Answered,
    /// The asker is gone: the controller frees the cell.
    Abandoned,
}

/// One question and its answer.
pub(crate) struct FileCell {
    stage: Cell<Stage>,
    done: Signal<NoopRawMutex, ()>,
    pub(crate) ask: RefCell<Ask>,
    pub(crate) served: RefCell<Served>,
}

impl FileCell {
    const fn new() -> Self {
        FileCell {
            stage: Cell::new(Stage::Free),
            done: Signal::new(),
            ask: RefCell::new(Ask {
                question: Question::Open(Transport::Tftp),
                peer: Ipv4Addr::UNSPECIFIED,
                path: String::new(),
            }),
            served: RefCell::new(Served::NotFound),
        }
    }
}

/// A question about a file.
pub(crate) struct Ask {
    pub(crate) question: Question,
    pub(crate) peer: Ipv4Addr,
    pub(crate) path: String<PATH>,
}

/// The texts of the cells' answers. A static of its own, since it starts as
/// zeros and so takes no flash.
pub type Texts = [RefCell<[u8; TEXT]>; FILE_REQUESTS];

/// Empty texts, for a `static`.
#[must_use]
pub const fn texts() -> Texts {
    [const { RefCell::new([0; TEXT]) }; FILE_REQUESTS]
}

/// The cells.
pub(crate) struct Files {
    cells: [FileCell; FILE_REQUESTS],
    free: FairSemaphore<NoopRawMutex, WAITERS>,
}

impl Files {
    const fn new() -> Self {
        Files {
            cells: [const { FileCell::new() }; FILE_REQUESTS],
            free: FairSemaphore::new(FILE_REQUESTS),
        }
    }

    /// The cell of a job.
    pub(crate) fn cell(&self, place: usize) -> Option<&FileCell> {
        self.cells.get(place)
    }

    /// Ends the controller's work on a cell.
    pub(crate) fn answered(&self, cell: &FileCell) {
        if cell.stage.get() == Stage::Abandoned {
            self.release(cell);
        } else {
            cell.stage.set(Stage::Answered);
            cell.done.signal(());
        }
    }

    fn release(&self, cell: &FileCell) {
        cell.stage.set(Stage::Free);
        self.free.release(1);
    }
}

/// A cell that its asker holds. Dropping it leaves the controller's step
/// alone: whatever was asked is done all the same.
struct Held<'q> {
    files: &'q Files,
    cell: &'q FileCell,
    place: usize,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        match self.cell.stage.get() {
            Stage::Asked => self.cell.stage.set(Stage::Abandoned),
            Stage::Free | Stage::Answered | Stage::Abandoned => self.files.release(self.cell),
        }
    }
}

/// Too many are before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl Queues {
    /// Waits for a slot of the API, for a request that only reads or for another
    /// one. Returns none where too many wait.
    pub(crate) async fn api_turn(&self, reads: bool, source: Ipv4Addr) -> Option<ApiTurn<'_>> {
        if reads {
            let (left, slot) = self.readers.take(source).await?;
            return Some(ApiTurn::Reader(left, slot));
        }
        let (left, _) = self.writers.take(source).await?;
        Some(ApiTurn::Writer(left))
    }

    /// Asks the controller about a file. A text is put into `text`; where
    /// that is too short there is no such file.
    pub(crate) async fn ask(
        &self,
        texts: &Texts,
        question: Question,
        peer: Ipv4Addr,
        path: &str,
        text: &mut [u8],
    ) -> Served {
        let Ok(path) = String::try_from(path) else {
            return Served::NotFound;
        };
        let ask = Ask {
            question,
            peer,
            path,
        };
        let Ok(held) = self.put(ask).await else {
            bump(&self.counters.files_full);
            return Served::Busy;
        };
        held.cell.done.wait().await;
        let served = held.cell.served.borrow().clone();
        let Served::Text(length) = served else {
            return served;
        };
        let made = texts.get(held.place).map(RefCell::borrow);
        let made = made.as_ref().and_then(|made| made.get(..length));
        match (text.get_mut(..length), made) {
            (Some(room), Some(bytes)) => {
                room.copy_from_slice(bytes);
                served
            }
            _ => Served::NotFound,
        }
    }

    async fn put(&self, ask: Ask) -> Result<Held<'_>, Full> {
        let files = &self.files;
        let permit = files.free.acquire(1).await.map_err(|_| Full)?;
        let free = |(_, cell): &(usize, &FileCell)| cell.stage.get() == Stage::Free;
        let (place, cell) = files.cells.iter().enumerate().find(free).ok_or(Full)?;
        permit.disarm();
        let held = Held { files, cell, place };
        cell.ask.replace(ask);
        cell.done.reset();
        // There is a place for every cell.
        self.jobs.try_send(Job::File(place)).map_err(|_| Full)?;
        cell.stage.set(Stage::Asked);
        Ok(held)
    }
}

pub(crate) fn bump(counter: &Cell<u32>) {
    counter.set(counter.get().wrapping_add(1));
}

#[cfg(test)]
mod tests;
