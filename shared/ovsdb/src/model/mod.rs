//! A switch with an OVSDB server, for tests, simulators and rigs: its ports,
//! its database, what its data path really does, and its faults. Sans-IO and
//! without a heap, as the client is.
//!
//! The server knows what clients of ports and VLANs use: `list_dbs`,
//! `get_schema`, `echo`, `monitor`, `monitor_cancel`, and `transact` with
//! `select`, `wait`, `update` of a port's VLANs, `mutate` of `next_cfg`, and
//! `comment`. It refuses all else by name.

mod connection;
mod document;
mod dump;
mod schema;
mod switch;
mod transact;

pub use connection::Connection;
pub use switch::{Fault, Pace, Port, Startup, Switch};
