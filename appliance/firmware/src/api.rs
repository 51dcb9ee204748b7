//! The HTTP API: moves bytes between a connection, the block device and the
//! API's request engine.
//!
//! A request takes an API slot for as long as it lasts, and no longer than
//! [`LIMIT`]. There are some slots for requests that only read, of which a source
//! has at most half, and one for those that bring a body, so that a config drive
//! never meets another one on its way to the same place, and a slow upload does
//! not keep anybody from reading. The controller's task gives the rack the request's command out of
//! its slot; a connection that ends meanwhile leaves that work alone.

use core::cell::Cell;

use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::{Mutex, MutexGuard};
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, with_timeout};
use farrier_api::access::Asked;
use farrier_api::{Exchange, Need, Principal, View};
use farrier_asset_store::SlotPart;
use farrier_controller::NotDurable;
use farrier_http::{CONTINUE, Head, Method, Status};
use farrier_protocol::MAX_STATEMENT;

use crate::assets::PIECE;
use crate::controller::now;
use crate::fmt::{error, warning};
use crate::http::{Broken, HEAD, Next, Stream, say};
use crate::queues::{API_SLOTS, Job, bump};
use crate::statements::LENGTH;
use crate::{Board, Context};

/// How long a request may hold its slot.
const LIMIT: Duration = Duration::from_secs(60);

/// Room for one request.
pub struct ApiSlot {
    /// Locked by the connection that has the slot, but while the controller
    /// has something to do with it.
    exchange: Mutex<NoopRawMutex, Option<Exchange>>,
    /// The controller has.
    asked: Cell<bool>,
    done: Signal<NoopRawMutex, ()>,
}

impl core::fmt::Debug for ApiSlot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ApiSlot").finish_non_exhaustive()
    }
}

/// Memory of the API, shared by all connections.
pub type ApiSlots = [ApiSlot; API_SLOTS];

/// Free slots, for a `static`.
#[must_use]
pub const fn slots() -> ApiSlots {
    [const { ApiSlot::new() }; API_SLOTS]
}

impl ApiSlot {
    const fn new() -> Self {
        ApiSlot {
            exchange: Mutex::new(None),
            asked: Cell::new(false),
            done: Signal::new(),
        }
    }

    /// Lets the controller have the request, if there is one.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Exchange) -> T) -> Option<T> {
        self.exchange.try_lock().ok()?.as_mut().map(act)
    }

    /// The controller has done what there was to do.
    pub(crate) fn done(&self) {
        self.asked.set(false);
        self.done.signal(());
    }

    /// Waits until the controller has nothing to do with this slot.
    async fn idle(&self) {
        while self.asked.get() {
            self.done.wait().await;
        }
    }
}

/// Room for the inspection that an inventory is made of.
pub type Statement = [u8; STATEMENT];

/// Its bytes.
pub const STATEMENT: usize = MAX_STATEMENT;

/// Why a request has no reply of its own.
#[derive(Debug, Clone, Copy)]
enum Failed {
    /// The connection is gone or too slow, or the reply can only be broken
    /// off.
    Connection(Broken),
    /// What the rack knows is not durable.
    NotDurable,
}

impl Failed {
    /// The reply can only be broken off.
    const GONE: Self = Failed::Connection(Broken::Gone);
}

impl From<Broken> for Failed {
    fn from(why: Broken) -> Self {
        Failed::Connection(why)
    }
}

impl From<NotDurable> for Failed {
    fn from(_: NotDurable) -> Self {
        Failed::NotDurable
    }
}

/// What a client is told whose request has no reply of its own.
const NOT_DURABLE: &str = "The journal can not be read, or its flash does not take records, so \
                           nothing can be shown or changed. The console says which. Restart the \
                           appliance. Replace the flash if this comes again.\n";

/// The block device failed.
#[derive(Debug, Clone, Copy)]
struct DeviceFailed;

/// The inspection that a request has read.
type Inspection<'s> = (MutexGuard<'s, NoopRawMutex, &'static mut Statement>, usize);

/// A request on its way: the connection, and its bytes that are not taken
/// yet.
struct Request<'c, 'b, 's> {
    stream: &'c mut Stream<'b>,
    buffer: &'c mut [u8; HEAD],
    /// The bytes from here on are not taken yet.
    taken: usize,
    /// The bytes up to here were received.
    filled: usize,
    inspection: Option<Inspection<'s>>,
    /// Bytes of the reply have left.
    replies: bool,
}

