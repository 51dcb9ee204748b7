//! The receiving end of a read transfer, sans-IO, for test rigs and boot loaders.
//! The caller has the sockets, the transfer ids (ports) and the file. Times are
//! milliseconds of a monotonic clock.

use crate::wire::{DEFAULT_BLKSIZE, Error, ErrorCode, Options, Packet, Request};

/// The next action of the caller, from [`Download::poll`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send the first `len` bytes of the buffer, then poll again. The destination is
    /// port 69 until the server answers, then the port of the answer.
    Send(usize),
    /// Nothing to do before this time, or until a packet is processed.
    Wait(u64),
    /// The transfer is over and nothing is left to send.
    Done(Outcome),
}

/// The result of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All bytes were received.
    Complete,
    /// The server sent an ERROR with this code.
    Peer(ErrorCode),
    /// The server granted options that the client did not request. The client
    /// answered with ERROR 8.
    Negotiation,
    /// Too many retransmissions without progress.
    TimedOut,
}

/// Times and counts of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Time without an expected packet after which the client repeats its last one.
    /// It must exceed the server's first timeout, or both repeat at once.
    pub timeout_ms: u32,
    /// Number of repetitions without progress before the transfer fails.
    pub max_retries: u8,
    /// Time for which the client acknowledges a repeated last block (RFC 1350 §6).
    pub dally_ms: u32,
}

impl Default for Config {
    /// 1.5 s, 8 repetitions, no dallying.
    fn default() -> Self {
        Self {
            timeout_ms: 1_500,
            max_retries: 8,
            dally_ms: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The request was sent; OACK, DATA 1 or ERROR follows.
    Asking,
    Receiving,
    /// The last block was received; its ACK can be repeated.
    Dallying {
        until: u64,
    },
    Over(Outcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pending {
    Nothing,
    Request,
    Ack,
    Refusal,
}

/// A read transfer.
#[derive(Debug, Clone)]
pub struct Download<'a> {
    request: Request<'a>,
    config: Config,
    phase: Phase,
    pending: Pending,
    /// Blocks received in sequence.
    received: u64,
    /// Of them, those behind the last ACK.
    unacked: u16,
    /// A gap has been reported and not been filled yet.
    gap_reported: bool,
    repeat_at: u64,
    retries: u8,
    blksize: u16,
    window: u16,
    file_len: Option<u64>,
}

impl<'a> Download<'a> {
    /// Creates a transfer of the file in `request`. It starts at the first poll.
    #[must_use]
    pub const fn new(request: Request<'a>, config: Config) -> Self {
        Self {
            request,
            config,
            phase: Phase::Asking,
            pending: Pending::Request,
            received: 0,
            unacked: 0,
            gap_reported: false,
            repeat_at: 0,
            retries: 0,
            blksize: DEFAULT_BLKSIZE,
            window: 1,
            file_len: None,
        }
    }

    /// Returns the next action at the time `now` and writes a packet to send into
    /// `buf`. Call it again after every [`Action::Send`].
    ///
    /// # Errors
    /// [`Error::NoRoom`] when `buf` is too short for the packet (a request
    /// takes its name and about 80 bytes, others 32), [`Error::BadName`].
    pub fn poll(&mut self, now: u64, buf: &mut [u8]) -> Result<Action, Error> {
        if self.pending == Pending::Nothing {
            match self.phase {
                Phase::Over(outcome) => return Ok(Action::Done(outcome)),
                Phase::Dallying { until } if now < until => return Ok(Action::Wait(until)),
                Phase::Dallying { .. } => return Ok(self.finish(Outcome::Complete)),
                _ if now < self.repeat_at => return Ok(Action::Wait(self.repeat_at)),
                _ if self.retries >= self.config.max_retries => {
                    return Ok(self.finish(Outcome::TimedOut));
                }
                Phase::Asking => self.pending = Pending::Request,
                Phase::Receiving => self.pending = Pending::Ack,
            }
            self.retries += 1;
            self.gap_reported = false;
        }
        let packet = match self.pending {
            Pending::Refusal => Packet::Error {
                code: ErrorCode::OPTION_NEGOTIATION,
                message: b"options were not asked for",
            },
            Pending::Request => Packet::Rrq(self.request),
            Pending::Ack | Pending::Nothing => Packet::Ack {
                block: self.received as u16,
            },
        };
        let len = packet.emit(buf)?;
        self.pending = Pending::Nothing;
        self.unacked = 0;
        self.repeat_at = now.saturating_add(u64::from(self.config.timeout_ms));
        Ok(Action::Send(len))
    }

    /// Processes a packet from the server. Returns the next bytes of the file and
    /// their offset; each byte is returned once and in order.
    pub fn process<'p>(&mut self, now: u64, packet: &'p [u8]) -> Option<(u64, &'p [u8])> {
        match Packet::parse(packet).ok()? {
            Packet::Data { block, payload } => return self.process_data(now, block, payload),
            Packet::Oack(granted) => self.process_oack(now, granted),
            Packet::Error { code, .. }
                if matches!(self.phase, Phase::Asking | Phase::Receiving) =>
            {
                self.pending = Pending::Nothing;
                self.phase = Phase::Over(Outcome::Peer(code));
            }
            _ => {}
        }
        None
    }

    /// Returns the file's length, if the server sent it (`tsize`).
    #[must_use]
    pub const fn file_len(&self) -> Option<u64> {
        self.file_len
    }

    /// Returns the result once the transfer ended. It does not end while it dallies.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        match self.phase {
            Phase::Over(outcome) => Some(outcome),
            _ => None,
        }
    }

