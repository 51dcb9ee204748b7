//! The steps of an operation, and what each step's answer is.

use crate::names::Name as N;
use crate::request::Request;

/// What an operation does; one request each, or several alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Step {
    /// Reads the service root.
    Root = 0,
    /// Makes a session.
    Session = 1,
    /// Reads the collection of systems.
    Systems = 2,
    /// Reads a system that may be the wanted one.
    Candidate = 3,
    /// Reads the system.
    System = 4,
    /// Reads what the reset allows.
    ActionInfo = 5,
    /// Reads the settings object of the system's boot override.
    BootSettings = 6,
    /// Reads the chassis.
    Chassis = 7,
    /// Reads the sensors of older services.
    Thermal = 8,
    /// Reads the thermal subsystem.
    ThermalSubsystem = 9,
    /// Reads the temperatures of newer services.
    ThermalMetrics = 10,
    /// Reads the collection of sensors.
    Sensors = 11,
    /// Reads one sensor.
    Sensor = 12,
    /// Reads the manager: the BMC itself.
    Manager = 13,
    /// Reads the collection of virtual drives.
    MediaList = 14,
    /// Reads a virtual drive.
    Media = 15,
    /// Reads the BIOS attributes.
    Bios = 16,
    /// Reads the pending BIOS attributes.
    BiosSettings = 17,
    /// Reads the state of Secure Boot.
    SecureBoot = 18,
    /// Sends the change.
    Change = 19,
    /// Asks for the task of the change.
    Task = 20,
    /// Reads the resource for its new ETag, since the change was refused.
    Refetch = 21,
    /// Reads the changed resource.
    ReadBack = 22,
    /// Ends the session.
    EndSession = 23,
    /// Nothing is left to do.
    Over = 24,
}

/// What an answer is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    Root,
    Session,
    Collection,
    System,
    ActionInfo,
    BootSettings,
    Chassis,
    Thermal,
    ThermalSubsystem,
    ThermalMetrics,
    Sensor,
    Manager,
    Media,
    Bios,
    BiosSettings,
    SecureBoot,
    /// The answer to a change.
    Accepted,
    Task,
    Nothing,
}

impl Step {
    /// What the answer is, of this request.
    pub(super) fn resource(self, request: &Request<'_>, in_settings: bool) -> Resource {
        match self {
            Self::Root => Resource::Root,
            Self::Session => Resource::Session,
            Self::Systems | Self::Sensors | Self::MediaList => Resource::Collection,
            Self::Candidate | Self::System => Resource::System,
            Self::ActionInfo => Resource::ActionInfo,
            Self::BootSettings => Resource::BootSettings,
            Self::Chassis => Resource::Chassis,
            Self::Thermal => Resource::Thermal,
            Self::ThermalSubsystem => Resource::ThermalSubsystem,
            Self::ThermalMetrics => Resource::ThermalMetrics,
            Self::Sensor => Resource::Sensor,
            Self::Manager => Resource::Manager,
            Self::Media => Resource::Media,
            Self::Bios => Resource::Bios,
            Self::BiosSettings => Resource::BiosSettings,
            Self::SecureBoot => Resource::SecureBoot,
            Self::Change => Resource::Accepted,
            Self::Task => Resource::Task,
            Self::Refetch | Self::ReadBack => match request {
                Request::SetBoot(_) if in_settings => Resource::BootSettings,
                Request::SetBoot(_) => Resource::System,
                Request::InsertMedia { .. } | Request::EjectMedia => Resource::Media,
                Request::SetBios(_) => Resource::BiosSettings,
                Request::SetSecureBoot(_) => Resource::SecureBoot,
                Request::Identify
                | Request::ReadSystem
                | Request::Reset(_)
                | Request::ReadSensors
                | Request::ReadBios
                | Request::ResetBios
                | Request::ReadSecureBoot
                | Request::CloseSession => Resource::Nothing,
            },
            Self::EndSession | Self::Over => Resource::Nothing,
        }
    }
}

impl Resource {
    /// Whether the resource is one that may be changed with its ETag.
    pub(super) const fn has_etag(self) -> bool {
        matches!(
            self,
            Self::System | Self::BootSettings | Self::Media | Self::BiosSettings | Self::SecureBoot
        )
    }

    /// The member that holds the wanted link, and those that are taken without it.
    pub(super) fn links(self, request: &Request<'_>) -> (&'static [N], &'static [&'static [N]]) {
        match self {
            Self::Root => (&[N::Systems, N::Id], &[&[N::Links, N::Sessions, N::Id]]),
            Self::Session => (NOTHING, &[&[N::Id]]),
            Self::Collection => (&[N::Members, N::Item, N::Id], &[&[N::NextPage]]),
            Self::System => of_system(request),
            Self::Chassis => (
                &[N::Thermal, N::Id],
                &[&[N::ThermalSubsystem, N::Id], &[N::Sensors, N::Id]],
            ),
            Self::ThermalSubsystem => (&[N::ThermalMetrics, N::Id], &[]),
            Self::Manager => (&[N::VirtualMedia, N::Id], &[]),
            Self::Media => match request {
                Request::EjectMedia => (&[N::Actions, N::EjectMedia, N::Target], &[]),
                _ => (&[N::Actions, N::InsertMedia, N::Target], &[]),
            },
            Self::Bios => match request {
                Request::ResetBios => (&[N::Actions, N::ResetBios, N::Target], &[]),
                _ => (&[N::Settings, N::SettingsObject, N::Id], &[]),
            },
            Self::Accepted => (NOTHING, &[&[N::TaskMonitor], &[N::Id]]),
            Self::ActionInfo
            | Self::BootSettings
            | Self::Thermal
            | Self::ThermalMetrics
            | Self::Sensor
            | Self::BiosSettings
            | Self::SecureBoot
            | Self::Task
            | Self::Nothing => (NOTHING, &[]),
        }
    }
}

/// The path of no string.
const NOTHING: &[N] = &[];

fn of_system(request: &Request<'_>) -> (&'static [N], &'static [&'static [N]]) {
    match request {
        Request::Reset(_) => (
            &[N::Actions, N::Reset, N::Target],
            &[&[N::Actions, N::Reset, N::ActionInfo]],
        ),
        Request::SetBoot(_) => (NOTHING, &[&[N::Settings, N::SettingsObject, N::Id]]),
        Request::ReadSensors => (&[N::Links, N::Chassis, N::Item, N::Id], &[]),
        Request::InsertMedia { .. } | Request::EjectMedia => (
            &[N::VirtualMedia, N::Id],
            &[&[N::Links, N::ManagedBy, N::Item, N::Id]],
        ),
        Request::ReadBios | Request::SetBios(_) | Request::ResetBios => (&[N::Bios, N::Id], &[]),
        Request::ReadSecureBoot | Request::SetSecureBoot(_) => (&[N::SecureBoot, N::Id], &[]),
        Request::Identify | Request::ReadSystem | Request::CloseSession => (NOTHING, &[]),
    }
}
