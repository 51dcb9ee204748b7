//! What became of an operation, and what it read.

use core::fmt;

use crate::http::HttpError;
use crate::kinds::{
    BootEnabled, BootMode, BootTarget, BootTargets, Health, PowerState, ResetTypes, SecureBootMode,
};
use crate::link::LinkError;
use crate::operation::Step;
use crate::request::AttributeValue;
use crate::text::Text;

/// A boot override as the BMC shows it. What is absent, or unknown here, is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BootState {
    /// How long it holds.
    pub enabled: Option<BootEnabled>,
    /// Where to boot from.
    pub target: Option<BootTarget>,
    /// The firmware interface.
    pub mode: Option<BootMode>,
    /// Whether the system has `HttpBootUri`.
    pub has_http_uri: bool,
    /// FNV-1a of 64 bits of `HttpBootUri`; `None` where that is null, empty or
    /// absent.
    pub http_uri: Option<u64>,
}

/// A system as the BMC shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemState {
    /// The power; `None` where the BMC does not say it, or in words of its own.
    pub power: Option<PowerState>,
    /// The boot override.
    pub boot: BootState,
    /// The UUID as its text has it.
    pub uuid: Option<[u8; 16]>,
    /// The health, of all parts where the BMC says that.
    pub health: Option<Health>,
    /// Resets that are allowed; empty where the system does not say. Those of an
    /// `ActionInfo` are read by a reset alone.
    pub resets: ResetTypes,
    /// Boot targets that are allowed; empty where the BMC does not say.
    pub boot_targets: BootTargets,
}

impl Default for SystemState {
    fn default() -> Self {
        Self {
            power: None,
            boot: BootState::default(),
            uuid: None,
            health: None,
            resets: ResetTypes::empty(),
            boot_targets: BootTargets::empty(),
        }
    }
}

/// Longest name of a sensor, in bytes; longer ones are cut.
pub const MAX_SENSOR: usize = 40;

/// A sensor's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sensor {
    /// The name, or the path's device.
    pub name: Text<MAX_SENSOR>,
    /// What it measures.
    pub kind: SensorKind,
    /// Thousandths of a degree Celsius, or of a fan's unit (revolutions a minute
    /// or percent); `None` where there is no reading now.
    pub reading: Option<i32>,
    /// The reading above which it is critical, in the same unit.
    pub critical: Option<i32>,
    /// The health.
    pub health: Option<Health>,
}

/// What a sensor measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SensorKind {
    /// A temperature.
    Temperature,
    /// A fan's speed.
    Fan,
}

/// Is shown rows as they arrive. An operation that repeats a request, or fails
/// after it showed rows, shows rows more than once, or in vain.
pub trait Visitor {
    /// Takes a sensor.
    fn sensor(&mut self, sensor: &Sensor) {
        let _ = sensor;
    }

    /// Takes a BIOS attribute; text beyond 128 bytes is cut. Attributes whose name
    /// has more than 64 bytes, or that are null, are not shown.
    fn attribute(&mut self, name: &str, value: AttributeValue<'_>) {
        let _ = (name, value);
    }
}

/// Drops all rows.
impl Visitor for () {}

/// The state of Secure Boot; `None` where the BMC does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SecureBootState {
    /// Whether the next boot has it.
    pub enabled: Option<bool>,
    /// Whether the present boot has it.
    pub current: Option<bool>,
    /// The mode of the keys.
    pub mode: Option<SecureBootMode>,
}

/// The end of an operation that did what was asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// The system, as it was read last. Of a boot override: it reads back.
    System(SystemState),
    /// The BMC accepted the reset; of its task, too. The state before it.
    Reset(SystemState),
    /// All rows were shown.
    Sensors {
        /// So many.
        rows: u16,
        /// The worst health of the chassis, its thermal subsystem and the sensors;
        /// `None` where none is shown.
        health: Option<Health>,
    },
    /// The image is in the drive, or in none; nothing was to be done if `false`.
    Media(bool),
    /// All attributes were shown: so many.
    Bios(u16),
    /// The attributes are pending, or the defaults are: the next boot has them.
    BiosPending,
    /// The state of Secure Boot. Of a change: it reads back.
    SecureBoot(SecureBootState),
    /// No session is open.
    SessionClosed,
}

