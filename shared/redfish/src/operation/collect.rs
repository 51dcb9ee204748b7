//! What is taken out of an answer while it arrives: links, states, rows and the
//! BMC's error. What they mean for the operation is decided at the answer's end.

use super::step::Resource;
use crate::bmc::{Bmc, Session};
use crate::http::{Answer, Field};
use crate::kinds::{
    BootEnabled, BootMode, BootTarget, BootTargets, Health, PowerState, ResetType, ResetTypes,
    SecureBootMode,
};
use crate::link::Path;
use crate::names::Name as N;
use crate::outcome::{
    BootState, MAX_MESSAGE, SecureBootState, Sensor, SensorKind, SystemState, Visitor,
};
use crate::request::{AttributeValue, Request};
use crate::text::{Text, hash};
use crate::tokens::{MAX_TEXT, Sink, Token, Value, milli};
use crate::vendor::Vendor;

/// Longest ETag that is sent back, in bytes.
pub(super) const MAX_ETAG: usize = 64;

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
    sensor: Sensor,
    resets: ResetTypes,
    /// What is read is of the wanted kind.
    fits: bool,
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

const NO_SENSOR: Sensor = Sensor {
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
            Field::ETag if self.resource.has_etag() => *self.etag = shorten(value),
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
            *self.etag = shorten(text);
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
            Resource::Collection
            | Resource::Session
            | Resource::Chassis
            | Resource::ThermalSubsystem
            | Resource::Manager
            | Resource::Nothing => {}
        }
    }
}

