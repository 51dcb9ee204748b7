//! Carries a request through without waiting: for tests, rigs and simulators.
//! Whoever serves real clients has the same loop with waits in it.

use crate::{Exchange, Need, View};
use farrier_asset_store::SlotPart;
use farrier_core::interface::{Command, CommandError};
use farrier_http::{CONTINUE, Head};

/// What a request is carried through with.
pub trait Host {
    /// 32 fresh random bytes.
    fn random(&mut self) -> [u8; 32];
    /// The rack as it is now.
    fn view(&mut self) -> View<'_>;
    /// Gives a command to the rack; `None` where there was no answer.
    fn command(&mut self, command: Command<'_>) -> Option<Result<(), CommandError>>;
    /// Writes to the block device. Gives whether it did.
    fn store(&mut self, slot: usize, part: SlotPart, offset: u64, bytes: &[u8]) -> bool;
    /// Reads the inspection in a slot. Gives whether it did.
    fn inspection(&mut self, slot: usize, inspection: &mut [u8]) -> bool;
    /// Reads more of the request; `None` where there is no more.
    fn receive(&mut self) -> Option<&[u8]>;
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
    let mut exchange = Exchange::begin(head, random, &host.view());
    let mut inspection: &[u8] = &[];
    let mut statement = Some(statement);
    loop {
        match exchange.need(&host.view()) {
            Need::Continue => host.send(CONTINUE),
            Need::Body => {
                // Copied, so that the host can be asked for a view meanwhile.
                let received = host.receive().ok_or(Gone)?;
                let length = received.len().min(buffer.len());
                let (now, _) = buffer.split_at_mut(length);
                now.copy_from_slice(received.get(..length).ok_or(Gone)?);
                let mut at = 0;
                while at < length {
                    at += exchange.push(now.get(at..).unwrap_or_default(), &host.view());
                    match exchange.need(&host.view()) {
                        Need::Store {
                            slot,
                            part,
                            offset,
                            bytes,
                        } => match host.store(slot, part, offset, bytes) {
                            true => exchange.stored(),
                            false => exchange.storage_failed(),
                        },
                        Need::Body => {}
                        // What is left is the next request's.
                        _ => break,
                    }
                }
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
            Need::Command(command) => match host.command(command) {
                Some(answer) => exchange.answered(answer, &host.view()),
                None => exchange.not_durable(),
            },
            Need::Statement { slot, length } => {
                let room = statement.take().and_then(|room| room.get_mut(..length));
                let room = room.unwrap_or_default();
                if room.len() == length && host.inspection(slot, room) {
                    inspection = room;
                    exchange.read();
                } else {
                    exchange.storage_failed();
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
