//! The serial console, from the BMC's end (chapter 15).

use farrier_ipmi::console::{Payload, number_after};
use farrier_ipmi::packet::PayloadType;

use crate::{Bmc, Machine};

/// Characters in a payload at the most.
const CHUNK: usize = 200;

/// Pause before a payload is repeated, in milliseconds, and how often it is.
const PAUSE_MS: u64 = 500;
const TRIES: u32 = 8;

/// A console that a session has.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    pub session: u32,
    number: u8,
    /// Characters on their way.
    in_flight: Option<Vec<u8>>,
    tries: u32,
    due_ms: u64,
    heard: u8,
    heard_len: u8,
    heard_status: u8,
    /// Characters were given up since the last payload that came through.
    overrun: bool,
}

impl Console {
    pub const fn new(session: u32) -> Self {
        Self {
            session,
            number: 0,
            in_flight: None,
            tries: 0,
            due_ms: 0,
            heard: 0,
            heard_len: 0,
            heard_status: 0,
            overrun: false,
        }
    }
}

impl<M: Machine> Bmc<M> {
    /// Takes a payload of the console.
    pub(crate) fn take_console(&mut self, session: u32, payload: Payload<'_>) {
        let Some(mut console) = self.console.take_if(|console| console.session == session) else {
            return;
        };
        if console.in_flight.is_some() && payload.acknowledged == console.number {
            let sent = console.in_flight.take().unwrap_or_default();
            console.overrun = false;
            let taken = usize::from(payload.accepted).min(sent.len());
            if payload.flags & 0x40 != 0 && taken < sent.len() {
                // The rest goes with a number of its own, a little later.
                console.number = number_after(console.number);
                console.in_flight = Some(sent[taken..].to_vec());
                console.tries = 0;
                console.due_ms = self.now_ms + PAUSE_MS;
            }
        }
        if payload.number != 0 && !self.faults.deaf_console.strikes() {
            self.take_characters(&mut console, &payload);
            let answer = Payload {
                number: 0,
                acknowledged: console.heard,
                accepted: console.heard_len,
                flags: console.heard_status,
                data: &[],
            };
            let mut out = [0; 8];
            let len = answer.emit(&mut out).unwrap_or(0);
            self.send_of_session(session, PayloadType::Sol, &out[..len]);
        }
        self.console = Some(console);
    }

    fn take_characters(&mut self, console: &mut Console, payload: &Payload<'_>) {
        if payload.number == console.heard {
            return;
        }
        console.heard = payload.number;
        console.heard_len = 0;
        console.heard_status = 0;
        if !self.machine.is_on() {
            // Characters have nowhere to go.
            console.heard_status = 0x60;
            return;
        }
        if payload.flags & 0x10 != 0 {
            self.machine.console_break();
        }
        let room = usize::from(self.config.console_payload)
            .saturating_sub(4)
            .min(255);
        let data = &payload.data[..payload.data.len().min(room)];
        let taken = self.machine.console_input(data);
        console.heard_len = u8::try_from(taken).unwrap_or(u8::MAX);
        if taken < payload.data.len() {
            console.heard_status = 0x40;
        }
    }

    /// Sends what the machine has written, and repeats what nobody acknowledges.
    pub(crate) fn poll_console(&mut self) {
        let Some(mut console) = self.console.take() else {
            // No session listens to the serial port.
            let mut lost = [0; CHUNK];
            for _ in 0..100 {
                if self.machine.console_output(&mut lost) == 0 {
                    break;
                }
            }
            return;
        };
        if console.in_flight.is_none() {
            let mut buffer = [0; CHUNK];
            let len = self.machine.console_output(&mut buffer);
            if len > 0 {
                console.number = number_after(console.number);
                console.in_flight = Some(buffer[..len].to_vec());
                console.tries = 0;
                console.due_ms = self.now_ms;
            }
        }
        if console.in_flight.is_some() && self.now_ms >= console.due_ms {
            if console.tries >= TRIES {
                console.in_flight = None;
                console.overrun = true;
            } else {
                console.tries += 1;
                console.due_ms = self.now_ms + PAUSE_MS;
                let payload = Payload {
                    number: console.number,
                    acknowledged: 0,
                    accepted: 0,
                    flags: if console.overrun { 8 } else { 0 },
                    data: console.in_flight.as_deref().unwrap_or_default(),
                };
                let mut out = [0; CHUNK + 4];
                let len = payload.emit(&mut out).unwrap_or(0);
                self.send_of_session(console.session, PayloadType::Sol, &out[..len]);
            }
        }
        self.console = Some(console);
    }

    /// Tells a session that the console is no longer its own.
    pub(crate) fn end_console(&mut self) {
        if let Some(console) = self.console.take() {
            self.send_of_session(console.session, PayloadType::Sol, &[0, 0, 0, 0x10]);
        }
    }
}
