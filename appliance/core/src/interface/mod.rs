//! What goes into the rack and what comes out of it: inputs, commands,
//! effects, errors, configuration, time. Values only; no rule lives here.

pub mod config;
mod effect;
mod error;
mod input;
mod time;

pub use config::{Config, ConfigError, Identity};
pub use effect::{Effect, Effects, MAX_EFFECTS, PowerWanted, Serve, StatementRef};
pub use error::CommandError;
pub use input::{Allocate, Command, Endpoint, Image, Input, StoredConfigDrive, Transport};
pub use time::Instant;
