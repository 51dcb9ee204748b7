//! Carries a request through without waiting: for tests, rigs and simulators.
//! Whoever serves real clients has the same loop with waits in it.

use crate::{Exchange, Need, Principal, View};
use farrier_asset_store::SlotPart;
use farrier_core::interface::{Command, CommandError};
use farrier_http::{CONTINUE, Head};

/// What a request is carried through with.
pub trait Host {
    /// In whose name requests are carried out.
    fn who(&mut self) -> Principal;
    /// 32 fresh random bytes.
    fn random(&mut self) -> [u8; 32];
    /// The rack as it is now.
    fn view(&mut self) -> View<'_>;
    /// Gives a command to the rack; `None` where there was no answer.
    fn command(&mut self, command: Command<'_>) -> Option<Result<(), CommandError>>;
    /// Writes to the block device. Gives whether it did.
    fn store(&mut self, slot: usize, part: SlotPart, offset: u64, bytes: &[u8]) -> bool;
    /// Reads the inspection in a slot, of so many bytes, into a room. Gives
    /// how many it read.
    fn inspection(&mut self, slot: usize, length: usize, room: &mut [u8]) -> Option<usize>;
    /// Reads more of the request into a buffer. Gives how many bytes; 0 where
    /// there are no more.
    fn receive(&mut self, buffer: &mut [u8]) -> usize;
    /// Sends bytes to the client.
    fn send(&mut self, bytes: &[u8]);
}

/// The client has gone before its request was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Carries a request through whose head was received. `statement` has room
/// for the longest inspection, `buffer` for [`crate::REPLY_BUFFER`] bytes.
/// Gives whether the connection lives on.
///
/// # Errors
/// [`Gone`].
pub fn serve(
    head: &Head<'_>,
    host: &mut impl Host,
    statement: &mut [u8],
    buffer: &mut [u8],
) -> Result<bool, Gone> {
    let random = host.random();
    let who = host.who();
    let mut exchange = Exchange::begin(head, random, who, &host.view());
    let mut inspection: &[u8] = &[];
    let mut statement = Some(statement);
    // What of the buffer was not taken yet.
    let mut received = 0..0;
    loop {
        match exchange.need(&host.view()) {
            Need::Continue => host.send(CONTINUE),
            Need::Body => {
                if received.is_empty() {
                    received = 0..host.receive(buffer);
                }
                if received.is_empty() {
                    return Err(Gone);
                }
                let rest = buffer.get(received.clone()).unwrap_or_default();
                received.start += exchange.push(rest, &host.view());
            }
            Need::Store {
                slot,
                part,
                offset,
                bytes,
            } => match host.store(slot, part, offset, bytes) {
                true => exchange.stored(),
                false => exchange.storage_failed(),
            },
            Need::Work => exchange.work(),
            Need::Command(command) => match host.command(command) {
                Some(answer) => exchange.answered(answer, &host.view()),
                None => exchange.not_durable(),
            },
            Need::Statement { slot, length } => {
                let room = statement.take().unwrap_or_default();
                match host.inspection(slot, length, room) {
                    Some(length) => {
                        inspection = room.get(..length).unwrap_or_default();
                        exchange.read();
                    }
                    None => exchange.storage_failed(),
                }
            }
            Need::Send => {
                let length = exchange.reply(&host.view(), inspection, buffer);
                host.send(buffer.get(..length).unwrap_or_default());
            }
            Need::Done { keep_alive } => return Ok(keep_alive),
        }
    }
}
