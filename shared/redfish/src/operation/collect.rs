//! What is taken out of an answer while it arrives: links, states, rows and the
//! BMC's error. What they mean for the operation is decided at the answer's end.

use super::step::Resource;
use crate::bmc::{Bmc, Session};
use crate::http::{Answer, Field};
use crate::kinds::{Health, ResetTypes};
use crate::link::Path;
use crate::names::Name as N;
use crate::outcome::{
    BootState, MAX_MESSAGE, SecureBootState, Sensor, SensorKind, SystemState, Visitor,
};
use crate::request::Request;
use crate::text::Text;
use crate::tokens::{MAX_TEXT, Sink, Token, Value};

/// Longest ETag that is sent back, in bytes.
pub(super) const MAX_ETAG: usize = 72;

/// How a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TaskState {
    Running,
    Completed,
    Failed,
}

/// What an answer says.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) status: u16,
    /// In seconds; 0 without one.
    pub(super) retry_after_s: u16,
    /// `Location`, or the link that is wanted.
    pub(super) link: Path,
    /// The link that is taken without that one.
    pub(super) other: Path,
    /// Which of the other links that is.
    pub(super) other_rank: u8,
    /// Members of a collection.
    pub(super) members: u16,
    /// There is an error, whatever the status is.
    pub(super) error: bool,
    /// A message of the error says that there is none.
    pub(super) success: bool,
    pub(super) message_id: Text<60>,
    pub(super) message: Text<MAX_MESSAGE>,
    /// Rows that were shown, or attributes that are as wanted.
    pub(super) rows: u16,
    pub(super) task: Option<TaskState>,
    pub(super) media: Media,
    pub(super) secure_boot: SecureBootState,
    /// The worst that was shown of what can be hot.
    pub(super) health: Option<Health>,
    pub(super) sensor: Sensor,
    pub(super) resets: ResetTypes,
    /// What is read is of the wanted kind.
    pub(super) fits: bool,
    /// The message id, and the message, are those of a message of the error.
    has_id: bool,
    has_message: bool,
}

/// A virtual drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Media {
    /// It takes CDs.
    pub(super) cd: bool,
    pub(super) inserted: bool,
    /// The hash of the image's URI.
    pub(super) image: Option<u64>,
    /// It has the wanted action; else it is changed itself.
    pub(super) action: bool,
}

pub(super) const NO_SENSOR: Sensor = Sensor {
    name: Text::EMPTY,
    kind: SensorKind::Temperature,
    reading: None,
    critical: None,
    health: None,
};

impl Facts {
    pub(super) const NONE: Self = Self {
        status: 0,
        retry_after_s: 0,
        link: Text::EMPTY,
        other: Text::EMPTY,
        other_rank: 0,
        members: 0,
        error: false,
        success: false,
        message_id: Text::EMPTY,
        message: Text::EMPTY,
        rows: 0,
        task: None,
        media: Media {
            cd: false,
            inserted: false,
            image: None,
            action: false,
        },
        secure_boot: SecureBootState {
            enabled: None,
            current: None,
            mode: None,
        },
        health: None,
        sensor: NO_SENSOR,
        resets: ResetTypes::empty(),
        fits: false,
        has_id: false,
        has_message: false,
    };
}

/// Takes one answer.
pub(super) struct Collector<'c> {
    pub(super) resource: Resource,
    pub(super) request: &'c Request<'c>,
    /// Which member of a collection is wanted.
    pub(super) member: u16,
    pub(super) facts: &'c mut Facts,
    pub(super) etag: &'c mut Text<MAX_ETAG>,
    pub(super) system: &'c mut SystemState,
    pub(super) bmc: &'c mut Bmc,
    pub(super) visitor: &'c mut dyn Visitor,
}

impl Answer for Collector<'_> {
    fn head(&mut self, status: u16) {
        self.facts.status = status;
        if !(200..300).contains(&status) {
            self.resource = Resource::Nothing;
        }
        match self.resource {
            // The paths of these requests were here.
            Resource::Root => self.facts.link = Text::EMPTY,
            Resource::Session => self.facts.other = Text::EMPTY,
            // A value that is absent now must not be one of an earlier look.
            Resource::System => *self.system = SystemState::default(),
            Resource::BootSettings => self.system.boot = BootState::default(),
            _ => {}
        }
    }

    fn field(&mut self, field: Field, value: &Text<MAX_TEXT>) {
        match field {
            Field::Location => self.facts.link = shorten(value),
            Field::ETag if self.resource.has_etag() => self.keep_etag(value),
            Field::RetryAfter => {
                let seconds = value.as_str().trim().parse();
                self.facts.retry_after_s = seconds.unwrap_or(0).min(60);
            }
            Field::AuthToken if self.resource == Resource::Session => {
                self.bmc.session = Some(Session {
                    token: shorten(value),
                    path: Text::EMPTY,
                });
            }
            Field::ETag
            | Field::AuthToken
            | Field::Connection
            | Field::ContentEncoding
            | Field::ContentLength
            | Field::TransferEncoding
            | Field::Other => {}
        }
    }
}

