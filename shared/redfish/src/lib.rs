//! A thin client of Redfish (DMTF DSP0266): power, boot, sensors and settings of
//! one server through its BMC. Bytes in, bytes out; `no_std`, no heap, no clock, no
//! sockets and no policy.
//!
//! * [`Operation`]: one [`Request`] on one BMC, from the first link to the proof
//!   that a change was made; it ends in an [`Outcome`] or a [`Failure`].
//! * [`Bmc`]: what is kept between operations: the system's path and a session.
//! * [`Target`]: the service and the account; [`Settings`]: deadlines and bounds.
//! * [`Visitor`]: is shown sensors and BIOS attributes, row by row.
//! * [`Habits`]: what vendors need beyond the specification, as data.
//!
//! # How an operation goes
//! The service root (`/redfish/v1/`) is the only path that is known; all others are
//! links out of resources, the targets of actions too. The system is looked for
//! once, and again where it is gone. Then the links of what is asked for are
//! followed, allowed values are compared, and the change is sent: with the ETag of
//! the resource where it has one. A 202 leads to a task monitor, which is asked
//! until it ends. Then the changed resource is read until it shows the change: a
//! BMC's word for it counts for nothing. A reset is the exception, since its effect
//! is the power of minutes: the end says that it was accepted, and the owner reads
//! the system.
//!
//! Tasks of BIOS settings are not awaited: they end at the next boot.
//!
//! # What a failure says
//! [`Failure::open`] tells whether a change was sent whose end is unknown: the
//! answer was lost, the BMC had an internal error, or its task goes on. The owner
//! reads before it does anything else. A GET is repeated on a new connection where
//! a kept one was closed ahead of the first byte of its answer, and after 500, 502,
//! 503 and 504, up to four times. What changes something is only repeated where the
//! BMC says that it was not done: 401 with a session, 412 and 428 with a new ETag,
//! 429, 503, and a message that means "not ready".
//!
//! # Redirections and links
//! A redirection is followed for GET alone, three times in a row, and only to the
//! same scheme, host and port; so are links. Others end the operation, so that
//! credentials are never sent elsewhere. Of the `Location` of a session or a task
//! monitor only the path counts: BMCs write names of their own there.
//!
//! # Sessions
//! With [`Auth::Session`] an operation makes a session where [`Bmc`] has none, and
//! once more after a 401. It stays open for the operations to come;
//! [`Request::CloseSession`] ends it. With [`Auth::Basic`] a 401 ends the operation
//! at once, because more attempts could lock the account.
//!
//! # Memory
//! An [`Operation`] takes less than 1.5 KiB, a [`Bmc`] less than 256 bytes; a test
//! holds both. A request is written anew for each piece that is sent, and answers
//! are read as they arrive, 16 levels deep at the most: no message is ever in
//! memory. Strings are read up to 128 bytes, paths up to [`MAX_PATH`]; longer URIs
//! are compared by a hash of 64 bits.
//!
//! # Not supported
//! * TLS: the owner's byte stream carries it, or the BMC is asked over plain HTTP
//!   on a network of its own.
//! * Events, query options (`$expand`), compressed answers, accounts, updates,
//!   storage, logs.
//! * Several chassis: sensors are those of the first one of the system.
//! * Temperatures of a service with both `Sensors` and `ThermalSubsystem` come from
//!   the latter's metrics, which have no health.
//! * `Retry-After` as a date: it counts as absent.
//!
//! # Without a network
//! ```
//! use farrier_redfish::{
//!     Auth, Bmc, Operation, Outcome, PowerState, Request, Scheme, Settings, Target, Wants, Which,
//! };
//!
//! let target = Target {
//!     host: "10.0.0.7",
//!     scheme: Scheme::Http,
//!     user: "admin",
//!     password: "secret",
//!     auth: Auth::Basic,
//!     which: Which::Only,
//! };
//! let mut answers = [
//!     r#"{"Vendor": "Contoso", "Systems": {"@odata.id": "/redfish/v1/Systems"}}"#,
//!     r#"{"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]}"#,
//!     r#"{"PowerState": "On"}"#,
//! ]
//! .into_iter();
//!
//! let (mut bmc, settings) = (Bmc::new(), Settings::default());
//! let mut operation = Operation::new(&mut bmc, &target, &Request::ReadSystem, &settings, 0);
//! let outcome = loop {
//!     match operation.wants() {
//!         Wants::Connect => operation.connected(),
//!         Wants::Send => {
//!             let mut buffer = [0; 256];
//!             let length = operation.output(&mut buffer);
//!             // … goes to the BMC, as the owner's connection takes it.
//!             assert!(length > 0);
//!         }
//!         Wants::Receive => {
//!             let body = answers.next().unwrap();
//!             let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
//!             operation.input(answer.as_bytes(), 0, &mut ());
//!         }
//!         Wants::Wait => operation.tick(operation.deadline()),
//!         Wants::Nothing => break operation.end().unwrap().unwrap(),
//!     }
//! };
//! let Outcome::System(system) = outcome else { panic!() };
//! assert_eq!(system.power, Some(PowerState::On));
//! assert_eq!(bmc.system(), Some("/redfish/v1/Systems/1"));
//! ```
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
