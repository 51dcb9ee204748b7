//! The sending end of a read transfer, sans-IO. The caller has the sockets, the
//! files, the transfer ids (ports) and the access rules. Times are milliseconds of
//! a monotonic clock.
//!
//! A client without an answer repeats its request from the same port. The caller
//! ignores the repetition while the port has a transfer: the timeout repeats the
//! lost packet.

use crate::wire::{DEFAULT_BLKSIZE, Error, ErrorCode, ErrorReply, Mode, Options, Packet, Request};

/// The limits of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest block in bytes. 1468 fills an Ethernet frame (1500 − 32).
    pub max_blksize: u16,
    /// Largest window in blocks, 1 or more.
    pub max_window: u16,
    /// First retransmission timeout, 1 ms or more. A client's `timeout` option
    /// replaces it.
    pub timeout_ms: u32,
    /// The timeout doubles up to this; a larger `timeout` option is declined.
    pub max_timeout_ms: u32,
    /// Number of retransmissions without progress before the transfer fails.
    pub max_retries: u8,
    /// Longest duration of the whole transfer.
    pub deadline_ms: u32,
    /// Least rate of acknowledged bytes, in bytes a second; 0 is none.
    pub least_rate: u32,
    /// How long a client may acknowledge nothing new. Bytes buy time at the least
    /// rate, and never more than this.
    pub pause_ms: u32,
    /// Shortest time between two DATA packets. Some drivers lose packets or hang
    /// when a window arrives at wire speed.
    pub gap_ms: u16,
}

impl Default for Limits {
    /// 1468 bytes, 8 blocks, 1 s doubling to 8 s, 6 retries, 10 minutes, 2 KiB a
    /// second with pauses of 45 s, no gap.
    fn default() -> Self {
        Self {
            max_blksize: 1468,
            max_window: 8,
            timeout_ms: 1_000,
            max_timeout_ms: 8_000,
            max_retries: 6,
            deadline_ms: 600_000,
            least_rate: 2_048,
            pause_ms: 45_000,
            gap_ms: 0,
        }
    }
}

/// The next action of the caller, from [`Transfer::poll`]. The packet counts as sent;
/// if the caller can't send it, the timeout repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send what [`Transfer::emit_oack`] writes, then poll again.
    SendOack,
    /// Send the DATA packet with this block number
    /// ([`crate::wire::emit_data_header`]) and the `len` bytes of the file at
    /// `offset`, then poll again. `len` may be 0.
    SendData {
        /// Block number of the packet.
        block: u16,
        /// Offset in the file.
        offset: u64,
        /// Number of bytes, at most [`Transfer::blksize`].
        len: usize,
    },
    /// Nothing to do before this time, or until a packet is processed.
    Wait(u64),
    /// The transfer is over. Later polls return the same.
    Done(Outcome),
}

/// The result of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The client acknowledged all bytes.
    Complete,
    /// The client requested only the size: it answered an OACK with `tsize` with
    /// ERROR 8 (EDK II) or 0 (PXE ROMs, Raspberry Pi). The transfer did not fail;
    /// the client sends its request from another port.
    Probe,
    /// The client sent an ERROR with this code.
    Peer(ErrorCode),
    /// Too many retransmissions without progress.
    TimedOut,
    /// [`Limits::deadline_ms`] has passed.
    Deadline,
    /// The client was below [`Limits::least_rate`].
    Slow,
    /// [`Transfer::abort`] was called.
    Aborted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The OACK is not sent or not acknowledged yet.
    Oack {
        sent: bool,
    },
    Data,
    Over(Outcome),
}

/// A read transfer. Blocks are counted from 1 in 64 bits; the wire has the
/// lower 16, so numbers roll over to 0 past 65535.
#[derive(Debug, Clone)]
pub struct Transfer {
    file_len: u64,
    /// Number of the last block, which is shorter than the others or empty.
    last: u64,
    /// All blocks up to this one are acknowledged.
    acked: u64,
    /// The next block to send; at most one past the window.
    next: u64,
    /// The highest sent block: an ACK of a higher one is invalid.
    highest: u64,
    resend_at: u64,
    gap_until: u64,
    deadline: u64,
    /// When the next bytes must be acknowledged, for those up to `paced`.
    pace_until: u64,
    paced: u64,
    least_rate: u32,
    pause_ms: u32,
    timeout_ms: u32,
    base_timeout_ms: u32,
    max_timeout_ms: u32,
    gap_ms: u16,
    blksize: u16,
    window: u16,
    retries: u8,
    max_retries: u8,
    /// Number of windows to complete before a repeated ACK counts again.
    repeat_guard: u8,
    phase: Phase,
    /// The options of the OACK.
    granted: Options,
}