/// Why a request leaves its slot's lock.
enum Turn {
    /// The controller has a command to carry out.
    Command,
    /// The reply is sent.
    Done(Next),
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Context<B, N, L, D> {
    /// Answers the request whose head, and perhaps a part of whose body, is
    /// in `buffer`.
    pub(crate) async fn serve_api(
        &self,
        stream: &mut Stream<'_>,
        buffer: &mut [u8; HEAD],
        filled: usize,
    ) -> Result<Next, Broken> {
        match with_timeout(LIMIT, self.api_request(stream, buffer, filled)).await {
            Ok(result) => result,
            Err(_) => {
                warning!("API: a request took longer than {} s", LIMIT.as_secs());
                Err(Broken::Gone)
            }
        }
    }

    async fn api_request(
        &self,
        stream: &mut Stream<'_>,
        buffer: &mut [u8; HEAD],
        filled: usize,
    ) -> Result<Next, Broken> {
        let received = buffer.get(..filled).unwrap_or_default();
        let (reads, asked) = match Head::parse(received) {
            Ok(Some((head, length))) => {
                let reads = matches!(head.method, Method::Get | Method::Head);
                (reads, Asked::of(&head, length == filled))
            }
            // The caller has parsed it before.
            _ => return Err(Broken::Gone),
        };
        let since = Instant::now();
        let admitted = self.admit(stream.peer, received).await;
        stream.rested(since);
        let who = match admitted {
            Ok(Ok(who)) => who,
            Ok(Err(refusal)) => {
                let length = refusal.reply(asked, buffer);
                stream
                    .write(buffer.get(..length).unwrap_or_default())
                    .await?;
                return Ok(if asked.keep_alive() {
                    Next::Keep
                } else {
                    Next::Close
                });
            }
            Err(NotDurable) => {
                let status = Status::SERVICE_UNAVAILABLE;
                say(stream, status, false, NOT_DURABLE).await?;
                return Ok(Next::Close);
            }
        };
        let since = Instant::now();
        let turn = self.queues.api_turn(reads, stream.peer).await;
        stream.rested(since);
        let Some(turn) = turn else {
            bump(&self.queues.counters.api_full);
            let status = Status::SERVICE_UNAVAILABLE;
            say(
                stream,
                status,
                false,
                "Too many requests wait. Try again.\n",
            )
            .await?;
            return Ok(Next::Close);
        };
        let place = turn.place();
        let Some(slot) = self.slots.get(place) else {
            return Err(Broken::Gone);
        };
        // The last request may have been given up while the controller was
        // at work on it.
        slot.idle().await;
        let mut request = Request {
            stream,
            buffer,
            taken: 0,
            filled,
            inspection: None,
            replies: false,
        };
        match self.in_slot(&mut request, place, slot, who).await {
            Ok(next) => Ok(next),
            Err(Failed::NotDurable) if !request.replies => {
                let status = Status::SERVICE_UNAVAILABLE;
                say(request.stream, status, false, NOT_DURABLE).await?;
                Ok(Next::Close)
            }
            Err(Failed::Connection(why)) => Err(why),
            Err(Failed::NotDurable) => Err(Broken::Gone),
        }
    }

    /// Answers a request in its slot.
    async fn in_slot<'s>(
        &'s self,
        request: &mut Request<'_, '_, 's>,
        place: usize,
        slot: &ApiSlot,
        who: Principal,
    ) -> Result<Next, Failed> {
        let mut random = [0; 32];
        self.shared.fill(&mut random);
        let received = request.buffer.get(..request.filled).unwrap_or_default();
        let Ok(Some((mut head, length))) = Head::parse(received) else {
            return Err(Failed::GONE);
        };
        head.keep_alive &= !request.stream.is_wanted(self.network.gate());
        {
            let mut exchange = slot.exchange.lock().await;
            self.shared
                .view(|rack| begin(&mut exchange, &head, random, who, &View::of(rack, now())))
                .await?;
        }
        request.taken = length;
        loop {
            let turn = {
                let mut exchange = slot.exchange.lock().await;
                let exchange = exchange.as_mut().ok_or(Failed::GONE)?;
                self.carry_through(request, exchange).await?
            };
            match turn {
                Turn::Done(next) => return Ok(next),
                Turn::Command => {
                    let asked = Instant::now();
                    slot.asked.set(true);
                    slot.done.reset();
                    if self.queues.jobs.try_send(Job::Api(place)).is_err() {
                        // There is a place for every slot.
                        slot.asked.set(false);
                        return Err(Failed::GONE);
                    }
                    slot.idle().await;
                    request.stream.rested(asked);
                }
            }
        }
    }

