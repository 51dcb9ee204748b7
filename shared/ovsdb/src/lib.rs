//! An OVSDB (RFC 7047) client for the VLANs of a switch's ports.
#![no_std]
#![forbid(unsafe_code)]

mod change;
mod error;
#[doc(hidden)]
pub mod fuzz;
mod message;
#[cfg(feature = "model")]
pub mod model;
mod rows;
mod session;
mod text;
mod token;
mod value;
mod vlan;

pub use change::{Change, Outcome, Refusal, Stage};
pub use error::{Error, ErrorKind};
pub use rows::{InterfaceRow, PortRow, Table, Uuid, Visitor};
pub use session::{BufferTooSmall, Config, Event, MAX_REQUEST, NotNow, Session, State};
pub use text::Text;
pub use vlan::{Carriage, MAX_NAME, MAX_TRUNKS, PortName, PortVlan, VlanMode, VlanSet};
