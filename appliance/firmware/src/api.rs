//! The HTTP API: moves bytes between a connection and the API's request
//! engine, and seals config drives on their way to the block device.
//!
//! A request takes an API slot for as long as it lasts, and no longer than
//! [`LIMIT`]. There is one slot for requests that only read and one for those
//! that bring a body, so that a config drive never meets another one on its
//! way to the same place, and a slow upload does not keep anybody from
//! reading. The controller's task works on the request in its slot; a
//! connection that ends meanwhile leaves that work alone.

use core::cell::{Cell, RefCell};

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_sync::semaphore::Semaphore;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, with_timeout};
use farrier_controller::NotDurable;
use farrier_core::api::{Error, Exchange, Facts};
use farrier_core::interface::CommandError;
use farrier_http::{Body, CONTINUE, Head, Method, Piece, Status};
use farrier_protocol::MAX_STATEMENT;
use farrier_protocol::sealed::{Layout, MAX_PLAIN, PLAIN_PIECE, SEALED_PIECE};
use farrier_store::SlotPart;

use crate::assets::PIECE;
use crate::controller::now;
use crate::fmt::warning;
use crate::http::{HEAD, HEAD_LIMIT, Next, say, write};
use crate::net::{Connection, TcpError};
use crate::queues::{API_SLOTS, Job, bump};
use crate::statements::LENGTH;
use crate::{Board, Context};

/// How long a request may hold its slot.
const LIMIT: Duration = Duration::from_secs(60);

/// The place of requests that only read.
const READING: usize = 0;
/// The place of requests that change something.
const WRITING: usize = 1;

/// Room for one request.
pub struct ApiSlot {
    /// Borrowed for single calls only: connection and controller take turns.
    exchange: RefCell<Option<Exchange>>,
    /// The controller has it to do.
    asked: Cell<bool>,
    done: Signal<NoopRawMutex, ()>,
    /// The piece of a config drive that is being filled.
    piece: Mutex<NoopRawMutex, [u8; SEALED_PIECE]>,
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
            exchange: RefCell::new(None),
            asked: Cell::new(false),
            done: Signal::new(),
            piece: Mutex::new([0; SEALED_PIECE]),
        }
    }

    /// Lets `act` have the request, if there is one.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Exchange) -> T) -> Option<T> {
        self.exchange.borrow_mut().as_mut().map(act)
    }

    /// Lets `tell` hand the rack's answer to the request; without one the
    /// request fails.
    pub(crate) fn answered(
        &self,
        answer: Option<Result<(), CommandError>>,
        tell: impl FnOnce(&mut Exchange, Result<(), CommandError>),
    ) {
        self.with(|exchange| match answer {
            Some(answer) => tell(exchange, answer),
            None => exchange.fail(not_durable()),
        });
    }

    /// The controller has done what there was to do.
    pub(crate) fn done(&self) {
        self.asked.set(false);
        self.done.signal(());
    }

    /// Waits until the controller has nothing to do for this slot.
    async fn idle(&self) {
        while self.asked.get() {
            self.done.wait().await;
        }
    }
}

/// Room for the inspection that an inventory is told from.
pub type Statement = [u8; STATEMENT];

/// Its bytes.
pub const STATEMENT: usize = MAX_STATEMENT;

impl<B: Board, const N: usize, const L: usize, const D: usize> Context<B, N, L, D> {
    /// Answers the request whose head, and perhaps a part of whose body, is
    /// in `buffer`.
    pub(crate) async fn serve_api(
        &self,
        connection: &mut Connection,
        buffer: &mut [u8; HEAD],
        filled: usize,
    ) -> Result<Next, TcpError> {
        match with_timeout(LIMIT, self.api_request(connection, buffer, filled)).await {
            Ok(result) => result,
            Err(_) => {
                warning!("API: a request took longer than {} s", LIMIT.as_secs());
                Err(TcpError)
            }
        }
    }

