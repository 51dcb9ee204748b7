//! The operator's API: moves bytes between a connection and `farrier-core`'s
//! exchange, and seals config drives on their way to the block device.
//!
//! A request takes a desk for as long as it lasts, and no longer than
//! [`LIMIT`]. There is one for requests that only read and one for those
//! that bring a body, so that a config drive never meets another one on its
//! way to the same slot, and a slow upload does not keep anybody from
//! looking.

use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::mutex::Mutex;
use embassy_time::{Duration, with_timeout};
use farrier_api::{Error, Exchange, Facts};
use farrier_asset_store::SlotPart;
use farrier_core::interface::Actor;
use farrier_core::rack::Entropy;
use farrier_core::{Effect, Input};
use farrier_http::{Body, CONTINUE, Head, Method, Piece, Status};
use farrier_protocol::MAX_STATEMENT;
use farrier_protocol::sealed::{Layout, MAX_PLAIN, PLAIN_PIECE, SEALED_PIECE};

use crate::assets::PIECE;
use crate::brain::now;
use crate::http::{HEAD, HEAD_LIMIT, Next, write};
use crate::lines::warning;
use crate::net::{Connection, TcpError};
use crate::{Board, Context};

/// How long a request may hold its desk.
const LIMIT: Duration = Duration::from_secs(60);

/// Room for one request.
#[derive(Debug)]
struct Desk {
    exchange: Option<Exchange>,
    /// The piece of a config drive that is being filled.
    piece: [u8; SEALED_PIECE],
}

impl Desk {
    const fn free() -> Mutex<NoopRawMutex, Self> {
        Mutex::new(Self {
            exchange: None,
            piece: [0; SEALED_PIECE],
        })
    }
}

/// Memory of the API, shared by all connections.
#[derive(Debug)]
pub struct Desks {
    reading: Mutex<NoopRawMutex, Desk>,
    writing: Mutex<NoopRawMutex, Desk>,
}

impl Desks {
    /// Free desks.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            reading: Desk::free(),
            writing: Desk::free(),
        }
    }
}