/// The text in another size; blanks behind it are dropped.
pub(super) fn shorten<const A: usize, const B: usize>(text: &Text<A>) -> Text<B> {
    let mut new = Text::new(text.as_str().trim_end_matches([' ', '\t']));
    if text.is_cut() {
        new.mark_cut();
    }
    new
}

impl Sink for Collector<'_> {
    fn token(&mut self, token: Token<'_>) {
        if let [N::Error, rest @ ..] = token.path {
            self.error(rest, token.value);
            return;
        }
        if let ([N::Etag], Value::Str(text, _)) = (token.path, token.value)
            && self.resource.has_etag()
            && self.etag.is_empty()
        {
            self.keep_etag(text);
        }
        if let Value::Str(text, _) = token.value {
            self.links(token.path, text);
        }
        match self.resource {
            Resource::Root => self.vendor(&token),
            Resource::Collection if token.path == [N::Members, N::Item, N::Id] => {
                self.facts.members = self.facts.members.saturating_add(1);
            }
            Resource::System => self.system(token.path, token.value),
            Resource::BootSettings => self.boot(token.path, token.value),
            Resource::ActionInfo => self.action_info(token.path, token.value),
            Resource::Thermal | Resource::ThermalMetrics => self.thermal(token.path, token.value),
            Resource::Sensor => self.sensor(token.path, token.value),
            Resource::Media => self.media(token.path, token.value),
            Resource::Bios | Resource::BiosSettings => self.attribute(&token),
            Resource::SecureBoot => self.secure_boot(token.path, token.value),
            Resource::Accepted | Resource::Task => self.task(token.path, token.value),
            Resource::Chassis | Resource::ThermalSubsystem => {
                self.health(token.path, token.value);
            }
            Resource::Collection | Resource::Session | Resource::Manager | Resource::Nothing => {}
        }
    }
}

impl Collector<'_> {
    /// Keeps an ETag that can be sent back: whole, and without anything that would
    /// end its line.
    fn keep_etag(&mut self, text: &Text<MAX_TEXT>) {
        let etag: Text<MAX_ETAG> = shorten(text);
        let printable = etag
            .as_str()
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte));
        if printable && !etag.is_cut() {
            *self.etag = etag;
        }
    }

    /// Takes the first of each link that is wanted; of a collection, that of the
    /// wanted member.
    fn links(&mut self, path: &[N], text: &Text<MAX_TEXT>) {
        let facts = &mut *self.facts;
        let (link, other) = self.resource.links(self.request);
        if path == link && !link.is_empty() && facts.link.is_empty() {
            let is_wanted = self.resource != Resource::Collection || facts.members == self.member;
            if is_wanted {
                facts.link = shorten(text);
            }
        }
        let rank = other.iter().position(|other| *other == path);
        if let Some(rank) = rank.and_then(|rank| u8::try_from(rank).ok())
            && (facts.other.is_empty() || rank < facts.other_rank)
        {
            facts.other = shorten(text);
            facts.other_rank = rank;
        }
    }

    /// The BMC's error (DSP0266, "Error responses").
    fn error(&mut self, path: &[N], value: Value<'_>) {
        let facts = &mut *self.facts;
        match (path, value) {
            ([], Value::ObjectStart) => facts.error = true,
            (
                [N::Code] | [N::ExtendedInfo, N::Item, N::MessageId | N::MessageID],
                Value::Str(text, _),
            ) => {
                // The first message's id comes before the general code.
                let of_message = path.len() > 1;
                facts.success |= says_success(text.as_str());
                if of_message && !facts.has_id || facts.message_id.is_empty() {
                    facts.message_id = shorten(text);
                    facts.has_id |= of_message;
                }
            }
            ([N::MessageText], Value::Str(text, _)) if facts.message.is_empty() => {
                facts.message = shorten(text);
            }
            ([N::ExtendedInfo, N::Item, N::Message], Value::Str(text, _)) if !facts.has_message => {
                facts.message = shorten(text);
                facts.has_message = true;
            }
            ([N::ExtendedInfo, N::Item, N::Severity | N::MessageSeverity], Value::Str(text, _)) => {
                facts.success |= matches!(text.as_str(), "OK" | "Informational");
            }
            _ => {}
        }
    }
}

/// Whether a message id is one of those that stand in an error without being one.
fn says_success(id: &str) -> bool {
    let last = id.rsplit('.').next().unwrap_or(id);
    matches!(last, "Success" | "NoOperation" | "Created")
        || last.ends_with("ResetRequired")
        || last.ends_with("ResetInProgress")
}
