//! A NETCONF client (RFC 6241, RFC 6242) that moves ports of switches between
//! VLANs. `no_std`, no heap, no clock and no sockets: bytes in, bytes out.
//!
//! * [`Client`]: one session on one channel, one task at a time. [`Client::flip`]
//!   changes a port and waits for its owner's evidence; others read a port, the
//!   hardware addresses and the LLDP neighbours, or end the change of a session
//!   that was lost.
//! * [`dialect`]: how a family of switches writes it, as tables and templates.
//! * [`xml`], [`framing`], [`hello`], [`reply`]: the layers below.
//! * `model`, a feature: a server with the faults of real switches, for tests and
//!   simulations.
//!
//! # A change of a port
//! Lock, read (the port must be as expected), edit, validate, confirmed commit,
//! read back and compare; then [`Step::Evidence`]: the owner looks for the
//! machine's own frames and calls [`Client::confirm`] or [`Client::cancel`]. The
//! confirmation is read back as well, and the lock released. From each step a way
//! back leads to the port as it was: cancel the commit, discard the candidate,
//! read, and, where the port is not as before, edit and commit once. An `ok` of a
//! switch counts for nothing: what its running configuration says does.
//!
//! Only the named interface, VLANs that are named `farrier-NUMBER`, and single
//! VLANs in the list of a named trunk are ever in an edit. A switch without confirmed commits is changed at once, and a
//! cancellation writes the former VLANs. Give the expected VLANs wherever they are
//! known: a switch that answers for another port looks like a port without VLANs.
//!
//! Every wait is a [`Step`] with a reason. The owner puts a deadline around each;
//! when it passes, [`Client::abort`] takes the orderly way out, and a second one
//! says that the channel is to be closed. [`Report::pending`] says what the switch
//! may still do by itself.
//!
//! A switch that says `ok` to the confirming commit, forgets it, and takes the
//! change back at the confirm timeout can't be seen before: read the port once
//! more after that time.
//!
//! # Memory
//! A [`Client`] is about 1.5 KiB on 64-bit machines, the reader's 0.5 KiB in it; a
//! test holds it below 2 KiB. Messages are written anew for each piece that is
//! sent, and answers are read as they arrive, so no message is ever in memory. The
//! owner's buffers are those of its channel.
//!
//! # With a channel
//! ```
//! use farrier_netconf::dialect::OPENCONFIG;
//! use farrier_netconf::model::{Config, Model, Profile};
//! use farrier_netconf::{Client, Flip, Outcome, PortVlans, Settings, Step, VlanChange};
//!
//! // The switch: in the firmware it is a channel of an SSH session.
//! let (idle, tenant) = (PortVlans::access(10).unwrap(), PortVlans::access(20).unwrap());
//! let config = Config::default().vlan(10).vlan(20).port("Ethernet7", &idle);
//! let mut switch = Model::new(Profile::full(&OPENCONFIG), config);
//! let channel = switch.connect().unwrap();
//!
//! let mut client = Client::new(Settings::default());
//! let mut begun = false;
//! let mut buffer = [0; 256];
//! loop {
//!     // Send what there is to send: a channel may take a part of it.
//!     let length = client.peek(&mut buffer);
//!     switch.receive(channel, &buffer[..length]);
//!     client.sent(length);
//!     if length > 0 {
//!         continue;
//!     }
//!     match client.step() {
//!         Step::Ready if !begun => {
//!             begun = true;
//!             let flip = Flip {
//!                 interface: "Ethernet7",
//!                 desired: tenant.clone(),
//!                 expected: Some(idle.clone()),
//!                 vlan: VlanChange::NONE,
//!                 trunk: "",
//!                 confirm_timeout_s: 120,
//!                 persist_id: 0x5eed,
//!             };
//!             client.flip(&flip).unwrap();
//!             continue;
//!         }
//!         // The machine was seen on its new network.
//!         Step::Evidence => assert!(client.confirm()),
//!         Step::Ready | Step::Over => break,
//!         // Wait for bytes or for the deadline of this step, then
//!         // `client.receive(…)`, `client.abort()` or `client.closed()`.
//!         _ => {}
//!     }
//!     let length = switch.transmit(channel, &mut buffer);
//!     client.receive(&buffer[..length], &mut ());
//! }
//! assert_eq!(client.report().unwrap().outcome, Outcome::Confirmed);
//! assert_eq!(switch.port("Ethernet7"), Some(tenant));
//! ```
//!
//! # Not supported
//! * Notifications, partial locks, `kill-session`, the startup configuration, and
//!   XPath.
//! * Junos' own operations (`open-configuration`, `commit-configuration`); groups
//!   and interface ranges that a port inherits from.
//! * Tagged VLANs and VLANs themselves in the IETF's and IEEE's modules.
//! * netconfd 2.13 can lose a request that arrives in one piece with the client's
//!   hello: wait 200 ms at the first [`Step::Ready`] for that server.
#![no_std]
#![forbid(unsafe_code)]

pub mod client;
pub mod dialect;
pub mod framing;
#[doc(hidden)]
pub mod fuzz;
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
pub use table::{LinkState, MacEntry, Neighbour, Visitor};
pub use text::same_port;
pub use vlan::{MAX_TAGGED, Observed, PortVlans, VlanChange};