    /// Carries a request through up to its command, or to its end.
    async fn carry_through<'s>(
        &'s self,
        request: &mut Request<'_, '_, 's>,
        exchange: &mut Exchange,
    ) -> Result<Turn, Failed> {
        let shared = self.shared;
        loop {
            let need = shared
                .view(|rack| exchange.need(&View::of(rack, now())))
                .await?;
            match need {
                Need::Continue => request.stream.write(CONTINUE).await?,
                Need::Body => {
                    if request.taken == request.filled {
                        request.read().await?;
                    }
                    let rest = request.buffer.get(request.taken..request.filled);
                    let rest = rest.unwrap_or_default();
                    let taken = shared
                        .view(|rack| push(exchange, rest, &View::of(rack, now())))
                        .await?;
                    if taken == 0 {
                        // A request that neither takes its body nor asks for
                        // anything else has no end.
                        return Err(Failed::GONE);
                    }
                    request.taken += taken;
                }
                Need::Store {
                    slot,
                    part,
                    offset,
                    bytes,
                } => {
                    let asked = Instant::now();
                    let written = self.store.write_slot(slot, part, offset, &[bytes]).await;
                    request.stream.rested(asked);
                    match written {
                        Ok(()) => exchange.stored(),
                        Err(_) => exchange.storage_failed(),
                    }
                }
                Need::Work => {
                    exchange.work();
                    yield_now().await;
                }
                Need::Command(_) => return Ok(Turn::Command),
                Need::Statement { slot, length } => {
                    let asked = Instant::now();
                    // It may be on its way to the block device.
                    shared.statements_written().await?;
                    let mut room = self.statement.lock().await;
                    match self.read_statement(slot, length, &mut room).await {
                        Ok(()) => {
                            request.inspection = Some((room, length));
                            exchange.read();
                        }
                        Err(DeviceFailed) => exchange.storage_failed(),
                    }
                    request.stream.rested(asked);
                }
                Need::Send => {
                    let inspection = request
                        .inspection
                        .as_ref()
                        .and_then(|(room, length)| room.get(..*length));
                    let inspection = inspection.unwrap_or_default();
                    let buffer = &mut *request.buffer;
                    let length = shared
                        .view(|rack| {
                            let view = View::of(rack, now()).with_services(self);
                            exchange.reply(&view, inspection, buffer)
                        })
                        .await?;
                    let bytes = request.buffer.get(..length).unwrap_or_default();
                    request.replies = true;
                    request.stream.write(bytes).await?;
                }
                Need::Done { keep_alive: true } => return Ok(Turn::Done(Next::Keep)),
                Need::Done { keep_alive: false } => return Ok(Turn::Done(Next::Close)),
            }
        }
    }

    /// Reads a node's inspection out of its slot, behind its length.
    async fn read_statement(
        &self,
        slot: usize,
        length: usize,
        statement: &mut Statement,
    ) -> Result<(), DeviceFailed> {
        let at = self.store.slot(slot, SlotPart::Inspection);
        let at = at.ok_or(DeviceFailed)?;
        // What the rack knows of may never have come to lie there: the power
        // may have failed in between.
        let expected = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        let whole = {
            let kept = self
                .store
                .read(at, LENGTH)
                .await
                .map_err(|_| DeviceFailed)?;
            kept.get(..LENGTH) == Some(&expected[..])
        };
        if !whole {
            error!(
                "slot {}: its inspection was not stored whole. Inspect the node again",
                slot
            );
            return Err(DeviceFailed);
        }
        // The first piece is shorter, so that the others start on a sector.
        let mut at = at + LENGTH as u64;
        let mut rest = statement.get_mut(..length).ok_or(DeviceFailed)?;
        while !rest.is_empty() {
            let most = rest.len().min(PIECE - LENGTH);
            let piece = self.store.read(at, most).await.map_err(|_| DeviceFailed)?;
            let count = piece.len().min(rest.len());
            if count == 0 {
                return Err(DeviceFailed);
            }
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(piece.get(..count).ok_or(DeviceFailed)?);
            at += count as u64;
            rest = later;
        }
        Ok(())
    }
}

impl Request<'_, '_, '_> {
    /// Waits for more of the body.
    async fn read(&mut self) -> Result<(), Broken> {
        match self.stream.read(self.buffer).await? {
            0 => Err(Broken::Gone),
            count => {
                (self.taken, self.filled) = (0, count);
                Ok(())
            }
        }
    }
}

// The steps below are apart so that the stack which they take is free again
// when a reply is rendered: inlined, they would lie in the frame below it.

#[inline(never)]
fn begin(
    place: &mut Option<Exchange>,
    head: &Head<'_>,
    random: [u8; 32],
    who: Principal,
    view: &View<'_>,
) {
    *place = Some(Exchange::begin(head, random, who, view));
}

#[inline(never)]
fn push(exchange: &mut Exchange, bytes: &[u8], view: &View<'_>) -> usize {
    exchange.push(bytes, view)
}
