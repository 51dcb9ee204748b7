//! The serial console (Serial over LAN, chapter 15): payloads with numbers,
//! acknowledgements and repetitions, from the console's end. A payload at a time
//! is on its way in each direction.

#[cfg(test)]
mod tests;

/// Characters on their way to the BMC at the most.
pub const CHUNK: usize = 64;

/// Length of a payload's header, in bytes.
pub const HEADER_LEN: usize = 4;

/// How often a payload is sent before the session counts as lost: about 28 s.
const TRIES: u8 = 10;

/// How often a BMC may refuse characters before they are dropped.
const REFUSALS: u8 = 30;

/// Pause before a payload is repeated for the first time, in milliseconds. Each one
/// is twice the one before, up to [`LONGEST_PAUSE_MS`].
const FIRST_PAUSE_MS: u64 = 300;
const LONGEST_PAUSE_MS: u64 = 4000;

/// Pause after a refusal, in milliseconds.
const REFUSAL_PAUSE_MS: u64 = 500;

/// Bits of the fourth byte of a payload to the BMC (15.9).
mod operation {
    pub const BREAK: u8 = 0x10;
}

/// Bits of the fourth byte of a payload of the BMC (15.9).
mod status {
    pub const NACK: u8 = 0x40;
    pub const UNAVAILABLE: u8 = 0x20;
    pub const DEACTIVATED: u8 = 0x10;
    pub const OVERRUN: u8 = 8;
    pub const BREAK: u8 = 4;
}

/// What the console has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleEvent<'a> {
    /// Characters of the machine.
    Data {
        /// The characters.
        bytes: &'a [u8],
        /// Some before these were lost in the BMC.
        overrun: bool,
        /// The machine has sent a break before them.
        brk: bool,
    },
    /// The BMC can't bring characters to the machine for now, as when it is off.
    Unavailable,
    /// The console is no longer this session's.
    Deactivated,
}

/// A payload that came (15.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payload<'a> {
    /// Its number, 1 to 15; 0 for one that only acknowledges.
    pub number: u8,
    /// Number of the payload that it acknowledges; 0 for none.
    pub acknowledged: u8,
    /// How many characters of that were taken.
    pub accepted: u8,
    /// Operation or status.
    pub flags: u8,
    /// The characters.
    pub data: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Reads a payload; `None` where it is too short.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (head, data) = payload.split_first_chunk::<HEADER_LEN>()?;
        let [number, acknowledged, accepted, flags] = *head;
        Some(Self {
            number: number & 0x0f,
            acknowledged: acknowledged & 0x0f,
            accepted,
            flags,
            data,
        })
    }

    /// Writes the payload, and returns its length; `None` where it does not fit.
    #[must_use]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let head = [self.number, self.acknowledged, self.accepted, self.flags];
        let mut out = crate::packet::Out::new(out);
        out.put(&head).put(self.data).end()
    }
}

/// The number behind this one: 1 behind 15.
#[must_use]
pub const fn number_after(number: u8) -> u8 {
    number % 15 + 1
}

/// What became of [`Link::poll`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// A payload of this length is to be sent.
    Send(usize),
    /// Nothing; see [`Link::due`].
    Nothing,
    /// The BMC does not acknowledge.
    Lost,
}

/// The console's end of a link.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    active: bool,
    /// Characters that the BMC takes at a time.
    room: u8,
    chunk: [u8; CHUNK],
    len: u8,
    break_wanted: bool,
    /// Number of the last payload to the BMC.
    number: u8,
    /// Characters of the payload on its way; `None` where there is none.
    in_flight: Option<u8>,
    in_flight_break: bool,
    tries: u8,
    refusals: u8,
    due_ms: u64,
    /// Number of the last payload of the BMC, and how many of its characters were
    /// taken.
    heard: u8,
    heard_len: u8,
    acknowledge: bool,
    /// Number of the newest packet of the session that was taken. What comes behind
    /// it and is older was sent before, and repeated since.
    newest: u32,
    /// Characters for the machine that were dropped.
    pub dropped: u32,
}

impl Link {
    pub const fn new() -> Self {
        Self {
            active: false,
            room: 0,
            chunk: [0; CHUNK],
            len: 0,
            break_wanted: false,
            number: 0,
            in_flight: None,
            in_flight_break: false,
            tries: 0,
            refusals: 0,
            due_ms: 0,
            heard: 0,
            heard_len: 0,
            acknowledge: false,
            newest: 0,
            dropped: 0,
        }
    }

    pub const fn is_active(&self) -> bool {
        self.active
    }

    /// Begins; `limit` is the longest payload that the BMC takes, and `sequence` the
    /// number of the packet that has said so.
    pub fn activate(&mut self, limit: u16, sequence: u32) {
        let room = usize::from(limit)
            .saturating_sub(HEADER_LEN)
            .clamp(1, CHUNK);
        *self = Self {
            active: true,
            room: u8::try_from(room).unwrap_or(1),
            newest: sequence,
            dropped: self.dropped,
            ..Self::new()
        };
    }

    /// Whether a payload is one of this console and the newest; `sequence` is the
    /// number of its packet.
    pub const fn is_newest(&mut self, sequence: u32) -> bool {
        let is_newer = sequence.wrapping_sub(self.newest) < 1 << 31;
        if is_newer {
            self.newest = sequence;
        }
        is_newer
    }

    /// Ends. What is not acknowledged is dropped.
    pub fn deactivate(&mut self) {
        *self = Self {
            dropped: self.dropped.saturating_add(self.len.into()),
            ..Self::new()
        };
    }

