//! A BMC for tests: IPMI 2.0 over LAN with cipher suites 17 and 3, users, power,
//! boot flags, a log, sensors and the serial console, and the faults and lies of
//! real BMCs. No simulator at hand has suite 17 or keeps all boot flags.
//!
//! * [`Bmc`]: the BMC, without sockets and clock.
//! * [`Machine`]: the machine that it switches. [`VirtualMachine`] is one in memory;
//!   a rig can put an emulator behind it.
//! * [`Faults`]: what is wrong with it.
//! * [`udp`]: a BMC at a UDP port.
//!
//! ipmitool and FreeIPMI judge it in this crate's tests, so it is no mirror of
//! Farrier's own client, with which it shares the formats of packets.
//!
//! # Not supported
//! * Sessions of IPMI 1.5, suites that leave something out, users by privilege.
//! * Changes of users, channels and LAN parameters; FRU, watchdog, PEF.
//! * More than one console at a time, and its settings.
#![forbid(unsafe_code)]

mod bmc;
mod commands;
mod config;
mod console;
mod faults;
mod log;
mod machine;
mod outgoing;
mod power;
mod random;
mod sensors;
mod session;
pub mod udp;

pub use bmc::Bmc;
pub use config::{Config, User};
pub use faults::{Every, Faults, WrongKey};
pub use log::{Entry, Log};
pub use machine::{Done, Machine, VirtualMachine};
pub use outgoing::Datagram;
pub use sensors::{Kind, SensorConfig};