    async fn api_request(
        &self,
        connection: &mut Connection,
        buffer: &mut [u8; HEAD],
        filled: usize,
    ) -> Result<Next, TcpError> {
        let place = match Head::parse(buffer.get(..filled).unwrap_or_default()) {
            Ok(Some((head, _))) if matches!(head.method, Method::Get | Method::Head) => READING,
            Ok(Some(_)) => WRITING,
            // The caller has parsed it before.
            _ => return Err(TcpError),
        };
        let (Some(slot), Some(turn)) = (self.slots.get(place), self.queues.turns.get(place)) else {
            return Err(TcpError);
        };
        let Ok(_turn) = turn.acquire(1).await else {
            bump(&self.queues.counters.api_full);
            let status = Status::SERVICE_UNAVAILABLE;
            say(connection, status, false, "too many requests: try again\n").await?;
            return Ok(Next::Close);
        };
        // The last request may have been given up while the controller was
        // at work on it.
        slot.idle().await;
        match self.in_slot(connection, buffer, filled, place, slot).await {
            Ok(next) => Ok(next),
            Err(Failed::Connection) => Err(TcpError),
            Err(Failed::NotDurable) => {
                let status = Status::SERVICE_UNAVAILABLE;
                say(connection, status, false, NOT_DURABLE).await?;
                Ok(Next::Close)
            }
        }
    }

    /// Answers a request in its slot.
    async fn in_slot(
        &self,
        connection: &mut Connection,
        buffer: &mut [u8; HEAD],
        mut filled: usize,
        place: usize,
        slot: &ApiSlot,
    ) -> Result<Next, Failed> {
        if self.shared.is_pending() {
            bump(&self.queues.counters.views_waited);
        }
        let Ok(Some((head, length))) = Head::parse(buffer.get(..filled).unwrap_or_default()) else {
            return Err(Failed::Connection);
        };
        let mut key = [0; 32];
        self.shared.fill(&mut key);
        let (wants_body, drive) = self
            .shared
            .view(|rack| begin(slot, &head, &Facts::of(rack, now())))
            .await?;
        let mut body = Body::new(head.body);
        let go_on = head.expect_continue && wants_body;
        buffer.copy_within(length..filled, 0);
        filled -= length;
        if go_on {
            write(connection, CONTINUE).await?;
        }
        let mut piece = slot.piece.lock().await;
        let mut sealer = Sealer::new(&mut piece, key, drive);
        self.take_body(connection, buffer, filled, &mut body, slot, &mut sealer)
            .await?;
        let drive = self
            .shared
            .view(|rack| end(slot, key, &Facts::of(rack, now())))
            .await?;
        if let Some(length) = drive
            && self.store_piece(&mut sealer, length).await.is_err()
        {
            slot.with(|exchange| exchange.fail(not_stored()));
        }
        drop(piece);
        if place == WRITING {
            self.carry_out(place, slot).await?;
        }
        self.answer(connection, buffer, slot).await?;
        let keep_alive = slot.with(|exchange| exchange.keep_alive());
        Ok(if keep_alive == Some(true) {
            Next::Keep
        } else {
            Next::Close
        })
    }

    /// Pushes the body through the exchange, sealing what is a config drive.
    async fn take_body(
        &self,
        connection: &mut Connection,
        buffer: &mut [u8; HEAD],
        mut filled: usize,
        body: &mut Body,
        slot: &ApiSlot,
        sealer: &mut Sealer<'_>,
    ) -> Result<(), TcpError> {
        let gives_up = || slot.with(|exchange| exchange.gives_up()) != Some(false);
        while !gives_up() {
            let mut input = buffer.get(..filled).unwrap_or_default();
            loop {
                match body.next(&mut input) {
                    Ok(Piece::Data(mut data)) => {
                        while let Some(text) = push(slot, &mut data) {
                            if self.store_text(sealer, text).await.is_err() {
                                slot.with(|exchange| exchange.fail(not_stored()));
                            }
                        }
                        if gives_up() {
                            return Ok(());
                        }
                    }
                    Ok(Piece::More) => break,
                    Ok(Piece::End) => return Ok(()),
                    Err(error) => {
                        slot.with(|exchange| exchange.fail(error.into()));
                        return Ok(());
                    }
                }
            }
            filled = match with_timeout(HEAD_LIMIT, connection.read(buffer)).await {
                Ok(Ok(1..)) if gives_up() => 0,
                Ok(Ok(count @ 1..)) => count,
                _ => return Err(TcpError),
            };
        }
        Ok(())
    }