    fn process_oack(&mut self, now: u64, granted: Options) {
        if self.phase == Phase::Receiving && self.received == 0 {
            // The ACK of the OACK was lost.
            self.pending = Pending::Ack;
        }
        if self.phase != Phase::Asking {
            return;
        }
        let asked = self.request.options;
        // A server can lower block size and window, but not raise them.
        let lowered = |asked: Option<u16>, granted: Option<u16>| {
            granted.is_none_or(|granted| asked.is_some_and(|asked| granted <= asked))
        };
        if !lowered(asked.blksize, granted.blksize)
            || !lowered(asked.windowsize, granted.windowsize)
        {
            self.pending = Pending::Refusal;
            self.phase = Phase::Over(Outcome::Negotiation);
            return;
        }
        self.blksize = granted.blksize.unwrap_or(DEFAULT_BLKSIZE);
        self.window = granted.windowsize.unwrap_or(1);
        self.file_len = granted.tsize;
        self.progress(now, Phase::Receiving);
        self.pending = Pending::Ack;
    }

    fn process_data<'p>(
        &mut self,
        now: u64,
        block: u16,
        payload: &'p [u8],
    ) -> Option<(u64, &'p [u8])> {
        if let Phase::Dallying { .. } = self.phase {
            self.pending = Pending::Ack;
        }
        if !matches!(self.phase, Phase::Asking | Phase::Receiving) {
            return None;
        }
        if block != (self.received + 1) as u16 || payload.len() > usize::from(self.blksize) {
            // One ACK for each gap: it names the last block in sequence, and the
            // server continues behind it (RFC 7440 §4). In lock step such a
            // block is a repetition because its ACK was lost.
            if self.phase == Phase::Receiving && !self.gap_reported {
                self.gap_reported = self.window > 1;
                self.pending = Pending::Ack;
            }
            return None;
        }
        let offset = self.received * u64::from(self.blksize);
        self.received += 1;
        self.unacked = self.unacked.saturating_add(1);
        self.gap_reported = false;
        self.progress(now, Phase::Receiving);
        if payload.len() < usize::from(self.blksize) {
            let until = now.saturating_add(u64::from(self.config.dally_ms));
            self.phase = Phase::Dallying { until };
            self.pending = Pending::Ack;
        } else if self.unacked >= self.window {
            self.pending = Pending::Ack;
        }
        Some((offset, payload))
    }

    fn progress(&mut self, now: u64, phase: Phase) {
        self.phase = phase;
        self.pending = Pending::Nothing;
        self.retries = 0;
        self.repeat_at = now.saturating_add(u64::from(self.config.timeout_ms));
    }

    fn finish(&mut self, outcome: Outcome) -> Action {
        self.phase = Phase::Over(outcome);
        Action::Done(outcome)
    }
}
