//! A thin client of Redfish (DMTF DSP0266): power, boot, sensors and settings of
//! one server through its BMC. Bytes in, bytes out; `no_std`, no heap, no clock
//! and no policy.
#![no_std]
#![forbid(unsafe_code)]

mod bmc;
#[doc(hidden)]
pub mod fuzz;
mod http;
mod kinds;
mod link;
mod names;
mod operation;
mod outcome;
mod request;
mod text;
mod tokens;
mod vendor;

pub use bmc::{Bmc, MAX_SESSION, MAX_SYSTEM, MAX_TOKEN};
pub use http::{HttpError, MAX_HEAD, MAX_INTERIM};
pub use kinds::{
    BootEnabled, BootMode, BootTarget, BootTargets, Health, PowerState, ResetType, ResetTypes,
    SecureBootMode,
};
pub use link::{LinkError, MAX_PATH};
pub use operation::{MAX_CREDENTIALS, MAX_REQUESTS, Operation, Step, Wants};
pub use outcome::{
    BootState, Failure, FailureKind, MAX_MESSAGE, MAX_SENSOR, Outcome, SecureBootState, Sensor,
    SensorKind, SystemState, Visitor,
};
pub use request::{AttributeValue, Auth, BootOverride, Request, Scheme, Settings, Target, Which};
pub use text::Text;
pub use vendor::{HABITS, Habits, ModeHabit, Vendor};