impl Transfer {
    /// Starts a transfer of a file of `file_len` bytes at time `now`.
    ///
    /// # Errors
    /// The ERROR that answers a request of another mode than octet.
    pub fn new(
        now: u64,
        request: &Request<'_>,
        file_len: u64,
        limits: &Limits,
    ) -> Result<Self, ErrorReply> {
        if request.mode != Mode::Octet {
            return Err(ErrorReply::OCTET_ONLY);
        }
        let asked = request.options;
        let timeout_ms = |seconds: u8| u32::from(seconds) * 1_000;
        let granted = Options {
            blksize: asked.blksize.map(|size| size.min(limits.max_blksize)),
            tsize: asked.tsize.map(|_| file_len),
            timeout: asked
                .timeout
                .filter(|secs| timeout_ms(*secs) <= limits.max_timeout_ms),
            windowsize: asked.windowsize.map(|size| size.min(limits.max_window)),
        };
        let blksize = granted.blksize.unwrap_or(DEFAULT_BLKSIZE).max(1);
        let base_timeout_ms = granted.timeout.map_or(limits.timeout_ms, timeout_ms).max(1);
        Ok(Self {
            file_len,
            last: file_len / u64::from(blksize) + 1,
            acked: 0,
            next: 1,
            highest: 0,
            resend_at: 0,
            gap_until: now,
            deadline: now.saturating_add(u64::from(limits.deadline_ms)),
            pace_until: match limits.least_rate {
                0 => u64::MAX,
                _ => now.saturating_add(u64::from(limits.pause_ms)),
            },
            paced: 0,
            least_rate: limits.least_rate,
            pause_ms: limits.pause_ms,
            timeout_ms: base_timeout_ms,
            base_timeout_ms,
            max_timeout_ms: limits.max_timeout_ms.max(base_timeout_ms),
            gap_ms: limits.gap_ms,
            blksize,
            window: granted.windowsize.unwrap_or(1).max(1),
            retries: 0,
            max_retries: limits.max_retries,
            repeat_guard: 0,
            phase: if granted.is_empty() {
                Phase::Data
            } else {
                Phase::Oack { sent: false }
            },
            granted,
        })
    }

    /// Returns the next action at the time `now`. Call it again after every action but
    /// [`Action::Wait`] and [`Action::Done`].
    pub fn poll(&mut self, now: u64) -> Action {
        if let Phase::Over(outcome) = self.phase {
            return Action::Done(outcome);
        }
        if now >= self.deadline {
            return self.finish(Outcome::Deadline);
        }
        self.keep_pace(now);
        if now >= self.pace_until {
            return self.finish(Outcome::Slow);
        }
        if let Phase::Oack { sent } = self.phase {
            if sent && now < self.resend_at {
                return self.wait(self.resend_at);
            }
            if sent && !self.retry() {
                return self.finish(Outcome::TimedOut);
            }
            self.phase = Phase::Oack { sent: true };
            self.resend_at = now.saturating_add(u64::from(self.timeout_ms));
            return Action::SendOack;
        }
        if self.next > self.window_end() {
            if now < self.resend_at {
                return self.wait(self.resend_at);
            }
            if !self.retry() {
                return self.finish(Outcome::TimedOut);
            }
            self.go_back();
        }
        if now < self.gap_until {
            return self.wait(self.gap_until);
        }
        let block = self.next;
        self.next += 1;
        self.highest = self.highest.max(block);
        self.resend_at = now.saturating_add(u64::from(self.timeout_ms));
        self.gap_until = now.saturating_add(u64::from(self.gap_ms));
        let offset = (block - 1) * u64::from(self.blksize);
        let len = u64::from(self.blksize).min(self.file_len.saturating_sub(offset));
        Action::SendData {
            block: block as u16,
            offset,
            len: len as usize,
        }
    }

    /// Processes a packet of the transfer's peer: same address, same ports (the
    /// transfer id). Ignores other packets than ACK and ERROR.
    pub fn process(&mut self, packet: &[u8]) {
        if matches!(self.phase, Phase::Over(_)) {
            return;
        }
        match Packet::parse(packet) {
            Ok(Packet::Ack { block }) => self.process_ack(block),
            Ok(Packet::Error { code, .. }) => {
                let probe = matches!(code, ErrorCode::OPTION_NEGOTIATION | ErrorCode::NOT_DEFINED)
                    && self.granted.tsize.is_some()
                    && self.acked == 0;
                self.phase = Phase::Over(if probe {
                    Outcome::Probe
                } else {
                    Outcome::Peer(code)
                });
            }
            _ => {}
        }
    }

