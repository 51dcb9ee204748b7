//! A switch that is configured over the network, as a rack's real one is.
//!
//! [`endpoint`] is the switch's own address on the virtual network, [`ovsdb`]
//! a server of the switch behind it, and [`ports`] what it may configure.

pub mod endpoint;
pub mod ovsdb;
pub mod ports;