impl Default for Desks {
    fn default() -> Self {
        Self::new()
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
        let Desk { exchange, piece } = &mut *desk;
        let Ok(Some((head, length))) = Head::parse(buffer.get(..filled).unwrap_or_default()) else {
            return Err(TcpError);
        };
        let mut key = [0; 32];
        let exchange = {
            let mut brain = self.brain.lock().await;
            brain.entropy.fill(&mut key);
            begin(exchange, &head, &Facts::of(brain.rack, now()))
        };
        let mut body = Body::new(head.body);
        let go_on = head.expect_continue && exchange.wants_body();
        buffer.copy_within(length..filled, 0);
        filled -= length;
        if go_on {
            write(connection, CONTINUE).await?;
        }

        let mut sealer = Sealer::new(piece, key, exchange.slot());
        self.take_body(connection, buffer, filled, &mut body, exchange, &mut sealer)
            .await?;
        end(
            exchange,
            key,
            &Facts::of(self.brain.lock().await.rack, now()),
        );
        if let Some(length) = exchange.config_drive()
            && self.keep_last(&mut sealer, length).await.is_err()
        {
            exchange.fail(not_kept());
        }
        self.carry_out(exchange).await;
        self.answer(connection, buffer, exchange).await?;
        Ok(if exchange.keep_alive() {
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
        exchange: &mut Exchange,
        sealer: &mut Sealer<'_>,
    ) -> Result<(), TcpError> {
        while !exchange.gives_up() {
            let mut input = buffer.get(..filled).unwrap_or_default();
            loop {
                match body.next(&mut input) {
                    Ok(Piece::Data(mut data)) => {
                        while let Some(text) = push(exchange, &mut data) {
                            if self.keep(sealer, text).await.is_err() {
                                exchange.fail(not_kept());
                            }
                        }
                        if exchange.gives_up() {
                            return Ok(());
                        }
                    }
                    Ok(Piece::More) => break,
                    Ok(Piece::End) => return Ok(()),
                    Err(error) => {
                        exchange.fail(error.into());
                        return Ok(());
                    }
                }
            }
            filled = match with_timeout(HEAD_LIMIT, connection.read(buffer)).await {
                Ok(Ok(1..)) if exchange.gives_up() => 0,
                Ok(Ok(count @ 1..)) => count,
                _ => return Err(TcpError),
            };
        }
        Ok(())
    }

    /// Seals text of a config drive, and keeps every piece that is full and
    /// not the last.
    async fn keep(&self, sealer: &mut Sealer<'_>, mut text: &[u8]) -> Result<(), NotKept> {
        while !text.is_empty() {
            if sealer.filled == PLAIN_PIECE {
                // Whatever comes last, it is not this piece.
                self.keep_piece(sealer, MAX_PLAIN).await?;
            }
            text = sealer.fill(text);
        }
        Ok(())
    }

    async fn keep_last(&self, sealer: &mut Sealer<'_>, length: u32) -> Result<(), NotKept> {
        self.keep_piece(sealer, length).await
    }

    async fn keep_piece(&self, sealer: &mut Sealer<'_>, length: u32) -> Result<(), NotKept> {
        let slot = sealer.slot.ok_or(NotKept)?;
        let at = u64::from(sealer.index) * SEALED_PIECE as u64;
        let sealed = sealer.seal(length)?;
        let part = SlotPart::ConfigDrive;
        let kept = self.store.write_slot(slot, part, at, &[sealed]).await;
        sealer.filled = 0;
        sealer.index += 1;
        kept.map_err(|_| NotKept)
    }

    /// Asks the brain for what the request wishes.
    async fn carry_out(&self, exchange: &mut Exchange) {
        loop {
            let mut brain = self.brain.lock().await;
            let Some(wish) = exchange.operator(&Facts::of(brain.rack, now())) else {
                return;
            };
            brain
                .step(
                    Input::Command {
                        actor: Actor::OPERATOR,
                        command: wish,
                    },
                    None,
                    &self.store,
                )
                .await;
            let answer = brain.outputs.iter().find_map(|output| match output {
                Effect::Answer(answer) => Some(answer),
                _ => None,
            });
            match answer {
                Some(answer) => exchange.answered(answer, &Facts::of(brain.rack, now())),
                None => exchange.fail(not_kept()),
            }
        }
    }

    async fn answer(
        &self,
        connection: &mut Connection,
        buffer: &mut [u8; HEAD],
        exchange: &mut Exchange,
    ) -> Result<(), TcpError> {
        let wanted = exchange.inspection(&Facts::of(self.brain.lock().await.rack, now()));
        let Some((slot, length)) = wanted else {
            return self.reply_with(connection, buffer, exchange, &[]).await;
        };
        let mut statement = self.statement.lock().await;
        let inspection = match self.read_statement(slot, length, &mut statement).await {
            Ok(inspection) => inspection,
            Err(NotKept) => {
                exchange.fail(not_kept());
                &[]
            }
        };
        self.reply_with(connection, buffer, exchange, inspection)
            .await
    }

    async fn reply_with(
        &self,
        connection: &mut Connection,
        buffer: &mut [u8; HEAD],
        exchange: &mut Exchange,
        inspection: &[u8],
    ) -> Result<(), TcpError> {
        loop {
            let length = {
                let brain = self.brain.lock().await;
                let facts = Facts::of(brain.rack, now()).with_services(self);
                exchange.reply(&facts, inspection, buffer)
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
    ) -> Result<&'s [u8], NotKept> {
        let at = self.store.slot(slot, SlotPart::Inspection).ok_or(NotKept)?;
        let wanted = statement.get_mut(..length).ok_or(NotKept)?;
        // The first piece is shorter, so that the others start on a sector.
        let mut at = at + 4;
        let mut rest = &mut *wanted;
        while !rest.is_empty() {
            let most = rest.len().min(PIECE - 4);
            let piece = self.store.read(at, most).await.map_err(|_| NotKept)?;
            let count = piece.len().min(rest.len());
            if count == 0 {
                return Err(NotKept);
            }
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(piece.get(..count).ok_or(NotKept)?);
            at += count as u64;
            rest = later;
        }
        Ok(wanted)
    }
}

// The steps below are apart so that the stack which they take is free again
// when a reply is rendered: inlined, they would lie in the frame below it.

#[inline(never)]
fn begin<'e>(
    place: &'e mut Option<Exchange>,
    head: &Head<'_>,
    facts: &Facts<'_>,
) -> &'e mut Exchange {
    place.insert(Exchange::begin(head, facts))
}

#[inline(never)]
fn push<'b>(exchange: &mut Exchange, data: &mut &'b [u8]) -> Option<&'b [u8]> {
    exchange.push(data)
}

#[inline(never)]
fn end(exchange: &mut Exchange, key: [u8; 32], facts: &Facts<'_>) {
    exchange.end(key, facts);
}

/// The block device did not take or give something.
#[derive(Debug, Clone, Copy)]
struct NotKept;

#[inline(never)]
fn not_kept() -> Error {
    Error::new(
        Status::INTERNAL_SERVER_ERROR,
        format_args!("The appliance's storage failed."),
    )
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

    fn seal(&mut self, length: u32) -> Result<&[u8], NotKept> {
        let layout = Layout::new(length).map_err(|_| NotKept)?;
        layout
            .seal(&self.key, self.index, self.piece)
            .map_err(|_| NotKept)
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
