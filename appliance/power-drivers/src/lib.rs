//! Drivers of a machine's power: [`PowerDriver`] carries out one operation on one
//! machine over whatever its BMC speaks, and ends in a [`Report`]. Sans-IO: it is fed
//! with bytes and the time. `no_std`, without a heap and without policy: the rack
//! decides what is to be done, and when.
//!
//! | | IPMI, Redfish | outlet (SNMP) | Wake-on-LAN |
//! |---|---|---|---|
//! | `Look` | power, boot device, UUID | power | – |
//! | on | the boot device where one is asked for, on; until it is seen on | on, seen | magic packets |
//! | off | off; until it is seen off | off, seen | – |
//! | reboot | off, seen; then as on | off, seen; on, seen | – |
//! | soft off | asked of the machine's system | – | – |
//! | soft reboot | asked of the machine's system where the BMC can; else soft off, seen; then as on | – | – |
//! | NMI | sent once | – | – |
//!
//! # What an end means
//! * Done: the machine was seen so, behind the command. Soft actions and interrupts
//!   are done when the BMC has accepted them, with power `Unknown` behind a soft one:
//!   the rack waits, and goes the hard way where nothing follows. A magic packet is
//!   done when it is sent, and its power stays `Unknown`.
//! * [`NotApplied`](OperationError::NotApplied): the BMC has accepted the command, and
//!   shows the power in the report.
//! * [`Uncertain`](OperationError::Uncertain): the command may have been carried out,
//!   or may still be. The driver has read the machine, as far as it answered.
//! * [`Login`](OperationError::Login), [`Unreachable`](OperationError::Unreachable),
//!   [`Refused`](OperationError::Refused), [`Busy`](OperationError::Busy) (try again),
//!   [`Unsupported`](OperationError::Unsupported) (no allowed cipher suite, no such
//!   action, no Redfish): the last command of the operation was not carried out.
//!   [`Report::power`] says how far a restart has come, and [`Report::reason`] is for
//!   people.
//!
//! An owner tells the rack [`Report::power`] where it is known; `Unknown` says nothing.
//!
//! # What is asked for twice
//! On and off, where an answer was lost and the machine shows that nothing was done;
//! and both also where the BMC says that the machine is so already, since BMCs show
//! old states. All else is sent once. A soft action on a machine that the BMC shows as
//! off goes the hard way: asked to shut down, some machines that are off go on.
//!
//! # The boot device
//! It is set right ahead of a start, for that start alone, and read back. Whatever
//! becomes of it, the machine starts: what it gets from the network is decided by the
//! appliance. A machine that is on already keeps its boot device.
//!
//! # Bounds
//! Every wait has a limit ([`limits`]). No operation outlives its deadline, or
//! [`limits::OPERATION_MILLIS`]; the last seconds of it belong to the session's end.
//!
//! # Memory
//! An [`IpmiDriver`] has 600 bytes at the most. A [`RedfishDriver`] takes 1.6 KiB,
//! an [`OutletDriver`] 630 bytes; beside them, 239 bytes are kept of each BMC.
//! Buffers are the owner's, and all drivers may share them: [`MIN_OUT`] and
//! [`DATAGRAM`] bytes.
//!
//! # With a socket
//! ```no_run
//! use farrier_power_drivers::{
//!     Access, Action, DATAGRAM, Driver, Endpoint, Instant, IpmiAccess, MIN_OUT, Order, Output,
//!     PowerAction, PowerDriver,
//! };
//! use farrier_redfish::Bmc;
//! # use std::{net::UdpSocket, time::Duration};
//! # let begin = std::time::Instant::now();
//! # let clock = || Instant::from_millis(begin.elapsed().as_millis() as u64);
//! # let mut random = |bytes: &mut [u8]| bytes.fill(7);
//! let access = Access::Ipmi(IpmiAccess {
//!     address: [192, 0, 2, 7].into(),
//!     port: 623,
//!     user: b"farrier",
//!     password: b"a password",
//!     kg: b"",
//!     suites: Default::default(),
//! });
//! let Endpoint::Udp(address, port) = access.endpoint() else { panic!() };
//! let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
//! socket.connect((address, port)).unwrap();
//!
//! let order = Order::new(Action::Power(PowerAction::On));
//! let deadline = clock().plus_millis(60_000);
//! let mut bmc = Bmc::new();
//! let mut driver = PowerDriver::new(clock(), deadline, order, &access, &mut bmc).unwrap();
//! let (mut out, mut buffer) = ([0; MIN_OUT], [0; DATAGRAM]);
//! loop {
//!     match driver.poll(clock(), &mut out, &mut random) {
//!         Output::Datagram(length) => drop(socket.send(&out[..length])),
//!         Output::Wait => {
//!             let pause = driver.wake_at().since(clock()).max(1);
//!             socket.set_read_timeout(Some(Duration::from_millis(pause))).unwrap();
//!             if let Ok(length) = socket.recv(&mut buffer) {
//!                 driver.input(clock(), &mut buffer[..length]);
//!             }
//!         }
//!         // Of a stream: see `Output`.
//!         Output::Connect | Output::Stream(_) => unreachable!(),
//!         Output::End => break,
//!     }
//! }
//! let report = driver.report().unwrap();
//! println!("{:?}: {:?}", report.result, report.power);
//! ```
//!
//! # Not supported
//! * TLS: see `farrier_redfish`. IPv6.
//! * A session of IPMI that outlives its operation.
#![no_std]
#![forbid(unsafe_code)]

pub mod limits;

mod ask;
mod driver;
mod flow;
mod ipmi;
mod link;
mod order;
mod outlet;
mod redfish;
mod report;
mod wake;

pub use driver::{
    DATAGRAM, Driver, IpmiDriver, MIN_OUT, Operation, OutletDriver, Output, PowerDriver, Random,
    RedfishDriver, WakeDriver,
};
pub use farrier_core::Instant;
pub use farrier_core::interface::{Mac, OperationError, PowerAction, PowerState};
pub use farrier_core::power::BootDevice;
pub use order::{
    Access, Action, Endpoint, Firmware, IpmiAccess, Order, OutletAccess, RedfishAccess, StartFrom,
};
pub use report::{BootSeen, Code, Reason, Report};
pub use wake::{WAKE_ETHERTYPE, WAKE_LEN, WAKE_PORT, magic_packet};