    /// Aborts the transfer, for instance after a read error of the file. The caller
    /// may send an [`ErrorReply`].
    pub fn abort(&mut self) {
        if !matches!(self.phase, Phase::Over(_)) {
            self.phase = Phase::Over(Outcome::Aborted);
        }
    }

    /// Writes the OACK with the granted options. Returns its length, at most 64
    /// bytes.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn emit_oack(&self, buf: &mut [u8]) -> Result<usize, Error> {
        Packet::Oack(self.granted).emit(buf)
    }

    /// Returns the block size in bytes.
    #[must_use]
    pub const fn blksize(&self) -> u16 {
        self.blksize
    }

    /// Returns the window in blocks.
    #[must_use]
    pub const fn window(&self) -> u16 {
        self.window
    }

    /// Returns the number of acknowledged bytes.
    #[must_use]
    pub fn acked_len(&self) -> u64 {
        self.file_len.min(self.acked * u64::from(self.blksize))
    }

    /// Returns the result once the transfer ended.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        match self.phase {
            Phase::Over(outcome) => Some(outcome),
            _ => None,
        }
    }

    fn process_ack(&mut self, block: u16) {
        if let Phase::Oack { sent } = self.phase {
            if sent && block == 0 {
                self.phase = Phase::Data;
                self.progress();
            }
            return;
        }
        let ahead = u64::from(block.wrapping_sub(self.acked as u16));
        if ahead == 0 {
            self.process_repeated_ack();
            return;
        }
        // An ACK of an unsent block, or of an earlier window.
        if ahead > self.highest - self.acked {
            return;
        }
        self.acked += ahead;
        self.progress();
        if self.acked == self.last {
            self.phase = Phase::Over(Outcome::Complete);
        } else if self.acked + 1 < self.next {
            // Inside the window: the client misses the block after it and
            // drops the rest (RFC 7440 §4).
            self.go_back();
        } else {
            self.next = self.acked + 1;
            self.repeat_guard = self.repeat_guard.saturating_sub(1);
        }
    }

    /// Handles a repetition of the last ACK. In lock step the server ignores it,
    /// because a late packet would double every later one (RFC 1123 §4.2.3.1, the
    /// Sorcerer's Apprentice Syndrome). In a window it can mean that the first
    /// block of the window was lost, and the timeout would cost a second. The
    /// server sends the window again, but not a second time before a whole window
    /// is complete: some clients acknowledge repeated blocks twice.
    fn process_repeated_ack(&mut self) {
        if self.window > 1 && self.repeat_guard == 0 && self.next > self.acked + 1 {
            self.go_back();
        }
    }

    fn progress(&mut self) {
        self.retries = 0;
        self.timeout_ms = self.base_timeout_ms;
    }

    fn go_back(&mut self) {
        self.next = self.acked + 1;
        self.repeat_guard = 2;
    }

    /// Counts a retransmission and doubles the timeout. Returns false if the limit
    /// is reached.
    fn retry(&mut self) -> bool {
        if self.retries >= self.max_retries {
            return false;
        }
        self.retries += 1;
        self.timeout_ms = self.timeout_ms.saturating_mul(2).min(self.max_timeout_ms);
        true
    }

    fn window_end(&self) -> u64 {
        self.last.min(self.acked + u64::from(self.window))
    }

    fn wait(&self, until: u64) -> Action {
        Action::Wait(until.min(self.deadline).min(self.pace_until))
    }

    /// Buys time with the bytes that were acknowledged since the last poll.
    fn keep_pace(&mut self, now: u64) {
        let acked = self.acked_len();
        if self.least_rate == 0 || acked == self.paced {
            return;
        }
        let bought = (acked - self.paced).saturating_mul(1_000) / u64::from(self.least_rate);
        let most = now.saturating_add(u64::from(self.pause_ms));
        self.pace_until = self.pace_until.saturating_add(bought).min(most);
        self.paced = acked;
    }

    fn finish(&mut self, outcome: Outcome) -> Action {
        self.phase = Phase::Over(outcome);
        Action::Done(outcome)
    }
}
