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
//! # Without sockets
//! ```
//! use farrier_bmc::{Bmc, Config, VirtualMachine};
//! use farrier_ipmi::command::{Command, chassis::ChassisControl};
//! use farrier_ipmi::{Client, Credentials, Event, MAX_SENT, Output, Settings};
//!
//! let mut bmc = Bmc::new(Config::default(), VirtualMachine::new());
//! let credentials = Credentials::new(b"farrier", b"farrier").unwrap();
//! let mut client = Client::new(credentials, Settings::default());
//! client.request(Command::ChassisControl(ChassisControl::On)).unwrap();
//!
//! let (now_ms, from) = (0, "192.0.2.1:40000".parse().unwrap());
//! let mut out = [0; MAX_SENT];
//! let mut random = |bytes: &mut [u8]| bytes.fill(7);
//! let done = loop {
//!     match client.poll(now_ms, &mut out, &mut random) {
//!         Output::Datagram(len) => bmc.receive(now_ms, from, &out[..len]),
//!         Output::Event(event) => assert_eq!(event, Event::Up),
//!         Output::Wait(_) => break false,
//!     }
//!     let Some(mut datagram) = bmc.transmit(now_ms) else { continue };
//!     if let Some(Event::Done(_)) = client.input(&mut datagram.bytes, now_ms) {
//!         break true;
//!     }
//! };
//! assert!(done && bmc.machine.booted.is_some());
//! ```
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