impl Collector<'_> {
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
                facts.success |= text.as_str() == "OK";
            }
            _ => {}
        }
    }

    /// The root names the vendor, or has an object of the vendor's in it.
    fn vendor(&mut self, token: &Token<'_>) {
        let text = match (token.path, token.value) {
            ([N::Vendor | N::Product], Value::Str(text, _)) => text.as_str(),
            ([N::Oem, _], Value::ObjectStart) => token.key.as_str(),
            _ => return,
        };
        if self.bmc.vendor == Vendor::Other {
            self.bmc.vendor = Vendor::of(text).unwrap_or_default();
        }
    }

    fn system(&mut self, path: &[N], value: Value<'_>) {
        self.boot(path, value);
        let system = &mut *self.system;
        let Value::Str(text, _) = value else { return };
        let text = text.as_str();
        match path {
            [N::PowerState] => system.power = PowerState::parse(text),
            [N::Uuid] => system.uuid = uuid(text),
            // The roll-up counts, wherever it stands.
            [N::Status, N::HealthRollup] => system.health = Health::parse(text).or(system.health),
            [N::Status, N::Health] if system.health.is_none() => {
                system.health = Health::parse(text)
            }
            [N::Manufacturer] if self.bmc.vendor == Vendor::Other => {
                self.bmc.vendor = Vendor::of(text).unwrap_or_default();
            }
            [N::Actions, N::Reset, N::ResetTypes, N::Item] => {
                let reset = ResetType::parse(text).map(ResetTypes::from);
                system.resets |= reset.unwrap_or(ResetTypes::empty());
            }
            _ => {}
        }
    }

    fn boot(&mut self, path: &[N], value: Value<'_>) {
        let [N::Boot, path @ ..] = path else { return };
        let boot = &mut self.system.boot;
        if path == [N::HttpBootUri] {
            boot.has_http_uri = true;
        }
        let Value::Str(text, hash) = value else {
            return;
        };
        match path {
            [N::BootEnabled] => boot.enabled = BootEnabled::parse(text.as_str()),
            [N::BootTarget] => boot.target = BootTarget::parse(text.as_str()),
            [N::BootMode] => boot.mode = BootMode::parse(text.as_str()),
            [N::HttpBootUri] => boot.http_uri = (!text.is_empty()).then_some(hash),
            [N::BootTargets, N::Item] => {
                let target = BootTarget::parse(text.as_str()).map(BootTargets::from);
                self.system.boot_targets |= target.unwrap_or(BootTargets::empty());
            }
            _ => {}
        }
    }

    /// The parameters of a reset (`ActionInfo`): which one it is may come behind
    /// its values.
    fn action_info(&mut self, path: &[N], value: Value<'_>) {
        let facts = &mut *self.facts;
        match (path, value) {
            ([N::Parameters, N::Item], Value::ObjectStart) => {
                facts.resets = ResetTypes::empty();
                facts.fits = false;
            }
            ([N::Parameters, N::Item, N::Called], Value::Str(text, _)) => {
                facts.fits = text.as_str() == "ResetType";
            }
            ([N::Parameters, N::Item, N::AllowableValues, N::Item], Value::Str(text, _)) => {
                let reset = ResetType::parse(text.as_str()).map(ResetTypes::from);
                facts.resets |= reset.unwrap_or(ResetTypes::empty());
            }
            ([N::Parameters, N::Item], Value::ObjectEnd) if facts.fits => {
                self.system.resets |= facts.resets;
            }
            _ => {}
        }
    }

    /// Rows of `Thermal` and of `ThermalMetrics`.
    fn thermal(&mut self, path: &[N], value: Value<'_>) {
        let sensor = &mut self.facts.sensor;
        let (kind, path) = match path {
            [N::Temperatures | N::TemperatureReadings, N::Item, path @ ..] => {
                (SensorKind::Temperature, path)
            }
            [N::Fans, N::Item, path @ ..] => (SensorKind::Fan, path),
            _ => return,
        };
        match (path, value) {
            ([], Value::ObjectStart) => *sensor = Sensor { kind, ..NO_SENSOR },
            ([], Value::ObjectEnd) => {
                self.visitor.sensor(&self.facts.sensor);
                self.facts.rows = self.facts.rows.saturating_add(1);
            }
            ([N::Called | N::Device], Value::Str(text, _)) => sensor.name = shorten(text),
            ([N::ReadingCelsius | N::Reading], Value::Number(text)) => sensor.reading = milli(text),
            ([N::UpperThresholdCritical], Value::Number(text)) => sensor.critical = milli(text),
            ([N::Status, N::Health], Value::Str(text, _)) => {
                sensor.health = Health::parse(text.as_str());
            }
            _ => {}
        }
    }

    /// A `Sensor`; it is shown at its end if it is a temperature.
    fn sensor(&mut self, path: &[N], value: Value<'_>) {
        let facts = &mut *self.facts;
        match (path, value) {
            ([], Value::ObjectStart) => {
                facts.sensor = NO_SENSOR;
                facts.fits = false;
            }
            ([N::Called], Value::Str(text, _)) => facts.sensor.name = shorten(text),
            ([N::Reading], Value::Number(text)) => facts.sensor.reading = milli(text),
            ([N::ReadingType], Value::Str(text, _)) => {
                facts.fits = text.as_str() == "Temperature";
            }
            ([N::Thresholds, N::UpperCritical, N::Reading], Value::Number(text)) => {
                facts.sensor.critical = milli(text);
            }
            ([N::Status, N::Health], Value::Str(text, _)) => {
                facts.sensor.health = Health::parse(text.as_str());
            }
            ([], Value::ObjectEnd) if facts.fits => {
                self.visitor.sensor(&facts.sensor);
                facts.rows = 1;
            }
            _ => {}
        }
    }

    fn media(&mut self, path: &[N], value: Value<'_>) {
        let media = &mut self.facts.media;
        match (path, value) {
            ([N::MediaTypes, N::Item], Value::Str(text, _)) => {
                media.cd |= matches!(text.as_str(), "CD" | "DVD");
            }
            ([N::Inserted], Value::Bool(inserted)) => media.inserted = inserted,
            ([N::Image], Value::Str(text, hash)) => {
                media.image = (!text.is_empty()).then_some(hash);
            }
            _ => {}
        }
    }

    fn attribute(&mut self, token: &Token<'_>) {
        let [N::Attributes, _] = token.path else {
            return;
        };
        let Some(name) = token.key.whole() else {
            return;
        };
        let value = match token.value {
            Value::Str(text, hash) => {
                self.attribute_is(name, |wanted| {
                    matches!(wanted, AttributeValue::Text(wanted) if self::hash(wanted) == hash)
                });
                AttributeValue::Text(text.as_str())
            }
            Value::Number(text) => match text.parse() {
                Ok(number) => AttributeValue::Number(number),
                Err(_) => return,
            },
            Value::Bool(value) => AttributeValue::Bool(value),
            Value::Null
            | Value::ObjectStart
            | Value::ObjectEnd
            | Value::ArrayStart
            | Value::ArrayEnd => return,
        };
        match value {
            AttributeValue::Text(_) => {}
            AttributeValue::Number(_) | AttributeValue::Bool(_) => {
                self.attribute_is(name, |wanted| *wanted == value);
            }
        }
        if matches!(self.request, Request::ReadBios) {
            self.visitor.attribute(name, value);
            self.facts.rows = self.facts.rows.saturating_add(1);
        }
    }

    /// Counts an attribute that has the wanted value.
    fn attribute_is(&mut self, name: &str, is: impl Fn(&AttributeValue<'_>) -> bool) {
        if let Request::SetBios(wanted) = self.request {
            let found = wanted.iter().any(|(key, value)| *key == name && is(value));
            self.facts.rows = self.facts.rows.saturating_add(u16::from(found));
        }
    }

    fn secure_boot(&mut self, path: &[N], value: Value<'_>) {
        let secure_boot = &mut self.facts.secure_boot;
        match (path, value) {
            ([N::SecureBootEnable], Value::Bool(enabled)) => secure_boot.enabled = Some(enabled),
            ([N::SecureBootCurrent], Value::Str(text, _)) => {
                secure_boot.current = match text.as_str() {
                    "Enabled" => Some(true),
                    "Disabled" => Some(false),
                    _ => None,
                };
            }
            ([N::SecureBootMode], Value::Str(text, _)) => {
                secure_boot.mode = SecureBootMode::parse(text.as_str());
            }
            _ => {}
        }
    }

    /// A task (`Task.TaskState`, `Task.TaskStatus`), and the messages of it.
    fn task(&mut self, path: &[N], value: Value<'_>) {
        let Value::Str(text, _) = value else { return };
        let facts = &mut *self.facts;
        match path {
            [N::TaskState] if facts.task != Some(TaskState::Failed) => {
                facts.task = Some(match text.as_str() {
                    "Completed" => TaskState::Completed,
                    "Exception" | "Killed" | "Cancelled" | "Interrupted" => TaskState::Failed,
                    _ => TaskState::Running,
                });
            }
            [N::TaskStatus] if text.as_str() == "Critical" => facts.task = Some(TaskState::Failed),
            [N::Messages, N::Item, N::MessageId] => facts.message_id = shorten(text),
            [N::Messages, N::Item, N::Message] => facts.message = shorten(text),
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

/// Reads a UUID (RFC 9562, section 4), with or without hyphens.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let mut uuid = [0; 16];
    let mut digits = 0_usize;
    for character in text.chars().filter(|character| *character != '-') {
        let digit = u8::try_from(character.to_digit(16)?).ok()?;
        let byte = uuid.get_mut(digits / 2)?;
        *byte = (*byte << 4) | digit;
        digits += 1;
    }
    (digits == 32).then_some(uuid)
}
