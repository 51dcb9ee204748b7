//! What is taken out of each kind of resource.

use super::collect::{Collector, NO_SENSOR, TaskState, shorten};
use crate::kinds::{
    BootEnabled, BootMode, BootTarget, BootTargets, Health, PowerState, ResetType, ResetTypes,
    SecureBootMode,
};
use crate::names::Name as N;
use crate::outcome::{Sensor, SensorKind};
use crate::request::{AttributeValue, Request};
use crate::tokens::{Token, Value, milli};
use crate::vendor::Vendor;

impl Collector<'_> {
    /// The root names the vendor, or has an object of the vendor's in it.
    pub(super) fn vendor(&mut self, token: &Token<'_>) {
        let text = match (token.path, token.value) {
            ([N::Vendor | N::Product], Value::Str(text, _)) => text.as_str(),
            ([N::Oem, _], Value::ObjectStart) => token.key.as_str(),
            _ => return,
        };
        if self.bmc.vendor == Vendor::Other {
            self.bmc.vendor = Vendor::of(text).unwrap_or_default();
        }
    }

    pub(super) fn system(&mut self, path: &[N], value: Value<'_>) {
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

    pub(super) fn boot(&mut self, path: &[N], value: Value<'_>) {
        let [N::Boot, path @ ..] = path else { return };
        let boot = &mut self.system.boot;
        if path == [N::HttpBootUri] {
            boot.has_http_uri = true;
        }
        self.facts.fits |= path == [N::BootTarget];
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
    pub(super) fn action_info(&mut self, path: &[N], value: Value<'_>) {
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

    /// The health of a chassis or its thermal subsystem.
    pub(super) fn health(&mut self, path: &[N], value: Value<'_>) {
        if let ([N::Status, N::Health | N::HealthRollup], Value::Str(text, _)) = (path, value) {
            let health = Health::parse(text.as_str());
            self.facts.health = Health::worse(self.facts.health, health);
        }
    }

    /// A row is complete.
    fn show(&mut self) {
        let facts = &mut *self.facts;
        self.visitor.sensor(&facts.sensor);
        facts.rows = facts.rows.saturating_add(1);
        facts.health = Health::worse(facts.health, facts.sensor.health);
    }

    /// Rows of `Thermal` and of `ThermalMetrics`.
    pub(super) fn thermal(&mut self, path: &[N], value: Value<'_>) {
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
            ([], Value::ObjectEnd) => self.show(),
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
    pub(super) fn sensor(&mut self, path: &[N], value: Value<'_>) {
        let facts = &mut *self.facts;
        match (path, value) {
            ([], Value::ObjectStart) => {
                facts.sensor = NO_SENSOR;
                facts.fits = false;
            }
            ([N::Called], Value::Str(text, _)) => facts.sensor.name = shorten(text),
            ([N::Reading], Value::Number(text)) => facts.sensor.reading = milli(text),
            ([N::ReadingType], Value::Str(text, _)) => {
                facts.fits |= text.as_str() == "Temperature";
            }
            // Older services have no type.
            ([N::ReadingUnits], Value::Str(text, _)) => facts.fits |= text.as_str() == "Cel",

            ([N::Thresholds, N::UpperCritical, N::Reading], Value::Number(text)) => {
                facts.sensor.critical = milli(text);
            }
            ([N::Status, N::Health], Value::Str(text, _)) => {
                facts.sensor.health = Health::parse(text.as_str());
            }
            ([], Value::ObjectEnd) if facts.fits => self.show(),
            _ => {}
        }
    }

    pub(super) fn media(&mut self, path: &[N], value: Value<'_>) {
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

    pub(super) fn attribute(&mut self, token: &Token<'_>) {
        let [N::Attributes, _] = token.path else {
            return;
        };
        let Some(name) = token.key.whole() else {
            return;
        };
        let value = match token.value {
            Value::Str(text, hash) => {
                self.attribute_is(name, |wanted| {
                    matches!(wanted, AttributeValue::Text(wanted) if crate::text::hash(wanted) == hash)
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

    pub(super) fn secure_boot(&mut self, path: &[N], value: Value<'_>) {
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
    pub(super) fn task(&mut self, path: &[N], value: Value<'_>) {
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