    /// Takes characters for the machine, and returns how many.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        if !self.active {
            return 0;
        }
        let free = self.chunk.get_mut(usize::from(self.len)..);
        let free = free.unwrap_or_default();
        let taken = free.len().min(bytes.len());
        for (place, byte) in free.iter_mut().zip(bytes) {
            *place = *byte;
        }
        self.len = self.len.saturating_add(u8::try_from(taken).unwrap_or(0));
        taken
    }

    pub fn send_break(&mut self) -> bool {
        self.break_wanted |= self.active;
        self.active
    }

    /// Whether all characters have reached the BMC.
    pub const fn is_idle(&self) -> bool {
        self.len == 0 && !self.break_wanted && self.in_flight.is_none()
    }

    /// Writes the payload that is due into `out`.
    pub fn poll(&mut self, now_ms: u64, out: &mut [u8]) -> Due {
        if !self.active {
            return Due::Nothing;
        }
        let waits = now_ms < self.due_ms;
        match self.in_flight {
            Some(_) if !waits && self.tries >= TRIES => return Due::Lost,
            Some(_) if !waits => return self.send(now_ms, out),
            None if !waits && (self.len > 0 || self.break_wanted) => {
                self.number = number_after(self.number);
                self.in_flight_break = self.break_wanted;
                // A break comes before the characters behind it, in a payload of
                // its own.
                self.in_flight = Some(match self.break_wanted {
                    true => 0,
                    false => self.len.min(self.room),
                });
                self.tries = 0;
                return self.send(now_ms, out);
            }
            _ => {}
        }
        if self.acknowledge {
            return self.emit(0, 0, &[], out);
        }
        Due::Nothing
    }

    /// When [`Self::poll`] has something to do.
    pub const fn due(&self) -> Option<u64> {
        match (self.active, self.acknowledge) {
            (false, _) => None,
            (true, true) => Some(0),
            (true, false) if self.is_idle() => None,
            (true, false) => Some(self.due_ms),
        }
    }

    fn send(&mut self, now_ms: u64, out: &mut [u8]) -> Due {
        let pause = (FIRST_PAUSE_MS << self.tries.min(10)).min(LONGEST_PAUSE_MS);
        self.tries += 1;
        self.due_ms = now_ms.saturating_add(pause);
        let chunk = self.chunk;
        let len = usize::from(self.in_flight.unwrap_or(0));
        let flags = match self.in_flight_break {
            true => operation::BREAK,
            false => 0,
        };
        self.emit(
            self.number,
            flags,
            chunk.get(..len).unwrap_or_default(),
            out,
        )
    }

    fn emit(&mut self, number: u8, flags: u8, data: &[u8], out: &mut [u8]) -> Due {
        let (acknowledged, accepted) = match core::mem::take(&mut self.acknowledge) {
            true => (self.heard, self.heard_len),
            false => (0, 0),
        };
        let payload = Payload {
            number,
            acknowledged,
            accepted,
            flags,
            data,
        };
        payload.emit(out).map_or(Due::Nothing, Due::Send)
    }

    /// Takes a payload of the BMC. Returns what it says to the owner, and whether
    /// it ends the console.
    pub fn receive<'a>(
        &mut self,
        payload: Payload<'a>,
        now_ms: u64,
    ) -> (Option<ConsoleEvent<'a>>, bool) {
        self.acknowledged(&payload, now_ms);
        let flags = payload.flags;
        let new = self.new_characters(&payload);
        let overrun = flags & status::OVERRUN != 0;
        let brk = flags & status::BREAK != 0;
        let ended = flags & status::DEACTIVATED != 0;
        let event = match new {
            [] if flags & status::UNAVAILABLE != 0 => Some(ConsoleEvent::Unavailable),
            [] if !overrun && !brk => None,
            bytes => Some(ConsoleEvent::Data {
                bytes,
                overrun,
                brk,
            }),
        };
        (event, ended)
    }

    fn new_characters<'a>(&mut self, payload: &Payload<'a>) -> &'a [u8] {
        let number = payload.number;
        if number == 0 {
            return &[];
        }
        // A repetition may have more characters than it had at first.
        let known = match number == self.heard {
            true => usize::from(self.heard_len).min(payload.data.len()),
            false => 0,
        };
        // A payload has 255 characters at the most: more can't be acknowledged.
        let data = payload.data.get(..255).unwrap_or(payload.data);
        self.heard = number;
        self.heard_len = u8::try_from(data.len()).unwrap_or(u8::MAX);
        self.acknowledge = true;
        data.get(known..).unwrap_or_default()
    }

    fn acknowledged(&mut self, payload: &Payload<'_>, now_ms: u64) {
        let Some(sent) = self.in_flight else {
            return;
        };
        if payload.acknowledged == 0 || payload.acknowledged != self.number {
            return;
        }
        let refused = payload.flags & status::NACK != 0;
        let taken = payload.accepted.min(sent);
        let end = usize::from(taken);
        self.chunk.copy_within(end.min(CHUNK).., 0);
        self.len = self.len.saturating_sub(taken);
        self.in_flight = None;
        self.due_ms = now_ms;
        // The rest gets a number of its own: at once, or in a moment where the BMC
        // wants no more for now.
        let is_stuck = taken == 0 && sent > 0;
        if refused || is_stuck {
            self.due_ms = now_ms.saturating_add(REFUSAL_PAUSE_MS);
        } else {
            self.break_wanted &= !self.in_flight_break;
        }
        self.refusals = match is_stuck || refused && taken == 0 {
            true => self.refusals + 1,
            false => 0,
        };
        if self.refusals >= REFUSALS {
            self.refusals = 0;
            self.dropped = self.dropped.saturating_add(self.len.into());
            self.len = 0;
            self.break_wanted = false;
        }
        self.in_flight_break = false;
    }
}
