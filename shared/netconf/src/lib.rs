//! A NETCONF client (RFC 6241, RFC 6242) that moves ports of switches between
//! VLANs: bytes in, bytes out. `no_std`, no heap, no sockets and no clock.
#![no_std]
#![forbid(unsafe_code)]

pub mod client;
pub mod dialect;
pub mod framing;
pub mod hello;
#[cfg(feature = "model")]
pub mod model;
pub mod out;
mod port;
pub mod reply;
mod session;
mod table;
mod text;
pub mod vlan;
pub mod xml;

pub use client::{Abort, Client, Failure, Flip, Outcome, Pending, Refusal, Report, Settings, Step};
pub use dialect::Dialect;
pub use session::ProtocolError;
pub use table::{MacEntry, Neighbour, Visitor};
pub use text::same_port;
pub use vlan::{MAX_TAGGED, Observed, PortVlans, VlanChange};
