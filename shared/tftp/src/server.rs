//! One read transfer, seen from the server: what to send next, and until when
//! to wait. Sockets, files, transfer ids (ports) and who may read what are the
//! caller's; so is time, in milliseconds of any clock that only goes forward.
//!
//! A client that got no answer repeats its request from the same port. While
//! that port has a transfer the repetition belongs to it, and needs nothing:
//! the timeout repeats what was lost.

use crate::wire::{DEFAULT_BLKSIZE, Error, ErrorCode, ErrorReply, Mode, Options, Packet, Request};

/// What a server grants to a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest block in bytes. 1468 fills an Ethernet frame (1500 − 32).
    pub max_blksize: u16,
    /// Largest window in blocks, 1 or more.
    pub max_window: u16,
    /// First retransmission timeout, 1 ms or more. A client's `timeout` option
    /// takes its place.
    pub timeout_ms: u32,
    /// The timeout doubles up to this; a larger `timeout` option is declined.
    pub max_timeout_ms: u32,
    /// Retransmissions without progress before the transfer is given up.
    pub max_retries: u8,
    /// The whole transfer's time; nothing keeps a slot for longer.
    pub deadline_ms: u32,
    /// Least time between two DATA packets: some drivers lose packets, or
    /// hang, when a window comes at wire speed.
    pub gap_ms: u16,
}

impl Default for Limits {
    /// 1468 bytes, 8 blocks, 1 s doubling to 8 s, 6 retries, 10 minutes, no
    /// gap.
    fn default() -> Self {
        Self {
            max_blksize: 1468,
            max_window: 8,
            timeout_ms: 1_000,
            max_timeout_ms: 8_000,
            max_retries: 6,
            deadline_ms: 600_000,
            gap_ms: 0,
        }
    }
}

/// What [`Transfer::poll`] asks for. A packet that is asked for counts as
/// sent: if it was not, the timeout repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send what [`Transfer::emit_oack`] writes, then poll again.
    SendOack,
    /// Send the DATA packet with this block number
    /// ([`crate::wire::emit_data_header`]) and the `len` bytes of the file at
    /// `offset`, then poll again. `len` may be 0.
    SendData {
        /// Number for the packet.
        block: u16,
        /// Where in the file.
        offset: u64,
        /// How many bytes, at most [`Transfer::blksize`].
        len: usize,
    },
    /// Nothing to do before this time, or until a packet is processed.
    Wait(u64),
    /// The transfer is over. So is every later poll.
    Done(Outcome),
}

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every byte was acknowledged.
    Complete,
    /// The client wanted the size only: it answered an OACK that holds `tsize`
    /// with ERROR 8 (EDK II) or 0 (PXE ROMs, Raspberry Pi). Not a failure; the
    /// real request follows from another port.
    Probe,
    /// The client sent an ERROR with this code.
    Peer(ErrorCode),
    /// Too many retransmissions without progress.
    TimedOut,
    /// [`Limits::deadline_ms`] has passed.
    Deadline,
    /// [`Transfer::abort`] was called.
    Aborted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// An OACK is to be sent, or sent and not yet acknowledged.
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
    /// Number of the last block; it is shorter than the others, even empty.
    last: u64,
    /// All blocks up to this one are acknowledged.
    acked: u64,
    /// The next block to send; at most one past the window.
    next: u64,
    /// The highest block ever sent: an ACK can name no higher one.
    highest: u64,
    resend_at: u64,
    gap_until: u64,
    deadline: u64,
    timeout_ms: u32,
    base_timeout_ms: u32,
    max_timeout_ms: u32,
    gap_ms: u16,
    blksize: u16,
    window: u16,
    retries: u8,
    max_retries: u8,
    /// Windows to complete before a repeated ACK is believed again.
    repeat_guard: u8,
    phase: Phase,
    /// What the OACK holds.
    granted: Options,
}

impl Transfer {
    /// Starts a transfer of a file of `file_len` bytes at time `now`.
    ///
    /// # Errors
    /// The ERROR to answer a request with that is not for octet mode.
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

    /// What to do at time `now`. Call it again after every action but
    /// [`Action::Wait`] and [`Action::Done`].
    pub fn poll(&mut self, now: u64) -> Action {
        if let Phase::Over(outcome) = self.phase {
            return Action::Done(outcome);
        }
        if now >= self.deadline {
            return self.finish(Outcome::Deadline);
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

    /// Takes a packet from the transfer's peer: same address, same ports (the
    /// transfer id). Anything that is no ACK or ERROR is passed over.
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

    /// Ends the transfer from this side, such as when the file cannot be read.
    /// The caller sends an [`ErrorReply`] if it likes.
    pub fn abort(&mut self) {
        if !matches!(self.phase, Phase::Over(_)) {
            self.phase = Phase::Over(Outcome::Aborted);
        }
    }

    /// Writes the OACK: the options that were asked for and granted. Gives its
    /// length, 64 bytes at most.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn emit_oack(&self, buf: &mut [u8]) -> Result<usize, Error> {
        Packet::Oack(self.granted).emit(buf)
    }

    /// The block size in use, bytes.
    #[must_use]
    pub const fn blksize(&self) -> u16 {
        self.blksize
    }

    /// The window in use, blocks.
    #[must_use]
    pub const fn window(&self) -> u16 {
        self.window
    }

    /// Bytes that the client has acknowledged.
    #[must_use]
    pub fn acked_len(&self) -> u64 {
        self.file_len.min(self.acked * u64::from(self.blksize))
    }

    /// The end, once there is one.
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
        // An ACK of what was never sent, or one from a window ago.
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

    /// The last ACK again. In lock step it is never answered, or one late
    /// packet would double every later one (RFC 1123 §4.2.3.1, the Sorcerer's
    /// Apprentice). In a window it can mean that the window's first block was
    /// lost, and waiting for the timeout would cost a second; so it is
    /// believed, but not again until a whole window has passed in between:
    /// blocks sent twice make some clients acknowledge twice.
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

    /// Counts a retransmission and lengthens the timeout; false when there
    /// have been enough.
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
        Action::Wait(until.min(self.deadline))
    }

    fn finish(&mut self, outcome: Outcome) -> Action {
        self.phase = Phase::Over(outcome);
        Action::Done(outcome)
    }
}
