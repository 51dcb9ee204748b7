//! What goes into the rack and what comes out of it: inputs, commands,
//! effects, errors, configuration, time. Values only; no rule lives here.

mod account;
mod actor;
mod command;
pub mod config;
mod driver;
mod effect;
mod erase_method;
mod error;
mod input;
mod instance;
mod key_values;
mod link;
mod network;
mod patch;
mod port_group;
mod power;
mod relay;
mod requirements;
mod seen;
mod setting;
mod sighting;
mod steps;
mod switch;
mod text;
mod time;
mod uplink;

pub use account::{Account, AccountName, Role, Verifier};
pub use actor::{ACCOUNT_LEN, Actor, ActorKind};
pub use command::{AdminFlag, Allocate, Command, InterfacePatch, StoredConfigDrive};
pub use config::{Config, ConfigError, Identity, TrustedKeys};
pub use driver::DriverKind;
pub use effect::{Effect, Effects, MAX_EFFECTS, Serve, StatementRef};
pub(crate) use effect::{Operation, SwitchOperation};
pub use erase_method::{ERASE_METHODS, erase_method, erase_method_name};
pub use error::CommandError;
pub use farrier_ethernet::NetworkId;
pub use farrier_protocol::message::Mac;
pub use input::{Endpoint, Image, Input, Transport};
pub use instance::InstanceInfo;
pub(crate) use key_values::BETWEEN;
pub use key_values::KeyValues;
pub use link::{Link, Services};
pub use network::{MAX_ROUTES, Network, Route, Uses};
pub(crate) use patch::driver_info_pairs;
pub use patch::{DRIVER_INFO, FlagPatch, NewNode, NodePatch};
pub use port_group::GroupMode;
pub use power::{
    BootChoice, BootDevice, OperationError, OperationId, PowerAction, PowerOperation, PowerState,
};
pub use relay::Relay;
pub use requirements::{Flavor, HardwareFeatures, Requirements};
pub use seen::Seen;
pub use setting::{IpmiPrivilege, KG_LEN, RedfishHost, SETTING_LEN, Setting};
pub(crate) use setting::{address, family, kg, port, privilege};
pub use sighting::{Sighting, SightingKind};
pub use steps::{MAX_STEPS, Step, Steps, WRITE_PRIORITY};
pub use switch::{
    HostKey, Learned, NewLogin, NewOptions, PORT_NAME_LEN, PortName, SWITCH_PASSWORD_LEN,
    SWITCH_USER_LEN, SwitchAction, SwitchAddress, SwitchDetails, SwitchKind, SwitchLogin,
    SwitchSecret,
};
pub(crate) use text::Cut;
pub use text::{NAME_LEN, String, cut};
pub use time::Instant;
pub use uplink::Uplink;
