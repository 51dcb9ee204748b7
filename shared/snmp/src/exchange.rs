//! One request and its answer.

use core::fmt;

use crate::message::{self, ErrorStatus, MAX_COMMUNITY, Request};
use crate::value::{Answer, Value};

/// An agent, and how it is asked. Times are in milliseconds.
#[derive(Clone, Copy)]
pub struct Config<'a> {
    /// The community, up to [`MAX_COMMUNITY`] bytes.
    pub community: &'a str,
    /// How long to wait for the answer to each datagram.
    pub answer_ms: u32,
    /// How many datagrams are sent at most, at least one. Of a request that must not
    /// be repeated one is sent.
    pub attempts: u8,
}

impl Default for Config<'_> {
    /// The community `public`; three datagrams, two seconds each.
    fn default() -> Self {
        Self {
            community: "public",
            answer_ms: 2_000,
            attempts: 3,
        }
    }
}

impl fmt::Debug for Config<'_> {
    /// Without the community, which is a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("answer_ms", &self.answer_ms)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No answer came. An agent says nothing to a wrong community.
    Timeout,
    /// The agent refuses the request.
    Refused(ErrorStatus),
    /// There is no such object or instance.
    NoSuchObject,
    /// There is no object behind the name of a GETNEXT.
    EndOfView,
    /// The name of a GETNEXT's answer is not behind the one that was asked for.
    NotIncreasing,
    /// The community is longer than [`MAX_COMMUNITY`].
    Community,
    /// The buffer has less than [`MAX_DATAGRAM`](crate::MAX_DATAGRAM) bytes.
    BufferTooSmall,
    /// The owner gave up.
    GivenUp,
}

/// The end of an exchange without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Failure {
    /// Why.
    pub kind: FailureKind,
    /// Whether a SET was sent whose end is unknown: it may have been carried out.
    pub open: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            FailureKind::Timeout => "the agent does not answer, or refuses the community",
            FailureKind::Refused(status) => status.text(),
            FailureKind::NoSuchObject => "there is no such object",
            FailureKind::EndOfView => "there are no more objects",
            FailureKind::NotIncreasing => "the agent's objects are out of order",
            FailureKind::Community => "the community is too long",
            FailureKind::BufferTooSmall => "the datagram does not fit its buffer",
            FailureKind::GivenUp => "given up",
        })?;
        match self.open {
            true => f.write_str("; the object may have been set"),
            false => Ok(()),
        }
    }
}

/// One request and its answer, by datagrams and the time. See the crate's
/// documentation.
pub struct Exchange<'a> {
    community: &'a str,
    answer_ms: u32,
    request: Request,
    id: i32,
    /// Datagrams that may still be sent.
    left: u8,
    sent: bool,
    /// The last datagram's answer is awaited until then; a datagram is due where
    /// it is over.
    until: u64,
    ignored: u16,
    end: Option<Result<Answer, FailureKind>>,
}

impl fmt::Debug for Exchange<'_> {
    /// Without the community.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("request", &self.request)
            .field("left", &self.left)
            .field("ignored", &self.ignored)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

impl<'a> Exchange<'a> {
    /// Begins an exchange at `now`, in milliseconds of any clock that does not go
    /// back. `id` must be unpredictable; its sign is dropped.
    #[must_use]
    pub fn new(config: &Config<'a>, request: Request, id: i32, now: u64) -> Self {
        let attempts = match request {
            Request::Set { repeat: false, .. } => 1,
            Request::Get(_) | Request::GetNext(_) | Request::Set { .. } => config.attempts.max(1),
        };
        let too_long = config.community.len() > MAX_COMMUNITY;
        Self {
            community: config.community,
            answer_ms: config.answer_ms,
            request,
            id: id & i32::MAX,
            left: attempts,
            sent: false,
            until: now,
            ignored: 0,
            end: too_long.then_some(Err(FailureKind::Community)),
        }
    }

    /// Writes the datagram that is due at `now` into `buffer`, which needs
    /// [`MAX_DATAGRAM`](crate::MAX_DATAGRAM) bytes, and returns its length; 0 if
    /// none is due.
    pub fn output(&mut self, now: u64, buffer: &mut [u8]) -> usize {
        if self.end.is_some() || now < self.until || self.left == 0 {
            return 0;
        }
        let Some(length) = self.request.encode(self.community, self.id, buffer) else {
            self.end = Some(Err(FailureKind::BufferTooSmall));
            return 0;
        };
        self.left -= 1;
        self.sent = true;
        self.until = now.saturating_add(self.answer_ms.into());
        length
    }

    /// Takes a datagram from the agent's address and port. Returns whether it was
    /// the answer.
    pub fn input(&mut self, datagram: &[u8]) -> bool {
        if self.end.is_some() || !self.sent {
            return false;
        }
        let response = message::decode(datagram, self.community, self.id);
        let end = response.and_then(|response| self.judge(response));
        match end {
            None => self.ignored = self.ignored.saturating_add(1),
            Some(_) => self.end = end,
        }
        end.is_some()
    }

    /// What a response means; `None` if it is of another object.
    fn judge(&self, response: Result<Answer, ErrorStatus>) -> Option<Result<Answer, FailureKind>> {
        let answer = match response {
            Err(status) => return Some(Err(FailureKind::Refused(status))),
            Ok(answer) => answer,
        };
        let asked = self.request.name();
        let is_next = matches!(self.request, Request::GetNext(_));
        Some(match answer.value {
            Value::EndOfView if is_next => Err(FailureKind::EndOfView),
            _ if is_next && answer.name <= *asked => Err(FailureKind::NotIncreasing),
            _ if !is_next && answer.name != *asked => return None,
            Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfView => {
                Err(FailureKind::NoSuchObject)
            }
            Value::Integer(_)
            | Value::Unsigned(_)
            | Value::Counter(_)
            | Value::Octets(_)
            | Value::Name(_)
            | Value::Address(_)
            | Value::Null => Ok(answer),
        })
    }

    /// The time is `now`: ends the exchange where no answer came in time.
    pub fn tick(&mut self, now: u64) {
        if self.end.is_none() && self.left == 0 && now >= self.until {
            self.end = Some(Err(FailureKind::Timeout));
        }
    }

    /// Returns when [`Self::output`] or [`Self::tick`] is due, in milliseconds of
    /// the owner's clock.
    #[must_use]
    pub const fn deadline(&self) -> u64 {
        self.until
    }

    /// Returns the number of datagrams that were not the answer.
    #[must_use]
    pub const fn ignored(&self) -> u16 {
        self.ignored
    }

    /// Gives up.
    pub fn abort(&mut self) {
        if self.end.is_none() {
            self.end = Some(Err(FailureKind::GivenUp));
        }
    }

    /// Returns the end, once there is one.
    #[must_use]
    pub fn end(&self) -> Option<Result<Answer, Failure>> {
        let sets = self.sent && matches!(self.request, Request::Set { .. });
        Some(self.end?.map_err(|kind| Failure {
            kind,
            open: sets
                && matches!(
                    kind,
                    FailureKind::Timeout
                        | FailureKind::GivenUp
                        | FailureKind::Refused(ErrorStatus::UndoFailed)
                ),
        }))
    }
}
