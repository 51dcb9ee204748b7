//! The operators' API: moves bytes between a connection, the block device and
//! `farrier-api`'s exchange, which says what it needs next.
//!
//! A request takes a slot for as long as it lasts, and no longer than
//! [`LIMIT`]. There is one for requests that only read and one for those
//! that bring a body, so that two config drives are never on their way to one
//! node, and a slow upload does not keep anybody from looking.

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_time::{Duration, with_timeout};
use farrier_api::{Exchange, Need, View};
use farrier_asset_store::SlotPart;
use farrier_core::interface::Actor;
use farrier_core::rack::Entropy;
use farrier_core::{Effect, Input};
use farrier_http::{CONTINUE, Head, Method};
use farrier_protocol::MAX_STATEMENT;

use crate::assets::PIECE;
use crate::brain::now;
use crate::http::{HEAD, HEAD_LIMIT, Next, write};
use crate::lines::warning;
use crate::net::{Connection, TcpError};
use crate::{Board, Context};

/// How long a request may hold its slot.
const LIMIT: Duration = Duration::from_secs(60);

/// Room for one request.
type Desk = Mutex<NoopRawMutex, Option<Exchange>>;

/// Memory of the API, shared by all connections.
#[derive(Debug)]
pub struct Desks {
    reading: Desk,
    writing: Desk,
}

impl Desks {
    /// Free slots.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            reading: Mutex::new(None),
            writing: Mutex::new(None),
        }
    }
}

impl Default for Desks {
    fn default() -> Self {
        Self::new()
    }
}

/// Room for the inspection that an inventory is made of.
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
        mut filled: usize,
    ) -> Result<Next, TcpError> {
        let reads = match Head::parse(buffer.get(..filled).unwrap_or_default()) {
            Ok(Some((head, _))) => matches!(head.method, Method::Get | Method::Head),
            // The caller has parsed it before.
            _ => return Err(TcpError),
        };
        let desk = if reads {
            &self.desks.reading
        } else {
            &self.desks.writing
        };
        let mut desk = desk.lock().await;
        let Ok(Some((head, length))) = Head::parse(buffer.get(..filled).unwrap_or_default()) else {
            return Err(TcpError);
        };
        let mut random = [0; 32];
        let exchange = {
            let mut brain = self.brain.lock().await;
            brain.entropy.fill(&mut random);
            begin(&mut desk, &head, random, &View::of(brain.rack, now()))
        };
        buffer.copy_within(length..filled, 0);
        filled -= length;
        loop {
            let need = {
                let brain = self.brain.lock().await;
                next(exchange, &View::of(brain.rack, now()))
            };
            match need {
                Need::Continue => write(connection, CONTINUE).await?,
                Need::Body => {
                    if filled == 0 {
                        let read = with_timeout(HEAD_LIMIT, connection.read(buffer)).await;
                        filled = match read {
                            Ok(Ok(count @ 1..)) => count,
                            _ => return Err(TcpError),
                        };
                    }
                    let input = buffer.get(..filled).unwrap_or_default();
                    let taken = {
                        let brain = self.brain.lock().await;
                        push(exchange, input, &View::of(brain.rack, now()))
                    };
                    buffer.copy_within(taken..filled, 0);
                    filled -= taken;
                }
                Need::Store {
                    slot,
                    part,
                    offset,
                    bytes,
                } => match self.store.write_slot(slot, part, offset, &[bytes]).await {
                    Ok(()) => exchange.stored(),
                    Err(_) => exchange.storage_failed(),
                },
                Need::Command(command) => {
                    let mut brain = self.brain.lock().await;
                    let input = Input::Command {
                        actor: Actor::OPERATOR,
                        command,
                    };
                    brain.step(input, None, &self.store).await;
                    let answer = brain.outputs.iter().find_map(|effect| match effect {
                        Effect::Answer(answer) => Some(answer),
                        _ => None,
                    });
                    match answer {
                        Some(answer) => exchange.answered(answer, &View::of(brain.rack, now())),
                        None => exchange.not_durable(),
                    }
                }
                Need::Statement { slot, length } => {
                    let mut statement = self.statement.lock().await;
                    match self.read_statement(slot, length, &mut statement).await {
                        Ok(inspection) => {
                            exchange.read();
                            self.send(connection, buffer, exchange, inspection).await?;
                        }
                        Err(NotRead) => exchange.storage_failed(),
                    }
                }
                Need::Send => self.send(connection, buffer, exchange, &[]).await?,
                Need::Done { keep_alive } => {
                    let next = if keep_alive { Next::Keep } else { Next::Close };
                    return Ok(next);
                }
            }
        }
    }

    /// Sends the whole reply.
    async fn send(
        &self,
        connection: &mut Connection,
        buffer: &mut [u8; HEAD],
        exchange: &mut Exchange,
        inspection: &[u8],
    ) -> Result<(), TcpError> {
        loop {
            let length = {
                let brain = self.brain.lock().await;
                let view = View::of(brain.rack, now()).with_services(self);
                exchange.reply(&view, inspection, buffer)
            };
            match buffer.get(..length) {
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
    ) -> Result<&'s [u8], NotRead> {
        let at = self.store.slot(slot, SlotPart::Inspection).ok_or(NotRead)?;
        let wanted = statement.get_mut(..length).ok_or(NotRead)?;
        // The first piece is shorter, so that the others start on a sector.
        let mut at = at + 4;
        let mut rest = &mut *wanted;
        while !rest.is_empty() {
            let most = rest.len().min(PIECE - 4);
            let piece = self.store.read(at, most).await.map_err(|_| NotRead)?;
            let count = piece.len().min(rest.len());
            if count == 0 {
                return Err(NotRead);
            }
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(piece.get(..count).ok_or(NotRead)?);
            at += count as u64;
            rest = later;
        }
        Ok(wanted)
    }
}

/// The block device did not give a report.
#[derive(Debug, Clone, Copy)]
struct NotRead;

// The steps below are apart so that the stack which they take is free again
// when a reply is rendered: inlined, they would lie in the frame below it.

#[inline(never)]
fn begin<'e>(
    place: &'e mut Option<Exchange>,
    head: &Head<'_>,
    random: [u8; 32],
    view: &View<'_>,
) -> &'e mut Exchange {
    place.insert(Exchange::begin(head, random, view))
}

#[inline(never)]
fn next<'e>(exchange: &'e mut Exchange, view: &View<'_>) -> Need<'e> {
    exchange.need(view)
}

#[inline(never)]
fn push(exchange: &mut Exchange, input: &[u8], view: &View<'_>) -> usize {
    exchange.push(input, view)
}