    /// Seals text of a config drive, and writes every piece that is full and
    /// not the last.
    async fn store_text(&self, sealer: &mut Sealer<'_>, mut text: &[u8]) -> Result<(), NotStored> {
        while !text.is_empty() {
            if sealer.filled == PLAIN_PIECE {
                // Whatever comes last, it is not this piece.
                self.store_piece(sealer, MAX_PLAIN).await?;
            }
            text = sealer.fill(text);
        }
        Ok(())
    }

    async fn store_piece(&self, sealer: &mut Sealer<'_>, length: u32) -> Result<(), NotStored> {
        let slot = sealer.slot.ok_or(NotStored)?;
        let at = u64::from(sealer.index) * SEALED_PIECE as u64;
        let sealed = sealer.seal(length)?;
        let part = SlotPart::ConfigDrive;
        let stored = self.store.write_slot(slot, part, at, &[sealed]).await;
        sealer.filled = 0;
        sealer.index += 1;
        stored.map_err(|_| NotStored)
    }

    /// Lets the controller carry out what the request commands.
    async fn carry_out(&self, place: usize, slot: &ApiSlot) -> Result<(), Failed> {
        slot.asked.set(true);
        slot.done.reset();
        if self.queues.jobs.try_send(Job::Api(place)).is_err() {
            // There is a place for every slot.
            slot.asked.set(false);
            return Err(Failed::NotDurable);
        }
        slot.idle().await;
        Ok(())
    }

    async fn answer(
        &self,
        connection: &mut Connection,
        buffer: &mut [u8; HEAD],
        slot: &ApiSlot,
    ) -> Result<(), Failed> {
        let wanted = self
            .shared
            .view(|rack| slot.with(|exchange| exchange.inspection(&Facts::of(rack, now()))))
            .await?;
        let Some((node_slot, length)) = wanted.flatten() else {
            return self.reply_with(connection, buffer, slot, &[]).await;
        };
        // It may be on its way to the block device.
        self.shared.statements_written().await?;
        let mut statement = self.statement.lock().await;
        let inspection = match self.read_statement(node_slot, length, &mut statement).await {
            Ok(inspection) => inspection,
            Err(NotStored) => {
                slot.with(|exchange| exchange.fail(not_stored()));
                &[]
            }
        };
        self.reply_with(connection, buffer, slot, inspection).await
    }

    async fn reply_with(
        &self,
        connection: &mut Connection,
        buffer: &mut [u8; HEAD],
        slot: &ApiSlot,
        inspection: &[u8],
    ) -> Result<(), Failed> {
        let mut begun = false;
        loop {
            let length = self
                .shared
                .view(|rack| {
                    let facts = Facts::of(rack, now()).with_services(self);
                    slot.with(|exchange| exchange.reply(&facts, inspection, buffer))
                })
                .await;
            let length = match length {
                // Half a reply can only be broken off.
                Err(NotDurable) if begun => return Err(Failed::Connection),
                length => length?,
            };
            begun = true;
            match buffer.get(..length.unwrap_or(0)) {
                Some(bytes @ [_, ..]) => write(connection, bytes).await?,
                _ => return Ok(()),
            }
        }
    }

    /// Reads a node's inspection out of its slot, behind its length.
    async fn read_statement<'s>(
        &self,
        slot: usize,
        length: usize,
        statement: &'s mut Statement,
    ) -> Result<&'s [u8], NotStored> {
        let at = self
            .store
            .slot(slot, SlotPart::Inspection)
            .ok_or(NotStored)?;
        let wanted = statement.get_mut(..length).ok_or(NotStored)?;
        // The first piece is shorter, so that the others start on a sector.
        let mut at = at + LENGTH as u64;
        let mut rest = &mut *wanted;
        while !rest.is_empty() {
            let most = rest.len().min(PIECE - LENGTH);
            let piece = self.store.read(at, most).await.map_err(|_| NotStored)?;
            let count = piece.len().min(rest.len());
            if count == 0 {
                return Err(NotStored);
            }
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(piece.get(..count).ok_or(NotStored)?);
            at += count as u64;
            rest = later;
        }
        Ok(wanted)
    }
}

// The steps below are apart so that the stack which they take is free again
// when a reply is rendered: inlined, they would lie in the frame below it.