/// Why an operation failed. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FailureKind {
    /// The connection could not be opened, or was closed in the middle of an
    /// answer.
    Closed = 0,
    /// No answer within [`Settings::answer_ms`](crate::Settings::answer_ms).
    Timeout = 1,
    /// The whole operation takes longer than
    /// [`Settings::total_ms`](crate::Settings::total_ms).
    TooSlow = 2,
    /// The answer is not HTTP.
    Http(HttpError) = 3,
    /// The answer is not JSON, or not all of it.
    Json(farrier_json::Error) = 4,
    /// An answer has no document where it needs one.
    NoDocument = 5,
    /// A link can't be followed.
    Link(LinkError) = 6,
    /// A redirection of a request that changes something, or the fourth in a row.
    Redirect = 7,
    /// The BMC does not accept the credentials, or a new session either.
    Unauthorized = 8,
    /// The BMC refuses the request: [`Failure::status`], [`Failure::message`].
    Refused = 9,
    /// The status is a success, but there is an error in the body.
    ErrorInside = 10,
    /// The resource lacks what was asked for: see [`Failure::step`].
    Unsupported = 11,
    /// The BMC allows other values; [`Operation::system`](crate::Operation::system)
    /// has them.
    NotAllowed = 12,
    /// No system fits.
    NoSystem = 13,
    /// More than one system; none was chosen.
    Ambiguous = 14,
    /// The resource changes faster than it can be changed: the ETag was wrong
    /// three times.
    Conflict = 15,
    /// The task ended without success.
    Task = 16,
    /// The task is unknown to the BMC, so its end is too.
    TaskLost = 17,
    /// The BMC accepted the change, and the resource has not got it after
    /// [`Settings::settle_ms`](crate::Settings::settle_ms).
    NotApplied = 18,
    /// No virtual drive for CDs is free.
    NoMedia = 19,
    /// Name and password are too long, or the name has a colon; a path or host has
    /// bytes that would end a line.
    Credentials = 20,
    /// The owner gave up.
    GivenUp = 21,
}

/// Longest message of a failure, in bytes; longer ones are cut.
pub const MAX_MESSAGE: usize = 96;

/// The end of an operation that did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure<'o> {
    /// Why.
    pub kind: FailureKind,
    /// At which step.
    pub step: Step,
    /// Whether a change was sent whose end is unknown: it may have happened, or
    /// may still. Read before anything else.
    pub open: bool,
    /// The status of that step's answer; 0 without one.
    pub status: u16,
    /// The `MessageId` of the BMC's error; empty without one.
    pub message_id: &'o str,
    /// Its text, cut to [`MAX_MESSAGE`] bytes.
    pub message: &'o str,
}

impl FailureKind {
    /// Returns a short text for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Closed => "the BMC closed the connection or refused it",
            Self::Timeout => "the BMC does not answer in time",
            Self::TooSlow => "the operation takes too long",
            Self::Http(error) => error.text(),
            Self::Json(error) => error.text(),
            Self::NoDocument => "the answer is empty",
            Self::Link(LinkError::TooLong) => "a link is too long",
            Self::Link(LinkError::Malformed) => "a link is malformed",
            Self::Link(LinkError::Elsewhere) => "a link leads to another host",
            Self::Redirect => "the BMC redirects a request that is not redirected",
            Self::Unauthorized => "the BMC refuses the credentials",
            Self::Refused => "the BMC refuses the request",
            Self::ErrorInside => "the BMC says success and an error",
            Self::Unsupported => "the BMC has no such resource or action",
            Self::NotAllowed => "the BMC does not allow this value",
            Self::NoSystem => "no system fits",
            Self::Ambiguous => "the BMC has several systems; name one",
            Self::Conflict => "the resource changes while it is changed",
            Self::Task => "the BMC's task failed",
            Self::TaskLost => "the BMC forgot the task",
            Self::NotApplied => "the BMC accepted the change and did not apply it",
            Self::NoMedia => "no virtual drive is free",
            Self::Credentials => "name or password can't be sent",
            Self::GivenUp => "given up",
        }
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}", self.kind.text(), self.step)?;
        if self.status != 0 {
            write!(f, ", status {}", self.status)?;
        }
        if !self.message_id.is_empty() {
            write!(f, ", {}", self.message_id)?;
        }
        f.write_str(")")?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        match self.open {
            true => f.write_str("; the change may have happened"),
            false => Ok(()),
        }
    }
}
