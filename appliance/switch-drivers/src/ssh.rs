//! NETCONF over SSH (RFC 6242): a driver behind the channel of an SSH session.
//!
//! The protocol is the crate `sunset`'s, IO-less. Keys are exchanged by
//! curve25519-sha256; the host key is ed25519, and is the pinned one or the
//! session ends before anything is sent that belongs to the user; ciphers are
//! chacha20-poly1305 and aes256-ctr with hmac-sha2-256. A switch that has RSA host
//! keys only, or asks for passwords by keyboard-interactive only, can't be reached.

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use farrier_core::Instant;
use farrier_core::interface::{
    HostKey, Learned, OperationError, String, SwitchLogin, SwitchSecret,
};
use sha2::{Digest, Sha256};
use sunset::{
    ChanData, ChanHandle, CliEvent, Client, Error, Event, PubKey, Runner, SignKey, ed25519_dalek,
};

use crate::driver::{Driver, MIN_OUT, SwitchDriver};
use crate::limits::HANDSHAKE_MILLIS;
use crate::report::{Order, Report, Seen};

/// Bytes of a packet's buffer: the longest packet that a server sends in a key
/// exchange fits, and what the client's window admits.
const PACKET: usize = 2000;
/// Bytes that are passed on at once.
const PIECE: usize = 256;
/// Most events between two looks at the connection. Whatever a peer sends, one
/// call ends.
const EVENTS: usize = 64;

/// Memory of a session.
pub struct SshBuffers {
    input: [u8; PACKET],
    output: [u8; PACKET],
    /// What the driver says, and the channel has not taken.
    staged: [u8; MIN_OUT],
}

impl core::fmt::Debug for SshBuffers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SshBuffers").finish_non_exhaustive()
    }
}

impl SshBuffers {
    /// Empty buffers, for a `static`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            input: [0; PACKET],
            output: [0; PACKET],
            staged: [0; MIN_OUT],
        }
    }
}

impl Default for SshBuffers {
    fn default() -> Self {
        Self::new()
    }
}

/// Carries out one operation over a TCP connection that was just opened, as
/// [`SwitchDriver`] does over its stream.
pub struct SshDriver<'a> {
    runner: Runner<'a, Client>,
    login: &'a SwitchLogin,
    driver: SwitchDriver,
    staged: &'a mut [u8; MIN_OUT],
    /// Where what is staged begins and ends.
    unsent: (usize, usize),
    channel: Option<ChanHandle>,
    open: bool,
    /// The user's password or key was offered: a second time would be no better.
    offered: bool,
    open_until: Instant,
    host_key: Option<HostKey>,
    end: Option<Report>,
}

impl core::fmt::Debug for SshDriver<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SshDriver").finish_non_exhaustive()
    }
}

/// What is done when an event is answered, since the event borrows the session.
enum Next {
    /// There may be more events.
    More,
    /// There are none now.
    Wait,
    OpenChannel,
    Opened,
    Fail(OperationError),
}

impl<'a> SshDriver<'a> {
    /// Begins an operation, as [`SwitchDriver::new`] does.
    ///
    /// # Errors
    /// As there.
    pub fn new(
        now: Instant,
        deadline: Instant,
        order: &Order<'_>,
        login: &'a SwitchLogin,
        buffers: &'a mut SshBuffers,
    ) -> Result<Self, OperationError> {
        let driver = SwitchDriver::new(now, deadline, order)?;
        Ok(Self {
            runner: Runner::new_client(&mut buffers.input, &mut buffers.output),
            login,
            open_until: driver.until().min(now.plus_millis(HANDSHAKE_MILLIS)),
            driver,
            staged: &mut buffers.staged,
            unsent: (0, 0),
            channel: None,
            open: false,
            offered: false,
            host_key: None,
            end: None,
        })
    }

    /// The switch's host key, where it is not the pinned one.
    #[must_use]
    pub const fn host_key(&self) -> Option<HostKey> {
        self.host_key
    }

    /// Ends the operation. Where the driver has begun, it knows how far it came.
    fn fail(&mut self, error: OperationError) {
        if self.report().is_some() {
            return;
        }
        match self.open {
            true => self.driver.closed(),
            false => {
                self.end = Some(Report {
                    result: Err(error),
                    port: Seen::Unread,
                    link: None,
                    learned: Learned::Unknown,
                });
            }
        }
    }

