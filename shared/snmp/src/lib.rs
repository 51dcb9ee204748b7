//! An SNMPv2c client (RFC 1901, RFC 3416) for outlets of PDUs and PoE ports:
//! datagrams in, datagrams out. `no_std`, no heap; no sockets, no clock and no
//! policy.
//!
//! * [`Exchange`]: one [`Request`] and its [`Answer`], over one datagram each, with
//!   repetitions and a deadline.
//! * [`Oid`], [`Value`]: names and values.
//! * [`outlet`]: families of outlets as data: which object switches them, which one
//!   says how they are.
//!
//! # What is taken for an answer
//! A datagram with the version, the community and the request id of the request, and
//! with one variable of the name that was asked for. Anything else is ignored and
//! counted, because whoever can send a datagram could otherwise end an exchange.
//! The request id has to be unpredictable, so it is an argument. It protects against
//! nobody who sees the network: SNMPv2c sends the community in the clear. Outlets
//! belong on a network of their own.
//!
//! A repetition has the same request id, so the answer to any of them counts. A
//! [`Request::Set`] that must not be carried out twice, such as a power cycle, says
//! so and is sent once. [`Failure::open`] tells that a SET may have been carried out.
//!
//! An outlet that answers a SET has taken it, and no more: read its state.
//!
//! # Memory
//! An exchange takes less than 512 bytes; a test holds it. Datagrams of the client
//! have up to [`MAX_DATAGRAM`] bytes.
//!
//! # Not supported
//! * SNMPv3 and SNMPv1; notifications; GETBULK; more than one variable a request.
//! * SET of anything but an INTEGER.
//!
//! # Without a network
//! ```
//! use farrier_snmp::outlet::{Action, CYBERPOWER, Outlet, OutletState};
//! use farrier_snmp::{Config, Exchange, MAX_DATAGRAM, Value};
//!
//! let outlet = Outlet::new(&CYBERPOWER, &[3]).unwrap();
//! let config = Config { community: "private", ..Config::default() };
//! let request = outlet.command(Action::Off).unwrap();
//! let mut exchange = Exchange::new(&config, request, 0x1234_5678, 0);
//!
//! let mut buffer = [0; MAX_DATAGRAM];
//! let length = exchange.output(0, &mut buffer);
//! // … goes to port 161 of the PDU. A SET is answered with what it had.
//! let mut answer = buffer[..length].to_vec();
//! let tag = answer.iter().position(|byte| *byte == 0xa3).unwrap();
//! answer[tag] = 0xa2;
//! exchange.input(&answer);
//! assert_eq!(exchange.end().unwrap().unwrap().value, Value::Integer(2));
//! assert_eq!(outlet.state(&Value::Integer(2)), OutletState::Off);
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod ber;
mod exchange;
#[doc(hidden)]
pub mod fuzz;
mod message;
mod oid;
pub mod outlet;
mod value;

pub use exchange::{Config, Exchange, Failure, FailureKind};
pub use message::{ErrorStatus, MAX_COMMUNITY, MAX_DATAGRAM, Request};
pub use oid::{MAX_ARCS, Oid};
pub use value::{Answer, MAX_TEXT, Octets, Value};
