//! What goes into the rack and what comes out of it: inputs, commands,
//! effects, errors, configuration, time. Values only; no rule lives here.

mod actor;
mod command;
pub mod config;
mod effect;
mod error;
mod input;
mod power;
mod time;

pub use actor::{ACCOUNT_LEN, Actor, ActorKind};
pub use command::{Allocate, Command, StoredConfigDrive};
pub use config::{Config, ConfigError, Identity};
pub(crate) use effect::Operation;
pub use effect::{Effect, Effects, MAX_EFFECTS, Serve, StatementRef};
pub use error::CommandError;
pub use input::{Endpoint, Image, Input, NetworkId, Transport};
pub use power::{OperationError, OperationId, PowerAction, PowerState};
pub use time::Instant;