/// Begins a request. Whether it wants its body, and the node slot that its
/// config drive goes to.
#[inline(never)]
fn begin(slot: &ApiSlot, head: &Head<'_>, facts: &Facts<'_>) -> (bool, Option<usize>) {
    let mut place = slot.exchange.borrow_mut();
    let exchange = place.insert(Exchange::begin(head, facts));
    (exchange.wants_body(), exchange.slot())
}

#[inline(never)]
fn push<'b>(slot: &ApiSlot, data: &mut &'b [u8]) -> Option<&'b [u8]> {
    slot.with(|exchange| exchange.push(data)).flatten()
}

/// Ends a request's body. The length of the config drive that it brought.
#[inline(never)]
fn end(slot: &ApiSlot, key: [u8; 32], facts: &Facts<'_>) -> Option<u32> {
    slot.with(|exchange| {
        exchange.end(key, facts);
        exchange.config_drive()
    })
    .flatten()
}

/// Why a request has no reply of its own.
#[derive(Debug, Clone, Copy)]
enum Failed {
    /// The connection is gone.
    Connection,
    /// What the rack knows is not durable.
    NotDurable,
}

impl From<TcpError> for Failed {
    fn from(_: TcpError) -> Self {
        Failed::Connection
    }
}

impl From<NotDurable> for Failed {
    fn from(_: NotDurable) -> Self {
        Failed::NotDurable
    }
}

const NOT_DURABLE: &str = "The journal's flash does not take records, so nothing can be shown or changed. Restart the \
     appliance; if this comes again, replace the flash.\n";

/// The block device did not take or give something.
#[derive(Debug, Clone, Copy)]
struct NotStored;

#[inline(never)]
fn not_stored() -> Error {
    Error::new(
        Status::INTERNAL_SERVER_ERROR,
        format_args!("The asset store's block device failed. Check the device, then try again."),
    )
}

#[inline(never)]
fn not_durable() -> Error {
    Error::new(Status::SERVICE_UNAVAILABLE, format_args!("{NOT_DURABLE}"))
}

/// Fills and seals the pieces of one config drive.
struct Sealer<'p> {
    piece: &'p mut [u8; SEALED_PIECE],
    key: [u8; 32],
    slot: Option<usize>,
    filled: usize,
    index: u32,
}

impl<'p> Sealer<'p> {
    fn new(piece: &'p mut [u8; SEALED_PIECE], key: [u8; 32], slot: Option<usize>) -> Self {
        Self {
            piece,
            key,
            slot,
            filled: 0,
            index: 0,
        }
    }

    /// Takes as much of `text` as the piece has room for; gives the rest.
    fn fill<'t>(&mut self, text: &'t [u8]) -> &'t [u8] {
        let count = text.len().min(PLAIN_PIECE.saturating_sub(self.filled));
        let (now, later) = text.split_at(count);
        if let Some(room) = self.piece.get_mut(self.filled..self.filled + count) {
            room.copy_from_slice(now);
        }
        self.filled += count;
        later
    }

    fn seal(&mut self, length: u32) -> Result<&[u8], NotStored> {
        let layout = Layout::new(length).map_err(|_| NotStored)?;
        layout
            .seal(&self.key, self.index, self.piece)
            .map_err(|_| NotStored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// What is sealed while its length is unknown opens once it is known.
    #[test]
    fn pieces_open_in_the_layout_of_the_whole() {
        for length in [0, 1, 1007, 1008, 1009, 2016, 5000] {
            let text: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut room = [0; SEALED_PIECE];
            let mut sealer = Sealer::new(&mut room, [5; 32], Some(0));
            let mut sealed = Vec::new();
            for part in text.chunks(100) {
                let mut part = part;
                while !part.is_empty() {
                    if sealer.filled == PLAIN_PIECE {
                        sealed.extend_from_slice(sealer.seal(MAX_PLAIN).unwrap());
                        sealer.filled = 0;
                        sealer.index += 1;
                    }
                    part = sealer.fill(part);
                }
            }
            sealed.extend_from_slice(sealer.seal(length).unwrap());

            let layout = Layout::new(length).unwrap();
            assert_eq!(sealed.len(), layout.sealed_len() as usize);
            let mut opened = Vec::new();
            for (piece, index) in sealed.chunks_mut(SEALED_PIECE).zip(0..) {
                opened.extend_from_slice(layout.open(&[5; 32], index, piece).unwrap());
            }
            assert_eq!(opened, text);
        }
    }
}
