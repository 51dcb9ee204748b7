//! Wake-on-LAN: the magic packet, sent a few times. Nothing answers it, so the
//! machine's power stays unknown.

use farrier_core::Instant;
use farrier_core::interface::Mac;

use crate::ask::{Answer, Ask};
use crate::driver::{Output, Random};
use crate::flow::Flow;
use crate::limits::{OFF_PAUSE_MILLIS, WAKE_PACKETS, WAKE_PAUSE_MILLIS};
use crate::link::{Link, Turn};

/// The UDP port of magic packets: discard. Cards look at no port.
pub const WAKE_PORT: u16 = 9;

/// The EtherType of a magic packet that is a frame of its own.
pub const WAKE_ETHERTYPE: u16 = 0x0842;

/// Length of a magic packet, in bytes.
pub const WAKE_LEN: usize = 6 + 16 * 6;

/// Writes the magic packet for a card: 6 bytes of ones, and 16 times its address. It
/// is the payload of a datagram to [`WAKE_PORT`], or of a frame with
/// [`WAKE_ETHERTYPE`].
#[must_use]
pub fn magic_packet(mac: Mac) -> [u8; WAKE_LEN] {
    let mut packet = [0xff; WAKE_LEN];
    if let Some(places) = packet.get_mut(6..) {
        for (place, byte) in places.iter_mut().zip(mac.0.iter().cycle()) {
            *place = *byte;
        }
    }
    packet
}

/// Sends magic packets.
#[derive(Debug)]
pub struct Wake {
    mac: Mac,
    left: u8,
    due: Instant,
}

impl Wake {
    pub(crate) const fn new(mac: Mac) -> Self {
        Self {
            mac,
            left: 0,
            due: Instant::START,
        }
    }
}

impl Link for Wake {
    fn off_pause(&self) -> u64 {
        OFF_PAUSE_MILLIS
    }

    fn is_ready(&self) -> bool {
        self.left == 0
    }

    fn begin(&mut self, now: Instant, _: Ask, _: Random<'_>, _: &mut Flow) {
        self.left = WAKE_PACKETS;
        self.due = now;
    }

    fn poll(&mut self, now: Instant, out: &mut [u8], _: Random<'_>, flow: &mut Flow) -> Turn {
        if self.left == 0 || now < self.due {
            return Turn::Wait;
        }
        let packet = magic_packet(self.mac);
        self.left -= 1;
        self.due = now.plus_millis(WAKE_PAUSE_MILLIS);
        if self.left == 0 {
            flow.answer(now, Answer::Taken);
        }
        match out.get_mut(..packet.len()) {
            Some(place) => place.copy_from_slice(&packet),
            None => return Turn::Wait,
        }
        Turn::Output(Output::Datagram(packet.len()))
    }

    fn input(&mut self, _: Instant, _: &mut [u8], _: &mut Flow) {}

    fn abort(&mut self, _: Instant, _: &mut Flow) {
        self.left = 0;
    }

    fn close(&mut self, _: Instant) {}

    fn is_closed(&self) -> bool {
        true
    }

    fn wake_at(&self) -> Option<Instant> {
        (self.left > 0).then_some(self.due)
    }
}
