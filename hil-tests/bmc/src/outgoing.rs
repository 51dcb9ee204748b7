//! What the BMC sends, and what its faults do to it on the way.

use std::net::SocketAddr;

use crate::faults::Faults;

/// A datagram of the BMC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Whom it is for.
    pub to: SocketAddr,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Datagrams on their way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outgoing {
    /// With the time of each.
    queue: Vec<(u64, Datagram)>,
}

impl Outgoing {
    /// Sends a datagram, with the faults of its way.
    pub fn send(&mut self, now_ms: u64, to: SocketAddr, mut bytes: Vec<u8>, faults: &mut Faults) {
        if faults.silent || faults.lose_out.strikes() {
            return;
        }
        if faults.truncate.strikes() {
            bytes.truncate(bytes.len() / 2);
        }
        if faults.corrupt.strikes() {
            // In the authentication code, where there is one.
            let at = bytes.len().saturating_sub(3);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x10;
            }
        }
        let mut at_ms = now_ms + faults.delay_ms;
        if faults.reorder.strikes() {
            at_ms += 500;
        }
        let datagram = Datagram { to, bytes };
        if faults.replay.strikes() {
            self.queue.push((at_ms, datagram.clone()));
            self.queue.push((at_ms + 1000, datagram.clone()));
        }
        self.queue.push((at_ms, datagram));
        self.queue.sort_by_key(|(at_ms, _)| *at_ms);
    }

    /// A datagram that is due.
    pub fn take(&mut self, now_ms: u64) -> Option<Datagram> {
        let (at_ms, _) = self.queue.first()?;
        (*at_ms <= now_ms).then(|| self.queue.remove(0).1)
    }

    pub fn due_ms(&self) -> Option<u64> {
        self.queue.first().map(|(at_ms, _)| *at_ms)
    }
}
