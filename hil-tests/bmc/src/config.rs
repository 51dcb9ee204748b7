//! What a BMC is and who may use it.

use farrier_ipmi::Privilege;
use farrier_ipmi::command::device::{GuidOrder, SystemGuid};
use farrier_ipmi::suite::Suite;

use crate::sensors::SensorConfig;

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name, of 16 bytes at the most.
    pub name: String,
    /// Its password, of 20 bytes at the most.
    pub password: String,
    /// Its highest privilege.
    pub privilege: Privilege,
}

impl User {
    /// A user.
    #[must_use]
    pub fn new(name: &str, password: &str, privilege: Privilege) -> Self {
        Self {
            name: name.to_owned(),
            password: password.to_owned(),
            privilege,
        }
    }
}

/// A BMC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Its users.
    pub users: Vec<User>,
    /// Its key (Kg), filled up with zeros.
    pub kg: Option<[u8; 20]>,
    /// Its cipher suites.
    pub suites: Vec<Suite>,
    /// The machine's GUID.
    pub guid: SystemGuid,
    /// Its sensors.
    pub sensors: Vec<SensorConfig>,
    /// Sessions at a time.
    pub sessions: usize,
    /// Longest payload of the console that it takes, in bytes.
    pub console_payload: u16,
    /// Its UDP port, as it tells it to who wants the console.
    pub port: u16,
    /// What its random numbers follow from.
    pub seed: u64,
}

impl Default for Config {
    /// One administrator `farrier` with the password `farrier`, both suites, four
    /// sessions, some sensors, no machine's GUID.
    fn default() -> Self {
        Self {
            users: vec![User::new("farrier", "farrier", Privilege::Administrator)],
            kg: None,
            suites: vec![Suite::Sha256, Suite::Sha1],
            guid: SystemGuid([0; 16]),
            sensors: SensorConfig::server(),
            sessions: 4,
            console_payload: 204,
            port: 623,
            seed: 1,
        }
    }
}

impl Config {
    /// The same with a machine's UUID, in the order that a vendor sends it.
    #[must_use]
    pub fn uuid(mut self, uuid: [u8; 16], order: GuidOrder) -> Self {
        self.guid = SystemGuid::of(uuid, order);
        self
    }
}