    /// Answers events and carries bytes between channel and driver, until nothing
    /// moves.
    fn pump(&mut self, now: Instant) {
        for _ in 0..EVENTS {
            if self.report().is_some() {
                return;
            }
            let next = match self.event() {
                Ok(next) => next,
                Err(error) => Next::Fail(unusable(&error)),
            };
            match next {
                Next::More => {}
                Next::Wait => match self.carry(now) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => self.fail(unusable(&error)),
                },
                Next::OpenChannel => match self.runner.open_client_session() {
                    Ok(channel) => self.channel = Some(channel),
                    Err(error) => self.fail(unusable(&error)),
                },
                Next::Opened => {
                    self.open = true;
                    self.driver.opened(now);
                }
                Next::Fail(error) => self.fail(error),
            }
        }
    }

    fn event(&mut self) -> Result<Next, Error> {
        let event = match self.runner.progress()? {
            Event::Cli(event) => event,
            Event::Progressed => return Ok(Next::More),
            Event::None => return Ok(Next::Wait),
            Event::Serv(_) => return Ok(Next::Fail(OperationError::Unsupported)),
        };
        match event {
            // At each exchange of keys anew.
            CliEvent::Hostkey(check) => {
                let key = match check.hostkey()? {
                    PubKey::Ed25519(key) => host_key(&key.key.0),
                    PubKey::Unknown(_) => return Ok(Next::Fail(OperationError::Unsupported)),
                };
                if self.login.host_key != Some(key) {
                    self.host_key = Some(key);
                    // Nothing is sent to it any more.
                    return Ok(Next::Fail(OperationError::HostKey));
                }
                check.accept()?;
            }
            CliEvent::Username(request) => request.username(&self.login.user)?,
            CliEvent::Password(request) => match &self.login.secret {
                SwitchSecret::Password(password) if !self.offered => {
                    self.offered = true;
                    request.password(password)?;
                }
                SwitchSecret::Password(_) | SwitchSecret::Key(_) => {
                    return Ok(Next::Fail(OperationError::Login));
                }
            },
            CliEvent::Pubkey(request) => match &self.login.secret {
                SwitchSecret::Key(seed) if !self.offered => {
                    self.offered = true;
                    let key = ed25519_dalek::SigningKey::from_bytes(seed);
                    request.pubkey(SignKey::Ed25519(key))?;
                }
                SwitchSecret::Key(_) => return Ok(Next::Fail(OperationError::Login)),
                SwitchSecret::Password(_) => request.skip()?,
            },
            // No agent has keys of ours.
            CliEvent::AgentSign(request) => request.skip()?,
            CliEvent::Authenticated => return Ok(Next::OpenChannel),
            CliEvent::SessionOpened(mut opener) => {
                opener.subsystem("netconf")?;
                return Ok(Next::Opened);
            }
            CliEvent::Banner(_) | CliEvent::PollAgain => {}
            CliEvent::SessionExit(_) | CliEvent::Defunct => {
                return Ok(Next::Fail(OperationError::Unreachable));
            }
        }
        Ok(Next::More)
    }

    /// Carries bytes between channel and driver. Returns whether any moved.
    fn carry(&mut self, now: Instant) -> Result<bool, Error> {
        let Some(channel) = self.channel.as_ref().filter(|_| self.open) else {
            return Ok(false);
        };
        let mut moved = false;
        if self.runner.read_channel_ready().is_some() {
            let mut piece = [0; PIECE];
            let (length, kind) = self.runner.read_channel_either(channel, &mut piece)?;
            moved |= length > 0;
            // What a server complains about beside the protocol is left out.
            if let (ChanData::Normal, Some(mut bytes)) = (kind, piece.get(..length)) {
                self.driver.receive(now, &mut bytes);
                debug_assert!(bytes.is_empty(), "NETCONF takes all of it");
            }
        }
        if self.unsent.0 == self.unsent.1 {
            self.unsent = (0, self.driver.send(now, self.staged));
        }
        let (from, to) = self.unsent;
        if let Some(bytes @ [_, ..]) = self.staged.get(from..to) {
            let taken = self
                .runner
                .write_channel(channel, ChanData::Normal, bytes)?;
            self.unsent.0 += taken;
            moved |= taken > 0;
        }
        if !moved && self.runner.is_channel_closed(channel) {
            return Err(Error::ChannelEOF);
        }
        Ok(moved)
    }
}

impl Driver for SshDriver<'_> {
    fn report(&self) -> Option<Report> {
        self.end.or_else(|| self.driver.report())
    }

    fn wake_at(&self) -> Instant {
        match self.open {
            true => self.driver.wake_at(),
            false => self.open_until,
        }
    }

    fn send(&mut self, now: Instant, out: &mut [u8]) -> usize {
        self.pump(now);
        if self.report().is_some() {
            return 0;
        }
        let waiting = self.runner.output_buf();
        let length = waiting.len().min(out.len());
        if let (Some(room), Some(bytes)) = (out.get_mut(..length), waiting.get(..length)) {
            room.copy_from_slice(bytes);
        }
        self.runner.consume_output(length);
        length
    }

    fn receive(&mut self, now: Instant, input: &mut &[u8]) {
        loop {
            if self.report().is_some() {
                *input = &[];
                return;
            }
            match self.runner.input(input) {
                Ok(taken) => {
                    *input = input.get(taken..).unwrap_or_default();
                    self.pump(now);
                    if taken == 0 || input.is_empty() {
                        return;
                    }
                }
                Err(error) => self.fail(unusable(&error)),
            }
        }
    }

    fn closed(&mut self) {
        self.fail(OperationError::Unreachable);
    }

    fn tick(&mut self, now: Instant) {
        match self.open {
            true => self.driver.tick(now),
            false if now >= self.open_until => self.fail(OperationError::Unreachable),
            false => {}
        }
    }
}

/// What a server is that the session fails with.
const fn unusable(error: &Error) -> OperationError {
    match error {
        Error::NoAuthMethods => OperationError::Login,
        Error::ChannelEOF | Error::SessionEOF => OperationError::Unreachable,
        _ => OperationError::Unsupported,
    }
}

/// What an ed25519 host key is pinned by.
#[must_use]
pub fn host_key(key: &[u8; 32]) -> HostKey {
    let hash = Sha256::new()
        .chain_update(b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20")
        .chain_update(key)
        .finalize();
    HostKey(hash.into())
}

/// A host key as `ssh-keygen -l` prints it: `SHA256:` and its hash in base64.
#[must_use]
pub fn fingerprint(key: &HostKey) -> String<50> {
    let mut digits = [0; 43];
    let written = BASE64_STANDARD_NO_PAD.encode_slice(key.0, &mut digits);
    debug_assert_eq!(written, Ok(43), "32 bytes");
    let mut text = String::new();
    // 7 and 43 bytes fit.
    let _fits = text.push_str("SHA256:");
    let _fits = text.push_str(core::str::from_utf8(&digits).unwrap_or(""));
    text
}
