//! A Redfish (DSP0266) service of our own for tests: sessions, ETags, tasks,
//! chunked answers, models of vendors, and lies and faults that are injected. A
//! [`Machine`] behind each system makes power and boot devices real.
//!
//! * [`Service`]: the service without HTTP, in its owner's time.
//! * [`Connection`]: bytes of one client, for tests without sockets.
//! * [`tcp`]: the service over TCP; the binary `farrier-redfish-service` too.
//! * [`Model`], [`model`]: what a family of BMCs has, as data.
//! * [`Fault`], [`Injected`]: what goes wrong, and when.
//!
//! # Not supported
//! * TLS: put a proxy in front.
//! * Events, accounts, logs, storage, updates, registries, `$expand` and other
//!   query options.
//! * HTTP in more than one request at a time on a connection.
#![forbid(unsafe_code)]

mod changes;
mod connection;
mod documents;
mod fault;
mod machine;
pub mod model;
mod reply;
mod routes;
mod service;
mod system;
pub mod tcp;

pub use connection::Connection;
pub use fault::{Fault, Injected, Stall};
pub use machine::{Boot, Machine, PowerAction, PowerLog, Simulated};
pub use model::Model;
pub use reply::Reply;
pub use service::{Request, Service};
pub use system::{State, System};
