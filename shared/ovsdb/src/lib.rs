//! An OVSDB (RFC 7047) client that reads and moves the VLANs of a switch's ports:
//! bytes in, bytes out. `no_std`, no heap; no sockets, no clock and no policy.
//!
//! * [`Session`]: a client's end of one connection.
//! * [`Visitor`]: is shown the rows of ports and interfaces, at first and
//!   whenever they change.
//! * [`Change`], [`Outcome`]: a compare-and-set of one port's VLANs, and what
//!   became of it.
//! * [`PortVlan`]: what `tag`, `trunks` and `vlan_mode` say, and by
//!   [`PortVlan::carriage`] what they mean.
//! * `model` (feature of that name): a switch with its server and its faults.
//!
//! # How a change goes
//! One transaction waits, without time, for the port's row to be as expected,
//! updates it, adds one to `next_cfg`, and reads that number. The switch does all
//! of it or nothing ([`State::Commit`]). Open vSwitch sets `cur_cfg` to the
//! number when its data path follows ([`State::Apply`]); the client then reads
//! the row back ([`State::ReadBack`]). No other row is written. A VLAN needs not
//! be made in Open vSwitch: it exists as soon as a port has it.
//!
//! There is no confirmed commit in OVSDB: a lost connection undoes nothing. The
//! owner watches for the machine's frames and decides; [`Session::rollback`], or a
//! later session with [`Change::reversed`], is another compare-and-set. After
//! [`Stage::Unanswered`] the change may still happen, so the owner opens another
//! connection and reads the port before it does anything else. When the connection
//! is lost or the switch breaks the protocol, [`Session::give_up`] says how far the
//! change had come.
//!
//! # Deadlines
//! The session waits for ever. Its owner puts a deadline around every state but
//! [`State::Ready`] and calls [`Session::give_up`] when it is over. The client
//! never asks by itself whether an idle connection lives: [`Session::probe`].
//!
//! # Memory
//! A session takes 976 bytes on a 64-bit host, and less than 1 KiB anywhere,
//! whatever the switch has: messages are read as they arrive, 16 levels deep at
//! the most, and never kept. Names have up to [`MAX_NAME`] bytes and sets of VLANs
//! up to [`MAX_TRUNKS`] ids; longer ones are cut, know it, and equal nothing. The
//! owner needs [`MAX_REQUEST`] bytes for output, and input of any size. On a
//! Cortex-M7, optimised for size, the client takes 28 kB of flash together with
//! the JSON reader and writer and what it uses of `core`.
//!
//! # Not supported
//! * The switch's MAC table: the schema has none. Open vSwitch shows it by
//!   `ovs-appctl fdb/show` only, which is no OVSDB. Counters of an interface
//!   ([`Visitor::statistic`]) say whether frames pass, not whose.
//! * LLDP neighbours: `Interface.lldp` is configuration, not what was received.
//! * TLS: the connection is plain TCP. Whoever can reach the port of the database
//!   can configure the switch, so it belongs on a network of its own.
//! * Adding and removing bridges and ports, bonds, QoS.
//! * `update2` and `update3`, locks, and other databases.
//!
//! # A session without a network
//! ```
//! use farrier_ovsdb::model::{Connection, Switch};
//! use farrier_ovsdb::{
//!     Change, Config, Event, MAX_REQUEST, Outcome, PortName, PortVlan, Session,
//! };
//!
//! let port = PortName::new("xe-0/0/1").unwrap();
//! let idle = PortVlan::access(10).unwrap();
//! let mut switch = Switch::<8>::new();
//! switch.add_port(port, idle);
//!
//! let mut session = Session::new(Config::default());
//! let mut connection = Connection::<4096>::new(&switch);
//! let mut out = [0; MAX_REQUEST];
//! let outcome = loop {
//!     // What the session has to say …
//!     while let Ok(len @ 1..) = session.send(&mut out) {
//!         connection.receive(&mut switch, &mut &out[..len]);
//!     }
//!     connection.poll(&mut switch);
//!     // … and what the switch has. Rows would be shown to a `Visitor`.
//!     let mut input = connection.output();
//!     let event = session.receive(&mut input, &mut ()).unwrap();
//!     let rest = input.len();
//!     connection.sent(connection.output().len() - rest);
//!     match event {
//!         Some(Event::Ready) => {
//!             let desired = PortVlan::access(20).unwrap();
//!             let expected = idle;
//!             session.begin(&Change { port, expected, desired }).unwrap();
//!         }
//!         Some(Event::Done(outcome)) => break outcome,
//!         _ => {}
//!     }
//! };
//! assert_eq!(outcome, Outcome::Applied);
//! assert_eq!(switch.port("xe-0/0/1").unwrap().running().tag, Some(20));
//! ```
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
